"""Files of the client area: taking them in with an answer, and listing them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar.datastructures import UploadFile
from sqlalchemy import select

from app import db
from app.domain.attachments import add_attachment
from app.errors import Invalid, TooLarge
from app.i18n import gettext, show_bytes, show_number
from app.integrations.storage import Storage
from app.links import Signer
from app.models.attachments import Attachment
from app.web.client.area import Asked, me
from app.web.forms import MOST_FILES, Posted, QuestionForm, ReplyForm
from app.web.guard import AROUND_FILES

BLOCK = 256 * 1024
_signer = Signer("kept file")


def listed(attachments: Sequence[Attachment], base: str) -> list[dict[str, str]]:
    """[{name, size, url}] for ui.attachments."""
    return [{"name": a.name, "size": show_bytes(a.size), "url": f"{base}/{a.id}"} for a in attachments]


async def _blocks(file: UploadFile) -> AsyncIterator[bytes]:
    while block := await file.read(BLOCK):
        yield block


async def take(request: Asked, form: ReplyForm | QuestionForm, given: Posted) -> list[int]:
    """Store what was uploaded as attachments of this customer, and give their ids with those of an earlier try. Each
    in a unit of its own: what is refused, which then stands at the field, does not cost the others, and a form that is
    shown again still has them."""
    _view, customer_id = me(request)
    ids = await _kept(customer_id, given)
    storage: Storage = request.app.state.storage
    most: int = request.app.state.settings.max_upload_bytes
    refused: list[str] = []
    uploads = [] if form.files.errors else form.files.data or []
    if len(ids) + len(uploads) > MOST_FILES:
        refused, uploads = [gettext("At most %(n)d files at once, please.") % {"n": MOST_FILES}], []
    for file in uploads:
        try:
            async with db.unit() as session:
                added = await add_attachment(
                    session, storage, name=file.filename, chunks=_blocks(file), max_bytes=most, customer_id=customer_id
                )
            ids.append(added.id)
        except (Invalid, TooLarge) as error:
            refused.append(str(error.fields.get("attachments", error)) if isinstance(error, Invalid) else str(error))
    form.files.errors = [*form.files.errors, *refused]
    async with db.reads() as session:
        rows = (await session.scalars(select(Attachment).where(Attachment.id.in_(ids)).order_by(Attachment.id))).all()
    form.kept = [{"token": _token(customer_id, a.id), "name": a.name, "size": show_bytes(a.size)} for a in rows]
    return ids


def _token(customer_id: int, attachment_id: int) -> str:
    return _signer.sign(f"{customer_id}:{attachment_id}")


async def _kept(customer_id: int, given: Posted) -> list[int]:
    """The files that an earlier try has stored: only those that this form has named itself."""
    read = [_signer.read(token) for token in given.getlist("kept")[:MOST_FILES] if isinstance(token, str)]
    found = [text.partition(":") for text in read if text]
    return list(dict.fromkeys(int(file) for owner, _colon, file in found if owner == str(customer_id)))


def limits(request: Asked) -> dict[str, Any]:
    """What a form with files says of them: parts.reply."""
    most: int = request.app.state.settings.max_upload_bytes
    together = most + AROUND_FILES // 2
    return {
        "files": MOST_FILES, "bytes": most, "size": _megabytes(most), "all": together,
        "together": _megabytes(together),
    }  # fmt: skip


def _megabytes(size: int) -> str:
    """As the refusal of `add_attachment` counts them."""
    return f"{show_number(size // (1024 * 1024))} MB"
