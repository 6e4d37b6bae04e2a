"""Another type of account, with the data that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.domain.billing.payers import make_usual, save_payer
from app.domain.customers.fields import FIELDS
from app.domain.customers.saving import change_customer
from app.errors import Invalid
from app.i18n import gettext
from app.models.billing import Payer, PayerKind
from app.models.customers import Customer, CustomerKind

NEEDED = {
    CustomerKind.INDIVIDUAL: (),
    CustomerKind.COMPANY: ("legal_name", "registration_number", "director", "country", "address"),
    CustomerKind.SOLE_PROPRIETOR: ("registration_number", "country", "address"),
}
ONLY = {
    "legal_name": (CustomerKind.COMPANY,),
    "director": (CustomerKind.COMPANY,),
    "vat_number": (CustomerKind.COMPANY, CustomerKind.SOLE_PROPRIETOR),
    "registration_number": (CustomerKind.COMPANY, CustomerKind.SOLE_PROPRIETOR),
}
"""Field -> the types that have it; others lose it."""


async def change_kind(
    session: AsyncSession, *, customer: Customer, values: Mapping[str, Any], payer: bool = False
) -> None:
    """values: `kind` and the fields of NEEDED and ONLY. payer: this is whom invoices are made out to from now on; one
    of the same name and type is changed, else one is made. Raises Invalid with every bad field."""
    kind = checks.at("kind", checks.one_of(CustomerKind), values.get("kind"))
    wanted = dict(values) | {field: "" for field, kinds in ONLY.items() if kind not in kinds}
    missing = [field for field in NEEDED[kind] if not str(wanted.get(field) or getattr(customer, field)).strip()]
    missing += [field for field in NEEDED[kind] if field in wanted and not str(wanted[field]).strip()]
    if missing:
        raise Invalid(**{field: gettext("Please fill this in.") for field in missing})
    checks.clean(wanted, FIELDS)
    await change_customer(session, customer=customer, values=wanted)
    if payer:
        await _pays(session, customer)


async def _pays(session: AsyncSession, customer: Customer) -> None:
    kind = PayerKind(customer.kind.value)
    name = customer.legal_name or customer.name
    query = select(Payer).where(Payer.customer_id == customer.id, Payer.kind == kind, Payer.name == name)
    found = await session.scalar(query.order_by(Payer.archived, Payer.id).limit(1))
    values = {
        "customer_id": customer.id, "kind": kind, "name": name, "contact": customer.contact_person,
        "phone": customer.phone, "email": customer.email, "country": customer.country,
        "legal_address": customer.address, "vat_number": customer.vat_number, "director": customer.director,
        "archived": False,
    }  # fmt: skip
    await make_usual(session, payer=await save_payer(session, values=values, payer=found))
