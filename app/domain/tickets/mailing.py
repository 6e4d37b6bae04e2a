"""What staff answer also goes out by e-mail: to the customer, and to the users who have written in the ticket.

One job per answer and address, by key. All mails of a ticket hang together by Message-ID, In-Reply-To and References,
and ask for the answer to an address that leads back into the ticket.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.domain import brands
from app.domain.messaging import system
from app.domain.messaging.consent import SUPPRESSED
from app.domain.messaging.headers import REFERENCE, token_of
from app.domain.messaging.replies import inbound_address, reply_address
from app.domain.messaging.suppression import is_suppressed
from app.domain.messaging.values import of_customer
from app.i18n import gettext, speaking
from app.integrations.mail import MailAttachment, build_message, valid_address
from app.integrations.mail.address import host_of
from app.models.attachments import Attachment
from app.models.customers import Customer, CustomerStatus
from app.models.messaging import Campaign, Channel, Delivery, MailKind
from app.models.projects import Project
from app.models.tickets import Ticket, TicketAttachment, TicketMessage
from app.models.users import User, UserCustomer
from app.queue import enqueue

MOST_REFERENCES = 20
_RE = re.compile(r"\A\s*(re:\s*)+", re.IGNORECASE)
MOST_ATTACHED = 15 * 1024 * 1024
"""Bytes of files that go with a mail; more are only named, and wait in the client area."""


@dataclass(frozen=True)
class Outgoing:
    """An answer on its way to one address: what the mail says, and what it answers."""

    ticket_id: int
    recipient: str
    recipient_name: str
    sender: str
    sender_name: str
    subject: str
    text: str
    html: str
    message_id: str
    references: tuple[str, ...]
    files: Sequence[Attachment]

    def compose(self, files: Sequence[MailAttachment], *, job_id: int, written_at: datetime) -> bytes:
        """The message (RFC 5322); `files` are the contents of `self.files`."""
        headers = {"X-Bursar-Ticket": str(self.ticket_id), REFERENCE: token_of(f"mail.{job_id}")}
        if address := reply_address(ticket_id=self.ticket_id):
            headers["Reply-To"] = address
        if loop := inbound_address():
            headers["X-Loop"] = loop
        if self.references:
            headers["In-Reply-To"] = f"<{self.references[-1]}>"
            headers["References"] = " ".join(f"<{one}>" for one in self.references)
        return build_message(
            sender=self.sender, sender_name=self.sender_name, recipient=self.recipient,
            recipient_name=self.recipient_name, subject=self.subject, text=self.text, html=self.html,
            message_id=self.message_id, date=written_at, headers=headers, attachments=files,
        )  # fmt: skip


async def hand_over(session: AsyncSession, ticket: Ticket, message: TicketMessage) -> None:
    """Give an answer its Message-ID and enqueue one mail per address."""
    customer = await session.scalar(
        select(Customer).where(Customer.id == ticket.customer_id).options(joinedload(Customer.project))
    )
    if customer is None or customer.status is CustomerStatus.CLOSED:
        return
    host = host_of(customer.project.sender_email)
    message.email_id = f"ticket.{ticket.id}.{message.id}.{secrets.token_hex(8)}@{host}"
    for address in await _addresses(session, customer, ticket.id):
        if await is_suppressed(session, address):
            await not_sent(session, message_id=message.id, address=address, reason=str(SUPPRESSED))
            continue
        digest = hashlib.sha256(address.casefold().encode()).hexdigest()[:16]
        key = f"ticket.mail:{message.id}:{digest}"
        await enqueue(session, "tickets.mail", key=key, total=1, message_id=message.id, address=address)


async def outgoing(session: AsyncSession, *, message_id: int, address: str) -> Outgoing | None:
    """What a mail says; None when it must not go any more: the address is not the customer's now, or the answer is
    gone."""
    message = await session.scalar(
        select(TicketMessage)
        .where(TicketMessage.id == message_id, TicketMessage.internal.is_(False), TicketMessage.email_id != "")
        .options(
            joinedload(TicketMessage.staff), joinedload(TicketMessage.ticket),
            selectinload(TicketMessage.attachments).joinedload(TicketAttachment.attachment),
        )
    )  # fmt: skip
    if message is None:
        return None
    ticket = message.ticket
    customer = await session.get_one(Customer, ticket.customer_id, options=[joinedload(Customer.project)])
    known = await _addresses(session, customer, ticket.id)
    if address not in known or customer.status is CustomerStatus.CLOSED or await is_suppressed(session, address):
        return None
    name, language, user_id = known[address]
    files, left_out, size = [], [], 0
    for link in sorted(message.attachments, key=lambda link: link.attachment_id):
        size += link.attachment.size
        if size <= MOST_ATTACHED:
            files.append(link.attachment)
        else:
            left_out.append(link.attachment.name)
    page = await brands.url_for(customer.project_id, f"/client/tickets/{ticket.id}")
    values = (await of_customer(session, customer.id))[1] | {
        "user.name": name, "user.email": address, "staff.name": str(message.staff or ""),
        **_of_ticket(ticket, message.text, left_out, language, link=page if user_id is not None else ""),
    }  # fmt: skip
    code, said = await system.written(
        session, kind=MailKind.TICKET_ANSWERED, project_id=customer.project_id, language=language, values=values
    )
    mail = system.mail_of(said, language=code, to=address, values=values)
    brand = mail["sender_name"]
    return Outgoing(
        ticket_id=ticket.id, sender=mail["sender"], recipient=address, recipient_name=name,
        sender_name=f"{message.staff} ({brand})" if message.staff else brand, subject=mail["subject"],
        text=mail["text"], html=mail["html"], message_id=message.email_id,
        references=await _references(session, ticket, before=message.id), files=files,
    )  # fmt: skip


def _of_ticket(ticket: Ticket, answer: str, left_out: Sequence[str], language: str, *, link: str) -> dict[str, str]:
    """The fields of the mail's own. link: to the ticket; empty when the recipient cannot sign in and read on there."""
    if left_out:
        with speaking(language.partition("-")[0]):
            said = gettext("Files that wait in your account: %(names)s") % {"names": ", ".join(left_out)[:900]}
        answer = f"{answer}\n\n{said}"
    return {
        "ticket.number": str(ticket.id), "ticket.subject": _RE.sub("", ticket.subject), "ticket.answer": answer,
        "ticket.link": link,
    }  # fmt: skip


async def not_sent(session: AsyncSession, *, message_id: int, address: str, reason: str) -> None:
    """Tell staff, in the ticket, that an answer did not go out by e-mail, or perhaps not; the same only once."""
    message = await session.scalar(
        select(TicketMessage).where(TicketMessage.id == message_id).options(joinedload(TicketMessage.ticket))
    )
    if message is None:
        return
    text = gettext("The answer did not reach %(address)s by e-mail: %(reason)s") % {
        "address": address, "reason": reason,
    }  # fmt: skip
    known = select(TicketMessage.id).where(
        TicketMessage.ticket_id == message.ticket_id, TicketMessage.internal, TicketMessage.text == text,
        TicketMessage.id > message_id,
    )  # fmt: skip
    if await session.scalar(known.limit(1)) is None:
        session.add(TicketMessage(ticket_id=message.ticket_id, from_customer=False, internal=True, text=text))
        await session.flush()


async def _addresses(
    session: AsyncSession, customer: Customer, ticket_id: int
) -> dict[str, tuple[str, str, int | None]]:
    """Address -> (name, language, id of the user) of whom an answer goes to: the customer, and the users who receive
    messages or have written here."""
    usual = customer.language or customer.project.default_language
    found: dict[str, tuple[str, str, int | None]] = {}
    if valid_address(customer.email):
        found[customer.email] = (customer.contact_person or customer.name, usual, None)
    wrote = select(TicketMessage.user_id).where(
        TicketMessage.ticket_id == ticket_id, TicketMessage.user_id.is_not(None)
    )
    rows = await session.execute(
        select(User)
        .join(UserCustomer, UserCustomer.user_id == User.id)
        .where(
            UserCustomer.customer_id == customer.id, User.enabled, UserCustomer.receives | User.id.in_(wrote)
        )
        .order_by(User.id)
        .limit(20)
    )  # fmt: skip
    for (user,) in rows:
        if valid_address(user.email) and user.email.casefold() not in {a.casefold() for a in found}:
            found[user.email] = (str(user), user.language or usual, user.id)
    return found


async def _references(session: AsyncSession, ticket: Ticket, *, before: int) -> tuple[str, ...]:
    """The Message-IDs of what was written before, the oldest first."""
    earlier = await session.scalars(
        select(TicketMessage.email_id)
        .where(
            TicketMessage.ticket_id == ticket.id, TicketMessage.id < before, TicketMessage.internal.is_(False),
            TicketMessage.email_id != "",
        )
        .order_by(TicketMessage.id.desc())
        .limit(MOST_REFERENCES)
    )  # fmt: skip
    found = [one for one in reversed(earlier.all()) if one.isascii() and one.isprintable()]
    if ticket.campaign_id is not None:
        found = [*await _of_campaign(session, ticket), *found]
    return tuple(found)


async def _of_campaign(session: AsyncSession, ticket: Ticket) -> list[str]:
    """The Message-ID of the campaign's mail that the ticket answers."""
    row = (
        await session.execute(
            select(Delivery.message_id, Campaign.sender_email, Project.sender_email)
            .select_from(Delivery)
            .join(Campaign, Campaign.id == Delivery.campaign_id)
            .join(Customer, Customer.id == Delivery.customer_id)
            .join(Project, Project.id == Customer.project_id)
            .where(
                Delivery.campaign_id == ticket.campaign_id, Delivery.customer_id == ticket.customer_id,
                Delivery.channel == Channel.EMAIL,
            )
            .order_by(Delivery.address)
            .limit(1)
        )
    ).one_or_none()  # fmt: skip
    return [f"{row[0]}@{host_of(row[1] or row[2])}"] if row is not None else []
