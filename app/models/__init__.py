"""All tables. Importing this package registers every mapper, the audit and the scope."""

from app.models import (
    attachments,
    audit,
    billing,
    catalog,
    config,
    confirmations,
    consent,
    customers,
    discounts,
    factors,
    fields,
    imports,
    inbound,
    jobs,
    labels,
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
    views,
)

__all__ = [
    "attachments", "audit", "billing", "catalog", "config", "confirmations", "consent", "customers", "discounts",
    "factors", "fields", "imports", "inbound", "jobs", "labels", "ledger", "messaging", "privacy", "projects",
    "registrations", "scope", "sessions", "staff", "templates", "tickets", "users", "views",
]  # fmt: skip

labels.name_columns()
