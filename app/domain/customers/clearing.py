"""Clearing the personal data of a customer who cannot be deleted: what the law wants stays, everything else goes.

Rows stay where something points at them, and lose what is personal; the report says what was kept, and why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.db import Customised, Searchable, Versioned, model_of, utcnow
from app.domain.customers.merging import BULK, UNSCOPED, family
from app.domain.customers.removal import attached
from app.domain.customers.status import running_services, say_running
from app.domain.sessions.rows import end
from app.errors import Conflict
from app.i18n import _, gettext, show_number
from app.models import audit
from app.models.attachments import Attachment
from app.models.audit import Audit, AuditDetail
from app.models.automation import RuleRun
from app.models.billing import Document, Expense, Invoice, InvoiceStatus, Payer, Payment, PaymentEvent, PaymentStatus
from app.models.catalog import Service
from app.models.confirmations import Confirmation
from app.models.consent import DeliveryEvent, Subscription, Suppression
from app.models.customers import Customer, CustomerProject, CustomerStatus, ExternalRef, Membership, Note
from app.models.discounts import Discount
from app.models.factors import Passkey, TwoFactor
from app.models.imports import ImportRow, ImportRun
from app.models.inbound import InboundMail
from app.models.ledger import Account, Entry
from app.models.messaging import CampaignAttachment, Channel, Delivery, DeliveryState
from app.models.privacy import DataKind, DataRequest, DataState
from app.models.registrations import Registration
from app.models.sessions import DoorCode, LoginSession, OneUse
from app.models.tickets import Ticket, TicketAttachment, TicketMessage
from app.models.users import CustomerRole, User, UserCustomer
from app.queue import enqueue

LAW = _("What is issued and booked has to be kept, and never changes.")
PROTECTS = _("Nothing is sent to this address: that protects whoever has it.")
TRAIL = _("It says who did what and when; the values before and after are deleted.")
SHARED = _("They serve other customers too.")
WHY: dict[str, str] = {"law": LAW, "protects": PROTECTS, "trail": TRAIL, "shared": SHARED}
KEPT: tuple[tuple[str, str, str], ...] = (
    ("invoice", _("Issued invoices"), "law"),
    ("payer", _("Payers on invoices and payments"), "law"),
    ("payment", _("Payments"), "law"),
    ("expense", _("Expenses"), "law"),
    ("finance_document", _("Finance documents"), "law"),
    ("ledger_entry", _("Entries of the ledger"), "law"),
    ("audit", _("Rows of the audit"), "trail"),
    ("suppressed_address", _("Addresses to which nothing is sent"), "protects"),
    ("user", _("Logins"), "shared"),
)
"""What may be kept: noun, label, reason."""
STAYS = ("account", "expense", "payment", "invoice", "invoice_line", "finance_document", "payer", "ledger_transaction",
         "ledger_entry", "audit", "suppressed_address")  # fmt: skip
"""Tables in which something personal may stay."""

CLEARED = "#"
"""What stands before the number of a row whose name was personal."""


@dataclass(frozen=True)
class _Who:
    """Whose data it is: the customer with those who were merged into them, and the logins of nobody else."""

    customers: Sequence[int]
    users: Sequence[int]
    shared: Sequence[int]
    addresses: frozenset[str]


async def refusals_to_clear(session: AsyncSession, customer: Customer) -> list[str]:
    """Why the personal data cannot be cleared now; empty when nothing stands in the way."""
    if customer.merged_into_id is not None:
        return [gettext("This customer was merged into another one. Clear that one.")]
    if customer.cleared_at is not None:
        return [gettext("The personal data of this customer was cleared.")]
    found = []
    if running := await running_services(session, customer.id):
        found.append(say_running(running))
    ids = family(customer.id)
    unpaid = Invoice.customer_id.in_(ids), Invoice.status.in_((InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE))
    under_way = Payment.customer_id.in_(ids), Payment.status.in_((PaymentStatus.NEW, PaymentStatus.PENDING))
    for model, conditions, said in (
        (Invoice, unpaid, gettext("Invoices that are not paid: %(n)s. Have them paid or credit them first.")),
        (Payment, under_way, gettext("Payments on their way: %(n)s. Wait for them, or cancel them first.")),
    ):
        if n := await _count(session, model, *conditions):
            found.append(said % {"n": show_number(n)})
    return found


async def kept_of(session: AsyncSession, customer: Customer) -> dict[str, int]:
    """What will be kept: noun of KEPT -> how many."""
    who = await _who(session, customer)
    ids = who.customers
    accounts = select(Account.id).where(Account.customer_id.in_(ids))
    counts: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "invoice": (Invoice, (Invoice.customer_id.in_(ids), Invoice.status != InvoiceStatus.DRAFT)),
        "payer": (Payer, (Payer.customer_id.in_(ids), _needed_payer())),
        "payment": (Payment, (Payment.customer_id.in_(ids),)),
        "expense": (Expense, (Expense.customer_id.in_(ids),)),
        "finance_document": (Document, (Document.customer_id.in_(ids),)),
        "ledger_entry": (Entry, (Entry.account_id.in_(accounts),)),
        "audit": (Audit, (Audit.noun == "customer", Audit.noun_id.in_(ids))),
        "suppressed_address": (Suppression, (Suppression.address_folded.in_(who.addresses),)),
    }
    found = {noun: await _count(session, model, *where) for noun, (model, where) in counts.items()}
    return {noun: n for noun, n in {**found, "user": len(who.shared)}.items() if n}


async def clear(session: AsyncSession, *, customer: Customer) -> dict[str, Any]:
    """Take the personal data out, for good. Returns the report, which lies in the audit. Raises Conflict with the
    reasons of `refusals_to_clear`.

    Files and what old jobs hold go in the background, a moment later.
    """
    await session.execute(select(Customer.id).where(Customer.id == customer.id).with_for_update())
    if reasons := await refusals_to_clear(session, customer):
        raise Conflict(" ".join(reasons))
    kept = await kept_of(session, customer)
    cleared = {a.noun: a.n for a in await attached(session, customer)}
    who = await _who(session, customer)
    trail = await _trail(session, who)
    files = await _talk(session, who)
    await _messages(session, who)
    await _money(session, who)
    await _users(session, who)
    await _rest(session, who)
    await _customers(session, who)
    await session.flush()
    await _details(session, trail)
    report = {"cleared": cleared, "kept": kept}
    await session.run_sync(audit.write, "clear", "customer", customer.id, {"report": report})
    for key in sorted(files):
        await enqueue(session, "privacy.drop", place=key)
    await enqueue(session, "customers.clear_trail", customer_ids=list(who.customers), user_ids=list(who.users))
    return report


# ---- whose ----------------------------------------------------------------------------------------------------------


async def _who(session: AsyncSession, customer: Customer) -> _Who:
    rows = (await session.scalars(select(Customer).where(Customer.id.in_(family(customer.id))))).all()
    ids = sorted(row.id for row in rows)
    other = aliased(UserCustomer)
    elsewhere = select(other.user_id).where(other.user_id == UserCustomer.user_id, other.customer_id.not_in(ids))
    links = await session.execute(
        select(UserCustomer.user_id, elsewhere.exists()).where(UserCustomer.customer_id.in_(ids)).distinct(),
        execution_options=UNSCOPED,
    )
    shared: dict[int, bool] = {row[0]: row[1] for row in links}
    own = sorted(i for i, more in shared.items() if not more)
    folded = list(
        await session.scalars(select(User.email_folded).where(User.id.in_(own)).execution_options(**UNSCOPED))
    )
    addresses = frozenset(a for a in (*folded, *(row.email_folded for row in rows)) if a)
    return _Who(ids, own, sorted(i for i, more in shared.items() if more), addresses)


async def _count(session: AsyncSession, model: Any, *conditions: Any) -> int:
    query = select(func.count()).select_from(model).where(*conditions)
    return await session.scalar(query.execution_options(**UNSCOPED)) or 0


def _needed_payer() -> Any:
    """A payer that stands on an issued invoice or brought a payment."""
    issued = select(Invoice.id).where(Invoice.payer_id == Payer.id, Invoice.status != InvoiceStatus.DRAFT)
    return or_(issued.exists(), select(Payment.id).where(Payment.payer_id == Payer.id).exists())


# ---- taking out -----------------------------------------------------------------------------------------------------


def _blank(model: Any, *columns: str, **values: Any) -> dict[str, Any]:
    """The values that empty these columns and all that is derived from them or searched."""
    table = model.__table__
    found: dict[str, Any] = {c: None if table.c[c].nullable else "" for c in columns} | values
    for column in table.columns:
        if column.info.get("folds") in found:
            found[column.key] = ""
    if issubclass(model, Searchable):
        found["search_text"] = ""
    if issubclass(model, Customised):
        found["custom"] = found["custom_folded"] = {}
    if issubclass(model, Versioned):
        found["version"] = model.version + 1
    return found


async def _set(session: AsyncSession, model: Any, where: Sequence[Any], values: Mapping[str, Any]) -> None:
    await session.execute(update(model).where(*where).values(dict(values)).execution_options(**BULK))


async def _drop(session: AsyncSession, model: Any, *where: Any) -> None:
    await session.execute(delete(model).where(*where).execution_options(**BULK))


def _numbered(model: Any) -> Any:
    return literal(CLEARED) + cast(model.id, String)


async def _talk(session: AsyncSession, who: _Who) -> set[str]:
    """Tickets, mails, notes and files. Returns the places in the store of what was deleted."""
    ids = who.customers
    tickets = select(Ticket.id).where(Ticket.customer_id.in_(ids))
    messages = select(TicketMessage.id).where(TicketMessage.ticket_id.in_(tickets))
    papers = select(Document.attachment_id).where(Document.attachment_id.is_not(None))
    sent = select(TicketAttachment.attachment_id).where(TicketAttachment.message_id.in_(messages))
    campaigns = select(CampaignAttachment.attachment_id)
    theirs = (
        or_(Attachment.customer_id.in_(ids), Attachment.id.in_(sent)),
        Attachment.id.not_in(papers), Attachment.id.not_in(campaigns),
    )  # fmt: skip
    found = await session.execute(select(Attachment.id, Attachment.key).where(*theirs), execution_options=UNSCOPED)
    files = {row[0]: row[1] for row in found}
    mails = or_(InboundMail.customer_id.in_(ids), InboundMail.ticket_id.in_(tickets))
    keys = set(files.values())
    keys |= set(await session.scalars(select(InboundMail.key).where(mails).execution_options(**UNSCOPED)))
    copies = DataRequest.customer_id.in_(ids)
    keys |= set(await session.scalars(select(DataRequest.key).where(copies).execution_options(**UNSCOPED)))
    await _drop(session, TicketAttachment, TicketAttachment.message_id.in_(messages))
    await _drop(session, Attachment, Attachment.id.in_(files))
    await _drop(session, InboundMail, mails)
    await _drop(session, Note, Note.customer_id.in_(ids))
    said = _blank(TicketMessage, "text", "sender", "email_id", user_id=None)
    await _set(session, TicketMessage, [TicketMessage.ticket_id.in_(tickets)], said)
    await _set(session, Ticket, [Ticket.customer_id.in_(ids)], _blank(Ticket, subject=_numbered(Ticket)))
    ready = [copies, DataRequest.kind == DataKind.EXPORT, DataRequest.state == DataState.READY]
    await _set(session, DataRequest, ready, {"state": DataState.EXPIRED})
    asked = [copies, DataRequest.kind == DataKind.DELETION, DataRequest.state == DataState.WAITING]
    await _set(session, DataRequest, asked, {"state": DataState.DONE, "finished_at": utcnow()})
    await _set(session, DataRequest, [copies], _blank(DataRequest, "reason", "key", "user_id"))
    return keys - {""}


async def _messages(session: AsyncSession, who: _Who) -> None:
    """What was sent can no longer be read again; what waits is not sent."""
    mine = Delivery.customer_id.in_(who.customers)
    waits = [mine, Delivery.state.in_((DeliveryState.DUE, DeliveryState.REVIEW))]
    await _set(session, Delivery, waits, {"state": DeliveryState.SKIPPED})
    other = aliased(Delivery)
    several = select(other.message_id).where(
        other.campaign_id == Delivery.campaign_id, other.customer_id == Delivery.customer_id,
        other.channel == Delivery.channel, other.message_id != Delivery.message_id,
    )  # fmt: skip
    mails = [mine, Delivery.channel == Channel.EMAIL]
    # the address is part of the key: where there are several, the number of the message stands in its place
    await _set(session, Delivery, [*mails, several.exists()], {"address": Delivery.message_id})
    await _set(session, Delivery, [*mails, Delivery.address != Delivery.message_id], {"address": ""})
    await _set(session, Delivery, [mine], {"values": {}, "error": "", "user_id": None})
    came_back = [DeliveryEvent.customer_id.in_(who.customers)]
    await _set(session, DeliveryEvent, came_back, {"detail": "", "url": ""})
    chosen = Subscription.customer_id.in_(who.customers)
    await _set(session, Subscription, [chosen, Subscription.ended_at.is_(None)], {"ended_at": utcnow()})
    await _set(session, Subscription, [chosen], {"note": "", "ip": None})


async def _money(session: AsyncSession, who: _Who) -> None:
    """Only what is not booked: drafts, payers who stand nowhere, how to reach the others."""
    ids = who.customers
    drafts = select(Invoice).where(Invoice.customer_id.in_(ids), Invoice.status == InvoiceStatus.DRAFT)
    for draft in (await session.scalars(drafts.execution_options(**UNSCOPED))).all():
        await session.refresh(draft, ["lines"])
        draft.lines.clear()
        draft.payer_id, draft.note, draft.sides = None, "", {}
        draft.net = draft.tax = draft.total = 0
    await session.flush()
    await _drop(session, Payer, Payer.customer_id.in_(ids), ~_needed_payer())
    await _set(session, Payer, [Payer.customer_id.in_(ids)], _blank(Payer, "contact", "phone", "email"))
    await _set(session, Payment, [Payment.customer_id.in_(ids)], _blank(Payment, "note", "pay_url"))
    payments = select(Payment.id).where(Payment.customer_id.in_(ids))
    heard = [PaymentEvent.payment_id.in_(payments)]
    await _set(session, PaymentEvent, heard, {"said": "", "details": {}})
    await _set(session, Service, [Service.customer_id.in_(ids)], _blank(Service, name=_numbered(Service)))
    off = _blank(Discount, name=_numbered(Discount), enabled=False)
    await _set(session, Discount, [Discount.customer_id.in_(ids)], off)


async def _users(session: AsyncSession, who: _Who) -> None:
    """Nobody signs in any more. Who serves others too only leaves."""
    await end(session, or_(LoginSession.user_id.in_(who.users), LoginSession.customer_id.in_(who.customers)))
    seen = or_(LoginSession.customer_id.in_(who.customers), LoginSession.user_id.in_(who.users))
    await _set(session, LoginSession, [seen], {"ip": "", "agent": "", "reason": ""})
    for model in (TwoFactor, Passkey, OneUse):
        await _drop(session, model, model.user_id.in_(who.users))
    gone = _blank(
        User, "full_name", "email", "password_hash", username=literal("cleared-") + cast(User.id, String),
        enabled=False, disabled_by_staff=True, last_sign_in_at=None,
    )  # fmt: skip
    await _set(session, User, [User.id.in_(who.users)], gone)
    links = UserCustomer.customer_id.in_(who.customers)
    await _drop(session, UserCustomer, links, UserCustomer.user_id.in_(who.shared))
    await _set(session, UserCustomer, [links], {"receives": False})
    await _set(session, CustomerRole, [CustomerRole.customer_id.in_(who.customers)],
               _blank(CustomerRole, name=_numbered(CustomerRole)))  # fmt: skip


async def _rest(session: AsyncSession, who: _Who) -> None:
    ids = who.customers
    for model in (Confirmation, DoorCode, Membership, CustomerProject, RuleRun):
        await _drop(session, model, model.customer_id.in_(ids))
    for noun, theirs in (("customer", ids), ("user", who.users)):
        await _drop(session, ExternalRef, ExternalRef.noun == noun, ExternalRef.noun_id.in_(theirs))
    if who.addresses:
        plain = [a.strip() for a in who.addresses]
        await _drop(session, Registration, func.lower(Registration.email).in_(plain))
    await _imports(session, who)


async def _imports(session: AsyncSession, who: _Who) -> None:
    """What imports that brought them still hold of their files: samples of the columns, and cells of rows."""
    runs = await _runs(session, who)
    query = select(ImportRun.id, ImportRun.looked, ImportRun.report).where(ImportRun.id.in_(runs))
    for run_id, looked, report in (await session.execute(query, execution_options=UNSCOPED)).all():
        if columns := [{**c, "samples": [], "values": []} for c in looked.get("columns", ())]:
            looked = {**looked, "columns": columns}
        report = {k: v for k, v in report.items() if k not in ("errors", "notes")}
        await _set(session, ImportRun, [ImportRun.id == run_id], {"looked": looked, "report": report})
    await _set(session, ImportRow, [ImportRow.import_id.in_(runs)], {"cells": []})


async def _runs(session: AsyncSession, who: _Who) -> list[int]:
    """The imports that brought or changed them."""
    tags = await session.scalars(
        select(Audit.request)
        .where(Audit.noun == "customer", Audit.noun_id.in_(who.customers), Audit.request.startswith("import-"))
        .distinct().execution_options(**UNSCOPED)
    )  # fmt: skip
    return [int(number) for tag in tags if (number := tag.removeprefix("import-")).isdecimal()]


async def _customers(session: AsyncSession, who: _Who) -> None:
    values = _blank(
        Customer, "contact_person", "email", "phone", "address", "legal_name", "vat_number", "registration_number",
        "director", "note", "registration_ip", "came_from", "verified_phone", "phone_verified_by", "phone_verified_at",
        "timezone", "attitude_id", name=_numbered(Customer), status=CustomerStatus.CLOSED, cleared_at=utcnow(),
    )  # fmt: skip
    await _set(session, Customer, [Customer.id.in_(who.customers)], values)


# ---- the audit ------------------------------------------------------------------------------------------------------

NOUNS = ("customer", "user", "payer", "service", "ticket", "ticket_message", "note", "attachment", "inbound_mail",
         "confirmation", "data_request", "customer_role", "subscription", "discount", "invoice", "payment",
         "finance_document", "login_session", "account", "expense", "external_ref")  # fmt: skip
"""Tables whose rows tell of a customer in the audit."""


async def _trail(session: AsyncSession, who: _Who) -> dict[str, list[int]]:
    """Noun -> ids of what the audit tells of them; asked before anything is deleted."""
    tickets = select(Ticket.id).where(Ticket.customer_id.in_(who.customers))
    suppressed = select(Suppression.id).where(Suppression.address_folded.in_(who.addresses))
    found: dict[str, list[int]] = {
        "customer": list(who.customers), "user": list(who.users), "import_run": await _runs(session, who),
        "suppressed_address": list(await session.scalars(suppressed.execution_options(**UNSCOPED))),
    }  # fmt: skip
    for noun in NOUNS:
        model: Any = model_of(noun)
        if noun in found:
            continue
        where: Any
        if noun == "ticket_message":
            where = TicketMessage.ticket_id.in_(tickets)
        elif noun == "external_ref":
            where = (ExternalRef.noun == "customer") & ExternalRef.noun_id.in_(who.customers)
        else:
            where = model.customer_id.in_(who.customers)
        found[noun] = list(await session.scalars(select(model.id).where(where).execution_options(**UNSCOPED)))
    return found


async def _details(session: AsyncSession, trail: Mapping[str, Collection[int]]) -> None:
    """Delete before and after of every row of the audit that tells of these, the last ones included."""
    for noun, ids in trail.items():
        few = list(ids)
        for start in range(0, len(few), 500):
            rows = select(Audit.id).where(Audit.noun == noun, Audit.noun_id.in_(few[start : start + 500]))
            await _drop(session, AuditDetail, AuditDetail.audit_id.in_(rows))
    done_for = select(Audit.id).where(Audit.customer_id.in_(trail["customer"]), Audit.action != "clear")
    await _drop(session, AuditDetail, AuditDetail.audit_id.in_(done_for))
