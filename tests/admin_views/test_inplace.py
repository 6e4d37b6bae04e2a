"""Dictionaries changed where they stand, with the grants and the rules of their forms."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import select

from admin_views.screens import SCREENS
from app import db
from app.models.billing import TaxRate
from app.models.catalog import ProductGroup
from app.models.customers import Attitude, Group
from app.models.messaging import Category
from app.models.staff import Staff
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.generated.routes import form_on

PART = {"x-fragment": "place"}


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


async def test_a_row_is_changed_in_its_place_and_keeps_what_is_not_shown(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        product = await factories.create_product(session)
        group = await factories.create_group(session, name="Resellers", hue=3, may_delete=False)
        category = await factories.create_category(session, name="News", names={"de": "Neues"}, subscribable=True)
    whole = form_on((await desk.get(f"/admin/customer_group/edit/{group.id}")).text, "")
    whole |= {"products": [str(product.id)]}
    assert (await desk.post(f"/admin/customer_group/edit/{group.id}", data=whole)).status_code == 303
    url = f"/admin/customer_group/action/place?pks={group.id}"
    assert url in (await desk.get("/admin/customer_group/list")).text
    part = (await desk.get(url, headers=PART)).text
    assert "<html" not in part and 'name="hue"' in part and 'name="products"' not in part
    form = form_on(part, "/admin/customer_group/action/place") | {"name": ["Partners"], "hue": ["5"]}
    made = await desk.post("/admin/customer_group/action/place", data=form, headers=PART)
    assert made.json() == {"id": str(group.id), "text": "Partners", "said": "Saved."}
    async with db.reads() as session:
        now = await session.get_one(Group, group.id, options=[])
        assert (now.name, now.hue, now.may_delete) == ("Partners", 5, False)
    assert str(product) in (await desk.get(f"/admin/customer_group/edit/{group.id}")).text
    stale = await desk.post("/admin/customer_group/action/place", data=form)
    assert stale.status_code == 422 and "Somebody else has changed this" in stale.text
    page = (await desk.get(f"/admin/message_category/action/place?pks={category.id}")).text  # without scripts: a page
    form = form_on(page, "/admin/message_category/action/place") | {"name": ["Letters"]}
    assert (await desk.post("/admin/message_category/action/place", data=form)).status_code == 303
    async with db.reads() as session:
        kept = await session.get_one(Category, category.id)
        assert (kept.name, kept.names, kept.subscribable) == ("Letters", {"de": "Neues"}, True)


async def test_a_row_is_added_below_its_list_and_beside_a_look_up(desk: httpx.AsyncClient) -> None:
    assert "data-place-add" not in (await desk.get("/admin/customer/list")).text
    async with db.unit() as session:
        await factories.create_attitude(session, name="Loyal")
    assert 'href="/admin/attitude/action/add"' in (await desk.get("/admin/attitude/list")).text
    assert 'data-place-new="/admin/attitude/action/add"' in (await desk.get("/admin/customer/create")).text
    made = await desk.post("/admin/attitude/action/add", data={"name": "Kind", "hue": "4"}, headers=PART)
    assert made.json()["text"] == "Kind" and made.json()["id"].isdecimal()
    wrong = await desk.post("/admin/attitude/action/add", data={"name": "", "hue": "9"}, headers=PART)
    assert wrong.status_code == 422 and 'aria-invalid="true"' in wrong.text and "<html" not in wrong.text
    taken = await desk.post("/admin/attitude/action/add", data={"name": "Kind", "hue": "4"}, headers=PART)
    assert taken.status_code in (409, 422)
    for screen in ("customer_group", "message_category", "payment_method", "product_group"):
        form = form_on((await desk.get(f"/admin/{screen}/action/add")).text, f"/admin/{screen}/action/add")
        made = await desk.post(f"/admin/{screen}/action/add", data=form | {"name": ["A new one"]})
        assert made.status_code == 303, screen
    rate = {"name": "Reduced", "country": "DE", "rate": "7", "valid_from": "2026-01-01"}
    assert (await desk.post("/admin/tax_rate/action/add", data=rate)).status_code == 303
    async with db.reads() as session:
        assert [a.hue for a in await session.scalars(select(Attitude).where(Attitude.name == "Kind"))] == [4]
        assert [r.rate for r in await session.scalars(select(TaxRate))] == [700]


async def test_in_its_place_the_same_grants_are_asked(owner: Staff, sign_in: SignIn) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        group = await factories.create_product_group(session, name="Servers")
    url, add = f"/admin/product_group/action/place?pks={group.id}", "/admin/product_group/action/add"
    look = [("product_group", "list"), ("product", "*")]
    for n, (grants, may) in enumerate(((look, ""), ([*look, ("product_group", "edit")], "place"),
                                       ([*look, ("product_group", "create")], "add"))):  # fmt: skip
        browser = await sign_in(await create_staff(grants, username=f"person{n}"))
        html = (await browser.get("/admin/product_group/list")).text
        assert ("/action/place?" in html, "/action/add" in html) == (may == "place", may == "add")
        assert ("data-place-new" in (await browser.get("/admin/product/create")).text) is (may == "add")
        assert (await browser.get(url)).status_code == (200 if may == "place" else 403)
        assert (await browser.post(add, data={"name": f"By {n}"})).status_code == (303 if may == "add" else 403)
    limited = await create_staff([("*", "*")], username="limited", projects=(project,))
    browser = await sign_in(limited)
    assert (await browser.get(url)).status_code == 403 and (await browser.get(add)).status_code == 403
    assert "data-place-new" not in (await browser.get("/admin/product/create")).text
    async with db.reads() as session:
        assert set(await session.scalars(select(ProductGroup.name))) == {"Servers", "By 2"}


def test_every_dictionary_says_what_is_changed_in_its_place() -> None:
    placed = {view.identity for view in SCREENS if view.in_place}
    assert placed >= {"attitude", "message_category", "customer_group", "product_group", "payment_method", "tax_rate"}
    for view in SCREENS:
        assert set(view.in_place) <= {re.sub(r"_id$", "", str(name)) for name in view.form_columns}, view.identity
