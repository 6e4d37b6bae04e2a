"""The order of rows by a custom field. What has no value stands where the smallest would, as with columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Dialect, Integer, String, case, func
from sqlalchemy import literal_column as as_it_is

from app.db import inside, number_in, text_in, truth_in
from app.domain.custom.spec import PLAIN, Spec
from app.models.custom import CustomKind

SORTABLE = frozenset(CustomKind) - {CustomKind.CHOICES, CustomKind.LONG}
LETTERS = 100
"""So many of a text decide: a page marker holds them, and so does the index."""


def order(spec: Spec, entity: Any) -> ColumnElement[Any]:
    """What rows are sorted by, never NULL; the index has the same expression, so nothing in it is a parameter. Choices
    stand in the order in which they are offered."""
    key = spec.key
    if spec.kind in (CustomKind.NUMBER, CustomKind.MONEY):
        return func.coalesce(number_in(entity.custom, key), as_it_is("0", BigInteger))
    if spec.kind is CustomKind.YES_NO:
        return truth_in(entity.custom, key)
    if spec.kind is CustomKind.CHOICE:
        value, places = text_in(entity.custom, key), enumerate(spec.options, 1)
        ranks = [(value == as_it_is(f"'{o.key}'", String), as_it_is(str(n), Integer)) for n, o in places]
        return case(*ranks, else_=as_it_is("0", Integer))
    text: ColumnElement[Any] = text_in(entity.custom, key)
    if spec.kind in PLAIN:
        letters = as_it_is("1", Integer), as_it_is(str(LETTERS), Integer)
        text = func.substr(text_in(entity.custom_folded, key), *letters, type_=String)
    return func.coalesce(text, as_it_is("''", String))


def make_index(spec: Spec, dialect: Dialect) -> list[str]:
    """What makes the index that a list sorted by the field is read from."""
    if spec.kind not in SORTABLE:
        return []
    table, few = spec.model.__tablename__, spec.kind in (CustomKind.CHOICE, CustomKind.YES_NO)
    expression = order(spec, spec.model.__table__.c)
    told = expression.compile(dialect=dialect, compile_kwargs={"include_table": False})
    return inside.make_order_index(table, spec.key, str(told), few=few, sqlite=dialect.name == "sqlite")
