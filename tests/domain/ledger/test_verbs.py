"""What staff do with accounts by hand: what is booked, and what is refused with nothing changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import unit
from app.domain import billing, customers, ledger
from app.errors import AppError, Conflict, Invalid, NotFound
from app.models.billing import InvoiceStatus
from app.models.customers import CustomerStatus
from app.models.ledger import Account, AccountKind, Entry, Transaction
from tests.factories import (
    create_account,
    create_available_project,
    create_customer,
    create_exchange_rate,
    create_invoice,
    create_payer,
    create_payment,
    create_payment_method,
    create_project,
)

pytestmark = pytest.mark.usefixtures("database")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


async def _own(session: AsyncSession, kind: AccountKind, currency: str = "EUR") -> int:
    """What lies on the projects' own accounts of a kind."""
    query = select(func.sum(Entry.amount)).join(Entry.account)
    return await session.scalar(query.where(Account.kind == kind, Account.currency == currency)) or 0


async def test_accounts_are_opened_once_where_the_customer_may_have_them() -> None:
    async with unit() as session:
        project = await create_project(session, credit_limit=500, currency="EUR")
        other = await create_project(session)
        customer = await create_customer(session, project=project)
        account = await ledger.open_account(session, customer_id=customer.id)
        assert (account.currency, account.credit_limit, account.balance) == ("EUR", 500, 0)
        assert (await ledger.open_account(session, customer_id=customer.id, currency="JPY")).credit_limit == 0
        for wrong, field in (
            ({"currency": "EUR"}, "currency"), ({"currency": "EURO"}, "currency"), ({"currency": "XQQ"}, "currency"),
            ({"project_id": other.id}, "project_id"), ({"customer_id": 10**9}, "customer_id"),
        ):  # fmt: skip
            with pytest.raises(Invalid) as refused:
                await ledger.open_account(session, **{"customer_id": customer.id, **wrong})  # type: ignore[arg-type]
            assert set(refused.value.fields) == {field}
        await create_available_project(session, customer=customer, project=other)
        await ledger.open_account(session, customer_id=customer.id, project_id=other.id)
        assert await session.scalar(select(func.count()).select_from(Account)) == 3
        await customers.close_customer(session, customer=customer)
        with pytest.raises(Conflict):
            await ledger.open_account(session, customer_id=customer.id, currency="USD")


@on_sqlite
async def test_terms_are_checked() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        account = await create_account(session, customer=customer)
        payer = await create_payer(session, customer=customer)
        foreign = await create_payer(session, customer=await create_customer(session))
        off = await create_payment_method(session, enabled=False)
        for wrong, field in (
            ({"credit_limit": -1}, "credit_limit"), ({"credit_limit": 2**63}, "credit_limit"),
            ({"payer_id": foreign.id}, "payer_id"), ({"method_id": off.id}, "method_id"),
        ):  # fmt: skip
            with pytest.raises(Invalid) as refused:
                await ledger.set_terms(session, account=account, **{"credit_limit": 5, **wrong})
            assert set(refused.value.fields) == {field}
        assert (account.credit_limit, account.payer_id) == (0, None)
        await ledger.set_terms(session, account=account, credit_limit=5, post_paid=True, payer_id=payer.id)
        await session.refresh(account)
        assert (account.credit_limit, account.post_paid, account.payer_id) == (5, True, payer.id)


async def test_corrections_refunds_and_transfers_are_booked() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        euros = await create_account(session, customer=customer, balance=10_000)
        dollars = await create_account(session, customer=customer, currency="USD")
        await create_exchange_rate(session, rate=1_100_000_000)
        first = await ledger.correct(session, account_id=euros.id, amount=-500, reason="Typed twice", key="c1")
        assert await ledger.correct(session, account_id=euros.id, amount=-500, reason="Typed twice", key="c1") == first
        assert (euros.balance, await _own(session, AccountKind.ADJUSTMENT)) == (9500, 500)
        await ledger.refund(session, account_id=euros.id, amount=1500, reason="Asked for it", key="r1")
        await ledger.refund(session, account_id=euros.id, amount=1500, reason="Asked for it", key="r1")
        assert (euros.balance, await _own(session, AccountKind.CASH)) == (8000, -8500)
        await ledger.transfer(session, account_id=euros.id, to_id=dollars.id, amount=1000, key="t1")
        await ledger.transfer(session, account_id=euros.id, to_id=dollars.id, amount=1000, key="t1")
        assert (euros.balance, dollars.balance) == (7000, 1100)
        assert await _own(session, AccountKind.EXCHANGE) == 1000
        assert await _own(session, AccountKind.EXCHANGE, "USD") == -1100


BAD = (0, -1, 2**63, 10**16)
Wrong = Callable[[AsyncSession, Any, Any, Any], Awaitable[Any]]
REFUSED: dict[str, tuple[type[AppError], str, Wrong]] = {
    "a refund above the balance": (
        Invalid, "amount", lambda s, a, b, c: ledger.refund(s, account_id=a.id, amount=1001, reason="x", key="k")),
    "a refund without a reason": (
        Invalid, "reason", lambda s, a, b, c: ledger.refund(s, account_id=a.id, amount=1, reason=" ", key="k")),
    "a correction without a reason": (
        Invalid, "reason", lambda s, a, b, c: ledger.correct(s, account_id=a.id, amount=1, reason="", key="k")),
    "a correction of nothing": (
        Invalid, "amount", lambda s, a, b, c: ledger.correct(s, account_id=a.id, amount=0, reason="x", key="k")),
    "a transfer above the balance": (
        Invalid, "amount", lambda s, a, b, c: ledger.transfer(s, account_id=a.id, to_id=b.id, amount=1001, key="k")),
    "a transfer to itself": (
        Invalid, "to_id", lambda s, a, b, c: ledger.transfer(s, account_id=a.id, to_id=a.id, amount=1, key="k")),
    "a transfer to somebody else": (
        Invalid, "to_id", lambda s, a, b, c: ledger.transfer(s, account_id=a.id, to_id=c.id, amount=1, key="k")),
    "a transfer of less than the other currency has": (
        Invalid, "amount", lambda s, a, b, c: ledger.transfer(s, account_id=a.id, to_id=b.id, amount=1, key="k")),
    **{f"a refund of {n}": (
        Invalid, "amount", lambda s, a, b, c, n=n: ledger.refund(s, account_id=a.id, amount=n, reason="x", key="k"))
       for n in BAD},
    **{f"a transfer of {n}": (
        Invalid, "amount", lambda s, a, b, c, n=n: ledger.transfer(s, account_id=a.id, to_id=b.id, amount=n, key="k"))
       for n in BAD},
    **{f"a correction of {n}": (
        Invalid, "amount", lambda s, a, b, c, n=n: ledger.correct(s, account_id=a.id, amount=n, reason="x", key="k"))
       for n in (2**63, -(2**63), 10**16)},
}  # fmt: skip


@on_sqlite
@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_refused_changes_nothing(what: str) -> None:
    problem, field, wrong = REFUSED[what]
    async with unit() as session:
        customer = await create_customer(session)
        account = await create_account(session, customer=customer, balance=1000)
        other = await create_account(session, customer=customer, currency="JPY")
        foreign = await create_account(session, customer=await create_customer(session))
        await create_exchange_rate(session, quote="JPY", rate=10_000_000)
        before = await session.scalar(select(func.count()).select_from(Transaction))
        with pytest.raises(problem) as refused:
            await wrong(session, account, other, foreign)
        assert isinstance(refused.value, Invalid) and set(refused.value.fields) == {field}
        assert await session.scalar(select(func.count()).select_from(Transaction)) == before
        assert account.balance == 1000


async def test_a_closed_customer_gets_refunds_and_corrections_only() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        one = await create_account(session, customer=customer, balance=1000)
        two = await create_account(session, customer=customer, currency="USD")
        await create_exchange_rate(session)
        await customers.close_customer(session, customer=customer)
        with pytest.raises(Conflict):
            await billing.charge(session, account_id=one.id, key="k", description="x", net=5)
        with pytest.raises(Conflict):
            await ledger.transfer(session, account_id=one.id, to_id=two.id, amount=5, key="k")
        await ledger.correct(session, account_id=one.id, amount=-100, reason="x", key="c")
        await ledger.refund(session, account_id=one.id, amount=900, reason="x", key="r")
        assert one.balance == 0


async def test_an_expense_is_taken_back_once_and_not_past_its_invoice() -> None:
    async with unit() as session:
        account = await create_account(session, customer=await create_customer(session), balance=1000)
        expense = await billing.charge(session, account_id=account.id, key="k", description="Hosting", net=100, tax=19)
        assert (account.balance, expense.amount) == (881, 119)
        assert (await billing.charge(session, account_id=account.id, key="k", description="x", net=1)).id == expense.id
        with pytest.raises(Invalid) as refused:
            await billing.take_back(session, expense=expense, reason="")
        assert set(refused.value.fields) == {"reason"}
        await billing.take_back(session, expense=expense, reason="Not ordered")
        assert account.balance == 1000 and await _own(session, AccountKind.TAX) == 0
        with pytest.raises(Conflict):
            await billing.take_back(session, expense=expense, reason="Again")
        invoice = await create_invoice(
            session, account=account, status=InvoiceStatus.ISSUED, number="2026-1", issued_on=expense.on_day
        )
        billed = await billing.charge(
            session, account_id=account.id, key="i", description="Sold", net=1, invoice_id=invoice.id
        )
        with pytest.raises(Conflict, match="2026-1"):
            await billing.take_back(session, expense=billed, reason="x")


async def test_what_is_booked_keeps_its_customer_and_payer() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        payer = await create_payer(session, customer=customer)
        account = await create_account(session, customer=customer)
        assert await customers.refusals(session, customer) == []
        await create_payment(session, account=account, payer_id=payer.id)
        assert len(await customers.refusals(session, customer)) == 1
        await ledger.correct(session, account_id=account.id, amount=5, reason="x", key="c")
        assert len(await customers.refusals(session, customer)) == 2
        with pytest.raises(Conflict):
            await customers.delete_customer(session, customer=customer)
        with pytest.raises(Conflict):
            await billing.delete_payer(session, payer=payer)
        empty = await create_customer(session)
        await create_account(session, customer=empty)
        await customers.delete_customer(session, customer=empty)
        assert await session.scalar(select(func.count()).select_from(Account).where(Account.kind == "customer")) == 1
        assert customer.status is not CustomerStatus.CLOSED


@on_sqlite
async def test_an_account_that_is_none_of_a_customer_is_refused() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        own = await ledger.own_account(session, project_id=customer.project_id, kind=AccountKind.CASH, currency="EUR")
        for missing in (own, 10**9):
            with pytest.raises(Conflict):
                await ledger.correct(session, account_id=missing, amount=5, reason="x", key="c")
            with pytest.raises(NotFound):
                await ledger.locked(session, [missing])
