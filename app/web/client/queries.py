"""What customers read. Every query starts from the customer: an id of somebody else's simply is not found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, false, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.domain.impersonation import UNCHANGING
from app.domain.messaging.render import TemplateProblem, compile_message
from app.errors import NotFound
from app.i18n import gettext
from app.models.attachments import Attachment
from app.models.audit import ActorKind, Audit
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer
from app.models.messaging import (
    Campaign,
    CampaignAttachment,
    CampaignText,
    Category,
    Channel,
    Delivery,
    DeliveryState,
)  # fmt: skip
from app.models.projects import Project
from app.models.sessions import LoginSession, SessionKind
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus
from app.web.client import finding

PAGE = 20


async def customer(session: AsyncSession, customer_id: int) -> Customer:
    found = await session.scalar(
        select(Customer).where(Customer.id == customer_id).options(joinedload(Customer.project))
    )
    if found is None:
        raise NotFound
    return found


async def services(session: AsyncSession, customer_id: int) -> Sequence[Service]:
    """Services that are not closed, newest first."""
    rows = await session.scalars(
        select(Service)
        .where(Service.customer_id == customer_id, Service.status != ServiceStatus.CLOSED)
        .options(joinedload(Service.product))
        .order_by(Service.id.desc())
        .limit(50)
    )
    return rows.all()


@dataclass(frozen=True)
class VisitLine:
    """A visit by staff, as its customer may see it."""

    staff: str
    reason: str
    created_at: datetime
    ended_at: datetime
    """Or when it will end by itself."""
    may_act: bool
    changed: bool
    """Whether something was changed meanwhile."""


async def visits(session: AsyncSession, customer_id: int, *, limit: int = 3, before: int = 0) -> Sequence[VisitLine]:
    """The last visits by staff, newest first; none where the project does not show them."""
    meanwhile = exists().where(
        Audit.customer_id == customer_id, Audit.staff_id == LoginSession.staff_id, Audit.at >= LoginSession.created_at,
        Audit.at <= func.coalesce(LoginSession.ended_at, LoginSession.expires_at), Audit.kind == ActorKind.STAFF,
        Audit.action.not_in(UNCHANGING),
    )  # fmt: skip
    rows = await session.execute(
        select(LoginSession, meanwhile.label("changed"))
        .join(Customer, Customer.id == LoginSession.customer_id)
        .join(Project, Project.id == Customer.project_id)
        .where(
            LoginSession.customer_id == customer_id, LoginSession.kind == SessionKind.VISIT, Project.visits_shown,
            *([LoginSession.id < before] if before else []),
        )
        .options(joinedload(LoginSession.staff))
        .order_by(LoginSession.id.desc())
        .limit(limit)
    )  # fmt: skip
    return [
        VisitLine(str(v.staff or ""), v.reason, v.created_at, v.ended_at or v.expires_at, v.may_act, bool(changed))
        for v, changed in rows
    ]


async def categories(session: AsyncSession) -> Sequence[Category]:
    """What a question can be about."""
    rows = await session.scalars(
        select(Category).where(Category.enabled).order_by(Category.priority.desc(), Category.name)
    )
    return rows.all()


# ---- messages and tickets -------------------------------------------------------------------------------------


def _delivered(customer_id: int) -> tuple[Any, ...]:
    return (
        Delivery.customer_id == customer_id, Delivery.channel == Channel.INBOX, Delivery.state == DeliveryState.SENT,
    )  # fmt: skip


def _visible(customer_id: int) -> tuple[Any, ...]:
    """Tickets in which there is something for the customer to read; internal notes are not."""
    shown = exists().where(TicketMessage.ticket_id == Ticket.id, TicketMessage.internal.is_(False))
    return Ticket.customer_id == customer_id, shown


def _unread_answer() -> Any:
    return exists().where(
        TicketMessage.ticket_id == Ticket.id, TicketMessage.internal.is_(False),
        TicketMessage.from_customer.is_(False), TicketMessage.read_at.is_(None),
    )  # fmt: skip


async def count_unread(session: AsyncSession, customer_id: int) -> int:
    return sum((await unread(session, customer_id)).values())


@dataclass(frozen=True)
class Entry:
    """A line of the inbox."""

    url: str
    subject: str
    sender: str
    when: datetime
    unread: bool
    kind_label: str
    status: str | None

    def shown(self) -> dict[str, Any]:
        return {
            "url": self.url, "subject": self.subject, "from": self.sender, "when": self.when, "unread": self.unread,
            "kind_label": self.kind_label, "status": self.status,
        }  # fmt: skip


async def unread(session: AsyncSession, customer_id: int) -> dict[str, int]:
    """How many messages and how many tickets hold something that was not read."""
    messages = select(func.count()).select_from(Delivery).where(*_delivered(customer_id), Delivery.read_at.is_(None))
    answers = select(func.count()).select_from(Ticket).where(Ticket.customer_id == customer_id, _unread_answer())
    return {"messages": await session.scalar(messages) or 0, "tickets": await session.scalar(answers) or 0}


async def inbox(
    session: AsyncSession,
    customer_id: int,
    project_name: str,
    *,
    page: int = 1,
    size: int = PAGE,
    unread_only: bool = False,
    text: str = "",
    kind: str = "",
) -> tuple[list[Entry], bool]:
    """Messages and tickets (kind: only "message" or "ticket"), newest first, and whether there are more."""
    messages = select(literal("message").label("kind"), Delivery.campaign_id.label("id"), Delivery.sent_at.label("at"))
    messages = messages.where(*_delivered(customer_id))
    tickets = select(literal("ticket"), Ticket.id, Ticket.updated_at).where(*_visible(customer_id))
    if unread_only:
        messages, tickets = messages.where(Delivery.read_at.is_(None)), tickets.where(_unread_answer())
    if (test := finding.in_message(text)) is not None:
        messages = messages.where(test)
    if (test := finding.in_ticket(text)) is not None:
        tickets = tickets.where(test)
    if kind:
        messages, tickets = (
            (messages, tickets.where(false())) if kind == "message" else (messages.where(false()), tickets)
        )
    both = union_all(messages, tickets).subquery()
    found = await session.execute(
        select(both.c.kind, both.c.id)
        .order_by(both.c.at.desc(), both.c.kind, both.c.id.desc())
        .offset((page - 1) * size)
        .limit(size + 1)
    )
    keys = [(str(kind), int(row_id)) for kind, row_id in found]
    shown = keys[:size]
    lines = await _message_lines(session, customer_id, project_name, [i for k, i in shown if k == "message"])
    lines |= await _ticket_lines(session, customer_id, [i for k, i in shown if k == "ticket"])
    return [lines[key] for key in shown if key in lines], len(keys) > size


async def _message_lines(
    session: AsyncSession, customer_id: int, project_name: str, ids: list[int]
) -> dict[tuple[str, int], Entry]:
    if not ids:
        return {}
    rows = await session.execute(
        select(Delivery, CampaignText.subject, Campaign.sender_name, Category)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(Category, Category.id == Campaign.category_id)
        .join(
            CampaignText,
            (CampaignText.campaign_id == Delivery.campaign_id) & (CampaignText.language == Delivery.language),
        )
        .where(*_delivered(customer_id), Delivery.campaign_id.in_(ids))
    )
    return {
        ("message", d.campaign_id): Entry(
            url=f"/client/messages/{d.campaign_id}", subject=_subject(subject, d.values), when=d.sent_at or d.next_at,
            sender=sender or str(d.values.get("project.sender_name") or project_name), unread=d.read_at is None,
            kind_label=category.name_in(d.language), status=None,
        )
        for d, subject, sender, category in rows
    }  # fmt: skip


def _subject(template: str, values: dict[str, Any]) -> str:
    """The subject as it was sent. Only it is compiled: the list does not show the text."""
    try:
        return compile_message(template, "").render({name: str(value) for name, value in values.items()}).subject
    except TemplateProblem:  # what staff could send compiles; a row from elsewhere shall not break the inbox
        return template


async def _ticket_lines(session: AsyncSession, customer_id: int, ids: list[int]) -> dict[tuple[str, int], Entry]:
    if not ids:
        return {}
    rows = await session.execute(
        select(Ticket, _unread_answer()).where(Ticket.id.in_(ids), *_visible(customer_id))
        .options(joinedload(Ticket.category), joinedload(Ticket.assigned))
    )  # fmt: skip
    return {
        ("ticket", t.id): Entry(
            url=f"/client/tickets/{t.id}", subject=t.subject, sender=gettext("Question #%(id)s") % {"id": t.id},
            when=t.updated_at, unread=bool(unread), kind_label=t.category.name if t.category else "",
            status=status_of(t)[1],
        )
        for t, unread in rows
    }  # fmt: skip


def status_of(ticket: Ticket) -> tuple[str, str]:
    """(kind of badge, words) in the customer's view: the enum's own labels are written for staff."""
    return {
        TicketStatus.OPEN: ("open", gettext("We are on it")),
        TicketStatus.ANSWERED: ("info", gettext("Answered")),
        TicketStatus.CLOSED: ("", gettext("Closed")),
    }[ticket.status]


async def delivery(session: AsyncSession, customer_id: int, campaign_id: int) -> Delivery:
    """A message in this customer's inbox. Raises NotFound."""
    found = await session.scalar(
        select(Delivery).where(*_delivered(customer_id), Delivery.campaign_id == campaign_id).limit(1)
    )
    if found is None:
        raise NotFound
    return found


async def ticket(session: AsyncSession, customer_id: int, ticket_id: int) -> Ticket:
    """A ticket of this customer. Raises NotFound."""
    found = await session.scalar(
        select(Ticket).where(Ticket.id == ticket_id, *_visible(customer_id)).options(joinedload(Ticket.category))
    )
    if found is None:
        raise NotFound
    return found


async def thread(session: AsyncSession, ticket_id: int) -> Sequence[TicketMessage]:
    """What the customer may read of a ticket that `ticket` has found."""
    rows = await session.scalars(
        select(TicketMessage)
        .where(TicketMessage.ticket_id == ticket_id, TicketMessage.internal.is_(False))
        .options(
            joinedload(TicketMessage.staff), joinedload(TicketMessage.user),
            selectinload(TicketMessage.attachments).joinedload(TicketAttachment.attachment),
        )
        .order_by(TicketMessage.id)
    )  # fmt: skip
    return rows.all()


async def file_of_message(session: AsyncSession, customer_id: int, campaign_id: int, attachment_id: int) -> Attachment:
    """A file of a message in this customer's inbox. Raises NotFound."""
    found = await session.scalar(
        select(Attachment)
        .join(CampaignAttachment, CampaignAttachment.attachment_id == Attachment.id)
        .join(Delivery, Delivery.campaign_id == CampaignAttachment.campaign_id)
        .where(*_delivered(customer_id), Delivery.campaign_id == campaign_id, Attachment.id == attachment_id)
        .limit(1)
    )
    if found is None:
        raise NotFound
    return found


async def file_of_ticket(session: AsyncSession, customer_id: int, ticket_id: int, attachment_id: int) -> Attachment:
    """A file of a ticket of this customer, not of an internal note. Raises NotFound."""
    found = await session.scalar(
        select(Attachment)
        .join(TicketAttachment, TicketAttachment.attachment_id == Attachment.id)
        .join(TicketMessage, TicketMessage.id == TicketAttachment.message_id)
        .join(Ticket, Ticket.id == TicketMessage.ticket_id)
        .where(
            Ticket.customer_id == customer_id, Ticket.id == ticket_id, Attachment.id == attachment_id,
            TicketMessage.internal.is_(False),
        )
        .limit(1)
    )  # fmt: skip
    if found is None:
        raise NotFound
    return found
