"""Attached files: taking them in with an answer, and handing them out as downloads that no browser opens as a page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

from litestar import Response
from litestar.datastructures import UploadFile
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.attachments import add_attachment
from app.errors import NotFound
from app.integrations.storage import FileMissing, Storage, safe_filename
from app.models.attachments import Attachment
from app.web.render import show_bytes

BLOCK = 256 * 1024
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def disposition(name: str) -> str:
    """``Content-Disposition`` with the name in UTF-8 and, for old browsers, in ASCII (RFC 6266, RFC 8187)."""
    name = safe_filename(name)
    plain = "".join(c if 32 <= ord(c) < 127 and c not in '"\\%;' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def download(storage: Storage, attachment: Attachment) -> Response[Any]:
    """Always as a file of no known type: the name tells the rest, and nothing runs under our address."""
    try:
        content = await storage.open(attachment.key)
    except FileMissing:
        raise NotFound from None
    headers = {
        **HEADERS, "Content-Disposition": disposition(attachment.name), "Content-Length": str(attachment.size),
    }  # fmt: skip
    return Stream(content, headers=headers, media_type="application/octet-stream")


def listed(attachments: Sequence[Attachment], base: str) -> list[dict[str, str]]:
    """[{name, size, url}] for ui.attachments."""
    return [{"name": a.name, "size": show_bytes(a.size), "url": f"{base}/{a.id}"} for a in attachments]


async def _blocks(file: UploadFile) -> AsyncIterator[bytes]:
    while block := await file.read(BLOCK):
        yield block


async def take(session: AsyncSession, state: Any, uploads: Sequence[UploadFile], *, customer_id: int) -> list[int]:
    """Store what was uploaded as attachments of this customer, and give their ids. First in a unit: until the first
    row is written no transaction is open. Raises Invalid and TooLarge as `add_attachment`."""
    storage: Storage = state.storage
    most: int = state.settings.max_upload_bytes
    return [
        (
            await add_attachment(
                session, storage, name=file.filename, chunks=_blocks(file), max_bytes=most, customer_id=customer_id
            )
        ).id
        for file in uploads
    ]
