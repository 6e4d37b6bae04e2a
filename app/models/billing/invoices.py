"""Invoices and credit notes. A draft is changed at will; what is issued never is: a credit note says otherwise."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Searchable, Stamped, Versioned, about, choice, utcnow
from app.i18n import _

if TYPE_CHECKING:
    from app.models.billing.expenses import Expense
    from app.models.billing.payers import Payer
    from app.models.billing.payments import Payment
    from app.models.catalog import Service
    from app.models.customers import Customer
    from app.models.ledger import Account, Transaction
    from app.models.projects import Project


class InvoiceKind(Choice):
    INVOICE = "invoice", _("Invoice")
    CREDIT_NOTE = "credit_note", _("Credit note")


class InvoiceStatus(Choice):
    DRAFT = "draft", _("Draft")
    ISSUED = "issued", _("Issued")
    PAID = "paid", _("Paid")
    OVERDUE = "overdue", _("Overdue")
    CANCELLED = "cancelled", _("Cancelled")


class LineKind(Choice):
    """SALE: paying the invoice charges it. EXPENSE: it was charged before. ADVANCE: money for the account."""

    SALE = "sale", _("Sale")
    EXPENSE = "expense", _("Charged before")
    ADVANCE = "advance", _("Funds for the account")


class NumberSeries(Base):
    """The next number of a project's invoices. Taken under a lock in the transaction that issues: no gaps."""

    __tablename__ = "number_series"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24), primary_key=True)
    """A kind of invoice or of document."""
    pattern: Mapped[str] = mapped_column(String(60), default="{year}-{number:05}", server_default="{year}-{number:05}")
    next_number: Mapped[int] = mapped_column(default=1, server_default="1")
    year: Mapped[int | None] = mapped_column()
    """Of `next_number`, where the pattern names the year: each begins with 1."""


class Invoice(Base, Versioned, Stamped, Searchable):
    __tablename__ = "invoice"
    named_by: ClassVar = ("number",)
    __table_args__ = (
        UniqueConstraint("project_id", "kind", "number"),
        Index("ix_invoice_customer", "customer_id", "id"),
        Index("ix_invoice_status", "status", "due_on", "id"),
        Index("ix_invoice_issued", "issued_on", "id"),
        CheckConstraint("(status = 'draft') = (number IS NULL)", name="number"),
        CheckConstraint("paid >= 0 AND paid <= total", name="paid"),
        CheckConstraint("net + tax = total", name="total"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), listed=True, css="id"))
    number: Mapped[str | None] = mapped_column(
        String(60), info=about(_("Number"), listed=True, searched=True, css="lead", copy=True)
    )
    kind: Mapped[InvoiceKind] = mapped_column(
        choice(InvoiceKind), default=InvoiceKind.INVOICE, info=about(_("Kind"), listed=True, css="least")
    )
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="RESTRICT"), info=about(_("Customer"), listed=True, css="meta")
    )
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="RESTRICT"), index=True, info=about(_("Account"), filtered=False)
    )
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="RESTRICT"), info=about(_("Project"), listed=True, css="lesser")
    )
    payer_id: Mapped[int | None] = mapped_column(
        ForeignKey("payer.id", ondelete="SET NULL"), index=True, info=about(_("Payer"), listed=True, css="meta")
    )
    status: Mapped[InvoiceStatus] = mapped_column(
        choice(InvoiceStatus), default=InvoiceStatus.DRAFT, info=about(_("Status"), listed=True, css="state")
    )
    issued_on: Mapped[date | None] = mapped_column(info=about(_("Issued"), listed=True, css="when"))
    due_on: Mapped[date | None] = mapped_column(info=about(_("Due"), listed=True, css="when"))
    net: Mapped[int] = mapped_column(
        BigInteger, default=0, info=about(_("Net"), widget="money", currency="currency", css="amount")
    )
    tax: Mapped[int] = mapped_column(
        BigInteger, default=0, info=about(_("Tax"), widget="money", currency="currency", css="amount")
    )
    total: Mapped[int] = mapped_column(
        BigInteger, default=0, info=about(_("Total"), listed=True, widget="money", currency="currency", css="amount")
    )
    paid: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Paid"), widget="money", currency="currency", css="amount"),
    )  # fmt: skip
    credited: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Credited before it was paid"), widget="money", currency="currency", css="amount"),
    )  # fmt: skip
    """So much credit notes took off what was not paid yet; the rest is what is to be paid."""
    currency: Mapped[str] = mapped_column(String(3), info=about(_("Currency"), widget="currency"))
    language: Mapped[str] = mapped_column(String(12), default="en", info=about(_("Language"), widget="language"))
    reverse_charge: Mapped[bool] = mapped_column(
        default=False, server_default=false(), info=about(_("Reverse charge"), help=_("The payer owes the tax."))
    )
    credits_id: Mapped[int | None] = mapped_column(
        ForeignKey("invoice.id", ondelete="RESTRICT"), index=True, info=about(_("Credits the invoice"))
    )
    note: Mapped[str] = mapped_column(
        String(2000), default="", server_default="", info=about(_("Note"), widget="area", filtered=False)
    )
    sides: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}", info={"hidden": True})
    """{"payer": {...}, "seller": {...}} as they were when it was issued."""
    key: Mapped[str | None] = mapped_column(String(120), unique=True, info={"hidden": True})
    """What it was made for, where that must happen only once."""
    reminded_on: Mapped[date | None] = mapped_column(info=about(_("Reminded"), css="when"))

    customer: Mapped[Customer] = relationship(lazy="raise")
    account: Mapped[Account] = relationship(lazy="raise")
    project: Mapped[Project] = relationship(lazy="raise")
    payer: Mapped[Payer | None] = relationship(lazy="raise")
    credits: Mapped[Invoice | None] = relationship(lazy="raise", remote_side=[id])
    lines: Mapped[list[InvoiceLine]] = relationship(
        lazy="raise", back_populates="invoice", order_by="InvoiceLine.position", cascade="all, delete-orphan"
    )

    def __str__(self) -> str:
        return self.number or f"#{self.id}"

    @property
    def left(self) -> int:
        """What is still to be paid."""
        return self.total - self.paid - self.credited


class InvoiceLine(Base):
    __tablename__ = "invoice_line"
    __table_args__ = (UniqueConstraint("invoice_id", "position"), CheckConstraint("net + tax = total", name="total"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column()
    kind: Mapped[LineKind] = mapped_column(choice(LineKind), default=LineKind.SALE)
    description: Mapped[str] = mapped_column(String(500), info=about(_("Description")))
    quantity: Mapped[int] = mapped_column(BigInteger, default=1000, info=about(_("Quantity")))
    """In thousandths."""
    unit_price: Mapped[int] = mapped_column(BigInteger, info=about(_("Price")))
    discount: Mapped[int] = mapped_column(BigInteger, default=0, info=about(_("Discount")))
    """In minor units, off quantity times price."""
    tax_rate: Mapped[int] = mapped_column(default=0, info=about(_("Tax rate")))
    tax_name: Mapped[str] = mapped_column(String(60), default="", server_default="")
    net: Mapped[int] = mapped_column(BigInteger, info=about(_("Net")))
    tax: Mapped[int] = mapped_column(BigInteger, default=0, info=about(_("Tax")))
    total: Mapped[int] = mapped_column(BigInteger, info=about(_("Total")))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("service.id", ondelete="RESTRICT"), index=True)
    expense_id: Mapped[int | None] = mapped_column(ForeignKey("expense.id", ondelete="RESTRICT"), unique=True)
    explained: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """Which discounts were considered, which one won and why."""

    invoice: Mapped[Invoice] = relationship(lazy="raise", back_populates="lines")
    service: Mapped[Service | None] = relationship(lazy="raise")
    expense: Mapped[Expense | None] = relationship(lazy="raise")


class InvoicePayment(Base):
    """So much of an invoice was covered, by a transaction of the ledger; the sum of them is `Invoice.paid`.

    Below zero: the payment went back by that transaction, and with it what it had covered.
    """

    __tablename__ = "invoice_payment"
    __table_args__ = (CheckConstraint("amount <> 0", name="amount"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id", ondelete="RESTRICT"), index=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payment.id", ondelete="RESTRICT"), index=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("ledger_transaction.id", ondelete="RESTRICT"), index=True)
    at: Mapped[datetime] = mapped_column(default=utcnow)

    invoice: Mapped[Invoice] = relationship(lazy="raise")
    payment: Mapped[Payment | None] = relationship(lazy="raise")
    transaction: Mapped[Transaction] = relationship(lazy="raise")
