"""What will be charged, and until when the money lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import date, timedelta
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import discounts
from app.domain.catalog.periods import next_period
from app.domain.charging.costs import Taxes, cost, ends, is_first
from app.domain.discounts import Case
from app.models.billing import Payer
from app.models.catalog import Product, Service, ServiceStatus
from app.models.customers import Customer
from app.models.ledger import Account
from app.models.projects import Project

HORIZON = 400
"""Days that a list of what is coming looks ahead: a yearly period is in it."""
FAR = timedelta(days=5 * 365)
"""Further ahead nobody asks whether the money lasts."""
MOST_CHARGES = 5000
"""Nor for longer than so many charges."""
MOST = 200
"""Services that it looks at; whoever has more gets a forecast of those that come first."""


class Coming(NamedTuple):
    """A charge to come: what it will be, in minor units of the account's currency."""

    day: date
    service_id: int
    name: str
    amount: int


async def coming(
    session: AsyncSession, account: Account, *, day: date | None = None, days: int = HORIZON
) -> list[Coming]:
    """The charges of the next days from `day` on (today), in order, with discounts and tax as they stand now."""
    day = day or utcnow().date()
    return [c async for c in _charges(session, account, day, day + timedelta(days=days))]


class Outlook(NamedTuple):
    """charged: whether anything is charged to the account by itself. runs_out: the first day on which a charge is
    covered by neither balance nor credit; None: as far as one can see, or the account pays afterwards."""

    charged: bool
    runs_out: date | None


async def outlook(session: AsyncSession, account: Account, *, day: date | None = None) -> Outlook:
    """Until when the money lasts: the one answer, for the account's page and for invoices before funds run out."""
    day, left, seen = day or utcnow().date(), account.balance + account.credit_limit, 0
    async for charge in _charges(session, account, day, day + FAR):
        left, seen = left - charge.amount, seen + 1
        if account.post_paid or left < 0 or seen == MOST_CHARGES:
            lasts = account.post_paid or left >= 0
            return Outlook(True, None if lasts else max(charge.day, day))
    return Outlook(seen > 0, None)


def runs_out(account: Account, charges: Iterable[Coming]) -> date | None:
    """The first day on which one of these charges, in order, is covered by neither balance nor credit (`outlook`)."""
    left = account.balance + account.credit_limit
    for charge in charges:
        left -= charge.amount
        if left < 0 and not account.post_paid:
            return charge.day
    return None


async def days_left(session: AsyncSession, account: Account, *, day: date | None = None) -> int | None:
    """Days until the funds run out (`outlook`), 0: a charge is due already; None: for as long as one can see."""
    day = day or utcnow().date()
    last = (await outlook(session, account, day=day)).runs_out
    return None if last is None else (last - day).days


async def _charges(session: AsyncSession, account: Account, day: date, last: date) -> AsyncIterator[Coming]:
    if account.customer_id is None:
        return
    customer = (await session.scalars(select(Customer).where(Customer.id == account.customer_id))).one()
    project = (await session.scalars(select(Project).where(Project.id == account.project_id))).one()
    if account.project_id != customer.project_id:  # services are paid from the account in the customer's own project
        return
    rows = await session.execute(
        select(Service, Product.group_id)
        .join(Product, Product.id == Service.product_id)
        .where(
            Service.customer_id == customer.id, Service.currency == account.currency,
            Service.status == ServiceStatus.ACTIVE, Service.next_charge_on <= last,
        )
        .order_by(Service.next_charge_on, Service.id)
        .limit(MOST)
    )  # fmt: skip
    queue = [(s.next_charge_on, s.id, s, group) for s, group in rows if s.next_charge_on is not None]
    if not queue:
        return
    heapify(queue)
    named = {account.payer_id, *(s.payer_id for _day, _id, s, _group in queue)} - {None}
    payers = {p.id: p for p in await session.scalars(select(Payer).where(Payer.id.in_(named)))} if named else {}
    made, taxes = await discounts.rules(session, customers=Customer.id == customer.id), Taxes(session)
    while queue:
        begins, _id, service, group = heappop(queue)
        if ends(service.period, service.auto_renew, service.started_on, begins):
            continue
        case = Case(customer.id, project.id, service.product_id, group, service.period, service.price, service.currency)
        payer = payers.get(service.payer_id or account.payer_id or 0)
        rate = await taxes.rate(project, customer, payer, begins)
        setup = service.setup_fee if is_first(service.started_on, begins) else 0
        if gross := cost(made, case, setup, rate, project.prices_with_tax, begins).gross:
            yield Coming(begins, service.id, service.name, gross)
        until = next_period(begins, service.period, service.charge_day)
        if until is not None and until <= last:
            heappush(queue, (until, service.id, service, group))
