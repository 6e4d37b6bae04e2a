"""Conditions: what a filter says, as immutable values and as JSON. What is wrong with one is a `FilterProblem`."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from dataclasses import dataclass

from app.errors import AppError

MAX_DEPTH = 8
"""Levels of all / any / not / where, the leaf included."""
MAX_CONDITIONS = 200
"""all, any, not and leaves together."""
MAX_STRING = 1_000
MAX_LIST = 1_000
MAX_VALUES = 10_000
"""Values of all lists together: both databases take at most 32,766 parameters in one statement."""
MAX_WORDS = 20
"""Words in the value of one `contains`: each is a comparison of its own."""
MAX_JSON = 200_000
"""Characters of one filter as JSON text."""

Value = str | int | bool | tuple[str | int, ...] | None


class FilterProblem(AppError):
    """A filter that cannot be taken. `path` names the place, such as ``all[1].value``; `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}" if path else str(reason))


@dataclass(frozen=True)
class All:
    """Every one of them holds. Without any: holds for every row."""

    of: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Any:
    """At least one of them holds. Without any: holds for no row."""

    of: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Not:
    """`of` does not hold; what is unknown (NULL) counts as not holding, so its `Not` holds."""

    of: Condition


@dataclass(frozen=True)
class Leaf:
    """One comparison. `where`: what the related rows must fulfil, None: nothing. `n`: how many, for the counts."""

    field: str
    op: str
    value: Value = None
    where: Condition | None = None
    n: int | None = None


Condition = All | Any | Not | Leaf


def to_json(condition: Condition) -> dict[str, t.Any]:
    """The condition as JSON data; `parse` gives an equal condition back."""
    match condition:
        case All(of):
            return {"all": [to_json(c) for c in of]}
        case Any(of):
            return {"any": [to_json(c) for c in of]}
        case Not(inner):
            return {"not": to_json(inner)}
        case Leaf(field, op, value, where, n):
            data: dict[str, t.Any] = {"field": field, "op": op}
            if value is not None:
                data["value"] = list(value) if isinstance(value, tuple) else value
            if n is not None:
                data["n"] = n
            if where is not None:
                data["where"] = to_json(where)
            return data


def walk(condition: Condition, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """(path, leaf) of every leaf on the rows themselves; what is asked of related rows stays inside its leaf."""
    dot = f"{path}." if path else ""
    match condition:
        case All(of):
            for i, inner in enumerate(of):
                yield from walk(inner, f"{dot}all[{i}]")
        case Any(of):
            for i, inner in enumerate(of):
                yield from walk(inner, f"{dot}any[{i}]")
        case Not(inner):
            yield from walk(inner, f"{dot}not")
        case Leaf():
            yield path, condition


def is_empty(condition: Condition | None) -> bool:
    """It asks nothing of a row. Messages and bulk changes refuse such a filter: empty never means all."""
    return condition is None or next(walk(condition), None) is None
