"""From a screen and its form to the context of the template form.html."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, Form

from admin_views.base.fields import LookupField
from admin_views.base.plan import Plan
from app.db import model_of
from app.errors import Invalid
from app.i18n import gettext, heading

if TYPE_CHECKING:
    from admin_views.base.screen import AppView


async def resolve_lookups(session: AsyncSession, form: Form, *, check: bool = False) -> bool:
    """Fill in the labels of chosen rows. check: a row outside the scope is an error at the field; False when any is."""
    sound = True
    for field in cast("Iterable[Any]", form):
        if not isinstance(field, LookupField) or not field.ids:
            continue
        model: Any = model_of(field.target)
        found = {o.id: o for o in await session.scalars(select(model).where(model.id.in_(field.ids)))}
        field.chosen = [(i, str(found[i])) for i in field.ids if i in found]
        if check and len(found) < len(field.ids):
            field.errors = [*field.errors, gettext("Choose one from the list.")]
            sound = False
    return sound


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


def called(view: AppView, parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sections of a form or a card under the headings that people have given them."""
    return [{**p, "label": heading(p["label"], view.identity)} if p.get("label") else p for p in parts]


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
