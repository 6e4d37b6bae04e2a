"""What always holds of money. An invariant is one statement that finds the rows which break it; nothing is repaired."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.i18n import _, gettext
from app.models.billing import (
    Expense,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoicePayment,
    InvoiceStatus,
    Payment,
    PaymentStatus,
)
from app.models.ledger import Account, AccountKind, Entry, LedgerCheck, Transaction

NAMED = 10
"""So many of the rows that break an invariant are named."""


@dataclass(frozen=True)
class Breach:
    """`n` rows break the invariant `what`; `ids` are the first of them."""

    what: str
    n: int
    ids: tuple[int, ...]

    @property
    def text(self) -> str:
        named = ", ".join(f"#{i}" for i in self.ids) + (" …" if self.n > len(self.ids) else "")
        return f"{gettext(LABELS[self.what])}: {named}"


def _sums() -> Select[Any]:
    return (
        select(Entry.transaction_id)
        .join(Account, Account.id == Entry.account_id)
        .group_by(Entry.transaction_id, Account.currency)
        .having(func.sum(Entry.amount) != 0)
    )


def _empty() -> Select[Any]:
    return select(Transaction.id).where(~exists().where(Entry.transaction_id == Transaction.id))


def _balances() -> Select[Any]:
    moved = select(Entry.account_id, func.sum(Entry.amount).label("amount")).group_by(Entry.account_id).subquery()
    theirs = Account.kind == AccountKind.CUSTOMER
    return (
        select(Account.id)
        .outerjoin(moved, moved.c.account_id == Account.id)
        .where(
            or_(and_(theirs, Account.balance != func.coalesce(moved.c.amount, 0)), and_(~theirs, Account.balance != 0))
        )
    )


def _expenses() -> Select[Any]:
    """Net and tax are the total, so much left the account, and no more came back; what cost nothing moved nothing."""
    booked = exists().where(
        Entry.transaction_id == Expense.transaction_id, Entry.account_id == Expense.account_id,
        Entry.amount == -Expense.amount,
    )  # fmt: skip
    free = and_(Expense.amount == 0, Expense.transaction_id.is_(None))
    return select(Expense.id).where(
        or_(
            Expense.net + Expense.tax != Expense.amount,
            and_(~free, ~booked),
            Expense.credited < 0,
            Expense.credited > Expense.amount,
            and_(Expense.amount > 0, (Expense.credited == Expense.amount) != Expense.reversed_by_id.is_not(None)),
        )
    )


def _twice() -> Select[Any]:
    """Periods of a service that overlap, of what was not taken back."""
    before = func.lag(Expense.period_to).over(partition_by=Expense.service_id, order_by=Expense.period_from)
    charged = (
        select(Expense.id, Expense.period_from, before.label("before"))
        .where(Expense.service_id.is_not(None), Expense.period_to.is_not(None), Expense.reversed_by_id.is_(None))
        .subquery()
    )
    return select(charged.c.id).where(charged.c.before > charged.c.period_from)


def _invoices() -> Select[Any]:
    """What is issued has the totals of its lines."""
    lines = (
        select(
            InvoiceLine.invoice_id, func.sum(InvoiceLine.net).label("net"), func.sum(InvoiceLine.tax).label("tax"),
            func.sum(InvoiceLine.total).label("total"),
        )
        .group_by(InvoiceLine.invoice_id)
        .subquery()
    )  # fmt: skip
    return (
        select(Invoice.id)
        .outerjoin(lines, lines.c.invoice_id == Invoice.id)
        .where(
            Invoice.status != InvoiceStatus.DRAFT,
            or_(
                Invoice.net + Invoice.tax != Invoice.total,
                *(getattr(Invoice, key) != func.coalesce(lines.c[key], 0) for key in ("net", "tax", "total")),
            ),
        )
    )


def _covered() -> Select[Any]:
    """What counts as paid was paid: the parts sum up, and PAID means all of it."""
    parts = (
        select(InvoicePayment.invoice_id, func.sum(InvoicePayment.amount).label("amount"))
        .group_by(InvoicePayment.invoice_id)
        .subquery()
    )
    covered = func.coalesce(parts.c.amount, 0)
    return (
        select(Invoice.id)
        .outerjoin(parts, parts.c.invoice_id == Invoice.id)
        .where(
            Invoice.kind == InvoiceKind.INVOICE,
            or_(
                Invoice.paid != covered,
                and_(Invoice.status == InvoiceStatus.PAID, Invoice.paid + Invoice.credited != Invoice.total),
                and_(
                    Invoice.status.in_((InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE)),
                    Invoice.paid + Invoice.credited == Invoice.total, Invoice.total > 0,
                ),
            ),
        )
    )  # fmt: skip


def _proofs() -> Select[Any]:
    """Each part of an invoice that was paid has a transaction that moved at least as much on the invoice's account."""
    moved = exists().where(
        Entry.transaction_id == InvoicePayment.transaction_id, Entry.account_id == Invoice.account_id,
        func.abs(Entry.amount) >= func.abs(InvoicePayment.amount),
    )  # fmt: skip
    return select(Invoice.id).join(InvoicePayment, InvoicePayment.invoice_id == Invoice.id).where(~moved)


def _payments() -> Select[Any]:
    moved = exists().where(
        Entry.transaction_id == Payment.transaction_id, Entry.account_id == Payment.account_id,
        Entry.amount == Payment.account_amount,
    )  # fmt: skip
    return select(Payment.id).where(Payment.status.in_((PaymentStatus.PAID, PaymentStatus.REFUNDED)), ~moved)


def _reversals() -> Select[Any]:
    """A reversal is the opposite of what it reverses."""
    first, other = aliased(Entry), aliased(Entry)
    opposite = exists().where(
        other.transaction_id == Transaction.id, other.account_id == first.account_id, other.amount == -first.amount
    )
    return (
        select(Transaction.id)
        .join(first, first.transaction_id == Transaction.reverses_id)
        .where(~opposite.correlate(Transaction, first))
        .distinct()
    )


INVARIANTS: dict[str, tuple[str, Callable[[], Select[Any]]]] = {
    "sums": (_("Transactions that do not sum to zero"), _sums),
    "empty": (_("Transactions without entries"), _empty),
    "reversals": (_("Reversals that are not the opposite"), _reversals),
    "balances": (_("Accounts whose balance is not the sum of their entries"), _balances),
    "payments": (_("Paid payments that are not booked"), _payments),
    "expenses": (_("Expenses that are not booked as they stand"), _expenses),
    "twice": (_("Expenses of a period that was charged before"), _twice),
    "invoices": (_("Invoices that are not the sum of their lines"), _invoices),
    "covered": (_("Invoices that are paid and not covered, or the other way round"), _covered),
    "proofs": (_("Invoices paid by what never moved"), _proofs),
}
LABELS = {what: label for what, (label, _rows) in INVARIANTS.items()}


async def check(session: AsyncSession) -> list[Breach]:
    """Ask every invariant of everything that there is. Reads only."""
    return [breach for what in INVARIANTS if (breach := await ask(session, what)) is not None]


async def ask(session: AsyncSession, what: str) -> Breach | None:
    """One of them."""
    broken = INVARIANTS[what][1]().subquery()
    query = select(broken.c[0], func.count().over()).order_by(broken.c[0]).limit(NAMED)
    named = (await session.execute(query.execution_options(unscoped=True))).all()
    return Breach(what, named[0][1], tuple(row[0] for row in named)) if named else None


async def keep(
    session: AsyncSession, breaches: list[Breach], *, began: float, months: dict[str, Any] | None = None,
    until_id: int = 0,
) -> None:  # fmt: skip
    """Write the result of a check down, with the figures of the months. began: by `time.monotonic()`."""
    rows = [{"what": b.what, "n": b.n, "ids": list(b.ids)} for b in breaches]
    seconds = int(time.monotonic() - began)
    session.add(LedgerCheck(breaches=rows, seconds=seconds, months=months or {}, until_id=until_id))
    await session.flush()


async def last(session: AsyncSession) -> LedgerCheck | None:
    """The last check that was kept."""
    return await session.scalar(select(LedgerCheck).order_by(LedgerCheck.id.desc()).limit(1))


def breaches_of(row: LedgerCheck | None) -> list[Breach]:
    """What a kept check found; what this program does not know any more is left out."""
    kept = row.breaches if row is not None else []
    return [Breach(b["what"], b["n"], tuple(b["ids"])) for b in kept if b["what"] in INVARIANTS]
