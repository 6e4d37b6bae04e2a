"""Members of groups by rule: who joins, who leaves, who stays whatever the rule says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import customers
from app.domain.catalog import save_service
from app.domain.customers import grouping
from app.errors import Invalid
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.audit import Audit, AuditDetail
from app.models.catalog import Period, ServiceStatus
from app.models.customers import Customer, Group, Membership
from app.models.jobs import Job, JobState
from app.observe import Actor, Kind, acting
from app.queue import enqueue
from app.settings import Settings
from tasks import base
from tasks import customers as tasks
from tests import factories as make

assert tasks  # registers the task
pytestmark = pytest.mark.usefixtures("database", "redis")

GERMAN: dict[str, Any] = {"field": "country", "op": "in", "value": ["DE"]}
ACTIVE: dict[str, Any] = {"field": "status", "op": "in", "value": ["active"]}
SERVED: dict[str, Any] = {"field": "services", "op": "has", "where": ACTIVE}


async def members(group: Group) -> dict[int, bool]:
    """Customer -> by rule."""
    async with db.reads() as session:
        rows = select(Membership.customer_id, Membership.by_rule).where(Membership.group_id == group.id)
        return {row.customer_id: row.by_rule for row in await session.execute(rows)}


async def rule(session: AsyncSession, condition: Any, group: Group | None = None) -> Group:
    group = group or await make.create_group(session)
    await grouping.set_rule(session, group=group, condition=condition)
    return group


async def run_jobs(database: str, tmp_path: Path) -> int:
    settings = Settings(database_url=database, secret_key="k" * 40, data_dir=tmp_path)
    tools = base.Resources(settings, OutboxMailer(settings.outbox), DirectoryStorage(tmp_path / "attachments"))
    rounds = 0
    while True:
        async with db.reads() as session:
            job = await session.scalar(select(Job.id).where(Job.state == JobState.DUE).order_by(Job.id).limit(1))
        if job is None:
            return rounds
        assert await base.run_job(job, tools)
        rounds += 1


async def test_a_rule_is_followed_for_all_in_slices_and_members_by_hand_stay(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "SLICE", 2)
    monkeypatch.setattr(base.JobRun, "slice_over", True)
    async with db.unit() as session:
        project, other = await make.create_project(session), await make.create_project(session)
        people = [await make.create_customer(session, country="DE", project=project) for _ in range(4)]
        people.append(await make.create_customer(session, country="FR", project=project))
        far = await make.create_customer(session, country="DE", project=other)
        group = await make.create_group(session)
        for by_hand in (people[0], people[4]):
            await make.create_membership(session, customer=by_hand, group=group)
        staff = await make.create_staff(session)
    with acting(Actor(Kind.STAFF, staff.id)):
        async with db.unit() as session:
            await rule(session, GERMAN, await session.get_one(Group, group.id))
            assert await grouping.following(session, group.id)
    assert await run_jobs(database, tmp_path) == 4, "three slices and the end, each in a run of its own"
    by_hand = {people[0].id: False, people[4].id: False}
    assert await members(group) == {**by_hand, **{p.id: True for p in (*people[1:4], far)}}
    async with db.unit() as session:
        assert not await grouping.following(session, group.id)
        told = select(AuditDetail.payload).join(Audit).where(Audit.noun == "customer_group", Audit.staff_id == staff.id)
        changed, followed = await session.scalars(told.order_by(Audit.id))
        assert '"condition"' in changed and json.loads(followed)["members_joined"] == [None, 4]
        group = await session.get_one(Group, group.id)
        await rule(session, {"all": [GERMAN, {"field": "id", "op": "at_most", "value": people[2].id}]}, group)
    await run_jobs(database, tmp_path)
    assert await members(group) == {**by_hand, people[1].id: True, people[2].id: True}
    async with db.unit() as session:
        group = await session.get_one(Group, group.id)
        group.condition = {"field": "gone", "op": "is", "value": 1}
        await enqueue(session, grouping.TASK, group_id=group.id)
    await run_jobs(database, tmp_path)
    assert await members(group) == by_hand, "broken: nobody, never everybody"
    async with db.unit() as session:
        await rule(session, None, await session.get_one(Group, group.id))
    await run_jobs(database, tmp_path)
    assert await members(group) == by_hand


async def test_a_rule_is_followed_at_once_for_whoever_is_registered_or_changed() -> None:
    async with db.unit() as session:
        german, served = await rule(session, GERMAN), await rule(session, SERVED)
        project, product = await make.create_project(session), await make.create_product(session)
        ada = await customers.register_customer(
            session, project_id=project.id, email="ada@example.org", country="DE", groups=[served.id]
        )
        bob = await customers.register_customer(session, project_id=project.id, email="bob@example.org", country="FR")
        people = [
            customers.newcomer({"project_id": project.id, "name": n, "country": n}, username=n, source="x", ref=n)
            for n in ("DE", "AT")
        ]
        made = await customers.register_many(session, people)
    assert await members(german) == {ada.id: True, made[0]: True} and await members(served) == {ada.id: False}
    async with db.unit() as session:
        ada, bob = await session.get_one(Customer, ada.id), await session.get_one(Customer, bob.id)
        await customers.change_customer(session, customer=ada, values={"country": "FR"})
        await customers.change_customer(session, customer=bob, values={"country": "DE"}, groups=[])
        service = await save_service(
            session,
            values={"customer_id": bob.id, "product_id": product.id, "name": "Web", "status": ServiceStatus.ACTIVE,
                    "price": 100, "currency": "EUR", "period": Period.MONTH},
        )  # fmt: skip
    assert await members(german) == {bob.id: True, made[0]: True}, "groups=[] takes nobody out of a rule"
    assert await members(served) == {ada.id: False, bob.id: True}
    async with db.unit() as session:
        service = await session.get_one(type(service), service.id)
        await save_service(session, service=service, values={"status": ServiceStatus.CLOSED})
    assert await members(served) == {ada.id: False}


async def test_a_rule_that_cannot_rest_or_be_read_is_refused() -> None:
    async with db.unit() as session:
        group = await make.create_group(session)
        within = {"field": "users", "op": "has", "where": {"field": "customers", "op": "has", "where": {
            "any": [GERMAN, {"field": "group", "op": "in", "value": [group.id]}]}}}  # fmt: skip
        for bad in ({"field": "group", "op": "in", "value": [1]}, within, {"field": "gone", "op": "is"}, {"all": []}):
            with pytest.raises(Invalid) as told:
                await grouping.set_rule(session, group=group, condition=bad)
            assert told.value.fields.keys() == {"condition"}
        assert group.condition is None and not await grouping.following(session, group.id)
