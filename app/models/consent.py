"""Consent: who wants which messages, addresses to which nothing is sent, and what came back of a message."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Email, about, choice, folded, utcnow
from app.i18n import _
from app.models.customers import Customer
from app.models.messaging import Category, Channel
from app.models.staff import Staff
from app.models.users import User


class How(Choice):
    """By which way a choice reached us."""

    STAFF = "staff", _("Staff")
    CLIENT = "client", _("Client area")
    LINK = "link", _("Unsubscribe link")
    IMPORT = "import", _("Import")
    COMPLAINT = "complaint", _("Complaint")


_ACCOUNT, _USER = text("ended_at IS NULL AND user_id IS NULL"), text("ended_at IS NULL AND user_id IS NOT NULL")


class Subscription(Base):
    """A choice, from `since` until `ended_at`; the row without an end holds now, the others are the history.

    It belongs to a recipient: the customer's own address (`user_id` is empty) or one of the users who receive for this
    customer, because each of them gets a mail of their own and unsubscribes for themselves.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        Index("ix_subscription_account", "category_id", "channel", "customer_id", unique=True,
              sqlite_where=_ACCOUNT, postgresql_where=_ACCOUNT),
        Index("ix_subscription_user", "category_id", "channel", "customer_id", "user_id", unique=True,
              sqlite_where=_USER, postgresql_where=_USER),
        Index("ix_subscription_customer", "customer_id", "since"),
        Index("ix_subscription_since", "since"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID")))
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), info=about(_("Customer"), listed=True, css="lead")
    )
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True,
        info=about(_("User"), listed=True, css="lesser", help=_("Empty: the customer's own address.")),
    )  # fmt: skip
    category_id: Mapped[int] = mapped_column(
        ForeignKey("message_category.id", ondelete="CASCADE"), info=about(_("Category"), listed=True, css="meta")
    )
    channel: Mapped[Channel] = mapped_column(choice(Channel), info=about(_("Channel"), listed=True, css="lesser"))
    wanted: Mapped[bool] = mapped_column(info=about(_("Wants them"), listed=True, css="state"))
    since: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("Since"), listed=True, css="when"))
    ended_at: Mapped[datetime | None] = mapped_column(info=about(_("Until"), listed=True, css="least"))
    how: Mapped[How] = mapped_column(choice(How), info=about(_("How"), listed=True, css="lesser"))
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True, info=about(_("By staff"), listed=True, css="lesser")
    )
    by_user_id: Mapped[int | None] = mapped_column(
        ForeignKey("user.id", ondelete="SET NULL"), index=True, info=about(_("By user"))
    )
    note: Mapped[str] = mapped_column(String(500), default="", info=about(_("Reason"), listed=True, css="text full"))
    ip: Mapped[str | None] = mapped_column(String(45), info=about(_("IP address")))

    customer: Mapped[Customer] = relationship(lazy="raise")
    user: Mapped[User | None] = relationship(lazy="raise", foreign_keys=[user_id])
    category: Mapped[Category] = relationship(lazy="raise")
    staff: Mapped[Staff | None] = relationship(lazy="raise")
    by_user: Mapped[User | None] = relationship(lazy="raise", foreign_keys=[by_user_id])


class Why(Choice):
    """Why nothing is sent to an address."""

    HARD = "hard", _("Does not exist")
    SOFT = "soft", _("Refused again and again")
    COMPLAINT = "complaint", _("Complained about our mail")
    STAFF = "staff", _("Entered by staff")


_NOW = text("lifted_at IS NULL")


class Suppression(Base):
    """An address that gets no mail, whoever it belongs to, until staff lift it. `address` is in lower case."""

    __tablename__ = "suppressed_address"
    __table_args__ = (
        Index("ix_suppressed_address_now", "address", unique=True, sqlite_where=_NOW, postgresql_where=_NOW),
        Index("ix_suppressed_address_folded", "address_folded"),
        Index("ix_suppressed_address_since", "since", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    address: Mapped[str] = mapped_column(
        Email, info=about(_("Address"), listed=True, searched=True, widget="email", css="lead", copy=True)
    )
    address_folded: Mapped[str] = folded("address")
    why: Mapped[Why] = mapped_column(choice(Why), default=Why.STAFF, info=about(_("Reason"), listed=True, css="state"))
    detail: Mapped[str] = mapped_column(
        String(500), default="", info=about(_("What is known"), listed=True, css="text full", widget="area")
    )
    since: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("Since"), listed=True, css="when"))
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True, info=about(_("By staff"), listed=True, css="lesser")
    )
    lifted_at: Mapped[datetime | None] = mapped_column(info=about(_("Lifted"), listed=True, css="least"))
    lifted_by_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True, info=about(_("Lifted by"))
    )
    lift_reason: Mapped[str] = mapped_column(String(500), default="", info=about(_("Why it was lifted")))

    staff: Mapped[Staff | None] = relationship(lazy="raise", foreign_keys=[staff_id])
    lifted_by: Mapped[Staff | None] = relationship(lazy="raise", foreign_keys=[lifted_by_id])

    def __str__(self) -> str:
        return self.address


class EventKind(Choice):
    OPEN = "open", _("Opened")
    CLICK = "click", _("Clicked")
    HARD_BOUNCE = "hard", _("Came back for good")
    SOFT_BOUNCE = "soft", _("Came back for now")
    COMPLAINT = "complaint", _("Complained about")


class DeliveryEvent(Base):
    """What came back of one message: at most one row per kind and link, so nobody can fill the table by reloading."""

    __tablename__ = "delivery_event"
    __table_args__ = (
        UniqueConstraint("message_id", "kind", "url_hash"),
        Index("ix_delivery_event_campaign", "campaign_id", "kind"),
        Index("ix_delivery_event_customer", "customer_id", "kind", "last_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"))
    message_id: Mapped[str] = mapped_column(String(120))
    kind: Mapped[EventKind] = mapped_column(choice(EventKind))
    url: Mapped[str] = mapped_column(Text, default="")
    url_hash: Mapped[str] = mapped_column(String(32), default="")
    detail: Mapped[str] = mapped_column(String(500), default="")
    times: Mapped[int] = mapped_column(default=1)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
