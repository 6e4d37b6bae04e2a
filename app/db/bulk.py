"""Inserting many rows of one table, with their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import FromClause, Table, func, insert, select
from sqlalchemy.orm import Session


def insert_all(session: Session, table: FromClause, rows: Iterable[Mapping[str, Any]]) -> Sequence[int]:
    """Insert rows that all have the same columns; gives their ids (the column `id`) in the same order.

    PostgreSQL returns them. SQLite would have to be asked row by row, but there a writing transaction is alone, so the
    ids are counted on from the highest. Not audited: the caller writes what was done.
    """
    assert isinstance(table, Table)
    connection, many = session.connection(), list(rows)
    if not many:
        return ()
    if connection.dialect.name != "sqlite":
        made = connection.execute(insert(table).returning(table.c.id, sort_by_parameter_order=True), many)
        return made.scalars().all()
    first = connection.execute(select(func.coalesce(func.max(table.c.id), 0) + 1)).scalar_one()
    ids = range(first, first + len(many))
    connection.execute(insert(table), [{**row, "id": i} for i, row in zip(ids, many, strict=True)])
    return ids
