"""Files of the client area: taking them in with an answer, and listing them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar.datastructures import UploadFile
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.attachments import add_attachment
from app.i18n import show_bytes
from app.integrations.storage import Storage
from app.models.attachments import Attachment

BLOCK = 256 * 1024


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
