"""Building one message as bytes. Written by hand, because EmailMessage takes 1 ms for each (FIELD_NOTES)."""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property, lru_cache
from types import MappingProxyType
from urllib.parse import quote

from app.integrations.mail.address import envelope
from app.integrations.storage import safe_filename

_BARE_BREAK = re.compile(rb"\r\n|\r|\n")
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9][\w.+-]{0,60}/[A-Za-z0-9][\w.+-]{0,100}", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
_OWN_HEADERS = frozenset({"from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "mime-version"})
BODY_CONTROLS = {code: None for code in (*range(32), 127) if code not in (9, 10, 13)}
_HEADER_CONTROLS: dict[int, str] = dict.fromkeys((*range(32), *range(127, 160)), "") | {
    ord(c): " " for c in "\t\n\v\f\r\x85\u2028\u2029"
}
_SPACES = re.compile(" {2,}")
_WORD_BYTES = 39  # of text in one encoded word: with "List-Unsubscribe: " before it still under 998, usually under 76


@dataclass(frozen=True)
class MailAttachment:
    """A file that goes with a message. Keep the object for all messages of a campaign: it is encoded only once."""

    filename: str
    content_type: str
    content: bytes

    @cached_property
    def part(self) -> bytes:
        """The file as a MIME part: base64 (RFC 2045), its name by RFC 2231."""
        kind = self.content_type if _CONTENT_TYPE.fullmatch(self.content_type) else "application/octet-stream"
        if kind.lower().startswith(("multipart/", "message/")):  # these may not be base64 (RFC 2046 5.2)
            kind = "application/octet-stream"
        lines = base64.encodebytes(self.content).replace(b"\n", b"\r\n")
        head = (
            f"Content-Type: {kind}\r\n"
            "Content-Transfer-Encoding: base64\r\n"
            f"Content-Disposition: attachment{_file_name(safe_filename(self.filename))}\r\n\r\n"
        )
        return head.encode("ascii") + lines


def build_message(
    *,
    sender: str,
    sender_name: str,
    recipient: str,
    recipient_name: str,
    subject: str,
    text: str,
    html: str | None,
    message_id: str,
    date: datetime | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    attachments: Sequence[MailAttachment] = (),
) -> bytes:
    """
    Return a message with CRLF line ends (RFC 5322): text and HTML as alternatives, attachments around them.

    Control characters are taken out of every header value, line breaks become spaces. `date` without a time zone is
    UTC; without a date it is now. `headers` are further headers (Reply-To, List-Unsubscribe, ...): ASCII values stay
    as they are. Raises Rejected for a bad address, ValueError for a Message-ID without @ or a header that
    is not for the caller to set.
    """
    mail_from, rcpt_to = envelope(sender, recipient)
    when = date or datetime.now(UTC)
    lines = [
        header("From", mailbox(sender_name, mail_from)),
        header("To", mailbox(recipient_name, rcpt_to)),
        header("Subject", words(subject)),
        "Date: " + format_datetime(when if when.tzinfo else when.replace(tzinfo=UTC)),
        f"Message-ID: <{message_id_of(message_id)}>",
        "MIME-Version: 1.0",
    ]
    for name, value in headers.items():
        lines.append(header(header_name(name), words(value)))
    content = _text_part("plain", text)
    if html is not None:
        content = _multipart("alternative", [content, _text_part("html", html)])
    if attachments:
        content = _multipart("mixed", [content, *(attachment.part for attachment in attachments)])
    return "\r\n".join(lines).encode() + b"\r\n" + content


@lru_cache(maxsize=64)
def header_name(name: str) -> str:
    """The name of a further header. Raises ValueError for one that is not for the caller to set."""
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS or name.lower().startswith("content-"):
        raise ValueError(f"header {name!r} cannot be set")
    return name


_HEADER_STRANGE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _clean(value: str) -> str:
    if _HEADER_STRANGE.search(value):
        value = value.encode("utf-8", "replace").decode().translate(_HEADER_CONTROLS)
    return (_SPACES.sub(" ", value) if "  " in value else value).strip(" ")


def words(value: str) -> list[str]:
    """Split a header value into words that may be folded between; encoded by RFC 2047 unless it is plain ASCII."""
    value = _clean(value)
    words = value.split(" ")
    if value.isascii() and "=?" not in value and max(map(len, words)) < 900:
        return words
    return _encoded_words(value)


def _encoded_words(value: str) -> list[str]:
    if len(data := value.encode()) <= _WORD_BYTES:
        return [f"=?utf-8?b?{binascii.b2a_base64(data, newline=False).decode()}?="]
    words, chunk, size = [], "", 0
    for character in value:
        width = len(character.encode())
        if size + width > _WORD_BYTES:
            words.append(chunk)
            chunk, size = "", 0
        chunk += character
        size += width
    words.append(chunk)
    return [f"=?utf-8?b?{base64.b64encode(word.encode()).decode()}?=" for word in words]


def mailbox(name: str, address: str) -> list[str]:
    name = _clean(name)
    if not name:
        return [address]
    if name.isascii() and "=?" not in name and len(name) <= 60:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return [f'"{escaped}"', f"<{address}>"]
    return [*_encoded_words(name), f"<{address}>"]


def header(name: str, words: Sequence[str]) -> str:
    """Join words into a header, folded before a word when the line would pass 76 characters (RFC 5322 2.2.3)."""
    lines, line = [], name + ":"
    for number, word in enumerate(words):
        if number and len(line) + 1 + len(word) > 76:
            lines.append(line)
            line = ""
        line += " " + word
    return "\r\n".join([*lines, line])


_PLAIN_ID = re.compile(r"[A-Za-z0-9.-]{1,200}@[A-Za-z0-9.-]{1,200}")


def message_id_of(value: str) -> str:
    if _PLAIN_ID.fullmatch(value):
        return value
    value = "".join(c for c in value if "!" <= c <= "~" and c not in '<>()[]\\,;:"')
    if "@" not in value or len(value) > 900:
        raise ValueError("a Message-ID needs an @, and at most 900 characters")
    return value


def _text_part(subtype: str, text: str) -> bytes:
    text = text.translate(BODY_CONTROLS)
    data = _BARE_BREAK.sub(b"\r\n", text.encode("utf-8", "replace"))
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    if data.isascii() and max(map(len, data.split(b"\r\n"))) <= 900:
        encoding = "7bit"
    elif len(data.decode()) * 4 > len(data) * 3:  # mostly one byte per character: stays readable
        encoding, data = "quoted-printable", binascii.b2a_qp(data)
    else:
        encoding, data = "base64", base64.encodebytes(data).replace(b"\n", b"\r\n")
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode("ascii") + data


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    boundary = secrets.token_hex(16).encode()
    head = b'Content-Type: multipart/%s;\r\n boundary="%s"\r\n\r\n' % (subtype.encode("ascii"), boundary)
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
    return head + body + b"--%s--\r\n" % boundary


def _file_name(name: str) -> str:
    """Return the file name parameter; beyond ASCII, or long, in numbered pieces (RFC 2231 3 and 4)."""
    if name.isascii() and len(name) <= 60 and not set('"\\=?') & set(name):
        return f';\r\n filename="{name}"'
    pieces, piece = [], ""
    for character in name:
        encoded = quote(character.encode("utf-8", "replace"), safe="")
        if len(piece) + len(encoded) > 50:
            pieces.append(piece)
            piece = ""
        piece += encoded
    pieces.append(piece)
    if len(pieces) == 1:
        return f";\r\n filename*=utf-8''{pieces[0]}"
    pieces[0] = "utf-8''" + pieces[0]
    return "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))
