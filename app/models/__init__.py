"""All tables. Importing this package registers every mapper, the audit and the scope."""

from app.models import (
    attachments,
    audit,
    billing,
    catalog,
    customers,
    fields,
    imports,
    inbound,
    jobs,
    messaging,
    projects,
    scope,
    sessions,
    staff,
    tickets,
    users,
)

__all__ = [
    "attachments", "audit", "billing", "catalog", "customers", "fields", "imports", "inbound", "jobs", "messaging",
    "projects", "scope", "sessions", "staff", "tickets", "users",
]  # fmt: skip
