"""What the card of an invoice shows: its lines, what paid it, its story, and why a price was what it was."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import may
from admin_views.base.cells import link, moment, money, ready
from app.domain.billing.invoices import sides_now
from app.domain.billing.lines import of_rates
from app.domain.billing.papers import show_quantity
from app.i18n import country_name, gettext, show_amount, show_date, show_percent
from app.models.billing import Invoice, InvoiceKind, InvoicePayment, InvoiceStatus, LineKind, Payment
from app.models.ledger import Transaction


def facts(obj: Any) -> list[Markup | str]:
    shown = [ready(link("customer", obj.customer_id, str(obj.customer))), str(obj.project)]
    if obj.kind is InvoiceKind.CREDIT_NOTE and obj.credits_id:
        number = getattr(obj.credits, "number", "") or f"#{obj.credits_id}"
        origin = ready(link("invoice", obj.credits_id, number))
        shown.append(Markup("{} {}").format(gettext("Credits the invoice"), origin))
    return shown


def figures(obj: Invoice, credited: int) -> list[dict[str, Any]]:
    def figure(label: str, amount: int, note: str | None = None) -> dict[str, Any]:
        return {"label": label, "value": ready(money(amount, obj.currency)), "note": note}

    tax = gettext("with tax %(amount)s") % {"amount": show_amount(obj.tax, obj.currency)} if obj.tax else None
    shown = [figure(gettext("Total"), obj.total, tax)]
    if obj.kind is InvoiceKind.INVOICE and obj.number:
        shown.append(figure(gettext("Paid"), obj.paid))
        if obj.status in (InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE):
            due = gettext("until %(day)s") % {"day": show_date(obj.due_on)} if obj.due_on else None
            shown.append(figure(gettext("To pay"), obj.left, due))
    if credited:
        shown.append(figure(gettext("Credited"), credited))
    return shown


async def sections(session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
    made = [_lines(obj)]
    if obj.note:
        made.append({"label": gettext("Note"), "kind": "kv", "items": [{"label": gettext("Note"), "value": obj.note}]})
    if payments := await _payments(session, obj, request):
        made.append(payments)
    if explained := _explained(obj):
        made.append({"label": gettext("Discounts"), "kind": "words", "words": explained})
    made.append({"label": gettext("Story"), "kind": "words", "words": await _story(session, obj)})
    return made


def _lines(obj: Any) -> dict[str, Any]:
    currency = obj.currency
    discounted = any(line.discount for line in obj.lines)
    head: list[Any] = [(gettext("Description"), "lead"), (gettext("Quantity"), "amount"), (gettext("Price"), "amount")]
    head += [(gettext("Discount"), "amount")] if discounted else []
    head += [(gettext("Tax"), "amount"), (gettext("Total"), "amount")]
    rows = []
    for line in obj.lines:
        kind = "" if line.kind is LineKind.SALE else str(line.kind.label)
        what = Markup('<bdi>{}</bdi> <span class="faint">{}</span>').format(line.description, kind)
        row: list[Any] = [what, show_quantity(line.quantity), show_amount(line.unit_price, currency)]
        row += [show_amount(-line.discount, currency) if line.discount else ""] if discounted else []
        rate = f"{line.tax_name} {show_percent(line.tax_rate)}" if line.tax_rate else "–"
        rows.append([*row, rate, ready(money(line.total, currency))])
    sums = [gettext("Net") + f" {show_amount(obj.net, currency)}"] if obj.tax else []
    sums += [
        f"{part.name or gettext('Tax')} {show_percent(part.rate)}: {show_amount(part.tax, currency)}"
        for part in of_rates(obj.lines)
        if part.rate
    ]
    sums.append(gettext("Total") + f" {show_amount(obj.total, currency)} {currency}")
    if obj.reverse_charge:
        sums.append(gettext("Reverse charge"))
    return {"label": gettext("Lines"), "kind": "table", "columns": head, "rows": rows, "rest": " · ".join(sums)}


async def _payments(session: AsyncSession, obj: Any, request: Request) -> dict[str, Any] | None:
    rows = (
        await session.execute(
            select(InvoicePayment.at, InvoicePayment.amount, Payment.id, Payment.number, Transaction.description)
            .outerjoin(Payment, Payment.id == InvoicePayment.payment_id)
            .join(Transaction, Transaction.id == InvoicePayment.transaction_id)
            .where(InvoicePayment.invoice_id == obj.id)
            .order_by(InvoicePayment.id)
        )
    ).all()
    if not rows:
        return None
    linked = may(request, "payment", "details")
    shown = []
    for at, amount, payment_id, number, description in rows:
        by: Any = description or gettext("From the balance")
        if payment_id is not None:
            name = number or f"#{payment_id}"
            by = ready(link("payment", payment_id, name)) if linked else name
        shown.append([ready(moment(at)), by, ready(money(amount, obj.currency))])
    head = [gettext("Date"), gettext("By"), (gettext("Amount"), "amount")]
    return {"label": gettext("Payments"), "kind": "table", "columns": head, "rows": shown}


def _explained(obj: Any) -> list[str]:
    """Which discounts were considered for each line that has one, and which one won."""
    shown = []
    for line in obj.lines:
        for one in (line.explained or {}).get("considered", []):
            won = one.get("id") == (line.explained or {}).get("won")
            off = show_amount(int(one.get("off") or 0), obj.currency)
            said = gettext("%(line)s: %(discount)s, %(amount)s off, taken") if won else gettext(
                "%(line)s: %(discount)s, %(amount)s off, not taken"
            )  # fmt: skip
            shown.append(said % {"line": line.description, "discount": one.get("name", ""), "amount": off})
    return shown


async def _story(session: AsyncSession, obj: Any) -> list[Markup]:
    """What happened, the oldest first."""
    told = [(gettext("Made"), show_date(obj.created_at))]
    if obj.issued_on:
        told.append((gettext("Issued"), show_date(obj.issued_on)))
    if obj.reminded_on:
        told.append((gettext("Reminded"), show_date(obj.reminded_on)))
    lines = [Markup('<span class="grow">{}</span><span class="faint num">{}</span>').format(*pair) for pair in told]
    notes = (
        await session.execute(
            select(Invoice.id, Invoice.number, Invoice.total, Invoice.issued_on)
            .where(Invoice.credits_id == obj.id)
            .order_by(Invoice.id)
        )
    ).all()
    for number, name, total, day in notes:
        words = Markup("{} {}, {}").format(
            gettext("Credit note"), ready(link("invoice", number, name or f"#{number}")),
            ready(money(total, obj.currency)),
        )  # fmt: skip
        lines.append(Markup('<span class="grow">{}</span><span class="faint num">{}</span>').format(
            words, show_date(day) if day else ""
        ))  # fmt: skip
    return lines


async def side(session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
    """Payer and seller as they stand on it."""
    sides = await sides_now(session, obj)
    shown = []
    for label, side in ((gettext("To"), sides["payer"]), (gettext("From"), sides["seller"])):
        items = [
            (gettext("Name"), side["name"]), (gettext("Address"), side.get("address", "")),
            (gettext("Country"), country_name(side["country"]) if side.get("country") else ""),
            (gettext("VAT number"), side.get("vat_number", "")), (gettext("E-mail"), side.get("email", "")),
        ]  # fmt: skip
        kv = [{"label": k, "value": Markup('<span class="prewrap">{}</span>').format(v)} for k, v in items if v]
        shown.append({"label": label, "kind": "kv", "items": kv})
    return shown
