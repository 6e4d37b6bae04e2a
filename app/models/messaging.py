"""Messages: categories, templates, campaigns with their content per language, and one delivery per recipient."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Email, Json, Name, Searchable, Stamped, Versioned, about, choice, folded
from app.i18n import _
from app.models.attachments import Attachment
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff


class Category(Base, Versioned):
    __tablename__ = "message_category"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))
    names: Mapped[dict[str, Any]] = mapped_column(
        Json, default=dict,
        info=about(_("Name per language"), widget="per_language", filtered=False,
                   help=_("What customers read. Empty: the name above.")),
    )  # fmt: skip
    department: Mapped[str] = mapped_column(Name, default="", info=about(_("Department"), listed=True, css="meta"))
    subscribable: Mapped[bool] = mapped_column(
        default=False,
        info=about(
            _("Customers choose it"), listed=True, help=_("Service messages cannot be refused; leave this off.")
        ),
    )
    opt_in: Mapped[bool] = mapped_column(
        default=True,
        server_default=true(),
        info=about(
            _("Only with consent"), listed=True, css="lesser",
            help=_("For advertising. Off: everybody receives it until they refuse it."),
        ),
    )  # fmt: skip
    priority: Mapped[int] = mapped_column(default=0, info=about(_("Priority"), listed=True, css="lesser num"))
    approval_above: Mapped[int] = mapped_column(
        default=0, server_default="0",
        info=about(_("Approval above so many customers"), css="lesser num",
                   help=_("A message to more customers waits until a second staff member has approved it. 0: never.")),
    )  # fmt: skip
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("In use"), listed=True))

    def __str__(self) -> str:
        return self.name

    def name_in(self, language: str) -> str:
        return str(self.names.get(language) or self.name)


class MailKind(Choice):
    """The system's own mails. What each may say stands in `app/domain/messaging/system.py`."""

    WELCOME = "welcome", _("Welcome")
    PASSWORD_RESET = "password_reset", _("Password reset")
    EMAIL_CHANGED = "email_changed", _("E-mail address changed")
    ADDRESS_CONFIRM = "address_confirm", _("Confirm a new e-mail address")
    INVITATION = "invitation", _("Invitation of a user")
    PHONE_CODE = "phone_code", _("Code for a phone number")
    REGISTRATION = "registration", _("Confirm a registration")
    ADDRESS_KNOWN = "address_known", _("Registration with a known address")
    SECURITY = "security", _("Change of the sign-in")
    TICKET_ANSWERED = "ticket_answered", _("Ticket answered")
    INVOICE = "invoice", _("Invoice")
    REMINDER = "reminder", _("Reminder of an invoice")
    VISIT = "visit", _("Visit by staff")
    DATA_READY = "data_ready", _("Copy of the data is ready")


class Template(Base, Versioned, Searchable):
    """A text for messages; with a `kind`, in place of the text that is shipped for a mail of the system's own. There
    it may lack languages, or have none at all: then the shipped text is sent."""

    __tablename__ = "message_template"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))
    name_folded: Mapped[str] = folded("name")
    category_id: Mapped[int | None] = mapped_column(
        ForeignKey("message_category.id", ondelete="SET NULL"), info=about(_("Category"), listed=True, css="meta")
    )
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"),
        info=about(_("Project"), listed=True, css="lesser", help=_("Empty: for all projects.")),
    )
    kind: Mapped[MailKind | None] = mapped_column(
        choice(MailKind), default=None, info=about(_("System mail"), listed=True, css="lesser")
    )
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("In use"), listed=True))

    category: Mapped[Category | None] = relationship(lazy="raise")
    project: Mapped[Project | None] = relationship(lazy="raise")
    texts: Mapped[list[TemplateText]] = relationship(lazy="raise", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.name


class TemplateText(Base):
    __tablename__ = "message_template_text"

    template_id: Mapped[int] = mapped_column(ForeignKey("message_template.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(String(12), primary_key=True)
    subject: Mapped[str] = mapped_column(String(300), info=about(_("Subject")))
    body: Mapped[str] = mapped_column(Text, info=about(_("Text")))


class CampaignState(Choice):
    APPROVAL = "approval", _("Waits for approval")
    SCHEDULED = "scheduled", _("Planned")
    MISSED = "missed", _("Missed its time")
    STARTING = "starting", _("Choosing recipients")
    RUNNING = "running", _("Sending")
    PAUSED = "paused", _("Paused")
    DONE = "done", _("Sent")
    CANCELLED = "cancelled", _("Stopped")
    FAILED = "failed", _("Failed")


CAMPAIGN_MOVES: dict[CampaignState, frozenset[CampaignState]] = {
    CampaignState.APPROVAL: frozenset(
        {CampaignState.STARTING, CampaignState.SCHEDULED, CampaignState.MISSED, CampaignState.CANCELLED}
    ),
    CampaignState.SCHEDULED: frozenset(
        {
            CampaignState.STARTING,
            CampaignState.APPROVAL,
            CampaignState.MISSED,
            CampaignState.CANCELLED,
            CampaignState.FAILED,
        }
    ),
    CampaignState.MISSED: frozenset({CampaignState.STARTING, CampaignState.SCHEDULED, CampaignState.CANCELLED}),
    CampaignState.STARTING: frozenset(
        {CampaignState.RUNNING, CampaignState.APPROVAL, CampaignState.CANCELLED, CampaignState.FAILED}
    ),
    CampaignState.RUNNING: frozenset({CampaignState.PAUSED, CampaignState.DONE, CampaignState.CANCELLED}),
    CampaignState.PAUSED: frozenset({CampaignState.RUNNING, CampaignState.CANCELLED}),
    CampaignState.DONE: frozenset({CampaignState.RUNNING}),  # "resend to failed", or a decision on rows in review
    CampaignState.CANCELLED: frozenset(),
    CampaignState.FAILED: frozenset(),
}
"""The legal moves of a campaign; anything else is a Conflict."""


class Segment(Base, Versioned, Stamped):
    """A saved filter over customers, with a name and an owner. A campaign takes a copy of it when it is sent."""

    __tablename__ = "segment"
    __table_args__ = (UniqueConstraint("staff_id", "name"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, info=about(_("Name"), listed=True, searched=True, css="lead"))
    name_folded: Mapped[str] = folded("name")
    description: Mapped[str] = mapped_column(
        String(500), default="", info=about(_("What it is for"), listed=True, widget="area", css="text full")
    )
    condition: Mapped[dict[str, Any]] = mapped_column(Json, info={"hidden": True})
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), info=about(_("Owner"), listed=True, css="meta")
    )

    staff: Mapped[Staff | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name


class Channel(Choice):
    INBOX = "inbox", _("Inbox")
    EMAIL = "email", _("E-mail")


class Policy(Choice):
    """What happens with a mail of which nobody knows whether the server took it."""

    RESEND = "resend", _("Send again")
    REVIEW = "review", _("Leave it to staff")


class Campaign(Base, Versioned, Stamped):
    """One message to one or many customers. `audience` is the filter (or the ids) that chooses them, as JSON."""

    __tablename__ = "campaign"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    subject: Mapped[str] = mapped_column(
        String(300),
        info=about(_("Subject"), listed=True, css="lead", help=_("In the language of the one who sent it.")),
    )
    subject_folded: Mapped[str] = folded("subject")
    category_id: Mapped[int] = mapped_column(
        ForeignKey("message_category.id", ondelete="RESTRICT"), info=about(_("Category"), listed=True, css="lesser")
    )
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True, info=about(_("Sent by"), listed=True, css="meta")
    )
    state: Mapped[CampaignState] = mapped_column(
        choice(CampaignState), default=CampaignState.STARTING, info=about(_("State"), listed=True, css="state")
    )
    audience: Mapped[dict[str, Any]] = mapped_column(Json, info={"hidden": True})
    projects: Mapped[list[str] | None] = mapped_column(Json, info={"hidden": True})
    assign_replies: Mapped[bool] = mapped_column(default=False, info=about(_("Replies to the sender")))
    matching_only: Mapped[bool] = mapped_column(
        default=False, info=about(_("Only customers of the corresponding language"))
    )
    default_language: Mapped[str] = mapped_column(String(12), info=about(_("Default language")))
    channels: Mapped[list[str]] = mapped_column(info=about(_("Channels"), filtered=False))
    sender_name: Mapped[str] = mapped_column(Name, default="", info=about(_("Sender name")))
    sender_email: Mapped[str] = mapped_column(Email, default="", info=about(_("Sender address")))
    policy: Mapped[Policy] = mapped_column(
        choice(Policy), default=Policy.RESEND, info=about(_("When in doubt whether a mail arrived"))
    )
    per_second: Mapped[int] = mapped_column(default=0, server_default="0", info=about(_("Messages per second")))
    """0: no limit; the same for the next."""
    per_domain_second: Mapped[int] = mapped_column(
        default=0, server_default="0", info=about(_("Messages per second to one mail domain"))
    )
    stop_percent: Mapped[int] = mapped_column(
        default=0, server_default="0", info=about(_("Pause when so many per cent fail"))
    )
    """Of the last `stop_window` e-mails; 0: never."""
    stop_window: Mapped[int] = mapped_column(default=200, server_default="200", info={"hidden": True})
    run: Mapped[int] = mapped_column(default=0, server_default="0", info={"hidden": True})
    """How often it was set to run. A lane belongs to one run, and ends when another has begun."""
    send_at: Mapped[datetime | None] = mapped_column(info=about(_("Planned for"), css="when"))
    local_at: Mapped[str] = mapped_column(String(16), default="", server_default="", info={"hidden": True})
    """The same as time of day of each recipient, "2026-12-01T09:00"; empty: all at once."""
    grace_minutes: Mapped[int] = mapped_column(default=60, server_default="60", info={"hidden": True})
    """What starts later than so many minutes after `send_at` asks again instead."""
    quiet_from: Mapped[int | None] = mapped_column(info={"hidden": True})
    quiet_until: Mapped[int | None] = mapped_column(info={"hidden": True})
    """Hours of the recipient's day between which nothing is sent; NULL: none."""
    approved_by: Mapped[str] = mapped_column(Name, default="", server_default="", info=about(_("Approved by")))
    """The name as it was then; the audit knows who."""
    approved_at: Mapped[datetime | None] = mapped_column(info=about(_("Approved at"), css="when"))
    total: Mapped[int] = mapped_column(default=0, info=about(_("Deliveries"), listed=True, css="num"))
    key: Mapped[str] = mapped_column(String(64), unique=True, info={"hidden": True})
    error: Mapped[str] = mapped_column(Text, default="", info=about(_("Error")))
    started_at: Mapped[datetime | None] = mapped_column(info=about(_("Started"), listed=True, css="when"))
    finished_at: Mapped[datetime | None] = mapped_column(info=about(_("Finished"), css="when"))

    category: Mapped[Category] = relationship(lazy="raise")
    staff: Mapped[Staff | None] = relationship(lazy="raise")
    texts: Mapped[list[CampaignText]] = relationship(lazy="raise", cascade="all, delete-orphan")
    attachments: Mapped[list[CampaignAttachment]] = relationship(lazy="raise", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.subject


class CampaignText(Base):
    __tablename__ = "campaign_text"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(String(12), primary_key=True)
    subject: Mapped[str] = mapped_column(String(300), info=about(_("Subject")))
    body: Mapped[str] = mapped_column(Text, info=about(_("Text")))
    words_folded: Mapped[str] = folded("words")

    @property
    def words(self) -> str:
        """What the search of the client area looks through."""
        return f"{self.subject} {self.body}"


class CampaignAttachment(Base):
    __tablename__ = "campaign_attachment"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    attachment_id: Mapped[int] = mapped_column(
        ForeignKey("attachment.id", ondelete="RESTRICT"), primary_key=True, index=True
    )

    attachment: Mapped[Attachment] = relationship(lazy="raise")


class DeliveryState(Choice):
    DUE = "due", _("Waiting")
    LEASED = "leased", _("Being sent")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    REVIEW = "review", _("To be reviewed")
    SKIPPED = "skipped", _("Left out")


_DUE, _LEASED = text("state = 'due'"), text("state = 'leased'")


class Delivery(Base):
    """One message to one address. Frozen content + frozen `values`: it can be read again exactly as it was sent.

    `address` is empty for the inbox. `started_at` is set by the fence right before SMTP; a row whose lease ran out
    with `started_at` set may have arrived.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("message_id"),
        # of the rows that wait and of those in the air only: each change of a row writes all indexes that it is in
        Index("ix_delivery_due", "campaign_id", "next_at", sqlite_where=_DUE, postgresql_where=_DUE),
        Index("ix_delivery_lease", "campaign_id", "lease_until", sqlite_where=_LEASED, postgresql_where=_LEASED),
        Index("ix_delivery_customer", "customer_id", "channel", "sent_at"),
    )

    campaign_id: Mapped[int] = mapped_column(
        ForeignKey("campaign.id", ondelete="CASCADE"),
        primary_key=True,
        info=about(_("Campaign"), listed=True, css="meta"),
    )
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"),
        primary_key=True,
        info=about(_("Customer"), listed=True, css="lead"),
    )
    channel: Mapped[Channel] = mapped_column(
        choice(Channel), primary_key=True, info=about(_("Channel"), listed=True, css="lesser")
    )
    address: Mapped[str] = mapped_column(
        Email, primary_key=True, default="", info=about(_("Address"), listed=True, copy=True, css="text")
    )
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"), info={"hidden": True})
    language: Mapped[str] = mapped_column(
        String(12), info=about(_("Language"), listed=True, widget="language", css="least")
    )
    state: Mapped[DeliveryState] = mapped_column(
        choice(DeliveryState), default=DeliveryState.DUE, info=about(_("State"), listed=True, css="state")
    )
    error: Mapped[str] = mapped_column(String(500), default="", info=about(_("Reason"), listed=True, css="text full"))
    values: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    message_id: Mapped[str] = mapped_column(String(120), info=about(_("Message-ID")))
    attempt: Mapped[int] = mapped_column(default=0, info=about(_("Tries"), listed=True, css="least num"))
    next_at: Mapped[datetime] = mapped_column(info=about(_("Next try")))
    lease_token: Mapped[str | None] = mapped_column(String(32), info={"hidden": True})
    lease_until: Mapped[datetime | None] = mapped_column(info={"hidden": True})
    started_at: Mapped[datetime | None] = mapped_column(info={"hidden": True})
    sent_at: Mapped[datetime | None] = mapped_column(info=about(_("Sent"), listed=True, css="when"))
    read_at: Mapped[datetime | None] = mapped_column(info=about(_("Read"), listed=True, css="least"))

    campaign: Mapped[Campaign] = relationship(lazy="raise")
    customer: Mapped[Customer] = relationship(lazy="raise")
