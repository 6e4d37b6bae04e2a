"""What the demo's customers have paid over the last twelve months, by the verbs that staff and gateways use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.billing import payments, refunds
from app.i18n import gettext
from app.models.billing import Gateway, Payer, Payment, PaymentEvent, PaymentEventKind, PaymentMethod
from app.models.customers import Customer, CustomerStatus

if TYPE_CHECKING:
    from app.domain.demo.making import Maker

YEAR = timedelta(days=365)
AMOUNTS = (1000, 1500, 2500, 4900, 5000, 7500, 10_000, 12_000, 25_000)
"""In cents; where people pay in roubles, a hundred times as much."""
FATES = ("paid", "pending", "refunded", "part", "cancelled", "fraud")
CHANCES = (88, 3, 2, 2, 4, 1)
SHARE = 0.5
"""Of the customers who pay at all."""


async def pay(maker: Maker, customers: list[Customer]) -> None:
    """Once everybody has an account."""
    currencies = {p.id: p.currency for p in maker.words.projects.values()}
    maker.mark(*await make_payments(maker.session, maker.random, maker.now, customers, currencies))


async def make_payments(
    session: AsyncSession, random: Random, now: datetime, customers: Iterable[Customer], currencies: Mapping[int, str]
) -> list[Payment]:
    """Gives them in the order of their dates. currencies: of each project, by its id."""
    methods = (await session.scalars(select(PaymentMethod).where(PaymentMethod.enabled))).all()
    able = [m for m in methods if m.gateway is not Gateway.STRIPE]
    paying = [c for c in customers if c.status is not CustomerStatus.CLOSED and random.random() < SHARE]
    theirs = select(Payer.customer_id, Payer.id).where(Payer.customer_id.in_([c.id for c in paying]))
    payers: dict[int, int] = {row[0]: row[1] for row in await session.execute(theirs)}
    planned: list[tuple[datetime, Customer]] = []
    for customer in paying:
        start = max(customer.registered_at, now - YEAR)
        for _n in range(random.choices((1, 2, 4), (45, 35, 20))[0]):
            planned.append((start + (now - start) * random.random(), customer))
    planned.sort(key=lambda pair: (pair[0], pair[1].id))
    return [
        await _payment(session, random, now, when.replace(microsecond=0), customer, able, payers.get(customer.id),
                       100 if currencies[customer.project_id] == "RUB" else 1)
        for when, customer in planned
    ]  # fmt: skip


async def _payment(
    session: AsyncSession,
    random: Random,
    now: datetime,
    when: datetime,
    customer: Customer,
    methods: list[PaymentMethod],
    payer_id: int | None,
    factor: int,
) -> Payment:
    payment = await payments.create_payment(
        session, customer_id=customer.id, method_id=random.choice(methods).id, payer_id=payer_id,
        amount=random.choice(AMOUNTS) * factor,
    )  # fmt: skip
    payment.created_at = when
    fate = random.choices(FATES, CHANCES)[0]
    if fate == "pending" and when < now - timedelta(days=14):
        fate = "paid"  # nobody waits that long
    if fate == "pending":
        return payment
    if fate == "cancelled":
        await payments.cancel(session, payment_id=payment.id, reason=gettext("The payer has thought better of it."))
        return payment
    await payments.set_paid(session, payment_id=payment.id, at=when)
    session.add(
        PaymentEvent(
            payment_id=payment.id, key="demo", kind=PaymentEventKind.PAID, at=when, amount=payment.amount,
            currency=payment.currency,
        )
    )  # fmt: skip
    if fate == "fraud":
        await payments.mark_fraud(session, payment_id=payment.id, reason=gettext("Somebody else's card."))
    elif fate in ("refunded", "part"):
        amount = payment.account_amount // (1 if fate == "refunded" else 2)
        await refunds.refund(session, payment_id=payment.id, amount=amount, reason=gettext("Ordered by mistake."))
    return payment
