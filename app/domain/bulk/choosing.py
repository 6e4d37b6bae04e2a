"""Choosing the rows of a change: they are written down before anything is checked, so that nothing that happens later
adds one or takes one away. A few at once, in the request; many in the background, some thousand in each transaction.

They are looked at by their ids from the newest on, each one once; what is made meanwhile does not join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import insert_rows, model_of, utcnow
from app.domain import lists
from app.domain.bulk import runs
from app.domain.bulk.kinds import grant_of
from app.domain.bulk.reading import how_many
from app.domain.lists import Meant
from app.domain.longwork import Left
from app.errors import Invalid
from app.i18n import gettext
from app.models.bulk import BulkRun, BulkState
from app.queue import enqueue

AT_ONCE = 2000
"""So many rows a request writes down itself."""
CHUNK = 5000
"""Rows of one transaction in the background."""


async def choose(session: AsyncSession, run: BulkRun, meant: Meant) -> None:
    """Write down the rows of a new run, or leave it to the background. Raises Invalid when there is none."""
    ids = await _next(session, meant, at=None, most=AT_ONCE + 1)
    if not ids:
        raise Invalid(gettext("Nothing is chosen, or it does not exist any more."))
    if len(ids) > AT_ONCE:
        # what is newer than the newest one was not meant
        await runs.write(session, run.id, BulkState.CHOOSING, looked={"behind": ids[0] + 1})
        await enqueue(session, "bulk.choose", bulk_id=run.id)
        return
    await _keep(session, run.id, ids, after=0)
    await _check(session, run, len(ids))


async def choose_some(*, run_id: int, more: Callable[[], bool]) -> Left:
    """Go on with it as long as `more` says so, a part in each transaction. Raises NotFound, Forbidden, and Invalid when
    the filter is of no use any more, or nothing is left."""
    run, who = await runs.load(run_id)
    left = Left(run.done, run.total, over=run.state is not BulkState.CHOOSING)
    if left.over:
        return left
    who.need(run.noun, grant_of(run))
    with runs.on_behalf(who, run.id):
        meant = lists.read(model_of(run.noun), run.wanted.get("rows"))
        total, done, at = run.total or await how_many(meant), run.done, run.looked["behind"]
        while not left.over:
            async with db.reads() as session:
                ids = await _next(session, meant, at=at, most=CHUNK)
            async with db.unit() as session:
                at, looked = (ids[-1], {"behind": ids[-1]}) if ids else (at, {"behind": at})
                total = max(total, done + len(ids))
                held = await runs.write(
                    session, run.id, BulkState.CHOOSING, done=done + len(ids), total=total, looked=looked
                )
                if not held:  # it was stopped
                    return Left(done, total, over=True)
                await _keep(session, run.id, ids, after=done)
                done += len(ids)
                over = len(ids) < CHUNK
                if over and not done:
                    raise Invalid(gettext("Nothing is chosen, or it does not exist any more."))
                if over:
                    await _check(session, await runs.locked(session, run.id), done)
            left = Left(done, total, over=over)
            if not more():
                break
    return left


async def _next(session: AsyncSession, meant: Meant, *, at: int | None, most: int) -> Sequence[int]:
    model = meant.model
    where: list[Any] = meant.where()
    await db.weigh(session, where)
    if at is not None:
        where.append(model.id < at)
    query = select(model.id).where(*where).order_by(model.id.desc()).limit(most)
    return (await session.scalars(query)).all()


async def _keep(session: AsyncSession, run_id: int, ids: Sequence[int], *, after: int) -> None:
    if ids:
        rows = [{"run_id": run_id, "position": after + n, "row_id": i} for n, i in enumerate(ids, 1)]
        await session.run_sync(insert_rows, runs.ROWS, rows)


async def _check(session: AsyncSession, run: BulkRun, total: int) -> None:
    run.state, run.started_at = BulkState.CHECKING, utcnow()
    await session.flush()
    await runs.write(session, run.id, BulkState.CHECKING, done=0, total=total, looked={})
    await enqueue(session, "bulk.check", total=total, bulk_id=run.id)
