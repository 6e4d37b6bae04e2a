"""Rules: every way a customer comes in or changes, each event once, loops stopped, the clock, dry runs and the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app import db, links
from app.db import unit, utcnow
from app.domain import automation, custom, customers, ledger, tickets
from app.domain.automation import events, running, touched, trying, watching, words
from app.domain.config import live, modules
from app.domain.customers import newcomer, register_many
from app.domain.ledger import Move
from app.errors import Conflict, Invalid
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.automation import BelowAmount, Rule, RuleNotice, RuleRun, RunState
from app.models.catalog import ServiceStatus
from app.models.custom import CustomField
from app.models.customers import Customer, Membership
from app.models.jobs import Job, JobState
from app.models.ledger import AccountKind, TransactionKind
from app.models.messaging import Campaign
from app.models.tickets import Ticket, TicketMessage, TicketStatus
from app.observe import Actor, Kind, acting
from app.settings import Settings
from tasks import automation as tasks
from tasks import base
from tests import factories as make

assert tasks  # registers the tasks
pytestmark = pytest.mark.usefixtures("database", "redis")
GERMANS = {"field": "country", "op": "in", "value": ["DE"]}


@pytest.fixture
def resources(tmp_path: Path, database: str) -> base.Resources:
    settings = Settings(database_url=database, secret_key="k" * 40, data_dir=tmp_path, webhook_private=True)
    links.configure(settings)
    return base.Resources(settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))


async def rule_of(*actions: dict[str, Any], on: bool = True, **values: Any) -> Rule:
    values = {"name": f"Rule {utcnow().timestamp()}", "trigger": "registered", "actions": list(actions), **values}
    async with unit() as session:
        rule = await automation.save_rule(session, values=values)
        return await automation.switch(session, rule=rule, on=True) if on else rule


async def work_off(resources: base.Resources, *, most: int = 200) -> None:
    """Every job of rules that is due now, until there is none."""
    for _n in range(most):
        async with db.reads() as session:
            due = Job.state == JobState.DUE, Job.name.like("automation.%"), Job.name != tasks.WATCH
            found = await session.scalar(select(Job.id).where(*due, Job.due_at <= utcnow()).order_by(Job.id))
        if found is None:
            return
        await base.run_job(found, resources)
    raise AssertionError("it does not end")


async def look(*, at: datetime | None = None) -> None:
    """What the watch does in a round."""
    async with db.reads() as session:
        ids = await watching.in_use(session)
    for rule_id in ids:
        async with unit() as session:
            while await watching.look_once(session, rule_id=rule_id, now=at or utcnow()):
                pass


async def runs(rule: Rule) -> list[RuleRun]:
    async with db.reads() as session:
        return list(await session.scalars(select(RuleRun).where(RuleRun.rule_id == rule.id).order_by(RuleRun.id)))


async def groups_of(customer_id: int) -> set[int]:
    async with db.reads() as session:
        return set(await session.scalars(select(Membership.group_id).where(Membership.customer_id == customer_id)))


def states(found: Iterable[RuleRun]) -> list[RunState]:
    return [run.state for run in found]


async def test_whatever_way_a_customer_comes_in_or_changes(resources: base.Resources) -> None:
    async with unit() as session:
        project, group = await make.create_project(session), await make.create_group(session, name="New")
        gone = await make.create_customer(session, project=project, name="Before", country="AT")
    rule = await rule_of({"kind": "join", "group_id": group.id}, condition=GERMANS)
    moved = await rule_of(
        {"kind": "set", "field": "note", "value": "moved"}, trigger="changed", field="country", becomes="germany"
    )
    assert moved.becomes == "DE"
    async with unit() as session:  # by hand, and in the client area
        by_hand = await customers.register_customer(
            session, project_id=project.id, email="a@example.org", name="Ada", country="DE"
        )
    async with unit() as session:  # by an import
        people = [
            newcomer(
                {"project_id": project.id, "name": f"N{n}", "email": "", "country": "DE" if n % 2 else "FR"},
                username=f"n{n}", source="t", ref=str(n),
            )
            for n in range(40)
        ]  # fmt: skip
        ids = list(await register_many(session, people))
    async with unit() as session:  # rolled back to a savepoint: it never was
        nested = await session.begin_nested()
        await make.create_customer(session, project=project, country="DE", name="Never")
        await nested.rollback()
    async with unit() as session:
        row = await session.get_one(Customer, gone.id)
        await customers.change_customer(session, customer=row, values={"country": "DE", "phone": "1"})
    async with unit() as session:
        row = await session.get_one(Customer, gone.id)
        await customers.change_customer(session, customer=row, values={"phone": "2"})
    async with db.reads() as session:
        jobs = await session.scalar(select(func.count()).where(Job.name == "automation.changes"))
    assert jobs == 3, "one for each transaction that somebody waits for"
    await work_off(resources)
    found = await runs(rule)
    assert {run.customer_id for run in found} == {by_hand.id, *ids[1::2]}
    assert set(states(found)) == {RunState.DONE}
    assert await groups_of(by_hand.id) == {group.id} and await groups_of(ids[0]) == set()
    assert found[0].held["leaves"] == [["", True]]
    [run] = await runs(moved)
    assert (run.customer_id, run.event) == (
        gone.id, {"what": "changed", "field": "country", "was": "AT", "now": "DE"}
    )  # fmt: skip
    async with db.reads() as session:
        assert (await session.get_one(Customer, gone.id)).note == "moved"
    await work_off(resources)
    assert len(await runs(rule)) == len(found)


async def test_equal_events_act_once_also_at_the_same_time(resources: base.Resources) -> None:
    async with unit() as session:
        customer = await make.create_customer(session)
        template = await make.create_template(session, name="Hello", texts={"en": ("Hi", "Hello.")},
                                              category=await make.create_category(session))  # fmt: skip
    rule = await rule_of(
        {"kind": "template", "template_id": template.id}, {"kind": "ticket", "subject": "S", "text": "T"}
    )

    async def once() -> int:
        async with unit() as session:
            return await events.add(session, rule, [events.Event(customer.id, "audit:7", {"what": "registered"})])

    assert sum(await asyncio.gather(*(once() for _n in range(50)))) == 1
    await asyncio.gather(*(_work() for _n in range(6)))
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Campaign)) == 1
        ticket = (await session.scalars(select(Ticket))).one()
        message = (await session.scalars(select(TicketMessage))).one()
    assert (ticket.status, message.internal) == (TicketStatus.OPEN, True)
    [run] = await runs(rule)
    assert run.state is RunState.DONE and len(run.done) == 2


async def _work() -> bool:
    async with unit() as session:
        return await running.work(session)


async def test_a_worker_that_dies_in_the_middle_repeats_nothing(
    resources: base.Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with unit() as session:
        people = [await make.create_customer(session) for _n in range(3)]
        staff = await make.create_staff(session, email="ada@desk.example")
    rule = await rule_of(
        {"kind": "ticket", "subject": "S", "text": "T"},
        {"kind": "notify", "staff_id": staff.id, "text": "Look", "mail": True},
    )
    async with unit() as session:
        await events.add(session, rule, [events.Event(c.id, f"audit:{c.id}", {"what": "registered"}) for c in people])

    class Died(BaseException):
        pass

    with pytest.raises(Died):
        async with unit() as session:
            assert await running.work(session)
            raise Died
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Ticket)) == 0
    await work_off(resources)
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Ticket)) == 3
        assert await session.scalar(select(func.count()).select_from(RuleNotice)) == 3
        assert await session.scalar(select(func.count()).where(Job.name == "messaging.mail")) == 3
    assert states(await runs(rule)) == [RunState.DONE] * 3


async def test_rules_may_set_each_other_off_but_not_for_ever(resources: base.Resources) -> None:
    async with unit() as session:
        customer = await make.create_customer(session, country="AT")
    chain = []
    steps = ["country", "language", "contact_person", "address", "director", "legal_name", "registration_number"]
    value = {"country": "DE", "language": "de"}
    for n, (watched, set_) in enumerate(pairwise(steps)):
        action = {"kind": "set", "field": set_, "value": value.get(set_, f"x{n}")}
        chain.append(await rule_of(action, trigger="changed", field=watched, name=f"Step {n}"))
    async with unit() as session:  # the last would close the ring
        last = {"trigger": "changed", "field": "registration_number", "name": "Last",
                "actions": [{"kind": "set", "field": "country", "value": "FR"}]}  # fmt: skip
        closing = await automation.save_rule(session, values=last)
    with pytest.raises(Conflict, match=r"circles: Last → Step 0 → .* → Step 5 → Last"):
        async with unit() as session:
            await automation.switch(session, rule=await session.get_one(Rule, closing.id), on=True)
    own = {"kind": "set", "field": "note", "value": "again"}
    with pytest.raises(Conflict, match="circles"):
        await rule_of(own, trigger="changed", field="note")
    await rule_of(own, trigger="changed", field="note", becomes="again")  # it has that value already
    async with unit() as session:
        row = await session.get_one(Customer, customer.id)
        await customers.change_customer(session, customer=row, values={"country": "DE"})
    await work_off(resources)
    found = [run for rule in chain for run in await runs(rule)]
    assert [(run.depth, run.state, run.reason) for run in found] == [
        *((n, RunState.DONE, "") for n in range(5)), (5, RunState.STOPPED, "deep")
    ]  # fmt: skip
    async with unit() as session:  # what cannot be seen when it is saved is stopped when it happens
        await session.execute(
            update(Rule).where(Rule.id == closing.id).values(enabled=True), execution_options={"audited": True}
        )
        for step in chain[1:5]:
            await automation.switch(session, rule=await session.get_one(Rule, step.id), on=False)
    await rule_of(
        {"kind": "set", "field": "registration_number", "value": "R"},
        trigger="changed",
        field="language",
        becomes="de",
        name="Short",
        on=False,
    )
    async with unit() as session:
        short = (await session.scalars(select(Rule).where(Rule.name == "Short"))).one()
        short.enabled, short.enabled_at = True, utcnow()
        row = await session.get_one(Customer, customer.id)
        await customers.change_customer(session, customer=row, values={"country": "CH", "language": ""})
    await work_off(resources)
    stopped = [run for run in await runs(chain[0]) if run.state is RunState.STOPPED]
    assert [(run.reason, words.reason(run)) for run in stopped] == [
        ("circle", "Stopped: it would go round in circles.")
    ]


async def test_marks_of_the_clock(resources: base.Resources) -> None:
    now = utcnow()
    today = now.date()
    async with unit() as session:
        customer = await make.create_customer(session, country="DE")
        other = await make.create_customer(session, project_id=customer.project_id, country="AT")
        services = [
            await make.create_service(
                session, customer=who, status=ServiceStatus.ACTIVE, next_charge_on=today + timedelta(days=n)
            )
            for who, n in ((customer, 7), (customer, 8), (customer, 3), (other, 7))
        ]
        account = await make.create_account(session, customer=customer)
        invoices = [
            await make.create_invoice(
                session, account=account, status="overdue", number=f"N-{n}", due_on=today - timedelta(days=n)
            )
            for n in (2, 3, 40)
        ]
        ticket = await make.create_ticket(session, customer=customer, subject="Slow", text="It is slow")
    expiring = await rule_of(
        {"kind": "ticket", "subject": "S", "text": "T"}, trigger="expiring", days=7, condition=GERMANS
    )
    overdue = await rule_of({"kind": "ticket", "subject": "S", "text": "T"}, trigger="overdue", days=3)
    waiting = await rule_of({"kind": "set", "field": "note", "value": "waits"}, trigger="waiting", hours=4)
    await look()
    assert [run.event["service"] for run in await runs(expiring)] == [services[0].id]
    assert [run.event["invoice"] for run in await runs(overdue)] == [invoices[1].id]
    assert await runs(waiting) == []
    for _n in range(2):
        await look(at=now + timedelta(hours=5))
    assert [run.event["ticket"] for run in await runs(waiting)] == [ticket.id]
    for _n in range(2):
        await look(at=now + timedelta(days=1))
    assert [run.event["service"] for run in await runs(expiring)] == [services[0].id, services[1].id]
    assert [run.event["invoice"] for run in await runs(overdue)] == [invoices[1].id, invoices[0].id]
    await work_off(resources)
    async with unit() as session:  # answered, and asked again: another wait
        await tickets.reply(session, ticket_id=ticket.id, text="Better?", from_customer=False)
    await look(at=now + timedelta(days=2))
    assert len(await runs(waiting)) == 1
    async with unit() as session:
        await tickets.reply(session, ticket_id=ticket.id, text="No.", from_customer=True, customer_id=customer.id)
    await look(at=now + timedelta(days=2))
    assert len(await runs(waiting)) == 2
    assert set(states(await runs(overdue))) == {RunState.DONE}


async def test_a_balance_that_falls_is_met_each_time_and_one_that_is_low_is_not(resources: base.Resources) -> None:
    async with unit() as session:
        low = await make.create_account(session, customer=await make.create_customer(session), balance=100)
        high = await make.create_account(session, customer=await make.create_customer(session), balance=10_000)
    rule = await rule_of(
        {"kind": "set", "field": "note", "value": "low"}, trigger="balance", amount=500, currency="EUR"
    )

    async def book(amount: int, key: str) -> None:
        async with unit() as session:
            cash = await ledger.own_account(session, project_id=high.project_id, kind=AccountKind.CASH, currency="EUR")
            await ledger.post(session, key=key, kind=TransactionKind.CORRECTION,
                              moves=[Move(high.id, amount), Move(cash, -amount)])  # fmt: skip

    await look()
    await look()
    assert await runs(rule) == []
    for n, (amount, expected) in enumerate([(-9_600, 1), (-100, 1), (9_000, 1), (-8_900, 2)]):
        await book(amount, f"k{n}")
        await look()
        async with unit() as session:
            await touched.work(session)
        await look()
        found = await runs(rule)
        assert len(found) == expected and {run.customer_id for run in found} <= {high.customer_id}
    assert found[0].event == {"what": "balance", "account": high.id, "balance": 400, "currency": "EUR"}
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(BelowAmount)) == 2
    assert low.customer_id is not None


async def test_every_day_once_for_everybody_who_fits(
    resources: base.Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SLICE", 2)
    async with unit() as session:
        first = await make.create_customer(session, country="DE")
        for n in range(4):
            await make.create_customer(session, project_id=first.project_id, country="DE" if n else "AT")
    with pytest.raises(Invalid, match="for whom"):
        await rule_of({"kind": "webhook", "url": "https://example.org"}, trigger="daily", clock="00:00")
    rule = await rule_of(
        {"kind": "set", "field": "note", "value": "daily"}, trigger="daily", clock="06:30", condition=GERMANS
    )
    noon = datetime.combine(utcnow().date() + timedelta(days=1), datetime.min.time(), UTC)
    await look(at=noon + timedelta(hours=6))
    await work_off(resources)
    assert await runs(rule) == []
    for _n in range(2):
        await look(at=noon + timedelta(hours=7))
        await work_off(resources)
    found = await runs(rule)
    assert len(found) == 4 and set(states(found)) == {RunState.DONE}
    await look(at=noon + timedelta(days=1, hours=7))
    await work_off(resources)
    again = (await runs(rule))[4:]
    assert len(again) == 4 and {tuple(told["state"] for told in run.done.values()) for run in again} == {("left",)}


async def test_a_broken_rule_does_nothing_and_says_so_once_a_day(resources: base.Resources) -> None:
    rule = await rule_of({"kind": "set", "field": "note", "value": "x"}, condition=GERMANS)
    async with unit() as session:
        row = await session.get_one(Rule, rule.id)
        row.condition = {"field": "gone", "op": "is", "value": 1}
    async with unit() as session:
        for _n in range(3):
            await make.create_customer(session, country="DE")
    await work_off(resources)
    await look()
    [run] = await runs(rule)
    assert (run.state, run.customer_id) == (RunState.BROKEN, None) and "gone" in words.reason(run)
    async with unit() as session:
        row = await session.get_one(Rule, rule.id)
        assert "gone" in (automation.problem_of(row) or "")
        assert (await trying.preview(session, row)).problem
        await automation.switch(session, rule=row, on=False)
        with pytest.raises(Conflict, match="cannot be used"):
            await automation.switch(session, rule=row, on=True)


async def test_what_failed_is_done_again_and_nothing_else(resources: base.Resources) -> None:
    async with unit() as session:
        template = await make.create_template(session, texts={"en": ("Hi", "Hello.")}, enabled=False)
        await make.create_category(session, subscribable=False)
    rule = await rule_of(
        {"kind": "template", "template_id": template.id}, {"kind": "ticket", "subject": "S", "text": "T"}
    )
    async with unit() as session:
        for _n in range(2):
            await make.create_customer(session)
    await work_off(resources)
    found = await runs(rule)
    assert states(found) == [RunState.FAILED] * 2
    assert "template is not there" in words.all_done(found[0]) and "is opened" in words.all_done(found[0])
    async with unit() as session:
        (await session.get_one(type(template), template.id)).enabled = True
        await automation.again(session, run_id=found[0].id)
    await work_off(resources)
    assert states(await runs(rule)) == [RunState.DONE, RunState.FAILED]
    async with unit() as session:
        assert await session.scalar(select(func.count()).select_from(Ticket)) == 2
        assert await session.scalar(select(func.count()).select_from(Campaign)) == 1
        with pytest.raises(Conflict):
            await automation.again(session, run_id=found[0].id)
        await session.execute(update(RuleRun).values(at=utcnow() - timedelta(days=91)))
        assert not await automation.forget(session)
        assert await session.scalar(select(func.count()).select_from(RuleRun)) == 0


async def test_a_dry_run_says_whom_and_why_and_changes_nothing(resources: base.Resources) -> None:
    async with unit() as session:
        project, group = await make.create_project(session), await make.create_group(session, name="New")
        ada = await make.create_customer(session, project=project, name="Ada", country="DE")
        old = await make.create_customer(
            session, project=project, country="DE", registered_at=utcnow() - timedelta(days=60)
        )
        bob = await make.create_customer(session, project=await make.create_project(session), name="Bob", country="AT")
        await make.create_membership(session, customer=ada, group=group)
    both = {"all": [GERMANS, {"field": "project", "op": "in", "value": [project.id]}]}
    rule = await rule_of({"kind": "join", "group_id": group.id}, condition=both, on=False, project_id=project.id)
    async with unit() as session:
        row = await session.get_one(Customer, old.id)
        await customers.change_customer(session, customer=row, values={"language": "de"})
    changed = await rule_of({"kind": "join", "group_id": group.id}, trigger="changed", field="language", on=False)
    daily = await rule_of({"kind": "join", "group_id": group.id}, trigger="daily", condition=GERMANS, on=False)
    async with db.reads() as session:
        seen = await trying.preview(session, rule)
        assert seen.said == "In the last 30 days it would have met 1 customer."
        assert [(m.name, m.would) for m in seen.sample] == [("Ada", ["add to the group New (it is so already)"])]
        assert (await trying.preview(session, changed)).sample[0].customer_id == old.id
        assert (await trying.preview(session, daily)).n == 2
        why = await trying.why(session, rule, bob.id)
        assert (why.met, why.other_project, [holds for _text, holds in why.leaves]) == (False, True, [False, False])
        assert words.sentence(rule) == (
            f"When a customer is registered, if Country is Germany and Project is {project.name}: add to the group New"
        )
        with acting(Actor(Kind.STAFF, 1, projects=frozenset({bob.project_id}))):
            assert (await trying.preview(session, changed)).n == 0
            assert project.name not in words.sentence(rule)
    assert await runs(rule) == []


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("field", {"trigger": "changed", "field": "registered_at"}),
        ("becomes", {"trigger": "changed", "field": "country", "becomes": "Atlantis"}),
        ("clock", {"trigger": "daily", "clock": "25:00", "condition": GERMANS}),
        ("days", {"trigger": "expiring", "days": None}),
        ("condition", {"condition": {"field": "nothing", "op": "is", "value": 1}}),
        ("a1_kind", {"actions": []}),
        ("a1_kind", {"actions": [{"kind": "rm -rf"}]}),
        ("a1_template", {"actions": [{"kind": "template", "template_id": 99}]}),
        ("a2_url", {"actions": [{"kind": "set", "field": "note", "value": ""}, {"kind": "webhook", "url": "file:///etc/passwd"}]}),
        ("a1_status", {"actions": [{"kind": "set", "field": "status", "value": "closed"}]}),
        ("a1_country", {"actions": [{"kind": "set", "field": "country", "value": "XX"}]}),
        ("a1_staff", {"actions": [{"kind": "notify", "text": "Look"}]}),
        ("actions", {"actions": [{"kind": "webhook", "url": "https://example.org"}] * 11}),
    ],
)  # fmt: skip
async def test_what_cannot_be_a_rule(field: str, values: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as problem:
        await rule_of(**{"actions": [{"kind": "webhook", "url": "https://example.org/hook"}], **values})
    assert field in problem.value.fields
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Rule)) == 0


async def test_a_rule_of_a_project_is_for_its_customers_and_its_staff(resources: base.Resources) -> None:
    async with unit() as session:
        mine, other = await make.create_project(session), await make.create_project(session)
        foreign = await make.create_template(session, texts={"en": ("Hi", "Hello.")}, project_id=other.id)
        staff = await make.create_staff(session, grants=[("*", "*")])
    with acting(Actor(Kind.STAFF, staff.id, projects=frozenset({mine.id}))):
        with pytest.raises(Invalid) as problem:
            await rule_of({"kind": "set", "field": "note", "value": "x"})
        assert "project" in problem.value.fields
        with pytest.raises(Invalid):
            await rule_of({"kind": "template", "template_id": foreign.id}, project_id=mine.id)
        rule = await rule_of({"kind": "set", "field": "note", "value": "x"}, project_id=mine.id)
    async with unit() as session:
        people = [await make.create_customer(session, project=project) for project in (mine, other)]
    await work_off(resources)
    assert [run.customer_id for run in await runs(rule)] == [people[0].id]
    with acting(Actor(Kind.STAFF, staff.id, projects=frozenset({other.id}))):
        async with db.reads() as session:
            assert (await session.scalars(select(Rule))).all() == [] == (await session.scalars(select(RuleRun))).all()


async def test_custom_fields_are_watched_and_set_and_break_a_rule_when_they_go(resources: base.Resources) -> None:
    async with unit() as session:
        offered = [{"key": "s", "labels": {"en": "Small"}}, {"key": "l", "labels": {"en": "Large"}}]
        tariff = await custom.create(
            session, target="customer", key="tariff", kind="choice", labels={"en": "Tariff"}, choices=offered
        )
        await custom.create(session, target="customer", key="seats", kind="number", labels={"en": "Seats"})
        customer = await make.create_customer(session)
    await live.keep_up(every=0)
    with pytest.raises(Invalid) as problem:
        await rule_of({"kind": "set", "field": "custom.seats", "value": "many"})
    assert "a1_custom.seats" in problem.value.fields
    rule = await rule_of(
        {"kind": "set", "field": "custom.seats", "value": "25"},
        trigger="changed",
        field="custom.tariff",
        becomes="large",
    )
    assert words.sentence(rule) == "When Tariff becomes Large: set Seats to 25"
    for value in ("s", "l"):
        async with unit() as session:
            row = await session.get_one(Customer, customer.id)
            await customers.change_customer(session, customer=row, values={"custom": {"tariff": value}})
    await work_off(resources)
    [run] = await runs(rule)
    assert (run.event["was"], run.event["now"], run.state) == ("s", "l", RunState.DONE)
    assert words.event(run.event, {}) == "Tariff: Small → Large"
    async with db.reads() as session:
        assert (await session.get_one(Customer, customer.id)).custom == {"tariff": "l", "seats": 25}
    async with unit() as session:
        await custom.archive(session, field=await session.get_one(CustomField, tariff.id))
    await live.keep_up(every=0)
    await look()
    assert states(await runs(rule)) == [RunState.DONE, RunState.BROKEN]


async def test_a_part_that_is_switched_off_does_nothing(resources: base.Resources) -> None:
    rule = await rule_of({"kind": "ticket", "subject": "S", "text": "T"})

    async def switch(**states: bool) -> None:
        async with unit() as session:
            await modules.switch(session, states=states)
        await live.keep_up(every=0)

    async with unit() as session:
        first = await make.create_customer(session)
    await switch(tickets=False)
    await work_off(resources)
    [run] = await runs(rule)
    assert (run.customer_id, run.state) == (first.id, RunState.FAILED)
    await switch(tickets=True, automation=False)
    async with unit() as session:
        await make.create_customer(session)
    await work_off(resources)
    assert len(await runs(rule)) == 1
