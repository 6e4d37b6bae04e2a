"""Fields of customers that rules watch or set: which there are, what somebody means who types a value, its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.domain import custom, customers
from app.domain.checks import Bad
from app.errors import Invalid
from app.i18n import gettext
from app.models.custom import CustomKind
from app.models.customers import Attitude, Customer
from app.models.staff import Staff

CUSTOM = "custom."
"""A custom field is watched by its key, behind this."""
YES = "yes"
UNWATCHED = frozenset({"id", "registered_at", "registration_ip", "came_from", "terms_accepted_at", "phone_verified_at"})
SETTABLE = (
    "kind", "country", "language", "timezone", "attitude_id", "responsible_id", "contact_person", "phone", "address",
    "legal_name", "vat_number", "registration_number", "director", "note",
)  # fmt: skip
"""What a rule may set: what can be said of many customers, or emptied."""


def watched() -> dict[str, str]:
    """Field of a customer -> its label, for those that rules can wait for."""
    return _columns() | {CUSTOM + spec.key: spec.label for spec in custom.fields(Customer)}


@cache
def _columns() -> dict[str, str]:
    columns = Customer.__mapper__.column_attrs
    labels = {a.key: a.columns[0].info.get("label") for a in columns}
    return {key: label for key, label in labels.items() if label and key not in UNWATCHED}


def label(field: str) -> str:
    """What a field is called; its name, when there is none of this name any more."""
    if field.startswith(CUSTOM):
        key = field.removeprefix(CUSTOM)
        spec = custom.known(Customer, key)
        return str(spec.label) if spec is not None else key
    return str(_columns().get(field, field))


def known(field: str) -> bool:
    return field in _columns() or _spec(field) is not None


def _spec(field: str) -> custom.Spec | None:
    """The custom field of this name."""
    return custom.by_key(Customer).get(field.removeprefix(CUSTOM)) if field.startswith(CUSTOM) else None


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
    if (spec := _spec(field)) is not None:
        try:
            return plain(custom.read(spec, typed))
        except Bad as bad:
            raise Invalid(**{at: str(bad)}) from None
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
    if value and (spec := _spec(field)) is not None:
        if spec.digits or spec.currency:
            return custom.say(spec, int(value)) if value.removeprefix("-").isdecimal() else value
        if spec.kind is CustomKind.YES_NO:
            return gettext("yes")
        option = spec.option(value)
        return str(option.label) if option is not None else value
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
    return YES if value is True else str(value)


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
        return _checked_custom(field, value, at)
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


def _checked_custom(field: str, value: Any, at: str) -> Any:
    """The value as it is kept. A text is what somebody has typed."""
    spec = _spec(field)
    try:
        if spec is None:
            raise Bad(gettext("There is no such field."))
        return custom.check(spec, custom.read(spec, value) if isinstance(value, str) else value)
    except Bad as bad:
        raise Invalid(**{at: str(bad)}) from None


def value_of(customer: Customer, field: str) -> Any:
    if field.startswith(CUSTOM):
        return customer.custom.get(field.removeprefix(CUSTOM))
    return getattr(customer, field)


def typed(field: str, value: Any) -> str:
    """The value of a custom field, as somebody types it."""
    spec = _spec(field)
    return plain(value if spec is None else custom.plain(spec, value))


def settable() -> Iterator[tuple[str, str]]:
    """What rules may set, with its label; the custom fields last."""
    labels = watched()
    return ((name, labels[name]) for name in (*SETTABLE, *(n for n in labels if n.startswith(CUSTOM))))
