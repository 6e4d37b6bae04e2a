"""Charging: each period once, in order, as far as the money goes; both ways give what the plain reference gives."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import unit
from app.domain import billing, catalog, charging
from app.domain.catalog import next_period
from app.domain.catalog.periods import later, later_sql
from app.domain.ledger import invariants
from app.errors import Conflict
from app.models.billing import Cover, Expense, PayerKind
from app.models.catalog import Period, Service, ServiceStatus
from app.models.customers import Customer, CustomerKind, Membership
from app.models.discounts import DiscountKind, DiscountScope, DiscountTarget
from app.models.jobs import Job
from app.models.ledger import Account, Entry, Transaction
from tests.conftest import LONG
from tests.domain import plain_charging as plain
from tests.factories import (
    book,
    create_account,
    create_customer,
    create_discount,
    create_group,
    create_payer,
    create_product,
    create_project,
    create_service,
    create_tax_rate,
)

pytestmark = pytest.mark.usefixtures("database")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
JAN = date(2026, 1, 10)
ALL = (0, 10**9)


async def running(session: AsyncSession, balance: int = 1000, **kw: Any) -> tuple[Service, Account]:
    customer = await create_customer(session)
    account = await create_account(session, customer=customer, balance=balance, **kw.pop("account", {}))
    kw = {"status": ServiceStatus.ACTIVE, "next_charge_on": JAN, "charge_day": 10, "price": 500, "currency": "EUR"} | kw
    return await create_service(session, customer=customer, **kw), account


async def charge(day: date, **kw: Any) -> charging.Charged:
    async with unit() as session:
        return await charging.charge_chunk(session, day=day, customers=ALL, **kw)


async def again(row: Any) -> Any:
    async with db.reads() as session:
        return (await session.scalars(select(type(row)).where(type(row).id == row.id))).one()


async def expenses() -> list[Expense]:
    async with db.reads() as session:
        return list(await session.scalars(select(Expense).order_by(Expense.id)))


async def is_sound() -> None:
    """The ledger sums to zero, balances are their entries, no period is charged twice."""
    async with db.reads() as session:
        sums = select(func.sum(Entry.amount)).group_by(Entry.transaction_id)
        assert set(await session.scalars(sums)) <= {0}
        for account in await session.scalars(select(Account).where(Account.customer_id.is_not(None))):
            assert account.balance == (
                await session.scalar(select(func.sum(Entry.amount)).where(Entry.account_id == account.id)) or 0
            )
        n = await session.scalar(select(func.count()).where(Expense.transaction_id.is_not(None)))
        other = select(Expense.id).where((Expense.amount == 0) != Expense.transaction_id.is_(None))
        assert not (await session.scalars(other)).all()
        keys = select(func.count()).where(Transaction.key.like("service:%"))
        assert n == await session.scalar(keys)


# ---- periods --------------------------------------------------------------------------------------------------------


def test_the_end_of_a_month_is_kept_in_mind() -> None:
    day: date | None = date(2026, 1, 31)
    seen = []
    for _n in range(4):
        assert day is not None
        day = next_period(day, Period.MONTH, 31)
        seen.append(day)
    assert seen == [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31)]
    assert next_period(date(2028, 1, 31), Period.MONTH, 31) == date(2028, 2, 29)
    assert next_period(date(2028, 2, 29), Period.YEAR, 29) == date(2029, 2, 28)
    assert next_period(date(2031, 2, 28), Period.YEAR, 29) == date(2032, 2, 29)
    assert next_period(date(2026, 11, 30), Period.QUARTER, 30) == date(2027, 2, 28)
    assert next_period(date(2026, 5, 1), Period.ONCE, 1) is None


async def test_the_database_counts_months_as_we_do() -> None:
    chance = random.Random(7)
    async with db.reads() as session:
        for _n in range(150):
            day = date(2024, 1, 1) + timedelta(days=chance.randrange(2000))
            months, charge_day = chance.choice((1, 3, 6, 12)), chance.randrange(1, 32)
            query = select(later_sql(func.date(day.isoformat()), months, charge_day))
            if session.get_bind().dialect.name == "postgresql":
                query = select(later_sql(day, months, charge_day))
            found = await session.scalar(query)
            assert str(found) == str(later(day, months, charge_day)), (day, months, charge_day)


# ---- one service ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_based", [True, False])
async def test_a_due_period_is_charged_once_however_often_it_is_run(set_based: bool) -> None:
    async with unit() as session:
        await create_tax_rate(session)
        service, account = await running(session)
    assert (await charge(JAN - timedelta(days=1), set_based=set_based)).charges == 0
    first = await charge(JAN, set_based=set_based)
    assert (first.charges, first.plain) == (1, int(set_based))
    for day in (JAN, JAN, JAN + timedelta(days=20)):
        assert (await charge(day, set_based=set_based)).charges == 0
    [made] = await expenses()
    assert (made.amount, made.net, made.tax, made.tax_rate, made.covered_by) == (500, 420, 80, 1900, Cover.BALANCE)
    assert (made.period_from, made.period_to, made.on_day) == (JAN, date(2026, 2, 10), JAN)
    assert (await again(account)).balance == 500
    assert (await again(service)).next_charge_on == date(2026, 2, 10)
    assert (await again(service)).version > service.version
    await is_sound()


async def test_missed_periods_are_charged_each_once_in_order_as_far_as_the_money_goes() -> None:
    async with unit() as session:
        service, _account = await running(session, balance=1200)
        other, _account = await running(session, balance=700, account={"credit_limit": 300})
    result = await charge(date(2026, 3, 15))
    assert (result.charges, result.unpaid) == (4, 2)
    made = [(e.service_id, e.period_from, e.covered_by) for e in await expenses()]
    assert made == [
        (service.id, JAN, Cover.BALANCE), (service.id, date(2026, 2, 10), Cover.BALANCE),
        (other.id, JAN, Cover.BALANCE), (other.id, date(2026, 2, 10), Cover.CREDIT),
    ]  # fmt: skip
    now = await again(service)
    assert (now.status, now.unpaid_since, now.next_charge_on) == (
        ServiceStatus.ACTIVE, date(2026, 3, 15), date(2026, 3, 10),
    )  # fmt: skip
    await is_sound()


async def test_who_pays_afterwards_is_charged_whatever_the_balance_is() -> None:
    async with unit() as session:
        _service, account = await running(session, balance=0, account={"post_paid": True})
    assert (await charge(date(2026, 2, 10))).charges == 2
    assert (await again(account)).balance == -1000
    assert {e.covered_by for e in await expenses()} == {Cover.CREDIT}


async def test_it_suspends_after_the_days_of_grace_and_resumes_when_paid() -> None:
    async with unit() as session:
        service, account = await running(session, balance=0)  # 7 days of grace
        service.customer_id, customer = account.customer_id, service.customer_id
    states = []
    for n in range(9):
        await charge(JAN + timedelta(days=n))
        states.append((await again(service)).status)
    assert states == [ServiceStatus.ACTIVE] * 7 + [ServiceStatus.SUSPENDED] * 2
    assert (await again(service)).unpaid_since == JAN
    async with unit() as session:
        await book(session, await session.get(Account, account.id), 400)
    await charge(JAN + timedelta(days=9))
    assert (await again(service)).status is ServiceStatus.SUSPENDED
    async with unit() as session:
        await book(session, await session.get(Account, account.id), 100)
        result = await charging.charge_account(session, account_id=account.id, day=JAN + timedelta(days=10))
    assert (result.charges, result.resumed) == (1, 1)
    now = await again(service)
    assert (now.status, now.unpaid_since, now.next_charge_on) == (ServiceStatus.ACTIVE, None, date(2026, 2, 10))
    assert customer == account.customer_id
    await is_sound()


async def test_money_that_comes_calls_a_job_only_where_something_waits() -> None:
    async with unit() as session:
        _service, account = await running(session, balance=0)
        _fine, other = await running(session)
    await charge(JAN)
    async with unit() as session:
        for credited in (account, other):
            await book(session, credited, 100)
            await book(session, credited, -100)
        jobs = (await session.scalars(select(Job))).all()
    assert [(j.name, j.args) for j in jobs] == [("charging.account", {"account_id": account.id})]


async def test_what_does_not_renew_is_closed_at_its_end() -> None:
    async with unit() as session:
        service, _account = await running(session, auto_renew=False, started_on=JAN)
        customer_id = service.customer_id
    assert (await charge(JAN)).charges == 1
    assert (await charge(date(2026, 2, 9))).closed == 0
    result = await charge(date(2026, 2, 10))
    assert (result.charges, result.closed) == (0, 1)
    now = await again(service)
    assert (now.status, now.next_charge_on) == (ServiceStatus.CLOSED, None)
    async with db.reads() as session:
        assert (await session.scalars(select(Customer.status).where(Customer.id == customer_id))).one() == "new"


async def test_what_staff_suspended_is_not_charged_and_goes_on_from_today() -> None:
    async with unit() as session:
        service, _account = await running(session, status=ServiceStatus.SUSPENDED)
    assert (await charge(date(2026, 3, 1))).charges == 0
    async with unit() as session:
        row = (await session.scalars(select(Service))).one()
        await catalog.move_service(session, service=row, status=ServiceStatus.ACTIVE, on=date(2026, 3, 5))
    now = await again(service)
    assert (now.next_charge_on, now.charge_day) == (date(2026, 3, 5), 5)
    assert (await charge(date(2026, 3, 5))).charges == 1


async def test_the_set_up_fee_comes_with_the_first_period() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        await create_account(session, customer=customer, balance=10_000)
        product = await create_product(session, price=1000, setup_fee=250)
        values = {"name": "a.example", "customer_id": customer.id, "product_id": product.id}
        service = await catalog.save_service(session, values=values)
        assert service.next_charge_on is None
        await catalog.move_service(session, service=service, status=ServiceStatus.ACTIVE, on=date(2026, 1, 31))
        assert (service.next_charge_on, service.charge_day) == (date(2026, 1, 31), 31)
    await charge(date(2026, 3, 31))
    made = [(e.period_from, e.amount, e.description) for e in await expenses()]
    assert [m[:2] for m in made] == [(date(2026, 1, 31), 1250), (date(2026, 2, 28), 1000), (date(2026, 3, 31), 1000)]
    assert made[0][2].endswith("a.example, with the set-up fee") and made[1][2].endswith("a.example")


@pytest.mark.parametrize("set_based", [True, False])
async def test_something_sold_once_is_charged_once(set_based: bool) -> None:
    async with unit() as session:
        service, _account = await running(session, period=Period.ONCE, started_on=JAN, auto_renew=False)
    for day in (JAN, JAN + timedelta(days=400)):
        await charge(day, set_based=set_based)
    [made] = await expenses()
    assert made.period_to is None
    now = await again(service)
    assert (now.status, now.next_charge_on) == (ServiceStatus.ACTIVE, None)


@pytest.mark.parametrize("set_based", [True, False])
async def test_a_date_that_was_put_back_charges_no_period_again(set_based: bool) -> None:
    async with unit() as session:
        service, account = await running(session, balance=10_000)
    await charge(JAN, set_based=set_based)
    async with unit() as session:
        row = (await session.scalars(select(Service))).one()
        await catalog.save_service(session, service=row, values={"next_charge_on": JAN})
    assert (await charge(JAN, set_based=set_based)).charges == 0
    assert (await again(service)).next_charge_on == date(2026, 2, 10)
    assert (await again(account)).balance == 9500


async def test_what_costs_nothing_has_an_expense_of_nothing_that_says_why() -> None:
    async with unit() as session:
        free, owing = await running(session, price=0, balance=0)
        given, _account = await running(session)
        await create_discount(session, target=DiscountTarget.CUSTOMER, customer_id=given.customer_id, percent=10_000)
        await book(session, owing, -700)
    found = await charge(date(2026, 2, 10))
    assert (found.charges, found.free, found.unpaid) == (0, 4, 0)
    made = {(e.service_id, e.period_from): e for e in await expenses()}
    assert set(made) == {(s.id, day) for s in (free, given) for day in (JAN, date(2026, 2, 10))}
    assert {(e.amount, e.transaction_id, e.covered_by) for e in made.values()} == {(0, None, Cover.BALANCE)}
    why = made[given.id, JAN]
    assert why.explained is not None and (why.explained["list_price"], why.discount) == (500, 500)
    assert {(await again(s)).next_charge_on for s in (free, given)} == {date(2026, 3, 10)}
    async with db.reads() as session:
        assert await invariants.check(session) == []
    with pytest.raises(Conflict, match="nothing"):
        async with unit() as session:
            await billing.take_back(session, expense=await session.get_one(Expense, why.id), reason="no")


async def test_an_account_is_opened_where_there_is_none_with_the_credit_of_the_project() -> None:
    async with unit() as session:
        project = await create_project(session, credit_limit=500)
        customer = await create_customer(session, project_id=project.id)
        kw: dict[str, Any] = {"status": "active", "next_charge_on": JAN, "price": 500}
        await create_service(session, customer=customer, **kw)
        await create_service(session, customer=customer, currency="JPY", **kw)
    assert (await charge(JAN)).charges == 1
    async with db.reads() as session:
        rows = await session.execute(
            select(Account.currency, Account.balance, Account.credit_limit)
            .where(Account.customer_id == customer.id)
            .order_by(Account.currency)
        )
        assert [tuple(r) for r in rows] == [("EUR", -500, 500), ("JPY", 0, 0)]


async def test_several_services_of_one_account_go_in_the_order_of_their_days() -> None:
    async with unit() as session:
        late, account = await running(session, balance=700, next_charge_on=date(2026, 1, 12))
        kw: dict[str, Any] = {"status": "active", "currency": "EUR"}
        customer = await session.get(type(late).customer.property.mapper.class_, late.customer_id)
        early = await create_service(session, customer=customer, next_charge_on=JAN, price=600, **kw)
        small = await create_service(session, customer=customer, next_charge_on=date(2026, 1, 12), price=100, **kw)
    result = await charge(date(2026, 1, 13))
    assert [e.service_id for e in await expenses()] == [early.id, small.id]  # what cannot be paid holds up nobody
    assert result.unpaid == 1 and (await again(late)).unpaid_since == date(2026, 1, 13)
    assert (await again(account)).balance == 0


# ---- both ways and the reference ------------------------------------------------------------------------------------


async def furnish(session: AsyncSession, seed: int) -> None:
    """Customers of two projects with accounts of all kinds, services in all states, and discounts of all kinds."""
    r = random.Random(seed)
    projects = [
        await create_project(session, country="DE", prices_with_tax=r.random() < 0.5, grace_days=r.choice((0, 3, 7)),
                             credit_limit=r.choice((0, 300)))
        for _n in range(2)
    ]  # fmt: skip
    products = [await create_product(session, price=500) for _n in range(3)]
    group = await create_group(session, priority=r.randrange(3))
    await create_tax_rate(session, rate=1900)
    await create_tax_rate(session, rate=700, country="AT", valid_from=JAN + timedelta(days=20))
    await create_tax_rate(session, rate=2000, project_id=projects[1].id, payer_kind=PayerKind.COMPANY)
    for _n in range(r.choice((0, 0, 2, 4))):
        await create_discount(
            session, project_id=projects[0].id, product_id=r.choice(products).id, group_id=group.id,
            customer_id=None, target=r.choice((DiscountTarget.ALL, DiscountTarget.GROUP)), period=Period.MONTH,
            scope=r.choice([s for s in DiscountScope if s is not DiscountScope.PRODUCT_GROUP]),
            kind=r.choice(list(DiscountKind)), percent=r.choice((0, 333, 5000, 10_000)), amount=r.choice((0, 123, 600)),
            currency=r.choice(("EUR", "JPY")), priority=r.randrange(2), enabled=r.random() < 0.8,
            valid_from=JAN + timedelta(days=r.randrange(-5, 30)) if r.random() < 0.3 else None,
            valid_until=JAN + timedelta(days=r.randrange(0, 40)) if r.random() < 0.3 else None,
            condition=r.choice((None, None, {"field": "country", "op": "in", "value": ["DE"]}, {"field": "nothing"})),
        )  # fmt: skip
    for _n in range(12):
        customer = await create_customer(
            session, project_id=r.choice(projects).id, country=r.choice(("DE", "AT", "")), language="en",
            kind=r.choice(list(CustomerKind)),
        )  # fmt: skip
        if r.random() < 0.5:
            session.add(Membership(customer_id=customer.id, group_id=group.id))
        if r.random() < 0.85:
            payer = await create_payer(session, customer=customer, kind=r.choice(list(PayerKind)), country="AT",
                                       vat_number=r.choice(("", "ATU13585627")))  # fmt: skip
            await create_account(
                session, customer=customer, balance=r.choice((0, 400, 1500, 9000)), post_paid=r.random() < 0.15,
                credit_limit=r.choice((0, 0, 250)), payer_id=payer.id if r.random() < 0.4 else None,
            )  # fmt: skip
        for _m in range(r.randrange(4)):
            due = JAN + timedelta(days=r.randrange(-75, 12))
            status = r.choice((ServiceStatus.ACTIVE,) * 5 + tuple(ServiceStatus))
            await create_service(
                session, customer=customer, product=r.choice(products), status=status, next_charge_on=due,
                price=r.choice((0, 1, 99, 500, 501, 1234)), currency=r.choice(("EUR", "EUR", "EUR", "JPY")),
                period=r.choice((Period.MONTH, Period.MONTH, Period.QUARTER, Period.ONCE)),
                charge_day=r.choice((None, due.day, 31 if due.day > 27 else due.day)),
                setup_fee=r.choice((0, 200)), started_on=r.choice((None, due, due - timedelta(days=400))),
                auto_renew=r.random() < 0.8,
                unpaid_since=due if status is ServiceStatus.SUSPENDED and r.random() < 0.7 else None,
            )  # fmt: skip


async def _empty_again() -> None:
    """Rows away, as the ledger allows it to nobody but tests."""
    from sqlalchemy import text

    from app.db import extras

    guards = [extra for extra in extras if extra.guard]
    dialect = db.engine().dialect.name
    async with db.engine().begin() as connection:
        for statement in (s for guard in guards for s in guard.drop(dialect)):
            await connection.execute(text(statement))
        for table in reversed(db.Base.metadata.sorted_tables):
            await connection.execute(table.delete())
        for statement in (s for guard in guards for s in guard.create(dialect)):
            await connection.execute(text(statement))


@pytest.mark.parametrize("engine_name", ["sqlite", LONG], indirect=True)
@pytest.mark.parametrize("seeds", [range(3), range(21, 24)], ids=["a", "b"])
async def test_both_ways_do_what_the_plain_reference_does(seeds: range) -> None:
    plain_charges = 0
    for seed in seeds:
        found: list[Any] = []
        for way in ("reference", "set-based", "python", "late"):
            await _empty_again()
            async with unit() as session:
                await furnish(session, seed)
                ids = {s: n for n, s in enumerate(await session.scalars(select(Service.id).order_by(Service.id)))}
            days = [JAN, JAN, JAN + timedelta(days=1), JAN + timedelta(days=9), JAN + timedelta(days=40)]
            for day in days:
                if way == "reference":
                    async with unit() as session:
                        await plain.charge_all(session, day)
                elif way == "late":  # in chunks of one customer each
                    async with db.reads() as session:
                        after, chunks = 0, []
                        while (last := await charging.next_chunk(session, day=day, after=after, size=1)) is not None:
                            chunks.append((after, last))
                            after = last
                    for chunk in chunks:
                        async with unit() as session:
                            await charging.charge_chunk(session, day=day, customers=chunk)
                else:
                    result = await charge(day, set_based=way == "set-based")
                    plain_charges += result.plain
            await is_sound()
            async with db.reads() as session:
                found.append(_without_ids(await plain.standing(session), ids))
        for way, other in zip(("set-based", "python", "late"), found[1:], strict=True):
            for what in found[0]:
                assert other[what] == found[0][what], (seed, way, what)
    assert plain_charges, "the quick way has had something to do"


def _without_ids(found: dict[str, Any], ids: dict[int, int]) -> dict[str, Any]:
    """Ids differ from run to run: services by their order, discounts by their order, names by nothing."""
    seen = sorted({e[8] for e in found["expenses"] if e[8]} | {
        t["id"] for e in found["expenses"] for t in (e[9] or {}).get("considered", ())})  # fmt: skip
    rank = {i: n for n, i in enumerate(seen)}

    def told(explained: Any) -> Any:
        if explained is None:
            return None
        considered = [{**t, "id": rank[t["id"]], "name": ""} for t in explained["considered"]]
        return {**explained, "considered": considered, "won": rank.get(explained["won"])}

    return {
        "services": [(ids[s[0]], *s[1:]) for s in found["services"]],
        "expenses": [(ids[e[0]], *e[1:8], rank.get(e[8]), told(e[9]), *e[10:11], *e[12:]) for e in found["expenses"]],
        "accounts": [a[1:] for a in found["accounts"]],
    }


# ---- forecast -------------------------------------------------------------------------------------------------------


@on_sqlite
async def test_days_until_the_money_is_gone() -> None:
    async with unit() as session:
        service, account = await running(session, balance=1000)
        await create_discount(session, percent=1000, valid_from=date(2026, 2, 1), valid_until=date(2026, 2, 28))
        made = await charging.coming(session, account, day=JAN - timedelta(days=2), days=70)
        assert [(c.day, c.amount) for c in made] == [(JAN, 500), (date(2026, 2, 10), 450), (date(2026, 3, 10), 500)]
        assert await charging.days_left(session, account, day=JAN - timedelta(days=2)) == 61
        service.auto_renew, service.started_on = False, JAN
        await session.flush()
        assert await charging.days_left(session, account, day=JAN) is None
        service.price = 1001
        await session.flush()
        assert await charging.days_left(session, account, day=JAN + timedelta(days=3)) == 0


@on_sqlite
@pytest.mark.parametrize(
    ("funds", "services", "day"),
    [(1000, [], None), (1000, [(date(2026, 1, 31), 31, 500, Period.MONTH)], date(2026, 3, 31)),
     (999, [(date(2026, 1, 31), 31, 500, Period.MONTH)], date(2026, 2, 28)),
     (0, [(date(2026, 2, 1), 1, 1, Period.YEAR)], date(2026, 2, 1)),
     (0, [(date(2025, 12, 1), 1, 1, Period.MONTH)], JAN),
     (10, [(date(2026, 2, 1), 1, 10, Period.ONCE)], None),
     (1500, [(date(2026, 2, 1), 1, 500, Period.QUARTER), (date(2026, 3, 1), 1, 800, Period.HALF_YEAR)],
      date(2026, 5, 1)),
     (10**9, [(date(2026, 2, 1), 1, 1, Period.MONTH)], None)],
)  # fmt: skip
async def test_the_day_of_the_first_charge_that_is_not_covered(
    funds: int, services: list[tuple[date, int, int, Period]], day: date | None
) -> None:
    async with unit() as session:
        customer = await create_customer(session)
        account = await create_account(session, customer=customer, balance=funds // 2, credit_limit=funds - funds // 2)
        for due, anchor, price, period in services:
            await create_service(
                session, customer=customer, status=ServiceStatus.ACTIVE, next_charge_on=due, charge_day=anchor,
                price=price, period=period, currency="EUR",
            )  # fmt: skip
        found = await charging.outlook(session, account, day=JAN)
        assert found == (bool(services), day)
        near = charging.runs_out(account, await charging.coming(session, account, day=JAN))
        assert (near and max(near, JAN)) == day  # the first page of the client area says the same
        account.post_paid = True
        assert await charging.days_left(session, account, day=JAN) is None


@on_sqlite
async def test_the_demo_is_charged_for_its_last_months() -> None:
    from app.domain.demo.charging import make_charges

    now = db.utcnow()
    async with unit() as session:
        service, account = await running(session, balance=0, next_charge_on=now.date() + timedelta(days=5))
        service.created_at = now - timedelta(days=300)
        customer = await session.get(Customer, account.customer_id)
        made = await make_charges(session, now, [customer])
        assert len(made) in (2, 3) and {type(row) for row in made} == {Expense}
    await is_sound()
