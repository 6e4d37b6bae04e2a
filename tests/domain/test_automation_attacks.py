"""Rules against the odds: what they name is gone, people have refused, clocks change, colleagues see little."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from app import db
from app.db import unit, utcnow
from app.domain.automation import trying, watching, words
from app.errors import Invalid
from app.models.automation import Rule, RuleNotice, RuleRun, RunState
from app.models.consent import Subscription
from app.models.customers import Attitude, Customer, Group
from app.models.jobs import Job, JobState
from app.models.messaging import Delivery, DeliveryState, Template
from app.models.staff import Staff
from app.models.tickets import Ticket
from app.observe import Actor, Kind, acting
from tasks import base, messaging
from tests import factories as make
from tests.domain.test_automation import GERMANS, resources, rule_of, runs, work_off

assert resources and messaging
pytestmark = [
    pytest.mark.usefixtures("database", "redis"),
    pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True),
]


async def test_what_a_rule_names_may_go_and_the_rest_is_done(resources: Any) -> None:
    async with unit() as session:
        group, attitude = await make.create_group(session, name="Gone"), await make.create_attitude(session)
        template = await make.create_template(session, texts={"en": ("Hi", "Hello.")})
        staff, category = await make.create_staff(session), await make.create_category(session)
        there = await make.create_group(session, name="There")
    rule = await rule_of(
        {"kind": "join", "group_id": group.id}, {"kind": "leave", "group_id": group.id},
        {"kind": "template", "template_id": template.id}, {"kind": "notify", "staff_id": staff.id, "text": "Look"},
        {"kind": "ticket", "subject": "S", "text": "T", "assigned_id": staff.id, "category_id": category.id},
        {"kind": "set", "field": "attitude_id", "value": attitude.id},
        {"kind": "set", "field": "responsible_id", "value": staff.id},
        {"kind": "join", "group_id": there.id},
    )  # fmt: skip
    async with unit() as session:
        for model, row in ((Group, group), (Attitude, attitude), (Template, template), (Staff, staff)):
            await session.execute(delete(model).where(model.id == row.id).execution_options(audited=True))
        customer = await make.create_customer(session)
    await work_off(resources)
    [run] = await runs(rule)
    done = {told["kind"]: told["state"] for told in run.done.values()}
    assert run.customer_id == customer.id and run.state is RunState.FAILED
    assert done["template"] == "failed" and done["notify"] == "left" and done["join"] == done["ticket"] == "ok"
    assert {told["state"] for told in run.done.values() if told["kind"] == "set"} == {"failed"}
    assert "IntegrityError" not in words.all_done(run) and "add to the group Gone" in words.sentence(rule)
    async with db.reads() as session:
        row = await session.get_one(Rule, rule.id)
        assert (await trying.preview(session, row)).n == 1


async def test_who_has_refused_gets_no_message(resources: Any) -> None:
    async with unit() as session:
        news = await make.create_category(session, subscribable=True)
        template = await make.create_template(session, texts={"en": ("Hi", "Hello.")}, category=news)
        project = await make.create_project(session)
    await rule_of({"kind": "template", "template_id": template.id})
    async with unit() as session:
        yes, no = [await make.create_customer(session, project=project, email=f"c{n}@example.org") for n in range(2)]
        for customer, wanted in ((yes, True), (no, False)):
            await make.create_subscription(session, customer=customer, category=news, wanted=wanted)
    await work_off(resources)
    for _n in range(20):
        async with db.reads() as session:
            job = await session.scalar(select(Job.id).where(Job.state == JobState.DUE, Job.due_at <= utcnow()))
        if job is None or not await base.run_job(job, resources):
            break
    async with db.reads() as session:
        found = await session.execute(select(Delivery.customer_id, Delivery.state))
        assert {row[0] for row in found if row[1] is not DeliveryState.SKIPPED} == {yes.id}
        assert await session.scalar(select(func.count()).select_from(Subscription)) == 2


@pytest.mark.parametrize(
    ("day", "looks"),
    [
        (date(2027, 3, 28), {"00:59": False, "01:00": True, "01:01": True, "05:00": True}),
        (date(2027, 10, 31), {"00:29": False, "00:30": True, "01:29": False, "01:31": True, "05:00": True}),
    ],
    ids=["the hour does not exist", "the hour comes twice"],
)
async def test_every_day_also_when_the_clocks_change(resources: Any, day: date, looks: dict[str, bool]) -> None:
    async with unit() as session:
        await make.create_customer(session, country="DE")
    rule = await rule_of(
        {"kind": "set", "field": "note", "value": "x"}, trigger="daily", clock="02:30", condition=GERMANS
    )
    early = datetime(2026, 1, 1, tzinfo=UTC)
    async with unit() as session:
        change = update(Rule).values(zone="Europe/Berlin", enabled_at=early)
        await session.execute(change.execution_options(audited=True, synchronize_session=False))
    due = []
    for moment in looks:
        async with unit() as session:
            at = datetime.fromisoformat(f"{day}T{moment}").replace(tzinfo=UTC)
            await watching.look_once(session, rule_id=rule.id, now=at)
            due.append(watching.due_today(await session.get_one(Rule, rule.id), at) == day)
        await work_off(resources)
    assert due == list(looks.values())
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(RuleRun)) == 1


async def test_staff_of_a_project_reach_nobody_else_with_a_rule(resources: Any) -> None:
    async with unit() as session:
        mine, other = await make.create_project(session, name="Mine"), await make.create_project(session, name="Other")
        far = await make.create_staff(session, email="far@desk.example", projects=[other])
        group = await make.create_group(session)
        foreign = await make.create_rule(session, name="Theirs", project_id=other.id)
        known = await make.create_staff(session, grants=[("*", "*")], projects=[mine])
    me = Actor(Kind.STAFF, known.id, projects=frozenset({mine.id}))
    with acting(me):
        for values in ({}, {"project_id": other.id}):
            with pytest.raises(Invalid):
                await rule_of({"kind": "join", "group_id": group.id}, trigger="left", group_id=group.id, **values)
        rule = await rule_of(
            {"kind": "notify", "staff_id": far.id, "text": "Look", "mail": True},
            {"kind": "ticket", "subject": "S", "text": "T", "assigned_id": far.id},
            trigger="joined", group_id=group.id, project_id=mine.id,
        )  # fmt: skip
        async with db.reads() as session:
            assert await session.scalar(select(Rule.id).where(Rule.id == foreign.id)) is None
    async with unit() as session:
        people = [await make.create_customer(session, project=project) for project in (mine, other)]
        for customer in people:
            await make.create_membership(session, customer=customer, group=group)
    await work_off(resources)
    [run] = await runs(rule)
    assert run.customer_id == people[0].id
    with acting(me):
        async with db.reads() as session:
            seen = await trying.preview(session, await session.get_one(Rule, rule.id))
            assert [m.customer_id for m in seen.sample] == [people[0].id]
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(RuleNotice)) == 0
        assert await session.scalar(select(Ticket.assigned_id)) is None
        assert await session.scalar(select(func.count()).select_from(Customer)) == 2
