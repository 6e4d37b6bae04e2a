"""Rules while their workers are killed again and again: what is ours is done once, and the webhook is told of nothing
under two names."""

from __future__ import annotations

import asyncio
import random
import time
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
from tests.faults.stage import Sink, Workers, scale, stage
from tests.integrations.sms_gateway import Gateway, sms_gateway

pytestmark = pytest.mark.faults

CUSTOMERS = scale(120, 2000)
KILLS = scale(5, 30)
SMALL = {"app.domain.automation.running.BATCH": 4}
"""So little in one unit that most kills hit the middle of one."""


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


async def _over(state: RunState) -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).where(RuleRun.state == state)) or 0


async def test_kills_neither_double_nor_miss_what_a_rule_does(database: str, tmp_path: Path) -> None:
    chance, kills, hit = random.Random(4711), 0, []
    async with stage(database, tmp_path, Sink()) as on, sms_gateway() as server:
        assert isinstance(server, Gateway)
        await _furnish(server.url)
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
        called = [headers["webhook-id"] for headers, _body in server.got]
    print(f"\n{db.engine().dialect.name}: {CUSTOMERS} runs, killed {kills} times after {hit}, {len(called)} calls")
    assert kills == KILLS and len(set(called)) == CUSTOMERS <= len(called) <= CUSTOMERS + 20 * KILLS
    async with db.reads() as session:
        for model in (RuleRun, Ticket, RuleNotice):
            assert await session.scalar(select(func.count()).select_from(model)) == CUSTOMERS, model
        mails = await session.scalars(select(Job.key).where(Job.name == "messaging.mail"))
        assert len(set(mails)) == CUSTOMERS
