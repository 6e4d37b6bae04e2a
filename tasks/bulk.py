"""Work on many rows: checking and making changes, taking them back, writing files, forgetting what is over."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.bulk import choosing, editing, exporting, runs, undoing
from app.errors import NotFound
from app.models.bulk import BulkState
from tasks.base import Again, JobRun, task
from tasks.daily import daily

SLICE = 5.0


async def _gave_up(session: AsyncSession, *, job_id: int, reason: str, bulk_id: int) -> None:
    with suppress(NotFound):
        await runs.fail(session, run_id=bulk_id, reason=reason)


@task("bulk.choose", slice_seconds=SLICE, on_failed=_gave_up)
async def choose(job: JobRun, *, bulk_id: int) -> Again | None:
    """Write down the rows of a change."""
    left = await choosing.choose_some(run_id=bulk_id, more=lambda: not job.slice_over)
    await job.progress(left.done, left.total)
    return None if left.over else Again(0)


@task("bulk.check", slice_seconds=SLICE, on_failed=_gave_up)
async def check(job: JobRun, *, bulk_id: int) -> Again | None:
    """See what a change would do, and change nothing."""
    return await _work(job, bulk_id, BulkState.CHECKING)


@task("bulk.edit", slice_seconds=SLICE, on_failed=_gave_up)
async def edit(job: JobRun, *, bulk_id: int) -> Again | None:
    """Change the chosen rows."""
    return await _work(job, bulk_id, BulkState.RUNNING)


async def _work(job: JobRun, bulk_id: int, state: BulkState) -> Again | None:
    left = await editing.work_off(run_id=bulk_id, state=state, more=lambda: not job.slice_over)
    await job.progress(left.done, left.total)
    return None if left.over else Again(0)


@task("bulk.undo", slice_seconds=SLICE, on_failed=_gave_up)
async def undo(job: JobRun, *, bulk_id: int) -> Again | None:
    """Take back what a run did."""
    left = await undoing.undo_some(run_id=bulk_id, more=lambda: not job.slice_over)
    await job.progress(left.done, left.total)
    return None if left.over else Again(0)


@task("bulk.export", timeout=3600, tries=4, on_failed=_gave_up)
async def export(job: JobRun, *, bulk_id: int) -> None:
    """Write the chosen rows into a file; after a crash all of it again."""
    await exporting.make(job.resources.storage, run_id=bulk_id, told=job.progress)


@task("bulk.clear", timeout=120, slice_seconds=SLICE)
async def clear(job: JobRun, *, bulk_id: int) -> Again | None:
    """Forget the rows of a run that is over."""
    while await runs.clear(run_id=bulk_id):
        if job.slice_over:
            return Again(0)
    return None


@daily("bulk.day", hour=4)
async def day(job: JobRun, *, day: str) -> None:
    """Delete the files that were kept long enough."""
    while await exporting.forget(job.resources.storage):
        if job.cancelled:
            return
