"""Expenses: what customers were charged. Each is booked when it is written; a mistake is reversed, never changed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, about, choice
from app.i18n import _

if TYPE_CHECKING:
    from app.models.billing.invoices import Invoice
    from app.models.catalog import Service
    from app.models.customers import Customer
    from app.models.discounts import Discount
    from app.models.ledger import Account, Transaction


class Cover(Choice):
    BALANCE = "balance", _("Balance")
    CREDIT = "credit", _("Credit")


class Expense(Base):
    """`amount` left the account: `net` of it is revenue, `tax` is tax. `discount` had been taken off before.

    Of a service there is one for each period: `period_from` is its first day, `period_to` the first day after it.
    """

    __tablename__ = "expense"
    __table_args__ = (
        UniqueConstraint("service_id", "period_from"),
        Index("ix_expense_customer", "customer_id", "on_day", "id"),
        Index("ix_expense_day", "on_day", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    on_day: Mapped[date] = mapped_column(info=about(_("Date"), listed=True, css="when"))
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info=about(_("Customer"), listed=True, css="meta")
    )
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="RESTRICT"), index=True, info=about(_("Account"), filtered=False)
    )
    service_id: Mapped[int | None] = mapped_column(
        ForeignKey("service.id", ondelete="RESTRICT"), info=about(_("Service"), listed=True, css="meta")
    )
    invoice_id: Mapped[int | None] = mapped_column(
        ForeignKey("invoice.id", ondelete="RESTRICT"), index=True, info=about(_("Invoice"))
    )
    description: Mapped[str] = mapped_column(String(500), info=about(_("Description"), listed=True, css="lead"))
    amount: Mapped[int] = mapped_column(
        BigInteger, info=about(_("Amount"), listed=True, widget="money", currency="currency", css="amount")
    )
    currency: Mapped[str] = mapped_column(String(3), info=about(_("Currency"), widget="currency"))
    net: Mapped[int] = mapped_column(BigInteger, info=about(_("Net"), widget="money", currency="currency"))
    tax: Mapped[int] = mapped_column(BigInteger, default=0, info=about(_("Tax"), widget="money", currency="currency"))
    tax_rate: Mapped[int] = mapped_column(default=0, info=about(_("Tax rate"), widget="percent"))
    discount: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0", info=about(_("Discount"), widget="money", currency="currency")
    )
    discount_id: Mapped[int | None] = mapped_column(
        ForeignKey("discount.id", ondelete="SET NULL"), index=True, info=about(_("By the discount"))
    )
    explained: Mapped[dict[str, Any] | None] = mapped_column(Json, info={"hidden": True})
    """Which discounts were considered, which one won and why."""
    period_from: Mapped[date | None] = mapped_column(info=about(_("Period from"), css="when"))
    period_to: Mapped[date | None] = mapped_column(info=about(_("Period to"), css="when"))
    covered_by: Mapped[Cover] = mapped_column(
        choice(Cover), default=Cover.BALANCE, info=about(_("Covered by"), listed=True, css="lesser")
    )
    transaction_id: Mapped[int | None] = mapped_column(
        ForeignKey("ledger_transaction.id", ondelete="RESTRICT"), unique=True, info={"hidden": True}
    )
    """Empty for a period that cost nothing."""
    credited: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Given back"), widget="money", currency="currency", css="amount"),
    )  # fmt: skip
    """So much of `amount` was given back, by credit notes or as a whole."""
    reversed_by_id: Mapped[int | None] = mapped_column(
        ForeignKey("ledger_transaction.id", ondelete="RESTRICT"), unique=True, info={"hidden": True}
    )

    customer: Mapped[Customer] = relationship(lazy="raise")
    account: Mapped[Account] = relationship(lazy="raise")
    service: Mapped[Service | None] = relationship(lazy="raise")
    invoice: Mapped[Invoice | None] = relationship(lazy="raise")
    by_discount: Mapped[Discount | None] = relationship(lazy="raise")
    transaction: Mapped[Transaction | None] = relationship(lazy="raise", foreign_keys=[transaction_id])

    def __str__(self) -> str:
        return self.description
