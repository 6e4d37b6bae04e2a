"""What can be filtered: the registry of fields, read from the mappers and from what the models declare besides.

A column takes part when its `info` says ``filtered`` (`app.db.about`). A foreign key is offered under the name of its
relationship (``project_id`` as ``project``). Models declare more with `computed` and `relation`.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import available_timezones

from babel.numbers import list_currencies
from sqlalchemy import BigInteger, ColumnElement, Date, Enum, Integer, Select, inspect
from sqlalchemy.orm import MANYTOONE, Mapper

from app.db import Base, Choice, UtcDateTime, model_of
from app.filters.conditions import All as AllOf
from app.filters.conditions import Condition, FilterProblem, Leaf, Not, walk
from app.filters.when import and_more
from app.filters.when import say as say_when
from app.i18n import (
    LANGUAGES,
    _,
    countries,
    gettext,
    language,
    language_name,
    named,
    show_amount,
    show_decimal,
    show_number,
)  # fmt: skip

Model = type[Base]
Entity = t.Any
"""A mapped class, or an alias of one."""
Names = t.Mapping[Model, t.Mapping[int, str]]
"""What the caller has looked up for `refs`: model -> id -> name."""


class Kind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    MOMENT = "moment"
    CHOICE = "choice"
    BOOLEAN = "boolean"
    REF = "ref"
    RELATION = "relation"


_DECIMALS = 2
"""Of money and percentages, as they are typed in filters."""
_EMPTY = ("is_empty", "is_not_empty")
_WHEN = ("after", "before", "from", "until", "between", "on", "in_last", "in_next", *_EMPTY)
_AMOUNT = ("is", "at_least", "at_most", "between", *_EMPTY)
OPERATORS: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: ("contains", "is", "is_not", "starts_with", *_EMPTY),
    Kind.NUMBER: _AMOUNT,
    Kind.MONEY: _AMOUNT,
    Kind.DATE: _WHEN,
    Kind.MOMENT: _WHEN,
    Kind.CHOICE: ("in", "not_in", *_EMPTY),
    Kind.BOOLEAN: ("is",),
    Kind.REF: ("in", "not_in", "is", *_EMPTY),
    Kind.RELATION: ("has", "has_none", "count_at_least", "count_at_most"),
}
NEGATED = {"is_not": "is", "not_in": "in", "is_empty": "is_not_empty", "has_none": "has"}
"""Each of these is exactly the Not of the other: a row without a value is "none of" and "is not"."""
LISTS = frozenset({"in", "not_in", "between"})
BARE = frozenset({*_EMPTY, "has", "has_none"})
"""Without a value."""
COUNTS = frozenset({"count_at_least", "count_at_most"})

_LABELS: dict[str, str] = {
    "contains": _("contains"), "is": _("is"), "is_not": _("is not"), "starts_with": _("starts with"),
    "is_empty": _("is empty"), "is_not_empty": _("is not empty"), "at_least": _("at least"), "at_most": _("at most"),
    "between": _("between"), "after": _("after"), "before": _("before"), "from": _("from"), "until": _("until"),
    "on": _("on"), "in_last": _("in the last"), "in_next": _("in the next"),
    "in": _("any of"), "not_in": _("none of"), "has": _("has any"),
    "has_none": _("has none"), "count_at_least": _("at least"), "count_at_most": _("at most"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Source:
    """A value of a row. `folded`: its folded twin. `among`: a Select (of anything) that yields the rows which hold the
    value, when there may be several; a comparison holds when it holds for one of them. `key`: where these are any
    number of rows of a link table, its column with the id of the row; `among` then says nothing of the row itself.
    `own`: gets operator and value, and gives the whole test where it has an index for it, else None. `within`: the
    entity whose `search_text` holds the folded value too."""

    value: ColumnElement[t.Any]
    folded: ColumnElement[str] | None = None
    among: Select[t.Any] | None = None
    nullable: bool = True
    key: t.Any = None
    own: Callable[[str, t.Any], ColumnElement[bool] | None] | None = None
    within: t.Any = None


Expression = Callable[[Entity], "ColumnElement[t.Any] | Source | Sequence[Source]"]
Join = Callable[..., ColumnElement[bool]]
Options = Callable[[], list[tuple[str, str]]]


@dataclass(frozen=True, eq=False)
class Field:
    """One thing to filter by. `target`: the model that a ref or a relation points at. `options`: the choices, in the
    reader's language. `closed`: no other value is taken. `currency`: for money, the column that names it. `digits`: how
    many of the value's digits are decimals, in which people type and read it; those of money are always hundredths,
    whatever the currency, and compared as such. `within`: for a computed value, the related rows that it tells of."""

    model: Model
    name: str
    label: str
    kind: Kind
    allows: tuple[str, ...]
    expression: Expression | None = None
    target: Model | None = None
    join: Join | None = None
    through: Model | None = None
    options: Options | None = None
    choice: type[Choice] | None = None
    closed: bool = False
    currency: str = ""
    column: str = ""
    digits: int = 0
    within: Model | None = None

    @property
    def looks_into(self) -> Model | None:
        """Whose rows it tells of besides the model's own: counting matches answers any question about them."""
        return self.target if self.kind is Kind.RELATION else self.within

    @property
    def ops(self) -> list[tuple[str, str]]:
        """(operator, label in the reader's language), the usual one first."""
        return [(op, str(_LABELS[op])) for op in self.allows]

    @property
    def choices(self) -> list[tuple[str, str]]:
        """(value, label in the reader's language)."""
        return self.options() if self.options else []

    def sources(self, entity: Entity) -> Sequence[Source]:
        if self.expression is None:
            raise TypeError(f"{self.name} has no value of its own")
        found = self.expression(entity)
        if isinstance(found, list | tuple):
            return found
        return [found if isinstance(found, Source) else Source(t.cast("ColumnElement[t.Any]", found))]

    def describe(self, leaf: Leaf, names: Names | None = None) -> tuple[str, str, str]:
        """(label, label of the operator, value) for a chip. Ids whose name is not among `names` are shown as #id."""
        one = isinstance(leaf.value, tuple) and len(leaf.value) == 1
        op = {"in": "is", "not_in": "is_not"}.get(leaf.op, leaf.op) if one else leaf.op
        return str(self.label), str(_LABELS.get(op, op)), self._say(leaf, names or {})

    def _say(self, leaf: Leaf, names: Names) -> str:
        if self.kind is Kind.RELATION:
            count = show_number(leaf.n) if leaf.n is not None else ""
            what = say(leaf.where, self.target, names) if leaf.where is not None and self.target else ""
            where = gettext("where %(what)s") % {"what": what} if what else ""
            return " ".join(part for part in (count, where) if part)
        value = leaf.value
        if value is None:
            return ""
        if self.kind is Kind.BOOLEAN:
            return gettext("yes") if value else gettext("no")
        parts = [self._say_one(v, names, leaf.op) for v in (value if isinstance(value, tuple) else (value,))]
        if leaf.op == "between":
            return gettext("%(low)s and %(high)s") % {"low": parts[0], "high": parts[-1]}
        return and_more(parts[:5], len(parts[5:]))

    def _say_one(self, value: str | int, names: Names, op: str) -> str:
        match self.kind:
            case Kind.NUMBER if self.digits:
                return show_decimal(int(value), self.digits)
            case Kind.NUMBER if self.name != "id":
                return show_number(int(value))
            case Kind.MONEY:
                return show_amount(int(value), "EUR")
            case Kind.DATE | Kind.MOMENT:
                return say_when(str(value), span=op in {"in_last", "in_next"})
            case Kind.CHOICE:
                return dict(self.choices).get(str(value), str(value))
            case Kind.REF:
                known = names.get(self.target, {}) if self.target else {}
                return known.get(int(value), f"#{value}")
        return str(value)


def say(condition: Condition, model: Model, names: Names | None = None) -> str:
    """The condition as one readable line."""
    match condition:
        case Leaf():
            return " ".join(p for p in field(model, condition.field).describe(condition, names) if p)
        case Not(inner):
            return gettext("not (%(what)s)") % {"what": say(inner, model, names)}
        case _:
            both = isinstance(condition, AllOf)
            if not condition.of:
                return gettext("everything") if both else gettext("nothing")
            parts = [
                text if isinstance(c, Leaf | Not) or len(c.of) < 2 else f"({text})"
                for c, text in ((c, say(c, model, names)) for c in condition.of)
            ]
            word = gettext("and") if both else gettext("or")
            return f" {word} ".join(parts)


def refs(condition: Condition, model: Model) -> dict[Model, set[int]]:
    """The ids that the condition names, per model, so that the caller can look their names up, under their scope."""
    found: dict[Model, set[int]] = {}
    for _path, leaf in walk(condition):
        known = fields(model).get(leaf.field)
        if known is None or known.target is None:
            continue
        if leaf.where is not None:
            for target, ids in refs(leaf.where, known.target).items():
                found.setdefault(target, set()).update(ids)
        if known.kind is Kind.REF and leaf.value is not None:
            values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
            found.setdefault(known.target, set()).update(int(v) for v in values)
    return found


def moves(condition: Condition | None, model: Model) -> bool:
    """Whether what is found depends on the moment at which it is asked: some leaf is about dates."""
    if condition is None:
        return False
    for _path, leaf in walk(condition):
        known = field(model, leaf.field)
        if known.kind in (Kind.DATE, Kind.MOMENT):
            return True
        if leaf.where is not None and known.target is not None and moves(leaf.where, known.target):
            return True
    return False


# ---- the registry ---------------------------------------------------------------------------------------------

_declared: dict[Model, dict[str, Field]] = {}
_known: dict[Model, dict[str, Field]] = {}


def fields(model: Model) -> dict[str, Field]:
    """All fields of the model by name: its columns in their order, then what was declared."""
    if (found := _known.get(model)) is None:
        found = _of_columns(model)
        for name, declared in _declared.get(model, {}).items():
            if name in found:
                raise ValueError(f"{model.__name__}.{name} is declared, and a column too")
            found[name] = declared
        _known[model] = found
    return found


def field(model: Model, name: str, path: str = "") -> Field:
    """One field; raises FilterProblem for a name that nobody declared (or not any more)."""
    found = fields(model).get(name)
    if found is None:
        shown = name if len(name) <= 60 else name[:60] + "…"
        raise FilterProblem(path, gettext("There is no field “%(name)s” here.") % {"name": shown})
    return found


def computed(
    model: Model,
    name: str,
    label: str,
    kind: str,
    expression: Expression,
    *,
    target: Model | None = None,
    choice: type[Choice] | None = None,
    choices: Options | None = None,
    ops: Iterable[str] | None = None,
    currency: str = "",
    within: Model | None = None,
    digits: int = 0,
    closed: bool = False,
) -> None:
    """Declare a field that is no column of the model.

    `expression` gets the entity (the class or an alias of it) and gives a SQL expression over it, a `Source` (see
    `value`), or several. `target`: for a ref, the model of the ids. `within`: whose rows it tells of, when they are not
    the model's own. Raises ValueError for a name that is taken.
    """  # fmt: skip
    kind = Kind(kind)
    _declare(Field(
        model, name, label, kind, tuple(ops or OPERATORS[kind]), expression, target,
        options=choices or (_labels(choice) if choice else None), choice=choice, closed=closed or choice is not None,
        currency=currency, digits=_DECIMALS if kind is Kind.MONEY else digits, within=within,
    ))  # fmt: skip


def relation(model: Model, name: str, label: str, target: Model, join: Join, *, through: Model | None = None) -> None:
    """Declare rows of `target` that belong to a row of `model`.

    `join` gets the entity and an alias of the target, and with `through` an alias of that table too, and gives the
    expression that ties them together. Raises ValueError for a name that is taken.
    """
    _declare(Field(
        model, name, label, Kind.RELATION, OPERATORS[Kind.RELATION], None, target, join=join, through=through
    ))  # fmt: skip


def withdraw(model: Model, name: str) -> None:
    """Take back what `computed` or `relation` declared: a custom field was deleted."""
    _declared.get(model, {}).pop(name, None)
    _known.pop(model, None)


def _declare(new: Field) -> None:
    if not new.name.isidentifier():
        raise ValueError(f"{new.name!r} cannot be the name of a field")
    of_model = _declared.setdefault(new.model, {})
    if new.name in of_model:
        raise ValueError(f"{new.model.__name__}.{new.name} is declared twice")
    of_model[new.name] = replace(new, label=named(new.label, new.model.__tablename__, new.name))
    _known.pop(new.model, None)


def value(entity: Entity, name: str, among: Select[t.Any] | None = None, key: t.Any = None) -> Source:
    """The column `name` of an entity as a Source, with its folded twin when it has one."""
    mapper: Mapper[t.Any] = inspect(entity).mapper
    twins = (a.key for a in mapper.column_attrs if a.columns[0].info.get("folds") == name)
    twin = next(twins, None)
    return Source(
        getattr(entity, name), getattr(entity, twin) if twin else None, among,
        bool(getattr(mapper.column_attrs[name].columns[0], "nullable", True)), key,
    )  # fmt: skip


def _labels(choice: type[Choice]) -> Options:
    return lambda: [(member.value, str(member.label)) for member in choice]


_WIDGETS: dict[str, Options] = {
    "country": lambda: countries(language()),
    "language": lambda: [(code, language_name(code)) for code in LANGUAGES],
    "timezone": lambda: [(name, name) for name in sorted(available_timezones())],
    "currency": lambda: [(code, code) for code in sorted(list_currencies())],
}
_WIDGETS["language_or_none"] = _WIDGETS["panel_language"] = _WIDGETS["language"]
_WIDGETS["timezone_or_none"] = _WIDGETS["timezone"]


def _of_columns(model: Model) -> dict[str, Field]:
    mapper: Mapper[t.Any] = inspect(model)
    found: dict[str, Field] = {}
    for attr in mapper.column_attrs:
        info = attr.columns[0].info
        if info.get("filtered") and not info.get("sensitive") and (new := _of_column(model, mapper, attr.key)):
            if new.name in found:
                raise ValueError(f"two columns of {model.__name__} want to be filtered as {new.name!r}")
            found[new.name] = new
    return found


def _of_column(model: Model, mapper: Mapper[t.Any], key: str) -> Field | None:
    column = mapper.column_attrs[key].columns[0]
    info, widget = column.info, column.info.get("widget", "")
    name, target, choice, options = key, None, None, None
    members = column.type.enum_class if isinstance(column.type, Enum) else None
    if pointed := _points_at(mapper, key):
        (name, target), kind = pointed, Kind.REF
    elif members is not None and issubclass(members, Choice):
        kind, choice, options = Kind.CHOICE, members, _labels(members)
    elif widget in _WIDGETS:
        kind, options = Kind.CHOICE, _WIDGETS[widget]
    elif isinstance(column.type, UtcDateTime):
        kind = Kind.MOMENT
    elif isinstance(column.type, Date):
        kind = Kind.DATE
    else:
        python = column.type.python_type
        if python is bool:
            kind = Kind.BOOLEAN
        elif isinstance(column.type, Integer | BigInteger):
            kind = Kind.MONEY if widget == "money" else Kind.NUMBER
        elif python is str:
            kind = Kind.TEXT
        elif python in {datetime, date}:
            raise TypeError(f"{model.__name__}.{key}: moments are UtcDateTime")
        else:
            return None  # JSON and the like say nothing to an operator
    allows = OPERATORS[kind]
    if kind is Kind.NUMBER and column.primary_key:
        allows = ("is", "in", "not_in", "at_least", "at_most", "between")
    elif not column.nullable and not (kind is Kind.TEXT or (kind is Kind.CHOICE and choice is None)):
        allows = tuple(op for op in allows if op not in _EMPTY)
    return Field(
        model, name, info["label"], kind, allows, lambda entity: value(entity, key), target,
        options=options, choice=choice, closed=choice is not None, currency=info.get("currency", ""), column=key,
        digits=_DECIMALS if widget in ("money", "percent") else 0,
    )  # fmt: skip


def _points_at(mapper: Mapper[t.Any], key: str) -> tuple[str, Model] | None:
    """(name, model) when the column points at one row of another table: by relationship, foreign key or widget."""
    column = mapper.column_attrs[key].columns[0]
    for rel in mapper.relationships:
        if rel.direction is MANYTOONE and rel.local_columns == {column}:
            return rel.key, rel.mapper.class_
    tables = [fk.column.table.name for fk in column.foreign_keys]
    if not column.foreign_keys and isinstance(column.type, Integer | BigInteger):
        tables = [column.info.get("widget", "")]
    found = model_of(tables[0]) if tables else None
    return (key.removesuffix("_id"), found) if found is not None else None
