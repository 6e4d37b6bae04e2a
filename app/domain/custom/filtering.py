"""Custom fields in the filter language, under ``custom_<key>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from app import filters
from app.db import Searchable, day_in, fold, holds, narrow, number_in, text_in, truth_in
from app.domain.custom.spec import PLAIN, Spec
from app.filters import Source
from app.models.custom import CustomKind

KINDS = {
    CustomKind.NUMBER: "number", CustomKind.MONEY: "number", CustomKind.DATE: "date", CustomKind.CHOICE: "choice",
    CustomKind.CHOICES: "choice", CustomKind.YES_NO: "boolean",
}  # fmt: skip
"""All others are texts. Money has one currency per field, so it is compared as a number with its decimals."""
_declared: list[tuple[Any, str]] = []


def declare(specs: Iterable[Spec]) -> None:
    """Make these the custom fields that can be filtered by, and no others."""
    while _declared:
        filters.withdraw(*_declared.pop())
    for spec in specs:
        filters.computed(
            spec.model, spec.name, spec.label, KINDS.get(spec.kind, "text"), _source(spec),
            choices=_options(spec) if spec.options else None, closed=bool(spec.options), digits=spec.digits,
        )  # fmt: skip
        _declared.append((spec.model, spec.name))


def _options(spec: Spec) -> Callable[[], list[tuple[str, str]]]:
    return lambda: [(o.key, str(o.label)) for o in spec.options]


def _source(spec: Spec) -> Callable[[Any], Source]:
    key = spec.key

    def text(entity: Any) -> Source:
        folded = text_in(entity.custom_folded, key)

        def own(op: str, value: Any) -> Any:
            if op != "is":
                return None
            plain = fold(value)
            test = holds(entity.custom_folded, key, [plain], folded)
            return test if spec.indexed else narrow(test, entity, [plain], indexed=True)

        within = entity if issubclass(spec.model, Searchable) else None
        return Source(text_in(entity.custom, key), folded, own=own, within=within)

    def number(entity: Any) -> Source:
        value = number_in(entity.custom, key)
        own = lambda op, v: holds(entity.custom, key, [v], value) if op == "is" else None  # noqa: E731
        return Source(value, own=own)

    def chosen(entity: Any) -> Source:
        value, many = text_in(entity.custom, key), spec.kind is CustomKind.CHOICES

        def own(op: str, given: Any) -> Any:
            return holds(entity.custom, key, given, many=many) if op == "in" else value.is_not(None)

        return Source(value, own=own)

    if spec.kind in PLAIN:
        return text
    if spec.kind in (CustomKind.NUMBER, CustomKind.MONEY):
        return number
    if spec.kind is CustomKind.DATE:
        return lambda entity: Source(day_in(entity.custom, key))
    if spec.kind is CustomKind.YES_NO:
        return lambda entity: Source(truth_in(entity.custom, key), nullable=False)
    return chosen
