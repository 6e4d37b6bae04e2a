"""What all projects share: staff who are limited to some look at it and change nothing, whichever way they come."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import selectinload

from app import db
from app.domain import catalog
from app.domain.staff import save_role
from app.errors import Forbidden, Invalid
from app.models.catalog import Product, ProductProject
from app.models.customers import Attitude, Group
from app.models.staff import Role, Staff
from app.observe import Actor, Kind, acting
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff


@pytest.fixture
def engine_name() -> str:
    """Nothing here depends on the database."""
    return "sqlite"


async def test_whoever_is_limited_looks_and_changes_nothing(owner: Staff, sign_in: SignIn) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Mine")
        attitude = await factories.create_attitude(session, name="Loyal")
        group = await factories.create_group(session, name="Resellers")
        customer = await factories.create_customer(session, project=project)
    limited = await create_staff([("*", "*")], projects=(project,), username="limited")
    browser = await sign_in(limited)
    page = (await browser.get("/admin/attitude/list")).text
    assert "Loyal" in page and "All projects share this" in page and "/admin/attitude/create" not in page
    assert (await browser.get(f"/admin/attitude/details/{attitude.id}")).status_code == 200
    edit = f"/admin/attitude/edit/{attitude.id}"
    for answer in (await browser.get(edit), await browser.post(edit, data={"name": "Mean", "hue": "1", "icon": ""}),
                   await browser.post("/admin/customer_group/action/delete", data={"pks": str(group.id)})):  # fmt: skip
        assert answer.status_code == 403 and "All projects share this" in answer.text
    put = await browser.post("/admin/customer/action/groups", data={"pks": str(customer.id), "groups": str(group.id)})
    assert put.status_code == 303  # a membership is the customer's
    assert "Loyal" in (await (await sign_in(owner)).get("/admin/attitude/list")).text
    card = await (await sign_in(owner)).get(f"/admin/staff/details/{limited.id}")
    assert "Only Mine" in card.text and "not to change" in card.text


async def test_the_database_session_refuses_it_too(database: str) -> None:
    async with db.unit() as session:
        mine, other = [await factories.create_project(session) for _n in "ab"]
        attitude = await factories.create_attitude(session, name="Loyal")
        group = await factories.create_group(session)
        role = await factories.create_role(session, name="Small", grants=[("customer", "list")])
        staff = await factories.create_staff(session, role=role, projects=(mine,))
        everywhere, elsewhere, own = [await factories.create_product(session, name=n) for n in ("A", "B", "C")]
        session.add_all([ProductProject(product_id=elsewhere.id, project_id=p.id) for p in (mine, other)])
        session.add(ProductProject(product_id=own.id, project_id=mine.id))
    group_id = group.id
    who = Actor(Kind.STAFF, staff.id, projects=frozenset({mine.id}))

    async def refused(work: object) -> None:
        with pytest.raises(Forbidden):
            async with db.unit() as session:
                await work(session)  # type: ignore[operator]

    async def rename(session: db.AppSession) -> None:
        (await session.get_one(Attitude, attitude.id)).name = "Mean"  # type: ignore[misc]

    async def remove(session: db.AppSession) -> None:
        await session.delete(await session.get(Group, group_id))  # type: ignore[misc]

    async def change(product: Product, **more: object) -> None:
        async with db.unit() as session:
            row = await session.get_one(
                Product, product.id, options=[selectinload(Product.projects), selectinload(Product.prices)]
            )
            await catalog.save_product(session, values={"name": "New"}, product=row, **more)  # type: ignore[arg-type]

    with acting(who):
        await refused(rename)
        await refused(remove)
        await refused(lambda s: save_role(s, name="Mine", grants=[("customer", "list")]))
        for product in (everywhere, elsewhere):
            with pytest.raises(Forbidden):
                await change(product)
        with pytest.raises(Invalid):
            await change(own, projects=[])
        await change(own)
        await change(own, projects=[mine.id])
    async with db.reads() as session:
        assert (await session.get_one(Attitude, attitude.id)).name == "Loyal"
        assert await session.get(Group, group_id) is not None and str(await session.get_one(Role, role.id)) == "Small"
