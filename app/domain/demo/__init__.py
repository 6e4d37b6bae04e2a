"""The demo: a believable provider to try things out with, and taking out exactly that again."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import unit, utcnow
from app.domain.demo.making import SOURCE, Maker
from app.domain.demo.removal import Removed, take_out
from app.errors import Conflict
from app.i18n import gettext
from app.models import audit
from app.models.customers import ExternalRef

__all__ = ["SOURCE", "Removed", "load", "loaded", "remove"]


async def loaded(session: AsyncSession) -> bool:
    """Whether anything of the demo is there."""
    return await session.scalar(select(ExternalRef.id).where(ExternalRef.source == SOURCE).limit(1)) is not None


async def load(session: AsyncSession | None = None, *, now: datetime | None = None) -> dict[str, int]:
    """Make the demo in the running unit, or in one of its own. Gives table -> number of rows.

    Staff and users have no password. The same `now` makes the same rows. Raises Conflict when it is there already.
    """
    async with _unit(session) as work:
        if await loaded(work):
            raise Conflict(gettext("The demo data is there already. Remove it first."))
        counts = await Maker(work, (now or utcnow()).replace(microsecond=0)).make()
        await work.run_sync(audit.write, "demo_loaded", "demo", None, {n: [0, count] for n, count in counts.items()})
    return counts


async def remove(session: AsyncSession | None = None) -> Removed:
    """Take out the demo in the running unit, or in one of its own; without a demo nothing happens.

    What staff added on top is kept, with what it needs of the demo: `Removed.lines()` says it.
    """
    async with _unit(session) as work:
        removed = await take_out(work)
        if removed.counts:
            changes = {noun: [count, 0] for noun, count in removed.counts.items()}
            await work.run_sync(audit.write, "demo_removed", "demo", None, changes)
    return removed


def _unit(session: AsyncSession | None) -> AbstractAsyncContextManager[AsyncSession]:
    return unit() if session is None else nullcontext(session)
