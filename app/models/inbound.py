"""Mail that came in. Each is kept whole in the store before anything is done with it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Searchable, about, choice, utcnow
from app.i18n import _
from app.models.customers import Customer
from app.models.tickets import Ticket


class InboundState(Choice):
    NEW = "new", _("Being sorted")
    TAKEN = "taken", _("In a ticket")
    BOUNCE = "bounce", _("Told of a bounce")
    IGNORED = "ignored", _("Automatic")
    ASIDE = "aside", _("Put aside")
    DROPPED = "dropped", _("Discarded")


class InboundMail(Base, Searchable):
    """`fingerprint` is the digest of Message-ID, sender, subject, date and body: the same mail is taken once, by
    whatever way it comes. `customer_id`: whom it belongs to, as far as that is known; only then staff who are limited
    to projects see it."""

    __tablename__ = "inbound_mail"
    __table_args__ = (
        Index("ix_inbound_mail_state", "state", "id"), Index("ix_inbound_mail_sender", "sender", "received_at"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True, info={"hidden": True})
    source: Mapped[str] = mapped_column(String(40), default="", info=about(_("Came by")))
    message_id: Mapped[str] = mapped_column(String(250), default="", info=about(_("Message-ID")))
    sender: Mapped[str] = mapped_column(
        String(254), default="", info=about(_("From"), listed=True, searched=True, css="meta")
    )
    recipient: Mapped[str] = mapped_column(String(254), default="", info=about(_("To")))
    subject: Mapped[str] = mapped_column(
        String(300), default="", info=about(_("Subject"), listed=True, searched=True, css="lead")
    )
    key: Mapped[str] = mapped_column(String(64), info=about(_("Place in the store"), sensitive=True))
    size: Mapped[int] = mapped_column(BigInteger, info=about(_("Size"), widget="bytes", css="num"))
    state: Mapped[InboundState] = mapped_column(
        choice(InboundState), default=InboundState.NEW, info=about(_("State"), listed=True, css="state")
    )
    reason: Mapped[str] = mapped_column(
        String(500), default="", info=about(_("Reason"), listed=True, css="text full", filtered=False)
    )
    customer_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer.id", ondelete="SET NULL"), index=True,
        info=about(_("Customer"), listed=True, css="lesser"),
    )  # fmt: skip
    ticket_id: Mapped[int | None] = mapped_column(
        ForeignKey("ticket.id", ondelete="SET NULL"), index=True, info=about(_("Ticket"), css="lesser")
    )

    received_at: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("Came"), listed=True, css="when"))

    customer: Mapped[Customer | None] = relationship(lazy="raise")
    ticket: Mapped[Ticket | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.subject or self.sender or f"#{self.id}"
