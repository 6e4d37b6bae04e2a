"""Reading mail that others have written: nothing in it is believed, and nothing in it may break the reader."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32, Policy
from email.utils import getaddresses
from functools import cached_property

from app.i18n import gettext
from app.integrations.mail.address import valid_address
from app.integrations.mail.html_text import LONGEST_HTML, html_to_text
from app.integrations.storage import safe_filename

LONGEST_HEADER = 256 * 1024
LONGEST_LINE = 20_000
"""Of one header; the rest is cut off."""
MOST_NESTED = 50
"""Multipart bodies in one mail: real ones have five."""
MOST_PARTS = 200
MAX_SUBJECT = 300
MAX_ID = 250

_END_OF_HEADER = re.compile(rb"\r?\n\r?\n|\r\r")
_NESTS = re.compile(rb"(?i)(?:\A|[\r\n])content-type:\s*(?:multipart|message)/")
_ID = re.compile(r"<\s*([^<>\s]{1,1000})\s*>")
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


class Unreadable(Exception):
    """A mail that is not taken apart; the text says why: a sentence, and a detail behind a bar."""


MOST_WORK = 100_000_000
"""Of all Content-* headers of a mail: length times parameters, which is what the library's parser needs for them. At
this bound it takes a second; a file name of 2,000 characters comes to 60,000."""
MOST_HEADERS = 50_000
MOST_READ = 5000
"""Parts that are read; of these `MOST_PARTS` are looked at."""


class _Careful(Compat32):
    """Counts the parts of a mail and what all their headers cost to read; stops at too much."""

    spent: list[int]

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "spent", [0, 0, 0])  # a policy lets nothing be set; this one is counted in

    def part(self, policy: Policy | None = None) -> Message:
        """A new part, for the parser."""
        self.spent[2] += 1
        if self.spent[2] > MOST_READ:
            raise Unreadable(gettext("It has too many parts.") + f"|> {MOST_READ}")
        return Message(policy=policy or self)

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        if name.lower().startswith("content-"):
            self.spent[0] += len(value) * (1 + value.count(";"))
        self.spent[1] += 1
        if self.spent[0] > MOST_WORK or self.spent[1] > MOST_HEADERS:
            raise Unreadable(gettext("Its headers are built to take long."))
        return name, value


@dataclass(frozen=True)
class File:
    name: str
    content: bytes


class Incoming:
    """One mail, taken apart. Every text in it is clean: no control characters, no half characters."""

    def __init__(self, raw: bytes) -> None:
        """Raises Unreadable for what is built to break readers."""
        head = _END_OF_HEADER.search(raw, 0, LONGEST_HEADER)
        if head is None and len(raw) > LONGEST_HEADER:
            raise Unreadable(gettext("Its header is too large.") + "|256 kB")
        if len(_NESTS.findall(raw)) > MOST_NESTED:
            raise Unreadable(gettext("Too many bodies inside each other.") + f"|> {MOST_NESTED}")
        self.raw = raw
        try:
            careful = _Careful()
            self.parsed: Message = BytesParser(careful.part, policy=careful).parsebytes(raw)
            self.parts = list(self._walk())
        except (RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise Unreadable(gettext("It cannot be taken apart.") + f"|{type(error).__name__}") from None

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
        letter = Incoming(raw[: head.end()] if head else raw)
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
