"""Custom fields in the background: their indexes, and deleting the values of one that was removed."""

from __future__ import annotations

from app import db
from app.domain import custom
from tasks.base import Again, JobRun, task
from tasks.daily import daily


@task("custom.index", timeout=600)
async def index(job: JobRun, *, field_id: int) -> None:
    await custom.index(field_id=field_id)


@daily("custom.indexes", hour=4)
async def indexes(job: JobRun, *, day: str) -> None:
    """Make what is missing of the indexes."""
    await custom.index_all()


@task("custom.purge", timeout=60)
async def purge(job: JobRun, *, field_id: int) -> Again | None:
    async with db.unit() as session:
        more = await custom.purge_some(session, field_id=field_id)
    return Again() if more else None
