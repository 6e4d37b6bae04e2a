"""What rules look at changes: groups follow within seconds whatever way it comes, and no fall of a balance is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db, filters
from app.db import unit, utcnow
from app.domain import automation, charging, customers, ledger, tickets, users
from app.domain.automation import touched, watching
from app.domain.customers import grouping
from app.domain.ledger import Move
from app.models import touching
from app.models.automation import Rule, RuleRun, Touched
from app.models.billing import InvoiceStatus
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer, Membership
from app.models.jobs import Job, JobState
from app.models.ledger import AccountKind, TransactionKind
from tasks import automation as tasks
from tests import factories as make

assert tasks
pytestmark = pytest.mark.usefixtures("database", "redis")
Change = Callable[[AsyncSession, Customer], Awaitable[Any]]


async def look() -> int:
    """What the job does. Returns how many rows it found."""
    async with db.reads() as session:
        n = await session.scalar(select(func.count()).select_from(Touched)) or 0
    more = True
    while more:
        async with unit() as session:
            more = await touched.work(session)
    return n


async def members(group_id: int) -> set[int]:
    async with db.reads() as session:
        return set(await session.scalars(select(Membership.customer_id).where(Membership.group_id == group_id)))


async def group_of(condition: Any) -> int:
    """A group by this rule, which is followed already."""
    async with unit() as session:
        group = await make.create_group(session)
        await grouping.set_rule(session, group=group, condition=condition)
    async with unit() as session:
        await grouping.follow_slice(session, group_id=group.id, after=0)
        await session.execute(update(Job).values(state=JobState.DONE).execution_options(synchronize_session=False))
    return group.id


async def book(session: AsyncSession, account: Any, amount: int, key: str) -> None:
    own = {"project_id": account.project_id, "currency": account.currency}
    cash = await ledger.own_account(session, kind=AccountKind.CASH, **own)
    await ledger.post(
        session, key=key, kind=TransactionKind.CORRECTION, moves=[Move(account.id, amount), Move(cash, -amount)]
    )


def has(relation: str, field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": relation, "op": "has", "where": {"field": field, "op": op, "value": value}}


async def _pay(session: AsyncSession, customer: Customer) -> None:
    account = await make.create_account(session, customer=customer)
    await book(session, account, 500, f"pay:{customer.id}")


async def _invoice(session: AsyncSession, customer: Customer) -> None:
    account = await make.create_account(session, customer=customer)
    invoice = await make.create_invoice(session, account=account, status="draft")
    await session.flush()
    invoice.status, invoice.number = InvoiceStatus.ISSUED, "N-1"


async def _ticket(session: AsyncSession, customer: Customer) -> None:
    ticket = await make.create_ticket(session, customer=customer, subject="Slow", text="It is slow")
    await tickets.reply(session, ticket_id=ticket.id, text="Better?", from_customer=False)


async def _user(session: AsyncSession, customer: Customer) -> None:
    user = await make.create_user(session, customer=customer)
    await users.change_user(session, user=user, values={"full_name": "Grace Hopper"})


@pytest.mark.parametrize(
    ("condition", "change"),
    [
        ({"field": "balance", "op": "at_least", "value": 500}, _pay),
        ({"field": "unpaid_invoices", "op": "is", "value": True}, _invoice),
        (has("accounts", "unpaid_invoices", "is", True), _invoice),
        (has("tickets", "status", "in", ["answered"]), _ticket),
        (has("users", "full_name", "is", "Grace Hopper"), _user),
    ],
)
async def test_members_follow_what_the_rule_looks_at(condition: Any, change: Change) -> None:
    async with unit() as session:
        people = [await make.create_customer(session) for _n in range(2)]
    group = await group_of(condition)
    for step in ("in one transaction", "and again in another one"):
        async with unit() as session:
            customer = await session.get_one(Customer, people[0].id)
            if step.startswith("in"):
                await change(session, customer)
            else:
                await make.create_note(session, customer=customer)  # the rule does not look at notes
    async with db.reads() as session:
        due = (await session.scalars(select(Job).where(Job.name == touching.TASK))).all()
    assert len(due) == 1 and due[0].due_at <= utcnow() + timedelta(seconds=touching.WAIT)
    assert await look() > 0
    assert await members(group) == {people[0].id}
    assert await look() == 0


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_nothing_is_written_while_no_rule_looks_at_it(engine_name: str) -> None:
    await group_of({"field": "country", "op": "in", "value": ["DE"]})
    async with unit() as session:
        customer = await make.create_customer(session)
        for change in (_pay, _ticket, _user):
            await change(session, customer)
        await session.execute(text("SELECT 1"))
    async with db.reads() as session:
        rows = await session.scalars(select(Touched.what))
        assert set(rows) <= {"customer"}


async def test_many_rules_for_many_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "TOGETHER", 300)
    async with unit() as session:
        project = await make.create_project(session)
        people = [await make.create_customer(session, project=project, country="DE" if n else "FR") for n in range(3)]
        groups = []
        for n in range(130):
            one = {"field": "id", "op": "is", "value": people[n % 3].id}
            condition = {"all": [{"field": "country", "op": "in", "value": ["DE"]}, one]}
            made = await make.create_group(session, condition=condition if n else {"field": "gone", "op": "is"})
            if n in (0, 4):
                await make.create_membership(session, customer=people[n % 3], group=made, by_rule=n == 0)
            groups.append(made.id)

    async def change(person: Customer, **values: Any) -> dict[tuple[int, int], bool]:
        async with unit() as session:
            customer = await session.get_one(Customer, person.id)
            await customers.change_customer(session, customer=customer, values=values)
        async with db.reads() as session:
            rows = await session.execute(select(Membership.group_id, Membership.customer_id, Membership.by_rule))
            return {(row[0], row[1]): row[2] for row in rows}

    for person in people:
        found = await change(person, note="x")
    wanted = {(g, people[n % 3].id): g != groups[4] for n, g in enumerate(groups) if n % 3}
    assert found == wanted
    await look()
    monkeypatch.setattr(grouping, "AT_ONCE", 5)
    assert await change(people[1], country="FR") == wanted, "nobody waits for so many"
    assert await look() > 0
    left = {key: by_rule for key, by_rule in wanted.items() if key[1] == people[2].id or not by_rule}
    assert await change(people[1], note="y") == left


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_burst_is_looked_at_once(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with unit() as session:
        customer = await make.create_customer(session)
        account = await make.create_account(session, customer=customer)
    await group_of({"field": "balance", "op": "at_least", "value": 500})
    for n in range(20):
        async with unit() as session:
            await book(session, account, 100, f"k{n}")
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).where(Job.name == touching.TASK)) == 1
    followed: list[int] = []
    usual = grouping._follow_few

    async def counted(session: AsyncSession, tests: Any, ids: Any) -> None:
        followed.extend(ids)
        await usual(session, tests, ids)

    monkeypatch.setattr(grouping, "_follow_few", counted)
    assert await look() == 20 and len(followed) == 1


async def test_charging_by_the_thousand_says_whom_it_touched() -> None:
    today = utcnow().date()
    async with unit() as session:
        project = await make.create_project(session, credit_limit=10**6)
        product = await make.create_product(session)
        people = [await make.create_customer(session, project_id=project.id) for _n in range(3)]
        due = [
            await make.create_service(
                session, customer=customer, product=product, status=ServiceStatus.ACTIVE, price=500,
                charge_day=today.day, currency=project.currency,
                next_charge_on=today if n < 2 else today + timedelta(days=3),
            )
            for n, customer in enumerate(people)
        ]  # fmt: skip
    below = await group_of({"field": "balance", "op": "at_most", "value": -1})
    later = await group_of(has("services", "next_charge_on", "after", today.isoformat()))
    assert await members(later) == {people[2].id} and await members(below) == set()
    async with unit() as session:
        done = await charging.charge_chunk(session, day=today, customers=(0, people[2].id))
    assert done.plain == 2 and len(due) == 3
    await look()
    assert await members(below) == {people[0].id, people[1].id}
    assert await members(later) == {p.id for p in people}
    async with unit() as session:  # nobody can pay any more: the service waits for money, and the rule sees it
        poor = await make.create_customer(session, project=await make.create_project(session, credit_limit=0))
        service = await make.create_service(
            session, customer=poor, product=product, status=ServiceStatus.ACTIVE, price=500, next_charge_on=today,
            currency=project.currency,
        )  # fmt: skip
    owing = await group_of(has("services", "unpaid_since", "until", today.isoformat()))
    async with unit() as session:
        await charging.charge_chunk(session, day=today, customers=(poor.id - 1, poor.id))
        assert (await session.get_one(Service, service.id, populate_existing=True)).unpaid_since == today
    await look()
    assert await members(owing) == {poor.id}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_each_condition_knows_its_tables(engine_name: str) -> None:
    values = {"text": "x", "boolean": True, "number": 1, "money": 1, "ref": [1]}
    known = 0
    for name, field in filters.fields(Customer).items():
        if field.kind is filters.Kind.RELATION:
            condition: dict[str, Any] = {"field": name, "op": "has"}
            wanted = field.target.__tablename__ if field.target is not None else ""
        elif field.kind in values and (field.kind != "ref" or field.target is not None):
            op = "in" if field.kind == "ref" else field.ops[0][0]
            condition = {"field": name, "op": op, "value": values[field.kind]}
            wanted = field.within.__tablename__ if field.within is not None else "customer"
        else:
            continue
        known += 1
        assert wanted in touching.looks_at(condition), name
    assert known > 20


async def test_a_balance_that_recovers_within_a_moment_has_fallen_all_the_same() -> None:
    async with unit() as session:
        customer = await make.create_customer(session)
        account = await make.create_account(session, customer=customer, balance=1000)
        dollars = await make.create_account(session, customer=customer, balance=0, currency="USD")
        values = {"name": "Low", "trigger": "balance", "amount": 500, "currency": "EUR",
                  "actions": [{"kind": "set", "field": "note", "value": "low"}]}  # fmt: skip
        rule = await automation.save_rule(session, values=values)
        await automation.switch(session, rule=rule, on=True)

    async def poll() -> None:
        async with unit() as session:
            await watching.look_once(session, rule_id=rule.id, now=utcnow())

    async def met() -> list[int]:
        async with db.reads() as session:
            rows = await session.scalars(select(RuleRun).where(RuleRun.rule_id == rule.id).order_by(RuleRun.id))
            return [run.event["balance"] for run in rows]

    await poll()
    for n, amount in enumerate((-700, +700, -900, -50, +900)):
        async with unit() as session:
            await book(session, account, amount, f"k{n}")
            await book(session, dollars, 1 if n % 2 else -1, f"d{n}")
    await poll()
    assert await met() == [], "what is left to be looked at is looked at there"
    await look()
    assert await met() == [300, 100]
    await poll()
    await look()
    assert await met() == [300, 100]
    async with unit() as session:  # both in one transaction
        await book(session, account, -800, "a")
        await book(session, account, +800, "b")
        await book(session, account, -801, "c")
    await look()
    await poll()
    assert await met() == [300, 100, 150, 149]
    async with unit() as session:  # what moved before the rule came into use is not meant
        await book(session, account, +900, "e")
        row = await session.get_one(Rule, rule.id)
        await automation.switch(session, rule=row, on=False)
        await book(session, account, -900, "f")
        await automation.switch(session, rule=row, on=True)
    await poll()
    await look()
    await poll()
    assert await met() == [300, 100, 150, 149]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_lies_there_is_found_without_its_job(engine_name: str, tmp_path: Path) -> None:
    await group_of({"field": "balance", "op": "at_least", "value": 500})
    async with unit() as session:
        customer = await make.create_customer(session)
        await _pay(session, customer)
    async with unit() as session:
        await session.execute(update(Job).values(state=JobState.DONE).execution_options(synchronize_session=False))
        for _n in range(2):
            await touched.wake(session)
    async with db.reads() as session:
        lying = Job.name == touching.TASK, Job.state == JobState.DUE
        assert await session.scalar(select(func.count()).where(*lying)) == 1
