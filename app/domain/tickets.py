"""Tickets: customers answer a message or ask, staff reply."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.messaging.content import message_as_sent
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _
from app.models.attachments import Attachment
from app.models.customers import Customer
from app.models.messaging import Campaign, Category, Delivery, DeliveryState
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketPriority, TicketStatus
from app.observe import actor

TICKET_MOVES: dict[TicketStatus, frozenset[TicketStatus]] = {
    TicketStatus.OPEN: frozenset({TicketStatus.ANSWERED, TicketStatus.CLOSED}),
    TicketStatus.ANSWERED: frozenset({TicketStatus.OPEN, TicketStatus.CLOSED}),
    TicketStatus.CLOSED: frozenset({TicketStatus.OPEN, TicketStatus.ANSWERED}),
}
"""The legal moves of a ticket; to stay is always possible."""

MAX_TEXT = 20_000
MAX_SUBJECT = 300
MAX_FILES = 10


async def answer_delivery(
    session: AsyncSession,
    *,
    campaign_id: int,
    customer_id: int,
    user_id: int | None,
    text: str,
    attachment_ids: Sequence[int] = (),
) -> Ticket:
    """Answer a message that this customer has received. The first answer opens a ticket, further ones go into it.

    user_id: None while staff act inside the customer's panel. Raises NotFound when the customer has no such message,
    Invalid with the fields text, attachments.
    """  # fmt: skip
    text = _check_text(text)
    deliveries = await session.scalars(
        select(Delivery)
        .where(Delivery.campaign_id == campaign_id, Delivery.customer_id == customer_id)
        .order_by(Delivery.channel.desc(), Delivery.address)  # the inbox before e-mail
        .with_for_update()  # two first answers at once: the second finds the ticket of the first
    )
    delivery = next((d for d in deliveries if d.state is DeliveryState.SENT), None)
    if delivery is None:
        raise NotFound
    ticket = await session.scalar(
        select(Ticket)
        .where(Ticket.campaign_id == campaign_id, Ticket.customer_id == customer_id)
        .order_by(Ticket.id)
        .limit(1)
        .with_for_update()
    )
    if ticket is None:
        campaign = await session.get_one(Campaign, campaign_id)
        sent = await message_as_sent(session, delivery)
        subject = sent.message.subject
        ticket = Ticket(
            subject=(subject if subject.lower().startswith("re:") else f"Re: {subject}")[:MAX_SUBJECT],
            customer_id=customer_id, category_id=campaign.category_id, campaign_id=campaign_id,
            assigned_id=campaign.staff_id if campaign.assign_replies else None,
        )  # fmt: skip
        session.add(ticket)
        await session.flush()
    await _add(session, ticket, text=text, from_customer=True, user_id=user_id, attachment_ids=attachment_ids)
    return ticket


async def open_ticket(
    session: AsyncSession,
    *,
    customer_id: int,
    subject: str,
    text: str,
    from_customer: bool,
    user_id: int | None = None,
    category_id: int | None = None,
    assigned_id: int | None = None,
    priority: TicketPriority = TicketPriority.NORMAL,
    attachment_ids: Sequence[int] = (),
) -> Ticket:
    """A question of the customer, or staff write to one. Raises NotFound for a customer who is not there, Invalid
    with the fields subject, text, category, assigned, attachments."""  # fmt: skip
    text, subject = _check_text(text), subject.strip()
    if not subject or len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise Invalid(subject=_("Write a subject of at most %(n)s characters.") % {"n": MAX_SUBJECT})
    if await session.scalar(select(Customer.id).where(Customer.id == customer_id)) is None:
        raise NotFound
    if category_id is not None:
        category = await session.get(Category, category_id)
        if category is None or not category.enabled:
            raise Invalid(category=_("Choose a category that is in use."))
    await _check_assigned(session, assigned_id)
    ticket = Ticket(
        subject=subject, customer_id=customer_id, category_id=category_id, assigned_id=assigned_id, priority=priority
    )
    session.add(ticket)
    await session.flush()
    await _add(session, ticket, text=text, from_customer=from_customer, user_id=user_id, attachment_ids=attachment_ids)
    return ticket


async def reply(
    session: AsyncSession,
    *,
    ticket_id: int,
    text: str,
    from_customer: bool,
    customer_id: int | None = None,
    user_id: int | None = None,
    internal: bool = False,
    attachment_ids: Sequence[int] = (),
) -> TicketMessage:
    """Add a message. By the customer (`customer_id` says who is signed in): the ticket waits for us, a closed one
    opens again. By staff: it waits for the customer. An internal note changes no status, and customers never see it.

    Raises NotFound (also for another customer's ticket), Invalid with the fields text, attachments.
    """  # fmt: skip
    if internal and from_customer:
        raise Invalid(_("Only staff write internal notes."))
    if from_customer and customer_id is None:
        raise NotFound
    ticket = await _locked(session, ticket_id, customer_id)
    return await _add(
        session, ticket, text=_check_text(text), from_customer=from_customer, user_id=user_id, internal=internal,
        attachment_ids=attachment_ids,
    )  # fmt: skip


async def assign(session: AsyncSession, *, ticket_id: int, staff_id: int | None) -> Ticket:
    """Give a ticket to a staff member, or to nobody. Raises NotFound, Invalid with the field assigned."""
    ticket = await _locked(session, ticket_id, None)
    await _check_assigned(session, staff_id)
    ticket.assigned_id = staff_id
    await session.flush()
    return ticket


async def close(session: AsyncSession, *, ticket_id: int, customer_id: int | None = None) -> Ticket:
    """Close a ticket; `customer_id`, when the customer does it. Raises NotFound, Conflict when it is closed already."""
    ticket = await _locked(session, ticket_id, customer_id)
    if ticket.status is TicketStatus.CLOSED:
        raise Conflict(_("This ticket is closed already."))
    move(ticket, TicketStatus.CLOSED)
    await session.flush()
    return ticket


async def reopen(session: AsyncSession, *, ticket_id: int) -> Ticket:
    """A closed ticket waits for us again. Raises NotFound, Conflict."""
    ticket = await _locked(session, ticket_id, None)
    if ticket.status is not TicketStatus.CLOSED:
        raise Conflict(_("This ticket is not closed."))
    move(ticket, TicketStatus.OPEN)
    await session.flush()
    return ticket


def move(ticket: Ticket, to: TicketStatus) -> None:
    """Change the status. Raises Conflict for a move that is not in TICKET_MOVES."""
    if ticket.status is not to:
        if to not in TICKET_MOVES[ticket.status]:
            raise Conflict(_("The state of the ticket does not allow this."))
        ticket.status = to


async def _locked(session: AsyncSession, ticket_id: int, customer_id: int | None) -> Ticket:
    statement = select(Ticket).where(Ticket.id == ticket_id).with_for_update()
    if customer_id is not None:
        statement = statement.where(Ticket.customer_id == customer_id)
    ticket = await session.scalar(statement.execution_options(populate_existing=True))
    if ticket is None:
        raise NotFound
    return ticket


def _check_text(text: str) -> str:
    text = text.strip()
    if not text or len(text) > MAX_TEXT:
        raise Invalid(text=_("Write a text of at most %(n)s characters.") % {"n": MAX_TEXT})
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise Invalid(text=_("The text contains a character that is not text."))
    return text


async def _check_assigned(session: AsyncSession, staff_id: int | None) -> None:
    if staff_id is not None:
        staff = await session.get(Staff, staff_id)
        if staff is None or not staff.enabled:
            raise Invalid(assigned=_("Choose somebody who may sign in."))


async def _add(
    session: AsyncSession,
    ticket: Ticket,
    *,
    text: str,
    from_customer: bool,
    user_id: int | None,
    internal: bool = False,
    attachment_ids: Sequence[int] = (),
) -> TicketMessage:
    files = list(dict.fromkeys(attachment_ids))
    if len(files) > MAX_FILES:
        raise Invalid(attachments=_("At most %(n)s files.") % {"n": MAX_FILES})
    if files:
        mine = Attachment.customer_id == ticket.customer_id
        allowed = mine if from_customer else or_(mine, Attachment.customer_id.is_(None))
        found = await session.scalars(select(Attachment.id).where(Attachment.id.in_(files), allowed))
        if len(found.all()) != len(files):
            raise Invalid(attachments=_("One of the files does not exist any more: choose again."))
    message = TicketMessage(
        ticket_id=ticket.id, from_customer=from_customer, staff_id=actor.get().staff_id,
        user_id=user_id if from_customer else None, internal=internal, text=text,
    )  # fmt: skip
    session.add(message)
    await session.flush()
    session.add_all(TicketAttachment(message_id=message.id, attachment_id=file) for file in files)
    ticket.updated_at = utcnow()
    if not internal:
        move(ticket, TicketStatus.OPEN if from_customer else TicketStatus.ANSWERED)
    await session.flush()
    return message
