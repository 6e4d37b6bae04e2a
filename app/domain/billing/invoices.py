"""Invoices: drafts, issuing them, and the moves of their status. What is issued never changes: the database sees to it
(`app/models/billing/frozen.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app import i18n
from app.db import utcnow
from app.domain import checks
from app.domain.billing.lines import LineIn, as_entered, make_lines
from app.domain.billing.numbers import take_number
from app.domain.billing.taxes import tax_for
from app.domain.ledger import account_of
from app.errors import Conflict, Invalid, NotFound
from app.i18n import LANGUAGES, SOURCE, gettext
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus, LineKind, Payer
from app.models.customers import Customer, CustomerStatus
from app.models.ledger import Account
from app.models.projects import Project

DRAFT, ISSUED, PAID, OVERDUE, CANCELLED = (
    InvoiceStatus.DRAFT, InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.OVERDUE, InvoiceStatus.CANCELLED,
)  # fmt: skip
INVOICE_MOVES: dict[InvoiceStatus, frozenset[InvoiceStatus]] = {
    DRAFT: frozenset({ISSUED}),
    ISSUED: frozenset({PAID, OVERDUE, CANCELLED}),
    OVERDUE: frozenset({PAID, CANCELLED}),
    PAID: frozenset({CANCELLED, ISSUED, OVERDUE}),
    CANCELLED: frozenset(),
}
"""The legal moves of an invoice; anything else is a Conflict. A draft that nobody wants is deleted; what was paid is
open again when the payment goes back."""
UNPAID = (ISSUED, OVERDUE)


def move(invoice: Invoice, status: InvoiceStatus) -> None:
    """Change the status. Raises Conflict for a move that is not in INVOICE_MOVES."""
    if status not in INVOICE_MOVES[invoice.status]:
        raise Conflict(
            gettext("An invoice that is %(now)s cannot become %(then)s.")
            % {"now": invoice.status.label, "then": status.label}
        )
    invoice.status = status


async def locked(session: AsyncSession, invoice_id: int) -> Invoice:
    """The invoice with its lines; nobody else changes it until this transaction ends. Raises NotFound."""
    await session.flush()
    found = await session.scalar(
        select(Invoice)
        .where(Invoice.id == invoice_id)
        .options(selectinload(Invoice.lines))
        .with_for_update(of=Invoice)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound
    return found


async def _parts(session: AsyncSession, invoice: Invoice) -> tuple[Customer, Project, Payer | None]:
    customer = (await session.scalars(select(Customer).where(Customer.id == invoice.customer_id))).one()
    # a project may be one that limited staff do not see, where it is available to a customer of theirs
    mine = select(Project).where(Project.id == invoice.project_id).execution_options(unscoped=True)
    project = (await session.scalars(mine)).one()
    payer = None
    if invoice.payer_id is not None:
        payer = (await session.scalars(select(Payer).where(Payer.id == invoice.payer_id))).one()
    return customer, project, payer


async def _checked_payer(session: AsyncSession, customer_id: int, payer_id: int | None) -> None:
    if payer_id is None:
        return
    owner = await session.scalar(select(Payer.customer_id).where(Payer.id == payer_id))
    if owner != customer_id:
        raise Invalid(payer_id=gettext("This payer belongs to another customer."))


def _checked_due(due_on: date | None, today: date) -> None:
    if due_on is not None and due_on < today:
        raise Invalid(due_on=gettext("This day is over. Please choose today or later."))


async def draft_invoice(
    session: AsyncSession,
    *,
    customer_id: int,
    lines: Sequence[LineIn],
    project_id: int | None = None,
    currency: str | None = None,
    payer_id: int | None = None,
    usual_payer: bool = False,
    due_on: date | None = None,
    language: str = "",
    note: str = "",
    key: str | None = None,
    today: date | None = None,
) -> Invoice:
    """Make a draft for a customer, in one of their projects (their own unless given) and a currency (its own).

    usual_payer: take that of the account, or the customer's only one, where none is given. language: empty is the
    customer's. key: what it is made for; asked again, the invoice that there is comes back.
    Raises Invalid with every bad field, Conflict for a closed customer.
    """
    if key is not None:
        made = select(Invoice).where(Invoice.key == key).options(selectinload(Invoice.lines))
        if (there := await session.scalar(made)) is not None:
            return there
    await checks.known(session, "customer_id", Customer, customer_id)
    customer = (await session.scalars(select(Customer).where(Customer.id == customer_id))).one()
    if customer.status is CustomerStatus.CLOSED:
        raise Conflict(gettext("This account is closed. Open it again first."))
    currency = checks.at("currency", checks.currency, currency) if currency else None
    account = await account_of(session, customer=customer, project_id=project_id, currency=currency)
    if payer_id is None and usual_payer:
        payer_id = await payer_of(session, account)
    invoice = Invoice(
        customer_id=customer.id, account_id=account.id, project_id=account.project_id, currency=account.currency,
        kind=InvoiceKind.INVOICE, status=DRAFT, key=key, language=SOURCE, lines=[],
    )  # fmt: skip
    session.add(invoice)
    await _write(session, invoice, lines, payer_id, due_on, language, note, today or utcnow().date())
    return invoice


async def change_draft(
    session: AsyncSession,
    *,
    invoice: Invoice,
    lines: Sequence[LineIn],
    payer_id: int | None = None,
    due_on: date | None = None,
    language: str = "",
    note: str = "",
) -> Invoice:
    """Write a draft anew. Raises Conflict once it is issued, Invalid with every bad field."""
    invoice = await locked(session, invoice.id)
    if invoice.status is not DRAFT:
        raise Conflict(gettext("It is issued and stays as it is. Make a credit note instead."))
    await _write(session, invoice, lines, payer_id, due_on, language, note, utcnow().date())
    return invoice


async def _write(
    session: AsyncSession, invoice: Invoice, lines: Sequence[LineIn], payer_id: int | None, due_on: date | None,
    language: str, note: str, today: date,
) -> None:  # fmt: skip
    await _checked_payer(session, invoice.customer_id, payer_id)
    _checked_due(due_on, today)
    invoice.payer_id, invoice.due_on = payer_id, due_on
    invoice.note = checks.at("note", checks.area(Invoice.__table__.c.note), note)
    if not lines:
        raise Invalid(lines=gettext("Please enter at least one line."))
    with session.no_autoflush:
        customer, project, _payer = await _parts(session, invoice)
        wanted = language or customer.language or project.default_language
        invoice.language = i18n.best(wanted, tuple(LANGUAGES)) or SOURCE
        await count(session, invoice, lines, today)


_OF_LINE = (
    "kind", "description", "quantity", "unit_price", "discount", "tax_rate", "tax_name", "net", "tax", "total",
    "service_id", "expense_id", "explained",
)  # fmt: skip


async def count(session: AsyncSession, invoice: Invoice, lines: Sequence[LineIn], day: date) -> None:
    """Give a draft its lines and amounts, by the tax rules of the day."""
    customer, project, payer = await _parts(session, invoice)
    tax = await tax_for(session, project=project, customer=customer, payer=payer, day=day)
    made = make_lines(lines, tax=tax, with_tax=project.prices_with_tax)
    for row, new in zip(invoice.lines, made, strict=False):
        for name in _OF_LINE:
            setattr(row, name, getattr(new, name))
    had = len(invoice.lines)
    del invoice.lines[len(made) :]
    invoice.lines.extend(made[had:])
    invoice.net, invoice.tax = sum(row.net for row in made), sum(row.tax for row in made)
    invoice.total = invoice.net + invoice.tax
    invoice.reverse_charge = tax.reverse_charge
    await session.flush()


async def delete_draft(session: AsyncSession, *, invoice: Invoice) -> None:
    """Delete a draft. Raises Conflict for what is issued."""
    invoice = await locked(session, invoice.id)
    if invoice.status is not DRAFT:
        raise Conflict(gettext("It is issued and stays as it is. Make a credit note instead."))
    await session.delete(invoice)
    await session.flush()


async def issue_invoice(session: AsyncSession, *, invoice: Invoice, day: date | None = None) -> Invoice:
    """Give a draft its number and freeze it: from now on it never changes.

    Tax is counted anew by the rules of the day. Without a due day it is due as many days later as the project says.
    Raises Conflict when it is issued already, Invalid for a due day that is over or when there is nothing to pay.
    """
    day = day or utcnow().date()
    invoice = await locked(session, invoice.id)
    if invoice.status is not DRAFT:
        raise Conflict(gettext("This invoice is issued already."))
    customer, project, payer = await _parts(session, invoice)
    if invoice.kind is InvoiceKind.INVOICE:
        _checked_due(invoice.due_on, day)
        await _checked_payer(session, invoice.customer_id, invoice.payer_id)
        invoice.due_on = invoice.due_on or day + timedelta(days=project.due_days)
        await count(session, invoice, [as_entered(row) for row in invoice.lines], day)
    if invoice.total <= 0:
        raise Invalid(gettext("There is nothing to pay on this invoice."))
    invoice.sides = invoice.sides or sides_of(customer, project, payer)  # a credit note has those of the invoice
    invoice.issued_on = day
    invoice.number = await take_number(
        session, project_id=invoice.project_id, kind=invoice.kind.value, day=day, taken=Invoice.number
    )
    move(invoice, ISSUED)
    await session.flush()
    return invoice


def sides_of(customer: Customer, project: Project, payer: Payer | None) -> dict[str, Any]:
    """Payer and seller as they are now, in the shape of `Invoice.sides`."""
    seller = {
        "name": project.legal_name or project.name, "address": project.legal_address, "country": project.country,
        "vat_number": project.vat_number, "bank_account": project.bank_account, "email": project.sender_email,
        "site": project.site, "with_tax": project.prices_with_tax,
    }  # fmt: skip
    side = {
        "name": customer.name, "contact": customer.contact_person, "email": customer.email,
        "country": customer.country, "address": customer.address, "vat_number": "", "kind": customer.kind.value,
    }  # fmt: skip
    if payer is not None:
        side = {
            "name": payer.name, "contact": payer.contact, "email": payer.email or customer.email,
            "country": payer.country, "address": payer.legal_address or payer.postal_address,
            "vat_number": payer.vat_number, "kind": payer.kind.value,
        }  # fmt: skip
    return {"payer": side, "seller": seller}


async def sides_now(session: AsyncSession, invoice: Invoice) -> dict[str, Any]:
    """Those of an invoice: frozen, or for a draft as they are now."""
    return invoice.sides or sides_of(*await _parts(session, invoice))


async def payer_of(session: AsyncSession, account: Account) -> int | None:
    """Whom invoices of an account are made out to: its payer, else the customer's usual one, else their only one."""
    if account.payer_id is not None:
        return account.payer_id
    query = select(Payer.id, Payer.usual).where(Payer.customer_id == account.customer_id, Payer.archived.is_(False))
    rows = (await session.execute(query.order_by(Payer.usual.desc()).limit(2))).all()
    return rows[0].id if len(rows) == 1 or (rows and rows[0].usual) else None


async def credited(session: AsyncSession, invoice_id: int) -> int:
    """How much of an invoice its credit notes take back."""
    issued = Invoice.credits_id == invoice_id, Invoice.status != DRAFT
    return await session.scalar(select(func.coalesce(func.sum(Invoice.total), 0)).where(*issued)) or 0


def payable(invoice: Invoice) -> bool:
    """Whether something may still be paid on it."""
    return invoice.kind is InvoiceKind.INVOICE and invoice.status in UNPAID


def from_balance(invoice: Invoice) -> bool:
    """Whether money of the account can pay it: not what asks for that money."""
    return payable(invoice) and any(row.kind is not LineKind.ADVANCE for row in invoice.lines)
