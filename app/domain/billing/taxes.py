"""Taxes: which rate counts for a payer on a day, and how an amount is parted into net and tax."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from app.domain import checks
from app.domain.checks import in_eu
from app.errors import Invalid
from app.i18n import gettext
from app.models.billing import Payer, PayerKind, TaxRate
from app.models.customers import Customer, CustomerKind
from app.models.projects import Project

WHOLE = 10_000
"""A hundred per cent, in the unit of rates."""


class Tax(NamedTuple):
    """rate in hundredths of a per cent; reverse_charge: the payer owes the tax, and none is asked for."""

    rate: int
    name: str
    reverse_charge: bool = False


NONE = Tax(0, "")


def split(amount: int, rate: int, with_tax: bool) -> tuple[int, int]:
    """An amount in minor units as (net, tax). with_tax: it holds the tax; else the tax comes on top.

    Half a unit is rounded away from zero, and net + tax is the whole amount where it held the tax.
    """
    if with_tax:
        net = _rounded(amount * WHOLE, WHOLE + rate)
        return net, amount - net
    return amount, _rounded(amount * rate, WHOLE)


def _rounded(over: int, under: int) -> int:
    result = (2 * abs(over) + under) // (2 * under)
    return result if over >= 0 else -result


def payer_place(customer: Customer, payer: Payer | None) -> tuple[str, PayerKind]:
    """The country and type that decide: those of the payer, or of the customer where there is none."""
    if payer is not None:
        return payer.country or customer.country, payer.kind
    company = customer.kind is CustomerKind.COMPANY
    return customer.country, PayerKind.COMPANY if company else PayerKind.INDIVIDUAL


def member_of_eu(country: str) -> bool:
    """Whether goods and services within the Union's VAT go there. Northern Ireland has numbers of it, but no services
    of it."""
    return country != "XI" and in_eu(country)


def is_eu_number(number: str, country: str) -> bool:
    """Whether it is a VAT number of the Union with right check digits, of this country."""
    prefix = "EL" if country == "GR" else country
    text = number.replace(" ", "").upper()
    try:
        return text.startswith(prefix) and bool(vat.validate(text))
    except ValidationError:
        return False


def reverse_charged(project: Project, payer: Payer | None) -> bool:
    """A business with a valid VAT number in another country of the Union than the project owes the tax itself."""
    if payer is None or payer.kind is PayerKind.INDIVIDUAL or payer.country == project.country:
        return False
    both = member_of_eu(project.country) and member_of_eu(payer.country)
    return both and is_eu_number(payer.vat_number, payer.country)


async def tax_for(
    session: AsyncSession, *, project: Project, customer: Customer, payer: Payer | None, day: date
) -> Tax:
    """The tax for what this customer is sold on a day: the narrowest rate that is valid then.

    A rate of the project is narrower than one for all, then one of the country, then one of the payer's type; of two
    equal ones the later `valid_from` counts. No rate: no tax.
    """
    country, kind = payer_place(customer, payer)
    rows = await session.scalars(
        select(TaxRate).where(
            or_(TaxRate.project_id == project.id, TaxRate.project_id.is_(None)),
            or_(TaxRate.country == country, TaxRate.country == ""),
            or_(TaxRate.payer_kind == kind, TaxRate.payer_kind.is_(None)),
            or_(TaxRate.valid_from.is_(None), TaxRate.valid_from <= day),
        )
    )
    found = max(rows, key=_narrowness, default=None)
    if reverse_charged(project, payer):
        return Tax(0, found.name if found is not None else "", True)
    return Tax(found.rate, found.name) if found is not None else NONE


async def changes(session: AsyncSession) -> list[date]:
    """The days from which another rate may count."""
    days = select(TaxRate.valid_from).where(TaxRate.valid_from.is_not(None)).distinct().order_by(TaxRate.valid_from)
    return [day for day in await session.scalars(days) if day is not None]


def _narrowness(rate: TaxRate) -> tuple[bool, bool, bool, date, int]:
    return (
        rate.project_id is not None, rate.country != "", rate.payer_kind is not None, rate.valid_from or date.min,
        rate.id,
    )  # fmt: skip


_of = TaxRate.__table__.c
FIELDS: dict[str, checks.Check] = {
    "name": checks.line(_of.name, required=True),
    "project_id": checks.row_id,
    "country": checks.country,
    "payer_kind": lambda value: checks.one_of(PayerKind)(value) if value else None,
    "rate": checks.whole(_of.rate, least=0),
    "valid_from": checks.day,
}


async def save_tax_rate(session: AsyncSession, *, values: Mapping[str, Any], rate: TaxRate | None = None) -> TaxRate:
    """Make a rate, or change one: what was counted with it stays as it was. Raises Invalid with every bad field."""
    checks.refuse_for_all(rate, values)
    wanted = checks.clean(values, FIELDS)
    if wanted.get("rate", 0) > WHOLE:
        raise Invalid(rate=gettext("At most a hundred per cent, please."))
    await checks.known(session, "project_id", Project, wanted.get("project_id"))
    if rate is None:
        rate = TaxRate(**wanted)
        session.add(rate)
    else:
        checks.change(rate, wanted)
    place = ("project_id", "country", "payer_kind", "valid_from")
    same = [getattr(TaxRate, name).is_not_distinct_from(getattr(rate, name)) for name in place]
    with session.no_autoflush:
        other = await session.scalar(select(TaxRate.name).where(*same, TaxRate.id != (rate.id or 0)).limit(1))
    if other is not None:
        said = gettext("The rate %(name)s is for the same payers from the same day.")
        raise Invalid(valid_from=said % {"name": other})
    await session.flush()
    return rate
