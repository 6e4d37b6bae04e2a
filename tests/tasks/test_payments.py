"""The sweep over payments: what a lost webhook would have said is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app import db
from app.db import utcnow
from app.domain.billing import gateways, payments
from app.models.billing import Gateway, Payment, PaymentStatus
from app.models.ledger import Account
from app.settings import Settings
from tasks.payments import drop_left, look_round
from tests import factories
from tests.integrations.stripe_api import SECRET_KEY, WEBHOOK_SECRET, FakeStripe, stripe_server

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with stripe_server() as server:
        yield server


@pytest.fixture
def settings(database: str, fake: FakeStripe, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database, secret_key="k" * 40, data_dir=tmp_path, stripe_secret_key=SECRET_KEY,
        stripe_webhook_secret=WEBHOOK_SECRET, stripe_url=fake.url,
    )  # fmt: skip


async def made(age: timedelta) -> Payment:
    async with db.unit() as session:
        account = await factories.create_account(session, customer=await factories.create_customer(session))
        method = await factories.create_payment_method(session, gateway=Gateway.STRIPE)
        payment = await payments.create_payment(
            session, customer_id=account.customer_id or 0, account_id=account.id, method_id=method.id, amount=700
        )
        payment.created_at = utcnow() - age
        return payment


async def now(payment: Payment) -> tuple[PaymentStatus, int]:
    async with db.reads() as session:
        status = await session.scalar(select(Payment.status).where(Payment.id == payment.id))
        balance = await session.scalar(select(Account.balance).where(Account.id == payment.account_id))
    assert status is not None
    return status, balance or 0


async def test_a_lost_webhook_is_asked_for(settings: Settings, fake: FakeStripe) -> None:
    old, fresh, waiting, ended = [await made(timedelta(minutes=m)) for m in (20, 1, 20, 20)]
    for payment in (old, fresh, waiting, ended):
        await gateways.start(settings, payment.id)
    names = list(fake.sessions)
    fake.pay(names[0])
    fake.pay(names[1])
    fake.expire(names[3])
    assert await look_round(settings) == 3  # of the fresh one the webhook may still come
    assert await now(old) == (PaymentStatus.PAID, 700)
    assert await now(fresh) == (PaymentStatus.PENDING, 0)
    assert await now(waiting) == (PaymentStatus.PENDING, 0)
    assert await now(ended) == (PaymentStatus.CANCELLED, 0)
    assert await look_round(settings) == 0  # asked just now
    async with db.unit() as session:
        long_ago = {"looked_at": utcnow() - timedelta(hours=2)}
        await session.execute(update(Payment).values(**long_ago).execution_options(audited=True))
    fake.down = True
    assert await look_round(settings) == 1  # and nothing breaks
    assert await now(waiting) == (PaymentStatus.PENDING, 0)


async def test_what_nobody_has_begun_is_cancelled(settings: Settings) -> None:
    left, fresh = await made(timedelta(days=3)), await made(timedelta(days=1))
    assert await drop_left() == 1
    assert (await now(left))[0] is PaymentStatus.CANCELLED and (await now(fresh))[0] is PaymentStatus.NEW
