"""What the card of a payment tells: figures, what the gateway said, what was booked, who did what; and its receipt."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from starlette.requests import Request
from starlette.responses import Response

from admin_views.access import may
from admin_views.base.cells import link, moment, money, ready
from app.errors import NotFound
from app.i18n import gettext, language, say_money, show_date, show_money
from app.integrations.pdf import Pdf
from app.models.audit import ActorKind, Audit
from app.models.billing import Gateway, Invoice, Payment, PaymentEvent, PaymentEventKind, PaymentInvoice
from app.models.ledger import Entry, Transaction
from app.render import page

MOST = 100


def figures(payment: Payment) -> list[dict[str, Any]]:
    shown = [{"label": gettext("Amount"), "value": ready(money(payment.amount, payment.currency)), "note": ""}]
    if payment.currency != payment.account_currency:
        value = ready(money(payment.account_amount, payment.account_currency))
        shown.append({"label": gettext("On the account"), "value": value, "note": ""})
    if payment.refunded:
        value = ready(money(payment.refunded, payment.account_currency))
        shown.append({"label": gettext("Refunded"), "value": value, "note": ""})
    return shown


def doubts(payment: Payment) -> list[dict[str, Any]]:
    if not payment.doubt:
        return []
    html = ready(page("sqladmin/payment_doubt.html", doubt=payment.doubt))
    return [{"label": gettext("What does not fit"), "kind": "html", "html": html}]


async def _several(session: AsyncSession, payment: Payment) -> list[dict[str, Any]]:
    """The invoices that it is for, where these are several."""
    mine = select(PaymentInvoice.invoice_id).where(PaymentInvoice.payment_id == payment.id)
    found = (await session.scalars(select(Invoice).where(Invoice.id.in_(mine)).order_by(Invoice.id).limit(MOST))).all()
    if not found:
        return []
    rows = [[ready(link("invoice", i.id, str(i))), str(i.status.label), show_money(i.total, i.currency)] for i in found]
    columns = [gettext("Invoice"), gettext("Status"), gettext("Total")]
    return [{"label": gettext("For these invoices"), "kind": "table", "columns": columns, "rows": rows}]


async def sections(session: AsyncSession, payment: Payment, request: Request) -> list[dict[str, Any]]:
    events = (
        await session.scalars(
            select(PaymentEvent).where(PaymentEvent.payment_id == payment.id).order_by(PaymentEvent.id).limit(MOST)
        )
    ).all()
    shown: list[dict[str, Any]] = []
    if payment.method.gateway is Gateway.BANK:
        html = ready(page("sqladmin/payment_told.html", text=payment.method.instructions, number=payment.number))
        shown.append({"label": gettext("What the customer was told"), "kind": "html", "html": html})
    if may(request, "invoice", "list"):
        shown += await _several(session, payment)
    if events:
        columns = [gettext("When"), gettext("What"), gettext("Amount"), gettext("Said")]
        rows = [[ready(moment(e.at)), _what(e), _amount(e), e.said] for e in events]
        shown.append({"label": gettext("What happened"), "kind": "table", "columns": columns, "rows": rows})
    if may(request, "account", "list"):
        shown += await _booked(session, payment, [e.transaction_id for e in events if e.transaction_id])
    if may(request, "audit", "list"):
        shown += await _done(session, payment)
    return shown


def _what(event: PaymentEvent) -> str:
    if event.kind is PaymentEventKind.REFUND and event.details.get("state") == "asked":
        return gettext("Refund, on its way")
    return str(event.kind.label)


def _amount(event: PaymentEvent) -> Any:
    return ready(money(event.amount, event.currency)) if event.amount is not None else ""


async def _booked(session: AsyncSession, payment: Payment, more: list[int]) -> list[dict[str, Any]]:
    ids = [payment.transaction_id, *more] if payment.transaction_id else more
    if not ids:
        return []
    query = (
        select(Entry)
        .join(Transaction)
        .where(Entry.account_id == payment.account_id, or_(Transaction.id.in_(ids), Transaction.reverses_id.in_(ids)))
        .options(joinedload(Entry.transaction))
        .order_by(Entry.id)
        .limit(MOST)
    )
    rows = [
        [ready(moment(e.at)), str(e.transaction.kind.label), e.transaction.description,
         ready(money(e.amount, payment.account_currency))]
        for e in await session.scalars(query)
    ]  # fmt: skip
    columns = [gettext("Date"), gettext("Kind"), gettext("Description"), gettext("Amount")]
    return [{"label": gettext("Booked on the account"), "kind": "table", "columns": columns, "rows": rows}]


async def _done(session: AsyncSession, payment: Payment) -> list[dict[str, Any]]:
    by_itself = (Audit.action == "update") & (Audit.kind == ActorKind.SYSTEM)  # what follows from the steps
    mine = (Audit.noun == "payment", Audit.noun_id == payment.id, ~by_itself)
    query = select(Audit).where(*mine).order_by(Audit.id).limit(MOST)
    found = await session.scalars(query.options(joinedload(Audit.staff), joinedload(Audit.user)))
    rows = [
        [ready(moment(a.at)), ready(link("audit", a.id, a.action)), str(a.staff or a.user or a.kind.label), a.note]
        for a in found
    ]
    columns = [gettext("When"), gettext("Action"), gettext("By"), gettext("Reason")]
    return [{"label": gettext("Who did what"), "kind": "table", "columns": columns, "rows": rows}] if rows else []


# ---- the receipt ----------------------------------------------------------------------------------------------------


async def receipt(session: AsyncSession, payment: Payment) -> dict[str, Any]:
    """What stands on it: {title, seller, payer, lines [(label, value)]}."""
    query = select(Payment).where(Payment.id == payment.id)
    found = await session.scalar(
        query.options(
            joinedload(Payment.project), joinedload(Payment.payer), joinedload(Payment.customer),
            joinedload(Payment.method), joinedload(Payment.invoice),
        )
    )  # fmt: skip
    if found is None:
        raise NotFound
    project, payer = found.project, found.payer
    lines = [
        (gettext("Number"), found.number), (gettext("Date"), show_date(found.paid_at or found.created_at)),
        (gettext("Method"), found.method.name), (gettext("Status"), str(found.status.label)),
        (gettext("Amount"), say_money(found.amount, found.currency)),
    ]  # fmt: skip
    if found.currency != found.account_currency:
        shown = say_money(found.account_amount, found.account_currency)
        lines.append((gettext("On the account"), shown))
    if found.refunded:
        lines.append((gettext("Refunded"), say_money(found.refunded, found.account_currency)))
    if found.invoice is not None:
        lines.append((gettext("For the invoice"), str(found.invoice)))
    seller = [project.legal_name or "", *project.legal_address.splitlines(), project.vat_number]
    address = (payer.legal_address or payer.postal_address) if payer is not None else found.customer.address
    name = payer.name if payer is not None else found.customer.name
    return {
        "title": gettext("Receipt %(number)s") % {"number": found.number},
        "seller": [line for line in seller if line], "payer": [name, *address.splitlines()], "lines": lines,
        "hue": project.hue, "name": project.name,
    }  # fmt: skip


async def receipt_file(session: AsyncSession, payment: Payment) -> Response:
    """The receipt as a PDF, in the reader's language."""
    shown = await receipt(session, payment)
    return await asyncio.to_thread(copy_context().run, _file, shown, payment)


def _file(shown: dict[str, Any], payment: Payment) -> Response:
    file = Pdf(
        title=shown["title"], author=shown["name"], created=payment.paid_at or payment.created_at,
        language=language(),
    )  # fmt: skip
    seller, payer = "\n".join([shown["name"], *shown["seller"]]), "\n".join(shown["payer"])
    file.sides((gettext("Payee"), seller), (gettext("Payer"), payer))
    file.heading(shown["title"])
    file.pairs(shown["lines"])
    headers = {"content-disposition": f'attachment; filename="receipt-{payment.id}.pdf"'}
    return Response(file.bytes(), media_type="application/pdf", headers=headers)
