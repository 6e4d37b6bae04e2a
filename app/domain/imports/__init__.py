"""Imports: customers and paid invoices out of CSV files. A second import of the same file changes nothing."""

from app.domain.imports.customers import import_customers
from app.domain.imports.invoices import InvoiceReport, import_invoices
from app.domain.imports.report import ImportReport, RowError, RowNote

__all__ = ["ImportReport", "InvoiceReport", "RowError", "RowNote", "import_customers", "import_invoices"]
