"""Services: their states, and the customer's status that follows."""

from __future__ import annotations

import pytest

from app.db import unit
from app.domain import catalog
from app.domain.catalog import Price
from app.errors import Conflict, Invalid
from app.models.catalog import Period, ProductProject, ServiceStatus
from app.models.customers import CustomerStatus, GroupProduct, Membership
from tests.factories import create_customer, create_group, create_product, create_project, create_service

pytestmark = pytest.mark.usefixtures("database")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


async def test_a_service_takes_the_terms_of_its_product_and_the_status_follows() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        product = await create_product(session, price=990, currency="USD", period=Period.YEAR)
        values = {"name": "a.example", "customer_id": customer.id, "product_id": product.id}
        service = await catalog.save_service(session, values=values)
        assert (service.status, service.price, service.currency, service.period) == (
            ServiceStatus.ORDERED, 990, "USD", Period.YEAR,
        )  # fmt: skip
        seen = [customer.status]
        own = await catalog.save_service(session, values={**values, "price": 0, "status": "active"})
        assert own.price == 0
        seen.append(customer.status)
        await catalog.move_service(session, service=own, status=ServiceStatus.SUSPENDED)
        seen.append(customer.status)
        assert seen == [CustomerStatus.NEW, CustomerStatus.ACTIVE, CustomerStatus.NEW]


@on_sqlite
@pytest.mark.parametrize("now", list(ServiceStatus))
@pytest.mark.parametrize("then", list(ServiceStatus))
async def test_only_the_moves_of_the_table_are_made(now: ServiceStatus, then: ServiceStatus) -> None:
    async with unit() as session:
        customer = await create_customer(session)
        service = await create_service(session, customer=customer, status=now)
        if then is now or then in catalog.SERVICE_MOVES[now]:
            await catalog.move_service(session, service=service, status=then)
            assert service.status is then
            assert (customer.status is CustomerStatus.ACTIVE) == (then is ServiceStatus.ACTIVE)
        else:
            with pytest.raises(Conflict):
                await catalog.move_service(session, service=service, status=then)
            assert service.status is now


async def test_what_cannot_be_ordered() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        closed = await create_customer(session, status=CustomerStatus.CLOSED)
        product, off = await create_product(session), await create_product(session, enabled=False)
        elsewhere = await create_product(session)
        session.add(ProductProject(product_id=elsewhere.id, project_id=(await create_project(session)).id))
        await session.flush()
        good = {"name": "a.example", "customer_id": customer.id, "product_id": product.id}
        for values, fields in (
            ({}, {"name", "customer_id", "product_id"}), ({**good, "product_id": off.id}, {"product_id"}),
            ({**good, "product_id": elsewhere.id}, {"product_id"}), ({**good, "product_id": 999}, {"product_id"}),
            ({**good, "customer_id": 999}, {"customer_id"}), ({**good, "price": -1}, {"price"}),
            ({**good, "price": 2**70}, {"price"}), ({**good, "currency": "XXZ"}, {"currency"}),
            ({**good, "next_charge_on": "soon"}, {"next_charge_on"}),
        ):  # fmt: skip
            with pytest.raises(Invalid) as refused:
                await catalog.save_service(session, values=values)
            assert set(refused.value.fields) == fields
        for values in ({**good, "customer_id": closed.id}, {**good, "status": "closed"}):
            with pytest.raises(Conflict):
                await catalog.save_service(session, values=values)
        service = await catalog.save_service(session, values=good)
        with pytest.raises(Invalid):
            await catalog.save_service(session, service=service, values={"customer_id": closed.id})


async def test_a_running_service_is_closed_before_it_is_deleted() -> None:
    async with unit() as session:
        customer = await create_customer(session, status=CustomerStatus.ACTIVE)
        service = await create_service(session, customer=customer, status=ServiceStatus.ACTIVE)
        with pytest.raises(Conflict, match="Active"):
            await catalog.delete_service(session, service=service)
        await catalog.move_service(session, service=service, status=ServiceStatus.CLOSED)
        await catalog.delete_service(session, service=service)
        assert customer.status is CustomerStatus.NEW


async def test_prices_follow_period_and_currency() -> None:
    async with unit() as session:
        project = await create_project(session, currency="USD")
        customer = await create_customer(session, project_id=project.id)
        product = await catalog.save_product(
            session, values={"name": "Hosting", "price": 500, "currency": "EUR", "period": Period.MONTH},
            projects=[], prices=[Price(Period.YEAR, "EUR", 5000, 0), Price(Period.MONTH, "USD", 600, 100)],
        )  # fmt: skip
        values = {"name": "a.example", "customer_id": customer.id, "product_id": product.id}
        service = await catalog.save_service(session, values=values)
        assert (service.price, service.currency, service.setup_fee) == (600, "USD", 100)
        service = await catalog.save_service(session, values={**values, "period": Period.YEAR})
        assert (service.price, service.currency) == (5000, "EUR")
        with pytest.raises(Invalid) as refused:
            await catalog.save_service(session, values={**values, "period": Period.QUARTER})
        assert set(refused.value.fields) == {"period"}
        [(offered, prices)] = await catalog.offers(session, customer)
        assert (offered.id, prices) == (product.id, [Price(Period.MONTH, "USD", 600, 100)])
        for bad in ([Price(Period.YEAR, "EUR", 1, 0)] * 2, [Price(Period.YEAR, "EUR", -1, 0)]):
            with pytest.raises(Invalid):
                await catalog.save_product(session, product=product, values={}, prices=bad)
        with pytest.raises(Conflict, match="2 services"):
            await catalog.delete_product(session, product=product)


async def test_groups_limit_what_is_offered() -> None:
    async with unit() as session:
        customer, group = await create_customer(session), await create_group(session)
        seen, other = await create_product(session, currency="EUR"), await create_product(session, currency="EUR")
        await create_product(session, currency="EUR", enabled=False)
        assert {p.id for p, _prices in await catalog.offers(session, customer)} == {seen.id, other.id}
        session.add_all([GroupProduct(group_id=group.id, product_id=seen.id),
                         Membership(customer_id=customer.id, group_id=group.id)])  # fmt: skip
        await session.flush()
        assert [p.id for p, _prices in await catalog.offers(session, customer)] == [seen.id]
