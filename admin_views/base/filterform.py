"""The form of the filter drawer: every field of the filter language with its usual operators, in groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from wtforms import SelectField, StringField
from wtforms.fields.core import UnboundField

from admin_views.base import custom
from admin_views.base.asked import Asked
from admin_views.base.conditions import ConditionField
from admin_views.base.custom import SECTION
from admin_views.base.fields import AppForm, ListField, LookupField
from admin_views.base.screen import AppView
from app import filters
from app.domain import custom as own_fields
from app.domain.config import modules
from app.domain.custom import PREFIX
from app.filters import WHOLE
from app.i18n import gettext, heading

_DAY = re.compile(r"\d{4}-\d\d-\d\d")

_USUAL: dict[filters.Kind, tuple[str, ...]] = {
    filters.Kind.TEXT: ("contains",),
    filters.Kind.NUMBER: ("at_least", "at_most"),
    filters.Kind.MONEY: ("at_least", "at_most"),
    filters.Kind.DATE: ("from", "until"),
    filters.Kind.MOMENT: ("from", "until"),
    filters.Kind.CHOICE: ("in",),
    filters.Kind.BOOLEAN: ("is",),
    filters.Kind.REF: ("in",),
}
"""The operators that the filter form offers; the address takes all of the language."""


FEW = 8
"""So many choices are shown as boxes; of more, one is chosen."""


def offers(view: AppView) -> bool:
    """Whether there is anything to filter by."""
    return any(_USUAL.get(f.kind) for f in filters.fields(view.model).values())


def filter_form(view: AppView, asked: Asked) -> AppForm:
    """The drawer's form: every field of the filter language with its usual operators, none required."""
    made: dict[str, UnboundField[Any]] = {}
    known, hidden = filters.fields(view.model), modules.hidden()
    for name in dict.fromkeys((*view.filter_first, *known)):
        field = known[name]
        if name == "search":  # it has a box of its own above the list
            continue
        about = getattr(field.target or field.within or view.model, "__tablename__", "")
        if about in hidden.screens or hidden.column(view.identity, field.column):
            continue
        for op in ("is",) if name == "id" else _USUAL.get(field.kind, ()):
            if op not in field.allows:
                continue
            label = str(field.label)
            if op in ("at_least", "from"):
                label = gettext("%(field)s from") % {"field": label}
            elif op in ("at_most", "until"):
                label = gettext("%(field)s until") % {"field": label}
            made[f"{name}.{op}"] = cast("UnboundField[Any]", _filter_field(field, label))
    shown = _shown(made, asked)
    made[WHOLE] = cast("UnboundField[Any]", ConditionField(gettext("Conditions"), model=view.model, id="conditions"))
    form = cast(AppForm, type("FilterForm", (AppForm,), made)(_Params(p for p in asked.filter_params if p[0] in shown)))
    rest, whole = [p for p in asked.filter_params if p[0] not in shown], cast(Any, form)[WHOLE]
    if asked.problem:
        whole.text = filters.draft(rest, view.model)
    else:
        condition = filters.from_query(rest, view.model)
        whole.process_data(None if condition is None else filters.to_json(condition))
    return form


def _shown(made: Mapping[str, Any], asked: Asked) -> set[str]:
    """The parameters that the fields can show; the builder has the others."""
    values: dict[str, list[str]] = {}
    for name, value in asked.filter_params:
        values.setdefault(name, []).extend(value.split(",") if name.endswith(".in") else [value])
    return {name for name, found in values.items() if name in made and _fits(made[name], found)}


def _fits(field: Any, values: list[str]) -> bool:
    kind, kw = field.field_class, field.kwargs.get("render_kw") or {}
    if kind is SelectField:
        return len(values) == 1 and values[0] in {v for v, _label in field.kwargs["choices"]}
    return kw.get("type") != "date" or (len(values) == 1 and bool(_DAY.fullmatch(values[0])))


def sections(view: AppView, form: AppForm, asked: Asked) -> list[dict[str, Any]]:
    """The form in groups: what is asked for most, then those of the columns. One that is in use stands open."""
    known = filters.fields(view.model)
    first = view.filter_first or tuple(str(c) for c in view.column_list)
    used = {name for name, _value in asked.filter_params}
    groups: dict[str | None, list[str]] = {None: []}
    for name in form._fields:
        if name == WHOLE:  # the builder stands above the fields
            continue
        of = known[name.rpartition(".")[0]]
        if of.name in first or of.column in first:
            groups[None].append(name)
        elif own_fields.named(view.model, of.name) is not None:
            groups.setdefault(custom.SECTION, []).append(name)
        else:
            info = view.mapper.column_attrs[of.column].columns[0].info if of.column else {}
            group = SECTION if of.name.startswith(PREFIX) else str.__str__(info.get("group", ""))
            groups.setdefault(group, []).append(name)
    return [
        {
            "label": None if label is None else heading(gettext(label) if label else gettext("More"), view.identity),
            "fields": names,
            "used": len(used.intersection(names)),
        }
        for label, names in sorted(groups.items(), key=lambda pair: pair[0] == "")
        if names
    ]


class _Params:
    """Query pairs in the shape that WTForms reads."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = [(n, one) for n, v in pairs for one in (v.split(",") if n.endswith(".in") else [v])]

    def __iter__(self) -> Any:
        return iter(name for name, _value in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __contains__(self, name: str) -> bool:
        return any(n == name for n, _value in self.pairs)

    def getlist(self, name: str) -> list[str]:
        return [v for n, v in self.pairs if n == name]


def _filter_field(field: Any, label: str) -> Any:
    wide = {"data-wide": "1"}
    if field.kind == "ref":
        return LookupField(label, target=field.target.__tablename__, multiple=True)
    if field.kind == "choice":
        choices = [(v, str(t)) for v, t in field.choices]
        if field.closed and len(choices) <= FEW:
            return ListField(label, choices=choices)
        return SelectField(label, choices=[("", gettext("Any")), *choices], render_kw=wide)
    if field.kind == "boolean":
        choices = [("", gettext("Any")), ("true", gettext("Yes")), ("false", gettext("No"))]
        return SelectField(label, choices=choices, render_kw=wide)
    if field.kind in ("date", "moment"):
        return StringField(label, render_kw={"type": "date"})
    if field.digits:
        return StringField(label, render_kw={"inputmode": "decimal"})
    if field.kind == "number":
        return StringField(label, render_kw={"inputmode": "numeric", **(wide if field.name == "id" else {})})
    return StringField(label, render_kw={"placeholder": gettext("contains"), **wide})
