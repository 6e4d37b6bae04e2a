"""All tables. Importing this package registers every mapper, the audit and the scope."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
from app.models import (
    attachments,
    audit,
    billing,
    catalog,
    confirmations,
    consent,
    customers,
    discounts,
    factors,
    fields,
    imports,
    inbound,
    jobs,
    ledger,
    messaging,
    privacy,
    projects,
    registrations,
    scope,
    sessions,
    staff,
    templates,
    tickets,
    users,
    widgets,
)

__all__ = [
    "attachments", "audit", "billing", "catalog", "confirmations", "consent", "customers", "discounts", "factors",
    "fields", "imports", "inbound", "jobs", "ledger", "messaging", "privacy", "projects", "registrations", "scope",
    "sessions", "staff", "templates", "tickets", "users", "widgets",
]  # fmt: skip
