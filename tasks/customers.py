"""Customers in the background."""

from __future__ import annotations

from app import db
from app.domain.customers import merge_work
from app.domain.customers.welcome import send_welcome
from tasks.base import JobRun, task


@task("customers.welcome", timeout=60)
async def welcome(job: JobRun, *, customer_id: int) -> None:
    """Write to a customer whom staff have registered."""
    async with db.unit() as session:
        await send_welcome(session, customer_id=customer_id)


@task("customers.merge", timeout=1800, tries=4)
async def merge(job: JobRun, *, kept_id: int, gone_id: int, take: list[str]) -> None:
    """Merge two customers of whom one has many messages."""
    await merge_work.work_off_merge(kept_id=kept_id, gone_id=gone_id, take=take, told=job.progress)


@task("customers.unmerge", timeout=1800, tries=4)
async def unmerge(job: JobRun, *, gone_id: int, audit_id: int) -> None:
    """Undo that."""
    await merge_work.work_off_unmerge(gone_id=gone_id, audit_id=audit_id, told=job.progress)
