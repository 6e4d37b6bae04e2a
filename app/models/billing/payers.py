"""Payers: the legal identities that stand on invoices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, String, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Customised, Email, Name, Searchable, Stamped, Versioned, about, choice, folded
from app.i18n import _

if TYPE_CHECKING:
    from app.models.customers import Customer


class PayerKind(Choice):
    INDIVIDUAL = "individual", _("Individual")
    COMPANY = "company", _("Company")
    SOLE_PROPRIETOR = "sole_proprietor", _("Sole proprietor")


class Payer(Base, Versioned, Stamped, Customised, Searchable):
    __tablename__ = "payer"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), index=True,
        info=about(_("Customer"), listed=True, css="meta", group=_("Payer")),
    )  # fmt: skip
    kind: Mapped[PayerKind] = mapped_column(
        choice(PayerKind),
        default=PayerKind.INDIVIDUAL,
        info=about(_("Type"), listed=True, css="least", group=_("Payer")),
    )
    name: Mapped[str] = mapped_column(
        Name, info=about(_("Name"), listed=True, searched=True, css="lead", group=_("Payer"))
    )
    name_folded: Mapped[str] = folded("name")
    contact: Mapped[str] = mapped_column(Name, default="", info=about(_("Contact person"), group=_("Contact")))
    phone: Mapped[str] = mapped_column(
        String(40), default="", info=about(_("Phone"), widget="phone", group=_("Contact"))
    )
    email: Mapped[str] = mapped_column(
        Email,
        default="",
        info=about(_("E-mail"), listed=True, searched=True, widget="email", css="text", group=_("Contact")),
    )
    country: Mapped[str] = mapped_column(
        String(2), default="", info=about(_("Country"), listed=True, widget="country", css="lesser", group=_("Address"))
    )
    postal_address: Mapped[str] = mapped_column(
        String(500), default="", info=about(_("Postal address"), widget="area", group=_("Address"))
    )
    legal_address: Mapped[str] = mapped_column(
        String(500), default="", info=about(_("Legal address"), widget="area", group=_("Address"))
    )
    vat_number: Mapped[str] = mapped_column(
        String(40), default="",
        info=about(_("VAT number"), listed=True, searched=True, css="lesser", copy=True, group=_("Company"),
                   help=_("With its country code; the check digits are verified.")),
    )  # fmt: skip
    director: Mapped[str] = mapped_column(Name, default="", info=about(_("Director"), group=_("Company")))
    position: Mapped[str] = mapped_column(Name, default="", info=about(_("Position"), group=_("Company")))
    grounds: Mapped[str] = mapped_column(
        Name,
        default="",
        info=about(_("Acts on the grounds of"), group=_("Company"), help=_("Statute, power of attorney.")),
    )

    usual: Mapped[bool] = mapped_column(
        default=False, server_default=false(),
        info=about(_("Usual payer"), group=_("Payer"), help=_("Invoices are made out to it where no other is named.")),
    )  # fmt: skip
    archived: Mapped[bool] = mapped_column(
        default=False, server_default=false(),
        info=about(_("Archived"), group=_("Payer"), help=_("Kept for its invoices, and not offered any more.")),
    )  # fmt: skip

    customer: Mapped[Customer] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
