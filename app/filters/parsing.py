"""Reading filters: from JSON data and from the parameters of a URL, and writing the parameters."""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Callable, Sequence
from decimal import Decimal, Overflow

from app.db import fold
from app.filters.conditions import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_JSON,
    MAX_LIST,
    MAX_STRING,
    MAX_VALUES,
    MAX_WORDS,
    All,
    Any,
    Condition,
    FilterProblem,
    Leaf,
    Not,
    Value,
    to_json,
)  # fmt: skip
from app.filters.fields import BARE, COUNTS, LISTS, Field, Kind, Model, field, fields
from app.filters.when import check
from app.i18n import gettext, read_amount

Allowed = Callable[[Model, str], bool]
"""(model, name of the field) -> may this person filter by it? A field that may not is treated as unknown."""

_BIGGEST = 2**63 - 1
_MANY_ROWS = 1_000_000
_CONTROL = re.compile(r"[\x00\ud800-\udfff]")


def parse(data: t.Any, model: Model, allowed: Allowed | None = None) -> Condition:
    """A condition from JSON data (what `json.loads` gave). Raises FilterProblem, whose message names the path."""
    return _Parser(allowed).condition(data, model, "", 1)


def parse_text(text: str, model: Model, allowed: Allowed | None = None) -> Condition:
    """A condition from JSON text."""
    return parse(loads(text, ""), model, allowed)


def loads(text: str, path: str = "") -> t.Any:
    """JSON text as data, not looked at yet."""
    if len(text) > MAX_JSON:
        raise FilterProblem(path, gettext("The filter is too long."))
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise FilterProblem(path, gettext("This is not JSON.")) from None


def clean(text: str, path: str) -> str:
    """Refuse what no database takes: NUL and half surrogates."""
    if _CONTROL.search(text):
        raise FilterProblem(path, gettext("It contains a character that is not text."))
    return text


class _Parser:
    def __init__(self, allowed: Allowed | None) -> None:
        self.allowed = allowed
        self.conditions = 0
        self.values = 0

    def condition(self, data: t.Any, model: Model, path: str, depth: int) -> Condition:
        dot = f"{path}." if path else ""
        if depth > MAX_DEPTH:
            raise FilterProblem(path, gettext("Nested too deeply: at most %(n)s levels.") % {"n": MAX_DEPTH})
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise FilterProblem(path, gettext("Too many conditions: at most %(n)s.") % {"n": MAX_CONDITIONS})
        if not isinstance(data, dict):
            raise FilterProblem(path, gettext("A condition is an object."))
        for key, kind in (("all", All), ("any", Any)):
            if key in data:
                self.only(data, {key}, path)
                if not isinstance(data[key], list):
                    raise FilterProblem(f"{dot}{key}", gettext("A list of conditions is needed."))
                inner = (self.condition(c, model, f"{dot}{key}[{i}]", depth + 1) for i, c in enumerate(data[key]))
                return kind(tuple(inner))
        if "not" in data:
            self.only(data, {"not"}, path)
            return Not(self.condition(data["not"], model, f"{dot}not", depth + 1))
        if "field" in data:
            return self.leaf(data, model, path, dot, depth)
        raise FilterProblem(path, gettext("A condition says “all”, “any”, “not” or “field”."))

    def only(self, data: dict[t.Any, t.Any], keys: set[str], path: str) -> None:
        if extra := sorted(str(k) for k in data.keys() - keys):
            name = clean(extra[0][:60], path)
            raise FilterProblem(path, gettext("“%(name)s” does not belong here.") % {"name": name})

    def field(self, model: Model, name: t.Any, path: str) -> Field:
        if not isinstance(name, str):
            raise FilterProblem(path, gettext("A name is needed."))
        clean(name, path)
        if not name:
            raise FilterProblem(path, gettext("Choose a field."))
        found = field(model, name, path)
        if self.allowed is not None and not self.allowed(model, name):
            raise FilterProblem(path, gettext("There is no field “%(name)s” here.") % {"name": name[:60]})
        return found

    def leaf(self, data: dict[str, t.Any], model: Model, path: str, dot: str, depth: int) -> Leaf:
        known, op = self.field(model, data["field"], f"{dot}field"), data.get("op")
        if not isinstance(op, str) or op not in known.allows:
            raise FilterProblem(
                f"{dot}op",
                gettext("“%(field)s” takes: %(ops)s.") % {"field": known.name, "ops": ", ".join(known.allows)},
            )
        takes = {"field", "op"}
        if known.kind is Kind.RELATION:
            takes |= {"where", "n"} if op in COUNTS else {"where"}
            self.only(data, takes, path)
            where = None
            if data.get("where") is not None:
                if known.target is None:
                    raise TypeError(f"{known.name} has no target")
                where = self.condition(data["where"], known.target, f"{dot}where", depth + 1)
            return Leaf(known.name, op, where=where, n=self.count(data.get("n"), f"{dot}n") if op in COUNTS else None)
        if op in BARE:
            self.only(data, takes, path)
            return Leaf(known.name, op)
        self.only(data, takes | {"value"}, path)
        return Leaf(known.name, op, self.value(known, op, data.get("value"), f"{dot}value"))

    def count(self, n: t.Any, path: str) -> int:
        if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n <= _MANY_ROWS:
            raise FilterProblem(path, gettext("A count from 0 to %(n)s is needed.") % {"n": _MANY_ROWS})
        return n

    def value(self, known: Field, op: str, value: t.Any, path: str) -> Value:
        if op not in LISTS:
            return t.cast("Value", self.one(known, op, value, path))
        if not isinstance(value, list) or not value:
            raise FilterProblem(path, gettext("A list of values is needed."))
        if op == "between" and len(value) != 2:
            raise FilterProblem(path, gettext("Two values are needed: from and to."))
        self.values += len(value)
        if len(value) > MAX_LIST or self.values > MAX_VALUES:
            raise FilterProblem(path, gettext("Too many values: at most %(n)s.") % {"n": MAX_LIST})
        return tuple(self.one(known, op, v, f"{path}[{i}]") for i, v in enumerate(value))

    def one(self, known: Field, op: str, value: t.Any, path: str) -> t.Any:
        match known.kind:
            case Kind.BOOLEAN:
                if not isinstance(value, bool):
                    raise FilterProblem(path, gettext("Yes or no is needed."))
                return value
            case Kind.NUMBER | Kind.MONEY | Kind.REF:
                if not isinstance(value, int) or isinstance(value, bool):
                    if known.digits:
                        wanted = gettext("A number with at most %(n)s decimals is needed.")
                        raise FilterProblem(path, wanted % {"n": known.digits})
                    raise FilterProblem(path, gettext("A whole number is needed."))
                if abs(value) > _BIGGEST:
                    raise FilterProblem(path, gettext("This number is too large."))
                return value
        if not isinstance(value, str) or not value:
            raise FilterProblem(path, gettext("A text is needed."))
        if len(value) > MAX_STRING:
            raise FilterProblem(path, gettext("Too long: at most %(n)s characters.") % {"n": MAX_STRING})
        clean(value, path)
        match known.kind:
            case Kind.TEXT:
                if not (words := fold(value).split()):
                    raise FilterProblem(path, gettext("Enter at least one letter or digit."))
                if op == "contains" and len(words) > MAX_WORDS:
                    raise FilterProblem(path, gettext("Too many words: at most %(n)s.") % {"n": MAX_WORDS})
            case Kind.CHOICE:
                if known.closed and value not in {v for v, _label in known.choices}:
                    raise FilterProblem(path, gettext("“%(value)s” is not one of the choices.") % {"value": value[:60]})
            case Kind.DATE | Kind.MOMENT:
                if problem := check(value, op=op, moments=known.kind is Kind.MOMENT):
                    raise FilterProblem(path, problem)
        return value


# ---- the URL ----------------------------------------------------------------------------------------------------

WHOLE = "filter"
"""The parameter that holds a whole condition as JSON."""
_YES = "yes"
_INTEGER = re.compile(r"-?[0-9]{1,19}")


def to_query(condition: Condition, model: Model) -> list[tuple[str, str]]:
    """The condition as parameters of a URL (not yet percent-encoded); `from_query` gives an equal one back.

    A flat all-of is readable: ``name.contains=koh``, ``project.in=1,2``. Anything else is ``filter=<json>``.
    """
    if isinstance(condition, All) and condition.of:
        found = [_pair(c, model) for c in condition.of]
        pairs = [p for p in found if p is not None]
        lists = [key for key, _value in pairs if key.rpartition(".")[2] in LISTS]
        # repeated lists are read as one list, for the sake of forms with several boxes of one name
        if len(pairs) == len(found) and len(lists) == len(set(lists)):
            return pairs
    return [(WHOLE, json.dumps(to_json(condition), ensure_ascii=False, separators=(",", ":")))]


def _pair(condition: Condition, model: Model) -> tuple[str, str] | None:
    if not isinstance(condition, Leaf) or condition.where is not None:
        return None
    value = condition.n if condition.op in COUNTS else condition.value
    if (digits := field(model, condition.field).digits) and value is not None:
        figures = value if isinstance(value, tuple) else (value,)
        text = ",".join(f"{Decimal(v).scaleb(-digits):.{digits}f}" for v in figures)
    elif value is None:
        text = _YES
    elif isinstance(value, bool):
        text = _YES if value else "no"
    elif isinstance(value, tuple):
        text = ",".join(str(v).replace("\\", "\\\\").replace(",", "\\,") for v in value)
    else:
        text = str(value)
    return f"{condition.field}.{condition.op}", text


def _split(text: str) -> list[str]:
    """A list with its commas and backslashes escaped by a backslash."""
    parts, escaped = [""], False
    for c in text:
        if not escaped and c == "\\":
            escaped = True
        elif not escaped and c == ",":
            parts.append("")
        else:
            parts[-1] += c
            escaped = False
    return parts


def from_query(params: Sequence[tuple[str, str]], model: Model, allowed: Allowed | None = None) -> Condition | None:
    """The condition in the parameters of a URL; None when there is none. Raises FilterProblem.

    Only ``field.op`` and ``filter`` are read, so page, sort and search pass by. An empty value is a field of a form
    that was left empty, and says nothing. Repeated ``in``, ``not_in`` and ``between`` are joined to one list.
    """
    reader = _Parser(allowed)
    found: list[t.Any] = []
    at: dict[str, dict[str, t.Any]] = {}
    whole: list[t.Any] = []
    for key, text in params:
        if text == "" or ("." not in key and key != WHOLE):
            continue
        clean(key, "")
        if len(found) + len(whole) > MAX_CONDITIONS:
            raise FilterProblem("", gettext("Too many conditions: at most %(n)s.") % {"n": MAX_CONDITIONS})
        if key == WHOLE:
            whole.append(loads(clean(text, WHOLE), WHOLE))
            continue
        name, _dot, op = key.rpartition(".")
        known = reader.field(model, name, key[:80])
        data: dict[str, t.Any] = {"field": name, "op": op}
        if op in LISTS:
            if key in at:
                at[key]["value"] += _values(known, text, key)
                continue
            data["value"], at[key] = _values(known, text, key), data
        elif op in COUNTS:
            data["n"] = _whole(text)
        elif op not in BARE:
            data["value"] = _typed(known, text)
        elif text != _YES:
            raise FilterProblem(key, gettext("Only “yes” can be said here."))
        found.append((key, data))
    if not found and not whole:
        return None
    # the path of a problem is the parameter, as nobody has seen the JSON
    leaves: list[Condition] = [reader.leaf(data, model, key, f"{key}.", 2) for key, data in found]
    reader.conditions += len(leaves)
    others = [reader.condition(data, model, WHOLE, 2 if found or len(whole) > 1 else 1) for data in whole]
    if not leaves and len(others) == 1:
        return others[0]
    if len(leaves) + 1 > MAX_CONDITIONS:
        raise FilterProblem("", gettext("Too many conditions: at most %(n)s.") % {"n": MAX_CONDITIONS})
    return All((*leaves, *others))


def draft(params: Sequence[tuple[str, str]], model: Model) -> str:
    """Parameters that `from_query` refuses as the text of one condition, to be mended: what is unknown or wrong in them
    stays as it was written."""
    parts: list[str | dict[str, t.Any]] = []
    at: dict[str, dict[str, t.Any]] = {}
    for key, text in params:
        name, dot, op = key.rpartition(".")
        known = fields(model).get(name)
        values = [v if known is None else _typed(known, v) for v in (_split(text) if op in LISTS else (text,))]
        if key == WHOLE:
            parts.append(text)
        elif dot and key in at:
            at[key]["value"] += values
        elif dot:
            leaf: dict[str, t.Any] = {"field": name, "op": op}
            if op in LISTS:
                leaf["value"], at[key] = values, leaf
            elif op in COUNTS:
                leaf["n"] = _whole(text)
            elif op not in BARE:
                leaf["value"] = values[0]
            parts.append(leaf)
    texts = [p if isinstance(p, str) else json.dumps(p, ensure_ascii=False) for p in parts]
    return texts[0] if len(texts) == 1 else f'{{"all": [{", ".join(texts)}]}}' if texts else ""


def _values(known: Field, text: str, key: str) -> list[t.Any]:
    parts = _split(text) if len(text) <= MAX_JSON else []
    if not 0 < len(parts) <= MAX_LIST:
        raise FilterProblem(key, gettext("Too many values: at most %(n)s.") % {"n": MAX_LIST})
    return [_typed(known, p) for p in parts]


def _whole(text: str) -> t.Any:
    return int(text) if _INTEGER.fullmatch(text) else text


def _typed(known: Field, text: str) -> t.Any:
    """The value that the text stands for; a text that is none stays text, and is refused by the parser."""
    if known.digits:
        try:
            exact = read_amount(text[:40]).scaleb(known.digits)
        except (ValueError, Overflow):
            return text
        return int(exact) if exact == exact.to_integral_value() else text
    if known.kind in {Kind.NUMBER, Kind.REF}:
        return _whole(text)
    if known.kind is Kind.BOOLEAN:
        return {_YES: True, "no": False, "true": True, "false": False}.get(text, text)
    return text
