"""Scope: staff who are limited to projects see nothing of other projects, by one listener on every session, and change
nothing that all projects share, by another."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, and_, event, literal, or_, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from app.db import AppSession
from app.errors import Forbidden
from app.i18n import _
from app.models.attachments import Attachment
from app.models.audit import Audit
from app.models.automation import Rule, RuleRun
from app.models.billing import (
    Document,
    DocumentTemplate,
    ExchangeRate,
    Expense,
    Invoice,
    Payer,
    Payment,
    PaymentEvent,
    PaymentInvoice,
    PaymentMethod,
    TaxRate,
)  # fmt: skip
from app.models.catalog import ProductGroup, Service
from app.models.confirmations import Confirmation
from app.models.consent import DeliveryEvent, Subscription, Suppression
from app.models.custom import CustomField
from app.models.customers import (
    Attitude,
    Customer,
    CustomerProject,
    Group,
    GroupPaymentMethod,
    GroupProduct,
    Membership,
    Note,
)
from app.models.discounts import Discount
from app.models.imports import ImportRow, ImportRun
from app.models.inbound import InboundMail
from app.models.ledger import Account, Entry
from app.models.messaging import Campaign, Category, Delivery, Segment, Template
from app.models.privacy import DataRequest
from app.models.projects import Project
from app.models.sessions import DoorCode, LoginSession
from app.models.staff import Grant, Role
from app.models.tickets import CannedReply, Ticket
from app.models.users import CustomerRole, User, UserCustomer
from app.observe import Kind, actor

OF_CUSTOMER = (
    Payer, Service, Note, Membership, CustomerProject, Delivery, Ticket, UserCustomer, Subscription, DeliveryEvent,
    InboundMail, Payment, Invoice, Expense, Document, CustomerRole, Confirmation, DoorCode, DataRequest,
    RuleRun,
)  # fmt: skip
"""Tables that belong to a customer and thereby to the customer's project."""
SHARED = (
    Attitude, Category, CustomField, ExchangeRate, Grant, Group, GroupPaymentMethod, GroupProduct, PaymentMethod,
    ProductGroup, Role,
)  # fmt: skip
"""What all projects share: everybody may read it, only who is not limited to projects changes it."""
FOR_ALL = _("All projects share this. You can look at it; somebody who sees all projects can change it.")


@lru_cache(maxsize=256)
def criteria(projects: frozenset[int], staff_id: int | None) -> tuple[Any, ...]:
    """What each table is limited to, for staff of these projects."""
    seen = Customer.__table__.alias("seen")

    def mine(customer_id: Any) -> Any:
        # asked row by row: SQLite would first list the customers of IN (SELECT ...), and there may be a million
        found = select(literal(1)).where(seen.c.id == customer_id, seen.c.project_id.in_(projects))
        return found.correlate_except(seen).exists()

    known = User.__table__.alias("known")

    def written_to(address: Any) -> Any:
        """A suppressed address is everybody's: shown to those who have a customer or user with it."""
        customer = select(literal(1)).where(seen.c.email_folded == address, seen.c.project_id.in_(projects))
        user = select(literal(1)).where(known.c.email_folded == address, known.c.project_id.in_(projects))
        return or_(customer.correlate_except(seen).exists(), user.correlate_except(known).exists())

    def owned(account: Any) -> Any:
        return or_(mine(account.customer_id), and_(account.customer_id.is_(None), account.project_id.in_(projects)))

    book = Account.__table__.alias("book")

    def of_account(account_id: Any) -> Any:
        found = select(literal(1)).where(book.c.id == account_id, owned(book.c))
        return found.correlate_except(book).exists()

    paid = Payment.__table__.alias("paid")

    def of_payment(payment_id: Any) -> Any:
        found = select(literal(1)).where(paid.c.id == payment_id, mine(paid.c.customer_id))
        return found.correlate_except(paid).exists()

    def taken_in(run: Any) -> Any:
        return or_(run.project_id.in_(projects), and_(run.project_id.is_(None), run.staff_id == staff_id))

    run = ImportRun.__table__.alias("run")
    runs = select(run.c.id).where(taken_in(run.c))
    options = [
        with_loader_criteria(Suppression, written_to(Suppression.address_folded), include_aliases=True),
        with_loader_criteria(Project, Project.id.in_(projects), include_aliases=True),
        with_loader_criteria(Customer, Customer.project_id.in_(projects), include_aliases=True),
        with_loader_criteria(ImportRun, taken_in(ImportRun), include_aliases=True),
        with_loader_criteria(ImportRow, ImportRow.import_id.in_(runs), include_aliases=True),
        with_loader_criteria(User, User.project_id.in_(projects), include_aliases=True),
        with_loader_criteria(Rule, Rule.project_id.in_(projects), include_aliases=True),
        with_loader_criteria(
            Template, or_(Template.project_id.is_(None), Template.project_id.in_(projects)), include_aliases=True
        ),
        with_loader_criteria(
            CannedReply, or_(CannedReply.project_id.is_(None), CannedReply.project_id.in_(projects)),
            include_aliases=True,
        ),
        with_loader_criteria(
            DocumentTemplate, or_(DocumentTemplate.project_id.is_(None), DocumentTemplate.project_id.in_(projects)),
            include_aliases=True,
        ),
        with_loader_criteria(
            TaxRate, or_(TaxRate.project_id.is_(None), TaxRate.project_id.in_(projects)), include_aliases=True
        ),
        with_loader_criteria(
            Discount,
            and_(
                or_(Discount.project_id.is_(None), Discount.project_id.in_(projects)),
                or_(Discount.customer_id.is_(None), mine(Discount.customer_id)),
            ),
            include_aliases=True,
        ),
        with_loader_criteria(Account, owned(Account), include_aliases=True),
        with_loader_criteria(Entry, of_account(Entry.account_id), include_aliases=True),
        with_loader_criteria(PaymentEvent, of_payment(PaymentEvent.payment_id), include_aliases=True),
        with_loader_criteria(PaymentInvoice, of_payment(PaymentInvoice.payment_id), include_aliases=True),
        with_loader_criteria(Campaign, Campaign.staff_id == staff_id, include_aliases=True),
        with_loader_criteria(Segment, Segment.staff_id == staff_id, include_aliases=True),
        with_loader_criteria(
            Attachment, or_(Attachment.staff_id == staff_id, mine(Attachment.customer_id)), include_aliases=True
        ),
        with_loader_criteria(Audit, Audit.staff_id == staff_id, include_aliases=True),
        with_loader_criteria(
            LoginSession, or_(LoginSession.customer_id.is_(None), mine(LoginSession.customer_id)), include_aliases=True
        ),
    ]  # fmt: skip
    options += [with_loader_criteria(cls, mine(cls.customer_id), include_aliases=True) for cls in OF_CUSTOMER]
    return tuple(options)


def whose() -> Hashable:
    """What `limited` depends on; part of the key of a statement that is kept."""
    who = actor.get()
    return (who.projects, who.staff_id) if who.kind is Kind.STAFF and who.projects is not None else None


def limited(statement: Select[Any]) -> Select[Any]:
    """The statement in the scope of the acting person, for where no session sees it (`db.ask`)."""
    who = actor.get()
    if who.kind is Kind.STAFF and who.projects is not None:
        return statement.options(*criteria(who.projects, who.staff_id))
    return statement


@event.listens_for(AppSession, "do_orm_execute")
def _limit(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_column_load or state.is_relationship_load:
        return
    who = actor.get(None)
    if who is None:
        raise RuntimeError("a query without an actor")
    if who.kind is Kind.STAFF and who.projects is not None and not state.execution_options.get("unscoped"):
        state.statement = state.statement.options(*criteria(who.projects, who.staff_id))


def is_limited() -> bool:
    """Whether the acting person is staff of some projects only."""
    who = actor.get()
    return who.kind is Kind.STAFF and who.projects is not None


@event.listens_for(AppSession, "before_flush")
def _keep_shared(session: Session, _context: object, _instances: object) -> None:
    if not is_limited():
        return
    changed = (obj for obj in session.dirty if session.is_modified(obj))
    if any(isinstance(obj, SHARED) for objects in (session.new, session.deleted, changed) for obj in objects):
        raise Forbidden(FOR_ALL)
