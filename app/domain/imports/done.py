"""What an import did, as the audit holds it: the rows with its tag, between the first and the last that it wrote."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import undoing
from app.domain.imports import runs
from app.domain.undoing import Deed, Trace
from app.models.imports import ImportRun


async def deeds(session: AsyncSession, run: ImportRun, *, after: int, most: int) -> Sequence[Deed]:
    """The rows that were made ("create") or changed ("update"), the next ones behind the audit row `after`."""
    first, last = run.looked.get("audit", (0, 0))
    return await undoing.deeds(session, Trace(runs.tag(run.id), first, last or 0, (run.noun,)), after=after, most=most)


async def last_deeds(session: AsyncSession, run: ImportRun, *, before: int, most: int) -> Sequence[Deed]:
    """The same from the last one on, before the audit row `before` (0: all): what was made and then changed is put back
    before it goes."""
    first, last = run.looked.get("audit", (0, 0))
    last = min(last or 0, before - 1) if before else last or 0
    return await undoing.deeds(session, Trace(runs.tag(run.id), first, last, (run.noun,)), most=most, newest_first=True)


async def created_by(session: AsyncSession, run: ImportRun, *, after: int, most: int) -> tuple[int, list[int]]:
    """Where the next part ends, and the customers that were made in it; none: that was all."""
    found: list[int] = []
    while not found and (part := await deeds(session, run, after=after, most=most)):
        after = part[-1].audit_id
        found = [deed.row_id for deed in part if deed.action == "create"]
    return after, found
