"""Payers: the legal identities that stand on a customer's invoices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks, custom
from app.errors import Conflict, Invalid
from app.i18n import _, gettext, show_number
from app.models.billing import Invoice, Payer, PayerKind, Payment
from app.models.customers import Customer
from app.models.ledger import Account

_of = Payer.__table__.c
FIELDS: dict[str, checks.Check] = {
    "customer_id": checks.required_row_id,
    "kind": checks.one_of(PayerKind),
    "name": checks.line(_of.name, required=True),
    "contact": checks.line(_of.contact),
    "phone": checks.line(_of.phone),
    "email": checks.email,
    "country": checks.country,
    "postal_address": checks.area(_of.postal_address),
    "legal_address": checks.area(_of.legal_address),
    "vat_number": checks.line(_of.vat_number),
    "director": checks.line(_of.director),
    "position": checks.line(_of.position),
    "grounds": checks.line(_of.grounds),
    "usual": checks.yes_no,
    "archived": checks.yes_no,
    "custom": checks.mapping,
}
"""What may be entered for a payer, and its shape."""
MOST_OWN = 100
"""Payers that a customer can have by adding them."""
OF_COMPANY = ("director", "position", "grounds")
"""Fields that only a company has; those of other types stay empty."""


def check_payer(
    values: Mapping[str, Any], before: Payer | None = None, *, custom_of: custom.Asked = custom.STAFF
) -> dict[str, Any]:
    """The values in the shape in which they are kept. before: the payer that they change.

    VAT numbers of companies and sole proprietors are checked by their check digits (python-stdnum) when number, type or
    country changes; EU numbers come out with their country code. Raises Invalid with every bad field.
    """
    result = checks.clean(values, FIELDS)

    def now(field: str) -> Any:
        return result.get(field, getattr(before, field) if before else "")

    if result.get("phone"):
        result["phone"] = checks.phone(result["phone"], now("country"))[: checks.limit(_of.phone)]
    kind = now("kind") or PayerKind.INDIVIDUAL
    touched = checks.differs(result, before, "vat_number", "kind", "country")
    if touched and now("vat_number") and kind is not PayerKind.INDIVIDUAL:
        result["vat_number"] = checks.at("vat_number", checks.vat_number, now("vat_number"), now("country"))
    if kind is not PayerKind.COMPANY:
        result.update({field: "" for field in OF_COMPANY if now(field)})
    if "custom" in result or before is None:
        result["custom"] = custom.clean(
            Payer, result.get("custom", {}), asked=custom_of, account=kind, country=now("country"),
            before=before.custom if before else None,
        )  # fmt: skip
    return result


async def save_payer(
    session: AsyncSession,
    *,
    values: Mapping[str, Any],
    payer: Payer | None = None,
    custom_of: custom.Asked = custom.STAFF,
) -> Payer:
    """Make a payer (needs name and customer_id), or change one. Raises Invalid with every bad field."""
    wanted = check_payer(values, payer, custom_of=custom_of)
    if payer is None:
        if missing := [field for field in ("name", "customer_id") if field not in wanted]:
            raise Invalid(**{field: gettext("Please fill this in.") for field in missing})
        await checks.known(session, "customer_id", Customer, wanted["customer_id"])
        payer = Payer(**{"usual": False, "archived": False} | wanted)
        session.add(payer)
    else:
        if wanted.get("customer_id", payer.customer_id) != payer.customer_id:
            raise Invalid(customer_id=gettext("A payer stays with its customer."))
        checks.change(payer, wanted)
    if payer.archived:
        payer.usual = False
    await session.flush()
    if payer.usual:
        await _others_are_not_usual(session, payer)
    return payer


async def add_own(session: AsyncSession, *, customer_id: int, values: Mapping[str, Any]) -> Payer:
    """A payer that a customer adds. Raises Invalid; Conflict for the same once more, and where there are too many."""
    await session.execute(select(Customer.id).where(Customer.id == customer_id).with_for_update())  # double clicks
    wanted = check_payer(values, custom_of=custom.CUSTOMER)
    same = {field: wanted[field] for field in ("name", "kind", "vat_number") if field in wanted}
    mine = select(func.count()).select_from(Payer).where(Payer.customer_id == customer_id)
    if await session.scalar(mine.filter_by(**same)):
        raise Conflict(gettext("There is such a payer already."))
    if (await session.scalar(mine) or 0) >= MOST_OWN:
        raise Conflict(gettext("There are %(n)d payers already. That is the most.") % {"n": MOST_OWN})
    payer = await save_payer(session, values={**values, "customer_id": customer_id, "usual": False},
                             custom_of=custom.CUSTOMER)  # fmt: skip
    if values.get("usual"):
        await make_usual(session, payer=payer)
    return payer


async def _others_are_not_usual(session: AsyncSession, payer: Payer) -> None:
    """Among a customer's payers at most one is."""
    await session.execute(select(Customer.id).where(Customer.id == payer.customer_id).with_for_update())
    others = select(Payer).where(Payer.customer_id == payer.customer_id, Payer.usual, Payer.id != payer.id)
    for other in await session.scalars(others):
        other.usual = False
    await session.flush()


async def make_usual(session: AsyncSession, *, payer: Payer) -> None:
    """Invoices are made out to it from now on, of every account. Raises Conflict for an archived one."""
    if payer.archived:
        raise Conflict(gettext("This payer is archived. Bring it back first."))
    await save_payer(session, payer=payer, values={"usual": True})
    named = select(Account).where(Account.customer_id == payer.customer_id, Account.payer_id.is_not(None))
    for account in await session.scalars(named):
        account.payer_id = payer.id
    await session.flush()


async def archive(session: AsyncSession, *, payer: Payer) -> None:
    """Offer it no more; its invoices stay as they are."""
    await save_payer(session, payer=payer, values={"archived": True})
    for account in await session.scalars(select(Account).where(Account.payer_id == payer.id)):
        account.payer_id = None
    await session.flush()


async def offered(session: AsyncSession, customer_id: int) -> Sequence[Payer]:
    """The payers that new invoices can be made out to, the usual one first."""
    query = select(Payer).where(Payer.customer_id == customer_id, Payer.archived.is_(False))
    return (await session.scalars(query.order_by(Payer.usual.desc(), Payer.name_folded, Payer.id).limit(200))).all()


async def refusals(session: AsyncSession, payer: Payer) -> list[str]:
    """Why this payer cannot be deleted: what the books need; empty when it can."""
    said = []
    for label, entity in ((_("Payments"), Payment), (_("Invoices"), Invoice)):
        n = await session.scalar(select(func.count()).select_from(entity).where(entity.payer_id == payer.id))
        if n:
            kept = gettext("Booked, and therefore kept: %(noun)s (%(n)s).")
            said.append(kept % {"noun": str(label), "n": show_number(n)})
    return said


async def delete_payer(session: AsyncSession, *, payer: Payer) -> None:
    """Delete a payer. Raises Conflict with the reasons of `refusals`."""
    if reasons := await refusals(session, payer):
        raise Conflict(" ".join(reasons))
    await session.delete(payer)
    await session.flush()
