"""Customers in the background."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app import db
from app.domain import jobs
from app.domain.customers import clearing_trail, grouping, merge_work, merging
from app.domain.customers.welcome import send_welcome
from app.models.customers import Customer, Group
from app.queue import enqueue
from tasks.base import Again, JobRun, task
from tasks.daily import daily


@task("customers.welcome", timeout=60)
async def welcome(job: JobRun, *, customer_id: int) -> None:
    """Write to a customer whom staff have registered."""
    async with db.unit() as session:
        await send_welcome(session, customer_id=customer_id)


@task(grouping.TASK, timeout=600, slice_seconds=5)
async def group(
    job: JobRun, *, group_id: int, after: int = 0, done: int = 0, total: int = 0, joined: int = 0, left: int = 0
) -> Again | None:
    """Follow the rule of a group for all customers, in slices of a transaction each."""
    if not total:
        async with db.reads() as session:
            total = await db.estimated_rows(session, Customer.__table__)
    while True:
        async with db.unit() as session:
            upto, more, less = await grouping.follow_slice(session, group_id=group_id, after=after)
            joined, left = joined + more, left + less
            if upto is None:
                await grouping.followed(session, group_id=group_id, joined=joined, left=left)
                return None
            after, done = upto, done + grouping.SLICE
            state = {"after": after, "done": done, "total": total, "joined": joined, "left": left}
            args = {"group_id": group_id, **state}
            if not await jobs.remember(session, job_id=job.id, token=job.token, args=args):
                return None
        await job.progress(min(done, total), total)
        if job.slice_over:
            return Again(0)


@daily("customers.groups", hour=1, module="groups")
async def groups(job: JobRun, *, day: str) -> None:
    """Follow every rule anew: days have passed, and what it asks about has changed."""
    async with db.unit() as session:
        for group_id in await session.scalars(select(Group.id).where(Group.condition.is_not(None)).order_by(Group.id)):
            await enqueue(session, grouping.TASK, key=f"group:{group_id}:{day}", group_id=group_id)


@task(merging.TASK, timeout=1800, tries=4)
async def merge(
    job: JobRun, *, kept_id: int, gone_id: int, take: list[str], audit_id: int = 0, **_state: Any
) -> None:  # fmt: skip
    """Merge two customers of whom one has many messages."""
    await merge_work.work_off_merge(
        job_id=job.id, kept_id=kept_id, gone_id=gone_id, take=take, audit_id=audit_id, told=job.progress
    )


@task("customers.unmerge", timeout=1800, tries=4)
async def unmerge(job: JobRun, *, gone_id: int, audit_id: int) -> None:
    """Undo that."""
    await merge_work.work_off_unmerge(gone_id=gone_id, audit_id=audit_id, told=job.progress)


@task("customers.clear_trail", timeout=600, slice_seconds=20)
async def clear_trail(
    job: JobRun, *, customer_ids: list[int], user_ids: list[int], after: int = 0
) -> Again | None:  # fmt: skip
    """What is left of a cleared customer in the details of the audit and in old jobs."""
    async with db.unit() as session:
        await clearing_trail.empty_jobs(session, customer_ids=customer_ids)
    while True:
        async with db.unit() as session:
            after = await clearing_trail.sweep(session, customer_ids=customer_ids, user_ids=user_ids, after=after)
        if not after:
            return None
        if job.slice_over:
            async with db.unit() as session:
                args = {"customer_ids": customer_ids, "user_ids": user_ids, "after": after}
                await jobs.remember(session, job_id=job.id, token=job.token, args=args)
            return Again(0)
