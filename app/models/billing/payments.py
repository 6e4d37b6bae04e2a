"""Payments: money that customers bring, by hand, by bank or through a gateway; and what gateways said of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Searchable, Stamped, Versioned, about, choice, utcnow
from app.i18n import _

if TYPE_CHECKING:
    from app.models.billing.invoices import Invoice
    from app.models.billing.methods import PaymentMethod
    from app.models.billing.payers import Payer
    from app.models.customers import Customer
    from app.models.ledger import Account, Transaction
    from app.models.projects import Project


class PaymentStatus(Choice):
    """NEW: nothing is known yet. PENDING: the gateway or bank is at it. PAID and REFUNDED are booked."""

    NEW = "new", _("New")
    PENDING = "pending", _("Pending")
    PAID = "paid", _("Paid")
    REFUNDED = "refunded", _("Refunded")
    CANCELLED = "cancelled", _("Cancelled")
    FRAUD = "fraud", _("Fraud")


class Payment(Base, Versioned, Stamped, Searchable):
    """`amount` in `currency` is what was paid; `account_amount` is what the account gets, in its own currency."""

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("method_id", "external_id"),
        Index("ix_payment_customer", "customer_id", "id"),
        Index("ix_payment_project", "project_id", "status", "id"),
        Index("ix_payment_status", "status", "id"),
        Index("ix_payment_paid", "paid_at", "id"),
        Index("ix_payment_doubt", "id", postgresql_where=text("doubt <> ''"), sqlite_where=text("doubt <> ''")),
        CheckConstraint("amount > 0 AND account_amount > 0", name="amount"),
        CheckConstraint("refunded >= 0 AND refunded <= account_amount", name="refunded"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, searched=True, css="id"))
    number: Mapped[str] = mapped_column(
        String(40), default="", info=about(_("Number"), listed=True, searched=True, css="lead", copy=True,
                                           help=_("That of the bank or the receipt."))
    )  # fmt: skip
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info=about(_("Customer"), listed=True, css="meta")
    )
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="RESTRICT"), index=True, info=about(_("Account"), filtered=False)
    )
    payer_id: Mapped[int | None] = mapped_column(
        ForeignKey("payer.id", ondelete="SET NULL"), index=True, info=about(_("Payer"), listed=True, css="least")
    )
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="RESTRICT"), info=about(_("Payee"), listed=True, css="lesser")
    )
    method_id: Mapped[int] = mapped_column(
        ForeignKey("payment_method.id", ondelete="RESTRICT"), info=about(_("Method"), listed=True, css="lesser")
    )
    invoice_id: Mapped[int | None] = mapped_column(
        ForeignKey("invoice.id", ondelete="RESTRICT"), index=True,
        info=about(_("For the invoice"), help=_("It is paid from the account as soon as this payment is.")),
    )  # fmt: skip
    amount: Mapped[int] = mapped_column(
        BigInteger, info=about(_("Amount"), listed=True, widget="money", currency="currency", css="amount")
    )
    currency: Mapped[str] = mapped_column(String(3), info=about(_("Currency"), widget="currency"))
    account_amount: Mapped[int] = mapped_column(
        BigInteger, info=about(_("On the account"), widget="money", currency="account_currency", css="amount")
    )
    account_currency: Mapped[str] = mapped_column(
        String(3), info=about(_("Currency of the account"), widget="currency", filtered=False)
    )
    rate: Mapped[int | None] = mapped_column(BigInteger, info=about(_("Rate"), widget="rate", filtered=False))
    """Of ExchangeRate, as it was; None in one currency."""
    refunded: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Refunded"), widget="money", currency="account_currency", css="amount"),
    )  # fmt: skip
    status: Mapped[PaymentStatus] = mapped_column(
        choice(PaymentStatus), default=PaymentStatus.NEW, info=about(_("Status"), listed=True, css="state")
    )
    paid_at: Mapped[datetime | None] = mapped_column(info=about(_("Paid"), listed=True, css="when", past=True))
    external_id: Mapped[str | None] = mapped_column(
        String(120), info=about(_("Number at the gateway"), searched=True, filtered=False)
    )
    note: Mapped[str] = mapped_column(
        String(500), default="", server_default="", info=about(_("Note"), widget="area", filtered=False)
    )
    doubt: Mapped[str] = mapped_column(String(300), default="", server_default="", info=about(_("What does not fit")))
    """Why somebody should look at it: the gateway said something else than we had asked for."""
    charge_ref: Mapped[str | None] = mapped_column(String(120), index=True, info={"hidden": True})
    """The gateway's name for the money itself (a PaymentIntent), as refunds and disputes name it."""
    pay_url: Mapped[str] = mapped_column(Text, default="", server_default="", info={"hidden": True})
    """Where the payer goes, while it is open."""
    looked_at: Mapped[datetime | None] = mapped_column(info={"hidden": True})
    """When the gateway was last asked what has become of it."""
    transaction_id: Mapped[int | None] = mapped_column(
        ForeignKey("ledger_transaction.id", ondelete="RESTRICT"), unique=True, info={"hidden": True}
    )
    form_key: Mapped[str | None] = mapped_column(String(80), unique=True, index=True, info={"hidden": True})
    """Of the customer's form that made it: sent twice, it is one payment."""

    customer: Mapped[Customer] = relationship(lazy="raise")
    account: Mapped[Account] = relationship(lazy="raise")
    payer: Mapped[Payer | None] = relationship(lazy="raise")
    project: Mapped[Project] = relationship(lazy="raise")
    method: Mapped[PaymentMethod] = relationship(lazy="raise")
    invoice: Mapped[Invoice | None] = relationship(lazy="raise")
    transaction: Mapped[Transaction | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return self.number or f"#{self.id}"


class PaymentInvoice(Base):
    """An invoice that a payment is for, where it is for several."""

    __tablename__ = "payment_invoice"

    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id", ondelete="CASCADE"), primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id", ondelete="RESTRICT"), primary_key=True, index=True)

    invoice: Mapped[Invoice] = relationship(lazy="raise")


class PaymentEventKind(Choice):
    STARTED = "started", _("Handed to the gateway")
    PENDING = "pending", _("The payer has finished, the money is on its way")
    PAID = "paid", _("Paid")
    FAILED = "failed", _("Not paid")
    MISMATCH = "mismatch", _("Does not fit what was asked for")
    REFUND = "refund", _("Refund")
    REFUND_FAILED = "refund_failed", _("The refund has failed")
    DISPUTED = "disputed", _("The payer disputes it")
    NOTED = "noted", _("Noted")


class PaymentEvent(Base):
    """What a gateway said of a payment, each once; and every refund, with the transaction that booked it."""

    __tablename__ = "payment_event"
    __table_args__ = (UniqueConstraint("payment_id", "key"), Index("ix_payment_event_key", "key"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(160))
    """The gateway's id of the event, or `refund:<n>`."""
    at: Mapped[datetime] = mapped_column(default=utcnow)
    kind: Mapped[PaymentEventKind] = mapped_column(choice(PaymentEventKind))
    amount: Mapped[int | None] = mapped_column(BigInteger)
    """In minor units of `currency`."""
    currency: Mapped[str] = mapped_column(String(3), default="", server_default="")
    said: Mapped[str] = mapped_column(String(500), default="", server_default="")
    """The reason of a refund, or the gateway's own words."""
    details: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}")
    transaction_id: Mapped[int | None] = mapped_column(
        ForeignKey("ledger_transaction.id", ondelete="RESTRICT"), unique=True
    )

    payment: Mapped[Payment] = relationship(lazy="raise")
