"""Charging in the background: every day what is due, and at once what waited for money that has come."""

from __future__ import annotations

import asyncio
from datetime import date

from sqlalchemy import update

from app import db
from app.domain import charging
from app.domain.charging import Charged
from app.models.jobs import Job
from app.observe import log
from tasks.base import Again, JobRun, task
from tasks.daily import daily

CHUNK = 5000
"""Services in one transaction."""
LANES = 2
"""Chunks at once on PostgreSQL; SQLite has one writer."""


@daily("charging.daily", hour=0, slice_seconds=60, module="money")
async def charge_day(job: JobRun, *, day: str, after: int = 0, done: int = 0, total: int = 0) -> Again | None:
    """Charge what is due on this day: chunk after chunk of customers, each in a transaction of its own."""
    on = date.fromisoformat(day)
    if not total:
        async with db.reads() as session:
            total = await charging.count_due(session, on)
    lanes = 1 if db.is_sqlite() else LANES
    while True:
        chunks = await _chunks(on, after, lanes)
        if not chunks:
            break
        for result in await asyncio.gather(*(_charge(on, chunk) for chunk in chunks)):
            done += result.charges + result.unpaid + result.closed + result.free
            _tell(on, result)
        after, total = chunks[-1][1], max(total, done)
        await _remember(job, day=day, after=after, done=done, total=total)
        await job.progress(done, total)
        if job.slice_over:
            return Again(0)
    await job.progress(done, max(total, done))
    return None


async def _chunks(day: date, after: int, lanes: int) -> list[tuple[int, int]]:
    found = []
    async with db.reads() as session:
        for _lane in range(lanes):
            last = await charging.next_chunk(session, day=day, after=after, size=CHUNK)
            if last is None:
                break
            found.append((after, last))
            after = last
    return found


async def _charge(day: date, customers: tuple[int, int]) -> Charged:
    async with db.unit() as session:
        return await charging.charge_chunk(session, day=day, customers=customers)


async def _remember(job: JobRun, **args: object) -> None:
    """A job that goes on begins behind what it has done; one that is cut off does a chunk again, and finds nothing."""
    async with db.unit() as session:
        await session.execute(
            update(Job)
            .where(Job.id == job.id, Job.lease_token == job.token)
            .values(args=args)
            .execution_options(synchronize_session=False)
        )


def _tell(day: date, result: Charged) -> None:
    if result.suspended or result.resumed or result.closed:
        log("charging").info(
            "%s: %s charged, %s suspended, %s resumed, %s closed",
            day, result.charges, result.suspended, result.resumed, result.closed,
        )  # fmt: skip


@task("charging.account")
async def account(job: JobRun, *, account_id: int) -> None:
    """Charge what waited for money on this account."""
    async with db.unit() as session:
        await charging.charge_account(session, account_id=account_id)
