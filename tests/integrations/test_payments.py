"""Stripe behind the Protocol: currencies of all kinds, signatures, and a server that does not answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.integrations.payments import BadWebhook, GatewayError, Order, Stripe, What, from_stripe, to_stripe
from tests.integrations.stripe_api import SECRET_KEY, WEBHOOK_SECRET, FakeStripe, signed, stripe_server


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with stripe_server() as server:
        yield server


@pytest.fixture
def stripe(fake: FakeStripe) -> Stripe:
    return Stripe(SECRET_KEY, WEBHOOK_SECRET, fake.url)


def order(amount: int = 1000, currency: str = "EUR", key: str = "k1") -> Order:
    return Order(key, "7.mark", amount, currency, "Northwind P-7", "http://desk/back", "http://desk/", "ada@x.example")


@pytest.mark.parametrize(
    ("ours", "currency", "theirs"),
    [(1050, "EUR", 1050), (500, "JPY", 500), (1230, "KWD", 1230), (1235, "KWD", None), (500, "ISK", 50_000),
     (500, "UGX", 50_000), (999, "KRW", 999), (5, "BHD", None)],
)  # fmt: skip
def test_amounts_are_counted_as_stripe_counts_them(ours: int, currency: str, theirs: int | None) -> None:
    assert to_stripe(ours, currency) == theirs
    if theirs is not None:
        assert from_stripe(theirs, currency) == ours


def test_what_cannot_be_taken_is_known_before(stripe: Stripe) -> None:
    assert stripe.takes(99_999_999, "EUR") and not stripe.takes(100_000_000, "EUR")
    assert stripe.takes(1230, "KWD") and not stripe.takes(1235, "KWD")


@pytest.mark.parametrize(("amount", "currency"), [(1050, "EUR"), (500, "JPY"), (1230, "KWD")])
async def test_a_session_is_made_once_and_comes_back_as_it_was(
    fake: FakeStripe, stripe: Stripe, amount: int, currency: str
) -> None:
    started = await stripe.start(order(amount, currency))
    assert started.url.startswith(fake.url) and fake.sessions[started.external_id]["customer_email"] == "ada@x.example"
    assert await stripe.start(order(amount, currency)) == started  # the same key
    assert len(fake.sessions) == 1
    assert await stripe.look(started.external_id) is None
    sent = signed(fake.pay(started.external_id))
    said = stripe.read(sent["content"], sent["headers"])
    assert said is not None
    assert (said.what, said.mark, said.external_id) == (What.PAID, "7.mark", started.external_id)
    assert (said.amount, said.currency, said.charge_ref) == (amount, currency, f"pi_{started.external_id}")
    seen = await stripe.look(started.external_id)
    assert seen is not None and (seen.what, seen.amount) == (What.PAID, amount)
    name = await stripe.refund(charge_ref=said.charge_ref or "", amount=amount, currency=currency, key="r1", mark="m")
    assert await stripe.refund(
        charge_ref=said.charge_ref or "", amount=amount, currency=currency, key="r1", mark="m"
    ) == name  # fmt: skip
    assert [r["amount"] for r in fake.refunds.values()] == [to_stripe(amount, currency)]


async def test_other_parameters_with_the_same_key_are_refused(stripe: Stripe) -> None:
    await stripe.start(order())
    with pytest.raises(GatewayError) as refused:
        await stripe.start(order(2000))
    assert refused.value.final


async def test_a_server_that_fails_or_is_slow_is_waited_for_a_bounded_time(
    fake: FakeStripe, stripe: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.down = True
    with pytest.raises(GatewayError) as refused:
        await stripe.start(order())
    assert not refused.value.final
    fake.down, fake.slow = False, 3
    monkeypatch.setattr("app.integrations.payments.WAIT", 0.6)
    began = time.monotonic()
    with pytest.raises(GatewayError):
        await stripe.start(order())
    assert time.monotonic() - began < 2
    fake.slow = 0
    with pytest.raises(GatewayError):
        await Stripe("sk_test_wrong", WEBHOOK_SECRET, fake.url).probe()
    with pytest.raises(GatewayError):
        await Stripe(SECRET_KEY, WEBHOOK_SECRET, "http://127.0.0.1:9").probe()
    monkeypatch.setattr("app.integrations.payments.WAIT", 8)
    await stripe.probe()


def test_only_what_stripe_has_signed_lately_is_read(fake: FakeStripe, stripe: Stripe) -> None:
    event = {"id": "evt_1", "object": "event", "type": "customer.created", "data": {"object": {"id": "cus_1"}}}
    right = signed(event)
    assert stripe.read(right["content"], right["headers"]) is None  # of no concern
    for wrong in (
        signed(event, secret="whsec_other"), signed(event, at=time.time() - 600), signed(b"\xff\xfe"), signed(b"[]"),
        signed(b"{}"), {"content": right["content"] + b" ", "headers": right["headers"]},
        {"content": right["content"], "headers": {}}, {"content": b"", "headers": {"stripe-signature": "t=x"}},
        signed({**event, "type": "charge.refunded"}),
    ):  # fmt: skip
        with pytest.raises(BadWebhook):
            stripe.read(wrong["content"], wrong["headers"])
