"""What is asked for and paid: payers, payments, invoices, expenses, documents, and the rates that are used."""

from __future__ import annotations

from app.models.billing.documents import Document, DocumentKind, DocumentTemplate
from app.models.billing.expenses import Cover, Expense
from app.models.billing.frozen import FROZEN
from app.models.billing.invoices import (
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoicePayment,
    InvoiceStatus,
    LineKind,
    NumberSeries,
)
from app.models.billing.methods import Gateway, PaymentMethod
from app.models.billing.payers import Payer, PayerKind
from app.models.billing.payments import Payment, PaymentEvent, PaymentEventKind, PaymentInvoice, PaymentStatus
from app.models.billing.rates import ExchangeRate, TaxRate

__all__ = [
    "FROZEN", "Cover", "Document", "DocumentKind", "DocumentTemplate", "ExchangeRate", "Expense", "Gateway", "Invoice",
    "InvoiceKind", "InvoiceLine", "InvoicePayment", "InvoiceStatus", "LineKind", "NumberSeries", "Payer", "PayerKind",
    "Payment", "PaymentEvent", "PaymentEventKind", "PaymentInvoice", "PaymentMethod", "PaymentStatus",
    "TaxRate",
]  # fmt: skip
