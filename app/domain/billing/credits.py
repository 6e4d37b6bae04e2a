"""Credit notes: they take back an issued invoice, whole or in part, and give back what was charged for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import ledger
from app.domain.billing.expenses import reverse_expense
from app.domain.billing.invoices import CANCELLED, DRAFT, ISSUED, PAID, credited, issue_invoice, locked, move
from app.domain.billing.settling import uncovered
from app.domain.billing.taxes import split
from app.domain.ledger import Move, own_account, post
from app.errors import Conflict, Invalid
from app.i18n import gettext, speaking
from app.models.billing import Expense, Invoice, InvoiceKind, InvoiceLine, InvoicePayment, LineKind
from app.models.ledger import AccountKind, TransactionKind


async def left_to_credit(session: AsyncSession, invoice: Invoice) -> dict[int, tuple[int, int]]:
    """Line (by position) -> (net, tax) that no credit note has taken back yet."""
    rows = await session.execute(
        select(InvoiceLine.position, func.sum(InvoiceLine.net), func.sum(InvoiceLine.tax))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(Invoice.credits_id == invoice.id, Invoice.status != DRAFT)
        .group_by(InvoiceLine.position)
    )
    gone = {position: (int(net), int(tax)) for position, net, tax in rows}
    left = {}
    for line in invoice.lines:
        net, tax = gone.get(line.position, (0, 0))
        left[line.position] = (line.net - net, line.tax - tax)
    return left


async def credit_invoice(
    session: AsyncSession, *, invoice: Invoice, reason: str, parts: Mapping[int, int] | None = None
) -> Invoice:
    """Make and issue a credit note. parts: line (by position) -> amount with tax; None is all that is left.

    What was charged for these lines comes back to the account, and what was not paid of them need not be paid. An
    invoice that is credited as a whole is cancelled. Raises Conflict, Invalid at `lines-<place>-amount` and `reason`.
    """
    invoice = await locked(session, invoice.id)
    if invoice.kind is not InvoiceKind.INVOICE or invoice.status in (DRAFT, CANCELLED):
        raise Conflict(gettext("Only an issued invoice can be credited, and only once."))
    if not reason.strip():
        raise Invalid(reason=gettext("Please say why."))
    left = await left_to_credit(session, invoice)
    lines = [_taken(line, left[line.position], at, parts) for at, line in enumerate(invoice.lines)]
    wanted = [line for line in lines if line is not None]
    if not wanted:
        raise Invalid(gettext("There is nothing left to credit."))
    total = sum(line.total for line in wanted)
    whole = total + await credited(session, invoice.id) == invoice.total
    open_ = await uncovered(session, invoice)
    note = Invoice(
        kind=InvoiceKind.CREDIT_NOTE, customer_id=invoice.customer_id, account_id=invoice.account_id,
        project_id=invoice.project_id, payer_id=invoice.payer_id, currency=invoice.currency,
        language=invoice.language, reverse_charge=invoice.reverse_charge, credits_id=invoice.id,
        net=sum(line.net for line in wanted), tax=sum(line.tax for line in wanted), total=total,
        note=reason.strip()[:2000], lines=wanted, status=DRAFT, paid=0, sides=invoice.sides,
    )  # fmt: skip
    session.add(note)
    await session.flush()
    await issue_invoice(session, invoice=note)
    await _give_back(session, invoice, note, open_)
    if whole:
        move(invoice, CANCELLED)
    elif invoice.status is not PAID and invoice.left == 0:
        move(invoice, PAID)
    await session.flush()
    return note


def _taken(line: InvoiceLine, left: tuple[int, int], at: int, parts: Mapping[int, int] | None) -> InvoiceLine | None:
    """The line of the credit note for a line of the invoice; it stands at the same position."""
    net, tax = left
    if parts is not None and (amount := parts.get(line.position, 0)) != net + tax:
        if not 0 <= amount <= net + tax:
            raise Invalid(**{f"lines-{at}-amount": gettext("This is more than what is left of the line.")})
        net, tax = split(amount, line.tax_rate, True)
    if net + tax == 0:
        return None
    whole = (net, tax) == (line.net, line.tax)
    return InvoiceLine(
        position=line.position, kind=line.kind, description=line.description,
        quantity=line.quantity if whole else 1000, unit_price=line.unit_price if whole else net + tax,
        discount=line.discount if whole else 0, tax_rate=line.tax_rate, tax_name=line.tax_name, net=net, tax=tax,
        total=net + tax, service_id=line.service_id,
    )  # fmt: skip


async def _give_back(session: AsyncSession, invoice: Invoice, note: Invoice, open_: Counter[LineKind]) -> None:
    """Book back what was charged for the lines of a credit note; what is not paid of them need not be paid any more."""
    place: Any = {"project_id": invoice.project_id, "currency": invoice.currency}  # opened before the account is locked
    for own in (AccountKind.REVENUE, AccountKind.TAX):
        await own_account(session, kind=own, **place)
    await ledger.locked(session, [invoice.account_id])
    sale = await session.scalar(select(Expense).where(Expense.invoice_id == invoice.id))
    by_position = {line.position: line for line in invoice.lines}
    net = tax = 0
    for line in note.lines:
        kind = line.kind
        if kind is LineKind.SALE and sale is not None:
            net, tax, kind = net + line.net, tax + line.tax, LineKind.EXPENSE
        elif kind is LineKind.EXPENSE:
            expense = await session.get_one(Expense, by_position[line.position].expense_id)
            await _back(session, note, expense, line.net, line.tax, f"credit:{note.id}:{line.position}")
        off = max(min(line.total, open_[kind]), 0)
        open_[kind] -= off
        invoice.credited += off
    if sale is not None and net + tax:
        await _back(session, note, sale, net, tax, f"credit:{note.id}")


async def _back(session: AsyncSession, note: Invoice, expense: Expense, net: int, tax: int, key: str) -> None:
    """Give so much of an expense back to the account."""
    if expense.reversed_by_id is not None or expense.credited + net + tax > expense.amount:
        raise Conflict(gettext("What was charged for this invoice has been given back already."))
    if (net, tax) == (expense.net, expense.tax):
        await reverse_expense(session, expense=expense, reason=note.note)
        await _proved(session, note, net + tax, expense.reversed_by_id)
        return
    revenue, taxes = [
        await own_account(session, project_id=note.project_id, kind=kind, currency=note.currency)
        for kind in (AccountKind.REVENUE, AccountKind.TAX)
    ]
    with speaking(note.language):
        said = gettext("Credit note %(number)s") % {"number": note.number}
    transaction_id, _new = await post(
        session, key=key, kind=TransactionKind.REVERSAL, description=said,
        moves=[Move(note.account_id, net + tax), Move(revenue, -net), Move(taxes, -tax)],
    )  # fmt: skip
    expense.credited += net + tax
    if expense.credited == expense.amount:  # by several credit notes: nothing of it is left to be given back
        expense.reversed_by_id = transaction_id
    await _proved(session, note, net + tax, transaction_id)


async def _proved(session: AsyncSession, note: Invoice, amount: int, transaction_id: int | None) -> None:
    assert transaction_id is not None
    session.add(InvoicePayment(invoice_id=note.id, amount=amount, transaction_id=transaction_id))
    note.paid += amount
    if note.paid == note.total and note.status is ISSUED:
        move(note, PAID)
    await session.flush()
