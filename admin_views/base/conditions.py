"""Conditions in forms: the field that holds one, what the builder offers, and what it is told while it is used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import TextAreaField, validators

from admin_views.access import filterable
from admin_views.base.reading import names_of
from app import filters
from app.db import Base
from app.i18n import gettext, heading

if TYPE_CHECKING:
    from admin_views.base.screen import AppView

Model = type[Base]
NAMED = 200
"""So many rows of one table are named; a longer list is shown by its numbers."""
FEW = 8
"""So many choices are shown as boxes; more are found by typing."""


class ConditionField(TextAreaField):
    """A filter of rows of `model`, made with the builder (builder.js), without scripts as JSON text. `data`: the
    condition as it is stored, or None. Works in every form.

    `stored`: what the row has now. It is taken back as it is, also when it is broken, so that the rest can be saved.
    """

    data: Any

    def __init__(
        self, label: str = "", validators: Any = None, *, model: Model, required: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(label, validators, **kwargs)
        self.model, self.required = model, required
        self.flags.required = required
        self.type = "ConditionField"
        self.stored: Any = None
        self.text: str | None = None
        base = f"/admin/{model.__tablename__}"
        self.fields_url, self.look_url = f"{base}/fields", f"{base}/condition"

    def process_data(self, value: Any) -> None:
        self.data, self.stored, self.text = value, value, None

    def process_formdata(self, valuelist: list[str]) -> None:
        self.text, self.data = valuelist[0].strip() if valuelist else "", None
        if not self.text:
            return
        try:
            self.data = filters.loads(self.text)
        except filters.FilterProblem as problem:
            raise ValueError(str(problem)) from None

    def pre_validate(self, form: Any) -> None:
        if self.process_errors:
            return
        if self.data is not None and (self.text is None or self.data != self.stored):
            try:
                self.data = checked(self.data, self.model)
            except filters.FilterProblem as problem:
                said = gettext("The filter cannot be used: %(reason)s") % {"reason": problem.reason}
                raise validators.StopValidation(said) from None
        if self.required and self.data is None:
            raise validators.StopValidation(gettext("Add at least one condition."))

    def _value(self) -> str:
        if self.text is not None:
            return self.text
        return "" if self.data is None else json.dumps(self.data, ensure_ascii=False)


def keep_stored(form: Any, values: Mapping[str, Any]) -> None:
    """Tell the conditions of a posted form what their row has."""
    for field in form:
        if isinstance(field, ConditionField):
            field.stored = values.get(field.name)


def checked(data: Any, model: Model) -> dict[str, Any] | None:
    """The condition as it is stored; None when nothing is asked. Raises FilterProblem also for a group without
    conditions: it would mean everybody, or nobody, and nobody means that."""
    parsed = filters.parse(data, model, filterable)
    if isinstance(parsed, filters.All) and not parsed.of:
        return None
    for path, group in _groups(parsed, ""):
        if not group.of:
            raise filters.FilterProblem(path, gettext("This group is empty. Add a condition, or take it away."))
    return filters.to_json(parsed)


def _groups(condition: filters.Condition | None, path: str) -> Iterator[tuple[str, filters.All | filters.Any]]:
    dot = f"{path}." if path else ""
    match condition:
        case filters.All() | filters.Any():
            yield path, condition
            word = "all" if isinstance(condition, filters.All) else "any"
            for i, inner in enumerate(condition.of):
                yield from _groups(inner, f"{dot}{word}[{i}]")
        case filters.Not(inner):
            yield from _groups(inner, f"{dot}not")
        case filters.Leaf():
            yield from _groups(condition.where, f"{dot}where")


# ---- what the builder offers -------------------------------------------------------------------------------------


def catalogue(model: Model) -> list[dict[str, Any]]:
    """The fields that whoever asks may filter by, with their operators and choices. Made anew each time: fields come
    and go while people work."""
    mapper: Any = inspect(model)
    offered = []
    for known in filters.fields(model).values():
        if known.name == "search" or not filterable(model, known.name):
            continue
        info = mapper.column_attrs[known.column].columns[0].info if known.column else {}
        related = known.kind is filters.Kind.RELATION
        group = gettext("Related") if related else gettext(str.__str__(info.get("group", "")) or "More")
        group = heading(group, model.__tablename__)
        shown: dict[str, Any] = {
            "name": known.name, "label": str(known.label), "group": group, "kind": known.kind.value, "ops": known.ops
        }  # fmt: skip
        if known.options is not None:
            shown["choices"] = known.choices
        if known.digits:
            shown["digits"] = known.digits
        if known.target is not None:
            shown["target"] = known.target.__tablename__
        offered.append(shown)
    return offered


# ---- what it is told ---------------------------------------------------------------------------------------------


Names = dict[Model, dict[int, str]]


async def names_in(
    session: AsyncSession, data: Any, model: Model, known: Callable[[Model], bool] | None = None
) -> Names:
    """The names of the rows that a condition speaks of, also of a broken one. known: of which tables the reader may
    learn names."""
    found: dict[Model, set[int]] = {}
    _collect(data, model, found, filters.MAX_DEPTH)
    told = {m: ids for m, ids in found.items() if known is None or known(m)}
    return {m: await names_of(session, m, sorted(ids)[:NAMED]) for m, ids in told.items()}


def _collect(data: Any, model: Model, found: dict[Model, set[int]], depth: int) -> None:
    if not isinstance(data, dict) or depth == 0:
        return
    for word in ("all", "any"):
        of = data.get(word)
        for inner in of[: filters.MAX_CONDITIONS] if isinstance(of, list) else ():
            _collect(inner, model, found, depth - 1)
    _collect(data.get("not"), model, found, depth - 1)
    name = data.get("field")
    known = filters.fields(model).get(name) if isinstance(name, str) else None
    if known is None or known.target is None:
        return
    if known.kind is filters.Kind.RELATION:
        _collect(data.get("where"), known.target, found, depth - 1)
        return
    value = data.get("value")
    for one in value[: filters.MAX_LIST] if isinstance(value, list) else [value]:
        if isinstance(one, int) and not isinstance(one, bool) and 0 < one < 2**63:
            found.setdefault(known.target, set()).add(one)


async def in_words(session: AsyncSession, data: Any, model: Model) -> tuple[str, str]:
    """(the condition as a sentence, why it cannot be used): one of the two is empty."""
    try:
        parsed = filters.parse(data, model)
    except filters.FilterProblem as problem:
        return "", str(problem)
    return filters.say(parsed, model, await names_in(session, data, model)), ""


async def told(session: AsyncSession, label: str, data: Any, model: Model, words: list[str]) -> dict[str, Any]:
    """A section of a card (`ui.section`): a condition in words, `words` below it, and why one row is in or out. A
    broken one says why it cannot be used, and that it means nobody."""
    said, problem = await in_words(session, data, model)
    base = f"/admin/{model.__tablename__}"
    asks = {"text": json.dumps(data), "fields_url": f"{base}/fields", "look_url": f"{base}/condition",
            "lookup_url": f"{base}/lookup"}  # fmt: skip
    section: dict[str, Any] = {"label": label, "kind": "condition", "said": said, "words": words, "why": asks}
    if problem:
        broken = gettext("This condition cannot be used and means nobody: %(reason)s") % {"reason": problem}
        section |= {"problem": broken, "why": None}
    return section


def holds(condition: filters.Condition, leaves: Mapping[str, bool], path: str = "") -> bool:
    """Whether the whole holds, when it is known which of its leaves do."""
    dot = f"{path}." if path else ""
    match condition:
        case filters.All(of):
            return all(holds(c, leaves, f"{dot}all[{i}]") for i, c in enumerate(of))
        case filters.Any(of):
            return any(holds(c, leaves, f"{dot}any[{i}]") for i, c in enumerate(of))
        case filters.Not(inner):
            return not holds(inner, leaves, f"{dot}not")
        case _:
            return leaves[path]


async def why(
    session: AsyncSession, condition: filters.Condition, view: AppView, pk: int, names: Names
) -> dict[str, Any]:
    """Which conditions hold for one row, and whether it is in. Raises NotFound for a row that the list cannot show."""
    told = await filters.explain(session, condition, view.model, pk, names=names, only=view.always())
    lines = []
    for path, text, true in told:
        unwanted = path.split(".").count("not") % 2 == 1  # under an odd number of `not`
        lines.append({"path": path, "text": text, "holds": true, "good": true is not unwanted,
                      "said": _said(true, unwanted)})  # fmt: skip
    return {"in": holds(condition, {path: true for path, _text, true in told}), "lines": lines}


def _said(true: bool, unwanted: bool) -> str:
    if unwanted:
        return gettext("Holds, but must not") if true else gettext("Does not hold, as it should be")
    return gettext("Holds") if true else gettext("Does not hold")
