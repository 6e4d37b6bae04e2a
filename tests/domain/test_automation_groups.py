"""Rules that wait for who joins or leaves a group: by hand, by its rule, by an import, in bulk, by another rule."""

from __future__ import annotations

from typing import Any

import pytest

from app import db
from app.db import unit
from app.domain import automation, customers
from app.domain.automation import touched, trying, words
from app.domain.customers import grouping, newcomer, register_many
from app.errors import Conflict, Invalid
from app.models.automation import Rule, RunState
from app.models.customers import Customer, Group
from tests import factories as make
from tests.domain.test_automation import GERMANS, groups_of, look, resources, rule_of, runs, states, work_off

assert resources
pytestmark = pytest.mark.usefixtures("database", "redis")
NOTE = {"kind": "set", "field": "note", "value": "met"}


async def put(customer_id: int, *groups: int) -> None:
    async with unit() as session:
        await customers.set_groups(session, customer=await session.get_one(Customer, customer_id), groups=groups)


async def met(rule: Rule) -> list[int | None]:
    return [run.customer_id for run in await runs(rule)]


async def test_whatever_way_somebody_joins_or_leaves(resources: Any) -> None:
    async with unit() as session:
        project = await make.create_project(session)
        vip, other = await make.create_group(session, name="VIP"), await make.create_group(session)
        ada, bob = [await make.create_customer(session, project=project, country="FR") for _n in range(2)]
        await make.create_membership(session, customer=bob, group=other)
    joined = await rule_of(NOTE, trigger="joined", group_id=vip.id, name="In")
    left = await rule_of(NOTE, trigger="left", group_id=vip.id, name="Out")
    assert words.sentence(joined) == "When a customer joins the group VIP: set Note to met"
    await put(ada.id, vip.id, other.id)
    await put(ada.id, vip.id)  # leaves the other one
    await put(ada.id, vip.id)
    await work_off(resources)
    assert (await met(joined), await met(left)) == ([ada.id], [])
    assert words.event((await runs(joined))[0].event, {}) == "joined the group VIP"
    await put(ada.id)
    people = [
        newcomer({"project_id": project.id, "name": f"N{n}"}, username=f"n{n}", source="t", ref=str(n), groups=of)
        for n, of in enumerate([(vip.id, other.id), (other.id,), ()])
    ]
    async with unit() as session:  # by an import
        made = await register_many(session, people)
    await work_off(resources)
    assert (await met(joined), await met(left)) == ([ada.id, made[0]], [ada.id])
    async with unit() as session:  # by its rule, for everybody
        await grouping.set_rule(session, group=await session.get_one(Group, vip.id), condition=GERMANS)
    async with unit() as session:
        customer = await session.get_one(Customer, bob.id)
        await customers.change_customer(session, customer=customer, values={"country": "DE"})
    await work_off(resources)
    assert (await met(joined))[2:] == [bob.id] and len(await met(left)) == 1
    async with unit() as session:
        await grouping.set_rule(session, group=await session.get_one(Group, vip.id), condition=None)
    async with unit() as session:
        await grouping.follow_slice(session, group_id=vip.id, after=0)
    await work_off(resources)
    assert (await met(left))[1:] == [bob.id]
    by_rule = await rule_of({"kind": "join", "group_id": vip.id}, name="Makes members")  # by another rule
    async with unit() as session:
        eve = await make.create_customer(session, project=project)
    await work_off(resources)
    assert await met(by_rule) == [eve.id] and (await met(joined))[3:] == [eve.id]
    assert (await runs(joined))[-1].chain == str(by_rule.id)
    async with db.reads() as session:
        seen = await trying.preview(session, await session.get_one(Rule, left.id))
        assert seen.n == 2 and {m.customer_id for m in seen.sample} == {ada.id, bob.id}
        seen = await trying.preview(session, await session.get_one(Rule, joined.id))
        assert [m.customer_id for m in seen.sample] == [eve.id, made[0]] and seen.sample[
            0
        ].event == "joined the group VIP"


async def test_groups_go_round_in_no_circle(resources: Any) -> None:
    async with unit() as session:
        vip, rich = await make.create_group(session, name="VIP"), await make.create_group(session, name="Rich")
        customer = await make.create_customer(session)
        account = await make.create_account(session, customer=customer)
    join, leave = ({"kind": kind, "group_id": vip.id} for kind in ("join", "leave"))
    with pytest.raises(Conflict, match="circles: Alone → Alone"):
        await rule_of(leave, join, trigger="joined", group_id=vip.id, name="Alone")
    await rule_of(join, trigger="joined", group_id=vip.id, name="Nothing to do")
    out = await rule_of(leave, trigger="joined", group_id=vip.id, name="Out")
    with pytest.raises(Conflict, match="circles: Back → Out → Back"):
        await rule_of(join, trigger="left", group_id=vip.id, name="Back")
    await put(customer.id, vip.id)
    await work_off(resources)
    assert await groups_of(customer.id) == set() and states(await runs(out)) == [RunState.DONE]
    # a circle that leads through the rule of a group, which nobody sees beforehand
    ticketed = {"field": "tickets", "op": "count_at_least", "n": 1}
    async with unit() as session:
        await grouping.set_rule(session, group=await session.get_one(Group, rich.id), condition=ticketed)
        other = await make.create_customer(session, project_id=account.project_id)
    opens = await rule_of({"kind": "ticket", "subject": "S", "text": "T"}, trigger="joined", group_id=rich.id, name="T")
    async with unit() as session:
        await make.create_ticket(session, customer=other, subject="S", text="T")
    for _n in range(2):
        async with unit() as session:
            await touched.work(session)
        await work_off(resources)
    [run] = await runs(opens)
    assert (run.customer_id, run.state, run.chain) == (other.id, RunState.DONE, "")
    opens_first = await rule_of({"kind": "ticket", "subject": "S", "text": "T"}, name="First")
    async with unit() as session:
        third = await make.create_customer(session, project_id=account.project_id)
    await work_off(resources)
    async with unit() as session:
        await touched.work(session)
    await work_off(resources)
    assert [run.chain for run in await runs(opens) if run.customer_id == third.id] == [str(opens_first.id)]


async def test_a_rule_without_its_group_is_broken(resources: Any) -> None:
    with pytest.raises(Invalid) as problem:
        await rule_of(NOTE, trigger="joined")
    assert "group" in problem.value.fields
    async with unit() as session:
        group = await make.create_group(session)
    rule = await rule_of(NOTE, trigger="joined", group_id=group.id)
    async with unit() as session:
        await session.delete(await session.get_one(Group, group.id))
    await look()
    assert states(await runs(rule)) == [RunState.BROKEN]
    async with unit() as session:
        row = await session.get_one(Rule, rule.id, populate_existing=True)
        assert automation.problem_of(row) == "There is no such group any more."
        assert words.sentence(row).startswith("When a customer joins the group –")
        assert (await trying.preview(session, row)).problem
