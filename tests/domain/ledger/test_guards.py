"""What the database itself refuses, whoever asks; and that many who book at once agree."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import is_sqlite, reads, unit
from app.domain import ledger
from app.domain.ledger import Move
from app.models.ledger import Account, AccountKind, Entry, Transaction, TransactionKind
from tests.factories import book, create_account, create_customer, create_exchange_rate

pytestmark = pytest.mark.usefixtures("database")
PAYMENT = TransactionKind.PAYMENT


async def _account(balance: int = 1000) -> tuple[int, int]:
    """(account of a customer, cash of its project)"""
    async with unit() as session:
        account = await create_account(session, customer=await create_customer(session), balance=balance)
        project, kind = account.project_id, AccountKind.CASH
        return account.id, await ledger.own_account(session, project_id=project, kind=kind, currency="EUR")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET amount = amount + 1",
        "UPDATE ledger_entry SET amount = amount",
        "DELETE FROM ledger_entry",
        "DELETE FROM ledger_entry WHERE amount > 0",
        "UPDATE ledger_transaction SET description = 'x'",
        "DELETE FROM ledger_transaction",
        "TRUNCATE ledger_entry",
        "TRUNCATE account CASCADE",
        "INSERT OR REPLACE INTO ledger_entry (id, transaction_id, account_id, amount, at) "
        "SELECT id, transaction_id, account_id, 2 * amount, at FROM ledger_entry",
        "UPDATE account SET balance = balance + 1 WHERE kind = 'customer'",
        "UPDATE account SET balance = balance + 1",
        "UPDATE account SET currency = 'USD'",
        "UPDATE account SET kind = 'cash', customer_id = NULL WHERE kind = 'customer'",
        "DELETE FROM account",
        "INSERT INTO account (customer_id, project_id, kind, currency, balance, created_at) "
        "SELECT customer_id, project_id, kind, 'USD', 5, created_at FROM account WHERE kind = 'customer'",
        "INSERT INTO account (project_id, kind, currency, created_at) "
        "SELECT project_id, kind, currency, created_at FROM account WHERE kind = 'cash'",
        "INSERT INTO ledger_entry (transaction_id, account_id, amount, at) "
        "SELECT transaction_id, account_id, 5, at FROM ledger_entry WHERE amount > 0",
        "INSERT INTO ledger_entry (transaction_id, account_id, amount, at) "
        "SELECT transaction_id, account_id, 0, at FROM ledger_entry WHERE amount > 0",
        "INSERT INTO ledger_transaction (key, kind, at, description) SELECT key, kind, at, '' FROM ledger_transaction",
    ],
)
async def test_the_database_refuses_what_is_no_booking(statement: str) -> None:
    if (is_sqlite() and statement.startswith("TRUNCATE")) or (not is_sqlite() and "OR REPLACE" in statement):
        pytest.skip("the other database has no such statement")
    account_id, _cash = await _account()
    with pytest.raises(DBAPIError):
        async with unit() as session:
            await session.execute(text(statement))
    async with reads() as session:
        assert await session.scalar(select(Account.balance).where(Account.id == account_id)) == 1000
        entries = (await session.execute(select(Entry.amount).order_by(Entry.amount))).scalars().all()
        assert entries == [-1000, 1000]


async def test_what_does_not_sum_to_zero_in_each_currency_is_not_committed() -> None:
    """Written past `post`, in one statement and in several."""
    account_id, cash = await _account()
    async with unit() as session:
        project = (await session.get_one(Account, cash)).project_id
        dollars = await ledger.own_account(session, project_id=project, kind=AccountKind.CASH, currency="USD")
    insert = "INSERT INTO ledger_entry (transaction_id, account_id, amount, at) VALUES (:t, :a, :n, :at)"
    for moves in ([(account_id, 5)], [(account_id, 5), (cash, -4)], [(account_id, 5), (dollars, -5)]):
        with pytest.raises(DBAPIError):
            async with unit() as session:
                row = (await session.execute(select(Transaction.id, Transaction.at))).one()
                values = [{"t": row[0], "a": a, "n": n, "at": str(row[1])[:19]} for a, n in moves]
                if is_sqlite():
                    for one in values:
                        await session.execute(text(insert), one)
                else:
                    rows = [f"({row[0]}, {a}, {n}, now())" for a, n in moves]
                    await session.execute(text(insert.partition("VALUES")[0] + f"VALUES {', '.join(rows)}"))
    async with reads() as session:
        assert await session.scalar(select(func.count()).select_from(Entry)) == 2
        assert await session.scalar(select(Account.balance).where(Account.id == account_id)) == 1000
        if is_sqlite():
            assert await session.scalar(text("SELECT count(*) FROM ledger_open")) == 0
            assert await session.scalar(text("SELECT count(*) FROM ledger_moving")) == 0


async def _pay(account_id: int, cash: int, key: str, amount: int = 7) -> bool:
    async with unit() as session:
        moves = [Move(account_id, amount), Move(cash, -amount)]
        return (await ledger.post(session, key=key, kind=PAYMENT, moves=moves))[1]


async def test_ten_at_once_on_one_account_all_count() -> None:
    account_id, cash = await _account()
    await asyncio.gather(*(_pay(account_id, cash, f"k{n}") for n in range(40)))
    async with reads() as session:
        assert await session.scalar(select(Account.balance).where(Account.id == account_id)) == 1000 + 40 * 7


async def test_one_key_at_once_is_booked_once() -> None:
    account_id, cash = await _account()
    new = await asyncio.gather(*(_pay(account_id, cash, "same") for _n in range(20)))
    assert sum(new) == 1
    async with reads() as session:
        assert await session.scalar(select(Account.balance).where(Account.id == account_id)) == 1007


async def test_a_key_whose_first_booking_failed_is_free() -> None:
    account_id, cash = await _account()
    with pytest.raises(RuntimeError):
        async with unit() as session:
            moves = [Move(account_id, 5), Move(cash, -5)]
            assert (await ledger.post(session, key="k", kind=PAYMENT, moves=moves))[1]
            raise RuntimeError
    assert await _pay(account_id, cash, "k")


async def test_own_accounts_are_opened_once() -> None:
    async with unit() as session:
        project_id = (await create_customer(session)).project_id

    async def own() -> int:
        async with unit() as session:
            return await ledger.own_account(session, project_id=project_id, kind=AccountKind.TAX, currency="EUR")

    assert len(set(await asyncio.gather(*(own() for _n in range(10))))) == 1


async def test_two_who_transfer_to_each_other_do_not_block() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        one = await create_account(session, customer=customer, balance=10_000)
        other = await create_account(session, customer=customer, currency="USD", balance=10_000)
        await create_exchange_rate(session, rate=1_000_000_000)

    async def move(n: int) -> None:
        source, to = (one.id, other.id) if n % 2 else (other.id, one.id)
        async with unit() as session:
            await ledger.transfer(session, account_id=source, to_id=to, amount=10, key=f"t{n}")

    await asyncio.gather(*(move(n) for n in range(20)))
    async with reads() as session:
        assert await _balances(session, one.id, other.id) == [10_000, 10_000]


async def _balances(session: AsyncSession, *ids: int) -> list[int]:
    rows = await session.execute(select(Account.balance).where(Account.id.in_(ids)).order_by(Account.id))
    return list(rows.scalars())


async def test_what_the_session_knows_of_a_balance_moves_along() -> None:
    async with unit() as session:
        account = await create_account(session, customer=await create_customer(session), balance=100)
        assert account.balance == 100
        account.credit_limit = 50  # a change that waits is neither lost nor in the way
        await book(session, account, 25)
        assert (account.balance, account.credit_limit) == (125, 50)
        await book(session, account, -25)
        assert account.balance == 100
    async with reads() as session:
        found = (
            await session.execute(select(Account.balance, Account.credit_limit).where(Account.id == account.id))
        ).one()
        assert tuple(found) == (100, 50)


async def test_mistakes_of_callers_book_nothing() -> None:
    account_id, cash = await _account()
    wrong: list[tuple[list[Move], type[Exception]]] = [
        ([Move(account_id, 5)], ValueError), ([Move(account_id, 5), Move(cash, -4)], ValueError), ([], ValueError),
        ([Move(account_id, 0)], ValueError), ([Move(account_id, 5), Move(10**9, -5)], ValueError),
        ([Move(account_id, 5.5), Move(cash, -5.5)], TypeError),  # type: ignore[arg-type]
        ([Move(account_id, float("nan")), Move(cash, float("nan"))], TypeError),  # type: ignore[arg-type]
    ]  # fmt: skip
    for moves, problem in wrong:
        async with unit() as session:
            with pytest.raises(problem):
                await ledger.post(session, key="k", kind=PAYMENT, moves=moves)
            assert await session.scalar(select(func.count()).select_from(Transaction)) == 1
