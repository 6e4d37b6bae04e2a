"""
Messages ready for many recipients: a template in, subject, text and HTML out. Bodies are Markdown (CommonMark), or HTML
when they begin with a tag (html_body.py).

What a field holds is never read as template, Markdown or HTML. Conditions may stand anywhere, also across paragraphs
and list items: each combination of taken branches is a text of its own, run through Markdown and the sanitiser the
first time it occurs. So the HTML of every recipient is balanced.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from app.domain.messaging import html_body
from app.domain.messaging.markdown import SECONDS, to_html
from app.domain.messaging.template import (
    MACROS,
    Choice,
    Field,
    MacroSpec,
    Pieces,
    Template,
    TemplateProblem,
    Values,
    parse,
)
from app.integrations.mail.skeleton import Escaped

__all__ = [
    "MACROS",
    "CompiledMessage",
    "MacroSpec",
    "RenderedMessage",
    "Template",
    "TemplateProblem",
    "check_message",
    "compile_message",
    "parse",
]

MAX_VARIANTS: Final = 256
PATIENCE: Final = 2.0
"""Seconds for a text that was checked when it was written: a slow machine must still be able to send it."""

_TAG = re.compile(r'<[a-z][a-z0-9]*((?: [a-z-]+="[^"]*")+) ?/?>')
_TARGET = re.compile(r' (?:href|src)="([^"]*)"')
_SAFE_URL = re.compile(r"(?:https?://[^\s/?#@\\][^\s\\]*|mailto:[^\s\\:/@?]+@[^\s\\]+)", re.IGNORECASE)
_USUAL_START = re.compile(r"https?://[A-Za-z0-9.-]+/[A-Za-z0-9/._~=?-]{0,500}")
_USUAL = re.compile(r"[A-Za-z0-9._~-]{0,100}")
_KEPT = "%/:=&?~#+!$,;'@()*[]-._"
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), " ")
_HARMLESS = re.compile(r"[\w .,:@/()+-]*")
"""Needs no escaping; control characters are not among these."""
_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NOT_SHOWN = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10, 13)}


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """One recipient's message: subject on one line, the text (Markdown as it is), HTML fragment (see shell.py)."""

    subject: str
    text: str
    html: str


Key = tuple[tuple[int, ...], tuple[int, ...]]
"""Which branches of the subject and of the body are taken."""
HtmlPiece: TypeAlias = "str | Field | Link"


@dataclass(frozen=True, slots=True)
class _Variant:
    text: Pieces
    html: "tuple[HtmlPiece, ...]"


class CompiledMessage:
    """Subject and body of one language, ready for many recipients. `macros` is what `render` needs."""

    def __init__(self, subject: Template, body: Template, seconds: float = PATIENCE) -> None:
        self.macros = subject.macros | body.macros
        self._seconds = seconds
        self._subject = subject
        self._body = body
        self._variants: dict[tuple[int, ...], _Variant] = {}
        self._conditions = _has_choices(subject), _has_choices(body)
        self._plain: tuple[Key, Pieces, _Variant] | None = None
        self.kept: dict[Hashable, Any] = {}
        """What others have made of it: whole messages, per variant and sender."""

    def parts(self, values: Values) -> "tuple[Key, Pieces, Pieces, tuple[HtmlPiece, ...]]":
        """The pieces that these values choose: (which, subject, text, HTML); `html_reader` reads those of the HTML.

        Without conditions they are the same for everybody.
        """
        if self._plain is None or any(self._conditions):
            of_subject, subject = self._subject.pieces_for(values)
            taken, variant = self._variant(values)
            self._plain = (of_subject, taken), subject, variant
        key, subject, variant = self._plain
        return key, subject, variant.text, variant.html

    def subject(self, values: Values) -> str:
        """The subject on one line."""
        return one_line(self._subject.render(values))

    def _variant(self, values: Values) -> "tuple[tuple[int, ...], _Variant]":
        taken, pieces = self._body.pieces_for(values)
        variant = self._variants.get(taken)
        if variant is None:
            if len(self._variants) >= MAX_VARIANTS:
                self._variants.clear()
            variant = self._variants[taken] = _Variant(_to_text(pieces, self._seconds), _to_html(pieces, self._seconds))
        return taken, variant

    def render(self, values: Values) -> RenderedMessage:
        """Put the values of one recipient in: raw in the text, escaped in the HTML, checked in link targets."""
        _taken, variant = self._variant(values)
        return RenderedMessage(
            subject=self.subject(values),
            text="".join(piece if isinstance(piece, str) else piece.read(values) for piece in variant.text),
            html="".join(html_reader(piece)(values) for piece in variant.html),
        )


_ONE_LINE = re.compile(r"[!-~\xa1-\u167f]+(?: [!-~\xa1-\u167f]+)*")


def one_line(text: str) -> str:
    """Spaces and line breaks of all kinds as one space each."""
    return text if _ONE_LINE.fullmatch(text) else " ".join(text.translate(_CONTROLS).split())


def _has_choices(template: Template) -> bool:
    return any(isinstance(part, Choice) for part in template.parts)


@lru_cache(maxsize=1024)
def html_reader(piece: "HtmlPiece") -> "Callable[[Values], str]":
    """What writes a piece of the HTML for one recipient: escaped, or checked as the target of a link. The same function
    for the same piece."""
    if isinstance(piece, str):
        return lambda values: piece
    if isinstance(piece, Link):
        return piece.quick() or piece.render
    if piece.lines:
        read = piece.read
        return lambda values: "<br>\n".join(_escaped(line) for line in read(values).splitlines())
    return Escaped(piece.read, _escaped)


def _escaped(value: str) -> str:
    if _HARMLESS.fullmatch(value):
        return value
    return escape(value.translate(_NOT_SHOWN) if _HIDDEN.search(value) else value)


def check_message(subject: str, body: str) -> None:
    """Raises TemplateProblem for what cannot be sent or would take long: for texts that are being written."""
    template = parse(body)
    CompiledMessage(parse(subject), template, SECONDS).render({})
    if _has_choices(template):
        longest = template.longest()
        if html_body.is_html(longest):
            html_body.to_text(html_body.clean(longest))
        else:
            to_html(longest)


@lru_cache(maxsize=64)
def compile_message(subject: str, body: str) -> CompiledMessage:
    """Check and compile a message: once per language of a campaign. Raises TemplateProblem."""
    compiled = CompiledMessage(parse(subject), parse(body))
    compiled.render({})  # so that the first recipient does not wait, and what cannot be rendered fails in the form
    return compiled


@dataclass(frozen=True, slots=True)
class Link:
    """
    A link target with fields in it. A field at the start is an address; one behind a host is a part of it; any other
    is encoded as one component (RFC 3986 2.1). The whole must be http, https or mailto, else it becomes "#".
    """

    pieces: Pieces

    def quick(self) -> "Callable[[Values], str] | None":
        """`render` for the usual link, https://host/path/{{ a number or a word }}; None: it is not such a one."""
        first, *others = self.pieces
        if not isinstance(first, str) or not _USUAL_START.fullmatch(first):
            return None
        if not all(_USUAL.fullmatch(piece) for piece in others if isinstance(piece, str)):
            return None

        def write(values: Values) -> str:
            parts = [first]
            for piece in others:
                part = piece if isinstance(piece, str) else piece.read(values)
                if not _USUAL.fullmatch(part):
                    return self.render(values)
                parts.append(part)
            return "".join(parts)

        return write

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


def _marked(pieces: Pieces) -> tuple[str, str, Callable[[str], Iterable[str | Field]]]:
    """The text with a letters-only token where each field goes, how tokens begin, and what splits at them again."""
    fields = [piece for piece in pieces if isinstance(piece, Field)]
    texts = "".join(piece for piece in pieces if isinstance(piece, str))
    mark = "zq" + hashlib.sha256(texts.encode()).hexdigest()[:12]
    while mark in texts:
        mark += "z"
    numbers = iter(range(len(fields)))
    source = "".join(piece if isinstance(piece, str) else f"{mark}{next(numbers):05d}" for piece in pieces)
    token = re.compile(mark + r"(\d{5})")

    def split(text: str) -> Iterable[str | Field]:
        for number, part in enumerate(token.split(text)):
            if number % 2:
                yield fields[int(part)]
            elif part:
                yield part

    return source, mark, split


def _to_text(pieces: Pieces, seconds: float) -> Pieces:
    """What stands in the plain-text part: Markdown as it was written, HTML as text."""
    source, _mark, split = _marked(pieces)
    if not html_body.is_html(source):
        return pieces
    limit = max(seconds, html_body.SECONDS)
    return tuple(split(html_body.to_text(html_body.clean(source, seconds=limit), seconds=limit)))


def _to_html(pieces: Pieces, seconds: float) -> tuple["str | Field | Link", ...]:
    """Run Markdown and the sanitiser once, and put the fields back."""
    source, mark, split = _marked(pieces)
    if html_body.is_html(source):
        html = html_body.clean(source, seconds=max(seconds, html_body.SECONDS))
    else:
        html = to_html(source, mark=mark, seconds=seconds)
    result: list[str | Field | Link] = []
    done = 0
    for tag in _TAG.finditer(html):
        for target in _TARGET.finditer(html, tag.start(1), tag.end(1)):
            if mark in target[1]:
                result += split(html[done : target.start(1)])
                result.append(Link(tuple(_unescaped(split(target[1])))))
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
