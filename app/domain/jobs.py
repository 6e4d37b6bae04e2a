"""Jobs under leases: claim, renew, finish, find what is due. The row decides; whoever holds its token may write it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Update, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import moment
from app.errors import Conflict, NotFound
from app.i18n import _
from app.models.jobs import Job, JobState

SLACK = 0.25
"""Seconds that a job may start early: `due_at` is written by our clock and read by the database's."""


@dataclass(frozen=True)
class Claimed:
    """A job that this process may run as long as `token` is the row's. `attempt` counts from 1."""

    id: int
    name: str
    args: dict[str, Any]
    token: str
    attempt: int
    owner_id: int | None
    visited_id: int | None


@dataclass(frozen=True)
class Due:
    """A job that somebody should start: it is due, or the lease of whoever ran it is over."""

    id: int
    name: str
    due_at: datetime
    attempt: int


def _runnable() -> Any:
    return or_(
        and_(Job.state == JobState.DUE, Job.due_at <= moment(SLACK)),
        and_(Job.state == JobState.RUNNING, Job.lease_until <= moment()),
    )


async def claim(session: AsyncSession, *, job_id: int, lease_seconds: float) -> Claimed | None:
    """Take a job that is due, or whose lease is over. None: somebody else has it, or it is not due."""
    token = secrets.token_hex(16)
    statement = (
        update(Job)
        .where(Job.id == job_id, _runnable())
        .values(
            state=JobState.RUNNING, lease_token=token, lease_until=moment(lease_seconds), attempt=Job.attempt + 1,
            started_at=func.coalesce(Job.started_at, moment()),
        )
        .returning(Job.id, Job.name, Job.args, Job.attempt, Job.owner_id, Job.visited_id)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    return Claimed(row.id, row.name, row.args, token, row.attempt, row.owner_id, row.visited_id)


async def renew(session: AsyncSession, *, job_id: int, token: str, lease_seconds: float) -> bool:
    """Hold on to a job. False: the token is outdated, somebody else has it."""
    return await _write(session, _held(job_id, token).values(lease_until=moment(lease_seconds)))


async def report(
    session: AsyncSession, *, job_id: int, token: str, done: int, total: int, lease_seconds: float
) -> bool:
    """Say how far a job is, and hold on to it. False: the token is outdated."""
    values = {"done": done, "total": total, "lease_until": moment(lease_seconds)}
    return await _write(session, _held(job_id, token).values(**values))


async def remember(session: AsyncSession, *, job_id: int, token: str, args: dict[str, Any]) -> bool:
    """What the next run of a job is to know. False: the token is outdated."""
    return await _write(session, _held(job_id, token).values(args=args))


async def came_back(session: AsyncSession, *, job: Job, reason: str) -> None:
    """The mail that this job has sent was returned, or called unwanted."""
    change = update(Job).where(Job.id == job.id).values(args=job.args | {"came_back": reason[:500]})
    await session.execute(change.execution_options(synchronize_session=False))


async def finish(session: AsyncSession, *, job_id: int, token: str) -> bool:
    """The job is done. False, and nothing changed: the token is outdated."""
    return await _write(session, _held(job_id, token).values(state=JobState.DONE, error="", **_END))


async def again(
    session: AsyncSession, *, job_id: int, token: str, after_seconds: float, error: str | None = None
) -> bool:
    """The job goes on after so many seconds. With an `error` the try has failed; without, the count starts again."""
    values: dict[str, Any] = {"state": JobState.DUE, "due_at": moment(after_seconds), **_FREE}
    values |= {"attempt": 0, "error": ""} if error is None else {"error": error[:2000]}
    return await _write(session, _held(job_id, token).values(**values))


async def fail(session: AsyncSession, *, job_id: int, token: str, error: str) -> bool:
    """The job will not be tried again. False, and nothing changed: the token is outdated."""
    return await _write(session, _held(job_id, token).values(state=JobState.FAILED, error=error[:2000], **_END))


async def due(session: AsyncSession, *, limit: int = 100) -> list[Due]:
    """What should be started now, the oldest first."""
    rows = await session.execute(
        select(Job.id, Job.name, Job.due_at, Job.attempt).where(_runnable()).order_by(Job.due_at).limit(limit)
    )
    return [Due(*row) for row in rows]


async def retry(session: AsyncSession, *, job_id: int) -> None:
    """Try a failed job again, now. Raises NotFound, and Conflict for a job that has not failed."""
    job = await session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound
    if job.state is not JobState.FAILED:
        raise Conflict(_("Only a failed job can be tried again."))
    await session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(state=JobState.DUE, due_at=moment(), attempt=0, done=0, error="", started_at=None, finished_at=None)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(job)


@dataclass(frozen=True)
class Queue:
    """What waits for a worker: how many jobs are due (at most MOST are counted), since when the oldest is, and how many
    have failed."""

    due: int
    oldest: datetime | None
    failed: int


MOST = 1000


async def queue(session: AsyncSession) -> Queue:
    """How the queue stands. Reads only."""
    runnable = select(Job.due_at).where(_runnable()).limit(MOST).subquery()
    due, oldest = (await session.execute(select(func.count(), func.min(runnable.c.due_at)))).one()
    failed = select(Job.id).where(Job.state == JobState.FAILED).limit(MOST).subquery()
    return Queue(due, oldest, await session.scalar(select(func.count()).select_from(failed)) or 0)


_FREE: dict[str, Any] = {"lease_token": None, "lease_until": None}
_END: dict[str, Any] = {**_FREE, "finished_at": moment()}


def _held(job_id: int, token: str) -> Update:
    return update(Job).where(Job.id == job_id, Job.lease_token == token, Job.state == JobState.RUNNING)


async def _write(session: AsyncSession, statement: Update) -> bool:
    result = await session.execute(statement.execution_options(synchronize_session=False).returning(Job.id))
    return result.one_or_none() is not None
