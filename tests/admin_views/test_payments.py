"""Payments in the panel: written down, paid, paid back, printed; what is wrong is said at its field."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain.billing import payments
from app.models.billing import InvoiceStatus, Payment, PaymentInvoice, PaymentMethod, PaymentStatus
from app.models.customers import Customer, CustomerStatus
from app.models.ledger import Account
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

URL = "/admin/payment"


@pytest.fixture
async def who(database: str) -> tuple[Customer, PaymentMethod]:
    async with db.unit() as session:
        return (
            await factories.create_customer(session, name="Ada Lovelace"),
            await factories.create_payment_method(session, name="Cash"),
        )


async def last() -> Payment:
    async with db.reads() as session:
        return (await session.scalars(select(Payment).order_by(Payment.id.desc()).limit(1))).one()


async def held(account_id: int) -> int:
    async with db.reads() as session:
        return await session.scalar(select(Account.balance).where(Account.id == account_id)) or 0


async def test_a_payment_from_the_form_to_its_refund(
    desk: httpx.AsyncClient, who: tuple[Customer, PaymentMethod]
) -> None:
    customer, method = who
    form = {"customer": customer.id, "method": method.id, "amount": "1,250.50", "currency": "EUR"}
    answer = await desk.post(f"{URL}/create", data=form)
    payment = await last()
    assert (answer.status_code, answer.headers["location"]) == (303, f"{URL}/details/{payment.id}")
    assert (payment.amount, payment.status, await held(payment.account_id)) == (125_050, PaymentStatus.NEW, 0)
    answer = await desk.post(f"{URL}/action/set_paid", data={"pks": payment.id, "number": "R 7", "at": ""})
    assert answer.status_code == 303 and await held(payment.account_id) == 125_050
    again = await desk.post(f"{URL}/action/set_paid", data={"pks": payment.id, "number": "", "at": ""})
    assert again.status_code == 422 and "paid already" in again.text
    for amount, reason in (("1250.51", "Too much"), ("-1", "Less"), ("1.005", "Odd"), ("NaN", "No"), ("10", "")):
        refused = await desk.post(f"{URL}/action/refund", data={"pks": payment.id, "amount": amount, "reason": reason})
        assert refused.status_code == 422, amount
        assert await held(payment.account_id) == 125_050
    await desk.post(f"{URL}/action/refund", data={"pks": payment.id, "amount": "250.50", "reason": "A discount"})
    assert await held(payment.account_id) == 100_000
    card = (await desk.get(f"{URL}/details/{payment.id}")).text
    assert "A discount" in card and "R 7" in card and "Booked on the account" in card
    listed = (await desk.get(f"{URL}/list")).text
    assert "1,250.50" in listed.partition('class="totals"')[2]
    assert "R 7" in (await desk.get(f"{URL}/list?pin={customer.id}")).text
    assert "R 7" not in (await desk.get(f"{URL}/list?pin=999999")).text


@pytest.mark.parametrize("amount", ["", "0", "-3", "1.001", "NaN", "9" * 30, "1e400", "abc"])
async def test_a_wrong_amount_stands_at_its_field(
    desk: httpx.AsyncClient, who: tuple[Customer, PaymentMethod], amount: str
) -> None:
    customer, method = who
    empty = {"account": "", "payer": "", "invoice": "", "number": "", "note": ""}
    form = {**empty, "customer": customer.id, "method": method.id, "amount": amount, "currency": "EUR"}
    for url, data in ((f"{URL}/create", form), ("/admin/customer/action/payment", {**form, "pks": customer.id})):
        answer = await desk.post(url, data=data)
        assert answer.status_code == 422 and 'id="amount-error"' in answer.text, url
    async with db.reads() as session:
        assert (await session.scalars(select(Payment))).all() == []


async def test_taking_a_payment_from_the_card_of_a_customer(
    desk: httpx.AsyncClient, who: tuple[Customer, PaymentMethod], sign_in: SignIn
) -> None:
    customer, method = who
    async with db.unit() as session:
        account = await factories.create_account(session, customer=customer)
        payer = await factories.create_payer(session, customer=customer, name="Ada Ltd")
        other = await factories.create_payer(session, customer=await factories.create_customer(session))
    url = "/admin/customer/action/payment"
    page = (await desk.get(f"{url}?pks={customer.id}")).text
    assert "Ada Ltd" in page and other.name not in page
    form = {"pks": customer.id, "account": account.id, "method": method.id, "amount": "12", "currency": "EUR"}
    form |= {"payer": "", "invoice": "", "number": "", "note": ""}
    assert (await desk.post(url, data={**form, "payer": other.id})).status_code == 422
    assert (await desk.post(url, data={**form, "payer": payer.id, "here": "y"})).status_code == 303
    assert ((await last()).status, await held(account.id)) == (PaymentStatus.PAID, 1200)
    looks = await sign_in(await create_staff([("customer", "list"), ("customer", "details"), ("payment", "list")]))
    assert (await looks.get(f"{url}?pks={customer.id}")).status_code == 403
    async with db.unit() as session:
        row = (await session.scalars(select(Customer).where(Customer.id == customer.id))).one()
        row.status = CustomerStatus.CLOSED
    refused = await desk.post(url, data={**form, "here": "y"})
    assert refused.status_code == 422 and await held(account.id) == 1200


async def test_a_receipt_is_shown_and_saved(desk: httpx.AsyncClient, who: tuple[Customer, PaymentMethod]) -> None:
    async with db.unit() as session:
        made = await payments.create_payment(
            session, customer_id=who[0].id, method_id=who[1].id, amount=4200, number="R 9"
        )
    page = (await desk.get(f"{URL}/action/print?pks={made.id}")).text
    assert "Receipt R 9" in page and "Ada Lovelace" in page and "42.00" in page
    file = await desk.post(f"{URL}/action/print", data={"pks": made.id})
    assert file.headers["content-type"] == "application/pdf" and file.content.startswith(b"%PDF")


async def test_look_ups_follow_the_customer(desk: httpx.AsyncClient, who: tuple[Customer, PaymentMethod]) -> None:
    async with db.unit() as session:
        mine = await factories.create_payer(session, customer=who[0], name="Mine")
        await factories.create_payer(session, customer=await factories.create_customer(session), name="Theirs")
    found = (await desk.get(f"/admin/payer/lookup?customer={who[0].id}&term=")).json()["results"]
    assert [r["id"] for r in found] == [str(mine.id)]


async def test_what_does_not_fit_is_shown_until_somebody_has_looked(
    desk: httpx.AsyncClient, who: tuple[Customer, PaymentMethod]
) -> None:
    async with db.unit() as session:
        made = await payments.create_payment(session, customer_id=who[0].id, method_id=who[1].id, amount=4200)
        made.doubt = "Five came in."
    assert "Five came in." in (await desk.get(f"{URL}/details/{made.id}")).text
    await desk.post(f"{URL}/action/looked_at", data={"pks": made.id})
    assert not (await last()).doubt
    assert "Five came in." in (await desk.get(f"{URL}/details/{made.id}")).text  # the story keeps it


async def test_the_card_names_the_invoices_of_one_payment(
    desk: httpx.AsyncClient, who: tuple[Customer, PaymentMethod]
) -> None:
    async with db.unit() as session:
        account = await factories.create_account(session, customer=who[0])
        payment = await factories.create_payment(session, account=account, method=who[1])
        for number in ("A-1", "A-2"):
            invoice = await factories.create_invoice(
                session, account=account, status=InvoiceStatus.ISSUED, number=number
            )
            session.add(PaymentInvoice(payment_id=payment.id, invoice_id=invoice.id))
    page = (await desk.get(f"{URL}/details/{payment.id}")).text
    assert "For these invoices" in page and "A-1" in page and "A-2" in page
