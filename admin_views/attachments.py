"""Files used before: found again by the composer's search."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import UploadFile
from wtforms import MultipleFileField

from admin_views.base import AppView, LookupField, Press
from admin_views.base.cells import esc, short
from admin_views.base.importing import chunks
from app import db
from app.domain.attachments import add_attachment
from app.errors import Invalid, TooLarge
from app.i18n import _, show_bytes
from app.integrations.storage import DirectoryStorage
from app.models.attachments import Attachment
from app.observe import actor


class Attachments(AppView, model=Attachment):
    name, name_plural, icon, category = _("File"), _("Files"), "paperclip", "Messages"
    purpose = _("Files that were sent with messages; they can be used again.")
    readonly = True
    can_create = can_edit = can_delete = False

    @staticmethod
    def cell_name(file: Attachment) -> str:
        return f'<a href="/files/{file.id}" download><bdi>{esc(file.name)}</bdi></a>'

    @staticmethod
    def cell_content_type(file: Attachment) -> str:
        """The ending of its name, as people know it."""
        ending = file.name.rpartition(".")[2] if "." in file.name else ""
        known = ending.upper() if ending.isalnum() and len(ending) <= 5 else file.content_type
        return short(known, lambda _known: file.content_type)

    def lookup_label(self, obj: Any) -> str:
        return f"{obj.name} ({show_bytes(obj.size)})"


async def store_uploads(press: Press, files: MultipleFileField, used: LookupField) -> None:
    """Store what was uploaded, each file in a unit of its own, and choose it in `used`: from then on nothing that
    goes wrong with the form loses a file. Raises Invalid at the files' field."""
    settings = press.request.app.state.settings
    storage = DirectoryStorage(settings.data_dir / "attachments")
    for upload in [f for f in files.data or [] if isinstance(f, UploadFile) and f.filename]:
        try:
            async with db.unit() as session:
                stored = await add_attachment(
                    session,
                    storage,
                    name=upload.filename or "",
                    chunks=chunks(upload),
                    max_bytes=settings.max_upload_bytes,
                    staff_id=actor.get().staff_id,
                )
        except (Invalid, TooLarge) as problem:
            raise Invalid(**{files.name: str(problem)}) from None
        used.data = [*used.ids, stored.id]
    files.data = []
