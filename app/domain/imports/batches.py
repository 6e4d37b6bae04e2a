"""Some rows of a file at a time: what was taken and how far it came are kept in one unit, or neither is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import unit
from app.domain.imports.report import ImportReport

Keep = Callable[[AsyncSession, ImportReport], Awaitable[bool]]
"""Told after each batch; False: enough for now."""


class TakeBack(Exception):
    """Ends the unit of a rehearsal without its commit."""


async def in_batch(
    take: Callable[[AsyncSession], Awaitable[None]], report: ImportReport, keep: Keep | None
) -> bool:  # fmt: skip
    """Take a batch in a unit of its own, and keep in it how far that was; a rehearsal is taken back before that.
    Gives whether to go on."""
    report.left_out.clear()
    try:
        async with unit() as session:
            await take(session)
            if report.dry_run:
                raise TakeBack
            return keep is None or await keep(session, report)
    except TakeBack:
        if keep is None:
            return True
        async with unit() as session:
            return await keep(session, report)
