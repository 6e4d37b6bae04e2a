"""Invoices in the background: mailing them, and what happens by the calendar."""

from __future__ import annotations

from datetime import date

from app import db
from app.domain.attachments import add_attachment
from app.domain.billing import reminders, sending
from app.domain.messaging import system
from app.models.messaging import MailKind
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


@daily("invoice.day", hour=5)
async def day(job: JobRun, *, day: str) -> None:
    """Overdue invoices, reminders, and invoices before funds run out. Each step may be done again."""
    today = date.fromisoformat(day)
    more = True
    while more:
        async with db.unit() as session:
            more = await reminders.mark_overdue(session, today=today) == reminders.BATCH
    after: int | None = 0
    while after is not None:
        async with db.unit() as session:
            _n, after = await reminders.remind(session, today=today, after=after)
    watched = 0
    while True:
        async with db.reads() as session:
            ids = await reminders.accounts_to_watch(session, after=watched)
        for account_id in ids:
            async with db.unit() as session:
                await reminders.invoice_in_time(session, account_id=account_id, today=today)
        if len(ids) < reminders.BATCH:
            return
        watched = ids[-1]
