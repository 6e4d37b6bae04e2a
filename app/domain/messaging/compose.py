"""From a claimed delivery to the letter for the wire: a skeleton per language, branches, project and sender."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape

from app.domain.messaging.content import Content
from app.domain.messaging.delivery import Row
from app.domain.messaging.headers import headers
from app.domain.messaging.render import HtmlPiece, html_reader, one_line
from app.domain.messaging.shell import HUES, mail_shell
from app.domain.messaging.template import MACROS, Field, Values, read_macro
from app.domain.messaging.tracking import tracked
from app.integrations.mail import MailAttachment, Rejected
from app.integrations.mail.address import wire_address
from app.integrations.mail.errors import one_line as printable
from app.integrations.mail.skeleton import SUBJECT, Hole, Skeleton, recipient_address

MOST = 256
"""Skeletons kept of one text; each is some kilobytes, and the files with it."""


def letter(*, content: Content, files: Sequence[MailAttachment], row: Row) -> tuple[str, str, bytes, int]:
    """Sender and recipient for the envelope, the message for the wire, its size. Raises Rejected for an address that
    is none; what else it raises is a fault in the content."""
    values, frame = row.recipient.values, row.recipient.frame
    sender = _sender(content.sender_email or values["project.sender_email"])
    address = recipient_address(row.address)
    text = content.text(row.language)
    chosen = text.parts(values)[0]
    name = content.sender_name or values["project.sender_name"]
    counted = frame["project.name"] in content.tracked
    key = (
        chosen, row.language, sender, name, values["project.sender_name"], values["project.sender_email"],
        frame["project.name"], frame["project.site"], frame["project.hue"], content.staff_name, content.files_key,
        counted,
    )  # fmt: skip
    skeleton: Skeleton | None = text.kept.get(key)
    if skeleton is None:
        if len(text.kept) >= MOST:
            text.kept.clear()
        skeleton = text.kept[key] = _skeleton(content, files, row, sender, name)
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
        raise Rejected(f"the sender {printable(address, 100)!r} is not a valid e-mail address") from None


@lru_cache(maxsize=64)
def _domain(sender: str) -> str:
    """The domain of a Message-ID is the sender's."""
    return sender.rpartition("@")[2].strip("[]") or "localhost"


CONSTANT = {
    read_macro(name, spec.longest): name
    for name, spec in MACROS.items()
    if name.startswith("project.") or name == "staff.name"
}
"""The same for all letters of a skeleton: what they read is written into it."""


def _skeleton(content: Content, files: Sequence[MailAttachment], row: Row, sender: str, name: str) -> Skeleton:
    text, values, frame = content.text(row.language), row.recipient.values, row.recipient.frame
    project, everything = frame["project.name"], {**values, **frame, "staff.name": content.staff_name}
    _chosen, subject, plain, html = text.parts(values)
    shell = mail_shell(
        project_name=project, site=frame["project.site"], language=row.language,
        color=HUES.get(frame["project.hue"], ""),
    )  # fmt: skip

    def fixed(piece: object) -> bool:
        return isinstance(piece, str) or (isinstance(piece, Field) and piece.read in CONSTANT)

    of_subject = [piece.read(everything) if fixed(piece) and isinstance(piece, Field) else piece for piece in subject]
    plain_pieces = [piece if isinstance(piece, str) else piece.read for piece in plain]
    words: str | Hole = one_line("".join(map(str, of_subject)))
    title: str | Hole = escape(str(words))
    if not all(isinstance(piece, str) for piece in of_subject):
        words, title = _subject(of_subject), _title
    body: list[str | Hole] = [html_reader(piece)(everything) if fixed(piece) else html_reader(piece) for piece in html]
    return Skeleton(
        sender=sender, sender_name=name, subject=words, attachments=files,
        text=[piece(everything) if callable(piece) and piece in CONSTANT else piece for piece in plain_pieces],
        html=[
            shell.head, title, shell.middle,
            *([_tracked(html, content.hosts.get(project, ""))] if project in content.tracked else body), shell.tail,
        ],
    )  # fmt: skip


def _subject(pieces: Sequence[str | Field]) -> Hole:
    reads = [piece if isinstance(piece, str) else piece.read for piece in pieces]
    return lambda values: one_line("".join([read if isinstance(read, str) else read(values) for read in reads]))


def _title(values: Values) -> str:
    return escape(values[SUBJECT])


_MESSAGE = "\0message"


def _tracked(pieces: Sequence[HtmlPiece], host: str) -> Hole:
    """The whole HTML as one hole: links that tell whose they are differ in every message."""
    readers = [html_reader(piece) for piece in pieces]
    return lambda values: tracked(values[_MESSAGE], "".join([read(values) for read in readers]), host=host)
