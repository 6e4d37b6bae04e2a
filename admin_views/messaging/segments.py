"""Segments: a filter of the customers' list kept under a name, its screen, and writing to it."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import StringField, TextAreaField, validators
from wtforms.fields.core import UnboundField

from admin_views.access import may
from admin_views.base import AppForm, AppView, Button, Done, Flow, Press
from admin_views.base.conditions import ConditionField, told
from admin_views.base.fields import plain
from admin_views.base.reading import names_of
from admin_views.messaging import looks
from admin_views.messaging.compose import ComposeFlow, condition_of
from admin_views.messaging.message_form import languages
from app import filters
from app.domain.messaging import segments
from app.domain.messaging.audience import Audience
from app.errors import Invalid
from app.i18n import _, gettext, ngettext, show_number
from app.models.customers import Customer
from app.models.messaging import Segment
from app.observe import actor


class SegmentForm(AppForm):
    name = StringField(_("Name"), [validators.InputRequired(), validators.Length(max=200), plain])
    description = TextAreaField(_("What it is for"), [validators.Length(max=500), plain])


class SaveFlow(Flow):
    """Keeps the filter of the list as it is shown."""

    form = SegmentForm
    needs_rows: ClassVar[bool] = False

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        if (condition := condition_of(press)) is None:
            return {"warnings": [gettext("The list is not filtered: a segment of everybody has no use. Filter first.")]}
        said = await in_words(press.session, condition)
        return {"page": {
            "title": gettext("Save as a segment"), "lede": said, "submit_label": gettext("Save"),
            "submit_icon": "bookmark", "danger": False, "wide": False, "cancel_url": press.view.list_url,
        }}  # fmt: skip

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        if (condition := condition_of(press)) is None:
            raise Invalid(_("The list is not filtered: a segment of everybody has no use. Filter first."))
        segment = await segments.save_segment(
            session, name=form.data["name"], description=form.data["description"] or "", condition=condition
        )
        return Done(gettext("The segment is saved."), url=f"/admin/segment/details/{segment.id}")


class WriteFlow(ComposeFlow):
    needs_rows: ClassVar[bool] = True

    async def who(self, press: Press) -> dict[str, Any]:
        return {"filter": press.one.condition}

    def to_one(self, press: Press) -> bool:
        return False

    def lede(self, press: Press, n: int) -> str:
        said = ngettext("To %(n)s customer of “%(name)s”", "To %(n)s customers of “%(name)s”", n)
        return said % {"n": show_number(n), "name": press.one.name}


async def in_words(session: AsyncSession, condition: Any) -> str:
    """The filter as a sentence; why it cannot be used when it has broken meanwhile."""
    try:
        parsed = filters.parse(condition, Customer)
    except filters.FilterProblem as problem:
        return str(problem)
    names: dict[Any, Any] = {m: await names_of(session, m, ids) for m, ids in filters.refs(parsed, Customer).items()}
    return filters.say(parsed, Customer, names)


SAVE = Button("segment", _("Save as a segment"), "bookmark", on=frozenset({"head"}), flow=SaveFlow())


class Segments(AppView, model=Segment):
    name, name_plural, icon, category = _("Segment"), _("Segments"), "filter", "Messages"
    purpose = _("Filters of customers with a name, to write to the same kind of people again.")
    leave_out = ("staff_id",)
    buttons = (
        Button(
            "message", _("Send message"), "message-2", on=frozenset({"card", "row"}), flow=WriteFlow(), primary=True
        ),
    )

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {"condition": ConditionField(_("Who is meant"), model=Customer, required=True)}
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {} if obj is None else {"condition": obj.condition}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        values = {**values, "name": values["name"] or "", "description": values["description"] or ""}
        if obj is None:
            return await segments.save_segment(session, **values)
        return await segments.change_segment(session, segment=obj, **values)

    async def sections(self, session: AsyncSession, obj: Segment, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        said = await told(session, gettext("Who is meant"), obj.condition, Customer, [])
        if not may(request, "customer", "list"):
            return [said, *shown]
        codes = tuple(await languages(session))
        meant = Audience({"filter": obj.condition}, codes, codes[0], projects=actor.get().projects)
        try:
            found = await looks.counted(session, meant)
        except filters.FilterProblem:
            return [said, *shown]
        n = ngettext("Messages reach %(n)s customer now", "Messages reach %(n)s customers now", found.customers)
        words = [n % {"n": show_number(found.customers)}]
        if found.sample:
            words.append(", ".join(found.sample))
        return [{**said, "words": words}, *shown]
