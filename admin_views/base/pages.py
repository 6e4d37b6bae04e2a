"""From a screen and its rows to the contexts of the templates list.html, form.html and card.html."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, cast
from urllib.parse import urlencode

from markupsafe import Markup
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, Form, SelectField, StringField
from wtforms.fields.core import UnboundField

from admin_views.base import table
from admin_views.base.buttons import Button
from admin_views.base.cells import money, ready
from admin_views.base.fields import AppForm, LookupField
from admin_views.base.frame import hue_of
from admin_views.base.listing import SIZES, Asked, Page, totals
from admin_views.base.plan import Plan
from admin_views.base.reading import names_of
from admin_views.base.screen import AppView, Related
from app import filters
from app.db import Base
from app.errors import Invalid
from app.i18n import gettext, show_number
from app.render import initials


def _button(b: Button, identity: str, pk: Any = None) -> dict[str, Any]:
    return {
        "label": b.label,
        "icon": b.icon,
        "url": b.url(identity, pk),
        "primary": b.primary,
        "danger": b.danger,
        "more": b.more,
    }


def table_of(
    plan: Plan, rows: Sequence[Any], columns: list[dict[str, Any]], *, select: bool = False, sticky: bool = False
) -> Markup:
    """The rows as a table. select: with boxes, for a list that has something to do with the chosen ones."""
    view, shown, buttons = plan.view, plan.columns, plan.buttons["row"]
    lead = next((i for i, c in enumerate(shown) if "lead" in c.css.split()), 0)
    made = []
    for obj in rows:
        pk, label = view.pk_of(obj), view.row_label(obj)
        last = ""
        if buttons:
            mine = [b for b in buttons if b.shown is None or b.shown(obj)]
            last = table.actions(mine, view.identity, pk, escape(label))
        url = view.card_url(pk) if plan.linked else None
        cells = [(c.css, c.cell(obj)) for c in shown]
        made.append(table.row(pk=pk, label=label, url=url, cells=cells, lead=lead, select=select, last=last))
    head = table.head(columns, select=select, actions=bool(buttons))
    return table.table(head, made, sticky=sticky)


def columns_of(plan: Plan, asked: Asked) -> list[dict[str, Any]]:
    shown = []
    for c in plan.columns:
        current = asked.sort == c.key
        flipped = asked.query(sort=c.key, descending=current and not asked.descending)
        shown.append(
            {
                "key": c.key,
                "label": c.label,
                "css": c.css,
                "sort_url": f"{plan.view.list_url}?{flipped}" if c.sort else None,
                "sorted": ("descending" if asked.descending else "ascending") if current else None,
            }
        )
    return shown


def pager(url: str, page: Page, fixed: str = "") -> dict[str, Any]:
    """Addresses of the neighbouring pages. `fixed`: query parameters that the page's own address needs besides."""
    asked, n = page.asked, len(page.rows)

    def to(**extra: Any) -> str:
        return f"{url}?{'&'.join(p for p in (fixed, asked.query(), urlencode(extra)) if p)}"

    begin = asked.start
    text = gettext("%(first)s–%(last)s of %(total)s") % {
        "first": show_number(begin),
        "last": show_number(begin + n - 1),
        "total": page.total_text,
    }
    if asked.last or not n:
        text = gettext("%(total)s in all") % {"total": page.total_text}
    several = page.has_previous or page.has_next
    return {
        "text": text,
        "first_url": to() if page.has_previous else None,
        "previous_url": to(before=page.first_key, **{"from": max(1, begin - asked.size)})
        if page.has_previous
        else None,
        "next_url": to(after=page.last_key, **{"from": begin + n}) if page.has_next else None,
        "last_url": to(last=1) if page.has_next else None,
        "sizes": [
            {
                "n": s,
                "url": f"{url}?{'&'.join(p for p in (fixed, asked.query(size=s)) if p)}",
                "current": s == asked.size,
            }
            for s in SIZES
        ]
        if several or asked.size != SIZES[0]
        else [],
    }


async def listing(session: AsyncSession, plan: Plan, page: Page) -> dict[str, Any]:
    """The context of list.html."""
    view, asked = plan.view, page.asked
    pinned = urlencode({"pin": ",".join(map(str, asked.pin))}) if asked.pin else ""
    head = [{**_button(b, view.identity), "primary": False} for b in plan.buttons["head"]]
    for button in head:  # pressed here, it means all that this list shows
        button["url"] = f"{button['url']}?all=1&{asked.query()}".rstrip("&")
    create = {
        "label": view.create_label or gettext("New"),
        "icon": view.create_icon,
        "primary": True,
        "danger": False,
        "more": False,
        "url": f"/admin/{view.identity}/create",
    }
    if plan.may_create:
        head.append(create)
    offered = any(_USUAL.get(f.kind) for f in filters.fields(view.model).values())
    query = asked.query()
    chosen = [_button(b, view.identity) for b in plan.buttons["selection"]]
    columns = columns_of(plan, asked)
    return {
        "title": view.name_plural,
        "help": view.help,
        "identity": view.identity,
        "search": asked.search,
        "search_placeholder": view.search_hint or gettext("Find"),
        "list_url": view.list_url,
        "rows": page.rows,
        "table": table_of(plan, page.rows, columns, select=bool(chosen), sticky=True),
        "head_buttons": head,
        "selection_buttons": chosen,
        "chips": await chips(session, view, asked),
        "filter_url": f"/admin/{view.identity}/filter{f'?{query}' if query else ''}" if offered else None,
        "filter_hidden": kept(asked, dict(asked.filter_params)),
        "filter_count": len(asked.filter_params),
        "clear_url": f"{view.list_url}?{pinned}" if pinned else view.list_url,
        "match_total": page.total_text,
        "page": pager(view.list_url, page),
        "totals": [] if page.capped else await _totals(session, plan, asked),
        "empty": {
            "icon": view.icon,
            "line": gettext("Nothing here yet"),
            "action_label": create["label"] if plan.may_create else None,
            "action_url": create["url"] if plan.may_create else None,
        },
    }


async def _totals(session: AsyncSession, plan: Plan, asked: Asked) -> list[Markup]:
    """Sums over the whole filtered list, per currency; a list too long to count is not summed either."""
    return [ready(f"{escape(str(label))} {money(n, code)}") for label, code, n in await totals(session, plan, asked)]


def kept(asked: Asked, params: dict[str, str]) -> dict[str, Any]:
    """What a form that narrows the list carries along: `params` of the filter, the order, the pinned customers."""
    carried: dict[str, Any] = dict(params)
    if asked.sort:
        carried["sort"] = ("-" if asked.descending else "") + asked.sort
    if asked.size != SIZES[0]:
        carried["size"] = str(asked.size)
    if asked.pin:
        carried["pin"] = ",".join(map(str, asked.pin))
    return carried


async def chips(session: AsyncSession, view: AppView, asked: Asked) -> list[dict[str, Any]]:
    """One chip per condition of the filter, with the address of the list without it."""
    if asked.condition is None:
        return []
    named = {
        m: await names_of(session, m, list(ids)[:200]) for m, ids in filters.refs(asked.condition, view.model).items()
    }
    shown = []
    for i, param in enumerate(asked.filter_params):
        condition = filters.from_query([param], view.model)
        if condition is None:
            continue
        if isinstance(condition, filters.All) and len(condition.of) == 1:
            condition = condition.of[0]
        if isinstance(condition, filters.Leaf):
            words = filters.field(view.model, condition.field).describe(condition, named)
        else:
            words = (filters.say(condition, view.model, named), "", "")
        rest = tuple(p for j, p in enumerate(asked.filter_params) if j != i)
        url = f"{view.list_url}?{asked.query(filter_params=rest)}"
        shown.append({"field": words[0], "op": words[1], "value": words[2], "remove_url": url})
    return shown


# ---- the filter form ------------------------------------------------------------------------------------------------

_USUAL: dict[filters.Kind, tuple[str, ...]] = {
    filters.Kind.TEXT: ("contains",),
    filters.Kind.NUMBER: ("at_least", "at_most"),
    filters.Kind.DATE: ("from", "until"),
    filters.Kind.MOMENT: ("from", "until"),
    filters.Kind.CHOICE: ("in",),
    filters.Kind.BOOLEAN: ("is",),
    filters.Kind.REF: ("in",),
}
"""The operators that the filter form offers; the address takes all of the language."""


def filter_form(view: AppView, asked: Asked) -> AppForm:
    """The drawer's form: every field of the filter language with its usual operators, none required."""
    made: dict[str, UnboundField[Any]] = {}
    known = filters.fields(view.model)
    for name in dict.fromkeys((*view.filter_first, *known)):
        field = known[name]
        if name == "search":  # it has a box of its own above the list
            continue
        for op in ("is",) if name == "id" else _USUAL.get(field.kind, ()):
            if op not in field.allows:
                continue
            label = str(field.label)
            if op in ("at_least", "from"):
                label = gettext("%(field)s from") % {"field": label}
            elif op in ("at_most", "until"):
                label = gettext("%(field)s until") % {"field": label}
            made[f"{name}.{op}"] = cast("UnboundField[Any]", _filter_field(view, field, op, label))
    form = type("FilterForm", (AppForm,), made)
    return cast(AppForm, form(_Params(asked.filter_params)))


class _Params:
    """Query pairs in the shape that WTForms reads."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = list(pairs)

    def __iter__(self) -> Any:
        return iter(name for name, _value in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __contains__(self, name: str) -> bool:
        return any(n == name for n, _value in self.pairs)

    def getlist(self, name: str) -> list[str]:
        return [v for n, v in self.pairs if n == name]


def _filter_field(view: AppView, field: Any, op: str, label: str) -> Any:
    if field.kind == "ref":
        return LookupField(label, target=field.target.__tablename__, multiple=True)
    if field.kind == "choice":
        return SelectField(label, choices=[("", gettext("Any")), *((v, str(t)) for v, t in field.choices)])
    if field.kind == "boolean":
        return SelectField(label, choices=[("", gettext("Any")), ("true", gettext("Yes")), ("false", gettext("No"))])
    if field.kind in ("date", "moment"):
        return StringField(label, render_kw={"type": "date"})
    return StringField(label)


# ---- forms --------------------------------------------------------------------------------------------------------


async def resolve_lookups(session: AsyncSession, form: Form, *, check: bool = False) -> bool:
    """Fill in the labels of chosen rows. check: a row outside the scope is an error at the field; False when any is."""
    sound = True
    for field in cast("Iterable[Any]", form):
        if not isinstance(field, LookupField) or not field.ids:
            continue
        model = _model_of(field.target)
        found = {o.id: o for o in await session.scalars(select(model).where(model.id.in_(field.ids)))}
        field.chosen = [(i, str(found[i])) for i in field.ids if i in found]
        if check and len(found) < len(field.ids):
            field.errors = [*field.errors, gettext("Choose one from the list.")]
            sound = False
    return sound


def _model_of(table: str) -> Any:
    for mapper in Base.registry.mappers:
        if mapper.class_.__tablename__ == table:
            return mapper.class_
    raise LookupError(table)


def place_errors(form: Form, problem: Invalid) -> str | None:
    """Put each message at its field; what belongs to no field is returned for the head of the form."""
    rest = []
    for name, message in problem.fields.items():
        at = name if name in form else name.removesuffix("_id")
        if at in form:
            form[at].errors = [*form[at].errors, str(message)]
        else:
            rest.append(str(message))
    return " ".join(rest) or None


def groups_of(plan: Plan, form: Form) -> list[dict[str, Any]]:
    """Sections of the create or edit form: those of the columns, then the screen's own; nothing is left out."""
    groups = [
        {"label": gettext(label) if label else None, "help": None, "fields": list(names), "more": False}
        for label, names in plan.form
    ]
    view, by_label = plan.view, {g["label"]: g for g in groups}
    order = [gettext(label) for label in view.group_order]
    for label, names in view.extra_groups:
        if (present := by_label.get(gettext(label))) is not None:
            cast("list[str]", present["fields"]).extend(names)
        else:
            groups.append({"label": gettext(label), "help": None, "fields": list(names), "more": False})
    groups.sort(key=lambda g: order.index(g["label"]) if g["label"] in order else len(order))
    helps = {gettext(label): gettext(text) for label, text in view.group_help.items()}
    for g in groups:
        g["help"] = helps.get(cast(str, g["label"]))
    placed = {name for g in groups for name in cast("list[str]", g["fields"])}
    rest = [f.name for f in cast("Iterable[Any]", form) if f.name not in placed]
    if rest:
        groups.append({"label": None, "help": None, "fields": rest, "more": False})
    return groups


def carried(form: Form) -> dict[str, Any]:
    """The form's values as hidden inputs, for a confirmation between."""
    hidden: dict[str, Any] = {}
    for field in cast("Iterable[Any]", form):
        if field.type in ("MultipleFileField", "FileField"):
            continue
        if isinstance(field, BooleanField):
            if field.data:
                hidden[field.name] = "y"
        elif isinstance(field, LookupField):
            hidden[field.name] = [str(i) for i in field.ids]
        elif isinstance(field.data, list):
            hidden[field.name] = [str(v) for v in field.data]
        elif field.data is not None:
            hidden[field.name] = field._value() if hasattr(field, "_value") else str(field.data)
    return hidden


# ---- the card ------------------------------------------------------------------------------------------------------


def record_of(view: AppView, obj: Any) -> dict[str, Any]:
    responsible = view.responsible(obj)
    title = view.title(obj)
    return {
        "title": title,
        "initials": initials(title),
        "hue": view.hue(obj) or hue_of(title),
        "badge": view.badge(obj),
        "facts": view.facts(obj),
        "tags": view.tags(obj),
        "responsible": {"name": responsible, "initials": initials(responsible), "hue": hue_of(responsible)}
        if responsible
        else None,
    }


def card_buttons(plan: Plan, obj: Any) -> list[dict[str, Any]]:
    view = plan.view
    pk = view.pk_of(obj)
    shown = [_button(b, view.identity, pk) for b in plan.buttons["card"] if b.shown is None or b.shown(obj)]
    if plan.may_edit:
        edit = {
            "label": gettext("Edit"),
            "icon": "pencil",
            "url": f"/admin/{view.identity}/edit/{pk}",
            "primary": False,
            "danger": False,
            "more": False,
        }
        shown.insert(0, edit)
    return sorted(shown, key=lambda b: b["primary"])


def related_condition(view: AppView, other: AppView, related: Related, obj: Any) -> ColumnElement[bool] | None:
    """Which rows of the other screen belong to this record."""
    if related.of is not None:
        return related.of(obj)
    for column in other.mapper.local_table.c:
        if any(k.column.table is view.mapper.local_table for k in column.foreign_keys):
            condition: ColumnElement[bool] = (
                getattr(other.model, other.mapper.get_property_by_column(column).key) == obj.id
            )
            return condition
    return other.of_customers((obj.id,)) if view.identity == "customer" else None


def embedded(plan: Plan, page: Page, url: str, fixed: str) -> dict[str, Any]:
    """A list inside a card: the same screen, without boxes."""
    columns: list[dict[str, Any]] = [
        {"label": c.label, "css": c.css, "sort_url": None, "sorted": None} for c in plan.columns
    ]
    view = plan.view
    return {
        "identity": view.identity,
        "rows": page.rows,
        "table": table_of(plan, page.rows, columns),
        "page": pager(url, page, fixed) if page.rows else None,
        "totals": [],
        "empty": {"icon": view.icon, "line": gettext("Nothing here yet"), "action_label": None, "action_url": None},
    }
