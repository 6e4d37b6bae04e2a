"""Invariants: they hold after honest work, and each one finds what was broken past the guards."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import is_sqlite, reads, unit, utcnow
from app.domain import billing, ledger
from app.domain.ledger import by_month, invariants
from app.domain.ledger.statement import months, statement
from app.errors import Invalid, NotFound
from app.models.billing import InvoicePayment, InvoiceStatus, PaymentStatus
from app.models.jobs import Job
from app.models.ledger import GUARD, Account
from app.observe import SYSTEM, Actor, Kind, acting
from tasks import daily
from tasks.base import TASKS
from tests.factories import (
    book,
    create_account,
    create_customer,
    create_invoice,
    create_payment,
    create_project,
    create_service,
)

pytestmark = pytest.mark.usefixtures("database")


async def _world(session: AsyncSession) -> Account:
    """One of everything that invariants are about."""
    customer = await create_customer(session)
    account = await create_account(session, customer=customer)
    paid = await create_payment(session, account=account, amount=5000)
    paid.transaction_id = await book(session, account, 5000, key=f"payment:{paid.id}")
    paid.status = PaymentStatus.PAID
    service = await create_service(session, customer=customer)
    for month in (1, 2):
        await billing.charge(
            session, account_id=account.id, key=f"service:{service.id}:{month}", description="Hosting", net=100, tax=19,
            service_id=service.id, period_from=date(2026, month, 1), period_to=date(2026, month + 1, 1),
        )  # fmt: skip
    invoice = await create_invoice(
        session, account=account, total=1000, status=InvoiceStatus.ISSUED, number="1", issued_on=utcnow().date()
    )
    sold = await billing.charge(
        session, account_id=account.id, key=f"invoice:{invoice.id}", description="Sold", net=1000, invoice_id=invoice.id
    )
    session.add(InvoicePayment(invoice_id=invoice.id, amount=1000, transaction_id=sold.transaction_id))
    invoice.paid, invoice.status = 1000, InvoiceStatus.PAID
    await ledger.correct(session, account_id=account.id, amount=-7, reason="x", key="c")
    taken = await billing.charge(session, account_id=account.id, key="once", description="x", net=5)
    await billing.take_back(session, expense=taken, reason="x")
    await session.flush()
    return account


BREAK = {
    "sums": "UPDATE ledger_entry SET amount = amount + 1 WHERE amount = -7",
    "empty": "INSERT INTO ledger_transaction (key, kind, at, description) SELECT 'e', kind, at, '' "
    "FROM ledger_transaction LIMIT 1",
    "reversals": "UPDATE ledger_transaction SET reverses_id = (SELECT max(transaction_id) FROM ledger_entry "
    "WHERE amount = 5000) WHERE reverses_id IS NOT NULL",
    "balances": "UPDATE account SET balance = balance + 1 WHERE kind = 'customer'",
    "payments": "UPDATE payment SET account_amount = 4999",
    "expenses": "UPDATE expense SET net = net + 1, tax = tax - 2 WHERE description = 'Sold'",
    "twice": "UPDATE expense SET period_to = '2026-02-02' WHERE period_from = '2026-01-01'",
    "invoices": "UPDATE invoice_line SET net = 999, total = 999",
    "covered": "UPDATE invoice_payment SET amount = 999",
    "proofs": "UPDATE invoice_payment SET transaction_id = (SELECT min(id) FROM ledger_transaction "
    "WHERE kind = 'correction')",
}


async def test_they_hold_after_honest_work() -> None:
    async with unit() as session:
        await _world(session)
    async with reads() as session:
        assert await invariants.check(session) == []


@pytest.mark.parametrize("what", list(invariants.INVARIANTS))
async def test_each_finds_what_was_broken_past_the_guards(what: str) -> None:
    async with unit() as session:
        await _world(session)
    async with unit() as session:
        if is_sqlite():
            dialect = "sqlite"
            for sql in GUARD.drop(dialect):
                await session.execute(text(sql))
            for (name,) in (await session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))).all():
                await session.execute(text(f"DROP TRIGGER {name}"))
        else:
            await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(BREAK[what]))
        found = await invariants.check(session)
        assert what in {b.what for b in found}
        breach = next(b for b in found if b.what == what)
        assert breach.n >= 1 and breach.ids and breach.text
        await invariants.keep(session, found, began=time.monotonic())
        kept = invariants.breaches_of(await invariants.last(session))
        assert kept == found


async def test_the_night_keeps_what_it_found() -> None:
    async with unit() as session:
        await _world(session)
    await TASKS["ledger.check"].function(None, day="2026-01-01")  # type: ignore[arg-type]
    async with reads() as session:
        row = await invariants.last(session)
        assert row is not None and row.breaches == []


async def test_a_day_is_begun_once() -> None:
    daily._made.clear()
    for _n in range(2):
        await daily.begin_day()
        daily._made.clear()
    async with reads() as session:
        keys = (await session.scalars(select(Job.key).where(Job.name == "ledger.check"))).all()
        assert len(keys) == 1


# ---- statements -----------------------------------------------------------------------------------------------------


async def test_a_statement_opens_and_closes_and_is_paged() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    async with unit() as session:
        account = await create_account(session, customer=await create_customer(session))
        for n in range(10):
            await book(session, account, 100 if n % 2 == 0 else -30, at=start + timedelta(days=n))
        await book(session, await create_account(session, customer=await create_customer(session)), 999, at=start)
    with acting(SYSTEM):
        async with reads() as session:
            whole = await statement(session, account_id=account.id)
            assert (whole.opening, whole.closing, whole.incoming, whole.outgoing) == (0, 350, 500, 150)
            assert [line.balance for line in whole.lines] == [100, 70, 170, 140, 240, 210, 310, 280, 380, 350]
            assert whole.lines[1].debit == 30 and whole.lines[1].credit == 0
            part = await statement(session, account_id=account.id, first=date(2026, 1, 3), until=date(2026, 1, 4))
            assert (part.opening, part.closing, part.n) == (70, 140, 2)
            page = await statement(session, account_id=account.id, first=date(2026, 1, 3), offset=2, limit=3)
            assert [line.balance for line in page.lines] == [240, 210, 310]
            assert (page.opening, page.closing, page.n) == (70, 350, 8)
            with pytest.raises(Invalid):
                await statement(session, account_id=account.id, first=date(2026, 1, 3), until=date(2026, 1, 2))
            with pytest.raises(NotFound):
                await statement(session, account_id=10**9)
            all_days = await statement(session, account_id=account.id, first=date.min, until=date.max)
            assert all_days.n == 10


async def test_months_count_income_and_expenses() -> None:
    async with unit() as session:
        account = await create_account(session, customer=await create_customer(session))
        at = datetime(2026, 3, 31, 23, tzinfo=UTC)
        await book(session, account, 5000, at=at)
        await billing.charge(
            session, account_id=account.id, key="c", description="x", net=100, tax=19, on_day=date(2026, 4, 1)
        )
        await ledger.correct(session, account_id=account.id, amount=77, reason="neither", key="x")
        found = await months(session, first=at - timedelta(days=1))
        assert found == {"EUR": {"2026-03": (5000, 0), "2026-04": (0, 119)}}
        assert await months(session, first=at, customer_id=account.customer_id) == found
        assert await months(session, first=at, customer_id=10**9) == {}


async def test_the_night_keeps_the_months_and_the_first_page_adds_what_came_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(by_month, "SLICE", 3)
    first, accounts = datetime(2026, 2, 1, tzinfo=UTC), []
    async with unit() as session:
        for _n in range(2):
            customer = await create_customer(session, project=await create_project(session))
            accounts.append(await create_account(session, customer=customer))
    limited = Actor(Kind.STAFF, projects=frozenset({accounts[0].project_id}))

    async def more(n: int) -> None:
        async with unit() as session:
            for i in range(n):
                for account in accounts:
                    await book(session, account, 100 + i, at=datetime(2026, 1 + i % 4, 28, tzinfo=UTC))
                day = date(2026, 3, i + 1)
                await billing.charge(
                    session, account_id=accounts[0].id, key=f"c{n}{i}", description="x", net=7, on_day=day
                )

    async def same() -> None:
        for who in (SYSTEM, limited):
            with acting(who):
                async with reads() as session:
                    mine = await by_month.months(session, first=first)
                    assert mine == await months(session, first=first)
        assert mine["EUR"]["2026-03"][1] > 0 and mine["EUR"]["2026-02"][0] == 101

    await more(2)
    await same()  # before the first night
    await TASKS["ledger.check"].function(None, day="2026-01-01")  # type: ignore[arg-type]
    async with reads() as session:
        kept = await invariants.last(session)
        assert kept is not None and kept.breaches == [] and kept.until_id > 0
    await same()
    async with unit() as session:
        await book(session, accounts[1], 5, at=datetime(2026, 2, 28, tzinfo=UTC))
    await more(1)
    await same()
