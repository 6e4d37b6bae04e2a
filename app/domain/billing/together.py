"""Several invoices at once: paid from the balance, all or none, or by one payment that is for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.billing.invoices import UNPAID, locked
from app.domain.billing.payments import create_payment
from app.domain.billing.settling import pay_from_balance
from app.errors import Conflict, Invalid
from app.i18n import gettext
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus, LineKind, Payment, PaymentInvoice
from app.models.ledger import Account

MOST = 50


async def open_of(session: AsyncSession, customer_id: int, ids: Sequence[int]) -> Sequence[Invoice]:
    """Those of these invoices that are this customer's and open, the oldest first."""
    rows = await session.scalars(
        select(Invoice)
        .where(
            Invoice.id.in_(ids), Invoice.customer_id == customer_id, Invoice.status.in_(UNPAID),
            Invoice.kind == InvoiceKind.INVOICE,
        )
        .order_by(Invoice.id)
        .limit(MOST)
    )  # fmt: skip
    return rows.all()


def suffices(account: Account, invoices: Sequence[Invoice]) -> bool:
    """Whether the account, as it stands now, can pay these; loaded with their lines."""
    lines = [line for invoice in invoices for line in invoice.lines]
    sold = sum(line.total for line in lines if line.kind is LineKind.SALE)
    if any(line.kind is LineKind.ADVANCE for line in lines):
        return False
    if any(line.kind is LineKind.EXPENSE for line in lines) and account.balance < 0:
        return False
    return account.post_paid or account.balance + account.credit_limit >= sold


async def pay_all(session: AsyncSession, *, invoices: Sequence[Invoice]) -> None:
    """Pay these from the balance. Raises Conflict, and then none is paid, when that is not enough for all."""
    for invoice in sorted(invoices, key=lambda i: i.id):
        await pay_from_balance(session, invoice=invoice)
        if (await locked(session, invoice.id)).status is not InvoiceStatus.PAID:
            raise Conflict(gettext("The balance is not enough."))


async def made_with(session: AsyncSession, form_key: str) -> Payment | None:
    """The payment that this form has made."""
    return await session.scalar(select(Payment).where(Payment.form_key == form_key))


async def payment_for(
    session: AsyncSession, *, invoices: Sequence[Invoice] = (), form_key: str | None = None, **more: Any
) -> Payment:
    """A payment (see `create_payment`) for these open invoices of one account; asked again with the same form_key, the
    one that there is comes back. Raises Invalid with the bad fields."""
    if form_key is not None and (there := await made_with(session, form_key)) is not None:
        return there
    if len({i.account_id for i in invoices}) > 1:
        raise Invalid(amount=gettext("These invoices belong to several accounts. Please pay those of each by itself."))
    one = invoices[0].id if len(invoices) == 1 else None
    payment = await create_payment(session, invoice_id=one, **more)
    payment.form_key = form_key
    if one is None:
        for invoice in invoices:
            if invoice.customer_id != payment.customer_id or invoice.account_id != payment.account_id:
                raise Invalid(amount=gettext("This invoice belongs to another account of the customer."))
            session.add(PaymentInvoice(payment_id=payment.id, invoice_id=invoice.id))
    await session.flush()
    return payment
