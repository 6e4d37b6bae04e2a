"""Services in the client area: the catalogue with the customer's own prices, ordering, renewing, cancelling."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus
from app.observe import SYSTEM, acting
from tests import factories
from tests.web.helpers import PASSWORD, People, Site, sign_in


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


async def _services() -> list[Service]:
    with acting(SYSTEM):
        async with db.reads() as session:
            return list(await session.scalars(select(Service).order_by(Service.id)))


async def test_a_customer_orders_at_the_own_price(site: Site, people: People) -> None:
    async with db.unit() as session:
        product = await factories.create_product(
            session, name="Web Start", price=1000, currency=people.project.currency
        )
        await factories.create_product(session, name="Not yours", currency="JPY")
        await factories.create_discount(session, name="Spring", percent=2500)
    async with site.browser() as browser:
        await sign_in(browser, people.user.username, PASSWORD, area="client")
        page = (await browser.get("/client/services/new")).text
        assert "Web Start" in page and "7.50" in page and "Spring" in page and "Not yours" not in page
        assert "<script>" not in page
        url = f"/client/services/new?product={product.id}"
        assert "7.50" in (await browser.get(url)).text
        refused = await browser.post("/client/services/new", data={"product": str(product.id), "period": "month"})
        assert refused.status_code == 422 and await _services() == []
        for period in ("year", "nonsense"):
            data = {"product": str(product.id), "period": period, "name": "a.example"}
            assert (await browser.post("/client/services/new", data=data)).status_code == 422
        data = {"product": str(product.id), "period": "month", "name": "a.example", "price": "1"}
        assert (await browser.post("/client/services/new", data=data)).status_code == 303
        missing = await browser.post("/client/services/new", data={**data, "product": "999"})
        assert missing.status_code == 404
    [service] = await _services()
    assert (service.customer_id, service.status, service.price) == (people.customer.id, ServiceStatus.ORDERED, 1000)


async def test_a_closed_customer_orders_nothing(site: Site, people: People) -> None:
    async with db.unit() as session:
        product = await factories.create_product(session, currency=people.project.currency)
        customer = (await session.scalars(select(Customer).where(Customer.id == people.customer.id))).one()
        customer.status = CustomerStatus.CLOSED
    async with site.browser() as browser:
        await sign_in(browser, people.user.username, PASSWORD, area="client")
        data = {"product": str(product.id), "period": "month", "name": "a.example"}
        answer = await browser.post("/client/services/new", data=data)
        assert answer.status_code == 401  # nobody signs in for a closed customer
    assert await _services() == []


async def test_renewing_and_ending(site: Site, people: People) -> None:
    async with db.unit() as session:
        own = await factories.create_service(
            session, customer=people.customer, status=ServiceStatus.ACTIVE,
            next_charge_on=utcnow().date() + timedelta(days=9),
        )  # fmt: skip
        ordered = await factories.create_service(session, customer=people.customer)
        foreign = await factories.create_service(session, customer=people.other, status=ServiceStatus.ACTIVE)
    async with site.browser() as browser:
        await sign_in(browser, people.user.username, PASSWORD, area="client")
        listed = (await browser.get("/client/services")).text
        assert own.name in listed and foreign.name not in listed
        assert "Cancel at the end of the period" in (await browser.get(f"/client/services/{own.id}")).text
        assert (await browser.post(f"/client/services/{own.id}/cancel")).status_code == 303
        assert "Renew by itself" in (await browser.get(f"/client/services/{own.id}")).text
        assert (await browser.post(f"/client/services/{ordered.id}/cancel")).status_code == 303
        for what in ("cancel", "renew"):
            assert (await browser.post(f"/client/services/{foreign.id}/{what}")).status_code == 404
        found = [(s.status, s.auto_renew) for s in await _services()]
        assert found == [(ServiceStatus.ACTIVE, False), (ServiceStatus.CLOSED, True), (ServiceStatus.ACTIVE, True)]
        assert (await browser.post(f"/client/services/{own.id}/renew", data={"on": "1"})).status_code == 303
    assert (await _services())[0].auto_renew
