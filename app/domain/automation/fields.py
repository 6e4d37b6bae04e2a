"""Fields of customers that rules watch or set: which there are, what somebody means who types a value, its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.domain import customers
from app.errors import Invalid
from app.i18n import gettext
from app.models.customers import Attitude, Customer
from app.models.staff import Staff

CUSTOM = "custom."
"""A custom field is watched by its key, behind this."""
UNWATCHED = frozenset({"id", "registered_at", "registration_ip", "came_from", "terms_accepted_at", "phone_verified_at"})
SETTABLE = (
    "kind", "country", "language", "timezone", "attitude_id", "responsible_id", "contact_person", "phone", "address",
    "legal_name", "vat_number", "registration_number", "director", "note",
)  # fmt: skip
"""What a rule may set: what can be said of many customers, or emptied."""


@cache
def watched() -> dict[str, str]:
    """Column of a customer -> its label, for those that rules can wait for."""
    columns = Customer.__mapper__.column_attrs
    labels = {a.key: a.columns[0].info.get("label") for a in columns}
    return {key: label for key, label in labels.items() if label and key not in UNWATCHED}


def label(field: str) -> str:
    """What a field is called; its name, when there is none of this name any more."""
    if field.startswith(CUSTOM):
        key = field.removeprefix(CUSTOM)
        known = filters.fields(Customer).get(key) or filters.fields(Customer).get(f"custom_{key}")
        return str(known.label) if known is not None else key
    return str(watched().get(field, field))


def known(field: str) -> bool:
    return field in watched() or (field.startswith(CUSTOM) and len(field) > len(CUSTOM))


def _filter_field(field: str) -> filters.Field | None:
    """The field as filters know it: a relation goes by its name there."""
    of = filters.fields(Customer)
    return next((f for f in of.values() if f.column == field), None)


def choices(field: str) -> list[tuple[str, str]]:
    """(value, label in the reader's language) of a field with a fixed set of values."""
    found = _filter_field(field)
    return found.choices if found is not None and found.kind is filters.Kind.CHOICE else []


async def meant(session: AsyncSession, field: str, typed: str, at: str) -> str:
    """The value as changes hold it, of what somebody has typed: a choice by its label or code, a row by its name.
    Raises Invalid at `at`."""
    typed = typed.strip()
    found = _filter_field(field)
    if not typed or found is None:
        return typed
    if found.kind is filters.Kind.CHOICE:
        for value, shown in found.choices:
            if typed.casefold() in (value.casefold(), shown.casefold()):
                return value
        raise Invalid(**{at: gettext("“%(value)s” is not one of the choices.") % {"value": typed[:60]}})
    if found.kind is filters.Kind.REF and found.target is not None:
        target: Any = found.target
        if typed.isascii() and typed.isdecimal():
            same = target.id == int(typed[:18])
        else:
            same = (target.name if hasattr(target, "name") else target.full_name) == typed
        row = await session.scalar(select(target.id).where(same).limit(1))
        if row is None:
            raise Invalid(**{at: gettext("This choice does not exist, or not any more.")})
        return str(row)
    return typed


def shown(field: str, value: str, names: Mapping[str, Mapping[str, str]]) -> str:
    """A value as changes hold it, in words."""
    found = _filter_field(field)
    if found is None or not value:
        return value
    if found.kind is filters.Kind.CHOICE:
        return dict(found.choices).get(value, value)
    if found.kind is filters.Kind.REF and found.target is not None:
        return names.get(found.target.__tablename__, {}).get(value, f"#{value}")
    return value


def target_of(field: str) -> Any:
    """The model that the values of a field point at; None for most."""
    found = _filter_field(field)
    return found.target if found is not None and found.kind is filters.Kind.REF else None


def plain(value: Any) -> str:
    """A value of a change as text."""
    if value is None or value is False:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "yes" if value is True else str(value)


def before_and_after(changes: Mapping[str, Any], field: str) -> tuple[str, str] | None:
    """What a change of a customer says of a field; None: it did not change."""
    name, _dot, key = field.partition(".")
    pair = changes.get(name)
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    was, now = pair
    if key:
        was, now = ((side or {}).get(key) if isinstance(side, dict | None) else None for side in (was, now))
    was, now = plain(was), plain(now)
    return (was, now) if was != now else None


async def checked_value(session: AsyncSession, field: str, value: Any, at: str) -> Any:
    """A value that a rule may give to this field. Raises Invalid at `at`."""
    if field.startswith(CUSTOM):
        return value
    try:
        if field not in SETTABLE:
            raise Invalid(gettext("Choose one from the list."))
        clean = customers.FIELDS[field](value)
    except (Invalid, ValueError) as problem:
        raise Invalid(**{at: str(problem)}) from None
    if field in ("attitude_id", "responsible_id") and clean is not None:
        target: Any = Attitude if field == "attitude_id" else Staff
        if await session.scalar(select(target.id).where(target.id == clean)) is None:
            raise Invalid(**{at: gettext("This choice does not exist, or not any more.")})
    return clean.value if hasattr(clean, "value") else clean


def settable() -> Iterator[tuple[str, str]]:
    labels = watched()
    return ((name, labels[name]) for name in SETTABLE)
