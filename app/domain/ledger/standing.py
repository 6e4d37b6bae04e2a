"""How an account stands: turnover, the last payment, what is unpaid, and how long the money lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.ledger.statement import EXPENSE, INCOME
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus
from app.models.ledger import Account, Entry, Transaction, TransactionKind

TURNOVER_DAYS = 365


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


async def standing(session: AsyncSession, account: Account, *, day: date | None = None) -> Standing:
    """How a customer's account stands; day: from which on is foreseen when the money runs out, else today."""
    from app.domain.charging import outlook  # charging stands on the ledger, and knows what will be charged

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
    coming = await outlook(session, account, day=day)
    return Standing(
        account.balance + account.credit_limit, int(moved[0]), int(moved[1]), paid[0] if paid else None,
        paid[1] if paid else None, int(unpaid), invoices, coming.runs_out, coming.charged,
    )  # fmt: skip
