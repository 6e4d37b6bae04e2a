"""Users: the logins of customers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, false
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


class Right(Choice):
    """What a role opens in the client area besides looking at services and messages, which everybody there may."""

    SEE_MONEY = "see_money", _("See balance, invoices and payments")
    PAY = "pay", _("Add funds and pay")
    SERVICES = "services", _("Order, renew and cancel services")
    WRITE = "write", _("Write messages and questions")
    PROFILE = "profile", _("Change profile and contacts")
    PAYERS = "payers", _("Change payers")
    USERS = "users", _("Invite and change users")
    DATA = "data", _("Export the data, ask for deletion, see visits")


RIGHTS: dict[UserRole, frozenset[Right]] = {
    UserRole.OWNER: frozenset(Right),
    UserRole.FINANCE: frozenset({Right.SEE_MONEY, Right.PAY, Right.PAYERS, Right.WRITE}),
    UserRole.TECHNICAL: frozenset({Right.SERVICES, Right.WRITE}),
    UserRole.READ_ONLY: frozenset({Right.SEE_MONEY}),
}
"""What the roles that every customer has may do."""


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
    disabled_by_staff: Mapped[bool] = mapped_column(default=False, server_default=false(), info={"hidden": True})
    """The customer cannot undo it."""
    password_hash: Mapped[str | None] = mapped_column(String(200), info=about(_("Password"), sensitive=True))
    last_sign_in_at: Mapped[datetime | None] = mapped_column(info=about(_("Last sign-in"), listed=True, css="when"))

    project: Mapped[Project] = relationship(lazy="raise")
    customers: Mapped[list[UserCustomer]] = relationship(
        lazy="raise", cascade="all, delete-orphan", back_populates="user"
    )

    def __str__(self) -> str:
        return self.full_name or self.username


class CustomerRole(Base, Versioned, Stamped):
    """A role that a customer made: a name and some of the rights."""

    __tablename__ = "customer_role"
    __table_args__ = (UniqueConstraint("customer_id", "name"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), info=about(_("Customer"), listed=True)
    )
    name: Mapped[str] = mapped_column(String(60), info=about(_("Name"), listed=True, css="lead"))
    rights: Mapped[list[str]] = mapped_column(default=list, info=about(_("Rights"), filtered=False))

    def __str__(self) -> str:
        return self.name


class UserCustomer(Base):
    """One user may serve several customers, with a role in each. `own_role` takes the place of `role`, which holds
    again when the customer deletes it (so it is `read_only` then)."""

    __tablename__ = "user_customer"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, info=about(_("User"), listed=True)
    )
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True, index=True,
        info=about(_("Customer"), listed=True),
    )  # fmt: skip
    role: Mapped[UserRole] = mapped_column(choice(UserRole), default=UserRole.OWNER, info=about(_("Role"), listed=True))
    own_role_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer_role.id", ondelete="SET NULL"), index=True, info={"hidden": True}
    )
    receives: Mapped[bool] = mapped_column(
        default=False, info=about(_("Receives messages"), listed=True, help=_("Besides the customer's own address."))
    )

    user: Mapped[User] = relationship(lazy="raise", back_populates="customers")
    customer: Mapped[Customer] = relationship(lazy="raise")
    own_role: Mapped[CustomerRole | None] = relationship(lazy="raise")

    @property
    def rights(self) -> frozenset[Right]:
        """`own_role` is loaded."""
        if self.own_role is None:
            return RIGHTS[self.role]
        return frozenset(right for right in Right if right.value in self.own_role.rights)
