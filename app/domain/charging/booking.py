"""The books, by the thousand: temporary tables of what is to be charged, and the statements that charge it.

The only place beside `ledger.post` that writes entries. Each statement is one for the whole chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Integer,
    MetaData,
    String,
    Table,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    union_all,
    update,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateTable

from app.db import utcnow
from app.domain.ledger import own_account
from app.models.billing import Cover, Expense
from app.models.catalog import Service
from app.models.ledger import AccountKind, Entry, Transaction, TransactionKind
from app.models.touching import touch, touch_accounts

_own = MetaData()
_ONLY: dict[str, Any] = {"prefixes": ["TEMPORARY"], "postgresql_on_commit": "DELETE ROWS"}
DUE = Table(
    "charge_due", _own,
    Column("service_id", BigInteger), Column("account_id", BigInteger), Column("customer_id", BigInteger),
    Column("currency", String(3)), Column("description", String(500)), Column("period_from", Date),
    Column("period_to", Date), Column("net", BigInteger), Column("tax", BigInteger), Column("rate", Integer),
    Column("discount", BigInteger), Column("discount_id", BigInteger),
    Column("explained", JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")),
    Column("covered_by", String(24)), Column("revenue_id", BigInteger), Column("tax_id", BigInteger),
    Column("transaction_id", BigInteger), Column("last", Boolean), Column("easy", Boolean),
    **_ONLY,
)  # fmt: skip
"""One row for each charge. last: of several of one service the last, which says when the next one is due."""
TERMS = Table(
    "charge_terms", _own,
    Column("project_id", BigInteger), Column("currency", String(3)), Column("country", String(2)),
    Column("kind", String(24)), Column("payer_id", BigInteger), Column("day", Date), Column("rate", Integer),
    Column("revenue_id", BigInteger), Column("tax_id", BigInteger),
    **_ONLY,
)  # fmt: skip
"""The tax rate, and the accounts that revenue and tax go to, of each kind of customer in the chunk."""
AUDITED = {"audited": True}


async def open_tables(session: AsyncSession) -> None:
    """Empty temporary tables in this transaction."""
    if session.get_bind().dialect.name == "postgresql":
        # our connections plan each statement anew (`db.make_engine`), and with it each check of a foreign key: for one
        # charge there are eleven
        await session.execute(select(func.set_config("plan_cache_mode", "auto", True)))
        # a chunk is some thousand rows of tables of any size: they are looked up, and no table is read for them
        await session.execute(select(func.set_config("random_page_cost", "1.1", True)))
    for table in (DUE, TERMS):
        await session.execute(CreateTable(table, if_not_exists=True))
        await session.execute(delete(table), execution_options=AUDITED)


def new_ids(dialect: str) -> Any:
    """Ids of transactions to be, as a column of a SELECT."""
    if dialect == "postgresql":
        return func.nextval(func.pg_get_serial_sequence("ledger_transaction", "id"))
    last = select(func.coalesce(func.max(Transaction.id), 0)).scalar_subquery()
    return last + func.row_number().over()


async def take_ids(session: AsyncSession, n: int) -> Sequence[int]:
    if session.get_bind().dialect.name == "postgresql":
        asked = "SELECT nextval(pg_get_serial_sequence('ledger_transaction', 'id')) FROM generate_series(1, :n)"
        return list(await session.scalars(text(asked), {"n": n}))
    last = await session.scalar(select(func.max(Transaction.id))) or 0
    last = max(last, await session.scalar(select(func.max(DUE.c.transaction_id))) or 0)
    return range(last + 1, last + n + 1)


class OwnAccounts:
    """The accounts of projects that charges go to; opened when there is none yet."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self._known: dict[tuple[int, str], tuple[int, int]] = {}

    async def of(self, project_id: int, currency: str) -> tuple[int, int]:
        """(revenue, tax)"""
        key = (project_id, currency)
        if key not in self._known:
            found = [
                await own_account(self.session, project_id=project_id, kind=kind, currency=currency)
                for kind in (AccountKind.REVENUE, AccountKind.TAX)
            ]
            self._known[key] = (found[0], found[1])
        return self._known[key]


def moment_of(day: date) -> datetime:
    """When a charge of that day is booked: now, or at noon of a day that is over."""
    now = utcnow()
    return now if day >= now.date() else datetime.combine(day, time(12), UTC)


async def add_rows(session: AsyncSession, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    if given := [dict(r) for r in rows]:
        await session.execute(insert(table), given, execution_options=AUDITED)


async def book(session: AsyncSession, day: date) -> int:
    """Charge what stands in DUE: transactions, entries, expenses, and the services move on. Returns how many.

    What costs nothing has no transaction: only an expense of nothing, which says why.
    """
    at, d = moment_of(day), DUE.c
    key = literal("service:") + cast(d.service_id, String) + ":" + cast(d.period_from, String)
    rows = select(
        d.transaction_id, key, literal(TransactionKind.CHARGE, Transaction.kind.type),
        literal(at, Transaction.at.type), d.description,
    ).where(d.transaction_id.is_not(None)).order_by(d.transaction_id)  # fmt: skip
    statement = insert(Transaction).from_select(["id", "key", "kind", "at", "description"], rows)
    done = await session.execute(statement, execution_options=AUDITED)
    when = literal(at, Entry.at.type)
    moves = union_all(
        select(d.transaction_id, d.account_id, (-(d.net + d.tax)).label("amount"), when).where(d.net + d.tax != 0),
        select(d.transaction_id, d.revenue_id, d.net, when).where(d.net != 0),
        select(d.transaction_id, d.tax_id, d.tax, when).where(d.tax != 0),
    )
    await session.execute(
        insert(Entry).from_select(["transaction_id", "account_id", "amount", "at"], moves), execution_options=AUDITED
    )
    columns = [
        "on_day", "customer_id", "account_id", "service_id", "description", "amount", "currency", "net", "tax",
        "tax_rate", "discount", "discount_id", "explained", "period_from", "period_to", "covered_by", "transaction_id",
    ]  # fmt: skip
    expenses = select(
        literal(day, Expense.on_day.type), d.customer_id, d.account_id, d.service_id, d.description, d.net + d.tax,
        d.currency, d.net, d.tax, d.rate, d.discount, d.discount_id, d.explained, d.period_from, d.period_to,
        d.covered_by, d.transaction_id,
    ).order_by(d.transaction_id)  # fmt: skip
    await session.execute(insert(Expense).from_select(columns, expenses), execution_options=AUDITED)
    await session.execute(
        update(Service)
        .where(Service.id == d.service_id, d.last)
        .values(next_charge_on=d.period_to, unpaid_since=None, version=Service.version + 1),
        execution_options={**AUDITED, "synchronize_session": False},
    )
    await touch_accounts(session, select(d.account_id).where(d.transaction_id.is_not(None)))
    await touch(session, "service", select(d.customer_id).distinct())
    return int(getattr(done, "rowcount", 0))


BALANCE, CREDIT = Cover.BALANCE.value, Cover.CREDIT.value
