"""Rules while their workers are killed again and again: what is ours is done once, and the webhook is told of nothing
under two names."""

from __future__ import annotations

<<<<<<< HEAD
=======
import asyncio
import random
import time
>>>>>>> h-ci
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db
from app.domain import automation
from app.domain.customers import newcomer, register_many
from app.models.automation import RuleNotice, RuleRun, RunState
from app.models.jobs import Job
from app.models.tickets import Ticket
from tests import factories as make
<<<<<<< HEAD
from tests.faults.killing import count, count_of, kill_through, one_by_one
from tests.faults.stage import scale
=======
from tests.faults.stage import Sink, Workers, scale, stage
>>>>>>> h-ci
from tests.integrations.sms_gateway import Gateway, sms_gateway

pytestmark = pytest.mark.faults

CUSTOMERS = scale(120, 2000)
KILLS = scale(5, 30)
<<<<<<< HEAD
SMALL = "import app.domain.automation.running as r; r.BATCH = 4"
=======
SMALL = {"app.domain.automation.running.BATCH": 4}
"""So little in one unit that most kills hit the middle of one."""
>>>>>>> h-ci


async def _furnish(url: str) -> None:
    async with db.unit() as session:
        project = await make.create_project(session)
        staff = await make.create_staff(session, email="ada@desk.example")
        actions = [
            {"kind": "ticket", "subject": "S", "text": "T"}, {"kind": "webhook", "url": url},
            {"kind": "notify", "staff_id": staff.id, "text": "Look", "mail": True},
            {"kind": "set", "field": "note", "value": "welcome"},
        ]  # fmt: skip
        rule = await automation.save_rule(session, values={"name": "All", "trigger": "registered", "actions": actions})
        await automation.switch(session, rule=rule, on=True)
    async with db.unit() as session:
        people = [
            newcomer({"project_id": project.id, "name": f"N{n}"}, username=f"n{n}", source="t", ref=str(n))
            for n in range(CUSTOMERS)
        ]
        await register_many(session, people)


async def test_kills_neither_double_nor_miss_what_a_rule_does(database: str, tmp_path: Path) -> None:
    done = select(func.count()).where(RuleRun.state == RunState.DONE)

    async def over() -> bool:
        return await count(done) >= CUSTOMERS

    async with sms_gateway() as server:
        assert isinstance(server, Gateway)
        own = {"BURSAR_WEBHOOK_PRIVATE": "1", "BURSAR_SECRET_KEY": "k" * 40}
        await _furnish(server.url)
<<<<<<< HEAD
        async with one_by_one(database, tmp_path, SMALL, **own) as workers:
            begun = select(func.count()).where(RuleRun.state != RunState.DUE)
            hit = await kill_through(workers, kills=KILLS, of=CUSTOMERS, begun=begun, over=over)
=======
        env = {**on.workers.env, "BURSAR_WEBHOOK_PRIVATE": "1", "BURSAR_SECRET_KEY": "k" * 40}
        workers = Workers(env, tmp_path, SMALL)
        try:
            workers.start()
            began = time.monotonic()
            while (done := await _over(RunState.DONE)) < CUSTOMERS:
                assert time.monotonic() - began < scale(150, 900), workers.said()[-3000:]
                await asyncio.sleep(chance.uniform(0.05, 0.3))
                async with db.reads() as session:
                    begun = await session.scalar(select(func.count()).where(RuleRun.state != RunState.DUE)) or 0
                if kills < KILLS and begun > CUSTOMERS * (kills + 1) // (KILLS + 2):
                    workers.kill(workers.processes[0])
                    kills += 1
                    hit.append((begun, done))
                    workers.start()
        finally:
            for process in workers.processes:
                process.kill()
                process.wait()
>>>>>>> h-ci
        called = [headers["webhook-id"] for headers, _body in server.got]
    print(f"\n{db.engine().dialect.name}: {CUSTOMERS} runs, killed after {hit}, {len(called)} calls")
    assert len(hit) == KILLS and len(set(called)) == CUSTOMERS <= len(called) <= CUSTOMERS + 20 * KILLS
    for model in (RuleRun, Ticket, RuleNotice):
        assert await count(count_of(model)) == CUSTOMERS, model
    async with db.reads() as session:
        mails = await session.scalars(select(Job.key).where(Job.name == "messaging.mail"))
        assert len(set(mails)) == CUSTOMERS
