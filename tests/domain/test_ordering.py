"""Orders of customers: at the price that was shown, paid from the balance or waiting for money, each once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app import db
from app.db import utcnow
from app.domain import charging
from app.domain.catalog import next_period, save_service
from app.domain.charging import charge_account
from app.errors import Conflict, Invalid, NotFound
from app.models.billing import Expense, Payer
from app.models.catalog import Product, Service, ServiceStatus
from app.models.customers import GroupProduct
from app.models.ledger import Account, Entry
from tests import factories

pytestmark = pytest.mark.usefixtures("database")
ACTIVE, ORDERED = ServiceStatus.ACTIVE, ServiceStatus.ORDERED


class Shop:
    customer: Any
    account: Account
    product: Product


@pytest.fixture
async def shop(database: str) -> Shop:
    """A customer with 10.00, and a product for 8.00 a month with a set-up fee of 1.00; the tax is 10 %."""
    made = Shop()
    async with db.unit() as session:
        project = await factories.create_project(session, prices_with_tax=False)
        made.customer = await factories.create_customer(session, project=project, country="DE")
        made.account = await factories.create_account(session, customer=made.customer, balance=1000)
        made.product = await factories.create_product(session, name="Web", price=800, setup_fee=100, currency="EUR")
        await factories.create_tax_rate(session, rate=1000, country="DE")
    return made


async def order(shop: Shop, **more: Any) -> Service:
    values = {"name": "a.example", "period": "month"} | more.pop("values", {})
    more = {"customer_id": shop.customer.id, "product_id": shop.product.id} | more
    async with db.unit() as session:
        return await charging.order(session, values=values, **more)


async def balance(shop: Shop) -> int:
    async with db.reads() as session:
        return (await session.scalars(select(Account.balance).where(Account.id == shop.account.id))).one()


async def count(what: Any) -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(what)) or 0


async def pay_in(shop: Shop, amount: int) -> None:
    async with db.unit() as session:
        await factories.book(session, shop.account, amount)
    async with db.unit() as session:
        await charge_account(session, account_id=shop.account.id)


async def read(service: Service) -> Service:
    async with db.reads() as session:
        return (await session.scalars(select(Service).where(Service.id == service.id))).one()


async def test_what_the_balance_pays_starts_at_once(shop: Shop) -> None:
    service = await order(shop, seen=990)
    today = utcnow().date()
    assert (service.status, service.next_charge_on) == (ACTIVE, next_period(today, service.period, None))
    assert (service.started_on, service.unpaid_since, await balance(shop)) == (today, None, 10)


async def test_what_it_does_not_pay_starts_when_the_money_is_there(shop: Shop) -> None:
    first, second = await order(shop), await order(shop)
    assert (first.status, second.status, second.unpaid_since) == (ACTIVE, ORDERED, utcnow().date())
    async with db.reads() as session:
        assert await charging.missing_for(session, second) == 980
        assert [s.id for s in await charging.waiting_orders(session, shop.customer.id)] == [second.id]
    await pay_in(shop, 979)
    assert (await read(second)).status is ORDERED and await balance(shop) == 989
    await pay_in(shop, 1)
    now = await read(second)
    assert (now.status, now.unpaid_since, await balance(shop)) == (ACTIVE, None, 0)
    await pay_in(shop, 5000)
    assert await count(Expense) == 2


async def test_an_order_of_staff_does_not_start_by_itself(shop: Shop) -> None:
    async with db.unit() as session:
        values = {"name": "by hand", "customer_id": shop.customer.id, "product_id": shop.product.id}
        service = await save_service(session, values=values)
    await pay_in(shop, 5000)
    assert (await read(service)).status is ORDERED and await count(Expense) == 0


async def test_staff_may_activate_one_that_waits(shop: Shop) -> None:
    await order(shop)
    service = await order(shop)
    async with db.unit() as session:
        found = (await session.scalars(select(Service).where(Service.id == service.id))).one()
        await save_service(session, service=found, values={"status": ACTIVE})
    now = await read(service)
    assert (now.next_charge_on, now.unpaid_since) == (utcnow().date(), None)


async def test_the_price_that_was_shown_counts(shop: Shop) -> None:
    async with db.unit() as session:
        await factories.create_discount(session, percent=5000)
    with pytest.raises(Invalid) as refused:
        await order(shop, seen=990)
    assert "period" in refused.value.fields and await count(Service) == 0
    assert (await order(shop, seen=550)).status is ACTIVE
    assert await balance(shop) == 450


async def test_only_what_is_offered_to_own_payers_and_open_customers(shop: Shop) -> None:
    async with db.unit() as session:
        group = await factories.create_group(session)
        await factories.create_membership(session, customer=shop.customer, group=group)
        other = await factories.create_product(session, name="For the group", currency="EUR")
        session.add(GroupProduct(group_id=group.id, product_id=other.id))
        stranger = await factories.create_customer(session, project_id=shop.customer.project_id)
        payer = await factories.create_payer(session, customer_id=stranger.id)
    with pytest.raises(NotFound):
        await order(shop)
    with pytest.raises(Invalid) as refused:
        await order(shop, product_id=other.id, values={"payer_id": payer.id})
    assert "payer_id" in refused.value.fields
    with pytest.raises(Invalid):
        await order(shop, product_id=other.id, values={"period": "year"})
    assert await count(Service) == 0 and await balance(shop) == 1000


async def test_the_payer_of_the_service_says_what_the_tax_is(shop: Shop) -> None:
    async with db.unit() as session:
        payer = await factories.create_payer(session, customer_id=shop.customer.id, country="CH")
    service = await order(shop, values={"payer_id": payer.id}, seen=900)
    assert service.payer_id == payer.id and await balance(shop) == 100
    async with db.unit() as session:  # and the next periods, whichever way they are charged
        found = (await session.scalars(select(Service).where(Service.id == service.id))).one()
        found.next_charge_on = utcnow().date()
        account = (await session.scalars(select(Account).where(Account.id == shop.account.id))).one()
        assert [c.amount for c in await charging.coming(session, account, days=0)] in ([800], [900])
        assert (await session.scalars(select(Payer.country).where(Payer.id == payer.id))).one() == "CH"


@pytest.mark.parametrize("at_once", [50])
async def test_one_form_orders_once(shop: Shop, at_once: int) -> None:
    async def press() -> int | None:
        try:
            return (await order(shop, form_key="1:the-form")).id
        except IntegrityError as error:
            assert charging.said_twice(error)
            return None

    ids = {i for i in await asyncio.gather(*(press() for _ in range(at_once))) if i is not None}
    assert len(ids) == 1 and await count(Service) == 1 and await count(Expense) == 1
    assert await balance(shop) == 10


async def test_renewing_ahead_pays_the_next_period_once(shop: Shop) -> None:
    service = await order(shop)
    await pay_in(shop, 5000)
    begins, before = service.next_charge_on, await count(Entry)
    async with db.unit() as session:
        (await session.scalars(select(Service).where(Service.id == service.id))).one().auto_renew = False

    async def press() -> bool:
        async with db.unit() as session:
            found = (await session.scalars(select(Service).where(Service.id == service.id))).one()
            return await charging.renew_now(session, service=found, begins=begins, seen=880)

    assert sorted(await asyncio.gather(*(press() for _ in range(20)))) == [False] * 19 + [True]
    now = await read(service)
    assert begins is not None and now.next_charge_on == next_period(begins, service.period, service.charge_day)
    assert (now.auto_renew, now.status, await count(Entry) - before) == (False, ACTIVE, 3)
    async with db.unit() as session:
        found = (await session.scalars(select(Service).where(Service.id == service.id))).one()
        with pytest.raises(Conflict):  # one period ahead is enough
            await charging.renew_now(session, service=found, begins=found.next_charge_on)


async def test_renewing_without_the_money_changes_nothing(shop: Shop) -> None:
    service = await order(shop)
    with pytest.raises(Conflict):
        async with db.unit() as session:
            found = (await session.scalars(select(Service).where(Service.id == service.id))).one()
            await charging.renew_now(session, service=found, begins=service.next_charge_on)
    now = await read(service)
    assert (now.next_charge_on, now.unpaid_since, now.status) == (service.next_charge_on, None, ACTIVE)
    assert timedelta(0) < now.next_charge_on - utcnow().date()  # type: ignore[operator]
