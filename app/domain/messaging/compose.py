"""From a claimed delivery to the letter for the wire: a skeleton per language, branches, project and sender."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from html import escape

from app.domain.messaging.content import Content
from app.domain.messaging.delivery import Row
from app.domain.messaging.headers import headers
from app.domain.messaging.render import HtmlPiece, html_reader
from app.domain.messaging.shell import HUES, mail_shell
from app.domain.messaging.template import Pieces, Values
from app.domain.messaging.tracking import tracked
from app.integrations.mail import MailAttachment, Rejected
from app.integrations.mail.address import wire_address
from app.integrations.mail.errors import one_line
from app.integrations.mail.skeleton import Skeleton, recipient_address

MOST = 256
"""Skeletons kept of one text; each is some kilobytes, and the files with it."""


def letter(*, content: Content, files: Sequence[MailAttachment], row: Row) -> tuple[str, str, bytes, int]:
    """Sender and recipient for the envelope, the message for the wire, its size. Raises Rejected for an address that
    is none; what else it raises is a fault in the content."""
    values, frame = row.recipient.values, row.recipient.frame
    sender = _sender(content.sender_email or values["project.sender_email"])
    address = recipient_address(row.address)
    text = content.text(row.language)
    chosen, subject, plain, html = text.parts(values)
    name = content.sender_name or values["project.sender_name"]
    counted = frame["project.name"] in content.tracked
    key = (
        chosen, row.language, sender, name, frame["project.name"], frame["project.site"], frame["project.hue"],
        content.files_key, counted,
    )  # fmt: skip
    skeleton: Skeleton | None = text.kept.get(key)
    if skeleton is None:
        shell = mail_shell(
            project_name=frame["project.name"], site=frame["project.site"], language=row.language,
            color=HUES.get(frame["project.hue"], ""),
        )  # fmt: skip
        fixed = all(isinstance(piece, str) for piece in subject)

        def title(values: Values) -> str:
            return escape(text.subject(values))

        if len(text.kept) >= MOST:
            text.kept.clear()
        skeleton = text.kept[key] = Skeleton(
            sender=sender, sender_name=name, text=_readers(plain), attachments=files,
            subject=text.subject({}) if fixed else text.subject,
            html=[
                shell.head, escape(text.subject({})) if fixed else title, shell.middle,
                *([_tracked(html)] if counted else map(_html, html)), shell.tail,
            ],
        )  # fmt: skip
    wire, size = skeleton.build(
        {**values, _MESSAGE: row.message_id} if counted else values, name=row.recipient.name, address=address,
        message_id=f"{row.message_id}@{_domain(sender)}", headers=headers(content, row, sender),
    )  # fmt: skip
    return sender, address, wire, size


def compose(*, content: Content, files: Sequence[MailAttachment], row: Row) -> bytes:
    """The message of one delivery (RFC 5322), as it is before it goes on the wire."""
    wire = letter(content=content, files=files, row=row)[2]
    return wire[:-3].replace(b"\r\n..", b"\r\n.")


@lru_cache(maxsize=64)
def _sender(address: str) -> str:
    try:
        return wire_address(address) if address else ""
    except ValueError:
        raise Rejected(f"the sender {one_line(address, 100)!r} is not a valid e-mail address") from None


@lru_cache(maxsize=64)
def _domain(sender: str) -> str:
    """The domain of a Message-ID is the sender's."""
    return sender.rpartition("@")[2].strip("[]") or "localhost"


def _readers(pieces: Pieces) -> list[str | Callable[[Values], str]]:
    return [piece if isinstance(piece, str) else piece.read for piece in pieces]


_MESSAGE = "\0message"


def _tracked(pieces: Sequence[HtmlPiece]) -> Callable[[Values], str]:
    """The whole HTML as one hole: links that tell whose they are differ in every message."""
    readers = [html_reader(piece) for piece in pieces]
    return lambda values: tracked(values[_MESSAGE], "".join([read(values) for read in readers]))


def _html(piece: object) -> str | Callable[[Values], str]:
    return piece if isinstance(piece, str) else html_reader(piece)  # type: ignore[arg-type]
