"""How an account stands: turnover, the last payment, what is unpaid, and how long the money lasts."""

from __future__ import annotations

import heapq
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.ledger.statement import EXPENSE, INCOME
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus
from app.models.catalog import Period, Service, ServiceStatus
from app.models.customers import Customer
from app.models.ledger import Account, Entry, Transaction, TransactionKind

TURNOVER_DAYS = 365
AHEAD = timedelta(days=5 * 365)
"""Further ahead nobody asks."""
MOST_SERVICES = 2000
MONTHS = {Period.MONTH: 1, Period.QUARTER: 3, Period.HALF_YEAR: 6, Period.YEAR: 12}


@dataclass(frozen=True)
class Standing:
    """`income` and `expenses` are those of the last `TURNOVER_DAYS` days. `runs_out`: the day of the first charge that
    neither balance nor credit will cover; None: not within the next years."""

    available: int
    income: int
    expenses: int
    last_payment: int | None
    last_payment_at: datetime | None
    unpaid: int
    unpaid_invoices: int
    runs_out: date | None
    charged: bool
    """Whether anything is charged to this account by itself."""

    @property
    def days_left(self) -> int | None:
        return None if self.runs_out is None else max(0, (self.runs_out - utcnow().date()).days)


async def standing(session: AsyncSession, account: Account) -> Standing:
    """How a customer's account stands today."""
    moved = (
        await session.execute(
            select(
                func.coalesce(func.sum(Entry.amount).filter(Transaction.kind.in_(INCOME)), 0),
                func.coalesce(func.sum(-Entry.amount).filter(Transaction.kind.in_(EXPENSE)), 0),
            )
            .select_from(Entry)
            .join(Transaction, Transaction.id == Entry.transaction_id)
            .where(Entry.account_id == account.id, Entry.at >= utcnow() - timedelta(days=TURNOVER_DAYS))
        )
    ).one()
    paid = (
        await session.execute(
            select(Entry.amount, Entry.at)
            .select_from(Entry)
            .join(Transaction, Transaction.id == Entry.transaction_id)
            .where(Entry.account_id == account.id, Transaction.kind == TransactionKind.PAYMENT, Entry.amount > 0)
            .order_by(Entry.at.desc(), Entry.id.desc())
            .limit(1)
        )
    ).one_or_none()
    unpaid, invoices = (
        await session.execute(
            select(func.coalesce(func.sum(Invoice.total - Invoice.paid - Invoice.credited), 0), func.count()).where(
                Invoice.account_id == account.id, Invoice.kind == InvoiceKind.INVOICE,
                Invoice.status.in_((InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE)),
            )
        )
    ).one()  # fmt: skip
    services = await _services(session, account)
    last = None if account.post_paid else runs_out(account.balance + account.credit_limit, services, utcnow().date())
    return Standing(
        account.balance + account.credit_limit, int(moved[0]), int(moved[1]), paid[0] if paid else None,
        paid[1] if paid else None, int(unpaid), invoices, last, bool(services),
    )  # fmt: skip


async def _services(session: AsyncSession, account: Account) -> list[tuple[date, int, int, Period]]:
    """(next charge, day of the month, price, period) of what is charged to this account."""
    home = select(Customer.project_id).where(Customer.id == account.customer_id)
    if await session.scalar(home) != account.project_id:
        return []  # services are charged to the account in the customer's own project
    rows = await session.execute(
        select(Service.next_charge_on, Service.charge_day, Service.price, Service.period)
        .where(
            Service.customer_id == account.customer_id, Service.status == ServiceStatus.ACTIVE,
            Service.currency == account.currency, Service.next_charge_on.is_not(None), Service.price > 0,
            Service.auto_renew,
        )
        .limit(MOST_SERVICES)
    )  # fmt: skip
    return [(day, anchor or day.day, price, period) for day, anchor, price, period in rows if day is not None]


def runs_out(funds: int, services: list[tuple[date, int, int, Period]], today: date) -> date | None:
    """The first day on which a charge is not covered by `funds`; None when that lies too far ahead."""
    due = [(max(day, today), day, anchor, price, period) for day, anchor, price, period in services]
    heapq.heapify(due)
    while due and due[0][0] <= today + AHEAD:
        charged_on, day, anchor, price, period = heapq.heappop(due)
        funds -= price
        if funds < 0:
            return charged_on
        if period in MONTHS:
            following = _later(day, anchor, MONTHS[period])
            heapq.heappush(due, (max(following, today), following, anchor, price, period))
    return None


def _later(day: date, anchor: int, months: int) -> date:
    """The same day of the month so many months later, or the last one that it has."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(anchor, monthrange(year, month + 1)[1]))
