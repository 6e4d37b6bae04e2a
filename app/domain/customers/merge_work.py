"""Merging and undoing it as people ask for it: at once, or in the background where there are many messages. There it
can be stopped, and everything is as it was before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import reads, unit
from app.domain.customers.merging import LARGE, TASK, Trail, merge, messages_of, messages_to_move, move_messages
from app.domain.customers.unmerging import refusals_to_unmerge, trail_by, trail_of, unmerge
from app.errors import Conflict, NotFound
from app.i18n import gettext
from app.models.customers import Customer
from app.models.jobs import Job, JobState
from app.queue import enqueue

Told = Callable[[int, int], Awaitable[None]]
"""Hears (messages moved, messages)."""


async def begin_merge(session: AsyncSession, *, kept: Customer, gone: Customer, take: Collection[str]) -> Job | None:
    """Merge `gone` into `kept`; the job that does it, where that is not at once. Raises Conflict with the reasons."""
    n = await messages_to_move(session, gone.id)
    if n >= LARGE:
        return await enqueue(
            session, TASK, key=f"merge:{gone.id}:{gone.version}", total=n, kept_id=kept.id,
            gone_id=gone.id, take=sorted(take),
        )  # fmt: skip
    audit_id = await merge(session, kept_id=kept.id, gone_id=gone.id, take=take)
    await _all_of(session, await trail_by(session, audit_id), back=False)
    return None


async def begin_unmerge(session: AsyncSession, *, gone: Customer) -> Job | None:
    """Undo the merge of `gone`, likewise. Raises NotFound, Conflict with the reasons."""
    if reasons := await refusals_to_unmerge(session, gone_id=gone.id):
        raise Conflict(" ".join(reasons))
    row, trail, _told = await trail_of(session, gone.id)
    if (n := messages_of(trail)) >= LARGE:
        key = f"unmerge:{gone.id}:{row.id}"
        return await enqueue(session, "customers.unmerge", key=key, total=n, gone_id=gone.id, audit_id=row.id)
    await _all_of(session, await trail_by(session, await unmerge(session, gone_id=gone.id)), back=True)
    return None


async def _all_of(session: AsyncSession, trail: Trail, *, back: bool) -> None:
    done = 0
    while done < messages_of(trail):
        done = await move_messages(session, trail=trail, back=back, done=done)


# ---- in the background ----------------------------------------------------------------------------------------------


async def stop_merge(session: AsyncSession, *, job_id: int) -> None:
    """Have a merge in the background taken back before its next step. Raises NotFound, Conflict when it is over."""
    job = await _locked(session, job_id)
    if job.name != TASK:
        raise NotFound
    if await session.scalar(select(Customer.id).where(Customer.id == job.args["gone_id"])) is None:
        raise NotFound
    if job.state not in (JobState.DUE, JobState.RUNNING) or job.args.get("over"):
        raise Conflict(gettext("This is over. A merge can be undone for a day."))
    job.args = {**job.args, "stop": True}


async def work_off_merge(
    *, job_id: int, kept_id: int, gone_id: int, take: Collection[str], audit_id: int, told: Told
) -> None:  # fmt: skip
    """All of it, in parts; after a crash it goes on, forward or back. What it knows of itself stands in its job, and is
    written in the unit of each step. audit_id: of the merge, once that is done."""
    if not audit_id:
        async with unit() as session:
            job = await _locked(session, job_id)
            if job.args.get("stop"):
                _taken_back(job)
                return
            audit_id = await merge(session, kept_id=kept_id, gone_id=gone_id, take=take)
            job.args = {**job.args, "audit_id": audit_id}
    async with reads() as session:
        trail = await trail_by(session, audit_id)
    done, total, over = 0, messages_of(trail), False
    while not over:
        async with unit() as session:
            job = await _locked(session, job_id)
            if not (stop := bool(job.args.get("stop"))):
                done = await move_messages(session, trail=trail, done=done)
                if over := done >= total:
                    job.args = {**job.args, "over": True}
        if stop:
            over = await _take_back(job_id, trail, told)
        else:
            await told(done, total)


async def _take_back(job_id: int, trail: Trail, told: Told) -> bool:
    """Undo a merge that is under way. False: something stands in the way, so that it goes on; the job says what."""
    try:
        async with unit() as session:
            gone = await session.get(Customer, trail.gone)
            if gone is None or gone.merged_into_id is not None:
                await unmerge(session, gone_id=trail.gone, underway=True)
    except Conflict as refusal:
        async with unit() as session:
            job = await _locked(session, job_id)
            job.args = {**job.args, "stop": False, "came_back": str(refusal)}
        return False
    await _in_parts(trail, told, back=True)
    async with unit() as session:
        _taken_back(await _locked(session, job_id))
    return True


def _taken_back(job: Job) -> None:
    """They can be merged again, by another job."""
    job.args, job.key = {**job.args, "taken_back": True, "over": True}, None


async def _locked(session: AsyncSession, job_id: int) -> Job:
    job = await session.scalar(select(Job).where(Job.id == job_id).with_for_update())
    if job is None:
        raise NotFound
    return job


async def work_off_unmerge(*, gone_id: int, audit_id: int, told: Told) -> None:
    async with unit() as session:
        gone = await session.get(Customer, gone_id)
        if gone is not None and gone.merged_into_id is not None:
            await unmerge(session, gone_id=gone_id)
    async with reads() as session:
        trail = await trail_by(session, audit_id)
    await _in_parts(trail, told, back=True)


async def _in_parts(trail: Trail, told: Told, *, back: bool) -> None:
    done, total = 0, messages_of(trail)
    while done < total:
        async with unit() as session:
            done = await move_messages(session, trail=trail, back=back, done=done)
        await told(done, total)
