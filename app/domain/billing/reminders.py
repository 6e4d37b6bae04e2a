"""What happens to invoices by the calendar: they become overdue, customers are reminded, and accounts whose funds run
out get an invoice in time. Each step may run twice, late, or after days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import charging
from app.domain.billing.invoices import ISSUED, OVERDUE, UNPAID, draft_invoice, issue_invoice, move, payable, payer_of
from app.domain.billing.lines import LineIn
from app.domain.billing.sending import send_invoice
from app.i18n import gettext, show_date, speaking
from app.models.billing import Invoice, InvoiceKind, LineKind
from app.models.customers import Customer, CustomerStatus
from app.models.ledger import Account
from app.models.messaging import MailKind

STAGES = (10, 5, 3, 1, 0)
"""Days before an invoice is due on which its customer is reminded."""
AHEAD = STAGES[0]
"""So many days before funds run out the invoice for more is made."""
BATCH = 200
MONTH = 30
"""Days that the funds asked for shall last."""


def stage(days_left: int) -> int | None:
    """The stage that a day belongs to: the nearest that is not over; None before the first and once it is due."""
    return min((s for s in STAGES if days_left <= s), default=None) if days_left >= 0 else None


async def mark_overdue(session: AsyncSession, *, today: date, limit: int = BATCH) -> int:
    """Say so of issued invoices whose day is over. Returns of how many."""
    rows = (
        await session.scalars(
            select(Invoice)
            .where(Invoice.status == ISSUED, Invoice.kind == InvoiceKind.INVOICE, Invoice.due_on < today)
            .order_by(Invoice.due_on, Invoice.id)
            .limit(limit)
            .with_for_update()
        )
    ).all()
    for invoice in rows:
        move(invoice, OVERDUE)
    await session.flush()
    return len(rows)


async def remind(session: AsyncSession, *, today: date, after: int = 0, limit: int = BATCH) -> tuple[int, int | None]:
    """Remind of invoices that are due within ten days and not paid, once in each stage. after: the id to go on behind.

    Returns (how many were reminded, the id to go on behind, or None when that were all). On the day on which an invoice
    is issued nobody is reminded: it has just been sent.
    """
    rows = (
        await session.scalars(
            select(Invoice)
            .where(
                Invoice.status == ISSUED, Invoice.kind == InvoiceKind.INVOICE, Invoice.id > after,
                Invoice.due_on.between(today, today + timedelta(days=AHEAD)), Invoice.issued_on < today,
            )
            .order_by(Invoice.id)
            .limit(limit)
            .with_for_update()
        )
    ).all()  # fmt: skip
    n = 0
    for invoice in rows:
        assert invoice.due_on is not None
        now = stage((invoice.due_on - today).days)
        said = stage((invoice.due_on - invoice.reminded_on).days) if invoice.reminded_on else None
        if now == said or not payable(invoice) or not invoice.sides["payer"].get("email"):
            continue
        invoice.reminded_on = today
        key = f"invoice.remind:{invoice.id}:{now}"
        await send_invoice(session, invoice=invoice, kind=MailKind.REMINDER, key=key)
        n += 1
    await session.flush()
    return n, rows[-1].id if len(rows) == limit else None


async def invoice_in_time(session: AsyncSession, *, account_id: int, today: date) -> Invoice | None:
    """Ask for the funds of the next month when those of an account run out within ten days (`charging.days_left`); None
    when they do not, or when it has been asked already. The invoice is due on the day on which they run out, and asks
    for what is charged within a month from then on and not on the account."""
    query = select(Account).where(Account.id == account_id).with_for_update()
    account = (await session.scalars(query.execution_options(populate_existing=True))).one()
    customer_id = account.customer_id
    if not account.auto_invoice or customer_id is None:
        return None
    status = await session.scalar(select(Customer.status).where(Customer.id == customer_id))
    if status in (CustomerStatus.CLOSED, CustomerStatus.SUSPENDED):
        return None
    left = await charging.days_left(session, account, day=today)
    if left is None or left > AHEAD:
        return None
    mark = f"auto:{account.id}:"
    waiting = Invoice.account_id == account.id, Invoice.key.startswith(mark), Invoice.status.in_(UNPAID)
    if await session.scalar(select(Invoice.id).where(*waiting).limit(1)) is not None:
        return None
    due = today + timedelta(days=left)
    charges = await charging.coming(session, account, day=today, days=left + MONTH)
    wanted = sum(c.amount for c in charges) - account.balance
    invoice = await draft_invoice(
        session, customer_id=customer_id, project_id=account.project_id, currency=account.currency,
        payer_id=await payer_of(session, account), due_on=due, key=f"{mark}{today}", today=today,
        lines=[LineIn(gettext("Funds"), wanted, kind=LineKind.ADVANCE)],
    )  # fmt: skip
    if invoice.number is not None:  # of today, and paid already
        return None
    with speaking(invoice.language):
        invoice.lines[0].description = gettext("Funds for running services from %(day)s") % {"day": show_date(due)}
    await issue_invoice(session, invoice=invoice, day=today)
    if invoice.sides["payer"].get("email"):
        await send_invoice(session, invoice=invoice, key=f"invoice.auto:{invoice.id}")
    return invoice


async def accounts_to_watch(session: AsyncSession, *, after: int = 0, limit: int = BATCH) -> Sequence[int]:
    """Accounts that want an invoice before funds run out, by id."""
    rows = select(Account.id).where(Account.auto_invoice, Account.id > after).order_by(Account.id).limit(limit)
    return (await session.scalars(rows)).all()
