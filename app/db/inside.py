"""What lies inside a JSON column, in the words of both databases: values by kind, and rows that hold a value.

The key stands in the statement as it is, not as a parameter, so that an index on the expression serves it; it is the
key of a custom field, which consists of a-z, 0-9 and _.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, ColumnElement, Dialect, String, TypeDecorator, func, literal, or_, select
from sqlalchemy import literal_column as as_it_is
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from app.db.base import Base
from app.db.extra import Extra, extras

KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


class IsoDay(TypeDecorator[date]):
    """A day as JSON holds it: its text, which sorts as the days do."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: date | str | None, dialect: Dialect) -> str | None:
        return value.isoformat() if isinstance(value, date) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> date | None:
        return None if value is None else date.fromisoformat(value)


class _Inside(FunctionElement[Any]):
    inherit_cache = True
    kind: ClassVar[TypeEngine[Any]] = String()

    def __init__(self, column: Any, key: str) -> None:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} cannot be the key of a custom field")
        super().__init__(column, as_it_is(f"'{key}'"))
        self.type = self.kind


# a class for each kind: the type is no part of the key by which compiled statements are kept


class text_in(_Inside):
    """A text; of anything else its JSON."""

    inherit_cache = True


class day_in(_Inside):
    kind = IsoDay()
    inherit_cache = True


class number_in(_Inside):
    kind = BigInteger()
    inherit_cache = True


class truth_in(_Inside):
    """Never NULL: what is not there is false."""

    kind = Boolean()
    inherit_cache = True


def _parts(element: Any, compiler: Any, kw: dict[str, Any]) -> tuple[str, str]:
    column, key = (compiler.process(clause, **kw) for clause in element.clauses)
    return str(column), str(key)


@compiles(_Inside, "sqlite")
def _sqlite(element: _Inside, compiler: Any, **kw: Any) -> str:
    column, key = _parts(element, compiler, kw)
    return f"json_extract({column}, '$.{key[1:]})"


@compiles(truth_in, "sqlite")
def _truth_sqlite(element: truth_in, compiler: Any, **kw: Any) -> str:
    return f"(coalesce({_sqlite(element, compiler, **kw)}, 0) = 1)"


@compiles(_Inside, "postgresql")
def _postgresql(element: _Inside, compiler: Any, **kw: Any) -> str:
    column, key = _parts(element, compiler, kw)
    return f"({column} ->> {key})"


@compiles(number_in, "postgresql")
def _number_postgresql(element: number_in, compiler: Any, **kw: Any) -> str:
    column, key = _parts(element, compiler, kw)
    return f"(CASE WHEN jsonb_typeof({column} -> {key}) = 'number' THEN ({column} ->> {key})::numeric END)"


@compiles(truth_in, "postgresql")
def _truth_postgresql(element: truth_in, compiler: Any, **kw: Any) -> str:
    column, key = _parts(element, compiler, kw)
    return f"""({column} @> '{{"{key.strip("'")}": true}}'::jsonb)"""


class _Either(FunctionElement[bool]):
    """One condition, in the form in which each database has an index for it."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        return self


@compiles(_Either)
def _usual(element: _Either, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(next(iter(element.clauses)), **kw)})"


@compiles(_Either, "sqlite")
def _of_sqlite(element: _Either, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(list(element.clauses)[1], **kw)})"


def holds(
    column: Any, key: str, values: Sequence[Any], value: ColumnElement[Any] | None = None, *, many: bool = False
) -> ColumnElement[bool]:
    """Rows whose value is one of these, or with `many`, whose list has one of them. value: the expression that SQLite
    compares; PostgreSQL asks its GIN index."""
    contained = or_(*(column.op("@>", is_comparison=True)(_json(key, [v] if many else v)) for v in values))
    if many:
        each = func.json_each(column, as_it_is(f"'$.{key}'")).table_valued("value")
        there: Any = select(literal(1)).select_from(each).where(each.c.value.in_(list(values))).exists()
    else:
        there = (text_in(column, key) if value is None else value).in_(list(values))
    return _Either(contained, there)


def _json(key: str, value: Any) -> Any:
    return literal({key: value}, JSONB)


# ---- indexes --------------------------------------------------------------------------------------------------------

PREFIX = "cf_"
"""Of indexes that are made on demand; Alembic does not look at them."""


def _customised() -> list[str]:
    return sorted(table.name for table in Base.metadata.tables.values() if "custom_folded" in table.c)


def _gin(dialect: str) -> list[str]:
    if dialect != "postgresql":
        return []
    return [
        f'CREATE INDEX ix_{table}_{column} ON "{table}" USING gin ({column} jsonb_path_ops)'
        for table in _customised()
        for column in ("custom", "custom_folded")
    ]


def _drop_gin(dialect: str) -> list[str]:
    return [] if dialect != "postgresql" else [f"DROP INDEX IF EXISTS ix_{t}_{c}" for t in _customised()
                                               for c in ("custom", "custom_folded")]  # fmt: skip


extras.append(Extra("custom_values", _gin, _drop_gin))


def index_name(table: str, key: str) -> str:
    return f"{PREFIX}{table}_{key}"


def order_index_name(table: str, key: str) -> str:
    return f"{PREFIX}{table}__{key}"


def make_index(table: str, key: str, *, folded: bool, few: bool) -> list[str]:
    """What makes the index of one field on SQLite, which `holds` and comparisons of its value use, and tells the
    planner about it. few: the field has few values, each in many rows."""
    column = "custom_folded" if folded else "custom"
    name = index_name(table, key)
    return [
        f'''CREATE INDEX IF NOT EXISTS "{name}" ON "{table}" (json_extract({column}, '$.{key}'), id)''',
        *_told(table, name, few=few),
    ]


def make_order_index(table: str, key: str, expression: str, *, few: bool, sqlite: bool) -> list[str]:
    """What makes the index that lists sorted by `expression` are read from. few: as of `make_index`."""
    name = order_index_name(table, key)
    made = f'CREATE INDEX IF NOT EXISTS "{name}" ON "{table}" (({expression}), id)'
    return [made, *(_told(table, name, few=few) if sqlite else ())]


def _told(table: str, name: str, *, few: bool) -> list[str]:
    stat = "1000000 50000 1" if few else "1000000 10 1"  # as `_statistics` has it for the other indexes
    return [
        "ANALYZE sqlite_master",
        f"DELETE FROM sqlite_stat1 WHERE idx = '{name}'",  # noqa: S608
        f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{name}', '{stat}')",  # noqa: S608
    ]


def index_names(table: str, key: str) -> list[str]:
    return [index_name(table, key), order_index_name(table, key)]


def drop_indexes(table: str, key: str) -> list[str]:
    return [f'DROP INDEX IF EXISTS "{name}"' for name in index_names(table, key)]
