"""Taking out the demo: what carries its mark and is not needed by anything that staff added.

Set by set, in bulk: one audit row says how many of each. Customers first, then the dictionaries they leaned on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.db import extras
from app.domain.demo import money
from app.domain.demo.making import SOURCE
from app.i18n import gettext
from app.models.attachments import Attachment
from app.models.billing import (
    Document,
    DocumentTemplate,
    ExchangeRate,
    Expense,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    Payer,
    Payment,
    PaymentMethod,
    TaxRate,
)
from app.models.catalog import Product, ProductGroup, ProductProject, Service
from app.models.consent import Subscription
from app.models.customers import (
    Attitude,
    Customer,
    CustomerProject,
    ExternalRef,
    Group,
    GroupPaymentMethod,
    GroupProduct,
    Membership,
    Note,
)  # fmt: skip
from app.models.discounts import Discount
from app.models.ledger import Account, Entry, LedgerCheck, Transaction
from app.models.messaging import Campaign, Category, Delivery, Template
from app.models.projects import Project
from app.models.sessions import LoginSession
from app.models.staff import Role, Staff, StaffProject, StaffRole
from app.models.tickets import CannedReply, Ticket, TicketMessage
from app.models.users import User, UserCustomer


@dataclass
class Removed:
    """counts: table -> rows taken out. kept: what stays, and why, in sentences."""

    counts: dict[str, int] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for a terminal."""
        if not self.counts and not self.kept:
            return [gettext("There is no demo data.")]
        total = gettext("%(n)d rows of the demo were removed.") % {"n": sum(self.counts.values())}
        return [total, *self.kept]


def _marked(entity: Any) -> ColumnElement[bool]:
    mine = select(ExternalRef.noun_id).where(ExternalRef.source == SOURCE, ExternalRef.noun == entity.__tablename__)
    return entity.id.in_(mine)  # type: ignore[no-any-return]


async def take_out(session: AsyncSession) -> Removed:
    """Remove the demo in the running unit; see `app.domain.demo.remove`."""
    removed = Removed()
    await session.flush()
    await _customers(session, removed)
    await _campaigns(session, removed)
    await _dictionaries(session, removed)
    session.expire_all()
    return removed


async def _delete(session: AsyncSession, entity: Any, *where: Any, removed: Removed) -> None:
    """Delete in bulk, count, and take the marks of what is gone."""
    options = {"audited": True, "synchronize_session": False}
    done = await session.execute(delete(entity).where(*where).execution_options(**options))
    if gone := done.rowcount:  # type: ignore[attr-defined]
        name = entity.__tablename__
        removed.counts[name] = removed.counts.get(name, 0) + gone
    if hasattr(entity, "id"):
        left = ~exists().where(entity.id == ExternalRef.noun_id)
        stale = (ExternalRef.source == SOURCE, ExternalRef.noun == entity.__tablename__, left)
        await session.execute(delete(ExternalRef).where(*stale).execution_options(**options))


async def _say_kept(session: AsyncSession, removed: Removed, entity: Any, why: str) -> None:
    kept = list(await session.scalars(select(entity).where(_marked(entity)).order_by(entity.id)))
    if kept:
        names = ", ".join(str(row) for row in kept[:10]) + (" ..." if len(kept) > 10 else "")
        removed.kept.append(gettext("%(n)d kept (%(names)s): %(why)s") % {"n": len(kept), "names": names, "why": why})


async def _customers(session: AsyncSession, removed: Removed) -> None:
    foreign: list[ColumnElement[bool]] = [
        exists().where(entity.customer_id == Customer.id, ~_marked(entity)) for entity in (Service, Payer, Note, Ticket)
    ]
    written, double = TicketMessage.ticket_id == Ticket.id, aliased(Customer)
    foreign += [
        exists().where(Attachment.customer_id == Customer.id),
        exists().where(double.merged_into_id == Customer.id),
        exists().where(Ticket.customer_id == Customer.id, written, ~_marked(TicketMessage)),
        exists().where(UserCustomer.customer_id == Customer.id, UserCustomer.user_id == User.id, ~_marked(User)),
        exists().where(Delivery.customer_id == Customer.id, Delivery.campaign_id == Campaign.id, ~_marked(Campaign)),
        exists().where(
            Account.customer_id == Customer.id, Entry.account_id == Account.id,
            Entry.transaction_id > await money.last_of_demo(session),
        ),
    ]  # fmt: skip
    foreign += [
        exists().where(entity.customer_id == Customer.id, ~_marked(entity))
        for entity in (Account, Payment, Invoice, Expense, Document)
    ]
    rows = await session.scalars(select(Customer.id).where(_marked(Customer), ~or_(*foreign)))
    going: Sequence[int] = rows.all()
    await _money(session, going, removed)
    for entity in (Ticket, Service, Payer, Note, Delivery, LoginSession):
        await _delete(session, entity, entity.customer_id.in_(going), removed=removed)
    await _delete(session, TicketMessage, TicketMessage.ticket_id.not_in(select(Ticket.id)), removed=removed)
    served_more = select(UserCustomer.user_id).where(UserCustomer.customer_id.not_in(going))
    theirs = select(UserCustomer.user_id).where(UserCustomer.customer_id.in_(going))
    users = and_(_marked(User), User.id.in_(theirs), User.id.not_in(served_more))
    await _delete(session, LoginSession, LoginSession.user_id.in_(select(User.id).where(users)), removed=removed)
    await _delete(session, User, users, removed=removed)
    for link in (UserCustomer, Membership, CustomerProject):
        await _delete(session, link, link.customer_id.in_(going), removed=removed)
    await _delete(session, Customer, Customer.id.in_(going), removed=removed)
    await _say_kept(session, removed, Customer, gettext("customers to whom something was added"))


async def _money(session: AsyncSession, going: Sequence[int], removed: Removed) -> None:
    """All that was booked for these customers, whole transactions with both of their sides. The guards of the database
    are lifted meanwhile; nobody else sees it, and if anything fails they are back."""
    accounts = select(Account.id).where(Account.customer_id.in_(going))
    if await session.scalar(accounts.limit(1)) is None:
        return
    dialect = session.get_bind().dialect.name
    guards = [extra for extra in extras if extra.guard]
    for guard in reversed(guards):
        for sql in guard.drop(dialect):
            await session.execute(text(sql))
    invoices = select(Invoice.id).where(Invoice.customer_id.in_(going))
    await _delete(session, InvoicePayment, InvoicePayment.invoice_id.in_(invoices), removed=removed)
    await _delete(session, InvoiceLine, InvoiceLine.invoice_id.in_(invoices), removed=removed)
    for entity in (Expense, Payment):
        await _delete(session, entity, entity.customer_id.in_(going), removed=removed)
    for credit_notes in (Invoice.credits_id.is_not(None), Invoice.credits_id.is_(None)):
        await _delete(session, Invoice, Invoice.customer_id.in_(going), credit_notes, removed=removed)
    await _delete(session, Document, Document.customer_id.in_(going), removed=removed)
    booked = select(Entry.transaction_id).where(Entry.account_id.in_(accounts)).distinct()
    ids = (await session.scalars(booked.order_by(Entry.transaction_id.desc()))).all()  # reversals before what they undo
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        await _delete(session, Entry, Entry.transaction_id.in_(some), removed=removed)
        for first in (Transaction.reverses_id.is_not(None), Transaction.reverses_id.is_(None)):
            await _delete(session, Transaction, Transaction.id.in_(some), first, removed=removed)
    await _delete(session, Account, Account.customer_id.in_(going), removed=removed)
    empty = ~exists().where(Entry.account_id == Account.id)
    await _delete(session, Account, Account.customer_id.is_(None), empty, removed=removed)  # opened anew when needed
    await session.execute(update(LedgerCheck).values(months={}, until_id=0), execution_options={"audited": True})
    for guard in guards:
        for sql in guard.create(dialect):
            await session.execute(text(sql))


async def _campaigns(session: AsyncSession, removed: Removed) -> None:
    """Messages stay in the inbox of the customers who stay."""
    unread = ~exists().where(Delivery.campaign_id == Campaign.id, Delivery.customer_id == Customer.id)
    await _delete(session, Campaign, _marked(Campaign), unread, removed=removed)
    await _delete(session, Template, _marked(Template), removed=removed)
    await _delete(session, CannedReply, _marked(CannedReply), removed=removed)


async def _dictionaries(session: AsyncSession, removed: Removed) -> None:
    def unused(*uses: Any) -> list[ColumnElement[bool]]:
        return [~exists().where(use) for use in uses]

    why = gettext("still in use")
    await _delete(session, Discount, _marked(Discount), removed=removed)
    await _delete(session, Attitude, _marked(Attitude), *unused(Customer.attitude_id == Attitude.id), removed=removed)
    await _delete(session, Group, _marked(Group), *unused(
        Membership.group_id == Group.id, GroupProduct.group_id == Group.id, GroupPaymentMethod.group_id == Group.id,
    ), removed=removed)  # fmt: skip
    await _delete(session, Category, _marked(Category), *unused(
        Campaign.category_id == Category.id, Ticket.category_id == Category.id, Template.category_id == Category.id,
        Subscription.category_id == Category.id,
        CannedReply.category_id == Category.id,
    ), removed=removed)  # fmt: skip
    await _delete(session, PaymentMethod, _marked(PaymentMethod), *unused(
        GroupPaymentMethod.payment_method_id == PaymentMethod.id, Payment.method_id == PaymentMethod.id,
    ), removed=removed)  # fmt: skip
    for of_money in (ExchangeRate, TaxRate, DocumentTemplate):
        await _delete(session, of_money, _marked(of_money), removed=removed)
    products = [_marked(Product), *unused(Service.product_id == Product.id, GroupProduct.product_id == Product.id)]
    await _delete(session, Product, *products, removed=removed)
    await _delete(session, ProductGroup, _marked(ProductGroup), *unused(Product.group_id == ProductGroup.id),
                  removed=removed)  # fmt: skip
    # somebody who was given a password is a real colleague by now
    await _delete(session, Staff, _marked(Staff), Staff.password_hash.is_(None), *unused(
        Customer.responsible_id == Staff.id, Note.staff_id == Staff.id, TicketMessage.staff_id == Staff.id,
        Ticket.assigned_id == Staff.id, Campaign.staff_id == Staff.id, Attachment.staff_id == Staff.id,
    ), removed=removed)  # fmt: skip
    await _delete(session, Role, _marked(Role), *unused(StaffRole.role_id == Role.id), removed=removed)
    await _delete(session, Project, _marked(Project), *unused(
        Customer.project_id == Project.id, User.project_id == Project.id, Template.project_id == Project.id,
        CustomerProject.project_id == Project.id, ProductProject.project_id == Project.id,
        StaffProject.project_id == Project.id, CannedReply.project_id == Project.id, Account.project_id == Project.id,
    ), removed=removed)  # fmt: skip
    for entity in (Campaign, Attitude, Group, Category, PaymentMethod, Product, ProductGroup, Staff, Role, Project):
        await _say_kept(session, removed, entity, why)
