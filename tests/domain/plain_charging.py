"""Charging as slowly and plainly as it can be said: what the quick ways are compared with."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import billing, discounts, ledger
from app.domain.billing import taxes
from app.errors import Conflict
from app.models.billing import Expense, Payer
from app.models.catalog import Period, Product, Service, ServiceStatus
from app.models.customers import Customer
from app.models.ledger import Account
from app.models.projects import Project

MONTHS = {Period.MONTH: 1, Period.QUARTER: 3, Period.HALF_YEAR: 6, Period.YEAR: 12}


def after(begins: date, service: Service) -> date | None:
    if service.period is Period.ONCE:
        return None
    wanted = service.charge_day or begins.day
    year, month = begins.year, begins.month
    for _month in range(MONTHS[service.period]):
        month += 1
        if month == 13:
            year, month = year + 1, 1
    return date(year, month, min(wanted, monthrange(year, month)[1]))


async def charge_all(session: AsyncSession, day: date) -> None:
    """Every customer's due services, one period after the other, the earliest first."""
    for customer in (await session.scalars(select(Customer).order_by(Customer.id))).all():
        given_up: set[int] = set()
        paid: set[int] = set()
        while (service := await _next(session, customer.id, day, given_up)) is not None:
            await _one(session, customer, service, day, given_up, paid)
            await session.flush()


async def _next(session: AsyncSession, customer_id: int, day: date, given_up: set[int]) -> Service | None:
    rows = await session.scalars(select(Service).where(Service.customer_id == customer_id))
    waiting = [
        s for s in rows
        if s.next_charge_on is not None and s.next_charge_on <= day and s.id not in given_up
        and (s.status is ServiceStatus.ACTIVE or (s.status is ServiceStatus.SUSPENDED and s.unpaid_since is not None))
    ]  # fmt: skip
    return min(waiting, key=lambda s: (s.next_charge_on, s.id), default=None)


async def _one(
    session: AsyncSession, customer: Customer, service: Service, day: date, given_up: set[int], paid: set[int]
) -> None:
    begins = service.next_charge_on
    assert begins is not None
    first = service.started_on == begins
    if not service.auto_renew and service.period is not Period.ONCE and not first:
        service.status, service.next_charge_on = ServiceStatus.CLOSED, None
        return
    project = (await session.scalars(select(Project).where(Project.id == customer.project_id))).one()
    product = (await session.scalars(select(Product).where(Product.id == service.product_id))).one()
    account = await ledger.account_of(session, customer=customer, currency=service.currency)
    until = after(begins, service)
    there = select(Expense.id).where(Expense.service_id == service.id, Expense.period_from == begins)
    won = await discounts.find(
        session, customer_id=customer.id, product=product, period=service.period, price=service.price,
        currency=service.currency, day=begins,
    )  # fmt: skip
    payer = await session.scalar(select(Payer).where(Payer.id == account.payer_id)) if account.payer_id else None
    tax = await taxes.tax_for(session, project=project, customer=customer, payer=payer, day=begins)
    price = service.price - won.amount_off + (service.setup_fee if first else 0)
    net, added = taxes.split(price, tax.rate, project.prices_with_tax)
    if await session.scalar(there) is None and net + added:
        said = f"{product.name}, {service.name}" + (", with the set-up fee" if first and service.setup_fee else "")
        try:
            await billing.charge(
                session, account_id=account.id, key=f"service:{service.id}:{begins}", description=said, net=net,
                tax=added, tax_rate=tax.rate, on_day=day, service_id=service.id, period_from=begins, period_to=until,
                discount=won.amount_off, discount_id=won.discount_id, explained=won.explained,
            )  # fmt: skip
        except Conflict:
            given_up.add(service.id)
            service.unpaid_since = day if service.id in paid else service.unpaid_since or day
            if service.status is ServiceStatus.ACTIVE and day - service.unpaid_since >= timedelta(project.grace_days):
                service.status = ServiceStatus.SUSPENDED
            return
    elif await session.scalar(there) is None:
        session.add(
            Expense(
                on_day=day, customer_id=customer.id, account_id=account.id, service_id=service.id, amount=0, net=0,
                tax_rate=tax.rate, description=f"{product.name}, {service.name}", period_from=begins, period_to=until,
                currency=service.currency, discount=won.amount_off, discount_id=won.discount_id,
                explained=won.explained,
            )
        )  # fmt: skip
    paid.add(service.id)
    service.next_charge_on = until
    over = until is None or until > day
    if over or service.status is ServiceStatus.ACTIVE:  # a suspended one waits until all is paid
        service.status, service.unpaid_since = ServiceStatus.ACTIVE, None


async def standing(session: AsyncSession) -> dict[str, Any]:
    """What charging leaves behind, in an order that does not depend on how it was done."""
    services = await session.execute(
        select(Service.id, Service.status, Service.next_charge_on, Service.unpaid_since).order_by(Service.id)
    )
    expenses = await session.execute(
        select(
            Expense.service_id, Expense.period_from, Expense.period_to, Expense.amount, Expense.net, Expense.tax,
            Expense.tax_rate, Expense.discount, Expense.discount_id, Expense.explained, Expense.covered_by,
            Expense.description, Expense.on_day, Expense.currency,
        ).order_by(Expense.service_id, Expense.period_from)
    )  # fmt: skip
    accounts = await session.execute(
        select(Account.customer_id, Account.currency, Account.balance)
        .where(Account.customer_id.is_not(None), Account.balance != 0)
        .order_by(Account.customer_id, Account.currency)
    )
    return {
        "services": [tuple(r) for r in services], "expenses": [tuple(r) for r in expenses],
        "accounts": [tuple(r) for r in accounts],
    }  # fmt: skip
