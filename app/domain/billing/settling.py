"""Paying invoices: what a payment or the balance covers, and the ledger transactions that prove it."""

from __future__ import annotations

from collections import Counter
from datetime import date

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import ledger
from app.domain.billing.expenses import charge
from app.domain.billing.invoices import (
    CANCELLED,
    DRAFT,
    ISSUED,
    OVERDUE,
    PAID,
    credited,
    from_balance,
    locked,
    move,
    payable,
)
from app.errors import Conflict
from app.i18n import gettext, speaking
from app.models.billing import Expense, Invoice, InvoiceLine, InvoicePayment, LineKind, Payment, PaymentStatus
from app.models.ledger import Account, AccountKind

SALE, EXPENSE, ADVANCE = LineKind


async def settle_invoice(
    session: AsyncSession, *, invoice_id: int, payment: Payment | None = None, day: date | None = None
) -> bool:
    """Pay what can be paid of an invoice: from a payment that is booked, and from the balance. Whether it is paid now.

    A payment covers what was charged before and what is asked for the account; what is sold is charged from the
    balance, at once, when the balance and credit are enough, else it stays unpaid and the money on the account. What
    cannot be paid (a draft, paid, cancelled) is left as it is. Asked twice, nothing happens twice. day: of the charge,
    else today.
    """
    invoice = await locked(session, invoice_id)
    if not payable(invoice):
        return invoice.status is PAID
    for kind in (AccountKind.REVENUE, AccountKind.TAX):  # opened before the account is locked
        await ledger.own_account(session, project_id=invoice.project_id, kind=kind, currency=invoice.currency)
    account = (await ledger.locked(session, [invoice.account_id]))[invoice.account_id]
    left = await uncovered(session, invoice)
    if payment is not None and payment.account_id == invoice.account_id:
        await _by_payment(session, invoice, payment, left)
    await _charged_before(session, invoice, account, left)
    await _sold(session, invoice, payment, left, day)
    await _note(session, invoice)
    return invoice.status is PAID


async def pay_from_balance(session: AsyncSession, *, invoice: Invoice) -> None:
    """Pay an invoice with what lies on the account. Raises Conflict when that cannot be, and changes nothing."""
    invoice = await locked(session, invoice.id)
    if not payable(invoice):
        raise Conflict(gettext("There is nothing to pay on this invoice any more."))
    if not from_balance(invoice):
        raise Conflict(gettext("This invoice asks for funds: it is paid by a payment, not from the balance."))
    await ledger.check_open(session, invoice.customer_id)
    before = invoice.paid
    if not await settle_invoice(session, invoice_id=invoice.id) and invoice.paid == before:
        raise Conflict(gettext("The balance is not enough."))


async def uncovered(session: AsyncSession, invoice: Invoice) -> Counter[LineKind]:
    """How much of each kind of line is neither covered nor credited. What is sold is covered by its one charge; where
    the payment of that has gone back, it counts as charged before."""
    left: Counter[LineKind] = Counter()
    for line in invoice.lines:
        left[line.kind] += line.total
    noted = (
        select(InvoiceLine.kind, func.sum(InvoiceLine.total))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(Invoice.credits_id == invoice.id, Invoice.status != DRAFT)
        .group_by(InvoiceLine.kind)
    )
    notes = {kind: int(total) for kind, total in await session.execute(noted)}
    sold = await session.scalar(select(Expense.amount).where(Expense.invoice_id == invoice.id))
    # of what was charged, only what was credited before the charge was taken off
    off = notes.get(SALE, 0) if sold is None else left[SALE] - sold
    advance = min(invoice.credited - off, notes.get(ADVANCE, 0))
    left[ADVANCE] -= advance
    left[EXPENSE] -= invoice.credited - off - advance
    left[SALE] -= off + (sold or 0)
    rest = invoice.paid - (sold or 0)
    for kind in (EXPENSE, ADVANCE):
        used = min(rest, left[kind])  # below zero: more was charged than is paid
        left[kind] -= used
        rest -= used
    return left


def _cover(
    session: AsyncSession, invoice: Invoice, amount: int, transaction_id: int, payment: Payment | None = None
) -> None:
    row = InvoicePayment(
        invoice_id=invoice.id, amount=amount, transaction_id=transaction_id, payment_id=payment.id if payment else None
    )
    session.add(row)
    invoice.paid += amount


async def _by_payment(session: AsyncSession, invoice: Invoice, payment: Payment, left: Counter[LineKind]) -> None:
    if payment.transaction_id is None:
        return
    used = select(func.coalesce(func.sum(InvoicePayment.amount), 0)).where(InvoicePayment.payment_id == payment.id)
    free = payment.account_amount - payment.refunded - (await session.scalar(used) or 0)
    wanted = min(free, left[EXPENSE] + left[ADVANCE])
    if wanted <= 0:
        return
    _cover(session, invoice, wanted, payment.transaction_id, payment)
    for kind in (EXPENSE, ADVANCE):
        part = min(wanted, left[kind])
        left[kind] -= part
        wanted -= part


async def _charged_before(session: AsyncSession, invoice: Invoice, account: Account, left: Counter[LineKind]) -> None:
    """An account that owes nothing has paid all that was charged: the charges themselves prove it."""
    if left[EXPENSE] <= 0 or account.balance < 0:
        return
    ids = [line.expense_id for line in invoice.lines if line.expense_id is not None]
    rows = await session.execute(
        select(Expense.amount, Expense.transaction_id)
        .where(or_(Expense.id.in_(ids), Expense.invoice_id == invoice.id))
        .order_by(Expense.id)
    )
    for amount, transaction_id in rows:
        if transaction_id is not None and (part := min(amount, left[EXPENSE])) > 0:
            _cover(session, invoice, part, transaction_id)
            left[EXPENSE] -= part


async def _sold(
    session: AsyncSession, invoice: Invoice, payment: Payment | None, left: Counter[LineKind], day: date | None
) -> None:
    if left[SALE] <= 0:
        return
    sold = [line for line in invoice.lines if line.kind is SALE]
    rates = {line.tax_rate for line in sold}
    with speaking(invoice.language):
        said = gettext("Invoice %(number)s") % {"number": invoice.number}
    gone = select(func.coalesce(func.sum(InvoiceLine.net), 0), func.coalesce(func.sum(InvoiceLine.tax), 0))
    notes = gone.join(Invoice, Invoice.id == InvoiceLine.invoice_id).where(
        Invoice.credits_id == invoice.id, Invoice.status != DRAFT, InvoiceLine.kind == SALE
    )
    net_off, tax_off = (await session.execute(notes)).one()
    try:
        async with session.begin_nested():
            expense = await charge(
                session, account_id=invoice.account_id, key=f"invoice:{invoice.id}",
                description=said,
                net=sum(line.net for line in sold) - int(net_off), tax=sum(line.tax for line in sold) - int(tax_off),
                tax_rate=rates.pop() if len(rates) == 1 else 0, invoice_id=invoice.id,
                on_day=day,
            )  # fmt: skip
    except Conflict:
        return  # neither balance nor credit are enough
    assert expense.transaction_id is not None
    _cover(session, invoice, expense.amount, expense.transaction_id, payment)
    left[SALE] = 0


async def _note(session: AsyncSession, invoice: Invoice) -> None:
    if invoice.left == 0:
        move(invoice, PAID)
    await session.flush()


async def reopen(session: AsyncSession, *, payment: Payment, transaction_id: int, day: date | None = None) -> None:
    """A payment has gone back, by this transaction: what it had covered of invoices is to be paid again.

    What is left of the payment covers what it did before as far as it goes, and what credit notes have given back need
    not be covered. What was charged for an invoice stays charged: the next payment covers it, or the balance once
    nothing is owed.
    """
    gone = payment.account_amount if payment.status is PaymentStatus.FRAUD else payment.refunded
    rows = await session.execute(
        select(InvoicePayment.invoice_id, InvoicePayment.amount).where(InvoicePayment.payment_id == payment.id)
    )
    covered: Counter[int] = Counter()
    used = opened = 0
    for invoice_id, amount in rows:
        covered[invoice_id] += amount
        used, opened = used + max(amount, 0), opened + max(-amount, 0)
    invoices = [await locked(session, invoice_id) for invoice_id in sorted(covered)]
    for invoice in invoices:
        given_back = await credited(session, invoice.id) - invoice.credited
        covered[invoice.id] -= (freed := min(given_back, covered[invoice.id]))
        used -= freed
    left = gone - max(payment.account_amount - used, 0) - opened
    for invoice in reversed(invoices):
        part = min(left, covered[invoice.id])
        if part <= 0 or invoice.status is CANCELLED:
            continue
        left -= part
        _cover(session, invoice, -part, transaction_id, payment)
        if invoice.status is PAID:
            late = invoice.due_on is not None and invoice.due_on < (day or utcnow().date())
            move(invoice, OVERDUE if late else ISSUED)
    await session.flush()
