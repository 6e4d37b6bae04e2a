"""Texts that staff write as HTML: cleaned by a list of what may stay, and turned into plain text for the other part."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Final

import nh3

from app.domain.messaging.syntax import TemplateProblem
from app.i18n import _

_BEGINS: Final = re.compile(
    r"\s*<(?:!doctype|html|body|head|style|center|p|div|h[1-6]|table|ul|ol|blockquote|section|article|img|hr|pre)\b",
    re.IGNORECASE,
)
_TAGS: Final = {
    "a", "b", "blockquote", "br", "caption", "center", "code", "div", "em", "hr", "i", "img", "li", "ol", "p", "pre",
    "s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
} | {f"h{level}" for level in range(1, 7)}  # fmt: skip
_CELL: Final = {"colspan", "rowspan", "align", "valign"}
_ATTRIBUTES: Final = {
    "a": {"href", "title"}, "img": {"src", "alt", "title", "width", "height"}, "ol": {"start"}, "td": _CELL,
    "th": _CELL, "p": {"align"}, "div": {"align"}, "table": {"align", "width"},
}  # fmt: skip


_FORMATS: Final = "b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u"
_FORMAT: Final = re.compile(rf"<({_FORMATS})(?=[\s/])[^<>]*>", re.IGNORECASE)
_ODD_FORMAT: Final = re.compile(rf"<(?:{_FORMATS})[\s/]", re.IGNORECASE)
_BOX: Final = re.compile(r"<(/?)(?:div|ul|ol|dl|table|blockquote|center|section|article|pre)\b", re.IGNORECASE)
MAX_NESTED: Final = 200
SECONDS: Final = 0.3
"""Of the processor, for one text: a newsletter of 60 kB in tables takes 0.05."""
MAX_HTML: Final = 500_000


class _Budget:
    """The time that a text may take."""

    def __init__(self, seconds: float) -> None:
        self.until = time.thread_time() + seconds

    def check(self) -> None:
        if time.thread_time() > self.until:
            raise too_involved()


def too_involved() -> TemplateProblem:
    return TemplateProblem(_("the HTML is too long or too involved. Make it shorter, with fewer tags in each other."))


def is_html(body: str) -> bool:
    """A text that begins with a tag of a block is HTML, any other is Markdown."""
    return _BEGINS.match(body) is not None


def clean(source: str, *, seconds: float = SECONDS) -> str:
    """Only what may stand in a mail: no script, no style, no address but http, https and mailto. Raises TemplateProblem
    for what is too long or too involved.

    The reader opens every open mark of text again in each block, but of equal ones three at most. So they lose their
    attributes before: else 27 kB become 28 MB. What is left takes a second at the length that a text may have, and who
    took too long once is refused."""
    budget = _Budget(seconds)
    source = _FORMAT.sub(r"<\1>", source)
    depth = 0
    for box in _BOX.finditer(source):
        depth = max(0, depth + (-1 if box[1] else 1))
        if depth > MAX_NESTED:
            raise too_involved()
    if _ODD_FORMAT.search(source):
        raise too_involved()
    html = nh3.clean(
        source, tags=_TAGS, attributes=_ATTRIBUTES, clean_content_tags={"script", "style", "title"},
        url_schemes={"http", "https", "mailto"}, link_rel="noopener noreferrer", attribute_filter=_whole,
    )  # fmt: skip
    if len(html) > MAX_HTML:
        raise too_involved()
    budget.check()
    return html


def _whole(_tag: str, name: str, value: str) -> str | None:
    """A mail has no address of its own: a relative one leads nowhere. A field at the beginning is checked later."""
    if name not in ("href", "src") or re.match(r"(?:https?:|mailto:|zq[0-9a-f]{12}z*\d{5})", value, re.IGNORECASE):
        return value
    return None


def to_text(html: str, *, seconds: float = SECONDS) -> str:
    """Clean HTML as plain text: a line for each block, a dash for each item, the address behind a link. Raises
    TemplateProblem for what takes too long."""
    reader = _Text(_Budget(seconds))
    reader.feed(html)
    reader.close()
    lines = [line.strip(" ") for line in "".join(reader.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


_BLOCKS: Final = {"p", "div", "table", "ul", "ol", "blockquote", "pre", "center"} | {f"h{n}" for n in range(1, 7)}


class _Text(HTMLParser):
    def __init__(self, budget: _Budget) -> None:
        super().__init__(convert_charrefs=True)
        self._budget = budget
        self.parts: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._lists: list[int | None] = []
        self._pre = 0

    def _line(self, n: int = 1) -> None:
        """End the line, with n - 1 empty ones after it; not at the beginning, and not again."""
        while self.parts and self.parts[-1] == " ":
            self.parts.pop()
        had = 0
        while had < min(n, len(self.parts)) and self.parts[-1 - had] == "\n":
            had += 1
        self.parts += ["\n"] * (n - had if self.parts else 0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._budget.check()
        given = {name: value or "" for name, value in attrs}
        if tag in _BLOCKS:
            self._line(1 if tag in ("ul", "ol") and self._lists else 2)
        if tag in ("ul", "ol"):
            start = given.get("start", "1")
            first = int(start) if start.isascii() and start.isdecimal() and len(start) < 6 else 1
            self._lists.append(first if tag == "ol" else None)
        elif tag == "li":
            self._line()
            number = self._lists[-1] if self._lists else None
            self.parts.append("- " if number is None else f"{number}. ")
            if number is not None:
                self._lists[-1] = number + 1
        elif tag == "br":
            self.parts.append("\n")
        elif tag == "hr":
            self._line(2)
            self.parts += ["---", "\n"]
        elif tag == "tr":
            self._line()
        elif tag == "img":
            self.parts.append(given.get("alt", ""))
        elif tag == "a":
            self._links.append((given.get("href", ""), len(self.parts)))
        self._pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._links:
            href, begin = self._links.pop()
            shown = "".join(self.parts[begin:]).strip()
            if href and href.removeprefix("mailto:") != shown:
                self.parts.append(f" ({href.removeprefix('mailto:')})" if shown else href)
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag in ("td", "th"):
            self.parts.append(" ")
        if tag in _BLOCKS:
            self._line(1 if tag in ("ul", "ol") and self._lists else 2)
        self._pre -= tag == "pre"

    def handle_data(self, data: str) -> None:
        if self._pre:
            self.parts += [part for part in re.split(r"(\n)", data) if part]
        else:
            words = re.sub(r"\s+", " ", data)
            fresh = not self.parts or self.parts[-1].endswith(("\n", " "))
            if words := words.lstrip(" ") if fresh else words:
                self.parts.append(words)
