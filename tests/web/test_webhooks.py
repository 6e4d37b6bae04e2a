"""Stripe's webhooks, against a server that speaks its API: each payment is credited once, whatever comes and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.domain.billing import gateways, payments, refunds
from app.errors import Conflict
from app.integrations.payments import GatewayError
from app.models.billing import Gateway, Payment, PaymentEvent, PaymentEventKind, PaymentStatus
from app.models.ledger import Account, Entry
from tests import factories
from tests.integrations.stripe_api import SECRET_KEY, WEBHOOK_SECRET, FakeStripe, signed, stripe_server
from tests.web.helpers import Site

pytestmark = pytest.mark.usefixtures("redis")
HOOK = "/webhooks/stripe"


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with stripe_server() as server:
        yield server


@pytest.fixture
def cards(site: Site, fake: FakeStripe) -> Site:
    """The site with Stripe set up."""
    return site.again(stripe_secret_key=SECRET_KEY, stripe_webhook_secret=WEBHOOK_SECRET, stripe_url=fake.url)


@pytest.fixture
async def client(cards: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with cards.browser() as browser:
        yield browser


async def made(currency: str = "EUR", amount: int = 1000) -> Payment:
    async with db.unit() as session:
        account = await factories.create_account(
            session, customer=await factories.create_customer(session), currency=currency
        )
        method = await factories.create_payment_method(session, gateway=Gateway.STRIPE)
        return await payments.create_payment(
            session, customer_id=account.customer_id or 0, account_id=account.id, method_id=method.id, amount=amount
        )


async def begun(cards: Site, **kw: Any) -> Payment:
    return await gateways.start(cards.settings, (await made(**kw)).id)


async def now(payment: Payment) -> tuple[Payment, int]:
    """The payment, and the balance of its account."""
    async with db.reads() as session:
        found = (await session.scalars(select(Payment).where(Payment.id == payment.id))).one()
        balance = await session.scalar(select(Account.balance).where(Account.id == payment.account_id))
        assert await session.scalar(select(func.coalesce(func.sum(Entry.amount), 0))) == 0
        return found, balance or 0


@pytest.mark.parametrize(("currency", "amount"), [("EUR", 1050), ("JPY", 500), ("KWD", 1230)])
async def test_a_card_payment_from_its_start_to_the_account(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient, currency: str, amount: int
) -> None:
    payment = await begun(cards, currency=currency, amount=amount)
    assert (payment.status, payment.pay_url) == (PaymentStatus.PENDING, f"{fake.url}/pay/{payment.external_id}")
    again = await gateways.start(cards.settings, payment.id)
    assert again.external_id == payment.external_id and len(fake.sessions) == 1
    answer = await client.post(HOOK, **signed(fake.pay(payment.external_id or "")))
    assert (answer.status_code, answer.json()) == (200, {"taken": True})
    found, balance = await now(payment)
    assert (found.status, balance, found.pay_url) == (PaymentStatus.PAID, amount, "")


async def test_the_same_webhook_fifty_times_at_once_credits_once(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    event = fake.pay(payment.external_id or "")
    answers = await asyncio.gather(*(client.post(HOOK, **signed(event)) for _ in range(50)))
    assert {a.status_code for a in answers} == {200}
    assert sum(a.json()["taken"] for a in answers) == 1
    found, balance = await now(payment)
    assert (found.status, balance) == (PaymentStatus.PAID, 1000)
    # Stripe says the same with another event, and the sweep has seen it as well
    await client.post(HOOK, **signed({**event, "id": "evt_other"}))
    assert (await now(payment))[1] == 1000
    assert not (await now(payment))[0].doubt


async def test_a_webhook_that_comes_before_we_know_the_session(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await made()
    noted = gateways.handed_over

    async def late(session: Any, **kw: Any) -> Payment:
        return await noted(session, **kw)

    async def paid_meanwhile(order: Any) -> Any:
        started = await real(order)
        answer = await client.post(HOOK, **signed(fake.pay(started.external_id)))
        assert answer.json() == {"taken": True}
        return started

    gateway = gateways.gateway_of(Gateway.STRIPE, cards.settings)
    assert gateway is not None
    real = gateway.start
    monkeypatch.setattr(gateway, "start", paid_meanwhile)
    monkeypatch.setattr(gateways, "gateway_of", lambda _kind, _settings: gateway)
    await gateways.start(cards.settings, payment.id)
    found, balance = await now(payment)
    assert (found.status, balance, found.external_id) == (PaymentStatus.PAID, 1000, next(iter(fake.sessions)))
    assert late


async def test_what_is_not_signed_by_stripe_changes_nothing(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    event = fake.pay(payment.external_id or "")
    for wrong in (signed(event, secret="whsec_other"), signed(event, at=time.time() - 3600), signed(b"{")):
        assert (await client.post(HOOK, **wrong)).status_code == 400
    assert (await client.post(HOOK, content=b"")).status_code == 400
    assert (await now(payment))[1] == 0
    other = {"id": "evt_9", "object": "event", "type": "payout.paid", "data": {"object": {"id": "po_1"}}}
    assert (await client.post(HOOK, **signed(other))).json() == {"taken": False}
    foreign = {**event["data"]["object"], "metadata": {"bursar": f"{payment.id}.{'x' * 22}"}}
    answer = await client.post(HOOK, **signed(fake.event("checkout.session.completed", foreign)))
    assert (answer.status_code, answer.json()) == (200, {"taken": False})
    assert (await now(payment))[1] == 0
    assert (await client.get(HOOK)).status_code == 405


async def test_without_keys_there_is_no_such_place(site: Site) -> None:
    async with site.browser() as client:
        assert (await client.post(HOOK, **signed(b"{}"))).status_code == 404


@pytest.mark.parametrize("wrong", [{"amount_total": 1}, {"currency": "usd"}, {"amount_total": 100_000}])
async def test_another_amount_or_currency_is_not_credited_but_shown(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    payment = await begun(cards)
    assert (await client.post(HOOK, **signed(fake.pay(payment.external_id or "", **wrong)))).status_code == 200
    found, balance = await now(payment)
    assert (found.status, balance, bool(found.doubt)) == (PaymentStatus.PENDING, 0, True)
    async with db.reads() as session:
        kinds = set(await session.scalars(select(PaymentEvent.kind)))
    assert PaymentEventKind.MISMATCH in kinds


async def test_paying_twice_is_credited_once_and_shown(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    event = fake.pay(payment.external_id or "")
    await client.post(HOOK, **signed(event))
    second = {**event["data"]["object"], "id": "cs_test_second", "payment_intent": "pi_second"}
    assert (await client.post(HOOK, **signed(fake.event("checkout.session.completed", second)))).status_code == 200
    found, balance = await now(payment)
    assert (balance, bool(found.doubt)) == (1000, True)


async def test_a_session_that_ends_cancels_and_money_that_comes_after_all_is_credited(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    await client.post(HOOK, **signed(fake.expire(payment.external_id or "")))
    assert (await now(payment))[0].status is PaymentStatus.CANCELLED
    await client.post(HOOK, **signed(fake.pay(payment.external_id or "")))
    found, balance = await now(payment)
    assert (found.status, balance) == (PaymentStatus.PAID, 1000)


async def test_a_method_that_takes_days_is_pending_until_the_money_is_there(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    await client.post(HOOK, **signed(fake.pay(payment.external_id or "", payment_status="unpaid")))
    assert (await now(payment))[0].status is PaymentStatus.PENDING
    session = fake.sessions[payment.external_id or ""] | {"payment_status": "paid"}
    await client.post(HOOK, **signed(fake.event("checkout.session.async_payment_succeeded", session)))
    assert (await now(payment))[1] == 1000


async def test_a_refund_made_at_stripe_arrives_in_any_order(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    event = fake.pay(payment.external_id or "")
    first, second = fake.refunded(payment.external_id or "", 400), fake.refunded(payment.external_id or "", 1000)
    assert (await client.post(HOOK, **signed(first))).status_code == 409  # before the payment: again later
    await client.post(HOOK, **signed(event))
    for said in (second, first, second, first):
        assert (await client.post(HOOK, **signed(said))).status_code == 200
    found, balance = await now(payment)
    assert (found.status, found.refunded, balance) == (PaymentStatus.REFUNDED, 1000, 0)


async def test_a_refund_of_ours_goes_through_stripe_once(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    await client.post(HOOK, **signed(fake.pay(payment.external_id or "")))
    async with db.unit() as session:
        event = await refunds.refund(session, payment_id=payment.id, amount=400, reason="Not as described")
    # Stripe tells of it before our job has noted it
    await asyncio.gather(
        gateways.send_refund(cards.settings, event.id),
        client.post(HOOK, **signed(fake.refunded(payment.external_id or "", 400))),
    )
    await gateways.send_refund(cards.settings, event.id)
    found, balance = await now(payment)
    assert (found.refunded, balance, [r["amount"] for r in fake.refunds.values()]) == (400, 600, [400])
    async with db.reads() as session:
        row = (await session.scalars(select(PaymentEvent).where(PaymentEvent.id == event.id))).one()
    assert row.details["state"] == "done" and row.details["gateway_id"] in fake.refunds


async def test_a_refund_that_stripe_refuses_is_taken_back(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    await client.post(HOOK, **signed(fake.pay(payment.external_id or "")))
    async with db.unit() as session:
        event = await refunds.refund(session, payment_id=payment.id, amount=1000, reason="Please")
    fake.down = True
    with pytest.raises(GatewayError):
        await gateways.send_refund(cards.settings, event.id)
    assert (await now(payment))[1] == 0  # it may still work
    fake.down, fake.no_refunds = False, True
    await gateways.send_refund(cards.settings, event.id)
    found, balance = await now(payment)
    assert (found.status, found.refunded, balance, bool(found.doubt)) == (PaymentStatus.PAID, 0, 1000, True)


async def test_a_refund_that_fails_days_later_is_taken_back_once(
    cards: Site, fake: FakeStripe, client: httpx.AsyncClient
) -> None:
    payment = await begun(cards)
    await client.post(HOOK, **signed(fake.pay(payment.external_id or "")))
    async with db.unit() as session:
        event = await refunds.refund(session, payment_id=payment.id, amount=1000, reason="Please")
    await gateways.send_refund(cards.settings, event.id)
    refund = next(iter(fake.refunds.values())) | {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    for kind in ("refund.failed", "charge.refund.updated", "refund.updated"):
        assert (await client.post(HOOK, **signed(fake.event(kind, refund)))).status_code == 200
    found, balance = await now(payment)
    assert (found.status, balance, "expired_or_canceled_card" in found.doubt) == (PaymentStatus.PAID, 1000, True)


async def test_a_dispute_is_shown(cards: Site, fake: FakeStripe, client: httpx.AsyncClient) -> None:
    payment = await begun(cards)
    await client.post(HOOK, **signed(fake.pay(payment.external_id or "")))
    dispute = {
        "id": "dp_1", "object": "dispute", "amount": 1000, "currency": "eur", "reason": "fraudulent",
        "payment_intent": f"pi_{payment.external_id}",
    }  # fmt: skip
    assert (await client.post(HOOK, **signed(fake.event("charge.dispute.created", dispute)))).json() == {"taken": True}
    assert (await now(payment))[0].doubt


async def test_what_stripe_cannot_take_is_refused_before(cards: Site, fake: FakeStripe) -> None:
    payment = await made(currency="KWD", amount=1235)
    with pytest.raises(Conflict):
        await gateways.start(cards.settings, payment.id)
    fake.down = True
    other = await made()
    with pytest.raises(GatewayError):
        await gateways.start(cards.settings, other.id)
    assert (await now(other))[0].status is PaymentStatus.NEW
    fake.down = False
    assert (await gateways.start(cards.settings, other.id)).status is PaymentStatus.PENDING
