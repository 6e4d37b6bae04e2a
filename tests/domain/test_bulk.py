"""Changing many rows: looked at without a trace, done in parts by the verbs of the forms, stopped, and undone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app import db, filters
from app.db import utcnow
from app.domain import custom, customers
from app.domain.bulk import choosing, editing, parts, runs, undoing
from app.domain.config import live
from app.domain.lists import Meant
from app.errors import Conflict, Invalid
from app.models.audit import Audit
from app.models.bulk import BulkRow, BulkRun, BulkState
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus, Group, Membership
from app.models.jobs import Job
from app.models.staff import Grant, Staff, StaffProject
from app.models.tickets import Ticket, TicketPriority
from app.models.users import User, UserCustomer
from app.observe import Actor, Kind, acting
from tasks import base, bulk
from tests import factories
from tests.domain.test_import_runs import resources, run_jobs

pytestmark = pytest.mark.usefixtures("redis")
assert bulk  # registers the tasks
__all__ = ["resources"]  # a fixture


@pytest.fixture
async def colleague(database: str) -> Staff:
    async with db.unit() as session:
        role = await factories.create_role(session)
        return await factories.create_staff(session, role=role)


def chosen(model: Any, **condition: Any) -> Meant:
    return Meant(model, filters.parse(condition, model) if condition else None)


async def begin(who: Staff, rows: Any, *, noun: str = "customer", projects: Any = None, **asked: Any) -> int:
    with acting(Actor(Kind.STAFF, who.id, projects=projects)):
        async with db.unit() as session:
            run = await editing.add_edit(session, noun=noun, rows=rows, query="", name="A change", **asked)
            return run.id


async def row(run_id: int) -> BulkRun:
    async with db.reads() as session:
        return await session.get_one(BulkRun, run_id)


async def start(who: Staff, run_id: int) -> None:
    with acting(Actor(Kind.STAFF, who.id)):
        async with db.unit() as session:
            await runs.start(session, run_id=run_id)


async def done(who: Staff, resources: base.Resources, run_id: int) -> BulkRun:
    await run_jobs(resources)
    await start(who, run_id)
    await run_jobs(resources)
    return await row(run_id)


async def undone(who: Staff, resources: base.Resources, run_id: int) -> BulkRun:
    with acting(Actor(Kind.STAFF, who.id)):
        async with db.unit() as session:
            await undoing.undo(session, run_id=run_id)
    await run_jobs(resources)
    return await row(run_id)


async def all_of(what: Any) -> Sequence[Any]:
    async with db.reads() as session:
        return (await session.scalars(select(what).order_by(what))).all()


async def test_a_change_is_looked_at_then_done_and_undone(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FIRST", 3)
    async with db.unit() as session:
        group = await factories.create_group(session, name="Regulars")
        people = [await factories.create_customer(session, name=f"C{n}", country="GB") for n in range(8)]
        await factories.create_membership(session, customer=people[0], group=group)
        old = await factories.create_customer(session, name="Old", country="GB", kind="company", vat_number="x")
        same = await factories.create_customer(session, name="Same", country="DE", groups=[group])
        await factories.create_customer(session, name="Other", country="FR")
    # the condition is about the field that is changed: what is chosen is written down first
    rows = chosen(Customer, field="country", op="in", value=["GB", "DE"])
    run_id = await begin(colleague, rows, values={"country": "de"}, add={"groups": [group.id]})
    await run_jobs(resources)
    looked = await row(run_id)
    assert (looked.state, looked.total, looked.changed, looked.unchanged, looked.refused) == (
        BulkState.CHECKED, 10, 8, 1, 1,
    )  # fmt: skip
    assert looked.looked["fields"] == {"country": 8, "groups": 7}
    assert ["country", "United Kingdom", "Germany"] in looked.looked["sample"][0]["changes"]
    assert ["groups", "", "Regulars"] in looked.looked["sample"][0]["changes"]
    assert [(i, n) for i, n, _why in looked.looked["refused"]] == [(old.id, "Old")]
    assert "VAT" in looked.looked["refused"][0][2]
    assert len(await all_of(Membership.customer_id)) == 2, "nothing is changed yet"
    assert sorted(set(await all_of(Customer.country))) == ["DE", "FR", "GB"]
    await start(colleague, run_id)
    await run_jobs(resources)
    run = await row(run_id)
    assert (run.state, run.done, run.changed, run.unchanged, run.refused) == (BulkState.DONE, 10, 8, 1, 1)
    assert await all_of(Customer.country) == ["DE"] * 9 + ["FR", "GB"]
    assert len(await all_of(Membership.customer_id)) == 9
    async with db.reads() as session:
        told = select(Audit).where(Audit.request == f"bulk-{run_id}", Audit.noun == "customer")
        assert [(a.action, a.staff_id, a.kind.value) for a in await session.scalars(told)] == [
            ("update", colleague.id, "staff")
        ] * 8
        kept = (await session.scalars(select(BulkRow).where(BulkRow.run_id == run_id))).all()
        assert [(r.row_id, "VAT" in r.reason) for r in kept] == [(old.id, True)], "the others are forgotten"
    async with db.unit() as session:
        touched = await session.get_one(Customer, people[3].id)
        await customers.change_customer(session, customer=touched, values={"country": "CH"})
    back = await undone(colleague, resources, run_id)
    assert (back.state, back.done, back.undone, back.kept) == (BulkState.UNDONE, 8, 7, 1)
    assert back.looked["not_undone"] == [[people[3].id, "C3", "Changed since, and left as it is: Country."]]
    assert await all_of(Customer.country) == ["CH", "DE", "FR"] + ["GB"] * 8
    assert await all_of(Membership.customer_id) == [people[0].id, same.id]
    with pytest.raises(Conflict):
        await undone(colleague, resources, run_id)


async def test_it_is_stopped_between_two_parts_and_what_was_done_can_be_undone(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FIRST", 2)
    monkeypatch.setattr(parts, "MOST", 2)
    async with db.unit() as session:
        for _n in range(6):
            await factories.create_customer(session, language="en")
    run_id = await begin(colleague, chosen(Customer), values={"language": "de"})
    await run_jobs(resources)
    await start(colleague, run_id)
    n = 0

    def once() -> bool:
        nonlocal n
        n += 1
        return n < 2

    await editing.work_off(run_id=run_id, state=BulkState.RUNNING, more=once)
    with acting(Actor(Kind.STAFF, colleague.id)):
        async with db.unit() as session:
            await runs.stop(session, run_id=run_id)
    left = await editing.work_off(run_id=run_id, state=BulkState.RUNNING, more=lambda: True)
    await run_jobs(resources)
    run = await row(run_id)
    assert left.over and (run.state, run.done, run.changed) == (BulkState.STOPPED, 4, 4)
    assert await all_of(Customer.language) == ["de"] * 4 + ["en"] * 2
    assert (await undone(colleague, resources, run_id)).undone == 4
    assert await all_of(Customer.language) == ["en"] * 6


async def test_many_rows_are_chosen_in_the_background_as_they_were_meant(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "AT_ONCE", 4)
    monkeypatch.setattr(choosing, "CHUNK", 3)
    async with db.unit() as session:
        mine, other = [await factories.create_project(session) for _n in range(2)]
        for n in range(10):
            await factories.create_customer(session, project=mine, registered_at=utcnow() - timedelta(days=n))
        await factories.create_customer(session, project=other)
    recent = {"field": "registered_at", "op": "in_last", "value": "7d"}
    run_id = await begin(
        colleague, chosen(Customer, **recent), projects=frozenset({mine.id}), values={"language": "de"}
    )
    waiting = await row(run_id)
    assert (waiting.state, waiting.total, await all_of(BulkRow.row_id)) == (BulkState.CHOOSING, 0, [])
    async with db.unit() as session:  # newer than what was meant, and no longer among it
        await factories.create_customer(
            session, project=mine, language="en", registered_at=utcnow() - timedelta(days=2)
        )
        oldest = await session.get_one(Customer, (await all_of(Customer.id))[0])
        oldest.registered_at = utcnow() - timedelta(days=30)
    left = await choosing.choose_some(run_id=run_id, more=lambda: False)
    half = await row(run_id)
    assert (left.over, half.state, half.done, half.total) == (False, BulkState.CHOOSING, 3, 7), (
        "the newer one only counts"
    )
    rows = half.wanted["rows"]
    async with db.unit() as session:  # the worker is late: days count from when it was asked for
        then = datetime.fromisoformat(rows["now"]) - timedelta(hours=36)
        rows = {**rows, "now": then.isoformat()}
        await runs.write(session, run_id, BulkState.CHOOSING, wanted={**half.wanted, "rows": rows})
    await run_jobs(resources)  # it goes on where it was
    checked = await row(run_id)
    assert (checked.state, checked.total, checked.changed) == (BulkState.CHECKED, 5, 5), "one left, one lies ahead"
    assert len(set(await all_of(BulkRow.row_id))) == 5
    await start(colleague, run_id)
    await run_jobs(resources)
    assert sorted(await all_of(Customer.language)).count("de") == 5
    for stop in (True, False):
        run_id = await begin(colleague, chosen(Customer), values={"country": "FR"})
        await choosing.choose_some(run_id=run_id, more=lambda: False)
        if stop:
            with acting(Actor(Kind.STAFF, colleague.id)):
                async with db.unit() as session:
                    await runs.stop(session, run_id=run_id)
        else:  # the filter asks for a field that is gone
            rows = {**(await row(run_id)).wanted["rows"], "filter": {"field": "gone", "op": "is", "value": 1}}
            async with db.unit() as session:
                await runs.write(session, run_id, BulkState.CHOOSING, wanted={"set": {"country": "FR"}, "rows": rows})
        await run_jobs(resources)
        ended = await row(run_id)
        assert ended.state is (BulkState.STOPPED if stop else BulkState.FAILED), ended.error
        assert not await all_of(BulkRow.row_id), "what was chosen is forgotten"
    assert "FR" not in await all_of(Customer.country)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_one_row_that_the_database_refuses_leaves_the_others_alone(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FIRST", 2)
    monkeypatch.setattr(parts, "MOST", 4)
    async with db.unit() as session:
        group = await factories.create_group(session)
        for n in range(9):
            await factories.create_customer(session, name="Bad" if n == 4 else f"C{n}")
        refuse = "BEFORE UPDATE OF country ON customer WHEN old.name = 'Bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
        await session.execute(text(f"CREATE TRIGGER bad {refuse}"))
    run_id = await begin(colleague, chosen(Customer), values={"country": "DE"}, add={"groups": [group.id]})
    run = await done(colleague, resources, run_id)
    assert (run.state, run.done, run.changed, run.refused) == (BulkState.DONE, 9, 8, 1)
    assert [(name, why) for _id, name, why in run.looked["refused"]] == [
        ("Bad", "Somebody else has changed it meanwhile.")
    ]
    assert (await all_of(Customer.country)).count("DE") == len(await all_of(Membership.customer_id)) == 8
    async with db.reads() as session:
        told = select(func.count()).select_from(Audit).where(Audit.request == f"bulk-{run_id}")
        assert await session.scalar(told.where(Audit.noun != "bulk_run")) == 16, "what was taken back is not told of"
    back = await undone(colleague, resources, run_id)
    assert (back.undone, back.kept, await all_of(Membership.customer_id)) == (8, 0, [])


async def test_what_cannot_be_done_is_refused_before_anything_is(resources: base.Resources, colleague: Staff) -> None:
    async with db.unit() as session:
        await factories.create_customer(session)
    for asked in ({"values": {"country": "XX"}}, {"values": {"gone": 1}}, {"add": {"gone": [1]}}, {"act": "gone"}, {}):
        with pytest.raises(Invalid):
            await begin(colleague, chosen(Customer), **asked)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        await begin(colleague, chosen(Customer, field="country", op="in", value=["FR"]), values={"country": "DE"})
    assert not await all_of(BulkRun.id) and not await all_of(Job.id)
    # a field vanishes between the check and the start
    run_id = await begin(colleague, chosen(Customer), values={"country": "DE"})
    await run_jobs(resources)
    async with db.unit() as session:
        await runs.write(session, run_id, BulkState.CHECKED, wanted={"set": {"gone": "x", "country": "DE"}})
    await start(colleague, run_id)
    await run_jobs(resources)
    run = await row(run_id)
    assert (run.state, run.done, await all_of(Customer.country)) == (BulkState.FAILED, 0, ["GB"])
    assert "no such field" in run.error


async def test_it_is_done_by_the_rights_that_its_owner_has_then(resources: base.Resources) -> None:
    async with db.unit() as session:
        mine, foreign = [await factories.create_project(session) for _n in range(2)]
        for project in (mine, foreign):
            await factories.create_customer(session, project=project, language="en")
        group = await factories.create_group(session)
        role = await factories.create_role(session, grants=[("customer", "edit")])
        limited = await factories.create_staff(session, role=role, projects=(mine,))
        free = await factories.create_staff(session, role=role)
    run_id = await begin(limited, chosen(Customer), projects=frozenset({mine.id}), add={"groups": [group.id]})
    assert (await row(run_id)).total == 1, "the other project is not seen"
    # one who sees all begins it, and is limited before it is started
    wide = await begin(free, chosen(Customer), values={"language": "de"})
    await run_jobs(resources)
    async with db.unit() as session:
        session.add(StaffProject(staff_id=free.id, project_id=mine.id))
    await start(free, wide)
    await run_jobs(resources)
    run = await row(wide)
    assert (run.changed, run.refused, await all_of(Customer.language)) == (1, 1, ["de", "en"])
    async with db.unit() as session:
        for grant in await session.scalars(select(Grant)):
            await session.delete(grant)
    await run_jobs(resources)
    with pytest.raises(Exception, match="taken away"):
        await start(limited, run_id)


async def test_accounts_are_closed_but_for_those_with_services(resources: base.Resources, colleague: Staff) -> None:
    async with db.unit() as session:
        free, bound = [await factories.create_customer(session, name=name) for name in ("Free", "Bound")]
        await factories.create_service(session, customer=bound, status=ServiceStatus.ACTIVE)
    run = await done(colleague, resources, await begin(colleague, chosen(Customer), act="close"))
    assert (run.changed, run.refused) == (1, 1)
    assert run.looked["refused"][0][:2] == [bound.id, "Bound"] and "not closed" in run.looked["refused"][0][2]
    async with db.reads() as session:
        assert (await session.get_one(Customer, free.id)).status is CustomerStatus.CLOSED
    assert (await undone(colleague, resources, run.id)).undone == 1
    assert CustomerStatus.CLOSED not in await all_of(Customer.status)


async def test_other_things_are_changed_by_their_own_verbs(resources: base.Resources, colleague: Staff) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        user = await factories.create_user(session, customer=customer)
        service = await factories.create_service(session, customer=customer)
        ticket = await factories.create_ticket(session, customer=customer)
    made = []
    for noun, model, values in (
        ("user", User, {"enabled": False}),
        ("service", Service, {"next_charge_on": date(2030, 5, 1), "auto_renew": False}),
        ("ticket", Ticket, {"priority": "high", "assigned_id": colleague.id}),
    ):
        made.append(await done(colleague, resources, await begin(colleague, chosen(model), noun=noun, values=values)))
    assert [(r.state, r.changed, r.error) for r in made] == [(BulkState.DONE, 1, "")] * 3

    async def now() -> tuple[Any, ...]:
        async with db.reads() as session:
            u, s, t = [await session.get_one(type(x), x.id) for x in (user, service, ticket)]
            return u.enabled, u.disabled_by_staff, s.auto_renew, s.next_charge_on, t.priority, t.assigned_id

    assert await now() == (False, True, False, date(2030, 5, 1), TicketPriority.HIGH, colleague.id)
    for run in made:
        assert (await undone(colleague, resources, run.id)).undone == 1
    assert await now() == (True, False, True, service.next_charge_on, TicketPriority.NORMAL, None)


async def test_customers_take_their_users_along_to_another_project_and_back(
    resources: base.Resources, colleague: Staff
) -> None:
    async with db.unit() as session:
        old, new = [await factories.create_project(session) for _n in range(2)]
        people, logins = [], []
        for name in ("Free", "Taken", "Shared", "Partner", "Later"):
            people.append(await factories.create_customer(session, project=old, name=name))
            logins.append(await factories.create_user(session, customer=people[-1], username=name.lower()))
        await factories.create_user(session, project=new, username="taken")
        session.add(UserCustomer(user_id=logins[2].id, customer_id=people[3].id))
    run_id = await begin(colleague, chosen(Customer), values={"project_id": new.id})
    run = await done(colleague, resources, run_id)
    assert (run.changed, run.refused) == (2, 3)
    assert [name for _id, name, _why in run.looked["refused"]] == ["Partner", "Shared", "Taken"]
    assert "serves other customers" in run.looked["refused"][0][2] and "is taken" in run.looked["refused"][2][2]

    async def moved() -> set[str]:
        async with db.reads() as session:
            there = {c.name for c in await session.scalars(select(Customer).where(Customer.project_id == new.id))}
            users = select(User.username).join(UserCustomer).where(User.project_id == new.id)
            assert {name.title() for name in await session.scalars(users)} == there, "with their users"
            return there

    assert await moved() == {"Free", "Later"}
    async with db.unit() as session:  # meanwhile somebody in the old project has the name
        await factories.create_user(session, project=old, username="later")
    back = await undone(colleague, resources, run_id)
    assert (back.undone, back.kept, await moved()) == (1, 1, {"Later"})
    assert "is taken" in back.looked["not_undone"][0][2]


async def test_a_price_is_for_one_currency(resources: base.Resources, colleague: Staff) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        euro, yen = [await factories.create_service(session, customer=customer, price=900, currency=c)
                     for c in ("EUR", "JPY")]  # fmt: skip
    for values in ({"price": 1250}, {"currency": "JPY"}):
        with pytest.raises(Invalid):
            await begin(colleague, chosen(Service), noun="service", values=values)
    asked = {"price": 1250, "currency": "EUR"}
    run = await done(colleague, resources, await begin(colleague, chosen(Service), noun="service", values=asked))
    assert (run.changed, run.looked["fields"]) == (1, {"price": 1})
    assert run.looked["sample"][0]["changes"] == [["price", "9.00\N{NO-BREAK SPACE}EUR", "12.50\N{NO-BREAK SPACE}EUR"]]
    assert [(i, why) for i, _name, why in run.looked["refused"]] == [(yen.id, "Currency: JPY, not EUR.")]

    async def now() -> list[tuple[int, str]]:
        async with db.reads() as session:
            rows = [await session.get_one(Service, s.id) for s in (euro, yen)]
            return [(row.price, row.currency) for row in rows]

    assert await now() == [(1250, "EUR"), (900, "JPY")]
    assert (await undone(colleague, resources, run.id)).undone == 1
    assert await now() == [(900, "EUR"), (900, "JPY")]


async def test_what_a_row_was_before_may_be_gone(resources: base.Resources, colleague: Staff) -> None:
    async with db.unit() as session:
        attitudes = [await factories.create_attitude(session) for _n in range(2)]
        people = [await factories.create_customer(session, attitude_id=a.id) for a in attitudes]
        group = await factories.create_group(session)
        for customer in people:
            await factories.create_membership(session, customer=customer, group=group)
    asked = {"values": {"attitude_id": None}, "remove": {"groups": [group.id]}}
    run = await done(colleague, resources, await begin(colleague, chosen(Customer), **asked))
    assert run.changed == 2 and not await all_of(Membership.customer_id)
    async with db.unit() as session:
        await session.delete(await session.get_one(type(attitudes[0]), attitudes[0].id))
        await session.delete(await session.get_one(Group, group.id))
    back = await undone(colleague, resources, run.id)
    assert (back.undone, back.kept) == (0, 2)
    async with db.reads() as session:
        assert (await session.get_one(Customer, people[1].id)).attitude_id == attitudes[1].id
        assert (await session.get_one(Customer, people[0].id)).attitude_id is None


async def test_fields_that_people_have_added_and_groups_by_rule(resources: base.Resources, colleague: Staff) -> None:
    async with db.unit() as session:
        await custom.create(
            session, target="customer", kind="choice", labels={"en": "Level"},
            choices=[{"labels": {"en": "Gold"}}, {"labels": {"en": "Tin"}}],
        )  # fmt: skip
        await custom.create(session, target="customer", kind="text", labels={"en": "Contract"})
        rule = {"field": "country", "op": "in", "value": ["DE"]}
        group = await factories.create_group(session, name="Germans", condition=rule)
        people = [await factories.create_customer(session, custom={"level": "tin"}) for _n in range(2)]
        people.append(await factories.create_customer(session, custom={"contract": "7"}, country="DE"))
    await live.keep_up(every=0)
    with pytest.raises(Invalid) as refused:
        await begin(colleague, chosen(Customer), values={"custom": {"level": "lead"}})
    assert set(refused.value.fields) == {"custom_level"}
    asked = {"values": {"country": "DE", "custom": {"level": "gold"}}, "remove": {"groups": [group.id]}}
    run = await done(colleague, resources, await begin(colleague, chosen(Customer), **asked))
    assert (run.changed, run.looked["fields"]) == (3, {"country": 2, "custom_level": 3})
    assert ["custom_level", "Tin", "Gold"] in run.looked["sample"][-1]["changes"]
    assert len(await all_of(Membership.customer_id)) == 3, "the rule alone decides"
    async with db.unit() as session:
        one = await session.get_one(Customer, people[0].id)
        await customers.change_customer(session, customer=one, values={"custom": {"contract": "8"}})
        two = await session.get_one(Customer, people[1].id)
        await customers.change_customer(session, customer=two, values={"custom": {"level": None}})
    back = await undone(colleague, resources, run.id)
    assert (back.undone, back.looked["not_undone"][0][2]) == (2, "Changed since, and left as it is: Level.")
    async with db.reads() as session:
        held = [(await session.get_one(Customer, c.id)).custom for c in people]
    assert held == [{"level": "tin", "contract": "8"}, {}, {"contract": "7"}]
    assert await all_of(Membership.customer_id) == [people[2].id], "the rule is followed again"
