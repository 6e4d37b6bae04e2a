"""From a screen and its rows to the contexts of the templates form.html and card.html."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, Form

from admin_views.base.fields import LookupField
from admin_views.base.frame import hue_of
from admin_views.base.listing import Page
from admin_views.base.lists import button_of, pager, table_of
from admin_views.base.plan import Plan
from admin_views.base.screen import AppView, Related
from app.db import Base
from app.errors import Invalid
from app.i18n import gettext
from app.render import initials

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
    shown = [button_of(b, view.identity, pk) for b in plan.buttons["card"] if b.shown is None or b.shown(obj)]
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
        {"key": c.key, "label": c.label, "css": c.css, "sort_url": None, "sorted": None} for c in plan.columns
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
