"""
Messages ready for many recipients: a template in, subject, text and HTML out. Bodies are Markdown (CommonMark).

What a field holds is never read as template, Markdown or HTML. Conditions may stand anywhere, also across paragraphs
and list items: each combination of taken branches is a text of its own, run through Markdown and the sanitiser the
first time it occurs. So the HTML of every recipient is balanced.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Final
from urllib.parse import quote

from app.domain.messaging.markdown import to_html
from app.domain.messaging.template import MACROS, Field, MacroSpec, Pieces, Template, TemplateProblem, Values, parse

__all__ = [
    "MACROS",
    "CompiledMessage",
    "MacroSpec",
    "RenderedMessage",
    "Template",
    "TemplateProblem",
    "compile_message",
    "parse",
]

MAX_VARIANTS: Final = 256

_TAG = re.compile(r'<[a-z][a-z0-9]*((?: [a-z-]+="[^"]*")+) ?/?>')
_TARGET = re.compile(r' (?:href|src)="([^"]*)"')
_SAFE_URL = re.compile(r"(?:https?://[^\s/?#@\\][^\s\\]*|mailto:[^\s\\:/@?]+@[^\s\\]+)", re.IGNORECASE)
_KEPT = "%/:=&?~#+!$,;'@()*[]-._"
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), " ")
_NOT_SHOWN = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10, 13)}


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """One recipient's message: subject on one line, Markdown source as text, HTML fragment (see shell.py)."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Variant:
    text: Pieces
    html: tuple["str | Field | _Link", ...]


class CompiledMessage:
    """Subject and body of one language, ready for many recipients. `macros` is what `render` needs."""

    def __init__(self, subject: Template, body: Template) -> None:
        self.macros = subject.macros | body.macros
        self._subject = subject
        self._body = body
        self._variants: dict[tuple[int, ...], _Variant] = {}

    def render(self, values: Values) -> RenderedMessage:
        """Put the values of one recipient in: raw in the text, escaped in the HTML, checked in link targets."""
        taken, pieces = self._body.pieces_for(values)
        variant = self._variants.get(taken)
        if variant is None:
            if len(self._variants) >= MAX_VARIANTS:
                self._variants.clear()
            variant = self._variants[taken] = _Variant(pieces, _to_html(pieces))
        return RenderedMessage(
            subject=" ".join(self._subject.render(values).translate(_CONTROLS).split()),
            text="".join(piece if isinstance(piece, str) else piece.read(values) for piece in variant.text),
            html="".join(
                piece
                if isinstance(piece, str)
                else piece.render(values)
                if isinstance(piece, _Link)
                else escape(piece.read(values).translate(_NOT_SHOWN))
                for piece in variant.html
            ),
        )


@lru_cache(maxsize=64)
def compile_message(subject: str, body: str) -> CompiledMessage:
    """Check and compile a message: once per language of a campaign. Raises TemplateProblem."""
    compiled = CompiledMessage(parse(subject), parse(body))
    compiled.render({})  # so that the first recipient does not wait, and what cannot be rendered fails in the form
    return compiled


@dataclass(frozen=True, slots=True)
class _Link:
    """
    A link target with fields in it. A field at the start is an address; one behind a host is a part of it; any other
    is encoded as one component (RFC 3986 2.1). The whole must be http, https or mailto, else it becomes "#".
    """

    pieces: Pieces

    def render(self, values: Values) -> str:
        url = ""
        for piece in self.pieces:
            if isinstance(piece, str):
                url += piece
                continue
            value = piece.read(values).strip()
            if not url:
                url = value
            elif url.lower().startswith("mailto:") and "?" not in url:
                url += quote(value, safe="@-._~+", errors="replace")
            elif re.fullmatch(r"https?://[^/?#]*", url, re.IGNORECASE):
                url += quote(value, safe=":/-._~", errors="replace")
            else:
                url += quote(value, safe="-._~", errors="replace")
        if len(url) > 2000 or not _SAFE_URL.fullmatch(url):
            return "#"
        return escape(quote(url, safe=_KEPT, errors="replace"))


def _to_html(pieces: Pieces) -> tuple["str | Field | _Link", ...]:
    """Run Markdown and the sanitiser once, with a letters-only token where each field goes, and split at the tokens."""
    fields = [piece for piece in pieces if isinstance(piece, Field)]
    texts = "".join(piece for piece in pieces if isinstance(piece, str))
    mark = "zq" + hashlib.sha256(texts.encode()).hexdigest()[:12]
    while mark in texts:
        mark += "z"
    numbers = iter(range(len(fields)))
    source = "".join(piece if isinstance(piece, str) else f"{mark}{next(numbers):05d}" for piece in pieces)
    html = to_html(source, mark=mark)
    token = re.compile(mark + r"(\d{5})")

    def split(text: str) -> Iterable[str | Field]:
        for number, part in enumerate(token.split(text)):
            if number % 2:
                yield fields[int(part)]
            elif part:
                yield part

    result: list[str | Field | _Link] = []
    done = 0
    for tag in _TAG.finditer(html):
        for target in _TARGET.finditer(html, tag.start(1), tag.end(1)):
            if mark in target[1]:
                result += split(html[done : target.start(1)])
                result.append(_Link(tuple(_unescaped(split(target[1])))))
                done = target.end(1)
    result += split(html[done:])
    return tuple(result)


def _unescaped(pieces: Iterable[str | Field]) -> Iterable[str | Field]:
    """Link targets come escaped out of the sanitiser: & and quotes only."""
    for piece in pieces:
        if isinstance(piece, str):
            yield piece.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        else:
            yield piece
