"""The shapes of values in a configuration file: how each is read out of the tree, written down and kept.

`parse` gives plain data, the same that `load` makes of what the database holds, so that both can be compared. `store`
gives what verbs take.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from app.db import Choice
from app.domain import checks
from app.domain.config import yamlfile
from app.domain.config.yamlfile import FileProblem, Mapped, Node, Scalar, Sequence
from app.i18n import exponent, gettext

if TYPE_CHECKING:
    from app.domain.config.refs import Refs

FEW = 40
"""Names that a sentence can hold."""
NOTHING = ("", "~", "null")


@dataclass
class At:
    """A place in a file. uses: the rows that it names, as (section, label, place). row: the fields before it."""

    path: str
    uses: list[tuple[str, str, FileProblem]] = field(default_factory=list)
    row: dict[str, Any] = field(default_factory=dict)

    def deeper(self, step: str) -> At:
        return At(f"{self.path}.{step}" if self.path else step, self.uses, self.row)

    def wrong(self, reason: str, node: Node) -> FileProblem:
        return FileProblem(reason, line=node.line, path=self.path)


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence with the known name that is most like it, or with all of them where they are few."""
    names = list(known)
    like = difflib.get_close_matches(name, names, 1)
    said = gettext("There is nothing called %(name)s here.") % {"name": name[:60]}
    if like:
        said += " " + gettext("Perhaps %(name)s?") % {"name": like[0]}
    elif 0 < len(names) <= FEW:
        said += " " + gettext("One of these, please: %(names)s.") % {"names": ", ".join(names)}
    return said


def scalar(node: Node, at: At) -> Scalar:
    if not isinstance(node, Scalar):
        raise at.wrong(gettext("A single value is expected here."), node)
    return node


def mapped(node: Node, at: At) -> Mapped:
    if isinstance(node, Scalar) and node.plain and node.text in NOTHING:
        return Mapped(node.line)
    if not isinstance(node, Mapped):
        raise at.wrong(gettext("Names with their values are expected here."), node)
    return node


def listed(node: Node, at: At) -> list[Node]:
    if isinstance(node, Scalar) and node.plain and node.text in NOTHING:
        return []
    if not isinstance(node, Sequence):
        raise at.wrong(gettext("A list is expected here."), node)
    return node.items


def tidy(value: Any) -> Any:
    """JSON with its names in alphabetical order: the databases keep them in orders of their own."""
    if isinstance(value, dict):
        return {name: tidy(value[name]) for name in sorted(value)}
    return [tidy(item) for item in value] if isinstance(value, list) else value


class Shape:
    """Any value that JSON knows; the others narrow it."""

    def parse(self, node: Node, at: At) -> Any:
        return yamlfile.plain(node)

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        """Plain data of what the row holds."""
        return tidy(value)

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        """What a verb takes. row: the whole row as plain data."""
        return value

    def meant(self, value: Any, refs: Refs, row: Any) -> Any:
        """The same value, with the rows that it names called as the database calls them."""
        return value

    def shown(self, value: Any) -> Any:
        """For people who read what differs."""
        return value


@dataclass
class Checked(Shape):
    """A text that goes through a check of `app.domain.checks`. optional: null is kept as None. Space around it counts
    for nothing: whoever writes a block ends it with a new line."""

    check: checks.Check
    optional: bool = False

    def parse(self, node: Node, at: At) -> Any:
        found = scalar(node, at)
        if found.plain and found.text in NOTHING:
            if self.optional:
                return None
            found = Scalar("", False, found.line)
        try:
            return self.check(found.text.strip())
        except checks.Bad as bad:
            raise at.wrong(str(bad), node) from None

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return value.strip() if isinstance(value, str) else value


@dataclass
class Whole(Shape):
    check: checks.Check

    def parse(self, node: Node, at: At) -> Any:
        try:
            return self.check(scalar(node, at).text)
        except checks.Bad as bad:
            raise at.wrong(str(bad), node) from None


class YesNo(Shape):
    def parse(self, node: Node, at: At) -> Any:
        found = scalar(node, at)
        if not found.plain or found.text not in ("true", "false"):
            raise at.wrong(gettext("true or false, please."), node)
        return found.text == "true"


@dataclass
class OneOf(Shape):
    kind: type[Choice]
    optional: bool = False

    def parse(self, node: Node, at: At) -> Any:
        found = scalar(node, at)
        if self.optional and found.plain and found.text in NOTHING:
            return None
        known = [member.value for member in self.kind]
        if found.text not in known:
            raise at.wrong(gettext("One of these, please: %(names)s.") % {"names": ", ".join(known)}, node)
        return found.text

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return None if value is None else str(value.value)

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        return None if value is None else self.kind(value)


class Day(Shape):
    def parse(self, node: Node, at: At) -> Any:
        found = scalar(node, at)
        if found.text in NOTHING:
            return None
        try:
            return date.fromisoformat(found.text)
        except ValueError:
            raise at.wrong(gettext("A day such as 2026-12-31, please."), node) from None


class Number(Shape):
    """A number with decimals that is kept as a whole number of its smallest unit."""

    def digits(self, row: Any) -> int:
        return 2

    def parse(self, node: Node, at: At) -> Any:
        try:
            found = Decimal(scalar(node, at).text)
        except InvalidOperation:
            raise at.wrong(gettext("A number, please."), node) from None
        if not found.is_finite() or abs(found) > 10**16:
            raise at.wrong(gettext("This number is out of range."), node)
        return found

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return None if value is None else Decimal(value).scaleb(-self.digits(row))

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        made = value.scaleb(self.digits(row))
        if made != made.to_integral_value():
            raise checks.Bad(gettext("Too many decimals."))
        return int(made)


class Rate(Number):
    """Between currencies."""

    def digits(self, row: Any) -> int:
        return 9

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return super().load(value, refs, row).normalize()


@dataclass
class Money(Number):
    """In the currency that another field of the row names."""

    currency: str = "currency"

    def digits(self, row: Any) -> int:
        code = row.get(self.currency) if isinstance(row, Mapping) else getattr(row, self.currency)
        return exponent(code or "EUR")


@dataclass
class ListOf(Shape):
    of: Shape
    ordered: bool = True
    """False: a set, which is written in alphabetical order."""

    def parse(self, node: Node, at: At) -> Any:
        made = [self.of.parse(item, at.deeper(str(n + 1))) for n, item in enumerate(listed(node, at))]
        if self.ordered:
            return made
        if len(set(made)) < len(made):
            raise at.wrong(gettext("Something stands here twice."), node)
        return sorted(made)

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        made = [self.of.load(item, refs, row) for item in value or ()]
        return made if self.ordered else sorted(made)

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        return [self.of.store(item, refs, row) for item in value]

    def meant(self, value: Any, refs: Refs, row: Any) -> Any:
        made = [self.of.meant(item, refs, row) for item in value]
        return made if self.ordered else sorted(made)


@dataclass
class MapOf(Shape):
    """Names with values of one shape, in alphabetical order. check: of the names."""

    of: Shape
    check: checks.Check | None = None

    def parse(self, node: Node, at: At) -> Any:
        found = mapped(node, at)
        made = {}
        for name, item in found.items.items():
            try:
                key = self.check(name) if self.check else name
            except checks.Bad as bad:
                raise FileProblem(str(bad), line=found.lines[name], path=at.deeper(name).path) from None
            made[key] = self.of.parse(item, at.deeper(name))
        return dict(sorted(made.items()))

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return {name: self.of.load(item, refs, row) for name, item in sorted((value or {}).items())}

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        return {name: self.of.store(item, refs, row) for name, item in value.items()}

    def meant(self, value: Any, refs: Refs, row: Any) -> Any:
        return {name: self.of.meant(item, refs, row) for name, item in value.items()}


@dataclass
class Record(Shape):
    """Named values, each with its shape; all of them, but for those that `usual` fills in."""

    fields: Mapping[str, Shape]
    usual: Mapping[str, Any] = field(default_factory=dict)

    def parse(self, node: Node, at: At) -> Any:
        made = parse_fields(mapped(node, at), self.fields, at)
        if missing := [name for name in self.fields if name not in made and name not in self.usual]:
            raise at.wrong(gettext("%(name)s is missing.") % {"name": ", ".join(missing)}, node)
        return {name: made.get(name, self.usual.get(name)) for name in self.fields}

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return {name: shape.load(value[name], refs, value) for name, shape in self.fields.items()}

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        return {name: shape.store(value[name], refs, value) for name, shape in self.fields.items()}

    def meant(self, value: Any, refs: Refs, row: Any) -> Any:
        return {name: shape.meant(value[name], refs, row) for name, shape in self.fields.items()}


@dataclass
class Ref(Shape):
    """A row of another section, by its name there."""

    section: str
    optional: bool = True

    def parse(self, node: Node, at: At) -> Any:
        found = scalar(node, at)
        if found.plain and found.text in NOTHING:
            if self.optional:
                return None
            raise at.wrong(gettext("Please fill this in."), node)
        at.uses.append((self.section, found.text, at.wrong("", node)))
        return found.text

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return None if value is None else refs.label(self.section, value)

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        return None if value is None else refs.id(self.section, value)

    def meant(self, value: Any, refs: Refs, row: Any) -> Any:
        return None if value is None else refs.meant(self.section, value)


@dataclass
class Secret(Shape):
    """Never in a file but as `env:BURSAR_...`, the variable that holds it; what is kept otherwise is left out."""

    def parse(self, node: Node, at: At) -> Any:
        text = scalar(node, at).text
        if not text.startswith("env:BURSAR_"):
            raise at.wrong(gettext("A secret stands here as env:BURSAR_..., the variable that holds it."), node)
        return text

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return value if isinstance(value, str) and value.startswith("env:BURSAR_") else LEFT_OUT


LEFT_OUT: Any = object()
"""A value that does not come into the file."""


def parse_fields(node: Mapped, fields: Mapping[str, Shape], at: At) -> dict[str, Any]:
    """The fields that are there, in the order of their declaration. Raises FileProblem for a name that is none."""
    for name in node.items:
        if name not in fields:
            raise FileProblem(nearest(name, fields), line=node.lines[name], path=at.deeper(name).path)
    made: dict[str, Any] = {}
    for name, shape in fields.items():
        if name in node.items:
            made[name] = shape.parse(node.items[name], At(at.deeper(name).path, at.uses, made))
    return made
