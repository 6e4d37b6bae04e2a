"""Payments: money that comes in, and goes back. Each is booked once, by its key, with its row locked.

Gateways are asked elsewhere (`app.domain.billing.gateways`): nothing here waits for another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.db import utcnow
from app.domain import checks
from app.domain.billing.settling import reopen, settle_invoice
from app.domain.ledger import Move, account_of, check_amount, exchange, own_account, post
from app.errors import AppError, Conflict, Invalid, NotFound
from app.i18n import gettext
from app.models import audit
from app.models.billing import (
    Gateway,
    Invoice,
    InvoiceStatus,
    Payer,
    Payment,
    PaymentInvoice,
    PaymentMethod,
    PaymentStatus,
)
from app.models.customers import Customer, CustomerStatus, GroupPaymentMethod, Membership
from app.models.ledger import Account, AccountKind, TransactionKind

_NEW, _PENDING, _PAID, _REFUNDED, _CANCELLED, _FRAUD = PaymentStatus
PAYMENT_MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    _NEW: frozenset({_PENDING, _PAID, _CANCELLED, _FRAUD}),
    _PENDING: frozenset({_PAID, _CANCELLED, _FRAUD}),
    _PAID: frozenset({_REFUNDED, _FRAUD}),
    _REFUNDED: frozenset({_PAID}),
    _CANCELLED: frozenset({_PAID}),
    _FRAUD: frozenset(),
}
"""The legal moves of a payment; anything else is a Conflict. Money may come after all for one that was cancelled, and a
refund that the gateway could not make leaves the payment paid."""

_of = Payment.__table__.c
FIELDS: dict[str, checks.Check] = {
    "number": checks.line(_of.number),
    "note": checks.area(_of.note),
    "payer_id": checks.row_id,
    "invoice_id": checks.row_id,
    "method_id": checks.required_row_id,
    "currency": checks.currency,
}
"""What may be entered for a payment besides whose it is and the amount, and its shape."""
WHILE_OPEN = ("invoice_id",)
"""What is fixed once the payment is booked or off."""
UNTIL_STARTED = ("method_id", "amount", "currency")
"""What is fixed as soon as the payer has been told."""


def refuse_move(payment: Payment, to: PaymentStatus) -> None:
    """Raises Conflict with the reason unless the payment may become `to`."""
    if to in PAYMENT_MOVES[payment.status]:
        return
    raise Conflict(
        {
            _NEW: gettext("This payment is not paid yet."),
            _PENDING: gettext("This payment is not paid yet."),
            _PAID: gettext("This payment is paid already."),
            _REFUNDED: gettext("This payment has been paid back already."),
            _CANCELLED: gettext("This payment is cancelled."),
            _FRAUD: gettext("This payment was marked as fraud: make another one."),
        }[payment.status]
    )


async def locked(session: AsyncSession, payment_id: int) -> Payment:
    """The payment, which nobody else changes until this transaction ends. Raises NotFound."""
    statement = select(Payment).where(Payment.id == payment_id).options(joinedload(Payment.method))
    found = await session.scalar(
        statement.with_for_update(of=Payment).execution_options(populate_existing=True)
    )  # fmt: skip
    if found is None:
        raise NotFound
    return found


async def methods_for(session: AsyncSession, customer: Customer) -> list[PaymentMethod]:
    """The methods in use; where the customer's groups name some, only those."""
    allowed = select(GroupPaymentMethod.payment_method_id).where(
        GroupPaymentMethod.group_id.in_(select(Membership.group_id).where(Membership.customer_id == customer.id))
    )
    only = set(await session.scalars(allowed))
    rows = await session.scalars(select(PaymentMethod).where(PaymentMethod.enabled).order_by(PaymentMethod.id))
    return [m for m in rows if not only or m.id in only]


# ---- making and changing --------------------------------------------------------------------------------------------


async def create_payment(
    session: AsyncSession,
    *,
    customer_id: int,
    method_id: int,
    amount: int,
    currency: str | None = None,
    account_id: int | None = None,
    project_id: int | None = None,
    payer_id: int | None = None,
    invoice_id: int | None = None,
    number: str = "",
    note: str = "",
) -> Payment:
    """A payment for one of the customer's accounts; without account_id that in `currency`, opened when there is none.

    amount: minor units of `currency` (the account's unless given); what the account gets is counted by the rate of the
    day. A bank transfer is pending at once. Raises Invalid with the bad field: nothing is booked before it is paid.
    """
    values = {"number": number, "note": note, "payer_id": payer_id, "invoice_id": invoice_id, "method_id": method_id}
    wanted = checks.clean(values | ({"currency": currency} if currency else {}), FIELDS)
    customer = await session.scalar(select(Customer).where(Customer.id == checks.row_id(customer_id)))
    if customer is None:
        raise Invalid(customer_id=gettext("This choice does not exist, or not any more."))
    if customer.status is CustomerStatus.CLOSED:
        raise Invalid(customer_id=gettext("The account of this customer is closed. Open it again first."))
    if account_id is None:
        account = await account_of(session, customer=customer, project_id=project_id, currency=wanted.get("currency"))
    else:
        account = await _account(session, customer, account_id)
    method = await session.scalar(select(PaymentMethod).where(PaymentMethod.id == method_id))
    if method is None or not method.enabled:
        raise Invalid(method_id=gettext("Please choose a payment method that is in use."))
    payment = Payment(
        customer_id=customer.id, account_id=account.id, project_id=account.project_id,
        account_currency=account.currency, status=_PENDING if method.gateway is Gateway.BANK else _NEW,
        **wanted,
    )  # fmt: skip
    payment.currency = wanted.get("currency", account.currency)
    await _count(session, payment, amount)
    await _check_links(session, payment, wanted)
    session.add(payment)
    await session.flush()
    if not payment.number:
        payment.number = f"P-{payment.id}"
        await session.flush()
    return payment


async def change_payment(session: AsyncSession, *, payment: Payment, values: Mapping[str, Any]) -> Payment:
    """Change what may still change: number, payer and note always, the invoice until it is paid, amount, currency and
    method until the payer was told. Raises Invalid with the bad fields."""
    values = dict(values)
    amount = values.pop("amount", payment.amount)
    wanted = checks.clean(values, FIELDS)
    fixed: tuple[str, ...] = () if payment.status in (_NEW, _PENDING) else WHILE_OPEN
    if payment.status is not _NEW or payment.external_id is not None:
        fixed += UNTIL_STARTED
    now = {**wanted, "amount": amount}
    if late := [f for f in fixed if f in now and now[f] != getattr(payment, f)]:
        raise Invalid(**{field: gettext("This cannot be changed any more.") for field in late})
    await _check_links(session, payment, wanted)
    if "method_id" in wanted:
        await checks.known(session, "method_id", PaymentMethod, wanted["method_id"])
    checks.change(payment, wanted)
    if amount != payment.amount or "currency" in wanted:
        await _count(session, payment, amount)
    await session.flush()
    return payment


async def _account(session: AsyncSession, customer: Customer, account_id: int) -> Account:
    account = await session.scalar(select(Account).where(Account.id == account_id))
    if account is None or account.customer_id != customer.id:
        raise Invalid(account_id=gettext("This is not an account of the customer."))
    return account


async def _count(session: AsyncSession, payment: Payment, amount: Any) -> None:
    """Set the amount, and what the account gets for it by the rate of the day."""
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise Invalid(amount=gettext("Not an amount."))
    payment.amount = check_amount(amount, payment.currency)
    if payment.currency == payment.account_currency:
        payment.rate, payment.account_amount = None, payment.amount
        return
    try:
        rate = await exchange.rate_on(session, payment.currency, payment.account_currency, utcnow().date())
    except AppError as problem:
        raise Invalid(currency=str(problem)) from None
    found = exchange.convert(amount, rate, payment.currency, payment.account_currency)
    payment.rate, payment.account_amount = rate, check_amount(found, payment.account_currency)


async def _check_links(session: AsyncSession, payment: Payment, wanted: Mapping[str, Any]) -> None:
    if (payer_id := wanted.get("payer_id")) is not None:
        owner = await session.scalar(select(Payer.customer_id).where(Payer.id == payer_id))
        if owner != payment.customer_id:
            raise Invalid(payer_id=gettext("This is not a payer of the customer."))
    invoice_id = wanted.get("invoice_id")
    if invoice_id is None or (invoice_id == payment.invoice_id and payment.id is not None):
        return
    invoice = await session.scalar(select(Invoice).where(Invoice.id == invoice_id))
    if invoice is None or invoice.customer_id != payment.customer_id:
        raise Invalid(invoice_id=gettext("This is not an invoice of the customer."))
    if invoice.account_id != payment.account_id:
        raise Invalid(invoice_id=gettext("This invoice belongs to another account of the customer."))
    if invoice.status not in (InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE):
        raise Invalid(invoice_id=gettext("This invoice is not open."))


# ---- booking --------------------------------------------------------------------------------------------------------


def paid_part(payment: Payment, of_account: int) -> int:
    """What `of_account` minor units of the account are of what was paid, in its currency. Parts add up to the whole."""
    return (2 * of_account * payment.amount + payment.account_amount) // (2 * payment.account_amount)


def account_part(payment: Payment, of_paid: int) -> int:
    return (2 * of_paid * payment.account_amount + payment.amount) // (2 * payment.amount)


async def moves_of(session: AsyncSession, payment: Payment, to_account: int, from_cash: int) -> list[Move]:
    """Into the account and out of the project's cash; two currencies by way of its accounts of exchange."""

    async def own(kind: AccountKind, currency: str) -> int:
        return await own_account(session, project_id=payment.project_id, kind=kind, currency=currency)

    moves = [Move(payment.account_id, to_account), Move(await own(AccountKind.CASH, payment.currency), -from_cash)]
    if payment.currency != payment.account_currency:
        moves += [
            Move(await own(AccountKind.EXCHANGE, payment.currency), from_cash),
            Move(await own(AccountKind.EXCHANGE, payment.account_currency), -to_account),
        ]
    return moves


async def set_paid(
    session: AsyncSession, *, payment_id: int, number: str | None = None, at: datetime | None = None
) -> Payment:
    """The money is here: credit the account, once, and pay the invoice that the payment names. at: when it came.

    Raises Conflict for a payment that cannot become paid. An invoice that cannot be paid with it does not stop it: the
    money is on the account, and the payment says what does not fit.
    """
    payment = await locked(session, payment_id)
    refuse_move(payment, _PAID)
    if payment.transaction_id is not None:  # back from REFUNDED, which only a refund that failed does
        raise Conflict(gettext("This payment has been paid back already."))
    if at is not None and at > utcnow():
        raise Invalid(at=gettext("This lies in the future."))
    if number is not None:
        payment.number = checks.at("number", FIELDS["number"], number) or payment.number
    payment.paid_at = at or utcnow()
    payment.transaction_id, _new = await post(
        session, key=f"payment:{payment.id}", kind=TransactionKind.PAYMENT,
        moves=await moves_of(session, payment, payment.account_amount, payment.amount),
        description=f"{payment.method.name} {payment.number}", at=payment.paid_at,
    )  # fmt: skip
    payment.status = _PAID
    await session.flush()
    await settle(session, payment)
    return payment


async def settle(session: AsyncSession, payment: Payment) -> None:
    """Pay the invoice that the payment names, or the several that it is for, the oldest first."""
    several = select(PaymentInvoice.invoice_id).where(PaymentInvoice.payment_id == payment.id)
    wanted = [payment.invoice_id] if payment.invoice_id is not None else await session.scalars(
        several.order_by(PaymentInvoice.invoice_id)
    )  # fmt: skip
    for invoice_id in wanted:
        try:
            async with session.begin_nested():
                await settle_invoice(session, invoice_id=invoice_id, payment=payment)
        except AppError as problem:
            payment.doubt = str(problem)[:300]
            await session.flush()


async def cancel(session: AsyncSession, *, payment_id: int, reason: str = "") -> Payment:
    """It will not be paid. Raises Conflict when it was."""
    payment = await locked(session, payment_id)
    refuse_move(payment, _CANCELLED)
    payment.status, payment.pay_url = _CANCELLED, ""
    await told(session, payment, "cancel", reason)
    return payment


async def mark_fraud(session: AsyncSession, *, payment_id: int, reason: str) -> Payment:
    """Take back what it brought (less what was paid back before), whatever the balance is. Raises Conflict."""
    payment = await locked(session, payment_id)
    refuse_move(payment, _FRAUD)
    reversal: int | None = None
    if payment.transaction_id is not None:
        rest = payment.account_amount - payment.refunded
        paid = payment.amount - paid_part(payment, payment.refunded)
        reversal, new = await post(
            session, key=f"reversal:{payment.transaction_id}", kind=TransactionKind.REVERSAL,
            moves=await moves_of(session, payment, -rest, -paid), description=line_of(payment, reason),
            reverses_id=None if payment.refunded else payment.transaction_id,  # else it is not the whole of it
        )  # fmt: skip
        if not new:
            raise Conflict(gettext("This has been reversed already."))
    payment.status, payment.pay_url = _FRAUD, ""
    if reversal is not None:
        await session.flush()
        await reopen(session, payment=payment, transaction_id=reversal)
    await told(session, payment, "fraud", reason)
    return payment


def line_of(payment: Payment, reason: str) -> str:
    return f"{payment.method.name} {payment.number}: {reason}" if reason else f"{payment.method.name} {payment.number}"


async def told(session: AsyncSession, payment: Payment, action: str, reason: str, **changes: Any) -> None:
    await session.flush()
    await session.run_sync(lambda s: audit.write(s, action, "payment", payment.id, changes, note=reason))


async def settle_doubt(session: AsyncSession, *, payment_id: int) -> None:
    """Somebody has looked at what does not fit."""
    payment = await locked(session, payment_id)
    if payment.doubt:
        was, payment.doubt = payment.doubt, ""
        await told(session, payment, "looked_at", was)
