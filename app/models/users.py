"""Users: the logins of customers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Customised, Email, Name, Searchable, Stamped, Versioned, about, choice, folded
from app.i18n import _
from app.models.customers import Customer
from app.models.projects import Project


class UserRole(Choice):
    OWNER = "owner", _("Owner")
    FINANCE = "finance", _("Finance")
    TECHNICAL = "technical", _("Technical")
    READ_ONLY = "read_only", _("Read-only")


class User(Base, Versioned, Stamped, Customised, Searchable):
    """A login. `username` is kept folded to lower case, so that it is unique per project whatever the case."""

    __tablename__ = "user"
    __table_args__ = (UniqueConstraint("project_id", "username"), Index("ix_user_email_folded", "email_folded"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="RESTRICT"), info=about(_("Project"), listed=True, css="state lesser")
    )
    username: Mapped[str] = mapped_column(
        String(254), info=about(_("User name"), listed=True, searched=True, css="lead",
                                help=_("To sign in with. Unique within the project.")),
    )  # fmt: skip
    full_name: Mapped[str] = mapped_column(
        Name, default="", info=about(_("Full name"), listed=True, searched=True, css="meta")
    )
    full_name_folded: Mapped[str] = folded("full_name")
    email: Mapped[str] = mapped_column(
        Email, info=about(_("E-mail"), listed=True, searched=True, widget="email", css="text")
    )
    email_folded: Mapped[str] = folded("email")
    language: Mapped[str] = mapped_column(
        String(12), default="", info=about(_("Language"), listed=True, widget="language_or_none", css="lesser",
                                           help=_("Empty: the customer's language.")),
    )  # fmt: skip
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("May sign in"), listed=True, css="lesser"))
    password_hash: Mapped[str | None] = mapped_column(String(200), info=about(_("Password"), sensitive=True))
    last_sign_in_at: Mapped[datetime | None] = mapped_column(info=about(_("Last sign-in"), listed=True, css="when"))

    project: Mapped[Project] = relationship(lazy="raise")
    customers: Mapped[list[UserCustomer]] = relationship(
        lazy="raise", cascade="all, delete-orphan", back_populates="user"
    )

    def __str__(self) -> str:
        return self.full_name or self.username


class UserCustomer(Base):
    """One user may serve several customers, with a role in each."""

    __tablename__ = "user_customer"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, info=about(_("User"), listed=True)
    )
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True, index=True,
        info=about(_("Customer"), listed=True),
    )  # fmt: skip
    role: Mapped[UserRole] = mapped_column(choice(UserRole), default=UserRole.OWNER, info=about(_("Role"), listed=True))
    receives: Mapped[bool] = mapped_column(
        default=False, info=about(_("Receives messages"), listed=True, help=_("Besides the customer's own address."))
    )

    user: Mapped[User] = relationship(lazy="raise", back_populates="customers")
    customer: Mapped[Customer] = relationship(lazy="raise")
