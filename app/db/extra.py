"""What Alembic does not compare: triggers, expression indexes, virtual tables, and what SQLite's planner is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Extra:
    """A trigger, an expression index or a virtual table: dropped and made anew after each migration."""

    name: str
    create: Callable[[str], list[str]]
    drop: Callable[[str], list[str]]
    guard: bool = False
    """It only refuses what nobody should do; lifted for the moment in which demo data is removed."""


extras: list[Extra] = []
"""What Alembic does not compare, in the order in which it is made."""


_CUSTOMER = {
    "ix_customer_project": "1000000 333334 66667 1",
    "ix_customer_status": "1000000 250000 1",
    "ix_customer_kind": "1000000 333334 1",
    "ix_customer_country": "1000000 50000 1",
    "ix_customer_language": "1000000 100000 1",
    "ix_customer_name_folded": "1000000 2 1",
    "ix_customer_email_folded": "1000000 2",
    "ix_customer_registered": "1000000 2 1",
    "ix_customer_responsible_id": "1000000 50000",
    "ix_customer_phone": "900000 2",
    "ix_customer_vat_number": "300000 2",
    "ix_customer_merged_into_id": "10000 2",
}
"""Per index: rows of the table, then rows that agree in its first column, its first two ... as ANALYZE would write.

Without it SQLite takes ``status in (new, active)`` for rare and sorts all customers for one page: 4 s at a million,
and so does a sampled ANALYZE. Told once, it plans for many customers from the first day, the same way everywhere.
"""


def _statistics(dialect: str) -> list[str]:
    if dialect != "sqlite":
        return []
    rows = ", ".join(f"('customer', '{index}', '{stat}')" for index, stat in _CUSTOMER.items())
    return [
        "ANALYZE sqlite_master",  # makes the table, if there is none
        "DELETE FROM sqlite_stat1 WHERE tbl = 'customer'",
        f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES {rows}",  # noqa: S608
    ]


extras.append(Extra("statistics", _statistics, lambda _dialect: []))
