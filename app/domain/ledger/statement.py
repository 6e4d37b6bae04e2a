"""The statement of an account for a period: what stood there before, each entry, and what stands there after.

A reconciliation report prints the same: `Line.debit` and `Line.credit` are its columns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.errors import Invalid, NotFound
from app.i18n import gettext, zone
from app.models.ledger import Account, Entry, Transaction, TransactionKind

CHUNK = 1000


@dataclass(frozen=True)
class Line:
    """One entry, and the balance after it."""

    id: int
    at: datetime
    transaction_id: int
    kind: TransactionKind
    description: str
    amount: int
    balance: int

    @property
    def debit(self) -> int:
        """What the customer owed by it."""
        return -self.amount if self.amount < 0 else 0

    @property
    def credit(self) -> int:
        """What the customer brought by it."""
        return max(self.amount, 0)


@dataclass(frozen=True)
class Statement:
    """`incoming` and `outgoing` are the turnover of the whole period, both above zero; `lines` are those asked for."""

    account: Account
    first: date | None
    until: date | None
    opening: int
    closing: int
    incoming: int
    outgoing: int
    n: int
    lines: tuple[Line, ...]


def _from(day: date | None) -> datetime | None:
    """The first moment of a day; None for days at which there is no money yet, or none any more."""
    return datetime.combine(day, time(), zone()) if day is not None and 1900 <= day.year < 9000 else None


def within(first: date | None, until: date | None) -> ColumnElement[bool]:
    """Entries of these days, in the reader's time zone; both days belong to it."""
    begin, end = _from(first), _from(until + timedelta(days=1) if until and until < date.max else None)
    found: ColumnElement[bool] = true()
    if begin is not None:
        found = found & (Entry.at >= begin)
    return found & (Entry.at < end) if end is not None else found


async def statement(
    session: AsyncSession,
    *,
    account_id: int,
    first: date | None = None,
    until: date | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> Statement:
    """The statement of a customer's account, in the scope of the acting person.

    offset, limit: which of the lines; the figures are those of the whole period. Raises NotFound, and Invalid for a
    period that ends before it begins.
    """
    if first is not None and until is not None and until < first:
        raise Invalid(until=gettext("This lies before the first day."))
    options = (joinedload(Account.customer), joinedload(Account.project))
    account = await session.scalar(select(Account).where(Account.id == account_id).options(*options))
    if account is None or account.customer_id is None:
        raise NotFound()
    mine, inside = Entry.account_id == account_id, within(first, until)
    opening = 0
    if (begin := _from(first)) is not None:
        before = select(func.coalesce(func.sum(Entry.amount), 0)).where(mine, Entry.at < begin)
        opening = int(await session.scalar(before) or 0)
    incoming, outgoing, n = (
        await session.execute(
            select(
                func.coalesce(func.sum(Entry.amount).filter(Entry.amount > 0), 0),
                func.coalesce(func.sum(Entry.amount).filter(Entry.amount < 0), 0),
                func.count(),
            ).where(mine, inside)
        )
    ).one()
    start = opening
    if offset:
        passed = select(Entry.amount).where(mine, inside).order_by(Entry.at, Entry.id).limit(offset).subquery()
        start += int(await session.scalar(select(func.coalesce(func.sum(passed.c.amount), 0))) or 0)
    lines: list[Line] = []
    for row in await session.execute(_rows(account_id, inside).offset(offset).limit(limit)):
        start += row.amount
        lines.append(Line(row.id, row.at, row.transaction_id, row.kind, row.description, row.amount, start))
    total = int(incoming), -int(outgoing)
    return Statement(account, first, until, opening, opening + total[0] - total[1], total[0], total[1], n, tuple(lines))


def _rows(account_id: int, inside: ColumnElement[bool]) -> Select[Any]:
    rows: Any = select(
        Entry.id, Entry.at, Entry.transaction_id, Entry.amount, Transaction.kind, Transaction.description
    )
    rows = rows.select_from(Entry).join(Transaction, Transaction.id == Entry.transaction_id)
    ordered: Select[Any] = rows.where(Entry.account_id == account_id, inside).order_by(Entry.at, Entry.id)
    return ordered


async def months(
    session: AsyncSession, *, first: datetime, customer_id: int | None = None
) -> dict[str, dict[str, tuple[int, int]]]:
    """Currency -> month ("2026-03", UTC) -> (income, expenses), both above zero in the usual case.

    Income is what was paid less what went back, expenses what was charged less what was taken back, of all customers
    that the acting person sees, or of one.
    """
    query = select(
        Account.currency,
        month_of(session, Entry.at).label("month"),
        func.coalesce(func.sum(Entry.amount).filter(Transaction.kind.in_(INCOME)), 0),
        func.coalesce(func.sum(-Entry.amount).filter(Transaction.kind.not_in(INCOME)), 0),
    )
    query = (
        query.select_from(Entry)
        .join(Account, Account.id == Entry.account_id)
        .join(Transaction, Transaction.id == Entry.transaction_id)
        .where(Account.customer_id.is_not(None), Entry.at >= first, Transaction.kind.in_((*INCOME, *EXPENSE)))
        .group_by(Account.currency, "month")
    )
    if customer_id is not None:
        query = query.where(Account.customer_id == customer_id)
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for currency, month, income, expenses in await session.execute(query):
        found.setdefault(currency, {})[month] = int(income), int(expenses)
    return found


INCOME = (TransactionKind.PAYMENT, TransactionKind.REFUND)
EXPENSE = (TransactionKind.CHARGE, TransactionKind.REVERSAL)


def month_of(session: AsyncSession, at: Any) -> ColumnElement[str]:
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", at), "YYYY-MM")
    return func.substr(at, 1, 7)


async def lines(
    session: AsyncSession, *, account_id: int, first: date | None = None, until: date | None = None
) -> AsyncIterator[Line]:
    """Every line of a statement, in chunks."""
    offset = 0
    while True:
        part = await statement(session, account_id=account_id, first=first, until=until, offset=offset, limit=CHUNK)
        for line in part.lines:
            yield line
        if len(part.lines) < CHUNK:
            return
        offset += CHUNK
