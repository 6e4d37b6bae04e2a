"""Markdown (CommonMark, no HTML of its own) into clean HTML, in bounded time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt

from app.domain.messaging.syntax import TemplateProblem
from app.i18n import _

SECONDS: Final = 0.03
"""Of the processor, for one text: a letter of 2 kB takes 2 ms, 60 kB of plain prose 3 ms."""
MAX_HTML: Final = 500_000
MAX_LINES: Final = 5_000

TAGS: Final = {"p", "br", "strong", "em", "code", "pre", "blockquote", "ul", "ol", "li", "hr", "a", "img"} | {
    f"h{level}" for level in range(1, 7)
}
ATTRIBUTES: Final = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}}
_WHOLE = re.compile(r"https?://[^/]|mailto:", re.IGNORECASE)


class _TooLong(Exception):
    """The text takes longer than it may."""


def _watched(rule: Callable[..., Any]) -> Callable[..., Any]:
    def watched(state: Any, *rest: Any) -> Any:
        if time.thread_time() > state.env["until"]:
            raise _TooLong
        return rule(state, *rest)

    return watched


def _made() -> MarkdownIt:
    """The reader, stopped at the next rule for a line or a piece of a line when its time is over."""
    reader = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True})
    for ruler in (reader.block.ruler, reader.inline.ruler, reader.inline.ruler2):
        active = [rule for rule in ruler.__rules__ if rule.enabled]
        for rule in active if ruler is reader.block.ruler else active[:1]:
            ruler.at(rule.name, _watched(rule.fn), {"alt": rule.alt})
    return reader


_READER = _made()


def to_html(source: str, *, mark: str = "", seconds: float = SECONDS) -> str:
    """Links that are no whole web or mail address lead nowhere, unless they hold `mark`. Raises TemplateProblem for a
    text that is too long or too involved: that takes more than so many seconds of the processor."""
    try:
        if source.count("\n") > MAX_LINES:
            raise _TooLong
        html = _READER.render(source, {"until": time.thread_time() + seconds})
    except _TooLong:
        html = None
    if html is None or len(html) > MAX_HTML:
        raise TemplateProblem(_("the text is too long or too involved. Make it shorter, with fewer signs like * [ >."))

    def checked(_tag: str, name: str, value: str) -> str:
        aims = name in ("href", "src") and not (_WHOLE.match(value) or (mark and mark in value))
        return "#" if aims else value

    return nh3.clean(
        html, tags=TAGS, attributes=ATTRIBUTES, attribute_filter=checked, url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )  # fmt: skip
