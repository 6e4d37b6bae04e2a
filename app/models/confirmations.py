"""What somebody has still to confirm: a new e-mail address, a phone number, an invitation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Stamped, about, choice
from app.i18n import _
from app.models.customers import Customer
from app.models.users import User


class ConfirmationKind(Choice):
    PHONE = "phone", _("Phone")
    ACCOUNT_EMAIL = "account_email", _("E-mail of the account")
    LOGIN_EMAIL = "login_email", _("E-mail of a user")
    JOIN = "join", _("Invitation")


class Confirmation(Base, Stamped):
    """One code or link that was sent. What it says is made from `salt` and the secret key of this installation, so it
    stands nowhere; whoever reads this row knows neither.

    user_id: whose address it is, or who is asked to serve the customer. value: the new address or number. args: what an
    invitation gives. ended_at: used, withdrawn, or a newer one took its place.
    """

    __tablename__ = "confirmation"
    __table_args__ = (Index("ix_confirmation_customer", "customer_id", "kind", "ended_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID")))
    kind: Mapped[ConfirmationKind] = mapped_column(choice(ConfirmationKind))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    value: Mapped[str] = mapped_column(String(254), default="", info=about(_("Address")))
    args: Mapped[dict[str, Any]] = mapped_column(default=dict)
    salt: Mapped[str] = mapped_column(String(32), info=about(_("Token"), sensitive=True))
    tries: Mapped[int] = mapped_column(default=0)
    """Wrong codes so far."""
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    done: Mapped[bool] = mapped_column(default=False)
    """It was confirmed."""

    customer: Mapped[Customer] = relationship(lazy="raise")
    user: Mapped[User | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return f"{self.kind.label} {self.value}".strip()
