"""Sending invoices: a job writes the PDF, keeps it as a file of the customer, and mails it."""

from __future__ import annotations

import asyncio
from datetime import date

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.db import utcnow
from app.domain.billing.invoices import DRAFT
from app.domain.billing.logos import logo_of
from app.domain.billing.papers import Paper, invoice_paper, title_of
from app.errors import Conflict, NotFound
from app.i18n import gettext, show_amount, show_date, speaking
from app.integrations.storage import Storage
from app.models.billing import Invoice, InvoiceKind
from app.models.messaging import MailKind
from app.queue import enqueue


async def send_invoice(
    session: AsyncSession, *, invoice: Invoice, kind: MailKind = MailKind.INVOICE, key: str | None = None
) -> None:
    """Have an issued invoice mailed to its payer. key: at most one mail with it ever. Raises Conflict for a draft and
    when nobody's address is known."""
    if invoice.status is DRAFT:
        raise Conflict(gettext("Issue the invoice first."))
    if not invoice.sides["payer"].get("email"):
        raise Conflict(gettext("Neither the payer nor the customer has an e-mail address."))
    await enqueue(session, "invoice.send", key=key, invoice_id=invoice.id, kind=kind.value)


async def load_paper(session: AsyncSession, storage: Storage, invoice_id: int) -> tuple[Invoice, Paper]:
    """An invoice with its lines, and its paper with the logo. Raises NotFound."""
    query = select(Invoice).where(Invoice.id == invoice_id).options(selectinload(Invoice.lines))
    invoice = await session.scalar(query)
    if invoice is None:
        raise NotFound
    logo = await logo_of(session, storage, invoice.project_id)
    return invoice, await invoice_paper(session, invoice, logo=logo, credits=await credited_number(session, invoice))


async def credited_number(session: AsyncSession, invoice: Invoice) -> str:
    """The number of the invoice that a credit note takes back."""
    if invoice.credits_id is None:
        return ""
    return await session.scalar(select(Invoice.number).where(Invoice.id == invoice.credits_id)) or ""


async def pdf_of(session: AsyncSession, storage: Storage, invoice_id: int) -> tuple[Invoice, bytes]:
    """An invoice and its PDF."""
    invoice, paper = await load_paper(session, storage, invoice_id)
    return invoice, await asyncio.to_thread(paper.pdf)


def file_name(invoice: Invoice, ending: str = "pdf") -> str:
    """A name for its file, in ASCII."""
    kind = "credit-note" if invoice.kind is InvoiceKind.CREDIT_NOTE else "invoice"
    number = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in invoice.number or "draft")
    return f"{kind}-{number}.{ending}"


def macros(invoice: Invoice, today: date | None = None) -> dict[str, str]:
    """The values of the fields that mails about an invoice have, in its language."""
    today = today or utcnow().date()

    def money(amount: int) -> str:
        return f"{show_amount(amount, invoice.currency)} {invoice.currency}"

    due = invoice.due_on if invoice.kind is InvoiceKind.INVOICE else None
    with speaking(invoice.language):
        return {
            "invoice.title": title_of(invoice), "invoice.number": invoice.number or "",
            "invoice.total": money(invoice.total), "invoice.left": money(invoice.left),
            "invoice.due": show_date(due) if due else "",
            "invoice.days": str(max(0, (due - today).days)) if due else "",
        }  # fmt: skip
