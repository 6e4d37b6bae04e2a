"""Sign-in sessions of staff and of customers' users, and the counters that slow down guessing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Stamped, about, choice, utcnow
from app.i18n import _
from app.models.customers import Customer
from app.models.staff import Staff
from app.models.users import User


class SessionKind(Choice):
    STAFF = "staff", _("Staff")
    CLIENT = "client", _("Client area")
    VISIT = "visit", _("Visit by staff")


class LoginSession(Base, Stamped):
    """A session is a row; the browser holds the token, this row only its SHA-256.

    A visit (staff inside a customer's panel) is a row of its own that names both and the reason. It lives only as
    long as `parent`, the staff session that it came from.
    """

    __tablename__ = "login_session"
    __table_args__ = (
        Index("ix_login_session_staff", "staff_id", "ended_at"),
        Index("ix_login_session_customer", "customer_id", "kind", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True, info=about(_("Token"), sensitive=True))
    kind: Mapped[SessionKind] = mapped_column(choice(SessionKind))
    created_at: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("Begin"), listed=True, css="when"))
    staff_id: Mapped[int | None] = mapped_column(
        ForeignKey("staff.id", ondelete="CASCADE"), info=about(_("Staff member"), listed=True, css="state")
    )
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    customer_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), info=about(_("Customer"), listed=True, css="lead")
    )
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("login_session.id", ondelete="CASCADE"), index=True)
    reason: Mapped[str] = mapped_column(
        String(500), default="", info=about(_("Reason"), listed=True, searched=True, css="text full")
    )
    may_act: Mapped[bool] = mapped_column(default=False, info=about(_("Might act"), listed=True, css="lesser"))
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(info=about(_("End"), listed=True, css="lesser"))
    proved_at: Mapped[datetime | None]
    """When the person last gave the password once more, after signing in."""
    ip: Mapped[str] = mapped_column(String(45), default="")
    agent: Mapped[str] = mapped_column(String(200), default="")

    staff: Mapped[Staff | None] = relationship(lazy="raise")
    user: Mapped[User | None] = relationship(lazy="raise")
    customer: Mapped[Customer | None] = relationship(lazy="raise")


class DoorCode(Base):
    """The code by which a customer lets staff in: one at a time, short-lived, of one use."""

    __tablename__ = "door_code"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), info=about(_("Code"), sensitive=True))
    tries: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]


class Throttle(Base):
    """Failed tries per key (an account or an address) since `since`."""

    __tablename__ = "throttle"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    since: Mapped[datetime]


class OneUseKind(Choice):
    CONFIRM = "confirm", _("Confirm a registration")
    RESET = "reset", _("Choose a new password")
    STEP = "step", _("Second step of signing in")
    PASSKEY = "passkey", _("Question to a passkey")


class OneUse(Base, Stamped):
    """What counts once and for a while: links in mails, the way to the second step of signing in, the questions that
    passkeys have answered. Only the SHA-256 of the token is kept."""

    __tablename__ = "one_use"
    __table_args__ = (Index("ix_one_use_expires", "expires_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[OneUseKind] = mapped_column(choice(OneUseKind))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True, info=about(_("Token"), sensitive=True))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
