"""Projects: the brands under which the provider sells."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, String, Text, false, true
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Email, Name, Stamped, Versioned, about
from app.i18n import _


class Project(Base, Versioned, Stamped):
    __tablename__ = "project"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(
        Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead", group=_("Brand"))
    )
    site: Mapped[str] = mapped_column(
        String(200),
        default="",
        info=about(_("Web site"), listed=True, css="meta", help=_("With https://"), group=_("Brand")),
    )
    hue: Mapped[int] = mapped_column(default=1, info=about(_("Colour"), widget="hue", filtered=False, group=_("Brand")))
    currency: Mapped[str] = mapped_column(
        String(3),
        default="EUR",
        info=about(_("Currency"), listed=True, widget="currency", css="lesser", group=_("Customers")),
    )
    languages: Mapped[list[str]] = mapped_column(
        default=lambda: ["en"],
        info=about(_("Languages"), listed=True, widget="languages", css="lesser", filtered=False, group=_("Customers"),
                   help=_("The languages that customers of this project can choose.")),
    )  # fmt: skip
    default_language: Mapped[str] = mapped_column(
        String(12), default="en",
        info=about(_("Default language"), widget="language", group=_("Customers"),
                   help=_("For customers who have not chosen one.")),
    )  # fmt: skip
    timezone: Mapped[str] = mapped_column(
        String(64), default="UTC", server_default="UTC",
        info=about(_("Time zone"), widget="timezone", filtered=False, group=_("Customers"),
                   help=_("For customers who have not chosen one.")),
    )  # fmt: skip
    credit_limit: Mapped[int] = mapped_column(
        BigInteger, default=0,
        info=about(_("Default credit limit"), widget="money", currency="currency", group=_("Customers")),
    )  # fmt: skip
    prices_with_tax: Mapped[bool] = mapped_column(
        default=True, server_default=true(),
        info=about(_("Prices include tax"), filtered=False, group=_("Money"),
                   help=_("Off: the tax comes on top of the prices of products and services.")),
    )  # fmt: skip
    grace_days: Mapped[int] = mapped_column(
        default=7, server_default="7",
        info=about(_("Days of grace"), filtered=False, group=_("Money"),
                   help=_("So long may a service stay active that could not be charged.")),
    )  # fmt: skip
    due_days: Mapped[int] = mapped_column(
        default=14, server_default="14",
        info=about(_("Days to pay an invoice"), filtered=False, group=_("Money")),
    )  # fmt: skip
    legal_name: Mapped[str] = mapped_column(
        Name, default="", server_default="",
        info=about(_("Legal name"), filtered=False, group=_("Money"), help=_("As on invoices. Empty: the name.")),
    )  # fmt: skip
    legal_address: Mapped[str] = mapped_column(
        String(500), default="", server_default="",
        info=about(_("Legal address"), widget="area", filtered=False, group=_("Money")),
    )  # fmt: skip
    country: Mapped[str] = mapped_column(
        String(2), default="", server_default="",
        info=about(_("Country"), widget="country", filtered=False, group=_("Money")),
    )  # fmt: skip
    vat_number: Mapped[str] = mapped_column(
        String(40), default="", server_default="", info=about(_("VAT number"), filtered=False, group=_("Money"))
    )
    bank_account: Mapped[str] = mapped_column(
        String(500), default="", server_default="",
        info=about(_("Bank account"), widget="area", filtered=False, group=_("Money"),
                   help=_("At the foot of invoices: bank, IBAN, BIC.")),
    )  # fmt: skip
    logo: Mapped[str] = mapped_column(String(200), default="", server_default="", info={"hidden": True})
    """Its key in the store of files; empty: none."""
    sender_name: Mapped[str] = mapped_column(
        Name, default="", info=about(_("Sender name"), group=_("Messages"), help=_("Empty: the project's name."))
    )
    sender_email: Mapped[str] = mapped_column(
        Email, info=about(_("Sender address"), widget="email", listed=True, group=_("Messages"))
    )
    tracking: Mapped[bool] = mapped_column(
        default=False,
        server_default=false(),
        info=about(
            _("Count opened and clicked messages"), filtered=False, group=_("Messages"),
            help=_("Off: mails hold neither pictures nor links that tell. Customers may have to be told of it."),
        ),
    )  # fmt: skip
    host: Mapped[str | None] = mapped_column(
        String(253), unique=True,
        info=about(_("Host name"), filtered=False, group=_("Client area"),
                   help=_("desk.brand.example: whoever comes by it sees this brand alone. Point it here first.")),
    )  # fmt: skip
    slug: Mapped[str | None] = mapped_column(
        String(40), unique=True,
        info=about(_("Part of the address"), filtered=False, group=_("Client area"),
                   help=_("brand: sign-in and sign-up of this brand stand at /client/p/brand/login.")),
    )  # fmt: skip
    terms: Mapped[str] = mapped_column(
        Text,
        default="",
        info=about(_("Terms of the client area"), widget="area", filtered=False, group=_("Client area")),
    )
    visits_shown: Mapped[bool] = mapped_column(
        default=True, server_default=true(),
        info=about(_("Customers see visits by staff"), filtered=False, group=_("Client area"),
                   help=_("Who was in their account, when and why.")),
    )  # fmt: skip
    visits_told: Mapped[bool] = mapped_column(
        default=False, server_default=false(),
        info=about(_("Customers are told of visits by e-mail"), filtered=False, group=_("Client area")),
    )  # fmt: skip
    visits_by_code: Mapped[bool] = mapped_column(
        default=False, server_default=false(),
        info=about(_("Staff enter with a code from the customer"), filtered=False, group=_("Client area"),
                   help=_("The customer makes it on a page of the client area; it opens the account once.")),
    )  # fmt: skip
    signup: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}", info={"hidden": True})
    """How customers register by themselves: see `app.domain.signup`."""
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("In use"), listed=True, group=_("Client area")))

    def __str__(self) -> str:
        return self.name
