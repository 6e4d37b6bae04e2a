"""The ways in which customers can pay: a dictionary that administrators edit."""

from __future__ import annotations

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Choice, Name, Versioned, about, choice
from app.i18n import _


class Gateway(Choice):
    """How money of a method arrives. BY_HAND: staff write it down. BANK: a transfer that staff confirm."""

    BY_HAND = "by_hand", _("Written down by staff")
    BANK = "bank", _("Bank transfer")
    STRIPE = "stripe", _("Card, by Stripe")
    TEST = "test", _("Test: pays at the press of a button")


class PaymentMethod(Base, Versioned):
    __tablename__ = "payment_method"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))
    gateway: Mapped[Gateway] = mapped_column(
        choice(Gateway), default=Gateway.BY_HAND, server_default="by_hand", info=about(_("Arrives by"), listed=True)
    )
    instructions: Mapped[str] = mapped_column(
        Text, default="", server_default="",
        info=about(_("What customers are told"), widget="area", filtered=False,
                   help=_("For a bank transfer: the bank account, and what to name as the reason.")),
    )  # fmt: skip
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("In use"), listed=True))

    def __str__(self) -> str:
        return self.name
