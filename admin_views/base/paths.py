"""The way from a table to the customer it belongs to, by foreign keys, so that every screen obeys a pinned customer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, inspect


def shortest(model: type, target: str) -> tuple[str, ...] | None:
    """Names of the many-to-one relations from `model` to table `target`; None when there is no way.

    Raises LookupError when two ways are equally short: the screen then has to name one (`through`).
    """
    ways: list[tuple[tuple[str, ...], Any]] = [((), inspect(model))]
    seen = {model}
    while ways:
        found = [way for way, mapper in ways if way and mapper.class_.__tablename__ == target]
        if len(found) > 1:
            names = ", ".join(".".join(way) for way in found)
            raise LookupError(f"{model.__name__} reaches {target} by {names}: name one of them in `through`")
        if found:
            return found[0]
        following = []
        for way, mapper in ways:
            for relation in mapper.relationships:
                if relation.direction.name == "MANYTOONE" and relation.mapper.class_ not in seen:
                    following.append(((*way, relation.key), relation.mapper))
        seen |= {mapper.class_ for _way, mapper in following if mapper.class_.__tablename__ != target}
        ways = following
    return None


def belongs_to(model: Any, way: tuple[str, ...], ids: tuple[int, ...]) -> ColumnElement[bool]:
    """The rows whose way leads to one of these ids; the last step compares the foreign key, without a join."""
    relation = inspect(model).relationships[way[0]]
    if len(way) > 1:
        inner: ColumnElement[bool] = getattr(model, way[0]).has(belongs_to(relation.mapper.class_, way[1:], ids))
        return inner
    column = next(iter(relation.local_columns))
    condition: ColumnElement[bool] = getattr(model, inspect(model).get_property_by_column(column).key).in_(ids)
    return condition


def of_asked(
    rows: Select[Any], of: Callable[[tuple[int, ...]], ColumnElement[bool] | None], asked: Mapping[str, str]
) -> Select[Any]:
    """Only the rows of the customer whom the address names with ``customer=7``. of: the condition for their ids."""
    who = asked.get("customer", "")
    mine = of((int(who),)) if who.isascii() and who.isdecimal() and len(who) < 19 else None
    return rows if mine is None else rows.where(mine)
