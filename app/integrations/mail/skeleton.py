"""A whole message, compiled once for many recipients: constant headers and parts, with holes where values go.

Text is quoted-printable (RFC 2045 6.7) with a soft line break before and behind each hole, so a value always stands at
the start of a line of its own: it cannot make a line too long, begin a header or a boundary, or end the message. Texts
of mostly other letters than Latin ones are base64. All of the wire is ASCII but for addresses beyond it.
"""

from __future__ import annotations

import binascii
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from app.integrations.mail.address import wire_address
from app.integrations.mail.errors import Rejected
from app.integrations.mail.message import (
    BODY_CONTROLS,
    MailAttachment,
    header,
    header_name,
    mailbox,
    message_id_of,
    words,
)

Values = Mapping[str, str]
Hole = Callable[[Values], str]
Pieces = Sequence["str | Hole"]

_PLAIN_VALUE = re.compile(r"[!-\-/-<>-~][ -<>-~]{0,71}")
"""Stands in quoted-printable as it is: no =, no dot in front, short enough for a line."""
_SIMPLE = re.compile(r"[A-Za-z0-9_,:@/()+-][A-Za-z0-9_ .,:@/()+-]{0,71}")
"""The same in quoted-printable and in HTML: most names and numbers."""
_PLAIN_NAME = re.compile(r"(?! )(?!.*(?:  | $))[\w!#$%&'*+,\-./:;@ ^`{|}~()\[\]]{1,30}", re.ASCII)
_PLAIN_WORDS = re.compile(r"(?!.*=\?)[!-~](?:[ -~]{0,398}[!-~])?")
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\.[A-Za-z]{2,24}"
)
_BREAK = re.compile("\r\n|\r")
_STRANGE = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_LINE = 57
"""Octets in one line of base64."""
SOFT = "=\r\n"


@dataclass(frozen=True, slots=True)
class Escaped:
    """A hole of an HTML part. `escape` leaves alone what is `_SIMPLE`."""

    read: Hole
    escape: Callable[[str], str]

    def __call__(self, values: Values) -> str:
        return self.escape(self.read(values))


@dataclass(slots=True)
class _Reading:
    """One value, and the places among the parts where it stands as it is, and escaped."""

    read: Hole
    escape: Callable[[str], str]
    plain: list[int]
    escaped: list[int]


def recipient_address(text: str) -> str:
    """The address as it stands in commands and headers. Raises Rejected."""
    if len(text) <= 64 and _PLAIN_ADDRESS.fullmatch(text):
        return text
    try:
        return wire_address(text)
    except ValueError:
        raise Rejected("This is not an e-mail address.") from None


class Skeleton:
    """One message of one language, sender and frame. `build` makes it for one recipient."""

    def __init__(
        self, *, sender: str, sender_name: str, subject: str | Hole, text: Pieces, html: Pieces,
        attachments: Sequence[MailAttachment] = (),
    ) -> None:  # fmt: skip
        """sender: as `wire_address` gives it. The pieces of a part are texts, and holes that read the values; a hole
        that stands in it more than once is read once. A hole may be `SUBJECT`: the subject, escaped for HTML."""
        mark = secrets.token_hex(12)  # neither quoted-printable nor base64 can contain "=_"
        inner, outer = f"=_a{mark}", f"=_m{mark}"
        self._from = header("From", mailbox(sender_name, sender)) + "\r\n"
        self._subject: Hole = subject if callable(subject) else lambda values: subject
        self._fixed_subject = None if callable(subject) else _subject(subject)
        top, end = "", ""
        if attachments:
            top = f'Content-Type: multipart/mixed;\r\n boundary="{outer}"\r\n\r\n--{outer}\r\n'
            end = f"--{outer}\r\n"
        top += f'Content-Type: multipart/alternative;\r\n boundary="{inner}"\r\n\r\n--{inner}\r\n'
        parts = ["MIME-Version: 1.0\r\n" + top, *_part("plain", text), f"\r\n--{inner}\r\n"]
        parts += [*_part("html", html), f"\r\n--{inner}--\r\n" + end]
        joined: list[str] = []
        readings: dict[Hole, _Reading] = {}
        self._encoded: list[tuple[int, _Base64]] = []
        for place, part in enumerate(parts):
            joined.append(part if isinstance(part, str) else "")
            if isinstance(part, _Base64):
                self._encoded.append((place, part))
            elif isinstance(part, _Quoted):
                hole = part.hole
                read = hole.read if isinstance(hole, Escaped) else hole
                reading = readings.setdefault(read, _Reading(read, str, [], []))
                if isinstance(hole, Escaped):
                    reading.escape = hole.escape
                    reading.escaped.append(place)
                else:
                    reading.plain.append(place)
        self._readings = list(readings.values())
        self._parts = joined
        between = f"\r\n--{outer}\r\n".encode()
        self._files = between.join(file.part for file in attachments)
        if attachments:
            self._files += f"\r\n--{outer}--\r\n".encode()

    def build(
        self, values: Values, *, name: str, address: str, message_id: str, headers: Mapping[str, str]
    ) -> tuple[bytes, int]:
        """The letter for the wire, and its size (RFC 1870). `address` as `recipient_address` gives it."""
        subject = self._fixed_subject
        if subject is None:
            said = self._subject(values)
            subject = _subject(said)
            values = {**values, SUBJECT: said}
        parts = self._parts.copy()
        for reading in self._readings:
            value = reading.read(values)
            if _SIMPLE.fullmatch(value):
                for place in reading.plain:
                    parts[place] = value
                for place in reading.escaped:
                    parts[place] = value
                continue
            if reading.plain:
                written = _written(value)
                for place in reading.plain:
                    parts[place] = written
            if reading.escaped:
                written = _written(reading.escape(value))
                for place in reading.escaped:
                    parts[place] = written
        for place, part in self._encoded:
            parts[place] = part.write(values)
        if _PLAIN_NAME.fullmatch(name) and len(address) < 40:
            to = f'To: "{name}" <{address}>\r\n'
        else:
            to = header("To", mailbox(name, address)) + "\r\n"
        more = "".join([
            (_same if key in SAME else _more)(key, value) for key, value in headers.items()
        ])  # fmt: skip
        parts[0] = (
            f"{self._from}{to}{subject}{_date(int(time.time()))}Message-ID: <{message_id_of(message_id)}>\r\n{more}"
            f"{parts[0]}"
        )
        if self._files:
            wire = b"%b%b.\r\n" % ("".join(parts).encode(), self._files)
        else:
            parts.append(".\r\n")
            wire = "".join(parts).encode()
        return wire, len(wire) - 3


SUBJECT = "\0subject"
"""The value with which a hole reads the subject that has just been made."""


def _part(subtype: str, pieces: Pieces) -> list[str | _Quoted | _Base64]:
    static = "".join(piece for piece in pieces if isinstance(piece, str))
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: '
    if len(static.encode(errors="replace")) * 3 > len(static) * 4:
        return [head + "base64\r\n\r\n", _Base64(pieces)]
    parts: list[str | _Quoted | _Base64] = [head + "quoted-printable\r\n\r\n"]
    together = ""
    for piece in (*pieces, None):  # neighbouring texts are one, so that no line is broken between them
        if isinstance(piece, str):
            together += piece
            continue
        parts.append(_quoted(together))
        together = ""
        if piece is not None:
            parts += [SOFT, _Quoted(piece), SOFT]
    return parts


# ---- headers --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return f"Date: {format_datetime(datetime.fromtimestamp(second, UTC))}\r\n"


def _subject(said: str) -> str:
    if len(said) <= 66 and _PLAIN_WORDS.fullmatch(said) and "  " not in said:
        return f"Subject: {said}\r\n"
    return header("Subject", words(said)) + "\r\n"


def _more(name: str, value: str) -> str:
    """One further header. Links are long words, and stay on one line."""
    header_name(name)
    fits = len(value) + len(name) <= 74 or (len(value) <= 400 and " " not in value)
    if fits and _PLAIN_WORDS.fullmatch(value) and "  " not in value:
        return f"{name}: {value}\r\n"
    return header(name, words(value)) + "\r\n"


SAME = frozenset({"Auto-Submitted", "List-Id", "List-Unsubscribe-Post"})
"""Headers that are the same in many messages."""
_same = lru_cache(maxsize=256)(_more)


# ---- parts ----------------------------------------------------------------------------------------------------------


def _clean(text: str) -> bytes:
    if _STRANGE.search(text):
        text = _BREAK.sub("\n", text.translate(BODY_CONTROLS))
    return text.encode("utf-8", "replace")


def _quoted(text: str) -> str:
    """Quoted-printable with the dots doubled at line starts, of a text that begins at one."""
    if not text:
        return ""
    quoted = binascii.b2a_qp(_clean(text))
    if b"\n" in quoted:
        quoted = quoted.replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
    return "." + quoted.decode("ascii") if quoted.startswith(b".") else quoted.decode("ascii")


def _written(value: str) -> str:
    return value if _PLAIN_VALUE.fullmatch(value) else _quoted(value)


@dataclass(frozen=True, slots=True)
class _Quoted:
    """A hole in a quoted-printable part."""

    hole: Hole


class _Base64:
    """A part in base64. What stands between the holes is encoded once for each place in a line where it may begin."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = [_canonical(piece) if isinstance(piece, str) else piece for piece in pieces]
        self._known: dict[tuple[int, int], tuple[str, bytes]] = {}

    def write(self, values: Values) -> str:
        out: list[str] = []
        rest = b""
        for number, piece in enumerate(self._pieces):
            if not isinstance(piece, bytes):
                rest += _canonical(piece(values))
                if len(rest) >= _LINE:
                    whole = len(rest) - len(rest) % _LINE
                    out.append(_lines(rest[:whole]))
                    rest = rest[whole:]
                continue
            missing = (_LINE - len(rest)) % _LINE
            if missing > len(piece):
                rest += piece
                continue
            if missing:
                out.append(_lines(rest + piece[:missing]))
            elif rest:
                out.append(_lines(rest))
            key = (number, missing)
            if (known := self._known.get(key)) is None:
                whole = missing + (len(piece) - missing) // _LINE * _LINE
                known = self._known[key] = _lines(piece[missing:whole]), piece[whole:]
            out.append(known[0])
            rest = known[1]
        if rest:
            out.append(_lines(rest))
        return "".join(out)


def _canonical(text: str) -> bytes:
    return _clean(text).replace(b"\n", b"\r\n")


def _lines(data: bytes) -> str:
    encoded = binascii.b2a_base64(data, newline=False).decode("ascii")
    return "".join([encoded[start : start + 76] + "\r\n" for start in range(0, len(encoded), 76)])
