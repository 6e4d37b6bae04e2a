"""
Templates written by staff: fields of a documented list and simple conditions.

Jinja only parses. The tree is checked against a list of allowed parts and turned into closures over plain text, so
there is nothing to call, to loop over or to look into.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes

from app.errors import AppError
from app.i18n import _

MAX_LENGTH: Final = 200_000
MAX_NODES: Final = 2_000
MAX_DEPTH: Final = 40

Values = Mapping[str, str]
Read = Callable[[Values], str]
Test = Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class MacroSpec:
    """A field that a template may use: its name, what it is (translated when shown), an example for the preview."""

    name: str
    label: str
    example: str


MACROS: Final[dict[str, MacroSpec]] = {
    spec.name: spec
    for spec in (
        MacroSpec("customer.id", _("Customer ID"), "1042"),
        MacroSpec("customer.name", _("Account name"), "Müller & Söhne GmbH"),
        MacroSpec("customer.contact_person", _("Contact person"), "Jana Müller"),
        MacroSpec("customer.email", _("E-mail of the customer"), "office@example.com"),
        MacroSpec("customer.phone", _("Phone of the customer"), "+49 30 1234567"),
        MacroSpec("customer.country", _("Country of the customer (two letters)"), "DE"),
        MacroSpec("customer.language", _("Language of the customer (code)"), "de"),
        MacroSpec("user.name", _("Name of the user who receives the message"), "jana"),
        MacroSpec("user.email", _("E-mail of the user who receives the message"), "jana@example.com"),
        MacroSpec("project.name", _("Project"), "Nordhost"),
        MacroSpec("project.site", _("Web address of the project"), "https://nordhost.example"),
        MacroSpec("project.sender_name", _("Sender name of the project"), "Nordhost support"),
        MacroSpec("project.sender_email", _("Sender e-mail of the project"), "support@nordhost.example"),
        MacroSpec("staff.name", _("Staff member who sends the message"), "Alex Berg"),
    )
}


class TemplateProblem(AppError):
    """A template that cannot be used; the message names the line and what is wrong there."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(_("Line %(line)s: %(what)s") % {"line": line, "what": what}, status=400)
        self.line = line


@dataclass(frozen=True, slots=True)
class Field:
    """A place where a value goes. `read` gets the values of the recipient."""

    read: Read


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


_JINJA = Environment(lstrip_blocks=True, keep_trailing_newline=True, autoescape=True)
_JINJA.globals.clear()
_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Tags alone on a line take the line with them. trim_blocks would also join "Dear {% if %}..{% endif %}" with the next.
_TAG_LINE = re.compile(r"^([ \t]*(?:\{%(?:[^%\n]|%(?!\}))*%\}[ \t]*)+)\n", re.MULTILINE)
_RAW = re.compile(r"\{%[-+]?\s*raw\b")
_STRANGE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")

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


@lru_cache(maxsize=256)
def parse(source: str) -> Template:
    """Check a template and make it ready. Raises TemplateProblem with the first line that is not allowed."""
    if len(source) > MAX_LENGTH:
        raise TemplateProblem(_("the text is longer than %(most)s characters.") % {"most": MAX_LENGTH}, 1)
    source = _BREAKS.sub("\n", source)
    if strange := _STRANGE.search(source):
        line = source.count("\n", 0, strange.start()) + 1
        raise TemplateProblem(_("there is an invisible control character."), line)
    if raw := _RAW.search(source):
        raise TemplateProblem(_('"raw" is not allowed.'), source.count("\n", 0, raw.start()) + 1)
    try:
        tree = _JINJA.parse(_TAG_LINE.sub(r"\1{#\n#}", source))
    except TemplateSyntaxError as error:
        raise TemplateProblem(_explain(error), error.lineno) from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        # int() of thousands of digits, a bad \u escape, thousands of brackets
        raise TemplateProblem(_("a number, a text in quotes or a nesting cannot be read."), 1) from None
    reader = _Reader()
    return Template(reader.parts(tree.body, 0), frozenset(reader.macros))


@lru_cache(maxsize=256)
def read_macro(name: str) -> Read:
    """What reads this macro: the same function for each place where it stands."""

    def read(values: Values) -> str:
        value = values.get(name)
        return value if type(value) is str else "" if value is None else str(value)

    return read


class _Reader:
    """Turns a Jinja tree into parts, and refuses everything that is not listed here."""

    def __init__(self) -> None:
        self.macros: set[str] = set()
        self._count = 0

    def parts(self, body: Iterable[nodes.Node], depth: int) -> Parts:
        parts: list[str | Field | Choice] = []
        for node in body:
            self._step(node, depth)
            if isinstance(node, nodes.Output):
                for inner in node.nodes:
                    if isinstance(inner, nodes.TemplateData):
                        parts.append(inner.data)
                    else:
                        parts.append(Field(self._value(inner, depth + 1)))
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
            raise TemplateProblem(_("there are too many fields and conditions."), node.lineno)
        if depth > MAX_DEPTH:
            raise TemplateProblem(_("conditions are nested too deeply."), node.lineno)

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
        words: list[str] = []
        inner: nodes.Node = node
        while isinstance(inner, nodes.Getattr):
            words.append(inner.attr)
            inner = inner.node
        if not isinstance(inner, nodes.Name):
            raise _refusal(inner)
        name = ".".join([inner.name, *reversed(words)])
        if name not in MACROS:
            what = _('unknown field "%(name)s".') % {"name": _short(name)}
            if near := difflib.get_close_matches(name[:100], MACROS, n=1):
                what += " " + _('Did you mean "%(name)s"?') % {"name": near[0]}
            raise TemplateProblem(what, node.lineno)
        self.macros.add(name)
        return read_macro(name)

    def _filter(self, node: nodes.Filter, depth: int) -> Read:
        if node.node is None or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise _refusal(node)
        if node.name == "default":
            if len(node.args) == 2 and isinstance(node.args[1], nodes.Const) and node.args[1].value is True:
                del node.args[1]  # Jinja's way to say "also when empty"; here that is always so
            if len(node.args) != 1 or not isinstance(node.args[0], nodes.Const):
                raise TemplateProblem(_('"default" needs one text: default("friend").'), node.lineno)
            fallback = str(_literal(node.args[0]))
            read = self._value(node.node, depth + 1)
            return lambda values: read(values) or fallback
        change = _FILTERS.get(node.name)
        if change is None or node.args:
            what = _('"|%(name)s" is not allowed. Allowed are default("..."), upper, lower, title and trim.')
            raise TemplateProblem(what % {"name": _short(node.name)}, node.lineno)
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
            raise TemplateProblem(_('compare two things at a time, and join comparisons with "and".'), node.lineno)
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
    if _STRANGE.search(text):
        raise TemplateProblem(_("a number is too large, or a text in quotes has a control character."), node.lineno)
    return value


_NAMES = {
    nodes.For: _("loops (for)"),
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


def _refusal(node: nodes.Node) -> TemplateProblem:
    name = next((label for kind, label in _NAMES.items() if isinstance(node, kind)), None)
    what = _("%(what)s is not allowed. Allowed are fields, if, elif, else, endif and comparisons.")
    return TemplateProblem(what % {"what": str(name) if name else f'"{type(node).__name__.lower()}"'}, node.lineno)


def _explain(error: TemplateSyntaxError) -> str:
    return _("the template cannot be read: %(reason)s") % {"reason": _short(error.message or "", 200)}


def _short(text: str, most: int = 60) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1] + "…"
