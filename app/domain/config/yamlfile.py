"""YAML as configuration files use it: read into a tree that knows its lines, and written in a fixed shape.

Only what a person types is taken: mappings, lists and scalars. Anchors, aliases, tags and several documents are
refused, and so is what is too large or too deep, before anything is made of it. What a scalar means is for its field
to say, so that the country NO stays a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import yaml

from app.errors import AppError
from app.i18n import gettext

MOST_BYTES = 10_000_000
MOST_NODES = 100_000
DEEPEST = 24

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,9}")


class FileProblem(AppError):
    """What is wrong with a file, and where: the line, and the path to the place."""

    def __init__(self, reason: str, *, line: int = 0, path: str = "") -> None:
        self.reason, self.line, self.path = reason, line, path
        super().__init__(self.said())

    def said(self) -> str:
        at = [gettext("line %(n)s") % {"n": self.line}] if self.line else []
        at += [self.path] if self.path else []
        return f"{', '.join(at)}: {self.reason}" if at else self.reason


@dataclass
class Scalar:
    text: str
    plain: bool
    line: int


@dataclass
class Sequence:
    line: int
    items: list[Node] = field(default_factory=list)


@dataclass
class Mapped:
    line: int
    items: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Sequence | Mapped


def read(data: bytes) -> Mapped:
    """The tree of a file. Raises FileProblem."""
    if len(data) > MOST_BYTES:
        raise FileProblem(gettext("The file is larger than %(n)s MB.") % {"n": MOST_BYTES // 1_000_000})
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        said = gettext("This is not text in UTF-8. Save the file in this encoding.")
        raise FileProblem(said, line=line) from None
    try:
        root = _build(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as problem:
        raise _no_yaml(problem) from None
    except yaml.reader.ReaderError as problem:
        line = text.encode()[: problem.position].count(b"\n") + 1
        raise FileProblem(gettext("This holds a character that cannot stand in YAML."), line=line) from None
    if root is None:
        return Mapped(1)
    if not isinstance(root, Mapped):
        raise FileProblem(gettext("Sections with their names are expected here."), line=root.line)
    return root


def _no_yaml(problem: Any) -> FileProblem:
    """With where it began, such as a quote that nobody closed."""
    mark, begun = problem.problem_mark or problem.context_mark, problem.context_mark
    what = str(problem.problem or problem.context)
    if begun is not None and begun.line != mark.line:
        since = gettext("line %(n)s") % {"n": begun.line + 1}
        what += f" ({problem.context}, {since})"
    said = gettext("This is not YAML: %(what)s. Look at the indentation, colons and quotes there.") % {"what": what}
    return FileProblem(said, line=mark.line + 1 if mark else 0)


def _build(events: Iterator[Any]) -> Node | None:
    """Puts the events of the parser together. It counts as it goes, so that nothing large is ever made."""
    root: Node | None = None
    open_: list[tuple[Sequence | Mapped, str | None]] = []
    nodes = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise FileProblem(gettext("Anchors and aliases (& and *) are not taken. Write it out."), line=line)
        if getattr(event, "tag", None) is not None:
            raise FileProblem(gettext("Tags (!) are not taken."), line=line)
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise FileProblem(gettext("One document per file, please."), line=line)
        if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            open_.pop()
            continue
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(event.value, bool(event.implicit[0]), line)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Sequence(line)
        elif isinstance(event, yaml.MappingStartEvent):
            node = Mapped(line)
        else:
            continue
        nodes += 1
        if nodes > MOST_NODES:
            raise FileProblem(gettext("More than %(n)s values: this is no configuration.") % {"n": MOST_NODES})
        if open_:
            key = _put(open_[-1], node)
            open_[-1] = (open_[-1][0], key)
        else:
            root = node
        if not isinstance(node, Scalar):
            if len(open_) >= DEEPEST:
                raise FileProblem(gettext("This is nested too deeply."), line=line)
            open_.append((node, None))
    return root


def _put(place: tuple[Sequence | Mapped, str | None], node: Node) -> str | None:
    """Put a node where it belongs; gives the key of the mapping that waits for its value."""
    inside, key = place
    if isinstance(inside, Sequence):
        inside.items.append(node)
        return None
    if key is not None:
        inside.items[key] = node
        return None
    if not isinstance(node, Scalar):
        raise FileProblem(gettext("A name is expected here."), line=node.line)
    if node.text in inside.lines:
        said = gettext("%(name)s stands here twice; first in line %(n)s.")
        raise FileProblem(said % {"name": node.text, "n": inside.lines[node.text]}, line=node.line)
    inside.lines[node.text] = node.line
    return node.text


def plain(node: Node) -> Any:
    """What a node holds as data, for values without a shape of their own: texts, numbers, true and false, null."""
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapped):
        return {name: plain(item) for name, item in node.items.items()}
    if not node.plain:
        return node.text
    match node.text:
        case "" | "~" | "null":
            return None
        case "true" | "false":
            return node.text == "true"
    if _NUMBER.fullmatch(node.text):
        return int(node.text)
    return Decimal(node.text) if _DECIMAL.fullmatch(node.text) else node.text


# ---- writing --------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Always the same: keys in the order given, texts of several lines as blocks, nothing folded."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _text(dumper: Any, text: str) -> Any:
    shown = all(c == "\n" or c.isprintable() for c in text)
    style = ("|" if "\n" in text else None) if shown else '"'  # only there is every character kept
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _decimal(dumper: Any, number: Decimal) -> Any:
    text = f"{number:f}"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{'float' if '.' in text else 'int'}", text)


def _day(dumper: Any, day: date) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", day.isoformat())


def _list(dumper: Any, items: list[Any]) -> Any:
    """Short ones of single values stand on one line."""
    short = all(isinstance(i, str | int) and "\n" not in str(i) for i in items) and sum(len(str(i)) for i in items) < 80
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(Decimal, _decimal)
_Dumper.add_representer(date, _day)


def write(sections: Mapping[str, Any], *, head: str = "", titles: Mapping[str, str] | None = None) -> str:
    """The text of a file: `head` as a comment above, each section with its title as a comment."""
    parts = ["".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())]
    for name, rows in sections.items():
        title = (titles or {}).get(name)
        made = yaml.dump(
            {name: rows}, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000, default_flow_style=False
        )
        parts.append((f"# {title}\n" if title else "") + str(made))
    return "\n".join(part for part in parts if part)
