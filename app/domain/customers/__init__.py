"""Customers: registering and changing them, their groups and notes, their status, and removing them."""

from app.domain.customers.bulk import Newcomer, newcomer, register_many
from app.domain.customers.clearing import clear, kept_of, refusals_to_clear
from app.domain.customers.fields import FIELDS, CustomerFields, Duplicate, doubts, duplicates
from app.domain.customers.kind import change_kind
from app.domain.customers.removal import Attached, attached, delete_customer, refusals
from app.domain.customers.saving import (
    Change,
    add_note,
    change_customer,
    change_customers,
    register_customer,
    same,
    set_attitude,
    set_available_projects,
    set_groups,
)
from app.domain.customers.status import (
    CUSTOMER_MOVES,
    close_customer,
    close_customers,
    refresh_status,
    refresh_statuses,
    reopen_customer,
    suspend_customer,
)

__all__ = [
    "CUSTOMER_MOVES",
    "FIELDS",
    "Attached",
    "Change",
    "CustomerFields",
    "Duplicate",
    "Newcomer",
    "add_note",
    "attached",
    "change_customer",
    "change_customers",
    "change_kind",
    "clear",
    "close_customer",
    "close_customers",
    "delete_customer",
    "doubts",
    "duplicates",
    "kept_of",
    "newcomer",
    "refresh_status",
    "refresh_statuses",
    "refusals",
    "refusals_to_clear",
    "register_customer",
    "register_many",
    "reopen_customer",
    "same",
    "set_attitude",
    "set_available_projects",
    "set_groups",
    "suspend_customer",
]  # fmt: skip
