"""The day's charging while its workers are killed again and again: nothing is charged twice, nothing is missed, and
groups by rule follow."""

from __future__ import annotations

<<<<<<< HEAD
=======
import asyncio
import random
import time
>>>>>>> h-ci
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db
from app.db import utcnow
from app.domain.catalog import next_period
from app.models.automation import Touched
from app.models.billing import Expense
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Membership
from app.models.jobs import Job, JobState
from app.models.ledger import Account, Entry
from tests import factories as make
<<<<<<< HEAD
from tests.faults.killing import count, count_of, kill_through, one_by_one
from tests.faults.stage import scale
=======
from tests.faults.stage import Sink, Workers, scale, stage
>>>>>>> h-ci

pytestmark = pytest.mark.faults

CUSTOMERS = scale(300, 3000)
KILLS = scale(6, 30)
<<<<<<< HEAD
SMALL = "import tasks.charging as c; c.CHUNK = 5"
=======
SMALL = {"tasks.charging.CHUNK": 5}
"""Chunks that are so small that most kills hit the middle of one."""
>>>>>>> h-ci


async def _furnish() -> int:
    """Customers with one service due today and one that was missed for months. Returns how many charges are due."""
    today, expected = utcnow().date(), 0
    async with db.unit() as session:
        project = await make.create_project(session, credit_limit=10**9)
        product = await make.create_product(session)
        await make.create_discount(session, valid_until=today - timedelta(days=1))
        await make.create_group(session, condition={"field": "balance", "op": "at_most", "value": -1})
        for _n in range(CUSTOMERS):
            customer = await make.create_customer(session, project_id=project.id)
            for days in (0, 70):
                due = today - timedelta(days=days)
                service = await make.create_service(
                    session, customer=customer, product=product, status=ServiceStatus.ACTIVE, next_charge_on=due,
                    charge_day=due.day, price=500, currency=project.currency,
                )  # fmt: skip
                begins = due
                while begins is not None and begins <= today:
                    expected += 1
                    begins = next_period(begins, service.period, service.charge_day)
    return expected


async def _done() -> bool:
    async with db.reads() as session:
        job = await session.scalar(select(Job).where(Job.name == "charging.daily"))
        assert job is None or job.state is not JobState.FAILED, job.error
        waits = await session.scalar(select(Touched.id).limit(1))
        return job is not None and job.state is JobState.DONE and waits is None


async def test_kills_neither_double_nor_miss_a_charge(database: str, tmp_path: Path) -> None:
    expected = await _furnish()
<<<<<<< HEAD
    async with one_by_one(database, tmp_path, SMALL) as workers:
        hit = await kill_through(workers, kills=KILLS, of=expected, begun=count_of(Expense), over=_done)
    print(f"\n{db.engine().dialect.name}: {expected} charges, killed after {hit}")
    assert len(hit) == KILLS and await count(count_of(Expense)) == expected
    assert await count(count_of(Membership)) == CUSTOMERS, "whoever owes something is in the group of debtors"
=======
    chance, kills, hit = random.Random(4711), 0, []
    async with stage(database, tmp_path, Sink()) as on:
        workers = Workers(on.workers.env, tmp_path, SMALL)
        try:
            workers.start()
            began = time.monotonic()
            while not await _done():
                assert time.monotonic() - began < scale(150, 900), workers.said()[-3000:]
                await asyncio.sleep(chance.uniform(0.05, 0.3))
                async with db.reads() as session:
                    made = await session.scalar(select(func.count()).select_from(Expense)) or 0
                if kills < KILLS and made > expected * (kills + 1) // (KILLS + 2):
                    workers.kill(workers.processes[0])
                    kills += 1
                    hit.append(made)
                    workers.start()
        finally:
            for process in workers.processes:
                process.kill()
                process.wait()
    print(f"\n{db.engine().dialect.name}: {expected} charges, killed {kills} times after {hit}")
    assert kills == KILLS
>>>>>>> h-ci
    async with db.reads() as session:
        today = utcnow().date()
        assert await session.scalar(select(func.sum(Entry.amount))) == 0
        late = select(func.count()).select_from(Service).where(Service.next_charge_on <= today)
        assert await session.scalar(late) == 0
        doubles = select(Expense.service_id).group_by(Expense.service_id, Expense.period_from).having(func.count() > 1)
        assert (await session.scalars(doubles)).all() == []
        sums = select(func.sum(Entry.amount)).group_by(Entry.transaction_id).having(func.sum(Entry.amount) != 0)
        assert (await session.scalars(sums)).all() == []
        kept = dict((await session.execute(select(Account.id, Account.balance).where(Account.balance != 0))).all())  # type: ignore[arg-type]
        moved = select(Entry.account_id, func.sum(Entry.amount)).where(Entry.account_id.in_(kept))
        assert {i: int(n) for i, n in await session.execute(moved.group_by(Entry.account_id))} == kept
