"""What an export contains: each part is named columns of one table (never all of them, so no secret slips in), read
in short transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import aliased

from app import db
from app.db import Choice
from app.domain import custom
from app.domain.customers.merging import family
from app.domain.messaging.content import as_sent, load_content
from app.domain.messaging.render import TemplateProblem
from app.domain.sheets import money
from app.errors import NotFound
from app.i18n import gettext
from app.integrations.storage import safe_filename
from app.models.attachments import Attachment
from app.models.billing import Document, Expense, Invoice, InvoiceLine, InvoiceStatus, Payer, Payment, PaymentMethod
from app.models.catalog import Product, Service
from app.models.consent import Subscription
from app.models.custom import CustomAccess
from app.models.customers import Customer
from app.models.ledger import Account, Entry, Transaction
from app.models.messaging import Category, Delivery, DeliveryState
from app.models.projects import Project
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketAttachment, TicketMessage
from app.models.users import CustomerRole, User, UserCustomer

CHUNK = 500
Row = dict[str, Any]


@dataclass
class Source:
    """One customer; `files` grows while the parts are read: name in the archive -> place in the store."""

    customer_id: int
    files: dict[str, str] = field(default_factory=dict)

    def keep(self, folder: str, owner_id: int, file: Attachment) -> str:
        """Note a file for the archive, and give its name there."""
        name = f"files/{folder}/{owner_id}/{file.id}-{safe_filename(file.name)}"
        self.files[name] = file.key
        return name


Part = Callable[[Source], AsyncIterator[Row]]


async def _rows(
    statement: Any, key: Any, *, amounts: tuple[str, ...] = (), currency: str = "currency", of: Any = None
) -> AsyncIterator[Row]:
    """The rows of a statement by its column `id`; amounts: columns in minor units. of: the model whose custom fields
    come along, as far as the customer sees them."""
    statement = statement if of is None else statement.add_columns(of.custom)
    after: int | None = None
    while True:
        chunk = statement if after is None else statement.where(key > after)
        async with db.reads() as session:
            found = (await session.execute(chunk.order_by(key).limit(CHUNK))).mappings().all()
        for row in found:
            plain = {name: _plain(value) for name, value in row.items()}
            for name in amounts:
                if plain[name] is not None:
                    plain[name] = money(plain[name], plain[currency])
            held = plain.pop("custom") if of is not None else {}
            yield plain | {s.name: custom.plain(s, held.get(s.key)) for s in _seen(of)}
        if len(found) < CHUNK:
            return
        after = found[-1]["id"]


def _seen(model: Any) -> list[custom.Spec]:
    return [spec for spec in custom.fields(model) if spec.access is not CustomAccess.STAFF]


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.value
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date


def _columns(model: Any, names: str) -> list[Any]:
    return [getattr(model, name) for name in names.split()]


# ---- who ------------------------------------------------------------------------------------------------------------


def profile(source: Source) -> AsyncIterator[Row]:
    names = (
        "id name kind status contact_person email phone verified_phone phone_verified_at address country language "
        "timezone legal_name vat_number registration_number director registered_at registration_ip"
    )
    statement = select(*_columns(Customer, names), Project.name.label("project"))
    return _rows(statement.join(Customer.project).where(Customer.id == source.customer_id), Customer.id, of=Customer)


def users(source: Source) -> AsyncIterator[Row]:
    names = "id username full_name email language enabled last_sign_in_at created_at"
    statement = (
        select(*_columns(User, names), UserCustomer.role, CustomerRole.name.label("own_role"), UserCustomer.receives)
        .join(UserCustomer, UserCustomer.user_id == User.id)
        .outerjoin(CustomerRole, CustomerRole.id == UserCustomer.own_role_id)
        .where(UserCustomer.customer_id == source.customer_id)
    )
    return _rows(statement, User.id, of=User)


def payers(source: Source) -> AsyncIterator[Row]:
    names = (
        "id kind name contact phone email country postal_address legal_address vat_number director position grounds "
        "created_at"
    )
    mine = select(*_columns(Payer, names)).where(Payer.customer_id == source.customer_id)
    return _rows(mine, Payer.id, of=Payer)


# ---- what they have and pay -----------------------------------------------------------------------------------------


def services(source: Source) -> AsyncIterator[Row]:
    names = "id name status price setup_fee currency period started_on next_charge_on auto_renew created_at"
    statement = select(*_columns(Service, names), Product.name.label("product")).join(Service.product)
    mine = statement.where(Service.customer_id == source.customer_id)
    return _rows(mine, Service.id, amounts=("price", "setup_fee"), of=Service)


def accounts(source: Source) -> AsyncIterator[Row]:
    statement = select(*_columns(Account, "id currency balance credit_limit"))
    mine = statement.where(Account.customer_id.in_(family(source.customer_id)))
    return _rows(mine, Account.id, amounts=("balance", "credit_limit"))


def payments(source: Source) -> AsyncIterator[Row]:
    names = "id number status amount currency refunded created_at paid_at invoice_id"
    statement = select(*_columns(Payment, names), PaymentMethod.name.label("method")).join(Payment.method)
    return _rows(
        statement.where(Payment.customer_id.in_(family(source.customer_id))), Payment.id, amounts=("amount", "refunded")
    )


def _issued(source: Source) -> tuple[Any, ...]:
    return Invoice.customer_id.in_(family(source.customer_id)), Invoice.status != InvoiceStatus.DRAFT


def invoices(source: Source) -> AsyncIterator[Row]:
    names = "id number kind status issued_on due_on net tax total paid currency language credits_id payer_id"
    statement = select(*_columns(Invoice, names)).where(*_issued(source))
    return _rows(statement, Invoice.id, amounts=("net", "tax", "total", "paid"))


def invoice_lines(source: Source) -> AsyncIterator[Row]:
    names = "id invoice_id position description unit_price discount net tax total tax_rate tax_name"
    statement = select(
        *_columns(InvoiceLine, names), InvoiceLine.quantity.label("quantity_in_thousandths"), Invoice.currency
    )
    mine = statement.join(Invoice, Invoice.id == InvoiceLine.invoice_id).where(*_issued(source))
    return _rows(mine, InvoiceLine.id, amounts=("unit_price", "discount", "net", "tax", "total"))


def expenses(source: Source) -> AsyncIterator[Row]:
    names = "id on_day description amount net tax discount currency period_from period_to service_id invoice_id"
    statement = select(*_columns(Expense, names)).where(Expense.customer_id.in_(family(source.customer_id)))
    return _rows(statement, Expense.id, amounts=("amount", "net", "tax", "discount"))


def ledger(source: Source) -> AsyncIterator[Row]:
    statement = (
        select(
            Entry.id, Entry.at, Entry.account_id, Transaction.id.label("transaction_id"), Transaction.kind,
            Transaction.description, Entry.amount, Account.currency,
        )
        .join(Transaction, Transaction.id == Entry.transaction_id)
        .join(Account, Account.id == Entry.account_id)
        .where(Account.customer_id.in_(family(source.customer_id)))
    )  # fmt: skip
    return _rows(statement, Entry.id, amounts=("amount",))


async def documents(source: Source) -> AsyncIterator[Row]:
    names = "id kind number title on_day"
    statement = select(*_columns(Document, names), Document.attachment_id)
    async for row in _rows(statement.where(Document.customer_id == source.customer_id), Document.id):
        async with db.reads() as session:
            file = await session.get(Attachment, row.pop("attachment_id") or 0)
        yield row | {"file": source.keep("documents", row["id"], file) if file is not None else ""}


# ---- what was said --------------------------------------------------------------------------------------------------


async def messages(source: Source) -> AsyncIterator[Row]:
    """Each message as it was sent, rendered again from what was frozen then."""
    mine = [Delivery.customer_id == source.customer_id, Delivery.state == DeliveryState.SENT]
    async with db.reads() as session:
        found = await session.scalars(select(Delivery.campaign_id).where(*mine).distinct())
        campaigns = sorted(found)
    for campaign_id in campaigns:
        async with db.reads() as session:
            content = await load_content(session, campaign_id)
            rows = await session.scalars(
                select(Delivery)
                .where(*mine, Delivery.campaign_id == campaign_id)
                .order_by(Delivery.channel.desc(), Delivery.address)
            )
            deliveries = rows.all()
        for delivery in deliveries:
            row: Row = {
                "id": campaign_id, "channel": delivery.channel.value, "address": delivery.address,
                "language": delivery.language, "sent_at": _plain(delivery.sent_at), "read_at": _plain(delivery.read_at),
                "category": content.category.name if content.category else "",
            }  # fmt: skip
            try:
                sent = as_sent(content, delivery)
            except (NotFound, TemplateProblem):  # what was sent could be rendered then; the rest shall not be lost
                continue
            files = [source.keep("messages", campaign_id, file) for file in sent.attachments]
            yield row | {
                "sender": sent.sender_name, "sender_email": sent.sender_email, "subject": sent.message.subject,
                "text": sent.message.text, "html": sent.message.html, "files": files,
            }  # fmt: skip


def tickets(source: Source) -> AsyncIterator[Row]:
    names = "id subject status created_at updated_at campaign_id"
    statement = select(*_columns(Ticket, names), Category.name.label("category")).outerjoin(Ticket.category)
    return _rows(statement.where(Ticket.customer_id == source.customer_id), Ticket.id)


async def ticket_messages(source: Source) -> AsyncIterator[Row]:
    """Without the notes that staff write for each other."""
    writer = aliased(Staff)
    statement = (
        select(
            *_columns(TicketMessage, "id ticket_id created_at from_customer text"),
            User.username.label("user"), writer.full_name.label("staff"),
        )
        .join(Ticket, Ticket.id == TicketMessage.ticket_id)
        .outerjoin(User, User.id == TicketMessage.user_id)
        .outerjoin(writer, writer.id == TicketMessage.staff_id)
        .where(Ticket.customer_id == source.customer_id, TicketMessage.internal.is_(False))
    )  # fmt: skip
    async for row in _rows(statement, TicketMessage.id):
        async with db.reads() as session:
            found = await session.scalars(
                select(Attachment)
                .join(TicketAttachment, TicketAttachment.attachment_id == Attachment.id)
                .where(TicketAttachment.message_id == row["id"])
                .order_by(Attachment.id)
            )
            files = [source.keep("tickets", row["ticket_id"], file) for file in found]
        yield row | {"files": files}


# ---- consent and sign-ins -------------------------------------------------------------------------------------------


def consent(source: Source) -> AsyncIterator[Row]:
    names = "id channel wanted since ended_at how note ip"
    statement = (
        select(*_columns(Subscription, names), Category.name.label("category"), User.username.label("user"))
        .join(Subscription.category)
        .outerjoin(User, User.id == Subscription.user_id)
        .where(Subscription.customer_id == source.customer_id)
    )
    return _rows(statement, Subscription.id)


def visits(source: Source) -> AsyncIterator[Row]:
    """Where the project shows them to its customers."""
    names = "id created_at ended_at expires_at reason may_act"
    statement = (
        select(*_columns(LoginSession, names), Staff.full_name.label("staff"))
        .outerjoin(LoginSession.staff)
        .join(Customer, Customer.id == LoginSession.customer_id)
        .join(Customer.project)
        .where(
            LoginSession.customer_id == source.customer_id, LoginSession.kind == SessionKind.VISIT,
            Project.visits_shown,
        )
    )  # fmt: skip
    return _rows(statement, LoginSession.id)


def sign_ins(source: Source) -> AsyncIterator[Row]:
    names = "id created_at last_seen_at ended_at ip agent"
    statement = select(*_columns(LoginSession, names), User.username.label("user"))
    return _rows(
        statement.outerjoin(LoginSession.user).where(
            LoginSession.customer_id == source.customer_id, LoginSession.kind == SessionKind.CLIENT
        ),
        LoginSession.id,
    )


PARTS: dict[str, Part] = {
    "profile": profile, "users": users, "payers": payers, "services": services, "accounts": accounts,
    "payments": payments, "invoices": invoices, "invoice_lines": invoice_lines, "expenses": expenses,
    "ledger": ledger, "documents": documents, "messages": messages, "tickets": tickets,
    "ticket_messages": ticket_messages, "consent": consent, "visits": visits, "sign_ins": sign_ins,
}  # fmt: skip
"""Name of the files -> their rows."""


def read_me(customer: str) -> str:
    """What stands beside the data, in the reader's language."""
    return "\n\n".join(
        [
            gettext("The data of %(name)s") % {"name": customer},
            gettext("Each file is there twice: as JSON for programs and as CSV for spreadsheets (UTF-8)."),
            gettext("In CSV a text that a spreadsheet could take for a formula begins with an apostrophe."),
            gettext("Moments are in UTC. Invoices lie as PDF in the folder invoices, attachments in the folder files."),
        ]
    ) + "\n"  # fmt: skip
