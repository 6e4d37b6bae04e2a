"""What the demo sells, with its discounts; and what its customers were charged over the last months."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import charging, ledger
from app.domain.catalog import MONTHS
from app.domain.catalog.periods import later
from app.models.billing import Expense
from app.models.catalog import Period, Product, ProductPrice, Service, ServiceStatus
from app.models.customers import Customer, CustomerKind, Group
from app.models.discounts import Discount, DiscountScope, DiscountTarget
from app.models.ledger import Account
from app.models.projects import Project

BACK = 2
"""Months of charges."""
STEP = timedelta(days=10)
CREDIT = 30_000


def yearly(product: Product) -> list[ProductPrice]:
    """What is paid by the month can be paid by the year, at ten months' price."""
    if product.period is not Period.MONTH:
        return []
    return [ProductPrice(period=Period.YEAR, currency=product.currency, price=10 * product.price, setup_fee=0)]


def make_discounts(groups: Mapping[str, Group], projects: Mapping[str, Project]) -> list[Discount]:
    return [
        Discount(
            name="Long-term customers", target=DiscountTarget.GROUP, group_id=groups["Long-term"].id, percent=1000
        ),
        Discount(
            name="Mirador in Spain", scope=DiscountScope.PROJECT, project_id=projects["Mirador"].id, percent=500,
            condition={"field": "country", "op": "in", "value": ["ES"]},
        ),
    ]  # fmt: skip


async def make_charges(session: AsyncSession, now: datetime, customers: Iterable[Customer]) -> list[Any]:
    """Charge the running services of these customers for the last months, by the verb of the daily task. Companies pay
    afterwards, all others have some credit. Returns the expenses, and the accounts that were opened for them."""
    kept = {c.id: c for c in customers}
    rows = await session.scalars(
        select(Service).where(
            Service.customer_id.in_(kept), Service.status == ServiceStatus.ACTIVE, Service.next_charge_on.is_not(None)
        )
    )
    known = set(await session.scalars(select(Account.id).where(Account.customer_id.in_(kept))))
    charged = set(await session.scalars(select(Expense.id).where(Expense.customer_id.in_(kept))))
    first: date | None = None
    for service in rows:
        customer, due = kept[service.customer_id], service.next_charge_on
        months = MONTHS.get(service.period)
        if due is None or months is None:
            continue
        service.charge_day = due.day
        while months <= BACK and due > (now - timedelta(days=30 * BACK)).date() and due > service.created_at.date():
            due = later(due, -months, service.charge_day)
        service.next_charge_on = max(due, service.created_at.date())
        first = min(first or service.next_charge_on, service.next_charge_on)
        account = await ledger.account_of(session, customer=customer, currency=service.currency)
        account.post_paid = customer.kind is CustomerKind.COMPANY
        account.credit_limit = CREDIT * (100 if service.currency == "RUB" else 1)
    await session.flush()
    last = await session.scalar(select(func.max(Customer.id))) or 0
    day = first or now.date()
    while day < now.date():
        day = min(day + STEP, now.date())
        await charging.charge_chunk(session, day=day, customers=(min(kept, default=1) - 1, last))
    opened = select(Account).where(Account.customer_id.in_(kept), Account.id.not_in(known))
    made = select(Expense).where(Expense.customer_id.in_(kept), Expense.id.not_in(charged))
    return [*await session.scalars(opened), *await session.scalars(made)]
