"""Between payments and gateways: handing one over, and taking in what a gateway says, each of it once.

The request that starts a payment asks the gateway itself, between two transactions and for at most some seconds: the
payer waits for the address, and a job would only let them wait longer. The key of the call is the same at every try.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app import db, links
from app.domain import brands
from app.domain.billing.payments import account_part, cancel, locked, paid_part, refuse_move, set_paid
from app.domain.billing.refunds import refund, refund_failed
from app.errors import Conflict, NotFound
from app.i18n import gettext, language, say_money
from app.integrations.payments import MARK, GatewayError, Happened, Order, PaymentGateway, Started, What, gateway_of
from app.models.billing import Gateway, Payment, PaymentEvent, PaymentEventKind, PaymentMethod, PaymentStatus
from app.observe import SYSTEM, acting, log
from app.settings import Settings

_marks = links.Signer(MARK)
_NEW, _PENDING, _PAID, _REFUNDED, _CANCELLED, _FRAUD = PaymentStatus
BY_GATEWAY = (Gateway.STRIPE, Gateway.TEST)


def mark_of(payment_id: int) -> str:
    """What a gateway keeps for us, and says again: nobody else can make it."""
    return _marks.sign(str(payment_id))


def page_of(payment_id: int) -> str:
    """Where the payer comes back to."""
    return f"/client/payments/{payment_id}"


def gateway_for(payment: Payment, settings: Settings) -> PaymentGateway:
    """The gateway of its method. Raises Conflict where there is none, or it cannot take this amount."""
    gateway = gateway_of(payment.method.gateway, settings)
    if gateway is None:
        raise Conflict(gettext("This way of paying is not open now. Please choose another one."))
    if not gateway.takes(payment.amount, payment.currency):
        shown = say_money(payment.amount, payment.currency)
        raise Conflict(gettext("%(amount)s cannot be paid this way. Please choose another amount.") % {"amount": shown})
    return gateway


async def start(settings: Settings, payment_id: int) -> Payment:
    """Hand a new payment to its gateway; afterwards `pay_url` says where to send the payer. Outside of any unit.

    One that was started before is left as it is. Raises Conflict, and GatewayError when the gateway cannot be reached:
    the payment stays as it was, and can be tried again.
    """
    async with db.reads() as session:
        query = select(Payment).where(Payment.id == payment_id)
        payment = await session.scalar(
            query.options(joinedload(Payment.method), joinedload(Payment.project), joinedload(Payment.customer))
        )
    if payment is None:
        raise NotFound
    if payment.external_id is not None and payment.pay_url:
        return payment
    if payment.status is not _NEW:
        refuse_move(payment, _PENDING)
    gateway = gateway_for(payment, settings)
    back = await brands.url_for(payment.project_id, page_of(payment.id))  # where they are signed in
    made = payment.created_at.strftime("%Y%m%d%H%M%S")
    order = Order(
        key=f"payment-{payment.id}-{made}-{payment.amount}{payment.currency}", mark=mark_of(payment.id),
        amount=payment.amount, currency=payment.currency, description=f"{payment.project.name} {payment.number}",
        return_url=f"{back}?back=1", cancel_url=back, email=payment.customer.email, language=language(),
    )  # fmt: skip
    started = await gateway.start(order)
    async with db.unit() as session:
        return await handed_over(session, payment_id=payment.id, started=started)


async def handed_over(session: AsyncSession, *, payment_id: int, started: Started) -> Payment:
    """Note what the gateway calls it. What a webhook has said meanwhile stays."""
    payment = await locked(session, payment_id)
    if payment.external_id is None:
        payment.external_id = started.external_id
    if payment.status is _NEW:
        payment.status, payment.pay_url = _PENDING, started.url
    await _note(session, payment, f"started:{started.external_id}", PaymentEventKind.STARTED)
    return payment


# ---- what a gateway says --------------------------------------------------------------------------------------------


async def take(happened: Happened, gateway: Gateway) -> bool:
    """Take in what a gateway says, in a unit of its own; the same only once. False: it is none of ours, or known.

    Raises Conflict for what comes too early (a refund before the payment): it is to be said again later.
    """
    with acting(SYSTEM):
        async with db.reads() as session:
            payment_id = await _whose(session, happened, gateway)
            if payment_id is None or await _known(session, payment_id, happened.key):
                return False
        async with db.unit() as session:
            payment = await locked(session, payment_id)
            if await _known(session, payment_id, happened.key):
                return False
            await _apply(session, payment, happened)
            return True


async def _whose(session: AsyncSession, happened: Happened, gateway: Gateway) -> int | None:
    query = select(Payment.id).join(PaymentMethod).where(PaymentMethod.gateway == gateway)
    if happened.mark:
        known = _marks.read(happened.mark)
        found = await session.scalar(query.where(Payment.id == int(known))) if known and known.isdecimal() else None
    elif happened.external_id:
        found = await session.scalar(query.where(Payment.external_id == happened.external_id))
    elif happened.charge_ref:
        found = await session.scalar(query.where(Payment.charge_ref == happened.charge_ref).limit(1))
    else:
        found = None
    if found is None:
        log("payments").info("%s of %s is not about a payment of ours", happened.what, gateway)
    return found


async def _known(session: AsyncSession, payment_id: int, key: str) -> bool:
    found = select(PaymentEvent.id).where(PaymentEvent.payment_id == payment_id, PaymentEvent.key == key)
    return await session.scalar(found) is not None


async def _note(
    session: AsyncSession, payment: Payment, key: str, kind: PaymentEventKind, happened: Happened | None = None
) -> PaymentEvent:
    event = PaymentEvent(payment_id=payment.id, key=key, kind=kind)
    if happened is not None:
        event.amount, event.currency = happened.amount, happened.currency
        event.said, event.details = happened.said[:500], dict(happened.details)
    if not await _known(session, payment.id, key):
        session.add(event)
        await session.flush()
    return event


async def _apply(session: AsyncSession, payment: Payment, happened: Happened) -> None:
    if happened.what is What.PAID:
        await _paid(session, payment, happened)
    elif happened.what is What.PENDING:
        await _note(session, payment, happened.key, PaymentEventKind.PENDING, happened)
        payment.charge_ref = payment.charge_ref or happened.charge_ref
        if payment.status is _NEW:
            payment.status = _PENDING
    elif happened.what is What.FAILED:
        await _note(session, payment, happened.key, PaymentEventKind.FAILED, happened)
        same = happened.external_id in (None, payment.external_id)
        if payment.status in (_NEW, _PENDING) and same:
            await cancel(session, payment_id=payment.id, reason=happened.said)
    elif happened.what is What.REFUNDED:
        await _refunded(session, payment, happened)
    elif happened.what is What.REFUND_FAILED:
        await _refund_failed(session, payment, happened)
    else:
        await _note(session, payment, happened.key, PaymentEventKind.DISPUTED, happened)
        payment.doubt = gettext("The payer disputes this payment at the gateway.")
    await session.flush()


async def _paid(session: AsyncSession, payment: Payment, happened: Happened) -> None:
    """Credit it, when it is what we asked for and has not come before."""
    again = payment.status in (_PAID, _REFUNDED, _FRAUD)
    fits = (happened.amount, happened.currency) == (payment.amount, payment.currency)
    twice = again and None not in (happened.charge_ref, payment.charge_ref) and (
        happened.charge_ref != payment.charge_ref
    )  # fmt: skip
    kind = PaymentEventKind.PAID if fits and not twice else PaymentEventKind.MISMATCH
    await _note(session, payment, happened.key, kind, happened)
    if twice:
        payment.doubt = gettext("The payer has paid twice. Only one of them is on the account.")
    elif not fits and not again:
        came = say_money(happened.amount or 0, happened.currency)
        payment.doubt = gettext("%(amount)s came in, which is not what was asked for. It is not on the account.") % {
            "amount": came
        }
        payment.charge_ref = payment.charge_ref or happened.charge_ref
    elif not again:
        payment.external_id = payment.external_id or happened.external_id
        payment.charge_ref, payment.pay_url = happened.charge_ref or payment.charge_ref, ""
        await session.flush()
        await set_paid(session, payment_id=payment.id)


async def _refunded(session: AsyncSession, payment: Payment, happened: Happened) -> None:
    """What went back so far, in all. What we have asked for ourselves is in our books already."""
    if payment.status in (_NEW, _PENDING) and not payment.doubt:
        raise Conflict(gettext("This payment is not paid yet."))
    fits = happened.currency == payment.currency and happened.amount is not None
    known = paid_part(payment, payment.refunded)
    if payment.status is not _PAID or not fits or (happened.amount or 0) <= known:
        await _note(session, payment, happened.key, PaymentEventKind.NOTED, happened)
        return
    part = account_part(payment, min(happened.amount or 0, payment.amount)) - payment.refunded
    if part <= 0:
        await _note(session, payment, happened.key, PaymentEventKind.NOTED, happened)
        return
    event = PaymentEvent(payment_id=payment.id, key=happened.key, details=dict(happened.details))
    said = happened.said or gettext("Made at the gateway")
    await refund(session, payment_id=payment.id, amount=part, reason=said, by_gateway=event)


async def _refund_failed(session: AsyncSession, payment: Payment, happened: Happened) -> None:
    rows = await session.scalars(
        select(PaymentEvent)
        .where(PaymentEvent.payment_id == payment.id, PaymentEvent.kind == PaymentEventKind.REFUND)
        .order_by(PaymentEvent.id)
    )
    name = happened.details.get("id")
    found = next((e for e in rows if name in (e.details.get("gateway_id"), e.details.get("id"))), None)
    if found is None and happened.refund_key.isascii():
        wanted = happened.refund_key.rpartition(":")[2]
        found = next((e for e in rows if str(e.id) == wanted), None)
    await _note(session, payment, happened.key, PaymentEventKind.REFUND_FAILED, happened)
    if found is not None:
        await refund_failed(session, event_id=found.id, reason=happened.said)
    else:
        payment.doubt = gettext("A refund has failed: %(reason)s") % {"reason": happened.said[:200]}


# ---- in the background ----------------------------------------------------------------------------------------------


async def send_refund(settings: Settings, event_id: int) -> None:
    """Have the gateway send a refund that is booked. Outside of any unit; a second time changes nothing.

    Raises GatewayError for what may work later.
    """
    async with db.reads() as session:
        query = select(PaymentEvent).where(PaymentEvent.id == event_id)
        event = await session.scalar(query.options(joinedload(PaymentEvent.payment).joinedload(Payment.method)))
    if event is None or event.details.get("state") != "asked" or event.payment.charge_ref is None:
        return
    payment, charge_ref = event.payment, event.payment.charge_ref
    gateway, failed, name = gateway_of(payment.method.gateway, settings), "", ""
    if gateway is None:
        failed = gettext("This way of paying is not open now. Please choose another one.")
    elif event.details["paid_part"] > 0:
        made = payment.created_at.strftime("%Y%m%d%H%M%S")
        try:
            name = await gateway.refund(
                charge_ref=charge_ref, amount=event.details["paid_part"], currency=payment.currency,
                key=f"refund-{made}:{event.id}", mark=mark_of(payment.id),
            )  # fmt: skip
        except GatewayError as problem:
            if not problem.final:
                raise
            failed = str(problem)
    async with db.unit() as session:
        if failed:
            await refund_failed(session, event_id=event_id, reason=failed)
            return
        payment = await locked(session, payment.id)
        sent = await session.scalar(select(PaymentEvent).where(PaymentEvent.id == event_id))
        if sent is not None and sent.details.get("state") == "asked":
            sent.details = {**sent.details, "state": "done", "gateway_id": name}
