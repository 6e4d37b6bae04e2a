"""Roles of users in the panel, and the roles that a customer has made."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.models.users import CustomerRole, UserCustomer, UserRole
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


async def test_staff_make_a_role_for_a_customer_and_give_it(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        customer = await factories.create_customer(session, project=project)
        other = await factories.create_customer(session, project=project)
        await factories.create_user(session, customer=customer)
        user = await factories.create_user(session, customer=customer, role=UserRole.READ_ONLY)
        foreign = await factories.create_customer_role(session, customer=other)
        await factories.create_confirmation(session, customer=customer, value="waits@new.example")
    make = "/admin/customer/action/own_role"
    given = {"pks": str(customer.id), "name": "<b>Desk</b>", "rights": ["write", "services"]}
    assert (await desk.post(make, data=given)).status_code == 303
    async with db.reads() as session:
        role = (await session.scalars(select(CustomerRole).where(CustomerRole.customer_id == customer.id))).one()
    tab = (await desk.get(f"/admin/customer/details/{customer.id}?tab=user")).text
    assert "&lt;b&gt;Desk&lt;/b&gt;" in tab and "<b>Desk" not in tab and "waits@new.example" in tab
    assert 'value="&lt;b&gt;Desk' in (await desk.get(f"{make}?pks={customer.id}&role={role.id}")).text
    assert (await desk.get(f"{make}?pks={customer.id}&role={foreign.id}")).status_code == 404
    serve = "/admin/user/action/serve"
    assert f'value="own-{role.id}"' in (await desk.get(f"{serve}?pks={user.id}")).text

    async def give(word: str, customer_id: int = customer.id) -> int:
        sent = {"pks": str(user.id), "customer": str(customer_id), "role": word, "receives": "y"}
        return (await desk.post(serve, data=sent)).status_code

    assert await give(f"own-{foreign.id}") == 422
    assert await give("owner", other.id) == 422
    assert await give("out") in (409, 422), "the only account of a login"
    assert await give(f"own-{role.id}") == 303
    async with db.reads() as session:
        link = await session.get_one(UserCustomer, (user.id, customer.id))
        assert (link.role, link.own_role_id, link.receives) == (UserRole.READ_ONLY, role.id, True)
    assert "&lt;b&gt;Desk" in (await desk.get(f"/admin/user/details/{user.id}")).text
    refused = await desk.post(make, data=given | {"role": str(role.id), "remove": "y"})
    assert refused.status_code in (409, 422), "somebody has it"
    assert await give("finance") == 303
    assert (await desk.post(make, data=given | {"role": str(role.id), "remove": "y"})).status_code == 303


async def test_staff_of_one_project_do_not_meet_the_roles_of_another(sign_in: SignIn) -> None:
    async with db.unit() as session:
        mine, theirs = [await factories.create_project(session) for _n in range(2)]
        customer = await factories.create_customer(session, project=theirs)
        user = await factories.create_user(session, customer=customer)
        role = await factories.create_customer_role(session, customer=customer, name="Hidden")
    browser = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    make, serve = "/admin/customer/action/own_role", "/admin/user/action/serve"
    for url in (f"{make}?pks={customer.id}&role={role.id}", f"{serve}?pks={user.id}"):
        answer = await browser.get(url)
        assert answer.status_code == 404 and "Hidden" not in answer.text
    gone = {"pks": str(customer.id), "role": str(role.id), "name": "X", "remove": "y"}
    assert (await browser.post("/admin/customer/action/own_role", data=gone)).status_code == 404
    async with db.reads() as session:
        assert (await session.scalars(select(CustomerRole.name))).all() == ["Hidden"]
