"""Invoices: what they sum to, numbers without gaps, that what is issued stays, how they are paid and credited."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.db import reads, unit, utcnow
from app.domain import billing
from app.domain.billing import LineIn
from app.domain.billing.lines import of_rates
from app.domain.ledger import invariants
from app.errors import Conflict, Invalid
from app.models.billing import (
    FROZEN,
    Expense,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceStatus,
    LineKind,
    NumberSeries,
    PayerKind,
    PaymentStatus,
)
from app.models.customers import CustomerStatus
from app.models.ledger import Account, Entry
from tests.factories import (
    book,
    create_account,
    create_customer,
    create_expense,
    create_payer,
    create_payment,
    create_project,
    create_tax_rate,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("database")
TODAY = utcnow().date()


async def world(session: Any, *, balance: int = 0, rate: int = 1900, with_tax: bool = True, **kw: Any) -> Account:
    project = await create_project(session, country="DE", prices_with_tax=with_tax, legal_name="Nordhost GmbH")
    customer = await create_customer(session, project=project, country="DE")
    if rate:
        await create_tax_rate(session, name="VAT", rate=rate)
    return await create_account(session, customer=customer, balance=balance, **kw)


async def draft(session: Any, account: Account, *lines: LineIn, **kw: Any) -> Invoice:
    lines = lines or (LineIn("Hosting", 11900),)
    return await billing.draft_invoice(session, customer_id=account.customer_id, lines=lines, **kw)


async def issued(session: Any, account: Account, *lines: LineIn, **kw: Any) -> Invoice:
    return await billing.issue_invoice(session, invoice=await draft(session, account, *lines, **kw))


async def balance(session: Any, account: Account) -> int:
    await session.refresh(account)
    return account.balance


async def test_amounts_are_counted_line_by_line_and_summed_by_rate() -> None:
    async with unit() as session:
        account = await world(session, with_tax=False)
        invoice = await draft(
            session, account, LineIn("A", 333, quantity=1500), LineIn("B", 1000, discount=100), LineIn("C", 1)
        )
        assert [(x.net, x.tax, x.total) for x in invoice.lines] == [(500, 95, 595), (900, 171, 1071), (1, 0, 1)]
        assert (invoice.net, invoice.tax, invoice.total) == (1401, 266, 1667)
        assert of_rates(invoice.lines) == [(1900, "VAT", 1401, 266)]
        await billing.change_draft(session, invoice=invoice, lines=[LineIn("D", 200), LineIn("A", 100)], note="Thanks")
        assert [(x.position, x.description, x.total) for x in invoice.lines] == [(1, "D", 238), (2, "A", 119)]
        assert (invoice.total, invoice.note, invoice.status) == (357, "Thanks", InvoiceStatus.DRAFT)


@pytest.mark.parametrize(
    ("line", "field"),
    [(LineIn("", 100), "description"), (LineIn("x" * 501, 100), "description"), (LineIn("A", -1), "price"),
     (LineIn("A", 10**16), "price"), (LineIn("A", 2**63), "price"), (LineIn("A", 10**14, quantity=10**6), "price"),
     (LineIn("A", 1, quantity=0), "quantity"), (LineIn("A", 1, quantity=-1000), "quantity"),
     (LineIn("A", 100, discount=101), "discount"), (LineIn("A", 100, discount=-1), "discount")],
)  # fmt: skip
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_bad_lines_are_refused_at_their_field(line: LineIn, field: str) -> None:
    async with unit() as session:
        account = await world(session)
        with pytest.raises(Invalid) as refused:
            await draft(session, account, LineIn("Good", 100), line)
        assert set(refused.value.fields) == {f"lines-1-{field}"}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_else_is_wrong_is_refused() -> None:
    async with unit() as session:
        account = await world(session)
        other = await create_payer(session, customer=await create_customer(session))
        for kw, field in (
            ({"payer_id": other.id}, "payer_id"), ({"currency": "XXY"}, "currency"),
            ({"due_on": TODAY - timedelta(days=1)}, "due_on"), ({"note": "x" * 2001}, "note"),
        ):  # fmt: skip
            with pytest.raises(Invalid) as refused:
                await draft(session, account, **kw)  # type: ignore[arg-type]
            assert set(refused.value.fields) == {field}
        with pytest.raises(Invalid) as refused:
            await billing.draft_invoice(session, customer_id=account.customer_id, lines=[])
        assert set(refused.value.fields) == {"lines"}
        with pytest.raises(Invalid):
            await issued(session, account, LineIn("Free", 0))
        customer = await create_customer(session, status=CustomerStatus.CLOSED)
        with pytest.raises(Conflict):
            await billing.draft_invoice(session, customer_id=customer.id, lines=[LineIn("A", 1)])


async def test_a_due_day_that_passed_while_it_was_a_draft_is_refused_when_it_is_issued() -> None:
    async with unit() as session:
        account = await world(session)
        invoice = await draft(session, account, due_on=TODAY)
        with pytest.raises(Invalid) as refused:
            await billing.issue_invoice(session, invoice=invoice, day=TODAY + timedelta(days=1))
        assert set(refused.value.fields) == {"due_on"} and invoice.number is None


async def test_issuing_freezes_the_sides_and_counts_the_tax_of_the_day() -> None:
    async with unit() as session:
        account = await world(session)
        customer = account.customer_id
        payer = await create_payer(
            session, customer_id=customer, name="Rue SARL", kind=PayerKind.COMPANY, country="FR",
            vat_number="FR40303265045", legal_address="1 Rue de Paris",
        )  # fmt: skip
        invoice = await draft(session, account, payer_id=payer.id)
        assert invoice.reverse_charge and invoice.tax == 0
        await billing.issue_invoice(session, invoice=invoice)
        assert invoice.status is InvoiceStatus.ISSUED and invoice.issued_on == TODAY
        assert invoice.due_on == TODAY + timedelta(days=14)
        assert invoice.number == f"{TODAY.year}-00001"
        payer.name = "Renamed"
        await session.delete(payer)
        await session.flush()
        await session.refresh(invoice)
        assert invoice.payer_id is None
        assert invoice.sides["payer"] | {"kind": 0} == {
            "name": "Rue SARL", "contact": "", "email": invoice.sides["payer"]["email"], "country": "FR",
            "address": "1 Rue de Paris", "vat_number": "FR40303265045", "kind": 0,
        }  # fmt: skip
        assert invoice.sides["seller"]["name"] == "Nordhost GmbH"
        for late in (billing.issue_invoice, billing.delete_draft):
            with pytest.raises(Conflict):
                await late(session, invoice=invoice)
        with pytest.raises(Conflict):
            await billing.change_draft(session, invoice=invoice, lines=[LineIn("A", 1)])


async def test_twenty_at_once_get_numbers_without_gaps_and_one_that_fails_leaves_none() -> None:
    async with unit() as session:
        account = await world(session)
        ids = [(await draft(session, account)).id for _ in range(21)]

    async def issue(place: int) -> None:
        async with unit() as session:
            invoice = await billing.issue_invoice(session, invoice=await session.get_one(Invoice, ids[place]))
            if place == 7:
                raise RuntimeError(invoice.number)

    done = await asyncio.gather(*(issue(n) for n in range(21)), return_exceptions=True)
    assert [type(x) for x in done if x is not None] == [RuntimeError]
    async with unit() as session:
        numbers = set(await session.scalars(select(Invoice.number).where(Invoice.number.is_not(None))))
        assert numbers == {f"{TODAY.year}-{n:05}" for n in range(1, 21)}


async def test_series_begin_anew_each_year_and_pass_over_numbers_that_were_brought() -> None:
    async with unit() as session:
        account = await world(session)
        session.add(NumberSeries(project_id=account.project_id, kind="invoice", pattern="R{number}-{year}"))
        await session.flush()
        brought = await draft(session, account)
        brought.number, brought.status = f"R2-{TODAY.year}", InvoiceStatus.CANCELLED
        await session.flush()
        made = [(await issued(session, account)).number for _ in range(2)]
        later = await draft(session, account)
        await billing.issue_invoice(session, invoice=later, day=date(TODAY.year + 1, 1, 1))
        assert [*made, later.number] == [f"R1-{TODAY.year}", f"R3-{TODAY.year}", f"R1-{TODAY.year + 1}"]


@pytest.mark.parametrize("column", [*FROZEN, "lines", "line", "draft", "delete", "delete line", "new line"])
async def test_the_database_itself_refuses_changes_of_what_is_issued(column: str) -> None:
    async with unit() as session:
        invoice = await issued(session, await world(session))
        one = {"id": invoice.id}
    changes = {
        "lines": "UPDATE invoice_line SET total = total + 1, net = net + 1 WHERE invoice_id = :id",
        "line": "UPDATE invoice_line SET description = 'x' WHERE invoice_id = :id",
        "draft": "UPDATE invoice SET status = 'draft' WHERE id = :id",
        "delete": "DELETE FROM invoice WHERE id = :id",
        "delete line": "DELETE FROM invoice_line WHERE invoice_id = :id",
        "new line": "INSERT INTO invoice_line (invoice_id, position, kind, description, quantity, unit_price, discount,"
        " tax_rate, net, tax, total) VALUES (:id, 9, 'sale', 'x', 1000, 1, 0, 0, 1, 0, 1)",
        "net": "UPDATE invoice SET net = net + 1, tax = tax - 1 WHERE id = :id",
        "tax": "UPDATE invoice SET tax = tax + 1, net = net - 1 WHERE id = :id",
        "total": "UPDATE invoice SET total = total + 1, net = net + 1 WHERE id = :id",
        "reverse_charge": "UPDATE invoice SET reverse_charge = NOT reverse_charge WHERE id = :id",
        "sides": "UPDATE invoice SET sides = '{\"payer\": 1}' WHERE id = :id",
        "key": "UPDATE invoice SET key = 'x' WHERE id = :id",
        "credits_id": "UPDATE invoice SET credits_id = id WHERE id = :id",
        "kind": "UPDATE invoice SET kind = 'credit_note' WHERE id = :id",
    }
    other = {"number": "'X'", "currency": "'USD'", "language": "'ru'", "note": "'x'", "issued_on": "'2020-01-01'",
             "due_on": "'2020-01-01'"}.get(column, f"{column} + 1")  # fmt: skip
    with pytest.raises(DBAPIError, match="stays as it is"):
        async with unit() as session:
            await session.execute(
                text(changes.get(column, f"UPDATE invoice SET {column} = {other} WHERE id = :id")), one
            )


async def test_what_goes_on_after_issuing_may_go_on_and_what_paid_stays() -> None:
    async with unit() as session:
        account = await world(session, balance=20000)
        invoice = await issued(session, account)
        invoice.reminded_on = TODAY
        await billing.pay_from_balance(session, invoice=invoice)
        assert invoice.status is InvoiceStatus.PAID
    for change in ("UPDATE invoice_payment SET amount = 1", "DELETE FROM invoice_payment"):
        with pytest.raises(DBAPIError, match="stays"):
            async with unit() as session:
                await session.execute(text(change))


async def test_paying_from_the_balance_charges_once_and_says_when_it_is_not_enough() -> None:
    async with unit() as session:
        account = await world(session, balance=11899)
        invoice = await issued(session, account)
        with pytest.raises(Conflict):
            await billing.pay_from_balance(session, invoice=invoice)
        assert (invoice.status, invoice.paid, await balance(session, account)) == (InvoiceStatus.ISSUED, 0, 11899)
        await book(session, account, 1)
        await billing.pay_from_balance(session, invoice=invoice)
        assert (invoice.status, invoice.paid, await balance(session, account)) == (InvoiceStatus.PAID, 11900, 0)
        expense = (await session.scalars(select(Expense))).one()
        assert (expense.net, expense.tax, expense.tax_rate, expense.invoice_id) == (10000, 1900, 1900, invoice.id)
        row = (await session.scalars(select(InvoicePayment))).one()
        assert (row.amount, row.transaction_id) == (11900, expense.transaction_id)
        assert await billing.settle_invoice(session, invoice_id=invoice.id)
        with pytest.raises(Conflict):
            await billing.pay_from_balance(session, invoice=invoice)
        assert await balance(session, account) == 0


async def paid(session: Any, account: Account, amount: int, invoice: Invoice | None = None) -> Any:
    transaction_id = await book(session, account, amount)
    return await create_payment(
        session, account=account, amount=amount, status=PaymentStatus.PAID, transaction_id=transaction_id,
        invoice_id=invoice.id if invoice else None,
    )  # fmt: skip


async def test_a_payment_pays_its_invoice_as_soon_as_it_is_enough() -> None:
    async with unit() as session:
        account = await world(session)
        invoice = await issued(session, account)
        first = await paid(session, account, 11000, invoice)
        assert not await billing.settle_invoice(session, invoice_id=invoice.id, payment=first)
        assert (invoice.paid, await balance(session, account)) == (0, 11000)
        second = await paid(session, account, 1000, invoice)
        assert await billing.settle_invoice(session, invoice_id=invoice.id, payment=second)
        assert await billing.settle_invoice(session, invoice_id=invoice.id, payment=second)
        assert (invoice.paid, await balance(session, account)) == (11900, 100)


async def test_funds_that_are_asked_for_are_covered_by_payments_alone() -> None:
    async with unit() as session:
        account = await world(session, balance=50000)
        invoice = await issued(session, account, LineIn("Funds", 5000, kind=LineKind.ADVANCE))
        assert (invoice.tax, invoice.total) == (0, 5000)
        with pytest.raises(Conflict):
            await billing.pay_from_balance(session, invoice=invoice)
        first = await paid(session, account, 2000, invoice)
        for _ in range(2):
            assert not await billing.settle_invoice(session, invoice_id=invoice.id, payment=first)
        assert invoice.paid == 2000
        second = await paid(session, account, 4000, invoice)
        assert await billing.settle_invoice(session, invoice_id=invoice.id, payment=second)
        assert (invoice.paid, await balance(session, account)) == (5000, 56000)
        amounts = (await session.scalars(select(InvoicePayment.amount).order_by(InvoicePayment.id))).all()
        assert amounts == [2000, 3000]
        assert (await session.scalars(select(Expense))).all() == []


async def test_what_was_charged_before_is_not_charged_again() -> None:
    async with unit() as session:
        account = await world(session, post_paid=True)
        expense = await create_expense(session, account=account, amount=1000)
        line = LineIn("Hosting", 1000, kind=LineKind.EXPENSE, parts=(1000, 0), expense_id=expense.id)
        invoice = await issued(session, account, line)
        assert not await billing.settle_invoice(session, invoice_id=invoice.id)
        payment = await paid(session, account, 1000, invoice)
        assert await billing.settle_invoice(session, invoice_id=invoice.id, payment=payment)
        assert (invoice.paid, await balance(session, account)) == (1000, 0)


async def entries(session: Any) -> int:
    return sum((await session.scalars(select(Entry.amount))).all())


async def test_a_credit_note_gives_back_what_was_charged_and_cancels_the_invoice() -> None:
    async with unit() as session:
        account = await world(session, balance=20000)
        invoice = await issued(session, account)
        await billing.pay_from_balance(session, invoice=invoice)
        note = await billing.credit_invoice(session, invoice=invoice, reason="Wrong product")
        assert note.number == f"C{TODAY.year}-00001" and note.credits_id == invoice.id
        assert (note.total, note.paid, note.status) == (11900, 11900, InvoiceStatus.PAID)
        assert (invoice.status, await balance(session, account)) == (InvoiceStatus.CANCELLED, 20000)
        expense = (await session.scalars(select(Expense))).one()
        assert expense.reversed_by_id is not None and note.sides == invoice.sides
        with pytest.raises(Conflict):
            await billing.credit_invoice(session, invoice=invoice, reason="Again")
        assert await entries(session) == 0


async def test_parts_are_credited_line_by_line_and_never_more_than_is_left() -> None:
    async with unit() as session:
        account = await world(session, balance=30000)
        invoice = await issued(session, account, LineIn("A", 11900), LineIn("B", 333))
        await billing.pay_from_balance(session, invoice=invoice)
        left = await balance(session, account)
        first = await billing.credit_invoice(session, invoice=invoice, reason="Part", parts={1: 5000})
        assert [(x.position, x.net, x.tax) for x in first.lines] == [(1, 4202, 798)]
        assert (invoice.status, await balance(session, account)) == (InvoiceStatus.PAID, left + 5000)
        for parts in ({1: 6901}, {2: 334}, {1: -1}):
            with pytest.raises(Invalid) as refused:
                await billing.credit_invoice(session, invoice=invoice, reason="Too much", parts=parts)
            assert next(iter(refused.value.fields)).endswith("-amount")
        with pytest.raises(Invalid):
            await billing.credit_invoice(session, invoice=invoice, reason="Nothing", parts={})
        with pytest.raises(Invalid):
            await billing.credit_invoice(session, invoice=invoice, reason=" ")
        last = await billing.credit_invoice(session, invoice=invoice, reason="The rest")
        assert (first.net + last.net, first.tax + last.tax) == (invoice.net, invoice.tax)
        expense = (await session.scalars(select(Expense))).one()
        with pytest.raises(Conflict):
            await billing.take_back(session, expense=expense, reason="Once more")
        assert (invoice.status, await balance(session, account)) == (InvoiceStatus.CANCELLED, 30000)
        assert await entries(session) == 0


async def test_an_unpaid_invoice_is_credited_as_a_whole_and_nothing_is_booked() -> None:
    async with unit() as session:
        account = await world(session, balance=5)
        invoice = await issued(session, account)
        with pytest.raises(Conflict):
            await billing.credit_invoice(session, invoice=await draft(session, account), reason="A draft")
        note = await billing.credit_invoice(session, invoice=invoice, reason="Wrong")
        assert (note.paid, invoice.status, await balance(session, account)) == (0, InvoiceStatus.CANCELLED, 5)
        assert not await billing.settle_invoice(session, invoice_id=invoice.id)
        with pytest.raises(Conflict):
            await billing.pay_from_balance(session, invoice=invoice)
        with pytest.raises(Conflict):
            await billing.credit_invoice(session, invoice=note, reason="Of a note")


async def test_what_was_made_for_a_key_is_made_once_and_a_draft_can_be_deleted() -> None:
    async with unit() as session:
        account = await world(session)
        first = await draft(session, account, key="auto:1")
        assert (await draft(session, account, LineIn("B", 1), key="auto:1")) is first
        await billing.delete_draft(session, invoice=first)
        assert (await session.scalars(select(InvoiceLine))).all() == []


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_invoices_book_keeps_the_invariants_of_the_ledger() -> None:
    async with unit() as session:
        account = await world(session, balance=60000)
        paid_one, part, whole, unpaid = [
            await issued(session, account, LineIn("A", 5000), LineIn("B", 3333)) for _ in range(4)
        ]
        for invoice in (paid_one, part, whole):
            await billing.pay_from_balance(session, invoice=invoice)
        await billing.credit_invoice(session, invoice=part, reason="Part", parts={2: 1000})
        for invoice in (whole, unpaid):
            await billing.credit_invoice(session, invoice=invoice, reason="Whole")
        asked = await issued(session, account, LineIn("Funds", 5000, kind=LineKind.ADVANCE))
        payment = await paid(session, account, 5000, asked)
        await billing.settle_invoice(session, invoice_id=asked.id, payment=payment)
    async with reads() as session:
        assert [breach.what for breach in await invariants.check(session)] == []
