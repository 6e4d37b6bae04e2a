"""Income and expenses by month, kept: the night counts the books in slices, the first page only what came since."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.ledger import invariants
from app.domain.ledger.statement import EXPENSE, INCOME, month_of
from app.models.ledger import Account, Entry, Transaction
from app.observe import actor

SLICE = 100_000
"""Entries that are counted in one statement."""
Months = dict[str, dict[str, dict[str, list[int]]]]
"""Project -> currency -> month ("2026-03", UTC) -> [income, expenses]; JSON, as `LedgerCheck.months`."""


Reads = Callable[[], AbstractAsyncContextManager[AsyncSession]]


async def count_all(reads: Reads) -> AsyncIterator[tuple[Months, int]]:
    """Count the whole ledger, each slice in a transaction of its own; gives what is counted so far and up to which id.

    An entry that is written with a smaller id while this runs is counted the next night.
    """
    found: Months = {}
    async with reads() as session:
        last = await session.scalar(select(func.max(Entry.id))) or 0
    after = 0
    while after < last:
        upto = min(after + SLICE, last)
        async with reads() as session:
            _add(found, await _rows(session, after, upto))
        after = upto
        yield found, after


async def months(session: AsyncSession, *, first: datetime) -> dict[str, dict[str, tuple[int, int]]]:
    """As `statement.months` of all customers that the acting person sees: kept figures, and what came since."""
    kept = await invariants.last(session)
    found: Months = {p: {c: dict(m) for c, m in of.items()} for p, of in (kept.months if kept else {}).items()}
    mine = actor.get().projects
    if mine is not None:
        found = {p: of for p, of in found.items() if int(p) in mine}
    _add(found, await _rows(session, kept.until_id if kept else 0, None, first))
    sums: dict[str, dict[str, tuple[int, int]]] = {}
    begin = f"{first:%Y-%m}"
    for of in found.values():
        for currency, by_month in of.items():
            into = sums.setdefault(currency, {})
            for month, (income, expenses) in by_month.items():
                if month >= begin:
                    before = into.get(month, (0, 0))
                    into[month] = before[0] + income, before[1] + expenses
    return {currency: by_month for currency, by_month in sums.items() if by_month}


async def _rows(session: AsyncSession, after: int, upto: int | None, first: datetime | None = None) -> list[Any]:
    query = (
        select(
            Account.project_id, Account.currency, month_of(session, Entry.at).label("month"),
            func.coalesce(func.sum(Entry.amount).filter(Transaction.kind.in_(INCOME)), 0),
            func.coalesce(func.sum(-Entry.amount).filter(Transaction.kind.not_in(INCOME)), 0),
        )
        .select_from(Entry)
        .join(Account, Account.id == Entry.account_id)
        .join(Transaction, Transaction.id == Entry.transaction_id)
        .where(Entry.id > after, Account.customer_id.is_not(None), Transaction.kind.in_((*INCOME, *EXPENSE)))
        .group_by(Account.project_id, Account.currency, "month")
    )  # fmt: skip
    if upto is not None:
        query = query.where(Entry.id <= upto)
    if first is not None:
        query = query.where(Entry.at >= first)
    return list((await session.execute(query)).all())


def _add(found: Months, rows: list[Any]) -> None:
    for project_id, currency, month, income, expenses in rows:
        by_month = found.setdefault(str(project_id), {}).setdefault(currency, {})
        before = by_month.get(month, [0, 0])
        by_month[month] = [before[0] + int(income), before[1] + int(expenses)]
