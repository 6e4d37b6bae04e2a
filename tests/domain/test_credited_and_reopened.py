"""Invoices that are credited in parts, paid or not, and those whose payment goes back."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.db import reads, unit
from app.domain import billing
from app.domain.billing import LineIn, payments, refunds, reminders
from app.domain.ledger import invariants
from app.errors import AppError
from app.models.billing import Expense, Invoice, InvoicePayment, InvoiceStatus, LineKind, Payment, PaymentStatus
from app.models.jobs import Job
from app.models.ledger import Account
from tests.domain.test_invoices import TODAY, balance, issued, world
from tests.factories import create_expense, create_payment

pytestmark = pytest.mark.usefixtures("database")
ISSUED, PAID, OVERDUE, CANCELLED = (
    InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.OVERDUE, InvoiceStatus.CANCELLED,
)  # fmt: skip


async def pay(session: Any, account: Account, invoice: Invoice | None, amount: int) -> Payment:
    wanted = invoice.id if invoice is not None else None
    payment = await create_payment(session, account=account, amount=amount, invoice_id=wanted)
    return await payments.set_paid(session, payment_id=payment.id)


async def sound() -> None:
    async with reads() as session:
        assert [b.what for b in await invariants.check(session)] == []


async def test_an_unpaid_invoice_is_credited_in_parts_and_the_rest_is_paid_and_charged() -> None:
    async with unit() as session:
        account = await world(session)
        invoice = await issued(session, account, LineIn("A", 11900), LineIn("B", 333))
        note = await billing.credit_invoice(session, invoice=invoice, reason="Less", parts={1: 1900})
        assert (note.total, note.paid, invoice.status, invoice.left) == (1900, 0, ISSUED, 10333)
        assert await balance(session, account) == 0
        await pay(session, account, invoice, 10333)
        assert (invoice.status, invoice.paid, invoice.left, await balance(session, account)) == (PAID, 10333, 0, 0)
        expense = (await session.scalars(select(Expense))).one()
        assert (expense.amount, expense.net + expense.tax) == (10333, 10333)
        assert expense.net == invoice.net - note.net
        # and what was charged is given back in parts: the expense says how much
        for amount, all_of_it in ((333, False), (10000, True)):
            await billing.credit_invoice(
                session, invoice=invoice, reason="More", parts={2: amount} if amount == 333 else None
            )
            assert (expense.credited == expense.amount, expense.reversed_by_id is not None) == (all_of_it, all_of_it)
        assert (invoice.status, await balance(session, account)) == (CANCELLED, 10333)
    await sound()


async def test_what_was_charged_before_is_given_back_in_parts_and_need_not_be_paid() -> None:
    async with unit() as session:
        account = await world(session, post_paid=True)
        first, second = [await create_expense(session, account=account, amount=n) for n in (1000, 500)]
        lines = [
            LineIn("Hosting", e.amount, kind=LineKind.EXPENSE, parts=(e.net, e.tax), expense_id=e.id)
            for e in (first, second)
        ]
        invoice = await issued(session, account, *lines)
        await billing.credit_invoice(session, invoice=invoice, reason="Was down", parts={1: 400})
        assert (first.credited, second.credited, invoice.left) == (400, 0, 1100)
        assert (first.reversed_by_id, await balance(session, account)) == (None, -1100)
        await pay(session, account, invoice, 1100)
        assert (invoice.status, await balance(session, account)) == (PAID, 0)
        await billing.credit_invoice(session, invoice=invoice, reason="All of it", parts={1: 600})
        assert first.reversed_by_id is not None and await balance(session, account) == 600
    await sound()


@pytest.mark.parametrize("fraud", [True, False])
async def test_a_payment_that_goes_back_opens_its_invoice_again_and_the_next_pays_it(fraud: bool) -> None:
    async with unit() as session:
        account = await world(session)
        sale = await issued(session, account)
        funds = await issued(session, account, LineIn("Funds", 5000, kind=LineKind.ADVANCE), due_on=TODAY)
        by = {one.id: await pay(session, account, one, one.total) for one in (sale, funds)}
        assert {sale.status, funds.status} == {PAID}
        for one in (sale, funds):
            if fraud:
                await payments.mark_fraud(session, payment_id=by[one.id].id, reason="Stolen card")
            else:
                await refunds.refund(
                    session, payment_id=by[one.id].id, amount=one.total, reason="Asked for", below_zero=True
                )
            assert (one.status, one.paid, one.left) == (ISSUED, 0, one.total)
        assert await balance(session, account) == -sale.total  # what was sold stays charged
        assert await reminders.mark_overdue(session, today=TODAY + timedelta(days=1)) == 1
        assert funds.status is OVERDUE
    async with unit() as session:
        n, _after = await reminders.remind(session, today=TODAY + timedelta(days=12))
        assert n == 1  # of the sale, which is due in two days
        assert await session.scalar(select(Job.id).where(Job.name == "invoice.send"))
    await sound()
    async with unit() as session:
        account = await session.get_one(Account, account.id)
        for row in (await session.scalars(select(Invoice).order_by(Invoice.id))).all():
            await pay(session, account, row, row.left)
            assert row.status is PAID
        assert await balance(session, account) == 5000
        assert len((await session.scalars(select(Expense))).all()) == 1
    await sound()


async def test_an_invoice_whose_day_is_over_is_overdue_at_once_and_a_refund_that_fails_pays_it_again() -> None:
    async with unit() as session:
        account = await world(session)
        invoice = await issued(session, account, LineIn("Funds", 5000, kind=LineKind.ADVANCE), due_on=TODAY)
        payment = await pay(session, account, invoice, 6000)
        await refunds.refund(session, payment_id=payment.id, amount=1000, reason="Too much")
        assert invoice.status is PAID  # it still covers the invoice
        event = await refunds.refund(session, payment_id=payment.id, amount=2000, reason="More")
        assert (invoice.status, invoice.left) == (ISSUED, 2000)
        await refunds.refund_failed(session, event_id=event.id, reason="The bank said no")
        assert (invoice.status, invoice.left) == (PAID, 0)
        amounts = (await session.scalars(select(InvoicePayment.amount).order_by(InvoicePayment.id))).all()
        assert amounts == [5000, -2000, 2000]
    await sound()


async def test_what_a_credit_note_gave_back_may_be_paid_back_without_opening_the_invoice() -> None:
    async with unit() as session:
        account = await world(session)
        invoice = await issued(session, account)
        payment = await pay(session, account, invoice, invoice.total)
        await billing.credit_invoice(session, invoice=invoice, reason="Less", parts={1: 1900})
        await refunds.refund(session, payment_id=payment.id, amount=1900, reason="Credited")
        assert (invoice.status, await balance(session, account)) == (PAID, 0)
        await refunds.refund(session, payment_id=payment.id, amount=10000, reason="All", below_zero=True)
        assert (invoice.status, invoice.left, await balance(session, account)) == (ISSUED, 10000, -10000)
    await sound()


@pytest.mark.parametrize("seed", (*range(5), 39))
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_whatever_is_done_with_an_invoice_the_books_agree(seed: int) -> None:
    """Random steps; an invoice that is paid owes nothing, one that owes nothing is paid, and the account holds what
    came in less what was charged and not given back."""
    r = random.Random(seed)
    async with unit() as session:
        account = await world(session, balance=r.choice((0, 7000)), post_paid=r.random() < 0.3)
        begin = account.balance
        before = await create_expense(session, account=account, amount=4000) if account.post_paid else None
        lines = [LineIn("A", 5000), LineIn("Funds", 3000, kind=LineKind.ADVANCE)]
        if before is not None:
            lines.append(LineIn("B", 4000, kind=LineKind.EXPENSE, parts=(before.net, before.tax), expense_id=before.id))
        invoice = await issued(session, account, *r.sample(lines, r.randint(1, len(lines))))
        ids = account.id, invoice.id
    for _step in range(14):
        with suppress(AppError):
            async with unit() as session:
                await _step_of(session, r, *ids)
        async with reads() as session:
            assert [b.what for b in await invariants.check(session)] == []
            account, invoice = await session.get_one(Account, ids[0]), await session.get_one(Invoice, ids[1])
            if invoice.status is not CANCELLED:
                assert invoice.paid >= 0 and invoice.credited >= 0 and invoice.left >= 0
                assert (invoice.status is PAID) == (invoice.left == 0)
            booked = await session.scalars(select(Payment).where(Payment.transaction_id.is_not(None)))
            came = sum(0 if p.status is PaymentStatus.FRAUD else p.account_amount - p.refunded for p in booked)
            charged = sum(e.amount - e.credited for e in await session.scalars(select(Expense)))
            assert account.balance == begin + came - charged


async def _step_of(session: Any, r: random.Random, account_id: int, invoice_id: int) -> None:
    account = await session.get_one(Account, account_id)
    invoice = (
        await session.scalars(select(Invoice).where(Invoice.id == invoice_id).options(selectinload(Invoice.lines)))
    ).one()
    made = (await session.scalars(select(Payment).order_by(Payment.id))).all()
    match r.choice(("pay", "pay", "balance", "credit", "credit", "refund", "fraud")):
        case "pay":
            await pay(session, account, invoice, r.choice((500, 3000, max(invoice.left, 1))))
        case "balance":
            await billing.pay_from_balance(session, invoice=invoice)
        case "credit":
            parts = {line.position: r.choice((0, 700, line.total)) for line in invoice.lines}
            await billing.credit_invoice(session, invoice=invoice, reason="Less", parts=parts)
        case "refund" if made:
            amount, one = r.choice((500, made[-1].account_amount)), r.choice(made)
            await refunds.refund(session, payment_id=one.id, amount=amount, reason="Back", below_zero=True)
        case "fraud" if made and r.random() < 0.4:
            await payments.mark_fraud(session, payment_id=r.choice(made).id, reason="Stolen")
