"""Paying back: in parts or the whole, by hand or through the gateway, and what it could not send."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.domain.billing.payments import line_of, locked, moves_of, paid_part, refuse_move, settle, told
from app.domain.billing.settling import reopen
from app.domain.ledger import check_amount, post
from app.errors import Invalid, NotFound
from app.i18n import gettext, say_money
from app.models.billing import PaymentEvent, PaymentEventKind, PaymentStatus
from app.models.ledger import Account, TransactionKind
from app.queue import enqueue


async def refund(
    session: AsyncSession,
    *,
    payment_id: int,
    amount: int,
    reason: str,
    below_zero: bool = False,
    by_gateway: PaymentEvent | None = None,
) -> PaymentEvent:
    """Pay back `amount` minor units of the account's currency, or all of it in parts. Booked at once: what is on its
    way back is not spent again. Where the gateway can, a job sends it; `refund_failed` undoes what it could not.

    below_zero: also what the account does not hold any more. by_gateway: it was made there, and this says so.
    Raises Invalid for more than is left, Conflict unless it is paid.
    """
    payment = await locked(session, payment_id)
    refuse_move(payment, PaymentStatus.REFUNDED)
    check_amount(amount, payment.account_currency)
    reason = checks.at("reason", checks.line(PaymentEvent.__table__.c.said, required=by_gateway is None), reason)
    left = payment.account_amount - payment.refunded
    if amount > left:
        shown = say_money(left, payment.account_currency)
        raise Invalid(amount=gettext("At most %(amount)s can still be paid back.") % {"amount": shown})
    account = select(Account).where(Account.id == payment.account_id).with_for_update()
    balance = (await session.scalars(account.execution_options(populate_existing=True))).one().balance
    if amount > balance and not below_zero and by_gateway is None:
        shown = say_money(balance, payment.account_currency)
        raise Invalid(amount=gettext("The account holds only %(amount)s.") % {"amount": shown})
    n = select(func.count()).where(PaymentEvent.payment_id == payment.id, PaymentEvent.kind == PaymentEventKind.REFUND)
    number = (await session.scalar(n) or 0) + 1
    paid = paid_part(payment, payment.refunded + amount) - paid_part(payment, payment.refunded)
    transaction_id, _new = await post(
        session, key=f"refund:{payment.id}:{number}", kind=TransactionKind.REFUND,
        moves=await moves_of(session, payment, -amount, -paid), description=line_of(payment, reason),
    )  # fmt: skip
    payment.refunded += amount
    if payment.refunded == payment.account_amount:
        payment.status = PaymentStatus.REFUNDED
    event = by_gateway or PaymentEvent(payment_id=payment.id, key=f"refund:{number}")
    event.kind, event.said, event.transaction_id = PaymentEventKind.REFUND, reason, transaction_id
    event.amount, event.currency = amount, payment.account_currency
    sends = by_gateway is None and payment.charge_ref is not None
    event.details = {**(event.details or {}), "paid_part": paid, "state": "asked" if sends else "done"}
    session.add(event)
    await session.flush()
    await reopen(session, payment=payment, transaction_id=transaction_id)
    await told(session, payment, "refund", reason, refunded=[payment.refunded - amount, payment.refunded])
    if sends:
        await enqueue(session, "payments.refund", key=f"refund:{event.id}", event_id=event.id)
    return event


async def refund_failed(session: AsyncSession, *, event_id: int, reason: str) -> None:
    """The gateway could not send it: the money is on the account again. A second time changes nothing."""
    event = await session.scalar(select(PaymentEvent).where(PaymentEvent.id == event_id))
    if event is None or event.kind is not PaymentEventKind.REFUND:
        raise NotFound
    payment = await locked(session, event.payment_id)
    await session.refresh(event)
    if event.details.get("state") == "failed" or payment.status is PaymentStatus.FRAUD:
        return
    assert event.amount is not None
    await post(
        session, key=f"reversal:{event.transaction_id}", kind=TransactionKind.REVERSAL,
        moves=await moves_of(session, payment, event.amount, event.details["paid_part"]),
        description=line_of(payment, reason), reverses_id=event.transaction_id,
    )  # fmt: skip
    event.details = {**event.details, "state": "failed"}
    payment.refunded -= event.amount
    payment.status = PaymentStatus.PAID
    payment.doubt = gettext("A refund has failed: %(reason)s") % {"reason": reason[:200]}
    await session.flush()
    await settle(session, payment)  # what it had covered is covered again
