"""What the demo's customers have paid over the last twelve months: booked in bulk, a few taken back by the verbs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import String, cast, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import ledger
from app.domain.billing import payments, refunds
from app.domain.ledger import Booking, Move
from app.i18n import gettext
from app.models.billing import Gateway, Payer, Payment, PaymentEvent, PaymentEventKind, PaymentMethod, PaymentStatus
from app.models.customers import Customer, CustomerStatus
from app.models.ledger import Account, AccountKind, Transaction, TransactionKind

if TYPE_CHECKING:
    from app.domain.demo.making import Maker

YEAR = timedelta(days=365)
WAITS = timedelta(days=14)
"""Nobody is waited for longer."""
AMOUNTS = (1000, 1500, 2500, 4900, 5000, 7500, 10_000, 12_000, 25_000)
"""In cents; where people pay in roubles, a hundred times as much."""
FATES = ("paid", "pending", "refunded", "part", "cancelled", "fraud")
CHANCES = (88, 3, 2, 2, 4, 1)
SHARE = 0.35
"""Of the customers who pay at all."""


async def pay(maker: Maker, customers: list[Customer], accounts: dict[int, Account]) -> None:
    """accounts: of each customer, by their id."""
    session, r = maker.session, maker.random
    methods = (await session.scalars(select(PaymentMethod).order_by(PaymentMethod.id))).all()
    able = [m for m in methods if m.enabled and m.gateway is not Gateway.STRIPE]
    paying = [c for c in customers if c.status is not CustomerStatus.CLOSED and r.random() < SHARE]
    theirs = select(Payer.customer_id, Payer.id).where(Payer.customer_id.in_([c.id for c in paying]))
    payers: dict[int, int] = {row[0]: row[1] for row in await session.execute(theirs)}
    planned: list[tuple[datetime, Customer]] = []
    for customer in paying:
        start = max(customer.registered_at, maker.now - YEAR)
        planned += [(maker.between(start), customer) for _n in range(r.choices((1, 2, 4), (45, 35, 20))[0])]
    planned.sort(key=lambda pair: (pair[0], pair[1].id))
    made: list[tuple[Payment, str]] = []
    for place, (when, customer) in enumerate(planned):
        fate = r.choices(FATES, CHANCES)[0]
        if fate == "pending" and when < maker.now - WAITS:
            fate = "paid"
        payment = _payment(accounts[customer.id], r.choice(able), r.choice(AMOUNTS), when, fate)
        payment.number, payment.payer_id = f"{when:%y%m%d}-{place + 1}", payers.get(customer.id)
        made.append((payment, fate))
    await maker.keep([payment for payment, _fate in made])
    maker.mark(*(payment for payment, _fate in made))
    await _book(session, [payment for payment, fate in made if fate not in ("pending", "cancelled")])
    for payment, fate in made:
        if fate == "fraud":
            await payments.mark_fraud(session, payment_id=payment.id, reason=gettext("Somebody else's card."))
        elif fate in ("refunded", "part"):
            amount = payment.amount // (1 if fate == "refunded" else 2)
            await refunds.refund(
                session, payment_id=payment.id, amount=amount, reason=gettext("Ordered by mistake."), below_zero=True
            )


def _payment(account: Account, method: PaymentMethod, amount: int, when: datetime, fate: str) -> Payment:
    amount *= 100 if account.currency == "RUB" else 1
    status = {"pending": PaymentStatus.PENDING, "cancelled": PaymentStatus.CANCELLED}.get(fate, PaymentStatus.PAID)
    return Payment(
        customer_id=account.customer_id, account_id=account.id, project_id=account.project_id, method_id=method.id,
        amount=amount, currency=account.currency, account_amount=amount, account_currency=account.currency,
        status=status, created_at=when, paid_at=when if status is PaymentStatus.PAID else None,
    )  # fmt: skip


async def _book(session: AsyncSession, paid: list[Payment]) -> None:
    cash = {
        (project_id, currency): await ledger.own_account(
            session, project_id=project_id, kind=AccountKind.CASH, currency=currency
        )
        for project_id, currency in sorted({(p.project_id, p.currency) for p in paid})
    }
    bookings = [
        Booking(
            f"payment:{p.id}", TransactionKind.PAYMENT, p.paid_at or p.created_at,
            (Move(p.account_id, p.amount), Move(cash[p.project_id, p.currency], -p.amount)), p.number,
        )
        for p in paid
    ]  # fmt: skip
    await ledger.post_many(session, bookings)
    if not paid:
        return
    proof = select(Transaction.id).where(Transaction.key == literal("payment:").concat(cast(Payment.id, String)))
    await session.execute(
        update(Payment)
        .where(Payment.id.in_([p.id for p in paid]))
        .values(transaction_id=proof.scalar_subquery())
        .execution_options(audited=True, synchronize_session=False)
    )
    said = [
        {"payment_id": p.id, "key": "demo", "kind": PaymentEventKind.PAID, "at": p.paid_at, "amount": p.amount,
         "currency": p.currency}
        for p in paid
    ]  # fmt: skip
    await session.execute(insert(PaymentEvent), said, execution_options={"audited": True})
    for payment in paid:
        session.expire(payment, ["transaction_id"])
