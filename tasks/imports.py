"""Imports in the background: read and check a file, take its rows in slices, forget the file; invite; take back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import jobs
from app.domain.imports import consents, filed, inviting, looking, runs, undoing
from app.domain.imports.filed import RowsReport
from app.errors import NotFound
from app.models.imports import ImportState
from tasks.base import Again, JobRun, task

SLICE = 20.0
"""Seconds: each slice reads again what was done before it, so that short ones would cost more than they do."""


async def _gave_up(session: AsyncSession, *, job_id: int, reason: str, import_id: int) -> None:
    with suppress(NotFound):
        await runs.fail_import(session, import_id=import_id, reason=reason)


@task("imports.read", timeout=1800, tries=2, on_failed=_gave_up)
async def read(job: JobRun, *, import_id: int) -> None:
    """See what stands in a file."""
    await looking.read_file(job.resources.storage, import_id=import_id)


@task("imports.check", slice_seconds=SLICE, on_failed=_gave_up)
async def check(job: JobRun, *, import_id: int) -> Again | None:
    """Read a file as if it were imported, and change nothing."""
    return await _work(job, import_id, ImportState.CHECKING)


@task("imports.take", slice_seconds=SLICE, on_failed=_gave_up)
async def take(job: JobRun, *, import_id: int) -> Again | None:
    """Register and change the customers of a file."""
    return await _work(job, import_id, ImportState.RUNNING)


async def _work(job: JobRun, import_id: int, state: ImportState) -> Again | None:
    storage = job.resources.storage
    left = await runs.work_off(storage, import_id=import_id, state=state, more=lambda: not job.slice_over)
    await job.progress(left.done, left.total)
    return None if left.over else Again(0)


@task("imports.forget", timeout=60)
async def forget(job: JobRun, *, import_id: int) -> None:
    """Delete the file of an import that is over."""
    await runs.forget_file(job.resources.storage, import_id=import_id)


@task("imports.invite", slice_seconds=SLICE)
async def invite(job: JobRun, *, import_id: int) -> Again | None:
    """Have some of the users that an import made invited."""
    left = await inviting.invite_some(import_id=import_id)
    await job.progress(left.done, left.total)
    return None if left.over else Again(inviting.PAUSE)


@task("imports.undo", slice_seconds=SLICE)
async def undo(job: JobRun, *, import_id: int) -> Again | None:
    """Take back what an import did."""
    left = await undoing.undo_some(import_id=import_id, more=lambda: not job.slice_over)
    await job.progress(left.done, left.total)
    return None if left.over else Again(0)


@task(consents.TASK, timeout=600, slice_seconds=SLICE)
async def consent(
    job: JobRun, *, file: str, shown: str, dry_run: bool, projects: list[int] | None = None,
    report: dict[str, Any] | None = None,
) -> Again | None:  # fmt: skip
    """Take in what recipients have said elsewhere. How far it came, and what was wrong, stands in the job."""
    args = {"file": file, "shown": shown, "dry_run": dry_run, "projects": projects}

    async def keep(made: RowsReport) -> bool:
        async with db.unit() as session:
            kept = args | {"report": asdict(made)}
            held = await jobs.remember(session, job_id=job.id, token=job.token, args=kept)
        return held and not job.slice_over

    storage, before = job.resources.storage, RowsReport(**(report or {}))
    async with filed.taken_out(storage, key=file, projects=projects) as (path, total):
        made = await consents.import_consent(path, dry_run=dry_run, report=before, keep=keep)
    await job.progress(made.done, total)
    if made.done < total:
        return Again(0)
    await filed.forget(storage, key=file, job_id=job.id)
    return None
