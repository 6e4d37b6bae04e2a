"""Services in the client area: the catalogue with the customer's own prices, ordering, renewing, cancelling."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.db import utcnow
from app.domain.charging import charge_account
from app.models.billing import Expense
from app.models.catalog import Product, ProductProject, Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus, GroupProduct
from app.models.ledger import Account
from app.models.projects import Project
from app.observe import SYSTEM, acting
from tests import factories
from tests.conftest import LONG
from tests.web.helpers import PASSWORD, People, Site, sign_in

URL, NEW = "/client/services", "/client/services/new"
on_both = pytest.mark.parametrize("engine_name", ["sqlite", LONG], indirect=True)


@pytest.fixture
def engine_name(request: pytest.FixtureRequest) -> str:
    """What a page shows does not depend on the database; what happens at once does."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
async def product(people: People) -> Product:
    """For 10.00 a month or 100.00 a year."""
    async with db.unit() as session:
        made = await factories.create_product(session, name="Web Start", price=1000, currency=people.project.currency)
        await factories.create_product(session, name="Not yours", currency="JPY")
        return made


async def account(people: People, balance: int = 0, **more: Any) -> Account:
    async with db.unit() as session:
        more = {"currency": people.project.currency} | more
        return await factories.create_account(session, customer=people.customer, balance=balance, **more)


async def form(client: httpx.AsyncClient, product: Product, **more: str) -> dict[str, str]:
    """What the page would send."""
    page = (await client.get(f"{NEW}?product={product.id}")).text
    hidden = re.findall(r'<input[^>]*type="hidden"[^>]*>', page)
    found = {
        name[1]: unescape(value[1]) for tag in hidden
        if (name := re.search(r'name="([^"]*)"', tag)) and (value := re.search(r'value="([^"]*)"', tag))
    }  # fmt: skip
    return {**found, "period": "month", "name": "a.example"} | more


async def services() -> list[Service]:
    with acting(SYSTEM):
        async with db.reads() as session:
            return list(await session.scalars(select(Service).order_by(Service.id)))


async def balance(people: People) -> int:
    async with db.reads() as session:
        rows = await session.scalars(select(Account.balance).where(Account.customer_id == people.customer.id))
        return rows.first() or 0


# ---- the catalogue --------------------------------------------------------------------------------------------------


async def test_own_prices_are_shown_and_explained_without_the_words_of_staff(
    ada: httpx.AsyncClient, people: People, product: Product
) -> None:
    async with db.unit() as session:
        await factories.create_discount(session, name="keep quiet: churn risk", percent=2500)
        await factories.create_discount(session, name="secret of Bob", percent=1000)
        off = await factories.create_discount(session, name="switched off", percent=9000)
        off.enabled = False
    page = (await ada.get(NEW)).text
    assert "Web Start" in page and "7.50" in page and "25" in page and "Not yours" not in page
    page = unescape((await ada.get(f"{NEW}?product={product.id}")).text)
    assert "The one that counts saves you more." in page and "for all customers, on everything" in page
    assert "10.00" in page and "7.50" in page and "2.50" in page
    for secret in ("churn", "Bob", "switched off"):
        assert secret not in page
    assert (await ada.get(f"{NEW}?product=999")).status_code == 404


async def test_what_the_balance_pays_starts_at_once(ada: httpx.AsyncClient, people: People, product: Product) -> None:
    await account(people, 1500)
    answer = await ada.post(NEW, data=await form(ada, product))
    [service] = await services()
    assert answer.headers["location"] == f"{URL}/{service.id}/ordered"
    assert (service.customer_id, service.status, await balance(people)) == (
        people.customer.id, ServiceStatus.ACTIVE, 500
    )  # fmt: skip
    page = (await ada.get(answer.headers["location"])).text
    assert "It is paid and runs." in page and "a.example" in page
    assert "a.example" in (await ada.get(f"{URL}/{service.id}")).text


async def test_else_the_rest_is_paid_and_it_starts_with_the_money(
    ada: httpx.AsyncClient, people: People, product: Product
) -> None:
    held = await account(people, 300)
    async with db.unit() as session:
        await factories.create_payment_method(session, name="By test", gateway="test")
    answer = await ada.post(NEW, data=await form(ada, product), follow_redirects=True)
    [service] = await services()
    assert (service.status, await balance(people)) == (ServiceStatus.ORDERED, 300)
    pay = f"/client/payments/new?service={service.id}"
    assert "7.00" in answer.text and pay in answer.text
    assert 'value="7.00"' in (await ada.get(pay)).text
    assert "Waits for payment" in (await ada.get(f"{URL}/{service.id}")).text
    async with db.unit() as session:
        await factories.book(session, held, 700)
        await charge_account(session, account_id=held.id)
    assert ((await services())[0].status, await balance(people)) == (ServiceStatus.ACTIVE, 0)


async def test_an_order_is_checked(ada: httpx.AsyncClient, people: People, product: Product) -> None:
    await account(people, 5000)
    async with db.unit() as session:
        theirs = await factories.create_payer(session, customer_id=people.other.id)
    good = await form(ada, product)
    for wrong in ({"name": ""}, {"period": "year"}, {"period": "nonsense"}, {"payer_id": str(theirs.id)}, {"terms": ""},
                  {"terms": "month:=1"}):  # fmt: skip
        refused = await ada.post(NEW, data={**good, **wrong})
        assert refused.status_code == (303 if "payer_id" in wrong else 422), wrong
        if "payer_id" in wrong:  # there is no such field: the customer has no payers
            assert [s.payer_id for s in await services()] == [None]
            good = await form(ada, product)
    assert len(await services()) == 1
    assert (await ada.post(NEW, data={**good, "product": "999"})).status_code == 404
    async with db.unit() as session:
        mine = await factories.create_payer(session, customer_id=people.customer.id, name="Analytical Engines")
    page = (await ada.get(f"{NEW}?product={product.id}")).text
    assert "Analytical Engines" in page and theirs.name not in page
    assert (await ada.post(NEW, data=await form(ada, product, payer_id=str(theirs.id)))).status_code == 422
    assert (await ada.post(NEW, data=await form(ada, product, payer_id=str(mine.id)))).status_code == 303
    assert [s.payer_id for s in await services()] == [None, mine.id]


async def test_a_price_that_has_changed_meanwhile_books_nothing(
    ada: httpx.AsyncClient, people: People, product: Product
) -> None:
    await account(people, 5000)
    old = await form(ada, product)
    async with db.unit() as session:
        (await session.scalars(select(Product).where(Product.id == product.id))).one().price = 2000
    refused = await ada.post(NEW, data=old)
    assert refused.status_code == 422 and "The price has changed meanwhile." in refused.text
    assert "20.00" in refused.text and "a.example" in refused.text
    assert await services() == [] and await balance(people) == 5000
    assert (await ada.post(NEW, data=await form(ada, product))).status_code == 303


@on_both
async def test_pressing_fifty_times_orders_once(ada: httpx.AsyncClient, people: People, product: Product) -> None:
    await account(people, 5000)
    data = await form(ada, product)
    answers = await asyncio.gather(*(ada.post(NEW, data=data) for _ in range(50)))
    assert {a.status_code for a in answers} == {303} and len({a.headers["location"] for a in answers}) == 1
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Expense)) == 1
    assert len(await services()) == 1 and await balance(people) == 4000


@pytest.mark.parametrize("what", ["group", "project", "off"])
async def test_what_is_not_offered_cannot_be_ordered(
    ada: httpx.AsyncClient, people: People, product: Product, what: str
) -> None:
    await account(people, 5000)
    data = await form(ada, product)
    async with db.unit() as session:
        other = await factories.create_product(session, name="Other", currency=people.project.currency)
        if what == "group":
            group = await factories.create_group(session)
            await factories.create_membership(session, customer=people.customer, group=group)
            session.add(GroupProduct(group_id=group.id, product_id=other.id))
        elif what == "project":
            project = await factories.create_project(session, name="Elsewhere")
            session.add(ProductProject(product_id=product.id, project_id=project.id))
        else:
            (await session.scalars(select(Product).where(Product.id == product.id))).one().enabled = False
    assert "Web Start" not in (await ada.get(NEW)).text
    assert (await ada.post(NEW, data=data)).status_code == 404
    assert await services() == []


async def test_a_closed_customer_orders_nothing(site: Site, people: People, product: Product) -> None:
    async with site.browser() as browser:
        await sign_in(browser, people.user.username, PASSWORD, area="client")
        data = await form(browser, product)
        async with db.unit() as session:
            customer = (await session.scalars(select(Customer).where(Customer.id == people.customer.id))).one()
            customer.status = CustomerStatus.CLOSED
        assert (await browser.post(NEW, data=data)).status_code in (401, 403, 409, 422)
    assert await services() == []


async def test_a_project_that_is_off_sells_nothing(ada: httpx.AsyncClient, people: People, product: Product) -> None:
    await account(people, 5000)
    data = await form(ada, product)
    async with db.unit() as session:
        (await session.scalars(select(Project).where(Project.id == people.project.id))).one().enabled = False
    assert (await ada.post(NEW, data=data)).status_code in (401, 403, 404, 409, 422, 503)
    assert await services() == [] and await balance(people) == 5000


# ---- what runs ------------------------------------------------------------------------------------------------------


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
        listed = (await browser.get(URL)).text
        assert own.name in listed and foreign.name not in listed
        assert "Cancel at the end of the period" in (await browser.get(f"{URL}/{own.id}")).text
        assert (await browser.post(f"{URL}/{own.id}/cancel")).status_code == 303
        assert "Take the cancellation back" in (await browser.get(f"{URL}/{own.id}")).text
        assert (await browser.post(f"{URL}/{ordered.id}/cancel")).status_code == 303
        for what in ("cancel", "renew", "extend"):
            data = {"begins": "2026-01-01", "seen": "1"}
            assert (await browser.post(f"{URL}/{foreign.id}/{what}", data=data)).status_code == 404
        found = [(s.status, s.auto_renew) for s in await services()]
        assert found == [(ServiceStatus.ACTIVE, False), (ServiceStatus.CLOSED, True), (ServiceStatus.ACTIVE, True)]
        assert (await browser.post(f"{URL}/{own.id}/renew", data={"on": "1"})).status_code == 303
        assert ordered.name not in (await browser.get(URL)).text
        assert ordered.name in (await browser.get(f"{URL}?show=ended")).text
    assert (await services())[0].auto_renew


async def test_the_next_period_is_paid_ahead_once(ada: httpx.AsyncClient, people: People, product: Product) -> None:
    await account(people, 2500)
    await ada.post(NEW, data=await form(ada, product))
    [service] = await services()
    url = f"{URL}/{service.id}"
    begins = service.next_charge_on
    assert begins is not None and f'value="{begins.isoformat()}"' in (await ada.get(url)).text
    data = {"begins": begins.isoformat(), "seen": "1000"}
    stale = await ada.post(f"{url}/extend", data={**data, "seen": "900"})
    assert stale.status_code == 422 and "The price has changed meanwhile." in stale.text
    assert [(await ada.post(f"{url}/extend", data=data)).status_code for _ in range(3)] == [303, 303, 303]
    assert await balance(people) == 500
    page = (await ada.get(url)).text
    assert page.count("Web Start, a.example") == 2 and "/extend" not in page
    async with db.unit() as session:
        (await session.scalars(select(Service).where(Service.id == service.id))).one().next_charge_on = begins
        await session.flush()
    poor = await ada.post(f"{url}/extend", data=data)
    assert poor.status_code in (303, 409) and await balance(people) == 500
