"""Rows for tests, one plain function per noun: sensible defaults, every column can be given by name, flushed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import ledger
from app.domain.ledger import Move
from app.models.attachments import Attachment
from app.models.automation import Rule, RuleRun, RunState, Trigger
from app.models.billing import (
    Document,
    DocumentKind,
    DocumentTemplate,
    ExchangeRate,
    Expense,
    Invoice,
    InvoiceLine,
    Payer,
    Payment,
    PaymentMethod,
    TaxRate,
)
from app.models.catalog import Product, ProductGroup, Service
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.consent import Subscription, Suppression
from app.models.customers import Attitude, Customer, CustomerProject, Group, Membership, Note
from app.models.discounts import Discount
from app.models.imports import ImportRun
from app.models.inbound import InboundMail, InboundState
from app.models.jobs import Job
from app.models.labels import Label
from app.models.ledger import Account, AccountKind, TransactionKind
from app.models.messaging import (
    Campaign,
    CampaignState,
    CampaignText,
    Category,
    Channel,
    Delivery,
    Template,
    TemplateText,
)
from app.models.privacy import DataKind, DataRequest, DataState
from app.models.projects import Project
from app.models.staff import Grant, Role, Staff, StaffProject, StaffRole
from app.models.tickets import CannedReply, Ticket, TicketMessage
from app.models.users import CustomerRole, User, UserCustomer, UserRole
from app.models.views import SavedView, ViewKind

T = TypeVar("T")
_numbers = itertools.count(1)
Texts = Mapping[str, tuple[str, str]]
"""Language -> (subject, body)."""


async def _save(session: AsyncSession, row: T) -> T:
    session.add(row)
    await session.flush()
    return row


async def _project(session: AsyncSession, kw: dict[str, Any]) -> None:
    """Unless one is named: the first project there is, else a new one."""
    if "project" in kw:
        kw["project_id"] = kw.pop("project").id
    if "project_id" not in kw:
        first = await session.scalar(select(Project.id).order_by(Project.id).limit(1))
        kw["project_id"] = first if first is not None else (await create_project(session)).id


async def create_project(session: AsyncSession, **kw: Any) -> Project:
    n = next(_numbers)
    kw = {"name": f"Project {n}", "sender_email": f"desk{n}@example.com", "languages": ["en", "de"]} | kw
    return await _save(session, Project(**kw))


async def create_customer(session: AsyncSession, **kw: Any) -> Customer:
    """project / project_id: else the first project. groups: the groups that they are a member of."""
    n = next(_numbers)
    groups = kw.pop("groups", ())
    await _project(session, kw)
    kw = {"name": f"Customer {n}", "email": f"customer{n}@example.org", "language": "en", "country": "GB"} | kw
    customer = await _save(session, Customer(**kw))
    for group in groups:
        await create_membership(session, customer=customer, group=group)
    return customer


async def create_view(session: AsyncSession, **kw: Any) -> SavedView:
    """A saved view of the customers that everybody sees."""
    return await _save(session, SavedView(**{"screen": "customer", "name": "A view", "kind": ViewKind.SHARED} | kw))


async def create_label(session: AsyncSession, **kw: Any) -> Label:
    """Another name for the e-mail of staff."""
    return await _save(session, Label(**{"screen": "staff", "item": "email", "language": "en", "text": "Mail"} | kw))


async def create_user(session: AsyncSession, **kw: Any) -> User:
    """customer / customers: whom they serve, with `role` and `receives` in each; their project is the first one's."""
    n = next(_numbers)
    customers = list(kw.pop("customers", ()))
    if (only := kw.pop("customer", None)) is not None:
        customers.append(only)
    role, receives = kw.pop("role", UserRole.OWNER), kw.pop("receives", False)
    if customers and "project" not in kw:
        kw.setdefault("project_id", customers[0].project_id)
    await _project(session, kw)
    kw = {"username": f"user{n}", "full_name": f"User {n}", "email": f"user{n}@example.net"} | kw
    user = await _save(session, User(**kw))
    for customer in customers:
        link = UserCustomer(user_id=user.id, customer_id=customer.id, role=role, receives=receives)
        await _save(session, link)
    return user


async def create_staff(session: AsyncSession, **kw: Any) -> Staff:
    """projects: those that they are limited to. role: one Role. grants: pairs for a role made for them."""
    n = next(_numbers)
    projects, role, grants = kw.pop("projects", ()), kw.pop("role", None), kw.pop("grants", None)
    kw = {"username": f"staff{n}", "full_name": f"Staff {n}", "email": f"staff{n}@example.com"} | kw
    staff = await _save(session, Staff(**kw))
    for project in projects:
        await _save(session, StaffProject(staff_id=staff.id, project_id=project.id))
    if grants is not None:
        role = await create_role(session, grants=grants)
    if role is not None:
        await _save(session, StaffRole(staff_id=staff.id, role_id=role.id))
    return staff


async def create_role(session: AsyncSession, **kw: Any) -> Role:
    """grants: (screen, action) pairs; ``("*", "*")`` without any."""
    grants = kw.pop("grants", [("*", "*")])
    role = await _save(session, Role(**{"name": f"Role {next(_numbers)}"} | kw))
    for screen, action in grants:
        await _save(session, Grant(role_id=role.id, screen=screen, action=action))
    return role


async def create_group(session: AsyncSession, **kw: Any) -> Group:
    return await _save(session, Group(**{"name": f"Group {next(_numbers)}"} | kw))


async def create_membership(session: AsyncSession, *, customer: Customer, group: Group, **kw: Any) -> Membership:
    return await _save(session, Membership(customer_id=customer.id, group_id=group.id, **kw))


async def create_available_project(session: AsyncSession, *, customer: Customer, project: Project) -> CustomerProject:
    return await _save(session, CustomerProject(customer_id=customer.id, project_id=project.id))


async def create_attitude(session: AsyncSession, **kw: Any) -> Attitude:
    return await _save(session, Attitude(**{"name": f"Attitude {next(_numbers)}"} | kw))


async def create_note(session: AsyncSession, **kw: Any) -> Note:
    if "customer" in kw:
        kw["customer_id"] = kw.pop("customer").id
    return await _save(session, Note(**{"text": "Called them."} | kw))


async def create_customer_role(session: AsyncSession, **kw: Any) -> CustomerRole:
    if "customer" in kw:
        kw["customer_id"] = kw.pop("customer").id
    return await _save(session, CustomerRole(**{"name": f"Role {next(_numbers)}", "rights": []} | kw))


async def create_confirmation(session: AsyncSession, **kw: Any) -> Confirmation:
    """An invitation, unless `kind` says otherwise."""
    kw["customer_id"] = kw.pop("customer").id
    kw = {
        "kind": ConfirmationKind.JOIN, "salt": "salt", "expires_at": utcnow() + timedelta(hours=1),
        "args": {"role": "read_only", "word": "read_only", "receives": False},
    } | kw  # fmt: skip
    return await _save(session, Confirmation(**kw))


async def create_payer(session: AsyncSession, **kw: Any) -> Payer:
    if "customer" in kw:
        kw["customer_id"] = kw.pop("customer").id
    return await _save(session, Payer(**{"name": f"Payer {next(_numbers)}"} | kw))


async def create_payment_method(session: AsyncSession, **kw: Any) -> PaymentMethod:
    return await _save(session, PaymentMethod(**{"name": f"Method {next(_numbers)}"} | kw))


async def create_product_group(session: AsyncSession, **kw: Any) -> ProductGroup:
    return await _save(session, ProductGroup(**{"name": f"Product group {next(_numbers)}"} | kw))


async def create_product(session: AsyncSession, **kw: Any) -> Product:
    return await _save(session, Product(**{"name": f"Product {next(_numbers)}", "price": 990} | kw))


async def create_service(session: AsyncSession, **kw: Any) -> Service:
    """customer / customer_id; product / product_id: else a new product."""
    if "customer" in kw:
        kw["customer_id"] = kw.pop("customer").id
    if "product" in kw:
        kw["product_id"] = kw.pop("product").id
    if "product_id" not in kw:
        kw["product_id"] = (await create_product(session)).id
    return await _save(session, Service(**{"name": f"service{next(_numbers)}.example"} | kw))


async def create_category(session: AsyncSession, **kw: Any) -> Category:
    return await _save(session, Category(**{"name": f"Category {next(_numbers)}"} | kw))


async def create_subscription(
    session: AsyncSession, *, customer: Customer, category: Category, **kw: Any
) -> Subscription:
    """A choice that holds now: the customer wants e-mails of this category."""
    kw = {"channel": Channel.EMAIL, "wanted": True, "how": "client"} | kw
    return await _save(session, Subscription(customer_id=customer.id, category_id=category.id, **kw))


async def create_suppression(session: AsyncSession, **kw: Any) -> Suppression:
    return await _save(session, Suppression(**{"address": f"gone{next(_numbers)}@example.org", "why": "hard"} | kw))


async def create_template(session: AsyncSession, **kw: Any) -> Template:
    """texts: language -> (subject, body)."""
    texts: Texts = kw.pop("texts", {"en": ("Hello", "Hello {{ customer.name }}")})
    template = await _save(session, Template(**{"name": f"Template {next(_numbers)}"} | kw))
    for language, (subject, body) in texts.items():
        await _save(session, TemplateText(template_id=template.id, language=language, subject=subject, body=body))
    return template


async def create_attachment(session: AsyncSession, **kw: Any) -> Attachment:
    """A row only: nothing lies in the store under its key."""
    kw = {"name": "terms.pdf", "size": 3, "content_type": "application/pdf", "key": f"{next(_numbers):064x}"} | kw
    return await _save(session, Attachment(**kw))


async def create_campaign(session: AsyncSession, **kw: Any) -> Campaign:
    """A campaign row as it lies in the database, RUNNING by default; no job, no delivery. texts as in a template."""
    texts: Texts = kw.pop("texts", {"en": ("Hello", "Hello {{ customer.name }}")})
    if "category_id" not in kw:
        kw["category_id"] = (kw.pop("category", None) or await create_category(session)).id
    kw = {
        "subject": next(iter(texts.values()))[0], "state": CampaignState.RUNNING, "audience": {"everyone": True},
        "default_language": next(iter(texts)), "channels": ["inbox", "email"], "key": f"campaign{next(_numbers)}",
        "started_at": utcnow(),
    } | kw  # fmt: skip
    campaign = await _save(session, Campaign(**kw))
    for language, (subject, body) in texts.items():
        await _save(session, CampaignText(campaign_id=campaign.id, language=language, subject=subject, body=body))
    return campaign


async def create_delivery(session: AsyncSession, *, campaign: Campaign, customer: Customer, **kw: Any) -> Delivery:
    """One delivery to this customer, into the inbox by default."""
    kw = {
        "channel": Channel.INBOX, "language": "en", "next_at": utcnow(), "message_id": f"test.{next(_numbers)}"
    } | kw  # fmt: skip
    return await _save(session, Delivery(campaign_id=campaign.id, customer_id=customer.id, **kw))


async def create_ticket(session: AsyncSession, **kw: Any) -> Ticket:
    """customer / customer_id. text: of a first message by the customer, none when empty."""
    if "customer" in kw:
        kw["customer_id"] = kw.pop("customer").id
    text = kw.pop("text", "It does not work.")
    ticket = await _save(session, Ticket(**{"subject": f"Question {next(_numbers)}"} | kw))
    if text:
        await _save(session, TicketMessage(ticket_id=ticket.id, from_customer=True, text=text))
    return ticket


async def create_canned(session: AsyncSession, **kw: Any) -> CannedReply:
    """texts: language -> text."""
    kw = {"name": f"Canned {next(_numbers)}", "texts": {"en": "Hello {{ customer.name }}, we look into it."}} | kw
    return await _save(session, CannedReply(**kw))


async def create_inbound(session: AsyncSession, **kw: Any) -> InboundMail:
    """A row only, put aside by default: nothing lies in the store under its key."""
    if "customer" in kw:
        kw["customer_id"] = kw.pop("customer").id
    n = next(_numbers)
    kw = {
        "fingerprint": f"{n:064x}", "key": f"{n:064x}", "size": 100, "sender": f"somebody{n}@example.org",
        "subject": f"Mail {n}", "state": InboundState.ASIDE, "reason": "Nobody is known under this address.",
    } | kw  # fmt: skip
    return await _save(session, InboundMail(**kw))


async def create_job(session: AsyncSession, **kw: Any) -> Job:
    """A job row only; nobody rings for it."""
    return await _save(session, Job(**{"name": "test.nothing", "due_at": utcnow()} | kw))


async def create_import(session: AsyncSession, **kw: Any) -> ImportRun:
    """A row only, checked by default: nothing lies in the store under its key."""
    kw = {"name": "customers.csv", "state": "checked", "key": f"{next(_numbers):064x}", "size": 120} | kw
    return await _save(session, ImportRun(**kw))


# ---- money: amounts in minor units ----------------------------------------------------------------------------------


async def create_account(session: AsyncSession, *, customer: Customer, balance: int = 0, **kw: Any) -> Account:
    """An account of this customer in EUR, with `balance` booked on it."""
    kw = {"project_id": customer.project_id, "currency": "EUR"} | kw
    account = await _save(session, Account(customer_id=customer.id, kind=AccountKind.CUSTOMER, balance=0, **kw))
    if balance:
        await book(session, account, balance)
    return account


async def book(session: AsyncSession, account: Account, amount: int, **kw: Any) -> int:
    """A transaction between an account and the cash of its project. Returns its id."""
    cash = await ledger.own_account(
        session, project_id=account.project_id, kind=AccountKind.CASH, currency=account.currency
    )
    kw = {"key": f"test{next(_numbers)}", "kind": TransactionKind.PAYMENT} | kw
    transaction_id, _new = await ledger.post(session, moves=[Move(account.id, amount), Move(cash, -amount)], **kw)
    return transaction_id


async def create_payment(session: AsyncSession, *, account: Account, **kw: Any) -> Payment:
    """Of 10.00, new and not booked; method / method_id: else one of its own."""
    n = next(_numbers)
    if "method_id" not in kw:
        kw["method_id"] = (kw.pop("method", None) or await create_payment_method(session)).id
    amount = kw.get("amount", 1000)
    kw = {
        "number": f"P{n}", "customer_id": account.customer_id, "account_id": account.id, "amount": amount,
        "project_id": account.project_id, "currency": account.currency, "account_amount": amount,
        "account_currency": account.currency,
    } | kw  # fmt: skip
    return await _save(session, Payment(**kw))


async def create_invoice(session: AsyncSession, *, account: Account, total: int = 1000, **kw: Any) -> Invoice:
    """With one line without tax; a draft unless a status is given."""
    later = {name: kw.pop(name) for name in ("status", "number", "paid", "issued_on") if name in kw}
    kw = {
        "customer_id": account.customer_id, "account_id": account.id, "project_id": account.project_id,
        "currency": account.currency, "net": total, "tax": 0, "total": total,
    } | kw  # fmt: skip
    invoice = await _save(session, Invoice(**kw))
    line = InvoiceLine(
        invoice_id=invoice.id, position=1, description="Hosting", unit_price=total, net=total, tax=0, total=total
    )
    await _save(session, line)
    for name, value in later.items():  # what is issued takes no more lines
        setattr(invoice, name, value)
    return await _save(session, invoice)


async def create_expense(session: AsyncSession, *, account: Account, **kw: Any) -> Expense:
    """Of 5.00, booked against the cash of the project."""
    amount = kw.get("amount", 500)
    kw = {
        "customer_id": account.customer_id, "account_id": account.id, "currency": account.currency, "amount": amount,
        "net": amount, "description": f"Expense {next(_numbers)}", "on_day": utcnow().date(),
    } | kw  # fmt: skip
    kw["transaction_id"] = await book(session, account, -amount, kind=TransactionKind.CHARGE)
    return await _save(session, Expense(**kw))


async def create_document(session: AsyncSession, *, customer: Customer, **kw: Any) -> Document:
    n = next(_numbers)
    kw = {
        "kind": DocumentKind.ACT, "number": f"A{n}", "title": f"Act {n}", "project_id": customer.project_id,
        "on_day": utcnow().date(),
    } | kw  # fmt: skip
    return await _save(session, Document(customer_id=customer.id, **kw))


async def create_data_request(session: AsyncSession, *, customer: Customer, **kw: Any) -> DataRequest:
    """A copy of the data that is ready; of what there is only in the store of whoever asks for it."""
    now = utcnow()
    kw = {
        "kind": DataKind.EXPORT, "state": DataState.READY, "key": "0" * 64, "size": 1, "finished_at": now,
        "expires_at": now + timedelta(days=7),
    } | kw  # fmt: skip
    return await _save(session, DataRequest(customer_id=customer.id, **kw))


async def create_document_template(session: AsyncSession, **kw: Any) -> DocumentTemplate:
    kw = {"kind": DocumentKind.ACT, "title": f"Act {next(_numbers)}", "body": "It is done."} | kw
    return await _save(session, DocumentTemplate(**kw))


async def create_tax_rate(session: AsyncSession, **kw: Any) -> TaxRate:
    """19 % for everybody."""
    return await _save(session, TaxRate(**{"name": "VAT", "rate": 1900} | kw))


async def create_exchange_rate(session: AsyncSession, **kw: Any) -> ExchangeRate:
    """1 EUR = 1.10 USD from today on."""
    kw = {"base": "EUR", "quote": "USD", "on_day": utcnow().date(), "rate": 1_100_000_000} | kw
    return await _save(session, ExchangeRate(**kw))


async def create_discount(session: AsyncSession, **kw: Any) -> Discount:
    """10 % on everything for everybody."""
    return await _save(session, Discount(**{"name": f"Discount {next(_numbers)}", "percent": 1000} | kw))


async def create_rule(session: AsyncSession, **kw: Any) -> Rule:
    """Whoever is registered gets a note; not in use."""
    actions = [{"key": "one", "kind": "set", "field": "note", "value": "registered"}]
    kw = {"name": f"Rule {next(_numbers)}", "trigger": Trigger.REGISTERED, "actions": actions} | kw
    return await _save(session, Rule(**kw))


async def create_rule_run(session: AsyncSession, *, rule: Rule, customer: Customer, **kw: Any) -> RuleRun:
    """One that has failed."""
    done = {"one": {"kind": "set", "state": "failed", "what": "refused", "note": "It broke."}}
    kw = {
        "event_key": f"test:{next(_numbers)}",
        "event": {"what": "registered"},
        "state": RunState.FAILED,
        "done": done,
    } | kw
    return await _save(session, RuleRun(rule_id=rule.id, customer_id=customer.id, **kw))
