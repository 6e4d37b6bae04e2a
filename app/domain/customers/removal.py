"""Removing a customer: what is attached, what stands in the way, and taking out everything with a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import users
from app.domain.customers.status import running_services, say_running
from app.errors import Conflict
from app.i18n import _, gettext, show_number
from app.models import audit
from app.models.attachments import Attachment
from app.models.billing import Document, Expense, Invoice, Payer, Payment
from app.models.catalog import Service
from app.models.consent import Subscription
from app.models.customers import Customer, ExternalRef, Note
from app.models.inbound import InboundMail
from app.models.ledger import Account, Entry
from app.models.messaging import CampaignAttachment, Delivery
from app.models.privacy import DataRequest
from app.models.sessions import LoginSession
from app.models.tickets import Ticket, TicketAttachment
from app.models.users import User, UserCustomer
from app.queue import enqueue


@dataclass(frozen=True)
class Attached:
    """`n` rows of the screen `noun` belong to the customer; `label` is what people call them."""

    label: str
    n: int
    noun: str


ATTACHED: tuple[tuple[str, type[Any], str], ...] = (
    (_("Users"), UserCustomer, "user"),
    (_("Payers"), Payer, "payer"),
    (_("Services"), Service, "service"),
    (_("Tickets"), Ticket, "ticket"),
    (_("Messages"), Delivery, "delivery"),
    (_("Inbound mails"), InboundMail, "inbound_mail"),
    (_("Notes"), Note, "note"),
    (_("Files"), Attachment, "attachment"),
)


async def attached(session: AsyncSession, customer: Customer) -> list[Attached]:
    """What goes when this customer is deleted; nothing is named of which there is none."""
    found = []
    for label, entity, noun in ATTACHED:
        query = select(func.count()).select_from(entity).where(entity.customer_id == customer.id)
        if n := await session.scalar(query):
            found.append(Attached(label, n, noun))
    return found


async def refusals(session: AsyncSession, customer: Customer) -> list[str]:
    """Why this customer cannot be deleted now; empty when nothing stands in the way.

    Services that are not closed refuse, and all that the books need. Payers, accounts on which nothing was booked,
    tickets and messages do not: they go with the customer, and so do those who were merged into them.
    """
    running = await running_services(session, customer.id)
    return [*([say_running(running)] if running else []), *await _booked(session, customer.id)]


async def _doubles(session: AsyncSession, customer: Customer) -> Sequence[Customer]:
    """The customers that were merged into this one."""
    doubles = select(Customer).where(Customer.merged_into_id == customer.id).order_by(Customer.id)
    return (await session.scalars(doubles)).all()


BOOKED: tuple[tuple[str, type[Any]], ...] = (
    (_("Payments"), Payment),
    (_("Invoices"), Invoice),
    (_("Expenses"), Expense),
    (_("Finance documents"), Document),
)


async def _booked(session: AsyncSession, customer_id: int) -> list[str]:
    """What the books need of this customer, a sentence for each kind."""
    found: list[tuple[str, int]] = []
    ids = select(Customer.id).where(or_(Customer.id == customer_id, Customer.merged_into_id == customer_id))
    for label, entity in BOOKED:
        query = select(func.count()).select_from(entity).where(entity.customer_id.in_(ids))
        found.append((str(label), await session.scalar(query) or 0))
    accounts = select(Account.id).where(Account.customer_id.in_(ids))
    entries = select(func.count()).select_from(Entry).where(Entry.account_id.in_(accounts))
    found.append((gettext("Entries of the ledger"), await session.scalar(entries) or 0))
    said = gettext("Booked, and therefore kept: %(noun)s (%(n)s).")
    return [said % {"noun": noun, "n": show_number(n)} for noun, n in found if n]


async def delete_customer(session: AsyncSession, *, customer: Customer) -> None:
    """Delete a customer and everything attached, row by row, so that the audit holds what was there.

    Users that serve only this customer go too. What stays is that an address is suppressed: it protects whoever has
    it. Raises Conflict with the reasons of `refusals`.
    """
    # nobody may order a service between the question and the deletion (PostgreSQL; SQLite has one writer anyway)
    await session.execute(select(Customer.id).where(Customer.id == customer.id).with_for_update())
    if reasons := await refusals(session, customer):
        raise Conflict(" ".join(reasons))
    for double in await _doubles(session, customer):
        await delete_customer(session, customer=double)
    await _remove_users(session, customer.id)
    await _remove_deliveries(session, customer.id)
    await _remove_mails(session, customer.id)
    await _remove_data_requests(session, customer.id)
    for entity in (Ticket, Service, Payer, LoginSession, Subscription):
        for row in (await session.scalars(select(entity).where(entity.customer_id == customer.id))).all():
            await session.delete(row)
    for account in (await session.scalars(select(Account).where(Account.customer_id == customer.id))).all():
        await session.delete(account)  # nothing is booked there
    await session.flush()
    await _remove_files(session, customer.id)
    references = select(ExternalRef).where(ExternalRef.noun == "customer", ExternalRef.noun_id == customer.id)
    for reference in (await session.scalars(references)).all():
        await session.delete(reference)
    await session.delete(customer)  # with notes, memberships and available projects, by cascade through the ORM
    await session.flush()


async def _remove_users(session: AsyncSession, customer_id: int) -> None:
    query = select(UserCustomer).where(UserCustomer.customer_id == customer_id)
    for link in (await session.scalars(query)).all():
        served = select(func.count()).select_from(UserCustomer).where(UserCustomer.user_id == link.user_id)
        if (await session.scalar(served.execution_options(unscoped=True)) or 0) > 1:
            await session.delete(link)
        elif (user := await session.scalar(select(User).where(User.id == link.user_id))) is not None:
            await users.remove(session, user)
    await session.flush()


async def _remove_data_requests(session: AsyncSession, customer_id: int) -> None:
    """Before the tickets; a copy of the data that still lies in the store is deleted after the commit."""
    for request in (await session.scalars(select(DataRequest).where(DataRequest.customer_id == customer_id))).all():
        if request.key:
            await enqueue(session, "privacy.drop", place=request.key)
        await session.delete(request)
    await session.flush()


async def _remove_deliveries(session: AsyncSession, customer_id: int) -> None:
    """In bulk: one customer may have thousands, and their content stands in the campaign."""
    gone = await session.execute(delete(Delivery).where(Delivery.customer_id == customer_id))
    if n := gone.rowcount:  # type: ignore[attr-defined]
        await session.run_sync(audit.write, "delete", "delivery", None, {"deliveries": [n, 0]}, customer_id=customer_id)


async def _remove_mails(session: AsyncSession, customer_id: int) -> None:
    """Mails that came from the customer, or that became one of their tickets, whoever had sent them."""
    theirs = select(Ticket.id).where(Ticket.customer_id == customer_id)
    which = or_(InboundMail.customer_id == customer_id, InboundMail.ticket_id.in_(theirs))
    for mail in (await session.scalars(select(InboundMail).where(which))).all():
        await session.delete(mail)
    await session.flush()


async def _remove_files(session: AsyncSession, customer_id: int) -> None:
    """Rows only: the bytes may serve another row of the same content, so the store is cleared by its own verb."""
    for file in (await session.scalars(select(Attachment).where(Attachment.customer_id == customer_id))).all():
        used = [
            await session.scalar(select(entity.attachment_id).where(entity.attachment_id == file.id).limit(1))
            for entity in (CampaignAttachment, TicketAttachment)
        ]
        if any(used):
            file.customer_id = None
        else:
            await session.delete(file)
    await session.flush()
