"""Payments: made, paid, paid back, refused; each booked once, and nothing changed by what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import reads, unit
from app.domain.billing import payments, refunds
from app.domain.billing.payments import PAYMENT_MOVES
from app.domain.ledger import LARGEST
from app.errors import AppError, Conflict, Invalid
from app.models.billing import Gateway, Payment, PaymentEvent, PaymentStatus
from app.models.customers import CustomerStatus
from app.models.ledger import Account, AccountKind, Entry, Transaction
from tests import factories
from tests.factories import create_account, create_customer, create_payer, create_payment_method

pytestmark = pytest.mark.usefixtures("database")


async def balance_of(account_id: int) -> int:
    async with reads() as session:
        found = await session.scalar(select(Account.balance).where(Account.id == account_id))
        total = await session.scalar(select(func.coalesce(func.sum(Entry.amount), 0)))
        assert total == 0 or found is None
        assert found is not None
        return found


async def of(payment_id: int) -> Payment:
    async with reads() as session:
        return (await session.scalars(select(Payment).where(Payment.id == payment_id))).one()


async def made(gateway: Gateway = Gateway.BY_HAND, balance: int = 0, **kw: Any) -> Payment:
    """A new payment of 10.00 EUR."""
    async with unit() as session:
        account = await create_account(session, customer=await create_customer(session), balance=balance)
        method = await create_payment_method(session, gateway=gateway)
        kw = {"amount": 1000, "account_id": account.id, "method_id": method.id} | kw
        return await payments.create_payment(session, customer_id=account.customer_id or 0, **kw)


async def paid(**kw: Any) -> Payment:
    payment = await made(**kw)
    async with unit() as session:
        return await payments.set_paid(session, payment_id=payment.id)


async def test_a_payment_is_credited_once_when_it_is_paid() -> None:
    payment = await made()
    assert (payment.status, payment.number, payment.account_amount) == (PaymentStatus.NEW, f"P-{payment.id}", 1000)
    assert await balance_of(payment.account_id) == 0
    async with unit() as session:
        await payments.set_paid(session, payment_id=payment.id, number="2026/17")
    assert await balance_of(payment.account_id) == 1000
    with pytest.raises(Conflict):
        async with unit() as session:
            await payments.set_paid(session, payment_id=payment.id)
    found = await of(payment.id)
    assert await balance_of(payment.account_id) == 1000
    assert (found.status, found.number, found.paid_at is not None) == (PaymentStatus.PAID, "2026/17", True)
    async with reads() as session:
        assert await session.scalar(select(Transaction.key)) == f"payment:{payment.id}"


async def test_a_bank_transfer_waits_and_an_account_is_opened_for_its_currency() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        method = await create_payment_method(session, gateway=Gateway.BANK)
        payment = await payments.create_payment(
            session, customer_id=customer.id, method_id=method.id, amount=500, currency="JPY"
        )
        assert payment.status is PaymentStatus.PENDING
        account = (await session.scalars(select(Account).where(Account.id == payment.account_id))).one()
        assert (account.currency, account.customer_id, account.kind) == ("JPY", customer.id, AccountKind.CUSTOMER)


@pytest.mark.parametrize(
    ("given", "field"),
    [({"amount": 0}, "amount"), ({"amount": -5}, "amount"), ({"amount": LARGEST + 1}, "amount"),
     ({"amount": 2**70}, "amount"), ({"amount": 1.5}, "amount"), ({"amount": True}, "amount"),
     ({"amount": float("nan")}, "amount"), ({"currency": "XXY"}, "currency"), ({"currency": "USD"}, "currency"),
     ({"customer_id": 999_999}, "customer_id"), ({"method_id": 999_999}, "method_id"),
     ({"payer_id": "theirs"}, "payer_id"), ({"account_id": "theirs"}, "account_id"),
     ({"invoice_id": "theirs"}, "invoice_id"), ({"invoice_id": "draft"}, "invoice_id"),
     ({"customer_id": "closed"}, "customer_id"), ({"number": "x" * 41}, "number")],
)  # fmt: skip
async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_made(given: dict[str, Any], field: str) -> None:
    async with unit() as session:
        account = await create_account(session, customer=await create_customer(session))
        other = await create_account(session, customer=await create_customer(session))
        closed = await create_customer(session, status=CustomerStatus.CLOSED)
        theirs = {
            "payer_id": (await create_payer(session, customer_id=other.customer_id)).id, "account_id": other.id,
            "invoice_id": (await factories.create_invoice(session, account=other)).id,
        }  # fmt: skip
        draft = await factories.create_invoice(session, account=account)
        words = {"theirs": theirs.get(field), "closed": closed.id, "draft": draft.id}
        method = await create_payment_method(session)
    values = {"customer_id": account.customer_id, "account_id": account.id, "method_id": method.id, "amount": 100}
    for name, value in given.items():
        values[name] = words[value] if isinstance(value, str) and value in words else value
    if given.get("customer_id") == "closed":
        values.pop("account_id")
    with pytest.raises(Invalid) as refused:
        async with unit() as session:
            await payments.create_payment(session, **values)  # type: ignore[arg-type]
    assert set(refused.value.fields) == {field}
    async with reads() as session:
        assert await session.scalar(select(func.count()).select_from(Payment)) == 0


async def test_another_currency_is_counted_by_the_rate_of_the_day() -> None:
    async with unit() as session:
        await factories.create_exchange_rate(session, base="EUR", quote="USD", rate=1_250_000_000)
    payment = await paid(amount=1000, currency="USD")
    assert (payment.amount, payment.account_amount, payment.account_currency) == (1000, 800, "EUR")
    assert await balance_of(payment.account_id) == 800
    async with unit() as session:
        for part in (333, 333, 134):
            await refunds.refund(session, payment_id=payment.id, amount=part, reason="Too much")
    assert await balance_of(payment.account_id) == 0
    async with reads() as session:
        parts = [e.details["paid_part"] for e in await session.scalars(select(PaymentEvent))]
        rows = await session.execute(
            select(Account.currency, func.sum(Entry.amount)).join(Entry).group_by(Account.id).where(Entry.amount != 0)
        )
        assert sum(parts) == 1000 and all(total == 0 for _currency, total in rows)


async def test_paying_back_in_parts_never_exceeds_what_was_paid() -> None:
    payment = await paid()
    async with unit() as session:
        await refunds.refund(session, payment_id=payment.id, amount=400, reason="Half of it")
    assert (await of(payment.id)).status is PaymentStatus.PAID and await balance_of(payment.account_id) == 600
    for amount, reason, field in ((601, "Too much", "amount"), (0, "Nothing", "amount"), (10, " ", "reason")):
        with pytest.raises(Invalid) as refused:
            async with unit() as session:
                await refunds.refund(session, payment_id=payment.id, amount=amount, reason=reason)
        assert set(refused.value.fields) == {field}
    async with unit() as session:
        await refunds.refund(session, payment_id=payment.id, amount=600, reason="The rest")
    found = await of(payment.id)
    assert (found.status, found.refunded) == (PaymentStatus.REFUNDED, 1000)
    with pytest.raises(Conflict):
        async with unit() as session:
            await refunds.refund(session, payment_id=payment.id, amount=1, reason="Again")
    assert await balance_of(payment.account_id) == 0


async def test_what_was_spent_is_paid_back_only_when_that_is_said() -> None:
    payment = await paid()
    async with unit() as session:
        account = (await session.scalars(select(Account).where(Account.id == payment.account_id))).one()
        await factories.book(session, account, -700)
    with pytest.raises(Invalid):
        async with unit() as session:
            await refunds.refund(session, payment_id=payment.id, amount=1000, reason="All")
    async with unit() as session:
        await refunds.refund(session, payment_id=payment.id, amount=1000, reason="All", below_zero=True)
    assert await balance_of(payment.account_id) == -700


async def test_fraud_takes_back_what_is_left_of_it() -> None:
    payment = await paid()
    async with unit() as session:
        await refunds.refund(session, payment_id=payment.id, amount=300, reason="A part")
    async with unit() as session:
        await payments.mark_fraud(session, payment_id=payment.id, reason="Stolen card")
    assert await balance_of(payment.account_id) == 0
    assert (await of(payment.id)).status is PaymentStatus.FRAUD


async def test_a_refund_that_failed_is_on_the_account_again() -> None:
    payment = await paid()
    async with unit() as session:
        event = await refunds.refund(session, payment_id=payment.id, amount=1000, reason="All")
    for _ in range(2):
        async with unit() as session:
            await refunds.refund_failed(session, event_id=event.id, reason="no such card")
    found = await of(payment.id)
    assert (found.status, found.refunded, await balance_of(payment.account_id)) == (PaymentStatus.PAID, 0, 1000)
    assert "no such card" in found.doubt
    async with unit() as session:
        await refunds.refund(session, payment_id=payment.id, amount=1000, reason="Now")
    assert await balance_of(payment.account_id) == 0


VERBS: dict[PaymentStatus, Callable[[Any, int], Awaitable[object]]] = {
    PaymentStatus.PAID: lambda s, i: payments.set_paid(s, payment_id=i),
    PaymentStatus.CANCELLED: lambda s, i: payments.cancel(s, payment_id=i),
    PaymentStatus.FRAUD: lambda s, i: payments.mark_fraud(s, payment_id=i, reason="No"),
    PaymentStatus.REFUNDED: lambda s, i: refunds.refund(s, payment_id=i, amount=1000, reason="No"),
}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("now", PaymentStatus)
@pytest.mark.parametrize("then", VERBS)
async def test_only_the_moves_of_the_table_are_made(now: PaymentStatus, then: PaymentStatus) -> None:
    payment = await made(gateway=Gateway.BANK) if now is PaymentStatus.PENDING else await made()
    for step in {PaymentStatus.REFUNDED: (PaymentStatus.PAID, now)}.get(now, (now,)):
        if step in VERBS:
            async with unit() as session:
                await VERBS[step](session, payment.id)
    legal = then in PAYMENT_MOVES[now] and not (now is PaymentStatus.REFUNDED and then is PaymentStatus.PAID)
    try:
        async with unit() as session:
            await VERBS[then](session, payment.id)
    except Conflict as refused:
        assert not legal and str(refused)
        assert (await of(payment.id)).status is now
    else:
        assert legal
        assert (await of(payment.id)).status is then


async def test_what_was_told_to_the_payer_does_not_change() -> None:
    payment = await made()
    async with unit() as session:
        row = await payments.locked(session, payment.id)
        await payments.change_payment(session, payment=row, values={"amount": 2000, "note": "By phone"})
        assert (row.amount, row.account_amount) == (2000, 2000)
        await payments.set_paid(session, payment_id=payment.id)
        await payments.change_payment(session, payment=row, values={"number": "R 5", "amount": 2000})
    with pytest.raises(Invalid) as refused:
        async with unit() as session:
            row = await payments.locked(session, payment.id)
            await payments.change_payment(session, payment=row, values={"amount": 1, "note": "x"})
    assert set(refused.value.fields) == {"amount"} and (await of(payment.id)).note == "By phone"


async def test_many_at_once_credit_once() -> None:
    payment = await made()

    async def press() -> bool:
        try:
            async with unit() as session:
                await payments.set_paid(session, payment_id=payment.id)
        except AppError:
            return False
        return True

    assert (await asyncio.gather(*(press() for _ in range(12)))).count(True) == 1
    assert await balance_of(payment.account_id) == 1000
