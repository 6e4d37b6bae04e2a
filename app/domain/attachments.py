"""Attached files: taking them in, and finding those that were used before."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.errors import Invalid, TooLarge
from app.i18n import _
from app.integrations.storage import Content, FileTooLarge, Storage, safe_filename
from app.models.attachments import Attachment

UNKNOWN = "application/octet-stream"
_HARMLESS = ("image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "text/csv", "text/calendar",
             "application/pdf", "application/zip", "application/msword", "application/rtf", "application/json",
             "application/vnd.", "audio/", "video/")  # fmt: skip
"""Kinds that a browser shows or saves without running anything in them; the rest is sent as bytes."""

_TYPES = mimetypes.MimeTypes()  # its own table: the machine's would make the answer differ from host to host
for _end, _kind in (("docx", "wordprocessingml.document"), ("xlsx", "spreadsheetml.sheet"),
                    ("pptx", "presentationml.presentation")):  # fmt: skip
    _TYPES.add_type(f"application/vnd.openxmlformats-officedocument.{_kind}", f".{_end}")
for _end, _kind in (("odt", "text"), ("ods", "spreadsheet"), ("odp", "presentation")):
    _TYPES.add_type(f"application/vnd.oasis.opendocument.{_kind}", f".{_end}")
for _end in ("webp", "gif", "png"):
    _TYPES.add_type(f"image/{_end}", f".{_end}")


def content_type(name: str) -> str:
    """The kind of a file by the end of its name; what could run in a browser (HTML, SVG, scripts) is plain bytes."""
    guessed, encoding = _TYPES.guess_type(name, strict=False)
    if guessed is None or encoding is not None or not guessed.startswith(_HARMLESS):
        return UNKNOWN
    return guessed


async def add_attachment(
    session: AsyncSession,
    storage: Storage,
    *,
    name: str,
    chunks: Content,
    max_bytes: int,
    staff_id: int | None = None,
    customer_id: int | None = None,
) -> Attachment:
    """Keep a file and its row. `name` may be anything that a browser sends; what it claims to be is not believed.

    Call it before anything else in the unit: the upload is read here, and no transaction should be open meanwhile.
    Raises TooLarge above `max_bytes`, Invalid for an empty file (both meant for the field `attachments`).
    """  # fmt: skip
    try:
        stored = await storage.save(chunks, limit=max_bytes)
    except FileTooLarge:
        most = max_bytes // (1024 * 1024)
        raise TooLarge(
            _("The file %(name)s is larger than %(most)s MB.") % {"name": safe_filename(name), "most": most}
        ) from None
    if stored.size == 0:
        raise Invalid(attachments=_("The file %(name)s is empty.") % {"name": safe_filename(name)})
    shown = safe_filename(name)
    attachment = Attachment(
        name=shown, size=stored.size, content_type=content_type(shown), key=stored.key, staff_id=staff_id,
        customer_id=customer_id,
    )  # fmt: skip
    session.add(attachment)
    await session.flush()
    return attachment


async def search_attachments(session: AsyncSession, *, text: str = "", limit: int = 20) -> Sequence[Attachment]:
    """Files that staff have sent before, the newest first, the same file under the same name only once.

    Customers' own uploads are not among them. Staff who are limited to projects find what they uploaded themselves.
    """
    newest = (
        select(func.max(Attachment.id))
        .where(Attachment.customer_id.is_(None))
        .group_by(Attachment.key, Attachment.name)
    )
    if (test := filters.search(Attachment, text)) is not None:
        newest = newest.where(test)
    statement = select(Attachment).where(Attachment.id.in_(newest)).order_by(Attachment.id.desc()).limit(limit)
    return (await session.scalars(statement)).all()
