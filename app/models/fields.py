"""What can be filtered by besides the columns: memberships, related rows, and computed values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, literal, select, union
from sqlalchemy.orm import aliased

from app.db import Base
from app.filters import Source, computed, relation, value
from app.i18n import _
from app.models.billing import Expense, Invoice, InvoiceKind, InvoiceStatus, Payer
from app.models.catalog import Product, ProductProject, Service, ServiceStatus
from app.models.consent import Subscription
from app.models.customers import Attitude, Customer, CustomerProject, Group, Membership, Note
from app.models.ledger import Account
from app.models.messaging import Campaign, Category, Delivery
from app.models.projects import Project
from app.models.staff import Role, Staff, StaffProject, StaffRole
from app.models.tickets import Ticket, TicketStatus
from app.models.users import User, UserCustomer


def _through(link: type[Base], own: str, target: type[Base], other: str) -> Any:
    """The ids of `target` that rows of `link` tie to a row; joined, so that the scope of the target holds too."""

    def ids(_entity: Any) -> Source:
        tie, end = aliased(link), aliased(target)
        rows = select(literal(1)).select_from(tie, end)
        rows = rows.where(getattr(end, "id") == getattr(tie, other))  # noqa: B009
        return Source(getattr(tie, other), among=rows, nullable=False, key=getattr(tie, own))

    return ids


def _of_customer(key: str) -> Any:
    """A column of the customer that a row belongs to."""

    def source(entity: Any) -> Source:
        customer = aliased(Customer)
        rows = select(literal(1)).select_from(customer).where(customer.id == entity.customer_id)
        return value(customer, key, among=rows.correlate_except(customer))

    return source


# ---- customers ------------------------------------------------------------------------------------------------------


def _has_active_service(customer: Any) -> Source:
    service = aliased(Service)
    rows = select(literal(1)).select_from(service)
    rows = rows.where(service.customer_id == customer.id, service.status == ServiceStatus.ACTIVE)
    return Source(rows.correlate_except(service).exists(), nullable=False)


def _doubled(customer: Any) -> Source:
    """Whether another customer of the project has the same e-mail, phone or VAT number. An index alone says which
    values stand there twice; of these few it is looked who has them."""
    ids = []
    for key in ("email_folded", "phone", "vat_number"):
        one, other, listed = aliased(Customer), aliased(Customer), Customer.__table__.alias().c[key]
        twice = select(listed).where(listed != "").group_by(listed).having(func.count() > 1)
        value, same = getattr(one, key), getattr(other, key)
        again = select(literal(1)).where(
            same == value, same != "", other.id != one.id, other.project_id == one.project_id,
            other.merged_into_id.is_(None),
        )  # fmt: skip
        found = select(one.id).where(value != "", value.in_(twice), one.merged_into_id.is_(None))
        ids.append(found.where(again.correlate_except(other).exists()))
    return Source(customer.id.in_(union(*ids)), nullable=False)


def _account_names(customer: Any) -> list[Source]:
    """The customer's name, and the user names of their users."""
    tie, user = aliased(UserCustomer), aliased(User)
    rows = select(literal(1)).select_from(tie, user).where(user.id == tie.user_id)
    return [value(customer, "name"), value(user, "username", among=rows, key=tie.customer_id)]


def _on_accounts(key: str) -> Any:
    """A column of the customer's accounts: it holds when it holds for one of them."""

    def source(customer: Any) -> Source:
        account = aliased(Account)
        rows = select(literal(1)).select_from(account).where(account.customer_id == customer.id)
        return value(account, key, among=rows.correlate_except(account))

    return source


def _unpaid(key: str) -> Any:
    """Whether invoices are issued and not paid, of the customer or on the account."""

    def source(entity: Any) -> Source:
        invoice = aliased(Invoice)
        rows = (
            select(literal(1))
            .select_from(invoice)
            .where(
                getattr(invoice, key) == entity.id,
                invoice.kind == InvoiceKind.INVOICE,
                invoice.status.in_((InvoiceStatus.ISSUED, InvoiceStatus.OVERDUE)),
            )
        )
        return Source(rows.correlate_except(invoice).exists(), nullable=False)

    return source


def _said_of(wanted: bool) -> Any:
    """The categories that the customer or one of their users has asked for, or refused, until now."""

    def ids(_entity: Any) -> Source:
        said: Any = aliased(Subscription)
        rows = select(literal(1)).select_from(said).where(said.ended_at.is_(None), said.wanted.is_(wanted))
        return Source(said.category_id, among=rows, nullable=False, key=said.customer_id)

    return ids


computed(
    Customer, "search", _("Quick search"), "text",
    lambda c: Source(c.search_text, folded=c.search_text, nullable=False), ops=("contains",),
)  # fmt: skip
computed(
    Customer, "account_name", _("Account name"), "text", _account_names,
    ops=("contains", "is", "is_not", "starts_with"),
)  # fmt: skip
computed(
    Customer, "group", _("Group member"), "ref", _through(Membership, "customer_id", Group, "group_id"), target=Group
)  # fmt: skip
computed(Customer, "active_items", _("With active items"), "boolean", _has_active_service)
computed(Customer, "doubled", _("Possible duplicate"), "boolean", _doubled)
computed(
    Customer, "available_project", _("Available project"), "ref",
    _through(CustomerProject, "customer_id", Project, "project_id"), target=Project,
)  # fmt: skip
computed(
    Customer, "balance", _("Balance"), "money", _on_accounts("balance"), currency="currency", within=Account,
    ops=("is", "at_least", "at_most", "between"),
)  # fmt: skip
computed(Customer, "unpaid_invoices", _("Unpaid invoices"), "boolean", _unpaid("customer_id"), within=Invoice)
for _name, _label, _wanted in (
    ("asked_for", _("Has agreed to messages of"), True), ("refuses", _("Has refused messages of"), False)
):  # fmt: skip
    computed(Customer, _name, _label, "ref", _said_of(_wanted), target=Category, within=Subscription)
relation(Customer, "accounts", _("Accounts"), Account, lambda c, a: a.customer_id == c.id)
relation(Customer, "services", _("Services"), Service, lambda c, s: s.customer_id == c.id)
relation(Customer, "payers", _("Payers"), Payer, lambda c, p: p.customer_id == c.id)
relation(
    Customer, "users", _("Users"), User, lambda c, u, tie: (tie.customer_id == c.id) & (u.id == tie.user_id),
    through=UserCustomer,
)  # fmt: skip
relation(Customer, "tickets", _("Tickets"), Ticket, lambda c, ticket: ticket.customer_id == c.id)
relation(Customer, "notes", _("Notes"), Note, lambda c, note: note.customer_id == c.id)
relation(
    Customer, "subscriptions", _("Consent"), Subscription, lambda c, s: (s.customer_id == c.id) & s.ended_at.is_(None)
)  # fmt: skip
relation(Customer, "messages", _("Messages sent to them"), Delivery, lambda c, d: d.customer_id == c.id)

# ---- money -----------------------------------------------------------------------------------------------------------

computed(Account, "below_zero", _("Below zero"), "boolean", lambda a: Source(a.balance < 0, nullable=False))
computed(Account, "unpaid_invoices", _("Unpaid invoices"), "boolean", _unpaid("account_id"), within=Invoice)
computed(
    Expense, "taken_back", _("Taken back"), "boolean",
    lambda e: Source(e.reversed_by_id.is_not(None), nullable=False),
)  # fmt: skip
computed(Expense, "project", _("Project"), "ref", _of_customer("project_id"), target=Project)

# ---- what belongs to a customer -------------------------------------------------------------------------------------

for _model in (Service, Payer, Ticket, Delivery):
    computed(_model, "project", _("Project"), "ref", _of_customer("project_id"), target=Project)

computed(
    Ticket, "waiting", _("Waits for us"), "boolean",
    lambda ticket: Source(ticket.status == TicketStatus.OPEN, nullable=False),
)  # fmt: skip
computed(
    User, "customer", _("Customer"), "ref", _through(UserCustomer, "user_id", Customer, "customer_id"), target=Customer
)  # fmt: skip
relation(
    User, "customers", _("Customers"), Customer, lambda u, c, tie: (tie.user_id == u.id) & (c.id == tie.customer_id),
    through=UserCustomer,
)  # fmt: skip

# ---- dictionaries, messages, staff ----------------------------------------------------------------------------------

relation(Project, "customers", _("Customers"), Customer, lambda p, c: c.project_id == p.id)
relation(Attitude, "customers", _("Customers"), Customer, lambda a, c: c.attitude_id == a.id)
relation(
    Group, "members", _("Members"), Customer, lambda g, c, tie: (tie.group_id == g.id) & (c.id == tie.customer_id),
    through=Membership,
)  # fmt: skip
relation(Product, "services", _("Services"), Service, lambda p, s: s.product_id == p.id)
computed(
    Product, "project", _("Project"), "ref", _through(ProductProject, "product_id", Project, "project_id"),
    target=Project,
)  # fmt: skip
relation(Category, "campaigns", _("Messages"), Campaign, lambda category, c: c.category_id == category.id)
relation(Campaign, "deliveries", _("Deliveries"), Delivery, lambda c, d: d.campaign_id == c.id)
relation(Campaign, "answers", _("Answers"), Ticket, lambda c, ticket: ticket.campaign_id == c.id)
computed(
    Staff, "role", _("Role"), "ref", _through(StaffRole, "staff_id", Role, "role_id"), target=Role
)  # fmt: skip
computed(
    Staff, "project", _("Project"), "ref", _through(StaffProject, "staff_id", Project, "project_id"), target=Project
)  # fmt: skip
