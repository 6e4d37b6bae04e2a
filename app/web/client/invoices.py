"""The customer's own invoices: the list, one of them, its PDF, and paying it from the balance. Drafts are not shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app import db
from app.domain import billing
from app.domain.billing import sending, together
from app.domain.billing.invoices import UNPAID
from app.domain.billing.papers import title_of
from app.domain.customers.merging import family
from app.errors import AppError, NotFound
from app.flash import flash
from app.i18n import gettext, ngettext, show_date, show_money
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus, LineKind
from app.models.ledger import Account
from app.web.auth import see_other
from app.web.client.access import may, why_not
from app.web.client.area import Asked, me, respond
from app.web.client.expenses import year_of, years
from app.web.files import HEADERS, disposition
from app.web.forms import number, posted

URL = "/client/invoices"
PAGE = 50
TONES = {InvoiceStatus.ISSUED: "info", InvoiceStatus.OVERDUE: "bad", InvoiceStatus.PAID: "ok"}


async def issued(
    session: AsyncSession, customer_id: int, *, before: int = 0, show: str = "", year: int | None = None
) -> Sequence[Invoice]:
    """What was issued to this customer, the newest first. show: "open" or "paid" only."""
    mine = [Invoice.customer_id.in_(family(customer_id)), Invoice.status != InvoiceStatus.DRAFT]
    if before:
        mine.append(Invoice.id < before)
    if show == "open":
        mine += [Invoice.status.in_(UNPAID), Invoice.kind == InvoiceKind.INVOICE]
    elif show == "paid":
        mine.append(Invoice.status == InvoiceStatus.PAID)
    if year is not None:
        mine += [Invoice.issued_on >= date(year, 1, 1), Invoice.issued_on <= date(year, 12, 31)]
    return (await session.scalars(select(Invoice).where(*mine).order_by(Invoice.id.desc()).limit(PAGE + 1))).all()


async def _mine(session: AsyncSession, customer_id: int, key: str) -> Invoice:
    """Raises NotFound for drafts and for invoices of somebody else."""
    found = await session.scalar(
        select(Invoice)
        .where(
            Invoice.id == number(key),
            Invoice.customer_id.in_(family(customer_id)),
            Invoice.status != InvoiceStatus.DRAFT,
        )
        .options(selectinload(Invoice.lines), joinedload(Invoice.account))
    )
    if found is None:
        raise NotFound
    return found


def line(invoice: Invoice) -> dict[str, Any]:
    """An invoice as a line of a list."""
    due = invoice.due_on if billing.payable(invoice) else None
    return {
        "id": invoice.id, "open": billing.payable(invoice),
        "url": f"{URL}/{invoice.id}", "number": title_of(invoice), "kind": TONES.get(invoice.status, ""),
        "status": gettext("Open") if invoice.status is InvoiceStatus.ISSUED else str(invoice.status.label),
        "amount": show_money(invoice.total, invoice.currency),
        "issued": show_date(invoice.issued_on) if invoice.issued_on else "", "due": show_date(due) if due else "",
    }  # fmt: skip


def _until(invoice: Invoice) -> str:
    if invoice.due_on is None:
        return ""
    said = gettext("overdue since %(day)s") if invoice.status is InvoiceStatus.OVERDUE else gettext("until %(day)s")
    return said % {"day": show_date(invoice.due_on)}


async def open_ones(session: AsyncSession, customer_id: int, *, may_pay: bool) -> list[dict[str, Any]]:
    """For the first page: what is still to be paid."""
    rows = await issued(session, customer_id, show="open")
    return [
        {
            "number": title_of(i), "url": f"{URL}/{i.id}", "late": i.status is InvoiceStatus.OVERDUE,
            "pay_url": f"/client/payments/new?invoice={i.id}" if may_pay else None,
            "amount": show_money(i.left, i.currency),
            "note": _until(i),
        }
        for i in rows[:5]
    ]  # fmt: skip


@get(URL, name="client.invoices")
async def index(request: Asked) -> Response[Any]:
    """All, the open or the paid ones, of all years or of one; open ones can be chosen and paid together."""
    view, customer_id = me(request)
    asked = request.query_params
    before, show, year = asked.get("before", ""), asked.get("show", ""), year_of(asked.get("year", ""))
    show = show if show in ("open", "paid") else ""
    async with db.reads() as session:
        rows = await issued(session, customer_id, before=number(before) if before else 0, show=show, year=year)
        given = {name: value for name, value in (("show", show), ("year", year)) if value}
        more = f"{URL}?{urlencode({**given, 'before': rows[PAGE - 1].id})}" if len(rows) > PAGE else None
        mine = Invoice.customer_id.in_(family(customer_id)), Invoice.issued_on.is_not(None)
        first = await session.scalar(select(Invoice.issued_on).where(*mine).order_by(Invoice.id).limit(1))
        kept = f"&year={year}" if year else ""
        words = (("", gettext("All")), ("open", gettext("Open")), ("paid", gettext("Paid")))
        tabs = [
            {"label": label, "url": f"{URL}?show={word}{kept}" if word else f"{URL}{'?' + kept[1:] if kept else ''}",
             "current": word == show} for word, label in words
        ]  # fmt: skip
        return await respond(
            request, session, "client/invoices.html", invoices=[line(i) for i in rows[:PAGE]], more_url=more, tabs=tabs,
            years=years(first, year, URL, f"show={show}" if show else ""), filtered=bool(show or year),
            choose_url=f"{URL}/pay" if may(view, "client.invoices.pay") else None,
        )  # fmt: skip


# ---- several at once --------------------------------------------------------------------------------------------


async def _chosen(session: AsyncSession, customer_id: int, ids: Sequence[str]) -> Sequence[Invoice]:
    """Those of the chosen ones that are still open. Raises NotFound for what is not this customer's."""
    wanted = {number(text) for text in ids[: together.MOST]}
    mine = Invoice.customer_id == customer_id, Invoice.id.in_(wanted), Invoice.status != InvoiceStatus.DRAFT
    if wanted and len(set(await session.scalars(select(Invoice.id).where(*mine)))) < len(wanted):
        raise NotFound
    return await together.open_of(session, customer_id, sorted(wanted)) if wanted else ()


async def _choice(
    request: Asked, session: AsyncSession, chosen: Sequence[Invoice], error: str = "", status: int = 200
) -> Response[Any]:
    view, _customer_id = me(request)
    of_one = len({i.account_id for i in chosen}) == 1
    total = sum(i.left for i in chosen)
    account = await session.scalar(select(Account).where(Account.id == chosen[0].account_id)) if of_one else None
    query = urlencode([("invoice", i.id) for i in chosen])
    funds = any(line.kind is LineKind.ADVANCE for i in chosen for line in i.lines)
    return await respond(
        request, session, "client/pay_invoices.html", status, invoices=[
            line(i) | {"left": show_money(i.left, i.currency)} for i in chosen
        ], total=show_money(total, chosen[0].currency) if of_one else None, seen=total, error=error, several=not of_one,
        balance=show_money(account.balance, account.currency) if account else None, funds=funds,
        pay_url=f"{URL}/pay" if of_one and not funds else None, back_url=URL,
        enough=account is not None and together.suffices(account, chosen),
        payment_url=f"/client/payments/new?{query}" if of_one and may(view, "client.payment.add") else None,
        read_only=why_not(view, "client.invoices.pay"),
    )  # fmt: skip


@get(f"{URL}/pay", name="client.invoices.choose")
async def choose(request: Asked) -> Response[Any]:
    """What is chosen in the list, before it is paid."""
    _view, customer_id = me(request)
    async with db.reads() as session:
        chosen = await _chosen(session, customer_id, request.query_params.getall("invoice", []))
        return await _choice(request, session, await _with_lines(session, chosen))


async def _with_lines(session: AsyncSession, chosen: Sequence[Invoice]) -> Sequence[Invoice]:
    query = select(Invoice).where(Invoice.id.in_([i.id for i in chosen])).order_by(Invoice.id)
    rows = await session.scalars(query.options(selectinload(Invoice.lines)).execution_options(populate_existing=True))
    return rows.all()


@post(f"{URL}/pay", name="client.invoices.pay", status_code=200)
async def pay_chosen(request: Asked) -> Response[Any]:
    """Pay the chosen ones from the balance: all of them, or none and say why."""
    _view, customer_id = me(request)
    given = await posted(request)
    ids = [v for v in given.getlist("invoice") if isinstance(v, str)]
    async with db.reads() as session:
        chosen = await _with_lines(session, await _chosen(session, customer_id, ids))
    total = sum(i.left for i in chosen)
    if not chosen and ids:  # all of them are paid: pressed twice
        return see_other(URL)
    if not chosen or given.get("seen") != str(total):
        said = gettext("Please choose at least one invoice.") if not chosen else gettext(
            "Something has changed meanwhile. Please look at it again before you pay."
        )  # fmt: skip
        async with db.reads() as session:
            return await _choice(request, session, chosen, said, 422)
    try:
        async with db.unit() as session:
            await together.pay_all(session, invoices=chosen)
    except AppError as problem:
        async with db.reads() as session:
            fresh = await _with_lines(session, await _chosen(session, customer_id, ids))
            if not fresh:  # somebody was quicker, with the same
                return see_other(URL)
            return await _choice(request, session, fresh, str(problem), problem.status)
    n = len(chosen)
    flash(request.scope, "ok", ngettext("%(n)d invoice is paid.", "%(n)d invoices are paid.", n) % {"n": n})
    return see_other(URL)


# ---- one of them --------------------------------------------------------------------------------------------------


@get(f"{URL}/{{key:str}}", name="client.invoice")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        invoice = await _mine(session, customer_id, key)
        return await _page(request, session, invoice, why_not(view, "client.invoice.pay"))


async def _page(
    request: Asked, session: AsyncSession, invoice: Invoice, read_only: str | None, error: str = "", status: int = 200
) -> Response[Any]:
    view, _customer_id = me(request)
    _invoice, paper = await sending.load_paper(session, request.app.state.storage, invoice.id)
    return await respond(
        request, session, "client/invoice.html", status,
        invoice=line(invoice) | {"left": show_money(invoice.left, invoice.currency)},
        paper=paper, pdf_url=f"{URL}/{invoice.id}/pdf", back_url=URL, error=error, read_only=read_only,
        pay_url=f"{URL}/{invoice.id}/pay" if billing.from_balance(invoice) else None,
        payment_url=f"/client/payments/new?invoice={invoice.id}" if billing.payable(invoice) and may(
            view, "client.payment.add") else None,
        balance=show_money(invoice.account.balance, invoice.currency),
        enough=together.suffices(invoice.account, [invoice]),
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


HANDLERS = [index, choose, pay_chosen, show, pdf, pay]
