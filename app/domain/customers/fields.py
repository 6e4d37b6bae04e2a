"""What may be entered for a customer, what is refused, and what is only doubtful."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import fold
from app.domain import checks, custom
from app.i18n import gettext
from app.models.customers import Customer, CustomerKind

_of = Customer.__table__.c
FIELDS: dict[str, checks.Check] = {
    "name": checks.line(_of.name, required=True),
    "kind": checks.one_of(CustomerKind),
    "contact_person": checks.line(_of.contact_person),
    "email": checks.email,
    "phone": checks.line(_of.phone),
    "address": checks.area(_of.address),
    "country": checks.country,
    "language": checks.language,
    "timezone": checks.timezone,
    "legal_name": checks.line(_of.legal_name),
    "vat_number": checks.line(_of.vat_number),
    "registration_number": checks.line(_of.registration_number),
    "director": checks.line(_of.director),
    "project_id": checks.required_row_id,
    "attitude_id": checks.row_id,
    "responsible_id": checks.row_id,
    "note": checks.area(_of.note),
    "registered_at": checks.required_moment,
    "registration_ip": checks.ip,
    "came_from": checks.line(_of.came_from),
    "terms_accepted_at": checks.moment,
    "verified_phone": checks.line(_of.verified_phone),
    "phone_verified_at": checks.moment,
    "phone_verified_by": checks.line(_of.phone_verified_by),
    "custom": checks.mapping,
}
"""What may be entered for a customer, and its shape. The status has verbs of its own."""


class CustomerFields(TypedDict, total=False):
    """The fields of FIELDS that `register_customer` takes by name besides project and e-mail."""

    name: str
    kind: CustomerKind | str
    contact_person: str
    phone: str
    address: str
    country: str
    language: str
    timezone: str
    legal_name: str
    vat_number: str
    registration_number: str
    director: str
    attitude_id: int | None
    responsible_id: int | None
    note: str
    registered_at: datetime
    registration_ip: str | None
    came_from: str
    terms_accepted_at: datetime | None
    verified_phone: str
    phone_verified_at: datetime | None
    phone_verified_by: str
    custom: dict[str, Any]


def cleaned(
    values: Mapping[str, Any], before: Customer | None = None, *, custom_of: custom.Asked = custom.STAFF
) -> dict[str, Any]:
    """The values in the shape in which they are kept. before: the customer that they change. custom_of: who fills in
    the custom fields; `custom` names those that change and comes out whole.

    Raises Invalid with every bad field. A VAT number is checked when it, the type or the country changes, so that an
    old number from an import does not stand in the way of a new phone number.
    """
    result = checks.clean(values, FIELDS)

    def now(field: str) -> Any:
        return result.get(field, getattr(before, field) if before else "")

    for field in ("phone", "verified_phone"):
        if result.get(field):
            result[field] = checks.phone(result[field], now("country"))[: checks.limit(_of[field])]
    touched = checks.differs(result, before, "vat_number", "kind", "country")
    if touched and now("vat_number") and now("kind") in (CustomerKind.COMPANY, CustomerKind.SOLE_PROPRIETOR):
        result["vat_number"] = checks.at("vat_number", checks.vat_number, now("vat_number"), now("country"))
    if "custom" in result or before is None:
        result["custom"] = custom.clean(
            Customer, result.get("custom", {}), asked=custom_of, account=now("kind") or CustomerKind.INDIVIDUAL,
            before=before.custom if before else None, country=now("country"),
        )  # fmt: skip
    return result


def doubts(values: Mapping[str, Any]) -> dict[str, str]:
    """Field -> what staff should look at again; nothing here refuses the values."""
    found = {}
    for field in ("phone", "verified_phone"):
        if (phone := values.get(field)) and not checks.readable_phone(phone, values.get("country") or ""):
            found[field] = gettext("Nobody can dial this number as it stands. It is kept as you typed it.")
    return found


@dataclass(frozen=True)
class Duplicate:
    """Another customer with the same `field` (email, phone, vat_number)."""

    field: str
    customer_id: int
    name: str


_FILL = " -()+./"
"""What people put between the digits of a phone number."""


async def duplicates(
    session: AsyncSession,
    *,
    email: str = "",
    phone: str = "",
    vat_number: str = "",
    country: str = "",
    project_id: int | None = None,
    except_id: int | None = None,
    most: int = 10,
) -> list[Duplicate]:
    """Customers that share an e-mail, a phone number (by its digits) or a VAT number: a warning, never a refusal.

    project_id: only in this project; None: wherever the acting person may look. country: of the phone number, when
    it has no international prefix. At most `most` per field.
    """  # fmt: skip
    bare: Any = Customer.phone
    for character in _FILL:
        bare = func.replace(bare, character, "")
    numbers = {checks.digits(phone), checks.digits(checks.phone(phone, country))}
    numbers = {n for n in numbers if len(n) >= 5}
    vat = re.sub(r"[\s.\-/]", "", vat_number).upper()
    asked: list[tuple[str, Any]] = []
    if email.strip():
        asked.append(("email", Customer.email_folded == fold(email)))
    if numbers:
        asked.append(("phone", or_(bare.in_(numbers), bare.in_({f"00{n}" for n in numbers}))))
    if vat:
        asked.append(("vat_number", Customer.vat_number.in_({vat_number.strip(), vat, country.upper() + vat})))
    found = []
    for field, condition in asked:
        query = select(Customer.id, Customer.name).where(condition, Customer.merged_into_id.is_(None))
        query = query.order_by(Customer.id).limit(most)
        if except_id is not None:
            query = query.where(Customer.id != except_id)
        if project_id is not None:
            query = query.where(Customer.project_id == project_id)
        found += [Duplicate(field, row.id, row.name) for row in await session.execute(query)]
    return found
