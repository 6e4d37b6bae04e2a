"""Own names of columns and screens: read into every process, and changed a screen at a time."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.domain.config import live
from app.errors import Forbidden, Invalid
from app.i18n import LANGUAGES, _, rename
from app.models.labels import Label
from app.observe import actor

Key = tuple[str, str]
"""Item and language."""


@live.loader
async def _load(session: AsyncSession) -> None:
    rename({(row.screen, row.item, row.language): row.text for row in await session.scalars(select(Label))})


async def own_names(session: AsyncSession, screen: str) -> dict[Key, str]:
    rows = await session.scalars(select(Label).where(Label.screen == screen))
    return {(row.item, row.language): row.text for row in rows}


async def rename_screen(session: AsyncSession, *, screen: str, texts: Mapping[Key, str]) -> int:
    """Give these names; an empty one is the original again. Gives how many have changed. Raises Invalid with the bad
    ones (``item:language``), Forbidden for staff who are limited to projects."""
    if actor.get().projects is not None:
        raise Forbidden(_("You are limited to projects: names that everybody reads are not yours to change."))
    line = checks.line(Label.__table__.c.text)
    wanted = checks.clean(
        {f"{item}:{language}": text for (item, language), text in texts.items() if language in LANGUAGES},
        {f"{item}:{language}": line for item, language in texts},
    )
    rows = {f"{r.item}:{r.language}": r for r in await session.scalars(select(Label).where(Label.screen == screen))}
    changed = 0
    for name, text in wanted.items():
        row = rows.get(name)
        if (row.text if row is not None else "") == text:
            continue
        changed += 1
        if row is None:
            item, _colon, language = name.rpartition(":")
            session.add(Label(screen=screen, item=item, language=language, text=text))
        elif text:
            row.text = text
        else:
            await session.delete(row)
    await session.flush()
    return changed


async def change_label(session: AsyncSession, *, label: Label, text: str) -> None:
    """Raises Invalid at `text`."""
    try:
        await rename_screen(session, screen=label.screen, texts={(label.item, label.language): text})
    except Invalid as problem:
        raise Invalid(text=str(problem)) from None
