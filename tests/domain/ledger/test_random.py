"""Random days in the books: payments, charges, refunds, corrections, transfers, reversals; the invariants hold after
each, and the balances are those of a model that only adds up."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select

from app import db
from app.domain import billing, ledger
from app.domain.ledger import invariants
from app.domain.ledger.statement import statement
from app.errors import AppError
from app.models.billing import Expense
from app.models.ledger import Account, Entry
from app.observe import SYSTEM, acting
from tests.conftest import _empty
from tests.factories import book, create_account, create_customer, create_exchange_rate

CURRENCIES = ("EUR", "JPY", "KWD")
RATES = {("EUR", "JPY"): 160_000_000_000, ("EUR", "KWD"): 330_000_000}
amounts = st.one_of(st.integers(1, 3000), st.sampled_from([1, 2, 999, 10**15]))
places = st.integers(0, len(CURRENCIES) - 1)


class Books(RuleBasedStateMachine):
    url = ""
    template: Path | None = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.mkdtemp(prefix="bursar-books-")
        self.balances = [0] * len(CURRENCIES)
        self.expenses: list[tuple[int, int, int]] = []
        """(id, place, amount) of what was not taken back."""
        self.keys: list[tuple[str, int, int]] = []
        self.n = 0
        self.run(self.begin())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def as_system() -> Any:
            with acting(SYSTEM):
                return await work

        return self.loop.run_until_complete(as_system())

    async def begin(self) -> None:
        url = self.url
        if self.template is not None:
            path = Path(self.folder) / "books.db"
            shutil.copy(self.template, path)
            url = f"sqlite+aiosqlite:///{path}"
        else:
            await _empty(url)
        db.configure(url)
        async with db.unit() as session:
            customer = await create_customer(session)
            self.accounts = [
                (await create_account(session, customer=customer, currency=c, credit_limit=500)).id for c in CURRENCIES
            ]
            for (base, quote), rate in RATES.items():
                await create_exchange_rate(session, base=base, quote=quote, rate=rate)

    def teardown(self) -> None:
        self.run(db.dispose())
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def key(self) -> str:
        self.n += 1
        return f"random:{self.n}"

    async def attempt(self, verb: Any, **values: Any) -> Any:
        """What the verb gives; None when it refuses."""
        try:
            async with db.unit() as session:
                return await verb(session, **values)
        except AppError:
            return None

    # ---- what happens

    @rule(at=places, amount=amounts)
    def pay(self, at: int, amount: int) -> None:
        key = self.key()

        async def paid(session: Any) -> int:
            account = await session.get_one(Account, self.accounts[at])
            return await book(session, account, amount, key=key)

        if self.run(self.attempt(paid)) is not None:
            self.balances[at] += amount
            self.keys.append((key, at, amount))

    @precondition(lambda self: self.keys)
    @rule(which=st.integers(0, 10**6))
    def pay_again(self, which: int) -> None:
        key, at, amount = self.keys[which % len(self.keys)]

        async def paid(session: Any) -> int:
            account = await session.get_one(Account, self.accounts[at])
            return await book(session, account, max(1, amount - 1), key=key)

        assert self.run(self.attempt(paid)) is not None  # the same transaction, and nothing more

    @rule(at=places, net=amounts, tax=st.integers(0, 200), force=st.booleans())
    def charge(self, at: int, net: int, tax: int, force: bool) -> None:
        expense = self.run(
            self.attempt(
                billing.charge, account_id=self.accounts[at], key=self.key(), description="x", net=net, tax=tax,
                force=force,
            )
        )  # fmt: skip
        covered = force or self.balances[at] + 500 >= net + tax
        assert (expense is not None) == (covered and net + tax <= ledger.LARGEST)
        if expense is not None:
            self.balances[at] -= net + tax
            self.expenses.append((expense.id, at, net + tax))

    @precondition(lambda self: self.expenses)
    @rule(which=st.integers(0, 10**6))
    def take_back(self, which: int) -> None:
        expense_id, at, amount = self.expenses.pop(which % len(self.expenses))

        async def back(session: Any) -> bool:
            await billing.take_back(session, expense=await session.get_one(Expense, expense_id), reason="x")
            return True

        assert self.run(self.attempt(back)) is True
        assert self.run(self.attempt(back)) is None, "the second time"
        self.balances[at] += amount

    @rule(at=places, amount=st.one_of(amounts, st.integers(-3000, -1), st.just(2**63)))
    def correct(self, at: int, amount: int) -> None:
        done = self.run(
            self.attempt(ledger.correct, account_id=self.accounts[at], amount=amount, reason="x", key=self.key())
        )
        assert (done is not None) == (abs(amount) <= ledger.LARGEST)
        if done is not None:
            self.balances[at] += amount

    @rule(at=places, amount=amounts)
    def refund(self, at: int, amount: int) -> None:
        done = self.run(
            self.attempt(ledger.refund, account_id=self.accounts[at], amount=amount, reason="x", key=self.key())
        )
        assert (done is not None) == (amount <= self.balances[at])
        if done is not None:
            self.balances[at] -= amount

    @rule(at=places, to=places, amount=amounts)
    def transfer(self, at: int, to: int, amount: int) -> None:
        before = sum(self.balances)
        done = self.run(
            self.attempt(
                ledger.transfer, account_id=self.accounts[at], to_id=self.accounts[to], amount=amount, key=self.key()
            )
        )
        if done is None:
            assert sum(self.balances) == before
            return
        assert at != to and amount <= self.balances[at]

        async def arrived(session: Any) -> int:
            query = select(Entry.amount).where(Entry.transaction_id == done, Entry.account_id == self.accounts[to])
            return int(await session.scalar(query))

        self.balances[at] -= amount
        self.balances[to] += self.run(self.attempt(arrived))

    # ---- what holds

    @invariant()
    def the_books_agree(self) -> None:
        async def look() -> None:
            async with db.reads() as session:
                assert await invariants.check(session) == []
                rows = await session.execute(select(Account.id, Account.balance).where(Account.id.in_(self.accounts)))
                found = {row[0]: row[1] for row in rows}
                assert [found[a] for a in self.accounts] == self.balances
                total = select(func.sum(Entry.amount)).join(Account, Account.id == Entry.account_id)
                for sums in await session.execute(total.add_columns(Account.currency).group_by(Account.currency)):
                    assert sums[0] == 0
                whole = await statement(session, account_id=self.accounts[0])
                assert whole.closing == self.balances[0] == whole.opening + whole.incoming - whole.outgoing
                assert not whole.lines or whole.lines[-1].balance == whole.closing

        self.run(look())


def _walk(url: str, template: Path | None, examples: int) -> None:
    kind = type("BooksHere", (Books,), {"url": url, "template": template})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, database=None,
            phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_random_days_on_sqlite(sqlite_template: Path) -> None:
    _walk("", sqlite_template, 15)


@pytest.mark.again
def test_random_days_on_postgresql(postgres_database: str) -> None:
    _walk(postgres_database, None, 30)
