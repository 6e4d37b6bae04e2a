"""The talk: customers answer a message or ask, staff reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import false, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.db import utcnow
from app.domain.messaging.content import message_as_sent
from app.domain.tickets import mailing
from app.domain.tickets.locks import check_lock, let_go
from app.domain.tickets.moves import check_assigned, locked, move
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _
from app.models.attachments import Attachment
from app.models.customers import Customer
from app.models.messaging import Campaign, Category, Delivery, DeliveryState
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketPriority, TicketStatus
from app.observe import actor

MAX_TEXT = 20_000
MAX_SUBJECT = 300
MAX_FILES = 10
TWICE = timedelta(minutes=1)
"""What a customer sends again within this time, word for word, was sent twice by mistake."""


@dataclass(frozen=True)
class ByMail:
    """That a message came by mail: its Message-ID, and the sender where that is nobody known at this customer."""

    email_id: str = ""
    sender: str = ""


async def answer_delivery(
    session: AsyncSession,
    *,
    campaign_id: int,
    customer_id: int,
    user_id: int | None,
    text: str,
    attachment_ids: Sequence[int] = (),
    mail: ByMail | None = None,
) -> Ticket:
    """Answer a message that this customer has received. The first answer opens a ticket, further ones go into it.

    user_id: None while staff act inside the customer's panel. mail: the answer came by mail, which proves that the
    message has arrived whatever its row says yet. Raises NotFound when the customer has no such message, Invalid with
    the fields text, attachments.
    """  # fmt: skip
    text = _check_text(text)
    deliveries = await session.scalars(
        select(Delivery)
        .where(Delivery.campaign_id == campaign_id, Delivery.customer_id == customer_id)
        .order_by(Delivery.channel.desc(), Delivery.address)  # the inbox before e-mail
        .with_for_update()  # two first answers at once: the second finds the ticket of the first
    )
    known = list(deliveries)
    delivery = next((d for d in known if d.state is DeliveryState.SENT), known[0] if mail and known else None)
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
    if mail is None and await _sent_twice(session, ticket.id, text, user_id, attachment_ids):
        return ticket
    await _add(
        session, ticket, text=text, from_customer=True, user_id=user_id, attachment_ids=attachment_ids, mail=mail
    )
    return ticket


async def open_ticket(
    session: AsyncSession,
    *,
    customer_id: int,
    subject: str,
    text: str,
    from_customer: bool,
    internal: bool = False,
    user_id: int | None = None,
    category_id: int | None = None,
    assigned_id: int | None = None,
    priority: TicketPriority = TicketPriority.NORMAL,
    attachment_ids: Sequence[int] = (),
    mail: ByMail | None = None,
) -> Ticket:
    """A question of the customer, or staff write to one; internal: they only note something, and the customer sees
    nothing of it. Raises NotFound for a customer who is not there, Invalid with the fields subject, text, category,
    assigned, attachments."""  # fmt: skip
    text, subject = _check_text(text), subject.strip()
    if not subject or len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise Invalid(subject=_("Write a subject of at most %(n)s characters.") % {"n": MAX_SUBJECT})
    # locked: of the same question twice at once, the second finds the first
    if await session.scalar(select(Customer.id).where(Customer.id == customer_id).with_for_update()) is None:
        raise NotFound
    if category_id is not None:
        category = await session.get(Category, category_id)
        if category is None or not category.enabled:
            raise Invalid(category=_("Choose a category that is in use."))
    await check_assigned(session, assigned_id)
    if from_customer and mail is None:
        same = Ticket.customer_id == customer_id, Ticket.subject == subject, Ticket.created_at > utcnow() - TWICE
        for asked in (await session.scalars(select(Ticket).where(*same).order_by(Ticket.id.desc()).limit(5))).all():
            if await _sent_twice(session, asked.id, text, user_id, attachment_ids):
                return asked
    ticket = Ticket(
        subject=subject, customer_id=customer_id, category_id=category_id, assigned_id=assigned_id, priority=priority
    )
    session.add(ticket)
    await session.flush()
    message = await _add(
        session, ticket, text=text, from_customer=from_customer, user_id=user_id, attachment_ids=attachment_ids,
        internal=internal, mail=mail,
    )  # fmt: skip
    if not from_customer and not internal:
        await mailing.hand_over(session, ticket, message)
        await session.flush()
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
    then: TicketStatus | None = None,
    seen: int | None = None,
    take_over: bool = False,
    mail: ByMail | None = None,
) -> TicketMessage:
    """Add a message. By the customer (`customer_id` says who is signed in): the ticket waits for us, a closed one
    opens again. By staff: it waits for the customer, or goes to the status `then`, and the answer goes to the customer
    by e-mail too. An internal note changes no status, and customers never see it.

    seen: the id of the last message that its writer has seen; when there is a newer one, nothing is written, and
    Conflict says so. take_over: also while a colleague answers. Raises Conflict, NotFound (also for another
    customer's ticket), Invalid with the fields text, attachments.
    """  # fmt: skip
    if internal and from_customer:
        raise Invalid(_("Only staff write internal notes."))
    if from_customer and customer_id is None:
        raise NotFound
    text = _check_text(text)
    ticket = await locked(session, ticket_id, customer_id)
    by_staff = not from_customer and mail is None
    if by_staff and not internal:
        await check_lock(session, ticket, take_over=take_over)
    twice = from_customer and mail is None
    if twice and (said := await _sent_twice(session, ticket.id, text, user_id, attachment_ids)) is not None:
        return said
    if seen is not None and not internal:
        await _check_seen(session, ticket, seen, own=from_customer)
    message = await _add(
        session, ticket, text=text, from_customer=from_customer, user_id=user_id, internal=internal,
        attachment_ids=attachment_ids, then=then, mail=mail,
    )  # fmt: skip
    if by_staff:
        await let_go(session, ticket_id=ticket.id)
    if by_staff and not internal:
        if ticket.first_answered_at is None:
            ticket.first_answered_at = utcnow()
        await mailing.hand_over(session, ticket, message)
        await session.flush()
    return message


async def _check_seen(session: AsyncSession, ticket: Ticket, seen: int, *, own: bool) -> None:
    """own: the customer writes, who sees no internal note."""
    hidden = TicketMessage.internal if own else false()
    newer = await session.scalar(
        select(TicketMessage)
        .where(TicketMessage.ticket_id == ticket.id, TicketMessage.id > seen, ~hidden)
        .options(joinedload(TicketMessage.staff), joinedload(TicketMessage.user))
        .order_by(TicketMessage.id.desc())
        .limit(1)
    )
    if newer is not None:
        who = newer.staff or newer.user or _("The customer")
        raise Conflict(
            _("%(who)s has written meanwhile. Your text is kept: read what is new, then send it or change it.")
            % {"who": who}
        )


async def _sent_twice(
    session: AsyncSession, ticket_id: int, text: str, user_id: int | None, attachment_ids: Sequence[int]
) -> TicketMessage | None:
    """The last message of the customer, when this is the same once more a moment later: a double click."""
    last = await session.scalar(
        select(TicketMessage)
        .where(TicketMessage.ticket_id == ticket_id, TicketMessage.from_customer)
        .options(selectinload(TicketMessage.attachments).joinedload(TicketAttachment.attachment))
        .order_by(TicketMessage.id.desc())
        .limit(1)
    )
    if last is None or last.created_at < utcnow() - TWICE or (last.text, last.user_id) != (text, user_id):
        return None
    files = (await session.scalars(select(Attachment).where(Attachment.id.in_(attachment_ids)))).all()
    before = sorted((link.attachment.name, link.attachment.key) for link in last.attachments)
    return last if before == sorted((file.name, file.key) for file in files) else None


def _check_text(text: str) -> str:
    text = text.strip()
    if not text or len(text) > MAX_TEXT:
        raise Invalid(text=_("Write a text of at most %(n)s characters.") % {"n": MAX_TEXT})
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise Invalid(text=_("The text contains a character that is not text."))
    return text


async def _add(
    session: AsyncSession,
    ticket: Ticket,
    *,
    text: str,
    from_customer: bool,
    user_id: int | None,
    internal: bool = False,
    attachment_ids: Sequence[int] = (),
    then: TicketStatus | None = None,
    mail: ByMail | None = None,
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
        ticket_id=ticket.id, from_customer=from_customer, staff_id=actor.get().staff_id if mail is None else None,
        user_id=user_id if from_customer else None, internal=internal, text=text,
        email_id=mail.email_id if mail else "", sender=mail.sender if mail else "",
    )  # fmt: skip
    session.add(message)
    await session.flush()
    session.add_all(TicketAttachment(message_id=message.id, attachment_id=file) for file in files)
    ticket.updated_at = utcnow()
    if not internal:
        move(ticket, TicketStatus.OPEN if from_customer else then or TicketStatus.ANSWERED)
    await session.flush()
    return message
