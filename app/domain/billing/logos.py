"""The logo of a project: a small PNG or JPEG in the store of files, drawn on what customers get."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Invalid
from app.i18n import gettext
from app.integrations.pdf import LOGO_PIXELS, NotAPicture, picture_kind
from app.integrations.storage import FileMissing, Storage
from app.models.projects import Project

MOST_BYTES = 500_000


async def set_logo(session: AsyncSession, storage: Storage, *, project: Project, data: bytes) -> None:
    """Take a picture as the logo; nothing takes it away. Raises Invalid at `files` for what is no small PNG or JPEG.

    What lay in the store stays there: the same picture may be used elsewhere.
    """
    if not data:
        project.logo = ""
        await session.flush()
        return
    check_picture(data)
    project.logo = (await storage.save(data, limit=MOST_BYTES)).key
    await session.flush()


def check_picture(data: bytes) -> None:
    """Raises Invalid at `files` for what is no small PNG or JPEG."""
    if len(data) > MOST_BYTES:
        raise Invalid(files=gettext("At most %(n)d kB, please.") % {"n": MOST_BYTES // 1000})
    try:
        picture_kind(data)
    except NotAPicture:
        said = gettext("This is not a PNG or JPEG of at most %(n)d by %(n)d pixels.")
        raise Invalid(files=said % {"n": LOGO_PIXELS}) from None


async def logo_of(session: AsyncSession, storage: Storage, project_id: int) -> bytes | None:
    """The picture, or None when there is none."""
    key = await session.scalar(select(Project.logo).where(Project.id == project_id).execution_options(unscoped=True))
    if not key:
        return None
    try:
        return await storage.read(key)
    except FileMissing:
        return None
