"""Copies of all data of a customer: made in the background, and deleted when they were kept long enough."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import keeping, privacy
from tasks.base import JobRun, task
from tasks.daily import daily


async def _gave_up(session: AsyncSession, *, job_id: int, reason: str, request_id: int) -> None:
    await privacy.fail(session, request_id=request_id)


@task("privacy.export", timeout=3600, tries=4, on_failed=_gave_up)
async def export(job: JobRun, *, request_id: int) -> None:
    """Write the ZIP and mail that it is ready; after a crash all of it again."""
    await privacy.make(job.resources.storage, request_id=request_id, told=job.progress)


@task("privacy.drop", timeout=60)
async def drop(job: JobRun, *, place: str) -> None:
    """Delete the file of an export whose row is gone."""
    async with db.reads() as session:
        await keeping.forget(job.resources.storage, session, [place])


@daily("privacy.day", hour=4)
async def day(job: JobRun, *, day: str) -> None:
    """Delete the exports that were kept long enough."""
    while await privacy.forget(job.resources.storage):
        if job.cancelled:
            return
