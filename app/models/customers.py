"""Customers, and what staff keep about them: attitudes, groups, notes, available projects, references of imports."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import (
    Base,
    BigId,
    Choice,
    Customised,
    Email,
    Json,
    Name,
    Searchable,
    Stamped,
    Versioned,
    about,
    choice,
    folded,
    utcnow,
)  # fmt: skip
from app.i18n import _
from app.models.billing import PaymentMethod
from app.models.catalog import Product
from app.models.projects import Project
from app.models.staff import Staff

if TYPE_CHECKING:
    from app.models.users import UserCustomer


class CustomerKind(Choice):
    INDIVIDUAL = "individual", _("Individual")
    COMPANY = "company", _("Company")
    SOLE_PROPRIETOR = "sole_proprietor", _("Sole proprietor")


class CustomerStatus(Choice):
    """ACTIVE: has at least one active service. NEW: has none yet, or none any more."""

    NEW = "new", _("No services")
    ACTIVE = "active", _("Active")
    SUSPENDED = "suspended", _("Suspended")
    CLOSED = "closed", _("Closed")


class Attitude(Base, Versioned):
    """What staff think of a customer: a dictionary that administrators edit."""

    __tablename__ = "attitude"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))
    hue: Mapped[int] = mapped_column(default=1, info=about(_("Colour"), listed=True, widget="hue", filtered=False))
    icon: Mapped[str] = mapped_column(String(40), default="", info=about(_("Icon"), widget="icon", filtered=False))

    def __str__(self) -> str:
        return self.name


_PHONE, _VAT, _MERGED = text("phone <> ''"), text("vat_number <> ''"), text("merged_into_id IS NOT NULL")


class Customer(Base, Versioned, Customised, Searchable):
    """`merged_into_id`: it was a double. What can belong to another customer does so now; what the books hold of it
    stays here, and this row only leads to the one who stayed."""

    __tablename__ = "customer"
    __table_args__ = (
        Index("ix_customer_project", "project_id", "language", "id"),
        Index("ix_customer_name_folded", "name_folded", "id"),
        Index("ix_customer_registered", "registered_at", "id"),
        Index("ix_customer_email_folded", "email_folded"),
        Index("ix_customer_status", "status", "id"),
        Index("ix_customer_kind", "kind", "id"),
        Index("ix_customer_country", "country", "id"),
        Index("ix_customer_language", "language", "id"),
        Index("ix_customer_phone", "phone", sqlite_where=_PHONE, postgresql_where=_PHONE),
        # of the merged only: else SQLite looks all the others up by it
        Index("ix_customer_merged_into_id", "merged_into_id", sqlite_where=_MERGED, postgresql_where=_MERGED),
        Index("ix_customer_vat_number", "vat_number", sqlite_where=_VAT, postgresql_where=_VAT),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, searched=True, css="id"))
    name: Mapped[str] = mapped_column(
        Name,
        info=about(_("Name"), listed=True, searched=True, css="lead", group=_("Account"),
                   help=_("As it appears in lists and messages.")),
    )  # fmt: skip
    name_folded: Mapped[str] = folded("name", trigrams=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="RESTRICT"),
        info=about(
            _("Project"), listed=True, css="meta", group=_("Account"), help=_("The brand they registered with.")
        ),
    )
    kind: Mapped[CustomerKind] = mapped_column(
        choice(CustomerKind), default=CustomerKind.INDIVIDUAL,
        info=about(_("Account type"), listed=True, css="lesser", group=_("Account")),
    )  # fmt: skip
    status: Mapped[CustomerStatus] = mapped_column(
        choice(CustomerStatus), default=CustomerStatus.NEW,
        info=about(_("Status"), listed=True, css="state", group=_("Account"),
                   help=_("Follows the services unless it is suspended or closed by hand.")),
    )  # fmt: skip
    contact_person: Mapped[str] = mapped_column(
        Name, default="", info=about(_("Contact person"), searched=True, group=_("Contact"))
    )
    contact_person_folded: Mapped[str] = folded("contact_person")
    email: Mapped[str] = mapped_column(
        Email, default="",
        info=about(_("E-mail"), searched=True, widget="email", group=_("Contact"), help=_("Messages go there.")),
    )  # fmt: skip
    email_folded: Mapped[str] = folded("email")
    phone: Mapped[str] = mapped_column(
        String(40),
        default="",
        info=about(
            _("Phone"),
            searched=True,
            widget="phone",
            group=_("Contact"),
            help=_("As dialled in their country, or with + and the country code."),
        ),
    )
    address: Mapped[str] = mapped_column(
        String(500), default="", info=about(_("Address"), widget="area", group=_("Contact"))
    )
    country: Mapped[str] = mapped_column(
        String(2), default="", info=about(_("Country"), listed=True, widget="country", css="lesser", group=_("Contact"))
    )
    language: Mapped[str] = mapped_column(
        String(12), default="",
        info=about(_("Language"), listed=True, widget="language_or_none", css="least", group=_("Contact"),
                   help=_("Messages are written in it. Empty: the project's language.")),
    )  # fmt: skip
    timezone: Mapped[str] = mapped_column(
        String(64),
        default="",
        info=about(
            _("Time zone"),
            widget="timezone_or_none",
            group=_("Contact"),
            help=_("Type a city or a distance, such as +02:00."),
        ),
    )
    legal_name: Mapped[str] = mapped_column(
        Name, default="", info=about(_("Legal name"), searched=True, group=_("Company"), when="kind=company")
    )
    vat_number: Mapped[str] = mapped_column(
        String(40),
        default="",
        info=about(
            _("VAT number"),
            searched=True,
            group=_("Company"),
            when="kind=company|sole_proprietor",
            help=_("Those of the European Union are checked."),
        ),
    )
    registration_number: Mapped[str] = mapped_column(
        String(60), default="",
        info=about(_("Registration number"), group=_("Company"), when="kind=company|sole_proprietor"),
    )  # fmt: skip
    director: Mapped[str] = mapped_column(
        Name, default="", info=about(_("Director"), group=_("Company"), when="kind=company")
    )
    attitude_id: Mapped[int | None] = mapped_column(
        ForeignKey("attitude.id", ondelete="SET NULL"),
        info=about(_("Attitude"), listed=True, css="lesser", group=_("For staff")),
    )
    responsible_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), index=True,
        info=about(_("Responsible"), group=_("For staff")),
    )  # fmt: skip
    note: Mapped[str] = mapped_column(
        Text, default="", info=about(_("Note"), widget="area", group=_("For staff"), help=_("Customers never see it."))
    )
    registered_at: Mapped[datetime] = mapped_column(
        default=utcnow, info=about(_("Registered"), listed=True, css="when", group=_("Registration"), past=True)
    )
    registration_ip: Mapped[str | None] = mapped_column(
        String(45),
        info=about(_("Registration IP"), group=_("Registration"), help=_("Empty when staff registered them.")),
    )
    came_from: Mapped[str] = mapped_column(
        String(200), default="", server_default="",
        info=about(_("Came from"), group=_("Registration"), help=_("The page that led to the registration form.")),
    )  # fmt: skip
    terms_accepted_at: Mapped[datetime | None] = mapped_column(
        info=about(_("Terms accepted"), group=_("Registration"), past=True)
    )
    verified_phone: Mapped[str] = mapped_column(
        String(40), default="", info=about(_("Verified phone number"), widget="phone", group=_("Registration"))
    )
    phone_verified_at: Mapped[datetime | None] = mapped_column(
        info=about(_("Phone verified on"), group=_("Registration"), past=True)
    )
    phone_verified_by: Mapped[str] = mapped_column(
        String(60),
        default="",
        info=about(_("Phone verified by"), group=_("Registration"), help=_("Call, SMS, letter.")),
    )
    merged_into_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info={"hidden": True}
    )
    cleared_at: Mapped[datetime | None] = mapped_column(info={"hidden": True})
    """When the personal data was taken out."""

    project: Mapped[Project] = relationship(lazy="raise")
    attitude: Mapped[Attitude | None] = relationship(lazy="raise")
    responsible: Mapped[Staff | None] = relationship(lazy="raise")
    memberships: Mapped[list[Membership]] = relationship(
        lazy="raise", cascade="all, delete-orphan", back_populates="customer"
    )
    available: Mapped[list[CustomerProject]] = relationship(lazy="raise", cascade="all, delete-orphan")
    notes: Mapped[list[Note]] = relationship(lazy="raise", cascade="all, delete-orphan", back_populates="customer")
    logins: Mapped[list[UserCustomer]] = relationship(lazy="raise", viewonly=True, order_by="UserCustomer.user_id")

    def __str__(self) -> str:
        return self.name


class Group(Base, Versioned):
    """A customer group: by the highest priority a group says what its members may do and see."""

    __tablename__ = "customer_group"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))
    hue: Mapped[int] = mapped_column(default=2, info=about(_("Colour"), listed=True, widget="hue", filtered=False))
    priority: Mapped[int] = mapped_column(
        default=0, info=about(_("Priority"), listed=True, css="num", help=_("Where groups disagree, the highest wins."))
    )
    may_suspend: Mapped[bool] = mapped_column(
        default=True, info=about(_("Members may suspend services"), listed=True, group=_("What members may do"))
    )
    may_delete: Mapped[bool] = mapped_column(
        default=True, info=about(_("Members may delete services"), listed=True, group=_("What members may do"))
    )

    condition: Mapped[dict[str, Any] | None] = mapped_column(Json, info={"hidden": True})
    """A filter of customers (`app.filters`): whoever it fits is a member by rule. None: members by hand alone."""

    products: Mapped[list[GroupProduct]] = relationship(lazy="raise", cascade="all, delete-orphan")
    payment_methods: Mapped[list[GroupPaymentMethod]] = relationship(lazy="raise", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.name


class Membership(Base):
    __tablename__ = "membership"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[int] = mapped_column(
        ForeignKey("customer_group.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    since: Mapped[datetime] = mapped_column(default=utcnow)
    by_rule: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The condition of the group has made them a member, and takes them out again; who is one by hand stays."""

    customer: Mapped[Customer] = relationship(lazy="raise", back_populates="memberships")
    group: Mapped[Group] = relationship(lazy="raise")


class GroupProduct(Base):
    """A group with such rows sees only these products; without any, all."""

    __tablename__ = "group_product"

    group_id: Mapped[int] = mapped_column(ForeignKey("customer_group.id", ondelete="CASCADE"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"), primary_key=True, index=True)

    product: Mapped[Product] = relationship(lazy="raise")


class GroupPaymentMethod(Base):
    """A group with such rows sees only these payment methods; without any, all."""

    __tablename__ = "group_payment_method"

    group_id: Mapped[int] = mapped_column(ForeignKey("customer_group.id", ondelete="CASCADE"), primary_key=True)
    payment_method_id: Mapped[int] = mapped_column(
        ForeignKey("payment_method.id", ondelete="CASCADE"), primary_key=True, index=True
    )

    payment_method: Mapped[PaymentMethod] = relationship(lazy="raise")


class CustomerProject(Base):
    """A project that this customer may use besides their own; without any row, only their own."""

    __tablename__ = "customer_project"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True)

    project: Mapped[Project] = relationship(lazy="raise")


class Note(Base, Versioned, Stamped):
    """What staff write down about a customer; a sticky note stays on top of the card."""

    __tablename__ = "note"
    __table_args__ = (Index("ix_note_customer", "customer_id", "created_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), info=about(_("Customer"), listed=True, css="lead")
    )
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="SET NULL"), info=about(_("Written by"), listed=True, css="meta")
    )
    text: Mapped[str] = mapped_column(Text, info=about(_("Text"), listed=True, widget="area", css="text full"))
    sticky: Mapped[bool] = mapped_column(default=False, info=about(_("Sticky"), listed=True))

    customer: Mapped[Customer] = relationship(lazy="raise", back_populates="notes")
    staff: Mapped[Staff | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.text[:60]


class ExternalRef(Base):
    """Where a row came from: the same (source, ref) imported again changes the row, or nothing, but adds none."""

    __tablename__ = "external_ref"
    __table_args__ = (UniqueConstraint("source", "noun", "ref"), Index("ix_external_ref_noun", "noun", "noun_id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    source: Mapped[str] = mapped_column(String(60))
    ref: Mapped[str] = mapped_column(String(120))
    noun: Mapped[str] = mapped_column(String(40))
    noun_id: Mapped[int] = mapped_column(BigId)
