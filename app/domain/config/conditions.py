"""Filters in a configuration file: the rows that they name are called by their names, not by their ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app import filters
from app.db import Base
from app.domain.config.refs import Refs
from app.domain.config.shapes import NOTHING, At, Shape, mapped
from app.domain.config.yamlfile import Node, Scalar, plain
from app.filters import Kind

_ORDER = ("field", "op", "n", "value", "where", "all", "any", "not")
SECTION_OF: dict[str, str] = {}
"""Table -> the section in which its rows have their names; sections put themselves in."""


@dataclass
class Condition(Shape):
    """A filter over `model`; null: none."""

    model: type[Base] | None = None
    optional: bool = True

    def model_of(self, row: Any) -> Any:
        """Of whose rows it is. row: as plain data, or that of the database."""
        return self.model

    def parse(self, node: Node, at: At) -> Any:
        if isinstance(node, Scalar) and node.plain and node.text in NOTHING and self.optional:
            return None
        found = plain(mapped(node, at))

        def use(section: str, value: Any) -> Any:
            if isinstance(value, str):
                at.uses.append((section, value, at.wrong("", node)))
            return value

        _each(found, self.model_of(at.row), use)
        return found

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return _each(value, self.model_of(row), lambda section, v: refs.label(section, v) or v)

    def meant(self, value: Any, refs: Refs, row: Any) -> Any:
        return _each(value, self.model_of(row), lambda section, v: refs.meant(section, v) if isinstance(v, str) else v)

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        return _each(value, self.model_of(row), lambda section, v: refs.id(section, v) if isinstance(v, str) else v)


def _each(condition: Any, model: Any, change: Callable[[str, Any], Any]) -> Any:
    """The condition with `change(section, value)` in the place of each value that stands for a row. What is no
    condition stays as it is: whoever uses it refuses it."""
    if not isinstance(condition, dict) or model is None:
        return condition
    made = {word: condition[word] for word in (*_ORDER, *sorted(condition.keys() - {*_ORDER})) if word in condition}
    for word in ("all", "any"):
        if isinstance(made.get(word), list):
            made[word] = [_each(inner, model, change) for inner in made[word]]
    if "not" in made:
        made["not"] = _each(made["not"], model, change)
    known = filters.fields(model).get(made["field"]) if isinstance(made.get("field"), str) else None
    if known is None or known.target is None:
        return made
    if "where" in made:
        made["where"] = _each(made["where"], known.target, change)
    section = SECTION_OF.get(known.target.__tablename__)
    if known.kind is Kind.REF and section is not None and "value" in made:
        value = made["value"]
        made["value"] = [change(section, v) for v in value] if isinstance(value, list) else change(section, value)
    return made
