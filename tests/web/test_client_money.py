"""Money in the client area: the first page, several invoices at once, expenses, the statement, what is typed wrong."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from datetime import date, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from pypdf import PdfReader
from sqlalchemy import func, insert, select

from app import db
from app.db import utcnow
from app.domain import billing
from app.domain.billing import LineIn
from app.domain.billing.payments import set_paid
from app.models.billing import Expense, Invoice, InvoiceStatus, Payment, PaymentInvoice, PaymentMethod
from app.models.catalog import ServiceStatus
from app.models.ledger import Account, Entry, Transaction, TransactionKind
from app.models.users import UserCustomer, UserRole
from tests import factories
from tests.conftest import LONG
from tests.web.helpers import People

on_both = pytest.mark.parametrize("engine_name", ["sqlite", LONG], indirect=True)
INVOICES, PAYMENTS = "/client/invoices", "/client/payments"


@pytest.fixture
def engine_name(request: pytest.FixtureRequest) -> str:
    """What a page shows does not depend on the database; what happens at once does."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
async def held(people: People) -> Account:
    async with db.unit() as session:
        await factories.create_payment_method(session, name="By bank", gateway="bank", instructions="IBAN DE02")
        return await factories.create_account(session, customer=people.customer, balance=30_000)


async def invoices(people: People, *amounts: int) -> list[int]:
    made = []
    async with db.unit() as session:
        for amount in amounts:
            invoice = await billing.draft_invoice(
                session, customer_id=people.customer.id, lines=[LineIn("Hosting", amount)], currency="EUR"
            )
            await billing.issue_invoice(session, invoice=invoice)
            made.append(invoice.id)
    return made


async def state(people: People, ids: list[int]) -> tuple[list[InvoiceStatus], int]:
    """Their statuses, and what is left on the account."""
    async with db.reads() as session:
        rows = (await session.scalars(select(Invoice.status).where(Invoice.id.in_(ids)).order_by(Invoice.id))).all()
        left = select(Account.balance).where(Account.customer_id == people.customer.id)
        return list(rows), (await session.scalars(left)).one()


def many(ids: list[int]) -> str:
    return "&".join(f"invoice={i}" for i in ids)


async def post(client: httpx.AsyncClient, url: str, **data: Any) -> httpx.Response:
    return await client.post(url, data=data)


# ---- several invoices -----------------------------------------------------------------------------------------------


async def test_several_are_paid_from_the_balance_together(
    ada: httpx.AsyncClient, people: People, held: Account
) -> None:
    ids = await invoices(people, 10_000, 5_000)
    assert f'value="{ids[1]}"' in (await ada.get(INVOICES)).text
    page = (await ada.get(f"{INVOICES}/pay?{many(ids)}")).text
    assert "150.00" in page and "300.00" in page and f"{PAYMENTS}/new?{many(ids)}" in unescape(page)
    for seen in ("", "1", "14999"):
        assert (await post(ada, f"{INVOICES}/pay", invoice=ids, seen=seen)).status_code == 422
    assert await state(people, ids) == ([InvoiceStatus.ISSUED] * 2, 30_000)
    for _ in range(2):
        assert (await post(ada, f"{INVOICES}/pay", invoice=ids, seen="15000")).status_code == 303
    assert await state(people, ids) == ([InvoiceStatus.PAID] * 2, 15_000)


async def test_all_are_paid_or_none(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    ids = await invoices(people, 10_000, 25_000)
    answer = await post(ada, f"{INVOICES}/pay", invoice=ids, seen="35000")
    assert answer.status_code == 409 and "The balance is not enough." in answer.text
    assert await state(people, ids) == ([InvoiceStatus.ISSUED] * 2, 30_000)


async def test_foreign_ones_do_not_exist(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    [mine] = await invoices(people, 1000)
    async with db.unit() as session:
        theirs = await billing.draft_invoice(session, customer_id=people.other.id, lines=[LineIn("Hosting", 500)])
        await billing.issue_invoice(session, invoice=theirs)
    for url in (
        f"{INVOICES}/pay?{many([mine, theirs.id])}", f"{PAYMENTS}/new?{many([mine, theirs.id])}",
        f"{INVOICES}/pay?invoice=x", f"/client/statement?account={theirs.account_id}",
        f"/client/statement/file?kind=csv&account={theirs.account_id}", "/client/expenses?service=999",
    ):  # fmt: skip
        assert (await ada.get(url)).status_code == 404, url
    assert (await post(ada, f"{INVOICES}/pay", invoice=[mine, theirs.id], seen="1500")).status_code == 404
    assert (await state(people, [mine]))[0] == [InvoiceStatus.ISSUED]


async def method_of() -> str:
    async with db.reads() as session:
        return str(await session.scalar(select(func.max(PaymentMethod.id))))


async def fields(client: httpx.AsyncClient, url: str, **more: str) -> dict[str, str]:
    page = (await client.get(url)).text
    key = re.search(r'name="once_key"[^>]*value="([^"]+)"', page)
    account = re.search(r'name="account".*?<option[^>]*value="(\d*)"', page, re.S)
    assert key and account, page
    return {"once_key": key[1], "account": account[1], "method": await method_of(), "amount": "150"} | more


async def test_one_payment_covers_several(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    ids = await invoices(people, 10_000, 5_000)
    url = f"{PAYMENTS}/new?{many(ids)}"
    assert 'value="150.00"' in (await ada.get(url)).text
    answer = await ada.post(url, data=await fields(ada, url), follow_redirects=True)
    async with db.reads() as session:
        [made] = await session.scalars(select(Payment))
        assert set(await session.scalars(select(PaymentInvoice.invoice_id))) == set(ids)
    assert made.invoice_id is None and made.number in answer.text and "IBAN DE02" in answer.text
    async with db.unit() as session:
        await set_paid(session, payment_id=made.id)
    assert await state(people, ids) == ([InvoiceStatus.PAID] * 2, 30_000)
    receipt = (await ada.get(f"{PAYMENTS}/{made.id}")).text
    assert "Receipt" in receipt and all(f"{INVOICES}/{i}" in receipt for i in ids)


# ---- at once --------------------------------------------------------------------------------------------------------


@on_both
async def test_pressing_fifty_times_pays_once(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    ids = await invoices(people, 4_000, 6_000)
    answers = await asyncio.gather(
        *(post(ada, f"{INVOICES}/pay", invoice=ids, seen="10000") for _ in range(25)),
        *(ada.post(f"{INVOICES}/{ids[0]}/pay") for _ in range(25)),
    )
    assert {a.status_code for a in answers} <= {303, 409, 422}
    statuses, left = await state(people, ids)
    assert statuses[0] is InvoiceStatus.PAID
    again = await post(ada, f"{INVOICES}/pay", invoice=ids, seen=str(0 if statuses[1] is InvoiceStatus.PAID else 6000))
    assert again.status_code == 303
    assert await state(people, ids) == ([InvoiceStatus.PAID] * 2, 20_000) and left in (20_000, 26_000)
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Expense)) == 2


@on_both
async def test_one_form_makes_one_payment(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    data = await fields(ada, f"{PAYMENTS}/new", amount="12.50")
    answers = await asyncio.gather(*(ada.post(f"{PAYMENTS}/new", data=data) for _ in range(50)))
    assert {a.status_code for a in answers} == {303} and len({a.headers["location"] for a in answers}) == 1
    async with db.reads() as session:
        assert [p.amount for p in await session.scalars(select(Payment))] == [1250]
    other = await ada.post(f"{PAYMENTS}/new", data=await fields(ada, f"{PAYMENTS}/new", amount="12.50"))
    assert other.headers["location"] != answers[0].headers["location"]


# ---- what is typed wrong --------------------------------------------------------------------------------------------


async def test_amounts_and_choices_are_checked(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    async with db.unit() as session:
        await factories.create_payer(session, customer_id=people.customer.id)
        foreign = await factories.create_payer(session, customer_id=people.other.id)
        closed = await factories.create_payment_method(session, enabled=False)
    url = f"{PAYMENTS}/new"
    good = await fields(ada, url)
    for wrong in ({"amount": x} for x in ("", "0", "-5", "1.005", "1e400", "NaN", "nine", "9" * 40, "1;2")):
        refused = await ada.post(url, data={**good, **wrong})
        assert refused.status_code == 422 and good["once_key"] in refused.text, wrong
    for wrong in ({"payer": str(foreign.id)}, {"method": str(closed.id)}, {"method": "x"}, {"account": "99999"}):
        assert (await ada.post(url, data={**good, **wrong})).status_code == 422, wrong
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Payment)) == 0


# ---- what there is --------------------------------------------------------------------------------------------------


async def test_the_first_page_says_what_is_and_what_comes(
    ada: httpx.AsyncClient, people: People, held: Account
) -> None:
    soon = utcnow().date() + timedelta(days=12)
    async with db.unit() as session:
        await factories.create_service(
            session, customer=people.customer, status=ServiceStatus.ACTIVE, next_charge_on=soon, price=40_000,
            currency="EUR", name="big.example", charge_day=soon.day,
        )  # fmt: skip
        await factories.create_account(session, customer=people.customer, currency="USD", balance=700)
        await factories.create_expense(session, account=held, amount=1234)
    [number] = await invoices(people, 1000)
    page = unescape((await ada.get("/client")).text)
    assert "Lasts for 12 more days" in page and "big.example" in page and "400.00" in page and "7.00" in page
    assert "Spending by month" in page and "12.34" in page and f"{PAYMENTS}/new?invoice={number}" in page
    async with db.unit() as session:
        query = select(UserCustomer).where(UserCustomer.user_id == people.user.id)
        (await session.scalars(query)).one().role = UserRole.TECHNICAL
    page = unescape((await ada.get("/client")).text)
    for hidden in ("Lasts for", "400.00 ", "Spending by month", f"{INVOICES}/{number}", "Add funds"):
        assert hidden not in page, hidden
    assert "big.example" in page


async def test_an_account_that_pays_afterwards_says_so(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    async with db.unit() as session:
        (await session.scalars(select(Account).where(Account.id == held.id))).one().post_paid = True
    assert "You pay afterwards" in (await ada.get("/client")).text


async def test_invoices_by_state_and_year(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    paid, still_open = await invoices(people, 1000, 2000)
    await post(ada, f"{INVOICES}/pay", invoice=[paid], seen="1000")
    year = utcnow().year

    async def shown(query: str) -> list[int]:
        page = (await ada.get(f"{INVOICES}?{query}")).text
        return sorted({int(n) for n in re.findall(rf'href="{INVOICES}/(\d+)"', page)})

    assert await shown("show=open") == [still_open] and await shown("show=paid") == [paid]
    assert await shown(f"year={year}") == [paid, still_open] and await shown(f"year={year - 1}") == []
    assert (await ada.get(f"{INVOICES}?year=x")).status_code == 404
    assert (await ada.get(f"{INVOICES}?before=0")).status_code == 404


async def test_expenses_explain_their_price(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    async with db.unit() as session:
        off = await factories.create_discount(session, name="not to be read", percent=1000)
        explained = {
            "list_price": 1000, "currency": "EUR", "won": off.id,
            "considered": [{"id": off.id, "name": off.name, "off": 100, "why": "won"},
                           {"id": 99, "name": "gone since", "off": 0, "why": "condition"}],
        }  # fmt: skip
        await factories.create_expense(
            session, account=held, amount=1071, net=900, tax=171, tax_rate=1900, description="Web, a.example",
            explained=explained, discount=100, period_from=date(2026, 1, 1), period_to=date(2026, 2, 1),
        )  # fmt: skip
        stranger = await factories.create_account(session, customer=people.other)
        await factories.create_expense(session, account=stranger, description="Not yours")
    page = unescape((await ada.get("/client/expenses")).text)
    for said in ("Web, a.example", "10.71", "9.00", "1.71", "10", "for all customers, on everything", "Jan 31, 2026"):
        assert said in page, said
    for hidden in ("not to be read", "gone since", "Not yours"):
        assert hidden not in page, hidden
    assert (await ada.get("/client/expenses?before=nonsense")).status_code == 404


async def test_the_statement_and_its_files(ada: httpx.AsyncClient, people: People, held: Account) -> None:
    async with db.unit() as session:
        await factories.book(session, held, -4_200, kind=TransactionKind.CHARGE, description="=HYPERLINK(1)")
    page = (await ada.get("/client/statement")).text
    assert "300.00" in page and "258.00" in page and "=HYPERLINK(1)" in page
    assert (
        "Nothing was booked in this period."
        in (await ada.get("/client/statement?from=2001-01-01&until=2001-02-01")).text
    )
    assert (await ada.get("/client/statement?from=2026-02-01&until=2026-01-01")).status_code == 422
    for bad in ("from=x", "account=x", "until=2026-13-01"):
        assert (await ada.get(f"/client/statement?{bad}")).status_code == 404, bad
    answer = await ada.get("/client/statement/file?kind=csv")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [r[2] for r in rows[2:4]] == ["", "'=HYPERLINK(1)"] and rows[-1][5] == "258.00"
    pdf = await ada.get("/client/statement/file?kind=pdf")
    assert "258.00" in PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
    assert (await ada.get("/client/statement/file?kind=exe")).status_code == 404


async def test_ten_thousand_entries_are_read_page_by_page(
    ada: httpx.AsyncClient, people: People, held: Account
) -> None:
    n, day = 10_000, utcnow()
    async with db.unit() as session:
        cash = await factories.create_account(session, customer=people.other)
        first = (await session.scalar(select(func.max(Transaction.id))) or 0) + 1
        told = {"audited": True}
        rows = range(first, first + n)
        await session.execute(
            insert(Transaction), [{"id": i, "key": f"k{i}", "kind": TransactionKind.CHARGE, "at": day} for i in rows],
            execution_options=told,
        )  # fmt: skip
        sides = ((held.id, -1), (cash.id, 1))
        await session.execute(
            insert(Entry),
            [{"transaction_id": i, "account_id": a, "amount": m, "at": day} for i in rows for a, m in sides],
            execution_options=told,
        )  # fmt: skip
        await session.execute(insert(Expense), [
            {"on_day": day.date(), "customer_id": people.customer.id, "account_id": held.id, "description": f"line {i}",
             "amount": 1, "net": 1, "currency": "EUR", "transaction_id": i} for i in rows
        ], execution_options=told)  # fmt: skip
    page = (await ada.get("/client/statement?page=400")).text
    assert "10,001" in page and page.count("<tr>") == 26
    page = (await ada.get("/client/expenses")).text
    assert f"line {first + n - 1}" in page and page.count("<details") < 60
    more = re.search(r'href="(/client/expenses\?before=[^"]+)"', page)
    assert more is not None
    following = (await ada.get(unescape(more[1]))).text
    assert f"line {first + n - 51}<" in following and f"line {first + n - 50}<" not in following
    assert (await ada.get("/client")).status_code == 200
