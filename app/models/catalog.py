"""Products that the provider sells, and the services that customers have of them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Customised, Name, Searchable, Stamped, Versioned, about, choice, folded
from app.i18n import _
from app.models.projects import Project

if TYPE_CHECKING:
    from app.models.billing.payers import Payer
    from app.models.customers import Customer


class Period(Choice):
    MONTH = "month", _("Month")
    QUARTER = "quarter", _("Quarter")
    HALF_YEAR = "half_year", _("Half-year")
    YEAR = "year", _("Year")
    ONCE = "once", _("Once")


class ServiceStatus(Choice):
    ORDERED = "ordered", _("Ordered")
    IN_PROGRESS = "in_progress", _("In progress")
    ACTIVE = "active", _("Active")
    SUSPENDED = "suspended", _("Suspended")
    CLOSED = "closed", _("Closed")


class ProductGroup(Base, Versioned):
    __tablename__ = "product_group"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))

    def __str__(self) -> str:
        return self.name


class Product(Base, Versioned, Searchable):
    __tablename__ = "product"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, info=about(_("Name"), listed=True, searched=True, css="lead"))
    name_folded: Mapped[str] = folded("name")
    group_id: Mapped[int | None] = mapped_column(
        ForeignKey("product_group.id", ondelete="SET NULL"), info=about(_("Product group"), listed=True, css="meta")
    )
    price: Mapped[int] = mapped_column(
        BigInteger, default=0, info=about(_("Price"), listed=True, widget="money", currency="currency", css="amount")
    )
    currency: Mapped[str] = mapped_column(String(3), default="EUR", info=about(_("Currency"), widget="currency"))
    period: Mapped[Period] = mapped_column(
        choice(Period), default=Period.MONTH, info=about(_("Period"), listed=True, css="lesser")
    )
    setup_fee: Mapped[int] = mapped_column(
        BigInteger, default=0, info=about(_("Set-up fee"), widget="money", currency="currency")
    )
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("On sale"), listed=True))

    group: Mapped[ProductGroup | None] = relationship(lazy="raise")
    projects: Mapped[list[ProductProject]] = relationship(lazy="raise", cascade="all, delete-orphan")
    prices: Mapped[list[ProductPrice]] = relationship(lazy="raise", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.name


class ProductProject(Base):
    """A product with such rows is sold only in these projects; without any, in all."""

    __tablename__ = "product_project"

    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True)

    project: Mapped[Project] = relationship(lazy="raise")


class ProductPrice(Base):
    """The price of a product in another period or currency than its own; each (period, currency) once."""

    __tablename__ = "product_price"

    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[Period] = mapped_column(choice(Period), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    price: Mapped[int] = mapped_column(BigInteger)
    setup_fee: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class Service(Base, Versioned, Stamped, Customised):
    """A customer's own: charged for each period from `next_charge_on` on, which moves on with each charge."""

    __tablename__ = "service"
    __table_args__ = (
        Index("ix_service_customer", "customer_id", "status"),
        Index("ix_service_due", "status", "next_charge_on", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(Name, info=about(_("Name"), listed=True, css="lead", help=_("A domain, a host.")))
    name_folded: Mapped[str] = folded("name")
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info=about(_("Customer"), listed=True, css="meta")
    )
    product_id: Mapped[int] = mapped_column(
        ForeignKey("product.id", ondelete="RESTRICT"), index=True, info=about(_("Product"), listed=True, css="lesser")
    )
    status: Mapped[ServiceStatus] = mapped_column(
        choice(ServiceStatus), default=ServiceStatus.ORDERED, info=about(_("Status"), listed=True, css="state")
    )
    price: Mapped[int] = mapped_column(
        BigInteger, default=0, info=about(_("Price"), listed=True, widget="money", currency="currency", css="amount")
    )
    currency: Mapped[str] = mapped_column(String(3), default="EUR", info=about(_("Currency"), widget="currency"))
    period: Mapped[Period] = mapped_column(
        choice(Period), default=Period.MONTH, info=about(_("Period"), listed=True, css="lesser")
    )
    next_charge_on: Mapped[date | None] = mapped_column(info=about(_("Next charge"), listed=True, css="when"))
    started_on: Mapped[date | None] = mapped_column(
        info=about(_("Runs since"), css="when", help=_("The first day of its first period."))
    )
    charge_day: Mapped[int | None] = mapped_column(info={"hidden": True})
    """The day of the month on which periods begin (31: the last), so that February does not shift them."""
    setup_fee: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Set-up fee"), widget="money", currency="currency", help=_("Charged with the first period.")),
    )  # fmt: skip
    unpaid_since: Mapped[date | None] = mapped_column(
        info=about(_("Unpaid since"), css="when", help=_("The day of the charge that could not be made."))
    )
    auto_renew: Mapped[bool] = mapped_column(default=True, info=about(_("Renews by itself")))
    payer_id: Mapped[int | None] = mapped_column(
        ForeignKey("payer.id", ondelete="SET NULL"), index=True,
        info=about(_("Payer"), css="least", help=_("Empty: that of the account. The tax follows it.")),
    )  # fmt: skip
    form_key: Mapped[str | None] = mapped_column(String(80), unique=True, index=True, info={"hidden": True})
    """Of the customer's form that ordered it: sent twice, it is one order."""

    customer: Mapped[Customer] = relationship(lazy="raise")
    product: Mapped[Product] = relationship(lazy="raise")
    payer: Mapped[Payer | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
