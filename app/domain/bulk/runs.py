"""Work on many rows: which rows, by whom, how far it is. A change is checked, started by the one who made it, can be
stopped, and undone (`undoing`). The row of the run is the truth: what was done and how far it came are written in one
transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain import longwork, undoing
from app.domain.lists import Meant
from app.domain.longwork import Owner
from app.errors import Conflict, NotFound
from app.i18n import gettext, speaking, zone
from app.models.bulk import BulkKind, BulkRow, BulkRun, BulkState
from app.observe import acting, actor, request_id
from app.queue import enqueue

ROWS = BulkRow.metadata.tables["bulk_row"]
GOING = (BulkState.CHOOSING, BulkState.CHECKING, BulkState.RUNNING, BulkState.UNDOING)
OPEN = (BulkState.CHOOSING, BulkState.CHECKING, BulkState.CHECKED, BulkState.RUNNING)
COUNTS = ("changed", "unchanged", "refused")
KEPT_DAYS = 7
"""For how long a file can be downloaded, and a change waits to be started."""
CLEARED_AT_ONCE = 20_000


# ---- making one -----------------------------------------------------------------------------------------------------


async def add(
    session: AsyncSession, *, kind: BulkKind, noun: str, name: str, rows: Meant, query: str, wanted: Mapping[str, Any],
) -> BulkRun:  # fmt: skip
    """A run over the rows that are meant, within the acting person's scope of now. query: the address of the list."""
    projects = actor.get().projects
    meant = {**rows.stored(), "zone": zone().key, "projects": None if projects is None else sorted(projects)}
    run = BulkRun(
        kind=kind, noun=noun, name=name[:200], query=query, wanted={**wanted, "rows": meant},
        staff_id=actor.get().staff_id, started_at=utcnow(), expires_at=utcnow() + timedelta(days=KEPT_DAYS),
        state=BulkState.RUNNING if kind is BulkKind.EXPORT else BulkState.CHOOSING,
    )  # fmt: skip
    session.add(run)
    await session.flush()
    return run


async def start(session: AsyncSession, *, run_id: int, grant: str = "edit") -> None:
    """Do what was checked. Raises NotFound, Conflict, Forbidden when the rights were taken away meanwhile."""
    run = await locked(session, run_id)
    if run.state is not BulkState.CHECKED:
        raise Conflict(gettext("Only what was checked can be started, and only once."))
    await need(session, run, grant)
    first = await undoing.newest(session)
    run.state, run.started_at, run.finished_at, run.expires_at = BulkState.RUNNING, utcnow(), None, None
    await session.flush()
    looked = {"audit": [first, None], "at": 0}
    await write(session, run.id, BulkState.RUNNING, done=0, looked=looked, **dict.fromkeys(COUNTS, 0))
    connection = await session.connection()
    await connection.execute(update(ROWS).where(ROWS.c.run_id == run.id, ROWS.c.reason != "").values(reason=""))
    await enqueue(session, "bulk.edit", total=run.total, bulk_id=run.id)


async def stop(session: AsyncSession, *, run_id: int) -> None:
    """Do nothing more; what was done stays. Raises NotFound, Conflict when it is over."""
    run = await locked(session, run_id)
    if run.state not in OPEN:
        raise Conflict(gettext("This is over."))
    await end(session, run, BulkState.STOPPED)


async def fail(session: AsyncSession, *, run_id: int, reason: str) -> None:
    """Nothing more can be done, for this reason. A run that is over is left alone."""
    run = await locked(session, run_id)
    if run.state in GOING:
        run.error = reason[:2000]
        await end(session, run, BulkState.FAILED)


async def end(session: AsyncSession, run: BulkRun, state: BulkState) -> None:
    if run.kind is BulkKind.EDIT and run.state is BulkState.RUNNING:
        first, _last = run.looked["audit"]
        looked = {**run.looked, "audit": [first, await undoing.newest(session)]}
        await write(session, run.id, run.state, looked=looked)
    run.state, run.finished_at = state, utcnow()
    await session.flush()
    if state not in OPEN:
        await enqueue(session, "bulk.clear", bulk_id=run.id)


async def clear(*, run_id: int) -> bool:
    """Forget rows of a run that is over, but for those of which there is something to say. True: there are more."""
    async with db.unit() as session:
        state = await session.scalar(select(BulkRun.state).where(BulkRun.id == run_id))
        if state is None or state in OPEN:
            return False
        nothing = (ROWS.c.run_id == run_id, ROWS.c.reason == "", ROWS.c.kept == "")
        few = select(ROWS.c.position).where(*nothing).limit(CLEARED_AT_ONCE)
        gone = delete(ROWS).where(ROWS.c.run_id == run_id, ROWS.c.position.in_(few))
        return (await (await session.connection()).execute(gone)).rowcount >= CLEARED_AT_ONCE


# ---- the row --------------------------------------------------------------------------------------------------------


def tag(run_id: int) -> str:
    """By this name the audit knows what a run did."""
    return f"bulk-{run_id}"


async def locked(session: AsyncSession, run_id: int) -> BulkRun:
    return await longwork.locked(session, BulkRun, run_id)


async def write(session: AsyncSession, run_id: int, state: BulkState, /, **values: Any) -> bool:
    """See `longwork.write`."""
    return await longwork.write(session, BulkRun, run_id, state, **values)


async def part(session: AsyncSession, run_id: int, *, after: int, most: int) -> list[tuple[int, int]]:
    """(position, id) of the next rows."""
    query = select(ROWS.c.position, ROWS.c.row_id).where(ROWS.c.run_id == run_id, ROWS.c.position > after)
    found = await (await session.connection()).execute(query.order_by(ROWS.c.position).limit(most))
    return [(position, row_id) for position, row_id in found]


# ---- on whose behalf ------------------------------------------------------------------------------------------------


async def owner(session: AsyncSession, run: BulkRun) -> Owner:
    """Who has begun it, as they are now, but for what they did not see then. Raises Forbidden."""
    found, rows = await longwork.owner(session, run.staff_id), run.wanted.get("rows", {})
    if (then := rows.get("projects")) is not None:
        projects = frozenset(then) if found.projects is None else found.projects & frozenset(then)
        found = replace(found, projects=projects)
    return replace(found, timezone=rows.get("zone") or found.timezone)


async def need(session: AsyncSession, run: BulkRun, action: str) -> Owner:
    """Raises Forbidden when the one who has begun it may not do that any more."""
    found = await owner(session, run)
    found.need(run.noun, action)
    return found


@contextmanager
def on_behalf(who: Owner, run_id: int, doing: str = "") -> Iterator[None]:
    """In the scope and in the language of the one who has begun it; the audit knows by the tag what the run did, and by
    another one what `doing` something else with it did."""
    tagged = request_id.set(f"{tag(run_id)}-{doing}" if doing else tag(run_id))
    try:
        with acting(who.actor), speaking(who.language, who.timezone):
            yield
    finally:
        request_id.reset(tagged)


async def load(run_id: int) -> tuple[BulkRun, Owner]:
    """A run and who has begun it. Raises NotFound, Forbidden."""
    async with db.reads() as session:
        run = await session.scalar(select(BulkRun).where(BulkRun.id == run_id))
        if run is None:
            raise NotFound
        return run, await owner(session, run)
