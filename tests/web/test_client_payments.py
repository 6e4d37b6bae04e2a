"""Adding funds in the client area: by card, by bank, with the test gateway; and who may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.asgi import assemble, serve
from app.db import utcnow
from app.models.billing import Gateway, Invoice, InvoiceStatus, Payment, PaymentMethod, PaymentStatus
from app.models.ledger import Account
from tests import factories
from tests.integrations.stripe_api import SECRET_KEY, WEBHOOK_SECRET, FakeStripe, signed, stripe_server
from tests.web.helpers import People, Site, sign_in, stand_in

pytestmark = pytest.mark.usefixtures("redis")
URL = "/client/payments"


@pytest.fixture
async def ways(people: People) -> dict[str, PaymentMethod]:
    async with db.unit() as session:
        await factories.create_account(session, customer=people.customer)
        return {
            gateway.value: await factories.create_payment_method(
                session, name=f"By {gateway.value}", gateway=gateway, instructions="IBAN DE02 1203 0000 0000 2020 51"
            )
            for gateway in Gateway
        }


async def payment() -> Payment:
    async with db.reads() as session:
        return (await session.scalars(select(Payment).order_by(Payment.id.desc()).limit(1))).one()


async def form(client: httpx.AsyncClient, method: PaymentMethod, amount: str = "12.50") -> dict[str, str]:
    page = await client.get(f"{URL}/new")
    account = re.search(r'name="account".*?<option[^>]*value="(\d*)"', page.text, re.S)
    assert account is not None
    return {"account": account[1], "amount": amount, "method": str(method.id)}


async def test_the_test_gateway_pays_refuses_and_waits(
    ada: httpx.AsyncClient, people: People, ways: dict[str, PaymentMethod]
) -> None:
    for what, status, balance in (
        ("pay", PaymentStatus.PAID, 1250), ("pay", PaymentStatus.PAID, 2500), ("later", PaymentStatus.PENDING, 2500),
        ("refuse", PaymentStatus.CANCELLED, 2500),
    ):  # fmt: skip
        answer = await ada.post(f"{URL}/new", data=await form(ada, ways["test"]))
        assert answer.status_code == 303, answer.text
        page = await ada.get(answer.headers["location"])
        made = await payment()
        assert f'url={URL}/{made.id}/test"' in page.text and made.customer_id == people.customer.id
        assert (await ada.get(f"{URL}/{made.id}/test")).status_code == 200
        back = await ada.post(f"{URL}/{made.id}/test", data={"what": what})
        assert back.headers["location"] == f"{URL}/{made.id}?back=1"
        assert (await ada.get(back.headers["location"])).status_code == 200
        if what == "pay":
            await ada.post(f"{URL}/{made.id}/test", data={"what": what})  # twice
        async with db.reads() as session:
            held = await session.scalar(select(Account.balance).where(Account.customer_id == people.customer.id))
        assert ((await payment()).status, held) == (status, balance)
    assert "By test" in (await ada.get(URL)).text


async def test_a_bank_transfer_says_where_and_with_which_reason(
    ada: httpx.AsyncClient, ways: dict[str, PaymentMethod]
) -> None:
    answer = await ada.post(f"{URL}/new", data=await form(ada, ways["bank"]), follow_redirects=True)
    made = await payment()
    assert made.status is PaymentStatus.PENDING
    assert made.number in answer.text and "DE02 1203" in answer.text


@pytest.mark.parametrize("amount", ["", "0", "-5", "NaN", "1e99", "1.005", "ten", "99999999999999999999"])
async def test_a_wrong_amount_is_said_and_makes_nothing(
    ada: httpx.AsyncClient, ways: dict[str, PaymentMethod], amount: str
) -> None:
    answer = await ada.post(f"{URL}/new", data=await form(ada, ways["bank"], amount))
    assert answer.status_code == 422 and 'aria-invalid="true"' in answer.text
    async with db.reads() as session:
        assert (await session.scalars(select(Payment))).all() == []


async def test_only_what_is_offered_can_be_chosen(ada: httpx.AsyncClient, ways: dict[str, PaymentMethod]) -> None:
    page = (await ada.get(f"{URL}/new")).text
    assert "By bank" in page and "By test" in page and "By by_hand" not in page and "By stripe" not in page
    for method in ("by_hand", "stripe"):
        assert (await ada.post(f"{URL}/new", data=await form(ada, ways[method]))).status_code == 422


async def test_of_others_nothing_is_seen(
    ada: httpx.AsyncClient, people: People, ways: dict[str, PaymentMethod]
) -> None:
    async with db.unit() as session:
        account = await factories.create_account(session, customer=people.other)
        theirs = await factories.create_payment(session, account=account, method=ways["test"], number="Secret 7")
        invoice = await factories.create_invoice(session, account=account)
    for url in (f"{URL}/{theirs.id}", f"{URL}/{theirs.id}/test", f"{URL}/new?invoice={invoice.id}"):
        assert (await ada.get(url)).status_code == 404
    assert (await ada.post(f"{URL}/{theirs.id}/test", data={"what": "pay"})).status_code == 404
    assert "Secret 7" not in (await ada.get(URL)).text
    stolen = {**await form(ada, ways["bank"]), "account": str(account.id)}
    assert (await ada.post(f"{URL}/new", data=stolen)).status_code == 422


async def test_the_test_gateway_is_off_in_production(
    site: Site, people: People, ways: dict[str, PaymentMethod]
) -> None:
    settings = replace(site.settings, env="production")
    async with Site(settings, serve(assemble(stand_in), settings)).browser(base="https://desk.test") as client:
        assert (await sign_in(client, "ada", area="/client")).status_code == 303
        assert "By test" not in (await client.get(f"{URL}/new")).text
        async with db.unit() as session:
            account = await factories.create_account(session, customer=people.customer, currency="USD")
            mine = await factories.create_payment(session, account=account, method=ways["test"])
        assert (await client.post(f"{URL}/{mine.id}/test", data={"what": "pay"})).status_code == 404


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with stripe_server() as server:
        yield server


async def test_a_card_is_sent_to_stripe_and_comes_back(
    site: Site, fake: FakeStripe, people: People, ways: dict[str, PaymentMethod]
) -> None:
    cards = site.again(stripe_secret_key=SECRET_KEY, stripe_webhook_secret=WEBHOOK_SECRET, stripe_url=fake.url)
    async with cards.browser() as client:
        assert (await sign_in(client, "ada", area="/client")).status_code == 303
        fake.down = True
        answer = await client.post(f"{URL}/new", data=await form(client, ways["stripe"]), follow_redirects=True)
        made = await payment()
        assert (answer.status_code, made.status) == (200, PaymentStatus.NEW) and f"{URL}/{made.id}/start" in answer.text
        fake.down = False
        answer = await client.post(f"{URL}/{made.id}/start", follow_redirects=True)
        [(session_id, session)] = fake.sessions.items()
        assert f'content="0; url={fake.url}/pay/{session_id}"' in answer.text
        back = session["success_url"].partition("://")[2].partition("/")[2]
        before = await client.get(f"/{back}")  # the payer is quicker than the webhook
        assert before.status_code == 200 and "refresh" not in before.text.partition("<body")[0]
        await client.post("/webhooks/stripe", **signed(fake.pay(session_id)))
        after = await client.get(f"/{back}")
        assert "on your account" in after.text and (await payment()).status is PaymentStatus.PAID
        assert (await client.post(f"{URL}/{made.id}/start")).status_code == 409


async def test_the_overview_shows_the_balance_and_what_is_to_be_paid(
    ada: httpx.AsyncClient, people: People, ways: dict[str, PaymentMethod]
) -> None:
    async with db.unit() as session:
        account = (await session.scalars(select(Account).where(Account.customer_id == people.customer.id))).one()
        await factories.book(session, account, 700)
        invoice = await factories.create_invoice(session, account=account, total=4200)
    async with db.unit() as session:
        row = (await session.scalars(select(Invoice).where(Invoice.id == invoice.id))).one()
        row.status, row.number, row.due_on = InvoiceStatus.ISSUED, "2026-7", utcnow().date()
    page = (await ada.get("/client/")).text
    assert "7.00" in page and f'href="{URL}/new"' in page and "2026-7" in page
    form = (await ada.get(f"{URL}/new?invoice={invoice.id}")).text
    assert 'value="42.00"' in form and "2026-7" in form
    data = {"account": str(account.id), "amount": "42", "method": str(ways["test"].id)}
    assert (await ada.post(f"{URL}/new?invoice={invoice.id}", data=data)).status_code == 303
    made = await payment()
    assert made.invoice_id == invoice.id
    await ada.post(f"{URL}/{made.id}/test", data={"what": "pay"})
    async with db.reads() as session:
        paid = (await session.scalars(select(Invoice).where(Invoice.id == invoice.id))).one()
    assert (paid.status, paid.paid, (await payment()).doubt) == (InvoiceStatus.PAID, 4200, "")
