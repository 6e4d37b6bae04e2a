"""Invoices of accounts that pay afterwards: after each month one for what was charged in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.billing.invoices import draft_invoice, issue_invoice, payer_of
from app.domain.billing.lines import MOST, LineIn
from app.domain.billing.sending import send_invoice
from app.domain.billing.settling import settle_invoice
from app.domain.billing.taxes import Tax, tax_for
from app.i18n import show_date, speaking
from app.models.billing import Expense, Invoice, InvoiceLine, LineKind, Payer
from app.models.catalog import Service
from app.models.customers import Customer, CustomerStatus
from app.models.ledger import Account
from app.models.projects import Project

BATCH = 200


async def accounts(session: AsyncSession, *, after: int = 0, limit: int = BATCH) -> Sequence[int]:
    """Accounts that pay afterwards, by id."""
    rows = select(Account.id).where(Account.post_paid, Account.id > after).order_by(Account.id).limit(limit)
    return (await session.scalars(rows)).all()


async def invoice_month(session: AsyncSession, *, account_id: int, today: date) -> Invoice | None:
    """Issue the invoice for what was charged up to the end of last month; None when nothing is left to be invoiced.
    Services with a payer of their own come on invoices of theirs; the first one is returned.

    It may be run on any day and again: each expense stands on one invoice. What was charged so late that its month has
    an invoice already comes on one more. What lies on the account pays it when the account owes nothing.
    """
    query = select(Account).where(Account.id == account_id).with_for_update()
    account = (await session.scalars(query.execution_options(populate_existing=True))).one()
    customer = await session.scalar(select(Customer).where(Customer.id == account.customer_id))
    if not account.post_paid or customer is None or customer.status is CustomerStatus.CLOSED:
        return None
    until = today.replace(day=1)
    month = (until - timedelta(days=1)).replace(day=1)
    mark = f"monthly:{account.id}:"
    made = [key for key in await session.scalars(select(Invoice.key).where(Invoice.key.startswith(mark))) if key]
    since = min(month, date.fromisoformat(max(made).removeprefix(mark)[:10])) if made else month
    expenses = await _not_invoiced(session, account, since, until)
    if not expenses:
        return None
    mine = select(Project).where(Project.id == account.project_id).execution_options(unscoped=True)
    project = (await session.scalars(mine)).one()
    n = sum(key.startswith(f"{mark}{month}") for key in made)
    first: Invoice | None = None
    for at, (payer_id, some) in enumerate((await _by_payer(session, account, expenses)).items(), n):
        payer = await session.get(Payer, payer_id) if payer_id is not None else None
        tax = await tax_for(session, project=project, customer=customer, payer=payer, day=today)
        with speaking(customer.language or project.default_language):
            lines = [_line(e, tax, project.prices_with_tax) for e in some]
        invoice = await draft_invoice(
            session, customer_id=customer.id, project_id=account.project_id, currency=account.currency,
            payer_id=payer_id, key=f"{mark}{month}:{at}", today=today, lines=lines,
        )  # fmt: skip
        await issue_invoice(session, invoice=invoice, day=today)
        await settle_invoice(session, invoice_id=invoice.id)
        if invoice.sides["payer"].get("email"):
            await send_invoice(session, invoice=invoice, key=f"invoice.monthly:{invoice.id}")
        first = first or invoice
    return first


async def _by_payer(
    session: AsyncSession, account: Account, expenses: Sequence[Expense]
) -> dict[int | None, list[Expense]]:
    """The expenses of each payer: that of the service, else the account's."""
    usual, found = await payer_of(session, account), dict[int | None, list[Expense]]()
    own = select(Service.id, Service.payer_id).where(Service.id.in_({e.service_id for e in expenses if e.service_id}))
    payers = {row.id: row.payer_id for row in await session.execute(own)}
    for expense in expenses:
        found.setdefault(payers.get(expense.service_id or 0) or usual, []).append(expense)
    return found


async def _not_invoiced(session: AsyncSession, account: Account, since: date, until: date) -> Sequence[Expense]:
    lines = select(InvoiceLine.id).where(InvoiceLine.expense_id == Expense.id)
    rows = select(Expense).where(
        Expense.account_id == account.id, Expense.on_day >= since, Expense.on_day < until, Expense.amount > 0,
        Expense.reversed_by_id.is_(None), Expense.invoice_id.is_(None), ~lines.exists(),
    )  # fmt: skip
    return (await session.scalars(rows.order_by(Expense.on_day, Expense.id).limit(MOST))).all()


def _line(expense: Expense, tax: Tax, with_tax: bool) -> LineIn:
    said = expense.description
    if expense.period_from is not None:
        last = expense.period_to - timedelta(days=1) if expense.period_to is not None else None
        said += f", {show_date(expense.period_from)}" + (f" – {show_date(last)}" if last is not None else "")
    return LineIn(
        said[:500], (expense.amount if with_tax else expense.net) + expense.discount, discount=expense.discount,
        kind=LineKind.EXPENSE, tax=Tax(expense.tax_rate, tax.name if tax.rate == expense.tax_rate else ""),
        parts=(expense.net, expense.tax), service_id=expense.service_id, expense_id=expense.id,
        explained=expense.explained,
    )  # fmt: skip
