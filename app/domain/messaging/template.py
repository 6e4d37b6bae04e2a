"""
Templates written by staff: fields of a documented list and simple conditions.

Jinja only parses. The tree is checked against a list of allowed parts and turned into closures over plain text, so
there is nothing to call, to loop over or to look into.
"""

import difflib
import hashlib
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from jinja2 import nodes

from app.domain.messaging.macros import MACROS, MacroSpec, Values
from app.domain.messaging.syntax import LOOPS, NOT_ALLOWED, STRANGE, Misplaced, Source, TemplateProblem, short
from app.i18n import _

__all__ = ["MACROS", "Field", "MacroSpec", "Pieces", "Template", "TemplateProblem", "Values", "parse"]

MAX_NODES: Final = 2_000
MAX_DEPTH: Final = 40
MAX_FIELDS: Final = 150

Read = Callable[[Values], str]
Test = Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """A place where a value goes. `read` gets the values of the recipient. lines: see `MacroSpec`."""

    read: Read
    lines: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """An if: the parts behind the first test that is true; the last test is always true."""

    branches: tuple[tuple[Test, "Parts"], ...]


Parts = tuple["str | Field | Choice", ...]
Pieces = tuple["str | Field", ...]


class Template:
    """A checked template. Made by `parse`; safe to share and keep."""

    __slots__ = ("macros", "parts")

    def __init__(self, parts: Parts, macros: frozenset[str]) -> None:
        self.parts = parts
        self.macros = macros
        """The names of the fields used, also those used in conditions only."""

    def render(self, values: Values) -> str:
        """Return the text with plain values put in. A field without a value is empty."""
        return "".join(piece if isinstance(piece, str) else piece.read(values) for piece in self.pieces_for(values)[1])

    def pieces_for(self, values: Values) -> tuple[tuple[int, ...], Pieces]:
        """Return which branches the values take, and the texts and fields that follow from it."""
        taken: list[int] = []
        pieces: list[str | Field] = []
        _walk(self.parts, values, taken, pieces)
        return tuple(taken), tuple(pieces)

    def longest(self) -> str:
        """The text with the longest branch of every condition: what takes most time to be made ready."""
        return _longest(self.parts)


def _dotted(node: nodes.Node) -> tuple[nodes.Node, str]:
    """(what stands before the first point, the whole name): of what is no name, an empty one."""
    words: list[str] = []
    while isinstance(node, nodes.Getattr):
        words.append(node.attr)
        node = node.node
    return node, ".".join([node.name, *reversed(words)]) if isinstance(node, nodes.Name) else ""


def _longest(parts: Parts) -> str:
    return "".join(
        max((_longest(inner) for _test, inner in part.branches), key=len) if isinstance(part, Choice)
        else part if isinstance(part, str) else "x"
        for part in parts
    )  # fmt: skip


def _walk(parts: Parts, values: Values, taken: list[int], pieces: list[str | Field]) -> None:
    for part in parts:
        if isinstance(part, Choice):
            for number, (test, inner) in enumerate(part.branches):
                if test(values):
                    taken.append(number)
                    _walk(inner, values, taken, pieces)
                    break
        else:
            pieces.append(part)


_ORDER: dict[str, Callable[[str | float, str | float], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,  # type: ignore[operator]
    "lteq": lambda a, b: a <= b,  # type: ignore[operator]
    "gt": lambda a, b: a > b,  # type: ignore[operator]
    "gteq": lambda a, b: a >= b,  # type: ignore[operator]
}
_TITLE = re.compile(r"([-\s({\[<]+)")


def _title(text: str) -> str:
    return "".join(word[:1].upper() + word[1:].lower() for word in _TITLE.split(text))


_FILTERS: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "trim": str.strip, "title": _title}


def parse(source: str, more: Collection[MacroSpec] = ()) -> Template:
    """Check a template and make it ready; kept by its content. more: fields that only this kind of text has.

    Raises TemplateProblem with the first place that is not allowed.
    """
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()
    return _parsed(_Key(digest, tuple(more), source))


def forget() -> None:
    """The fields that there are have changed: texts are checked anew."""
    _parsed.cache_clear()


@dataclass(slots=True, unsafe_hash=True)
class _Key:
    """A text, known by its digest: what is kept does not hold the text itself."""

    digest: bytes
    more: tuple[MacroSpec, ...]
    text: str = field(compare=False)


@lru_cache(maxsize=256)
def _parsed(key: _Key) -> Template:
    source, key.text = Source(key.text), ""
    tree = source.tree()
    reader = _Reader({**MACROS, **{spec.name: spec for spec in key.more}})
    try:
        return Template(reader.parts(tree.body, 0), frozenset(reader.macros))
    except Misplaced as problem:
        raise source.problem(problem.what, problem.at) from None


@lru_cache(maxsize=256)
def read_macro(name: str, longest: int) -> Read:
    """What reads this field: the same function for each place where it stands."""

    def read(values: Values) -> str:
        value = values.get(name)
        return value[:longest] if type(value) is str else "" if value is None else str(value)[:longest]

    return read


class _Reader:
    """Turns a Jinja tree into parts, and refuses everything that is not listed here."""

    def __init__(self, known: dict[str, MacroSpec]) -> None:
        self.macros: set[str] = set()
        self._known = known
        self._count = 0
        self._fields = 0

    def parts(self, body: Iterable[nodes.Node], depth: int) -> Parts:
        parts: list[str | Field | Choice] = []
        for node in body:
            self._step(node, depth)
            if isinstance(node, nodes.Output):
                for inner in node.nodes:
                    if isinstance(inner, nodes.TemplateData):
                        parts.append(inner.data)
                    else:
                        parts.append(Field(self._value(inner, depth + 1), self._has_lines(inner)))
            elif isinstance(node, nodes.If):
                parts.append(self._choice(node, depth))
            else:
                raise _refusal(node)
        return tuple(parts)

    def _choice(self, node: nodes.If, depth: int) -> Choice:
        branches = []
        for branch in (node, *node.elif_):
            self._step(branch, depth)
            branches.append((self._test(branch.test, depth + 1), self.parts(branch.body, depth + 1)))
        branches.append((lambda values: True, self.parts(node.else_, depth + 1)))
        return Choice(tuple(branches))

    def _step(self, node: nodes.Node, depth: int) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise Misplaced(_("there are too many fields and conditions."), node.lineno)
        if depth > MAX_DEPTH:
            raise Misplaced(_("conditions are nested too deeply."), node.lineno)

    def _value(self, node: nodes.Node, depth: int) -> Read:
        self._step(node, depth)
        if isinstance(node, nodes.Const):
            text = str(_literal(node))
            return lambda values: text
        if isinstance(node, nodes.Name | nodes.Getattr):
            return self._macro(node)
        if isinstance(node, nodes.Filter):
            return self._filter(node, depth)
        raise _refusal(node)

    def _macro(self, node: nodes.Name | nodes.Getattr) -> Read:
        inner, name = _dotted(node)
        if not isinstance(inner, nodes.Name):
            raise _refusal(inner)
        spec = self._known.get(name)
        if spec is None:
            what = _('unknown field "%(name)s".') % {"name": short(name)}
            if near := difflib.get_close_matches(name[:100], self._known, n=1):
                what += " " + _('Did you mean "%(name)s"?') % {"name": near[0]}
            raise Misplaced(what, inner.lineno)
        self.macros.add(name)
        self._fields += spec.weight
        if self._fields > MAX_FIELDS:
            raise Misplaced(_("there are too many fields and conditions."), node.lineno)
        return read_macro(name, spec.longest)

    def _has_lines(self, node: nodes.Node) -> bool:
        while isinstance(node, nodes.Filter) and node.node is not None:
            node = node.node
        spec = self._known.get(_dotted(node)[1])
        return spec is not None and spec.lines

    def _filter(self, node: nodes.Filter, depth: int) -> Read:
        if node.node is None or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise _refusal(node)
        if node.name == "default":
            if len(node.args) == 2 and isinstance(node.args[1], nodes.Const) and node.args[1].value is True:
                del node.args[1]  # Jinja's way to say "also when empty"; here that is always so
            if len(node.args) != 1 or not isinstance(node.args[0], nodes.Const):
                raise Misplaced(_('"default" needs one text: default("friend").'), node.lineno)
            fallback = str(_literal(node.args[0]))
            read = self._value(node.node, depth + 1)
            return lambda values: read(values) or fallback
        change = _FILTERS.get(node.name)
        if change is None or node.args:
            what = _('"|%(name)s" is not allowed. Allowed are default("..."), upper, lower, title and trim.')
            raise Misplaced(what % {"name": short(node.name)}, node.lineno)
        read = self._value(node.node, depth + 1)
        return lambda values: change(read(values))

    def _test(self, node: nodes.Node, depth: int) -> Test:
        self._step(node, depth)
        if isinstance(node, nodes.And | nodes.Or):
            left, right = self._test(node.left, depth + 1), self._test(node.right, depth + 1)
            if isinstance(node, nodes.And):
                return lambda values: left(values) and right(values)
            return lambda values: left(values) or right(values)
        if isinstance(node, nodes.Not):
            inner = self._test(node.node, depth + 1)
            return lambda values: not inner(values)
        if isinstance(node, nodes.Compare):
            return self._compare(node, depth)
        read = self._value(node, depth)
        return lambda values: bool(read(values).strip())

    def _compare(self, node: nodes.Compare, depth: int) -> Test:
        if len(node.ops) != 1:
            raise Misplaced(_('compare two things at a time, and join comparisons with "and".'), node.lineno)
        sign, other = node.ops[0].op, node.ops[0].expr
        left = self._value(node.expr, depth + 1)
        if sign in ("in", "notin"):
            wanted = sign == "in"
            if isinstance(other, nodes.List | nodes.Tuple):
                for item in other.items:
                    self._step(item, depth)
                known = frozenset(str(_literal(item)) for item in other.items)
                return lambda values: (left(values) in known) is wanted
            whole = self._value(other, depth + 1)
            return lambda values: (left(values) in whole(values)) is wanted
        compare = _ORDER.get(sign)
        if compare is None:
            raise _refusal(node)
        right = self._value(other, depth + 1)
        if any(isinstance(side, nodes.Const) and not isinstance(side.value, str) for side in (node.expr, other)):

            def numbers(values: Values) -> bool:
                try:
                    return compare(float(left(values)), float(right(values)))
                except (ValueError, OverflowError):
                    return sign == "ne"

            return numbers
        return lambda values: compare(left(values), right(values))


def _literal(node: nodes.Node) -> str | int | float:
    if (
        not isinstance(node, nodes.Const)
        or isinstance(node.value, bool)
        or not isinstance(node.value, str | int | float)
    ):
        raise _refusal(node)
    value: str | int | float = node.value
    text = str(value) if not isinstance(value, int) or value.bit_length() < 256 else "\x00"
    if STRANGE.search(text):
        raise Misplaced(_("a number is too large, or a text in quotes has a control character."), node.lineno)
    return value


_NAMES = {
    nodes.For: LOOPS,
    nodes.Call: _("calling something with (...)"),
    nodes.Getitem: _("[...] behind a field"),
    nodes.Filter: _("a filter with such arguments"),
    nodes.CondExpr: _("the short form of if"),
    nodes.Concat: _("joining with ~"),
    nodes.BinExpr: _("calculating"),
    nodes.UnaryExpr: _("calculating"),
    nodes.Test: _('"is ..."'),
    nodes.Compare: _("a comparison outside of if"),
    nodes.Literal: _("this value"),
}


def _refusal(node: nodes.Node) -> Misplaced:
    name = next((label for kind, label in _NAMES.items() if isinstance(node, kind)), None)
    places = (part.lineno for part in (node, *node.find_all(nodes.Node)))  # Jinja leaves some out
    at = next((place for place in places if place is not None), 0)
    return Misplaced(NOT_ALLOWED % {"what": str(name) if name else f'"{type(node).__name__.lower()}"'}, at)
