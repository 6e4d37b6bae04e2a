"""Paying invoices: what a payment or the balance covers, and the ledger transactions that prove it."""

from __future__ import annotations

from collections import Counter
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import ledger
from app.domain.billing.expenses import charge
from app.domain.billing.invoices import PAID, from_balance, locked, move, payable
from app.errors import Conflict
from app.i18n import gettext, speaking
from app.models.billing import Expense, Invoice, InvoicePayment, LineKind, Payment
from app.models.ledger import Account, AccountKind


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
    left = await _uncovered(session, invoice)
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


async def _uncovered(session: AsyncSession, invoice: Invoice) -> Counter[LineKind]:
    """How much of each kind of line is not covered yet. What is sold is covered by its one charge."""
    left: Counter[LineKind] = Counter()
    for line in invoice.lines:
        left[line.kind] += line.total
    sold = (
        select(func.coalesce(func.sum(InvoicePayment.amount), 0))
        .join(Expense, Expense.transaction_id == InvoicePayment.transaction_id)
        .where(InvoicePayment.invoice_id == invoice.id, Expense.invoice_id == invoice.id)
    )
    charged = await session.scalar(sold) or 0
    left[LineKind.SALE] -= charged
    rest = invoice.paid - charged
    for kind in (LineKind.EXPENSE, LineKind.ADVANCE):
        used = min(rest, left[kind])
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
    wanted = min(free, left[LineKind.EXPENSE] + left[LineKind.ADVANCE])
    if wanted <= 0:
        return
    _cover(session, invoice, wanted, payment.transaction_id, payment)
    for kind in (LineKind.EXPENSE, LineKind.ADVANCE):
        part = min(wanted, left[kind])
        left[kind] -= part
        wanted -= part


async def _charged_before(session: AsyncSession, invoice: Invoice, account: Account, left: Counter[LineKind]) -> None:
    """An account that owes nothing has paid all that was charged: the charges themselves prove it."""
    if left[LineKind.EXPENSE] <= 0 or account.balance < 0:
        return
    ids = [line.expense_id for line in invoice.lines if line.expense_id is not None]
    rows = await session.execute(
        select(Expense.amount, Expense.transaction_id).where(Expense.id.in_(ids)).order_by(Expense.id)
    )
    for amount, transaction_id in rows:
        if (part := min(amount, left[LineKind.EXPENSE])) > 0:
            _cover(session, invoice, part, transaction_id)
            left[LineKind.EXPENSE] -= part


async def _sold(
    session: AsyncSession, invoice: Invoice, payment: Payment | None, left: Counter[LineKind], day: date | None
) -> None:
    if left[LineKind.SALE] <= 0:
        return
    sold = [line for line in invoice.lines if line.kind is LineKind.SALE]
    rates = {line.tax_rate for line in sold}
    with speaking(invoice.language):
        said = gettext("Invoice %(number)s") % {"number": invoice.number}
    try:
        async with session.begin_nested():
            expense = await charge(
                session, account_id=invoice.account_id, key=f"invoice:{invoice.id}",
                description=said,
                net=sum(line.net for line in sold), tax=sum(line.tax for line in sold),
                tax_rate=rates.pop() if len(rates) == 1 else 0, invoice_id=invoice.id,
                on_day=day,
            )  # fmt: skip
    except Conflict:
        return  # neither balance nor credit are enough
    _cover(session, invoice, expense.amount, expense.transaction_id, payment)
    left[LineKind.SALE] = 0


async def _note(session: AsyncSession, invoice: Invoice) -> None:
    if invoice.paid == invoice.total:
        move(invoice, PAID)
    await session.flush()
