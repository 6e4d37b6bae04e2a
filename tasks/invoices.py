"""Invoices in the background: mailing them, and what happens by the calendar."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date

from app import db
from app.domain.attachments import add_attachment
from app.domain.billing import monthly, reminders, sending
from app.domain.messaging import system
from app.errors import AppError
from app.models.messaging import MailKind
from app.observe import log
from tasks.base import JobRun, task
from tasks.daily import daily


@task("invoice.send", timeout=120)
async def send(job: JobRun, *, invoice_id: int, kind: str) -> None:
    """Write the PDF of an invoice, keep it as a file of the customer, and have it mailed, once for this job."""
    storage = job.resources.storage
    async with db.reads() as session:
        invoice, pdf = await sending.pdf_of(session, storage, invoice_id)
    async with db.unit() as session:
        file = await add_attachment(
            session, storage, name=sending.file_name(invoice), chunks=pdf, max_bytes=len(pdf),
            customer_id=invoice.customer_id,
        )  # fmt: skip
        await system.send(
            session, kind=MailKind(kind), customer_id=invoice.customer_id, to=invoice.sides["payer"]["email"],
            macros=sending.macros(invoice), attachments=[file.id], language=invoice.language,
            key=f"invoice.mail:{job.id}",
        )  # fmt: skip


@daily("invoice.day", hour=5, module="money")
async def day(job: JobRun, *, day: str) -> None:
    """Overdue invoices, reminders, invoices before funds run out and after a month. Each step may be done again."""
    today = date.fromisoformat(day)
    more = True
    while more:
        async with db.unit() as session:
            more = await reminders.mark_overdue(session, today=today) == reminders.BATCH
    after: int | None = 0
    while after is not None:
        async with db.unit() as session:
            _n, after = await reminders.remind(session, today=today, after=after)
    for accounts, invoice in (
        (reminders.accounts_to_watch, reminders.invoice_in_time), (monthly.accounts, monthly.invoice_month),
    ):  # fmt: skip
        behind: int | None = 0
        while behind is not None:
            async with db.reads() as session:
                ids = await accounts(session, after=behind)
            for account_id in ids:
                await _one(invoice, account_id, today)
            behind = ids[-1] if ids else None


async def _one(invoice: Callable[..., Awaitable[object]], account_id: int, today: date) -> None:
    """An account that cannot be invoiced, such as one with a broken payer, keeps nobody else from it."""
    try:
        async with db.unit() as session:
            await invoice(session, account_id=account_id, today=today)
    except AppError as problem:
        log("billing").warning("account %s is not invoiced: %s", account_id, problem)
