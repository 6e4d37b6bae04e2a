"""Handing out attached files, as downloads that no browser opens as a page; to staff under ``/files/``."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Stream
from sqlalchemy import select

from app import db
from app.domain.sessions import granted
from app.errors import Forbidden, NotFound, SignInNeeded
from app.integrations.storage import FileMissing, Storage, safe_filename
from app.models.attachments import Attachment
from app.web.forms import number
from app.web.guard import visitor
from app.web.second import must_set_up

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
    return await stored(storage, attachment.key, name=attachment.name, size=attachment.size)


async def stored(storage: Storage, key: str, *, name: str, size: int) -> Response[Any]:
    """Always as a file of no known type: the name tells the rest, and nothing runs under our address."""
    try:
        content = await storage.open(key)
    except FileMissing:
        raise NotFound from None
    headers = {**HEADERS, "Content-Disposition": disposition(name), "Content-Length": str(size)}
    return Stream(content, headers=headers, media_type="application/octet-stream")


@get("/files/{key:str}", name="staff.file")
async def staff_file(request: Request[Any, Any, Any], key: FromPath[str]) -> Response[Any]:
    """A file for staff who may see files or tickets; the session's scope decides which."""
    view = visitor(request.scope)
    if view is None:
        raise SignInNeeded
    if await must_set_up(request.scope, request.app.state.settings):
        raise Forbidden
    if not (granted(view.grants, "attachment", "list") or granted(view.grants, "ticket", "details")):
        raise Forbidden
    async with db.reads() as session:
        attachment = await session.scalar(select(Attachment).where(Attachment.id == number(key)))
    if attachment is None:
        raise NotFound
    return await download(request.app.state.storage, attachment)
