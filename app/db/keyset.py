"""Paging by keyset: the order of rows, and what is behind one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Enum, String, func, inspect, literal, tuple_, type_coerce

from app.db.base import UtcDateTime
from app.db.prepared import given


@dataclass(frozen=True)
class Key:
    """One expression of the sort order; `attr` is the name of the same value in a row."""

    expression: ColumnElement[Any]
    attr: str
    empty: Any
    descending: bool
    own: bool = False
    """Of a custom field: the expression itself is read, no column."""

    def value(self, stored: Any) -> Any:
        kind = type(self.empty)
        return self.empty if stored is None else kind(stored) if self.own else stored  # numbers come as Decimal

    def of(self, row: Any) -> Any:
        return self.value(getattr(row, self.attr))


def empty_of(kind: Any) -> Any:
    """What stands for NULL in the order, for a column type."""
    if isinstance(kind, UtcDateTime):
        return datetime(1, 1, 2, tzinfo=UTC)
    python = kind.python_type
    return date(1, 1, 2) if python is date else (False if python is bool else (0 if python is int else ""))


def keys_of(model: Any, sort: str, *, descending: bool) -> list[Key]:
    """The sort order: this column, then the primary key as a tie-breaker, all in one direction. sort: empty for the
    primary key alone."""
    mapper = inspect(model)
    names = [mapper.get_property_by_column(c).key for c in mapper.primary_key]
    if sort:
        names = [sort, *(n for n in names if n != sort)]
    keys = []
    for name in names:
        column = mapper.column_attrs[name].columns[0]
        expression: ColumnElement[Any] = getattr(model, name)
        empty = empty_of(column.type)
        if column.nullable:
            kind = String() if isinstance(column.type, Enum) else column.type  # none of its members is empty
            expression = func.coalesce(type_coerce(expression, kind), literal(empty, kind))
        keys.append(Key(expression, name, empty, descending))
    return keys


def order_by(keys: Sequence[Key], *, descending: bool) -> list[ColumnElement[Any]]:
    return [k.expression.desc() if descending else k.expression.asc() for k in keys]


def beyond(keys: Sequence[Key], *, backwards: bool = False) -> ColumnElement[bool]:
    """Rows behind (or before) the row whose values are the parameters ``key_0``, ``key_1`` ..."""
    # compared as a whole it is one range of an index; taken apart into ANDs and ORs both databases read the index
    # from its beginning. Keys are never NULL.
    here = tuple_(*(k.expression for k in keys))
    there = tuple_(*(given(f"key_{i}", k.expression.type) for i, k in enumerate(keys)))
    return here < there if keys[0].descending is not backwards else here > there
