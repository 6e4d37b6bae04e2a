"""Tickets: what customers ask or answer, and what staff reply."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Name, Searchable, Stamped, Versioned, about, choice, folded, utcnow
from app.i18n import _
from app.models.attachments import Attachment
from app.models.customers import Customer
from app.models.messaging import Campaign, Category
from app.models.projects import Project
from app.models.staff import Staff
from app.models.users import User


class TicketStatus(Choice):
    OPEN = "open", _("Waits for us")
    ANSWERED = "answered", _("Waits for the customer")
    CLOSED = "closed", _("Closed")


class TicketPriority(Choice):
    LOW = "low", _("Low")
    NORMAL = "normal", _("Normal")
    HIGH = "high", _("High")


class Ticket(Base, Versioned, Stamped, Searchable):
    """`lock_staff_id` answers it just now, until `lock_until` by the clock of the database."""

    __tablename__ = "ticket"
    __table_args__ = (
        Index("ix_ticket_status", "status", "updated_at"),
        Index("ix_ticket_customer", "customer_id", "updated_at"),
        Index("ix_ticket_assigned", "assigned_id", "status", "updated_at"),
        Index("ix_ticket_updated", "updated_at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, searched=True, css="id"))
    subject: Mapped[str] = mapped_column(String(300), info=about(_("Subject"), listed=True, searched=True, css="lead"))
    subject_folded: Mapped[str] = folded("subject")
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info=about(_("Customer"), listed=True, css="meta")
    )
    category_id: Mapped[int | None] = mapped_column(
        ForeignKey("message_category.id", ondelete="SET NULL"), info=about(_("Category"), listed=True, css="lesser")
    )
    campaign_id: Mapped[int | None] = mapped_column(
        ForeignKey("campaign.id", ondelete="SET NULL"), index=True, info=about(_("Answers the message"))
    )
    assigned_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), info=about(_("Assigned to"), listed=True, css="lesser")
    )
    status: Mapped[TicketStatus] = mapped_column(
        choice(TicketStatus), default=TicketStatus.OPEN, info=about(_("Status"), listed=True, css="state")
    )
    priority: Mapped[TicketPriority] = mapped_column(
        choice(TicketPriority), default=TicketPriority.NORMAL, info=about(_("Priority"), listed=True)
    )
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("Last message"), listed=True, css="when"))
    first_answered_at: Mapped[datetime | None] = mapped_column(index=True, info=about(_("First answer")))
    lock_staff_id: Mapped[int | None] = mapped_column(BigId, info={"hidden": True})  # it ends by itself: no foreign key
    locked_at: Mapped[datetime | None] = mapped_column(info={"hidden": True})
    lock_until: Mapped[datetime | None] = mapped_column(info={"hidden": True})

    customer: Mapped[Customer] = relationship(lazy="raise")
    category: Mapped[Category | None] = relationship(lazy="raise")
    campaign: Mapped[Campaign | None] = relationship(lazy="raise")
    assigned: Mapped[Staff | None] = relationship(lazy="raise")
    messages: Mapped[list[TicketMessage]] = relationship(
        lazy="raise", cascade="all, delete-orphan", order_by="TicketMessage.id", back_populates="ticket"
    )

    def __str__(self) -> str:
        return self.subject


class TicketMessage(Base, Stamped):
    """Written by staff (`staff_id`) or by the customer: by a user, or by staff who had entered (then both are set,
    and `from_customer` tells on whose behalf). `email_id`: the Message-ID of the mail that brought it, or that takes
    it to the customer. `sender`: the address of a mail whose sender is not known at this customer."""

    __tablename__ = "ticket_message"
    __table_args__ = (Index("ix_ticket_message_ticket", "ticket_id", "created_at", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id", ondelete="CASCADE"))
    from_customer: Mapped[bool]
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id", ondelete="SET NULL"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    internal: Mapped[bool] = mapped_column(default=False)
    text: Mapped[str] = mapped_column(Text, info=about(_("Text")))
    text_folded: Mapped[str] = folded("text")
    read_at: Mapped[datetime | None]
    email_id: Mapped[str] = mapped_column(String(250), default="", server_default="", index=True)
    sender: Mapped[str] = mapped_column(String(254), default="", server_default="")

    ticket: Mapped[Ticket] = relationship(lazy="raise", back_populates="messages")
    staff: Mapped[Staff | None] = relationship(lazy="raise")
    user: Mapped[User | None] = relationship(lazy="raise")
    attachments: Mapped[list[TicketAttachment]] = relationship(lazy="raise", cascade="all, delete-orphan")


class TicketAttachment(Base):
    __tablename__ = "ticket_attachment"

    message_id: Mapped[int] = mapped_column(ForeignKey("ticket_message.id", ondelete="CASCADE"), primary_key=True)
    attachment_id: Mapped[int] = mapped_column(
        ForeignKey("attachment.id", ondelete="RESTRICT"), primary_key=True, index=True
    )

    attachment: Mapped[Attachment] = relationship(lazy="raise")


class CannedReply(Base, Versioned, Searchable):
    """An answer that is given again and again. `texts`: language -> text, with the fields of message templates."""

    __tablename__ = "canned_reply"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(
        Name, unique=True,
        info=about(_("Name"), listed=True, searched=True, css="lead", help=_("What you type after the / to find it.")),
    )  # fmt: skip
    name_folded: Mapped[str] = folded("name")
    category_id: Mapped[int | None] = mapped_column(
        ForeignKey("message_category.id", ondelete="SET NULL"),
        info=about(_("Category"), listed=True, css="meta", help=_("Empty: for tickets of every category.")),
    )
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"),
        info=about(_("Project"), listed=True, css="lesser", help=_("Empty: for all projects.")),
    )
    texts: Mapped[dict[str, str]] = mapped_column(Json, default=dict, info={"hidden": True})
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("In use"), listed=True))

    category: Mapped[Category | None] = relationship(lazy="raise")
    project: Mapped[Project | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
