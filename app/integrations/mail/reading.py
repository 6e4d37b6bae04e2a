"""Reading mail that others have written: nothing in it is believed, and nothing in it may break the reader."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from functools import cached_property
from html import unescape

from app.i18n import gettext
from app.integrations.mail.address import valid_address
from app.integrations.storage import safe_filename

LONGEST_HEADER = 256 * 1024
LONGEST_LINE = 20_000
"""Of one header; the rest is cut off."""
LONGEST_HTML = 600_000
"""Characters of HTML in one mail that are turned into text."""
MOST_NESTED = 50
"""Multipart bodies in one mail: real ones have five."""
MOST_PARTS = 200
MAX_SUBJECT = 300
MAX_ID = 250

_END_OF_HEADER = re.compile(rb"\r?\n\r?\n|\r\r")
_NESTS = re.compile(rb"(?im)^content-type:\s*(?:multipart|message)/")
_ID = re.compile(r"<\s*([^<>\s]{1,1000})\s*>")
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


class Unreadable(Exception):
    """A mail that is not taken apart; the text says why: a sentence, and a detail behind a bar."""


@dataclass(frozen=True)
class File:
    name: str
    content: bytes


class Letter:
    """One mail, taken apart. Every text in it is clean: no control characters, no half characters."""

    def __init__(self, raw: bytes) -> None:
        """Raises Unreadable for what is built to break readers."""
        head = _END_OF_HEADER.search(raw, 0, LONGEST_HEADER)
        if head is None and len(raw) > LONGEST_HEADER:
            raise Unreadable(f"{gettext('Its header is too large.')}|256 kB")
        if len(_NESTS.findall(raw)) > MOST_NESTED:
            raise Unreadable(f"{gettext('Too many bodies inside each other.')}|> {MOST_NESTED}")
        self.raw = raw
        try:
            self.parsed: Message = BytesParser(policy=compat32).parsebytes(raw)
            self.parts = list(self._walk())
        except (RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise Unreadable(f"{gettext('It cannot be taken apart.')}|{type(error).__name__}") from None

    # ---- the header -----------------------------------------------------------------------------------------------

    def values(self, name: str) -> list[str]:
        """All headers of this name, unfolded, not decoded."""
        wanted = name.lower()
        return [_unfolded(value) for key, value in self.parsed.raw_items() if key.lower() == wanted]

    def value(self, name: str) -> str:
        return next(iter(self.values(name)), "")

    @cached_property
    def message_id(self) -> str:
        """Without the brackets; empty when there is none."""
        return first_id(self.value("message-id"))

    @cached_property
    def refers_to(self) -> tuple[str, ...]:
        """The Message-IDs that this one answers, the nearest first."""
        earlier = [i[:MAX_ID] for i in _ID.findall(self.value("references"))]
        near = [i[:MAX_ID] for i in _ID.findall(self.value("in-reply-to"))]
        return tuple(dict.fromkeys([*near, *reversed(earlier)]))[:50]

    @cached_property
    def sender(self) -> str:
        """The address in From, in lower case; empty unless there is exactly one that mail can be sent to."""
        lines = self.values("from")
        found = addresses(lines) if len(lines) == 1 else []
        return found[0] if len(found) == 1 else ""

    @cached_property
    def sender_name(self) -> str:
        pairs = getaddresses([self.value("from")])
        return _line(decoded(pairs[0][0]))[:200] if pairs else ""

    @cached_property
    def recipients(self) -> list[str]:
        """Every address that it was sent to, as far as the header tells."""
        names = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to", "cc")
        return addresses([line for name in names for line in self.values(name)[:20]])

    @cached_property
    def subject(self) -> str:
        """On one line, at most 300 characters."""
        return _line(decoded(self.value("subject")))[:MAX_SUBJECT].strip()

    # ---- the body -------------------------------------------------------------------------------------------------

    @cached_property
    def text(self) -> str:
        """What was written, as plain text; HTML is turned into text when there is nothing else."""
        plain = [_text_of(p) for p in self.parts if p.get_content_type() == "text/plain" and not _is_file(p)]
        text = "\n\n".join(t for t in plain if t)
        if not text:
            html, left = [], LONGEST_HTML
            for part in self.parts:
                if left > 0 and part.get_content_type() == "text/html" and not _is_file(part):
                    html.append(_text_of(part)[:left])
                    left -= len(html[-1])
            text = "\n\n".join(t for t in map(html_to_text, html) if t)
        return text

    @cached_property
    def files(self) -> list[File]:
        """What is attached, with names that are safe; empty files are left out."""
        found = []
        for part in self.parts:
            kind = part.get_content_type()
            if not _is_file(part) and kind in ("text/plain", "text/html"):
                continue
            content = _content(part)
            if content:
                name = safe_filename(_file_name(part)) if _file_name(part) else f"file.{_ending(kind)}"
                found.append(File(name, content))
        return found

    def _walk(self) -> Iterator[Message]:
        """The parts that hold something, in order; a mail inside a mail counts as one."""
        waiting, n = [self.parsed], 0
        while waiting and n < MOST_PARTS:
            part = waiting.pop()
            n += 1
            inside = part.get_payload() if part.is_multipart() else None
            if part.get_content_maintype() == "multipart" and isinstance(inside, list):
                waiting += [p for p in reversed(inside) if isinstance(p, Message)]
            else:
                yield part


@dataclass(frozen=True)
class Peek:
    """What is noted of a mail before anything else is done with it. `fingerprint` is the same for the same mail, by
    whatever way it came: what servers add on the way does not count."""

    fingerprint: str
    message_id: str = ""
    sender: str = ""
    recipient: str = ""
    subject: str = ""


def peek(raw: bytes) -> Peek:
    """Look at the header of a mail, whatever it is. Never raises."""
    head = _END_OF_HEADER.search(raw, 0, LONGEST_HEADER)
    try:
        if head is None and len(raw) > LONGEST_HEADER:
            raise Unreadable
        letter = Letter(raw[: head.end()] if head else raw)
        named = [letter.value(n).encode("utf-8", "replace") for n in ("message-id", "from", "date", "subject")]
        digest = hashlib.sha256(b"\0".join([*named, raw[head.end() :].strip() if head else b""])).hexdigest()
        to = next(iter(letter.recipients), "")
        return Peek(digest, letter.message_id, letter.sender, to, letter.subject)
    except (Unreadable, ValueError, LookupError, RecursionError, AttributeError, TypeError):
        return Peek(hashlib.sha256(raw).hexdigest())


def first_id(text: str) -> str:
    """The first Message-ID in a header, without the brackets, as long as we keep it."""
    found = _ID.search(text)
    return found[1][:MAX_ID] if found else ""


def addresses(lines: list[str]) -> list[str]:
    """The addresses in these headers, in lower case, each once."""
    found = [address.strip().lower() for _name, address in getaddresses(lines)]
    return list(dict.fromkeys(a for a in found if valid_address(a)))


def decoded(text: str) -> str:
    """A header with its encoded words (RFC 2047) as text; what is broken stays as it is."""
    if "=?" not in text:
        return text
    try:
        return "".join(
            _decoded(part, charset or "ascii") if isinstance(part, bytes) else part
            for part, charset in decode_header(text)
        )
    except Exception:
        return text


def _unfolded(value: object) -> str:
    """One header as text: folds become spaces, bytes beyond ASCII are read as UTF-8 or Latin-1."""
    raw = str(value)[:LONGEST_LINE].encode("utf-8", "surrogateescape")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return re.sub(r"[\r\n]+[ \t]*", " ", text).translate(_CONTROLS).strip()


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _decoded(data: bytes, charset: str) -> str:
    """Bytes as text whatever their charset claims to be."""
    for name in (charset, "utf-8", "cp1252", "latin-1"):
        try:
            # a codec that is no charset (base64, zip) would give bytes, or more than was sent
            text = data.decode(name) if name.lower() not in ("idna", "punycode", "unicode_escape", "undefined") else ""
        except (UnicodeError, LookupError, ValueError, AssertionError):
            continue
        if text or not data:
            return text
    return data.decode("latin-1")


def _text_of(part: Message) -> str:
    try:
        charset = str(part.get_content_charset() or "utf-8")
    except (ValueError, LookupError):  # a charset in a charset that is none
        charset = "utf-8"
    text = _decoded(_content(part), charset)
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)
    return text.encode("utf-8", "replace").decode().strip()


def _content(part: Message) -> bytes:
    if part.is_multipart():  # a mail inside a mail, or the parts of a report
        try:
            return b"\n".join(p.as_bytes() for p in part.get_payload() if isinstance(p, Message))
        except (RecursionError, ValueError, LookupError, AttributeError, TypeError, UnicodeError):
            return b""
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _is_file(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_file_name(part))


def _file_name(part: Message) -> str:
    try:
        return decoded(part.get_filename() or "")
    except (ValueError, LookupError, TypeError, UnicodeError):
        return ""


def _ending(kind: str) -> str:
    known = {"message/rfc822": "eml", "image/jpeg": "jpg", "text/calendar": "ics"}
    end = known.get(kind) or kind.partition("/")[2]
    return end if re.fullmatch(r"[a-z0-9]{1,5}", end) else "bin"


# ---- HTML as text ---------------------------------------------------------------------------------------------------

_BLOCKS = frozenset(
    ["p", "div", "table", "tr", "ul", "ol", "section", "article", "header", "footer", "blockquote", "pre", "form"]
    + [f"h{n}" for n in range(1, 7)]
)
_UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "object", "select"})


_RAW = frozenset({"script", "style", "title"})
_TAG = re.compile(r"(/?)([a-zA-Z][^\s/>]*)")
_TAG_END = re.compile(r"(?:[^>\"']++|\"[^\"]*\"|'[^']*')*+>")
_HREF = re.compile(r"""(?<![^\s"'/])href\s*+=\s*+(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_LONGEST_TAG = 4000
_MOST_TAGS = 210_000


class _Text:
    """Collects what a reader would see; targets of links stand behind their words. Looks at each character a few
    times at most, whatever is left open: the library's parser looks for each end anew."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.now: list[str] = []
        self.full = False
        """Whether the line that is written now has words."""
        self.unseen = self.quotes = 0
        self.target = ""
        self.words: list[str] = []

    def feed(self, html: str) -> None:
        first, *pieces = html.split("<", _MOST_TAGS)
        self._data(first)
        comment, raw = False, ""
        for piece in pieces[: _MOST_TAGS - 1]:
            if comment or (not raw and piece.startswith("!--")):
                _inside, end, after = piece.partition("-->")
                comment = not end
                self._data(after)
                continue
            tag = _TAG.match(piece)
            if raw and (tag is None or not tag[1] or tag[2].lower() != raw):
                continue
            end_of_tag = _TAG_END.match(piece)
            end_at = end_of_tag.end() if end_of_tag else piece.find(">") + 1
            if tag is not None and end_at:
                name, raw = tag[2].lower(), ""
                if tag[1]:
                    self._close(name)
                else:
                    self._open(name, piece[: min(end_at - 1, _LONGEST_TAG)])
                    raw = name if name in _RAW else ""
                if not raw:
                    self._data(piece[end_at:])
            elif piece.startswith(("!", "?")):
                self._data(piece[end_at:] if end_at else "")
            else:
                self._data("<" + piece)
        self._line()

    def _open(self, tag: str, inside: str) -> None:
        if tag in _UNSEEN:
            self.unseen += 1
        if tag in _BLOCKS:
            self._break()
        if tag == "blockquote":
            self.quotes += 1
        elif tag in ("br", "hr"):
            self._line()
        elif tag == "li":
            self._break()
            self.now.append("- ")
            self.full = True
        elif tag in ("td", "th") and self.now:
            self.now.append(" ")
        elif tag == "a":
            found = _HREF.search(inside)
            self.target, self.words = _unescaped(next(filter(None, found.groups()), "")) if found else "", []

    def _close(self, tag: str) -> None:
        if tag in _UNSEEN:
            self.unseen = max(0, self.unseen - 1)
        if tag == "a" and not self.unseen:
            target, words = self.target.strip(), "".join(self.words).strip()
            if re.match(r"https?://", target, re.IGNORECASE) and target.rstrip("/") != words.rstrip("/"):
                self.now.append(f" <{target[:500]}>")
                self.full = True
            self.target, self.words = "", []
        if tag in _BLOCKS:
            self._break(end=tag not in ("div", "tr"))
        if tag == "blockquote":
            self.quotes = max(0, self.quotes - 1)

    def _data(self, data: str) -> None:
        if self.unseen or not data:
            return
        data = _unescaped(data)
        if self.target:
            self.words.append(data)
        text = re.sub(r"\s+", " ", data)
        if not self.full:
            text = text.lstrip()
        if text and not self.now and self.quotes:
            self.now.append("> " * min(self.quotes, 5))
        if text:
            self.now.append(text)
            self.full = self.full or not text.isspace()

    def _line(self) -> None:
        self.done.append("".join(self.now).rstrip())
        self.now, self.full = [], False

    def _break(self, *, end: bool = False) -> None:
        if self.full:
            self._line()
        if end and self.done and self.done[-1]:
            self._line()


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a number of thousands of digits
        return text


def html_to_text(html: str) -> str:
    """The text of an HTML mail: nothing is fetched, nothing is run, and what a reader would not see is left out."""
    reader = _Text()
    reader.feed(html[:LONGEST_HTML])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(reader.done)).strip()
