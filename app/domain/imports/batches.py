"""Some rows of a file at a time: what was taken and how far it came are kept in one unit, or neither is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import trial, unit
from app.domain.imports.report import ImportReport

Keep = Callable[[AsyncSession, ImportReport], Awaitable[bool]]
"""Told after each batch; False: enough for now."""


async def in_batch(
    take: Callable[[AsyncSession], Awaitable[None]], report: ImportReport, keep: Keep | None
) -> bool:  # fmt: skip
    """Take a batch in a unit of its own, and keep in it how far that was; a rehearsal is taken back before that.
    Gives whether to go on."""
    report.left_out.clear()
    if not report.dry_run:
        async with unit() as session:
            await take(session)
            return keep is None or await keep(session, report)
    async with trial() as session:
        await take(session)
    if keep is None:
        return True
    async with unit() as session:
        return await keep(session, report)
