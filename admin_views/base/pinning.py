"""The button "Pin to dashboard" of every list: what it shows now, as a widget of the first page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Date
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, RadioField, SelectField, StringField, validators

from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.fields import AppForm, plain
from app.db import UtcDateTime
from app.domain import widgets
from app.errors import NotFound
from app.i18n import _, gettext
from app.models.widgets import Pace, WidgetKind

if TYPE_CHECKING:
    from admin_views.base.screen import AppView

Choices = list[tuple[str, str]]


def sums(view: AppView) -> Choices:
    """The columns that can be added up."""
    if not view.summed:
        return []
    return [(p.key, str(p.columns[0].info["label"])) for p in view._props() if p.columns[0].info.get("currency")]


def moments(view: AppView) -> Choices:
    """The columns by which rows can be counted over time."""
    kinds = (UtcDateTime, Date)
    return [(p.key, str(p.columns[0].info["label"])) for p in view._props() if isinstance(p.columns[0].type, kinds)]


def form_of(view: AppView) -> type[AppForm]:
    added, dated = sums(view), moments(view)
    kinds = [WidgetKind.COUNT, WidgetKind.ROWS, *([WidgetKind.SUM] if added else [])]
    kinds += [WidgetKind.CHART] if dated else []
    needed = [validators.InputRequired()]
    fields: dict[str, Any] = {
        "title": StringField(_("Title"), [*needed, plain, validators.Length(max=200)], default=str(view.name_plural)),
        "kind": RadioField(
            _("Show"), needed, choices=[(k.value, str(k.label)) for k in kinds], default=WidgetKind.COUNT.value
        ),
    }
    for name, label, choices, when in (
        ("added", _("Sum of"), added, "kind=sum"),
        ("dated", _("By the day of"), dated, "kind=chart"),
        ("pace", _("Counted"), [(p.value, str(p.label)) for p in Pace] if dated else [], "kind=chart"),
    ):
        if choices:
            first = choices[0][0]
            fields[name] = SelectField(label, choices=choices, default=first, render_kw={"data-when": when})
    return type("PinForm", (AppForm,), {**fields, "wide": BooleanField(_("As wide as the page"))})


class PinFlow(Flow):
    needs_rows = False

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        if press.asked is None:
            raise NotFound(_("Only a list can be pinned."))
        return form_of(press.view)(posted)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        assert press.asked is not None
        data = form.data
        kind = WidgetKind(data["kind"])
        column = {WidgetKind.SUM: data.get("added"), WidgetKind.CHART: data.get("dated")}.get(kind) or ""
        await widgets.begin(session)
        widget = await widgets.add(
            session, kind=kind, screen=press.view.identity, query=press.asked.complete(), title=data["title"],
            column=column, pace=Pace(data.get("pace") or Pace.DAY), wide=data["wide"],
        )  # fmt: skip
        said = gettext("%(title)s stands on your dashboard.") % {"title": widget.title}
        return Done(said, url=f"/admin/#w-{widget.id}")


PIN = Button(
    "pin_widget", _("Pin to dashboard"), "layout-dashboard", on=frozenset({"head"}), flow=PinFlow(), grant="list",
    more=True, submit=_("Pin"),
    lede=_("The list as it is filtered now becomes a widget of your first page. It counts anew each time."),
)  # fmt: skip
