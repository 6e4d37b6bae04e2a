"""The customer's own invoices: the list, one of them, its PDF, and paying it from the balance. Drafts are not shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app import db
from app.domain import billing
from app.domain.billing import sending
from app.domain.billing.papers import title_of
from app.errors import AppError, NotFound
from app.flash import flash
from app.i18n import gettext, show_date, show_money
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus
from app.web.auth import see_other
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.files import HEADERS, disposition
from app.web.forms import number

URL = "/client/invoices"
PAGE = 50
TONES = {InvoiceStatus.ISSUED: "info", InvoiceStatus.OVERDUE: "bad", InvoiceStatus.PAID: "ok"}


async def issued(
    session: AsyncSession, customer_id: int, *, before: int = 0, only_open: bool = False
) -> Sequence[Invoice]:
    """What was issued to this customer, the newest first."""
    mine = [Invoice.customer_id == customer_id, Invoice.status != InvoiceStatus.DRAFT]
    if before:
        mine.append(Invoice.id < before)
    if only_open:
        unpaid = (InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE)
        mine += [Invoice.status.in_(unpaid), Invoice.kind == InvoiceKind.INVOICE]
    return (await session.scalars(select(Invoice).where(*mine).order_by(Invoice.id.desc()).limit(PAGE + 1))).all()


async def _mine(session: AsyncSession, customer_id: int, key: str) -> Invoice:
    """Raises NotFound for drafts and for invoices of somebody else."""
    found = await session.scalar(
        select(Invoice)
        .where(Invoice.id == number(key), Invoice.customer_id == customer_id, Invoice.status != InvoiceStatus.DRAFT)
        .options(selectinload(Invoice.lines))
    )
    if found is None:
        raise NotFound
    return found


def line(invoice: Invoice) -> dict[str, Any]:
    """An invoice as a line of a list."""
    due = invoice.due_on if billing.payable(invoice) else None
    return {
        "url": f"{URL}/{invoice.id}", "number": title_of(invoice), "kind": TONES.get(invoice.status, ""),
        "status": str(invoice.status.label), "amount": show_money(invoice.total, invoice.currency),
        "issued": show_date(invoice.issued_on) if invoice.issued_on else "", "due": show_date(due) if due else "",
    }  # fmt: skip


async def open_ones(session: AsyncSession, customer_id: int, *, may_pay: bool) -> list[dict[str, Any]]:
    """For the first page: what is still to be paid."""
    rows = await issued(session, customer_id, only_open=True)
    return [
        {
            "number": title_of(i), "url": f"{URL}/{i.id}",
            "pay_url": f"/client/payments/new?invoice={i.id}" if may_pay else None,
            "amount": show_money(i.total - i.paid, i.currency),
            "note": gettext("until %(day)s") % {"day": show_date(i.due_on)} if i.due_on else "",
        }
        for i in rows[:5]
    ]  # fmt: skip


@get(URL, name="client.invoices")
async def index(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    before = request.query_params.get("before", "")
    async with db.reads() as session:
        rows = await issued(session, customer_id, before=number(before) if before else 0)
        more = f"{URL}?before={rows[PAGE - 1].id}" if len(rows) > PAGE else None
        return await respond(
            request, session, "client/invoices.html", invoices=[line(i) for i in rows[:PAGE]], more_url=more
        )


@get(f"{URL}/{{key:str}}", name="client.invoice")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        invoice = await _mine(session, customer_id, key)
        return await _page(request, session, invoice, why_not(view, "client.invoice.pay"))


async def _page(
    request: Asked, session: AsyncSession, invoice: Invoice, read_only: str | None, error: str = "", status: int = 200
) -> Response[Any]:
    _invoice, paper = await sending.load_paper(session, request.app.state.storage, invoice.id)
    return await respond(
        request, session, "client/invoice.html", status,
        invoice=line(invoice) | {"left": show_money(invoice.total - invoice.paid, invoice.currency)},
        paper=paper, pdf_url=f"{URL}/{invoice.id}/pdf", back_url=URL, error=error, read_only=read_only,
        pay_url=f"{URL}/{invoice.id}/pay" if billing.from_balance(invoice) else None,
    )  # fmt: skip


@get(f"{URL}/{{key:str}}/pdf", name="client.invoice.pdf")
async def pdf(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        invoice = await _mine(session, customer_id, key)
        _invoice, paper = await sending.load_paper(session, request.app.state.storage, invoice.id)
    made = await asyncio.to_thread(paper.pdf)
    headers = {**HEADERS, "Content-Disposition": disposition(sending.file_name(invoice))}
    return Response(made, headers=headers, media_type="application/pdf")


@post(f"{URL}/{{key:str}}/pay", name="client.invoice.pay", status_code=200)
async def pay(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        invoice = await _mine(session, customer_id, key)
    try:
        async with db.unit() as session:
            await billing.pay_from_balance(session, invoice=invoice)
    except AppError as problem:
        async with db.reads() as session:
            fresh = await _mine(session, customer_id, key)
            return await _page(request, session, fresh, None, str(problem), problem.status)
    flash(request.scope, "ok", gettext("The invoice is paid."))
    return see_other(f"{URL}/{invoice.id}")


HANDLERS = [index, show, pdf, pay]
