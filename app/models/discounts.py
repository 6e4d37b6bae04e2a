"""Discounts: for whom, on what, how much, and until when."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Name, Stamped, Versioned, about, choice
from app.i18n import _
from app.models.catalog import Period

if TYPE_CHECKING:
    from app.models.catalog import Product, ProductGroup
    from app.models.customers import Customer, Group
    from app.models.projects import Project


class DiscountTarget(Choice):
    """In the order in which they narrow."""

    ALL = "all", _("All customers")
    GROUP = "group", _("A group")
    CUSTOMER = "customer", _("A customer")


class DiscountScope(Choice):
    """In the order in which they narrow."""

    EVERYTHING = "everything", _("Everything")
    PROJECT = "project", _("A project")
    PRODUCT_GROUP = "product_group", _("A product group")
    PRODUCT = "product", _("A product")
    PERIOD = "period", _("A period of a product")


class DiscountKind(Choice):
    PERCENT = "percent", _("Per cent")
    AMOUNT = "amount", _("Fixed amount off")
    PRICE = "price", _("Fixed price")


class Discount(Base, Versioned, Stamped):
    """`percent` is in hundredths of a per cent; `amount` in minor units of `currency`, for the other two kinds."""

    __tablename__ = "discount"
    __table_args__ = (
        Index("ix_discount_enabled", "enabled", "target", "scope"),
        CheckConstraint("percent >= 0 AND percent <= 10000 AND amount >= 0", name="size"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    name: Mapped[str] = mapped_column(
        Name, info=about(_("Name"), listed=True, searched=True, css="lead", help=_("Customers see it on their bills."))
    )
    enabled: Mapped[bool] = mapped_column(default=True, info=about(_("In use"), listed=True))
    priority: Mapped[int] = mapped_column(
        default=0, info=about(_("Priority"), listed=True, css="lesser num", help=_("The highest one wins."))
    )
    target: Mapped[DiscountTarget] = mapped_column(
        choice(DiscountTarget), default=DiscountTarget.ALL,
        info=about(_("For"), listed=True, css="lesser", group=_("For whom")),
    )  # fmt: skip
    group_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer_group.id", ondelete="CASCADE"), index=True,
        info=about(_("Group"), group=_("For whom"), when="target=group"),
    )  # fmt: skip
    customer_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), index=True,
        info=about(_("Customer"), group=_("For whom"), when="target=customer"),
    )  # fmt: skip
    condition: Mapped[dict[str, Any] | None] = mapped_column(Json, info={"hidden": True})
    """A filter of customers (`app.filters`); None: no further condition."""
    scope: Mapped[DiscountScope] = mapped_column(
        choice(DiscountScope), default=DiscountScope.EVERYTHING,
        info=about(_("On"), listed=True, css="lesser", group=_("On what")),
    )  # fmt: skip
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), index=True,
        info=about(_("Project"), group=_("On what"), when="scope=project"),
    )  # fmt: skip
    product_group_id: Mapped[int | None] = mapped_column(
        ForeignKey("product_group.id", ondelete="CASCADE"), index=True,
        info=about(_("Product group"), group=_("On what"), when="scope=product_group"),
    )  # fmt: skip
    product_id: Mapped[int | None] = mapped_column(
        ForeignKey("product.id", ondelete="CASCADE"), index=True,
        info=about(_("Product"), group=_("On what"), when="scope=product|period"),
    )  # fmt: skip
    period: Mapped[Period | None] = mapped_column(
        choice(Period), info=about(_("Period"), group=_("On what"), when="scope=period")
    )
    kind: Mapped[DiscountKind] = mapped_column(
        choice(DiscountKind), default=DiscountKind.PERCENT,
        info=about(_("Kind"), listed=True, css="lesser", group=_("How much")),
    )  # fmt: skip
    percent: Mapped[int] = mapped_column(
        default=0, server_default="0",
        info=about(_("Per cent"), listed=True, widget="percent", css="amount", group=_("How much"),
                   when="kind=percent"),
    )  # fmt: skip
    amount: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Amount"), listed=True, widget="money", currency="currency", css="amount", group=_("How much"),
                   when="kind=amount|price"),
    )  # fmt: skip
    currency: Mapped[str] = mapped_column(
        String(3), default="EUR", info=about(_("Currency"), widget="currency", group=_("How much"))
    )
    valid_from: Mapped[date | None] = mapped_column(info=about(_("Valid from"), css="when", group=_("When")))
    valid_until: Mapped[date | None] = mapped_column(
        info=about(_("Valid until"), listed=True, css="when", group=_("When"), help=_("The last day."))
    )

    group: Mapped[Group | None] = relationship(lazy="raise")
    customer: Mapped[Customer | None] = relationship(lazy="raise")
    project: Mapped[Project | None] = relationship(lazy="raise")
    product_group: Mapped[ProductGroup | None] = relationship(lazy="raise")
    product: Mapped[Product | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.name
