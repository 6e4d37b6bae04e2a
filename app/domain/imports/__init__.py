"""Imports: customers out of a CSV file. A second import of the same file changes nothing."""

from app.domain.imports.customers import ImportReport, RowError, RowNote, import_customers

__all__ = ["ImportReport", "RowError", "RowNote", "import_customers"]
