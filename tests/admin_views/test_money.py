"""Accounts, expenses and exchange rates in the panel; money on the first page and with the customers."""

from __future__ import annotations

import re
from datetime import date, timedelta

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain import billing
from app.models.billing import ExchangeRate, Expense
from app.models.ledger import Account, LedgerCheck, Transaction
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.generated.routes import form_on


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


async def _account(balance: int = 10_000, **values: object) -> Account:
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Anna Müller")
        return await factories.create_account(session, customer=customer, balance=balance, **values)


async def _balance(account: Account) -> int:
    async with db.reads() as session:
        return (await session.scalar(select(Account.balance).where(Account.id == account.id))) or 0


async def _press(desk: httpx.AsyncClient, noun: str, slug: str, pk: int, **typed: str) -> httpx.Response:
    path = f"/admin/{noun}/action/{slug}"
    fields = form_on((await desk.get(f"{path}?pks={pk}")).text, path)
    return await desk.post(path, data={**fields, **typed})


async def test_a_correction_is_booked_once_however_often_its_form_is_sent(desk: httpx.AsyncClient) -> None:
    account = await _account()
    path = "/admin/account/action/correct"
    fields = form_on((await desk.get(f"{path}?pks={account.id}")).text, path)
    assert list(fields)[-3:] == ["amount", "reason", "once"]
    for _n in range(2):
        answer = await desk.post(path, data={**fields, "amount": "-12.34", "reason": "Typed twice"})
        assert answer.status_code == 303, answer.text
    assert await _balance(account) == 8766
    async with db.reads() as session:
        row = (await session.scalars(select(Transaction).where(Transaction.description == "Typed twice"))).one()
        assert row.staff_id is not None
    card = (await desk.get(f"/admin/account/details/{account.id}")).text
    assert "Typed twice" in card and "87.66" in card


@pytest.mark.parametrize(
    ("slug", "typed", "said"),
    [("correct", {"amount": "1.005", "reason": "x"}, "2 decimals"),
     ("correct", {"amount": "NaN", "reason": "x"}, "amount"),
     ("correct", {"amount": "5", "reason": " "}, "required"), ("correct", {"amount": "0", "reason": "x"}, "other than"),
     ("correct", {"amount": "9" * 25, "reason": "x"}, "too large"),
     ("correct", {"amount": "99999999999999", "reason": "x"}, "too large"),
     ("refund", {"amount": "100.01", "reason": "x"}, "not enough"),
     ("refund", {"amount": "-5", "reason": "x"}, "above"),
     ("transfer", {"amount": "5", "to": "1"}, "valid choice")],
)  # fmt: skip
async def test_what_cannot_be_booked_is_said_at_the_field(
    desk: httpx.AsyncClient, slug: str, typed: dict[str, str], said: str
) -> None:
    account = await _account()
    answer = await _press(desk, "account", slug, account.id, **typed)
    assert answer.status_code == 422 and said in answer.text
    assert await _balance(account) == 10_000


async def test_money_goes_to_another_account_of_the_customer(desk: httpx.AsyncClient) -> None:
    account = await _account()
    async with db.unit() as session:
        customer = (await session.get_one(Account, account.id)).customer_id
        other = Account(customer_id=customer, project_id=account.project_id, currency="USD", balance=0)
        session.add(other)
        await factories.create_exchange_rate(session)
    answer = await _press(desk, "account", "transfer", account.id, to=str(other.id), amount="10")
    assert answer.status_code == 303, answer.text
    assert (await _balance(account), await _balance(other)) == (9000, 1100)


async def test_accounts_are_opened_and_their_terms_changed(desk: httpx.AsyncClient) -> None:
    account = await _account()
    async with db.unit() as session:
        foreign = await factories.create_payer(session, customer=await factories.create_customer(session))
    answer = await desk.post(
        "/admin/account/create", data={"customer": str(account.customer_id), "project": "", "currency": "JPY"}
    )
    assert answer.status_code == 303, answer.text
    again = await desk.post(
        "/admin/account/create", data={"customer": str(account.customer_id), "project": "", "currency": "JPY"}
    )
    assert again.status_code == 422 and "has this account already" in again.text
    path = f"/admin/account/edit/{account.id}"
    fields = form_on((await desk.get(path)).text, path)
    assert not fields.keys() & {"customer", "project", "currency", "balance", "kind"}
    wrong = await desk.post(path, data={**fields, "payer": str(foreign.id)})
    assert wrong.status_code == 422 and "another customer" in wrong.text
    answer = await desk.post(path, data={**fields, "credit_limit": "50.00", "post_paid": "y"})
    assert answer.status_code == 303, answer.text
    async with db.reads() as session:
        found = await session.get_one(Account, account.id)
        assert (found.credit_limit, found.post_paid, found.balance) == (5000, True, 10_000)


async def test_the_list_filters_by_what_people_type_and_sums_up(desk: httpx.AsyncClient) -> None:
    await _account(balance=10_000)
    poor = await _account(balance=-250)
    page = (await desk.get("/admin/account/list?balance.at_most=-2.50")).text
    assert f"/admin/account/details/{poor.id}" in page and "100.00" not in page
    assert "−2.50" in page
    assert "/admin/account/details/" in (await desk.get("/admin/account/list?below_zero.is=yes")).text
    assert (await desk.get("/admin/account/list?balance.at_most=2.505")).status_code == 400
    customers = (await desk.get("/admin/customer/list?balance.at_most=0")).text
    assert customers.count('data-check value="') == 1 and "−2.50" in customers


async def test_a_statement_is_paged_and_comes_as_a_file(desk: httpx.AsyncClient) -> None:
    account = await _account(balance=0)
    async with db.unit() as session:
        row = await session.get_one(Account, account.id)
        for n in range(30):
            await factories.book(session, row, 100, at=utcnow() - timedelta(days=40 - n), description=f"=Payment {n}")
    card = (await desk.get(f"/admin/account/details/{account.id}")).text
    assert "26 to 30 of 30" in card and "Payment 29" in card and "Payment 24" not in card
    first = (await desk.get(f"/admin/account/details/{account.id}?page=1")).text
    assert "1 to 25 of 30" in first and "Payment 24" in first
    day = (utcnow() - timedelta(days=20)).date()
    part = (await desk.get(f"/admin/account/details/{account.id}?from={day}&until={day}")).text
    assert part.count("=Payment ") == 1 and "20.00" in part
    for nonsense in ("?page=0", "?page=999", "?page=x", "?from=2026-99-99", "?from=9999-12-31&until=0001-01-01"):
        assert (await desk.get(f"/admin/account/details/{account.id}{nonsense}")).status_code == 200
    answer = await _press(desk, "account", "statement", account.id, first="", until="")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.lstrip("\ufeff").splitlines()
    assert len(lines) == 33 and lines[2].split(",")[2] == "'=Payment 0" and lines[-1].split(",")[-2] == "30.00"
    paper = await _press(desk, "account", "statement", account.id, first="", until="", kind="pdf")
    assert paper.headers["content-type"] == "application/pdf" and paper.content.startswith(b"%PDF-")
    empty = await _press(desk, "account", "statement", account.id, first="2000-01-01", until="2000-01-02")
    assert empty.status_code == 422


async def test_an_expense_is_taken_back_with_a_reason(desk: httpx.AsyncClient) -> None:
    account = await _account()
    async with db.unit() as session:
        expense = await billing.charge(session, account_id=account.id, key="k", description="Hosting", net=100, tax=19)
    answer = await _press(desk, "expense", "take_back", expense.id, reason="Not ordered")
    assert answer.status_code == 303, answer.text
    assert await _balance(account) == 10_000
    assert "taken back" in (await desk.get("/admin/expense/list?taken_back.is=yes")).text
    async with db.reads() as session:
        assert (await session.get_one(Expense, expense.id)).reversed_by_id is not None
    again = await desk.post("/admin/expense/action/take_back", data={"pks": str(expense.id), "reason": "x"})
    assert again.status_code == 422 and "already" in again.text


async def test_rates_are_typed_and_checked(desk: httpx.AsyncClient) -> None:
    good = {"base": "EUR", "quote": "USD", "on_day": "2026-03-01", "rate": "1.0875"}
    assert (await desk.post("/admin/exchange_rate/create", data=good)).status_code == 303
    for wrong in ({"rate": "0"}, {"rate": "-1"}, {"rate": "x"}, {"quote": "EUR"}, {"quote": "QQQ"}, {}, {"on_day": ""}):
        answer = await desk.post("/admin/exchange_rate/create", data={**good, **wrong})
        assert answer.status_code == 422, wrong
    async with db.reads() as session:
        row = (await session.scalars(select(ExchangeRate))).one()
        assert (row.rate, row.on_day) == (1_087_500_000, date(2026, 3, 1))
    assert "1.0875" in (await desk.get("/admin/exchange_rate/list")).text


async def test_money_shows_on_the_first_page_and_with_the_customer(desk: httpx.AsyncClient) -> None:
    account = await _account(balance=12_345)
    async with db.unit() as session:
        await billing.charge(session, account_id=account.id, key="c", description="Hosting in May", net=1000)
    page = (await desk.get("/admin/")).text
    assert "Income and expenses, EUR" in page and 'data-value="123.45"' in page and "do not agree" not in page
    card = (await desk.get(f"/admin/customer/details/{account.customer_id}")).text
    assert "Hosting in May" in card and "charts.js" in card
    tab = (await desk.get(f"/admin/customer/details/{account.customer_id}?tab=account")).text
    assert "Hosting in May" in tab and "Income and expenses, EUR" in tab and "113.45" in tab
    async with db.unit() as session:
        session.add(LedgerCheck(breaches=[{"what": "sums", "n": 3, "ids": [7, 8]}], seconds=0))
    page = (await desk.get("/admin/")).text
    assert "do not agree" in page and "#7, #8 …" in page


async def test_money_needs_its_grants(sign_in: SignIn) -> None:
    account = await _account(balance=12_345)
    async with db.unit() as session:
        session.add(LedgerCheck(breaches=[{"what": "sums", "n": 3, "ids": [7]}], seconds=0))
    blind = await sign_in(await create_staff([("customer", "list"), ("customer", "details")]))
    for url in ("/admin/", "/admin/customer/list", f"/admin/customer/details/{account.customer_id}"):
        text = (await blind.get(url)).text
        assert "123.45" not in text and "do not agree" not in text, url
    assert (await blind.get("/admin/customer/list?balance.at_least=1")).status_code == 400
    assert (await blind.get("/admin/customer/list?unpaid_invoices.is=yes")).status_code == 400
    async with db.unit() as session:
        project = await factories.create_project(session)
    limited = await sign_in(await create_staff([("*", "*")], projects=(project,)))
    page = (await limited.get("/admin/")).text
    assert "do not agree" not in page and 'data-value="123.45"' not in page
    assert (await limited.get(f"/admin/account/details/{account.id}")).status_code == 404


async def test_a_card_of_a_projects_own_account_does_not_exist(desk: httpx.AsyncClient) -> None:
    account = await _account()
    async with db.reads() as session:
        own = await session.scalar(select(Account.id).where(Account.customer_id.is_(None)))
    assert own is not None and (await desk.get(f"/admin/account/details/{own}")).status_code == 404
    listed = re.findall(r"/admin/account/details/(\d+)", (await desk.get("/admin/account/list")).text)
    assert set(map(int, listed)) == {account.id}
