"""Rates that change with time: of taxes, and between currencies. What was counted with one keeps its own copy."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Name, Versioned, about, choice
from app.i18n import _
from app.models.billing.payers import PayerKind

if TYPE_CHECKING:
    from app.models.projects import Project


class TaxRate(Base, Versioned):
    """The tax for payers of a country and type; the narrowest that is valid on the day counts. None: no tax."""

    __tablename__ = "tax_rate"
    __table_args__ = (
        Index("ix_tax_rate_place", "country", "valid_from"),
        CheckConstraint("rate >= 0 AND rate <= 10000", name="rate"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(
        Name, info=about(_("Name"), listed=True, searched=True, css="lead", help=_("As on invoices: VAT, USt., IVA."))
    )
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), index=True,
        info=about(_("Project"), listed=True, css="meta", help=_("Empty: for all.")),
    )  # fmt: skip
    country: Mapped[str] = mapped_column(
        String(2), default="",
        info=about(_("Country"), listed=True, widget="country", css="lesser", help=_("Empty: for all.")),
    )  # fmt: skip
    payer_kind: Mapped[PayerKind | None] = mapped_column(
        choice(PayerKind), info=about(_("Payer type"), listed=True, css="lesser", help=_("Empty: for all."))
    )
    rate: Mapped[int] = mapped_column(
        default=0, info=about(_("Rate"), listed=True, widget="percent", css="amount", help=_("In per cent."))
    )
    """In hundredths of a per cent: 1900 is 19 %."""
    valid_from: Mapped[date | None] = mapped_column(info=about(_("Valid from"), listed=True, css="when"))

    project: Mapped[Project | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name


RATE_UNIT = 1_000_000_000


class ExchangeRate(Base, Versioned):
    """So much of `quote` is one whole unit of `base` from this day on, times RATE_UNIT."""

    __tablename__ = "exchange_rate"
    __table_args__ = (
        UniqueConstraint("base", "quote", "on_day"),
        CheckConstraint("rate > 0", name="rate"),
        CheckConstraint("base <> quote", name="two"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    base: Mapped[str] = mapped_column(String(3), info=about(_("One unit of"), listed=True, widget="currency"))
    quote: Mapped[str] = mapped_column(String(3), info=about(_("Is worth in"), listed=True, widget="currency"))
    on_day: Mapped[date] = mapped_column(info=about(_("From"), listed=True, css="when"))
    rate: Mapped[int] = mapped_column(
        BigInteger, info=about(_("Rate"), listed=True, widget="rate", css="amount", filtered=False)
    )

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"
