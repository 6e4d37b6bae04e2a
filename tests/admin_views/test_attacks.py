"""What an attacker with a sign-in of their own, or with a broken client, tries on the panel."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.models.catalog import Product, ProductProject
from app.models.customers import Note
from app.models.messaging import Campaign
from app.models.staff import Staff
from app.models.users import User
from app.settings import Settings
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.application import application

SQLITE = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


# ---- a file where a text belongs, numbers that no decimal can hold ---------------------------------------------------


@SQLITE
@pytest.mark.parametrize("name", ["name", "project", "registered_at", "version", "password", "groups"])
async def test_a_file_in_the_place_of_a_text_is_refused(desk: httpx.AsyncClient, name: str) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    for url in ("/admin/customer/create", f"/admin/customer/edit/{customer.id}"):
        answer = await desk.post(url, data={"email": "a@example.com"}, files={name: ("a.txt", b"x")})
        assert answer.status_code == 400, (url, answer.status_code)


@SQLITE
@pytest.mark.parametrize("name", ["pks", "all", "query", "text", "_confirmed", "key"])
@pytest.mark.parametrize("button", ["note", "export", "message"])
async def test_a_file_in_the_place_of_a_buttons_field_is_refused(
    desk: httpx.AsyncClient, name: str, button: str
) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    data = {"pks": str(customer.id), "all": "1"} if name == "query" else {"pks": str(customer.id)}
    data.pop(name, None)
    answer = await desk.post(f"/admin/customer/action/{button}", data=data, files={name: ("a.txt", b"x")})
    assert answer.status_code == 400


@SQLITE
@pytest.mark.parametrize("amount", ["1E999999", "-1E999999", "1E-999999", "NaN", "Infinity", "9" * 5000])
async def test_an_amount_that_nobody_can_hold_is_shown_at_its_field(desk: httpx.AsyncClient, amount: str) -> None:
    data = {"name": "P", "price": amount, "setup_fee": "0", "currency": "EUR", "period": "month"}
    answer = await desk.post("/admin/product/create", data=data)
    assert answer.status_code == 422


@SQLITE
async def test_rows_without_an_id_cannot_be_looked_up(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        await factories.create_delivery(session, campaign=await factories.create_campaign(session), customer=customer)
    assert (await desk.get("/admin/delivery/lookup")).status_code == 404


# ---- more than the role gives ----------------------------------------------------------------------------------------


@SQLITE
async def test_the_texts_of_a_template_need_the_grant_to_see_templates(database: str, sign_in: SignIn) -> None:
    async with db.unit() as session:
        template = await factories.create_template(session)
    url = f"/admin/message_template/data/contents?id={template.id}"
    outsider = await sign_in(await create_staff([("attitude", "list")]))
    assert (await outsider.get(url)).status_code == 403
    writer = await sign_in(await create_staff([("message_template", "list")]))
    assert "Hello" in (await writer.get(url)).text


async def test_a_filter_does_not_look_into_screens_that_are_not_granted(database: str, sign_in: SignIn) -> None:
    """Counting the rows of a granted list would else answer any question about the others, letter by letter."""
    async with db.unit() as session:
        attitude = await factories.create_attitude(session)
        customer = await factories.create_customer(session, attitude_id=attitude.id)
        await factories.create_note(session, customer=customer, text="owes us a goat")
    goat = {"field": "notes", "op": "has", "where": {"field": "text", "op": "contains", "value": "goat"}}
    nested = json.dumps({"field": "customers", "op": "has", "where": goat})
    narrow = await sign_in(await create_staff([("attitude", "*"), ("customer", "list"), ("customer", "export")]))
    blind = await sign_in(await create_staff([("attitude", "list")]))
    for browser, screen, asked in (
        (blind, "attitude", {"customers.has": "yes"}), (blind, "attitude", {"customers.count_at_least": "1"}),
        (blind, "attitude", {"filter": json.dumps({"not": {"field": "customers", "op": "has"}})}),
        (narrow, "attitude", {"filter": nested}), (narrow, "customer", {"filter": json.dumps(goat)}),
        (narrow, "customer", {"notes.has_none": "yes"}),
    ):  # fmt: skip
        refused = await browser.get(f"/admin/{screen}/list", params=asked)
        assert refused.status_code == 400 and "There is no field" in refused.text, asked
        assert "<tbody>" not in refused.text and str(attitude) not in refused.text, asked
        drawer = await browser.get(f"/admin/{screen}/filter", params=asked)
        assert drawer.status_code == 200 and "There is no field" in drawer.text, asked
    query = str(httpx.QueryParams({"filter": json.dumps(goat)}))
    exported = await narrow.post("/admin/customer/action/export", data={"all": "1", "query": query, "kind": "csv"})
    assert exported.status_code == 400
    tab = f"/admin/attitude/details/{attitude.id}"
    assert (await narrow.get(tab, params={"tab": "customer", "notes.has": "yes"})).status_code == 400
    seeing = await sign_in(await create_staff([(s, "list") for s in ("attitude", "customer", "note")]))
    assert str(attitude) in (await seeing.get("/admin/attitude/list", params={"filter": nested})).text
    refused = await narrow.get("/admin/attitude/list", params={"filter": nested})
    assert str(attitude) not in refused.text, "what was answered to others stays theirs"
    assert (await narrow.get("/admin/attitude/list", params={"customers.has": "yes"})).status_code == 200


@SQLITE
async def test_a_product_stays_in_the_projects_that_its_editor_does_not_see(database: str, sign_in: SignIn) -> None:
    async with db.unit() as session:
        mine, foreign = [await factories.create_project(session) for _n in range(2)]
        product = await factories.create_product(session)
        session.add_all(ProductProject(product_id=product.id, project_id=p.id) for p in (mine, foreign))
    browser = await sign_in(await create_staff([("product", "*")], projects=(mine,)))
    url = f"/admin/product/edit/{product.id}"
    page = (await browser.get(url)).text
    assert f'name="projects" value="{mine.id}"' in page and f'name="projects" value="{foreign.id}"' not in page
    data = {"name": "Renamed", "price": "1", "setup_fee": "0", "currency": "EUR", "period": "month", "enabled": "y"}
    for chosen in ([str(mine.id)], []):
        fresh = re.search(r'name="version" value="(\d+)"', (await browser.get(url)).text)
        assert fresh is not None
        answer = await browser.post(url, data={**data, "version": fresh[1], "projects": chosen})
        assert answer.status_code == 422 and "All projects share this." in answer.text
        async with db.reads() as session:
            rows = await session.scalars(select(ProductProject.project_id))
            assert set(rows) == {mine.id, foreign.id}
            assert await session.scalar(select(Product.name).where(Product.id == product.id)) == product.name


# ---- files of customers ----------------------------------------------------------------------------------------------


async def test_a_customers_file_is_neither_found_nor_sent_to_others(desk: httpx.AsyncClient, owner: Staff) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        other = await factories.create_customer(session, project_id=customer.project_id)
        category = await factories.create_category(session)
        private = await factories.create_attachment(session, name="passport.pdf", customer_id=customer.id)
        ours = await factories.create_attachment(session, name="price list.pdf", staff_id=owner.id)
    found = (await desk.get("/admin/attachment/lookup")).json()["results"]
    assert [r["id"] for r in found] == [str(ours.id)]
    data = {
        "pks": str(other.id), "category": str(category.id), "subject_en": "Hello", "body_en": "Hello", "key": "k" * 20,
        "default_language": "en", "channels": "inbox", "policy": "resend", "_confirmed": "1",
    }  # fmt: skip
    answer = await desk.post("/admin/customer/action/message", data={**data, "used_files": str(private.id)})
    assert answer.status_code == 422
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Campaign)) == 0
    answer = await desk.post("/admin/customer/action/message", data={**data, "used_files": str(ours.id)})
    assert answer.status_code == 303, answer.text


# ---- many at once ----------------------------------------------------------------------------------------------------


async def test_no_request_holds_two_connections(
    database: str, settings: Settings, owner: Staff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else as many presses at once as there are connections wait for each other, and everybody with them."""
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        category = await factories.create_category(session)
        ticket = await factories.create_ticket(session, customer=customer)
    await db.dispose()
    db.configure(database, pool_size=1, max_overflow=0, pool_timeout=3)
    app = application(settings)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    headers = {"sec-fetch-site": "same-origin", "accept": "text/html"}
    async with httpx.AsyncClient(transport=transport, base_url="http://desk.test", headers=headers) as browser:
        signed_in = await browser.post("/login", data={"username": owner.username, "password": "correct horse battery"})
        assert signed_in.status_code == 303
        note = {"pks": str(customer.id), "text": "Called."}
        answers = await asyncio.gather(
            *(browser.post("/admin/customer/action/note", data=note) for _ in range(4)),
            *(browser.get("/admin/customer/list") for _ in range(4)),
        )
        assert {a.status_code for a in answers} == {200, 303}
        message = {
            "pks": str(customer.id), "category": str(category.id), "subject_en": "Hi", "body_en": "Hi", "key": "k" * 20,
            "default_language": "en", "channels": "inbox", "policy": "resend",
        }  # fmt: skip
        one = "/admin/customer/action/message"
        confirm = await browser.post(one, data=message, files={"files": ("a.txt", b"x")})
        assert confirm.status_code == 200
        used = re.search(r'name="used_files" value="(\d+)"', confirm.text)
        assert used is not None
        sent = await browser.post(one, data={**message, "used_files": used[1], "_confirmed": "1"})
        assert sent.status_code == 303
        broken = await browser.post(one, data={**message, "body_en": "{{ nothing }}"})
        assert broken.status_code == 422
        deleting = f"/admin/customer/action/delete?pks={customer.id}"
        assert (await browser.get(deleting)).status_code == 200
        pressed = {"pks": str(ticket.id), "text": "Yes."}
        assert (await browser.post("/admin/ticket/action/answer", data=pressed)).status_code == 303
        for path in ("/admin/", f"/admin/customer/details/{customer.id}", f"/admin/customer/edit/{customer.id}"):
            assert (await browser.get(path)).status_code == 200
        exported = await browser.post("/admin/customer/action/export", data={"all": "1", "kind": "csv"})
        assert exported.status_code == 200 and customer.name in exported.text
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Note)) == 4


# ---- users of customers ----------------------------------------------------------------------------------------------


@SQLITE
async def test_a_user_is_edited_but_never_carried_into_another_project(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        elsewhere = await factories.create_project(session)
        user = await factories.create_user(session, customer=customer, username="ada")
    url = f"/admin/user/edit/{user.id}"
    version = re.search(r'name="version" value="(\d+)"', (await desk.get(url)).text)
    assert version is not None
    data = {
        "username": "ada", "full_name": "Ada L.", "email": "ada@example.com", "language": "en", "enabled": "y",
        "version": version[1], "password": "longpassword1", "password_again": "longpassword1",
    }  # fmt: skip
    saved = await desk.post(url, data={**data, "project": str(elsewhere.id)})
    assert saved.status_code == 303, saved.text
    async with db.reads() as session:
        after = await session.get_one(User, user.id)
    assert (after.full_name, after.project_id) == ("Ada L.", user.project_id)
