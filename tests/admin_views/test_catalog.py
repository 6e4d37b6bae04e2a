"""Screens of products, services and discounts: prices in the form, own prices beside it, moves, explaining."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.models.catalog import Period, Product, ProductPrice, Service, ServiceStatus
from app.models.discounts import Discount, DiscountTarget
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


async def test_prices_are_part_of_the_products_form(desk: httpx.AsyncClient) -> None:
    data = {
        "name": "Hosting", "price": "5.00", "currency": "EUR", "period": "month", "setup_fee": "0", "enabled": "y",
        "price_0_period": "year", "price_0_currency": "EUR", "price_0_price": "50.00", "price_0_fee": "",
        "price_1_period": "month", "price_1_currency": "JPY", "price_1_price": "800", "price_1_fee": "90",
    }  # fmt: skip
    answer = await desk.post("/admin/product/create", data=data)
    assert answer.status_code == 303, answer.text
    async with db.reads() as session:
        product = (await session.scalars(select(Product))).one()
        rows = (await session.scalars(select(ProductPrice).order_by(ProductPrice.currency))).all()
    assert [(r.period, r.currency, r.price, r.setup_fee) for r in rows] == [
        (Period.YEAR, "EUR", 5000, 0), (Period.MONTH, "JPY", 800, 90)
    ]  # fmt: skip
    card = (await desk.get(f"/admin/product/details/{product.id}")).text
    assert "50.00" in card and "800" in card
    data |= {"price_1_period": "", "price_1_price": "", "price_1_fee": "", "version": str(product.version)}
    assert (await desk.post(f"/admin/product/edit/{product.id}", data=data)).status_code == 303
    async with db.reads() as session:
        assert len((await session.scalars(select(ProductPrice))).all()) == 1
    wrong = await desk.post("/admin/product/create", data={**data, "price_1_price": "1"})
    assert wrong.status_code == 422


async def test_the_own_price_stands_beside_the_order(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        product = await factories.create_product(session, price=2000, currency="EUR")
        await factories.create_discount(session, name="Loyal ones", percent=1000)
        await factories.create_discount(session, name="Too weak", percent=500)
    form = {"customer": str(customer.id), "product": str(product.id), "name": "", "_look": "show"}
    look = await desk.post("/admin/service/create", data=form, headers={"x-fragment": "look"})
    assert look.status_code == 200 and "<html" not in look.text
    assert "18.00" in look.text and "Loyal ones" in look.text and "takes off more" in look.text
    page = await desk.post("/admin/service/create", data=form)
    assert page.status_code == 200 and "18.00" in page.text and "<html" in page.text
    async with db.reads() as session:
        assert (await session.scalars(select(Service))).all() == []
    order = {**form, "name": "a.example", "status": "ordered", "price": "", "period": "", "currency": "EUR"}
    del order["_look"]
    answer = await desk.post("/admin/service/create", data=order)
    assert answer.status_code == 303, answer.text
    async with db.reads() as session:
        service = (await session.scalars(select(Service))).one()
    assert (service.price, service.currency, service.period) == (2000, "EUR", Period.MONTH)
    url = f"/admin/service/action/activate?pks={service.id}"
    assert (await desk.post(url, data={"pks": str(service.id)})).status_code == 303
    card = (await desk.get(f"/admin/service/details/{service.id}")).text
    assert "Loyal ones" in card and "Suspend" in card and "Resume" not in card
    async with db.reads() as session:
        service = (await session.scalars(select(Service))).one()
    assert service.status is ServiceStatus.ACTIVE and service.next_charge_on == service.started_on


async def test_a_move_needs_its_own_grant(sign_in: SignIn) -> None:
    async with db.unit() as session:
        service = await factories.create_service(session, customer=await factories.create_customer(session))
    staff = await create_staff([("service", "list"), ("service", "details"), ("service", "action:progress")])
    browser = await sign_in(staff)
    for slug, status in (("activate", 403), ("close", 403), ("progress", 303)):
        answer = await browser.post(f"/admin/service/action/{slug}", data={"pks": str(service.id)})
        assert answer.status_code == status, slug


async def test_a_product_in_use_is_not_deleted(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        product = await factories.create_product(session)
        await factories.create_service(session, customer=await factories.create_customer(session), product=product)
    page = await desk.get(f"/admin/product/action/delete?pks={product.id}")
    assert "Take it off sale instead" in page.text
    assert (await desk.post("/admin/product/action/delete", data={"pks": str(product.id)})).status_code != 303


async def test_discounts_are_made_and_explained(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        group = await factories.create_group(session)
        customer = await factories.create_customer(session, country="DE")
        await factories.create_customer(session, country="AT")
        product = await factories.create_product(session, price=1000, currency="EUR")
    data = {
        "name": "In Germany", "enabled": "y", "priority": "0", "target": "all", "scope": "everything",
        "kind": "percent", "percent": "10", "amount": "0", "currency": "EUR",
        "condition": '{"field": "country", "op": "in", "value": ["DE"]}', "group": str(group.id),
    }  # fmt: skip
    answer = await desk.post("/admin/discount/create", data=data)
    assert answer.status_code == 303, answer.text
    for bad in ({"condition": "{"}, {"condition": '{"field": "nothing", "op": "is"}'}, {"target": "customer"}):
        assert (await desk.post("/admin/discount/create", data={**data, **bad})).status_code == 422
    async with db.reads() as session:
        discount = (await session.scalars(select(Discount))).one()
    assert (discount.target, discount.group_id, discount.percent) == (DiscountTarget.ALL, None, 1000)
    card = (await desk.get(f"/admin/discount/details/{discount.id}")).text
    assert "It reaches 1 customer now." in card and "Country" in card
    form = {"customer": str(customer.id), "product": str(product.id), "_look": "show"}
    look = await desk.post("/admin/discount/action/explain", data=form, headers={"x-fragment": "look"})
    assert "9.00" in look.text and "In Germany" in look.text
    del form["_look"]
    assert (await desk.post("/admin/discount/action/explain", data=form)).status_code == 303
