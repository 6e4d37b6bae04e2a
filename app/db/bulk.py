"""Inserting many rows of one table, with their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Dialect, FromClause, Table, func, insert, select
from sqlalchemy.orm import Session

TOGETHER = 200
"""Rows in one statement of SQLite: between two statements its driver wants the interpreter's lock, and at every row it
would wait for another thread that prepares what comes next."""


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
    insert_rows(session, table, [{**row, "id": i} for i, row in zip(ids, many, strict=True)])
    return ids


def insert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns; what they lack has the default of its column. Not audited.

    On SQLite past SQLAlchemy's own way for many rows, which takes longer than the database.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        connection.execute(insert(table), rows)
        return
    given = tuple(rows[0])
    defaults = {c.key: _default(c) for c in table.c if c.key not in rows[0] and c.default is not None}
    columns = (*given, *defaults)
    opening, converts = _compiled(table, columns, connection.dialect)
    marks = f"({', '.join('?' * len(columns))})"
    fixed = [v if (f := converts[c]) is None else f(v) for c, v in defaults.items()]
    ways = [(column, converts[column]) for column in given]
    values = [(*[row[c] if f is None else f(row[c]) for c, f in ways], *fixed) for row in rows]
    whole = len(values) - len(values) % TOGETHER
    for at in range(0, whole, TOGETHER):
        several = tuple(chain.from_iterable(values[at : at + TOGETHER]))
        connection.exec_driver_sql(opening + ", ".join([marks] * TOGETHER), several)
    if values[whole:]:
        connection.exec_driver_sql(opening + marks, values[whole:])


@lru_cache(maxsize=200)
def _compiled(table: Table, columns: tuple[str, ...], dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """The statement up to its values, which are in this order, and what makes of a value one that the driver takes."""
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(table.c[c].name) for c in columns)
    converts = {c: table.c[c].type.dialect_impl(dialect).bind_processor(dialect) for c in columns}
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES ", converts  # noqa: S608


def _default(column: Any) -> Any:
    return column.default.arg(None) if column.default.is_callable else column.default.arg
