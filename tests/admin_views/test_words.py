"""What people read in place of what is stored: amounts in edits, names of tables, places, who is meant, doubts."""

from __future__ import annotations

import html
import re

import httpx
import pytest
from sqlalchemy import select

from admin_views import audit
from admin_views.customers.summary import local_time
from admin_views.screens import SCREENS
from app import db
from app.db import Base
from app.domain import catalog
from app.i18n import speaking
from app.models.audit import Audit
from app.models.catalog import Service
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff
from app.observe import Actor, Kind, acting
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff


@pytest.fixture
async def project(database: str) -> Project:
    async with db.unit() as session:
        return await factories.create_project(session, name="Nordhost")


@pytest.fixture
async def customer(project: Project) -> Customer:
    async with db.unit() as session:
        return await factories.create_customer(session, project=project, name="Bäckerei Grünwald")


async def change(owner: Staff, service: Service, **values: object) -> None:
    with acting(Actor(Kind.STAFF, owner.id)):
        async with db.unit() as session:
            theirs = await session.get(Service, service.id)
            assert theirs is not None
            await catalog.save_service(session, service=theirs, values=values)


def events(page: httpx.Response) -> list[str]:
    found = re.findall(r'<li class="event">.*?</li>', page.text, re.S)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", e)).split()) for e in found]


async def test_edits_of_amounts_say_both_in_the_currency_of_then(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff
) -> None:
    async with db.unit() as session:
        service = await factories.create_service(session, customer=customer, price=1290, currency="EUR")
    await change(owner, service, price=129000)
    await change(owner, service, price=99, currency="JPY")
    await change(owner, service, price=100)
    told = " | ".join(events(await desk.get(f"/admin/customer/details/{customer.id}?kind=change")))
    assert "Price: 12.90 EUR → is now 1,290.00 EUR" in told, told
    assert "Price: 1,290.00 EUR → is now 99 JPY" in told and "Price: 99 JPY → is now 100 JPY" in told


async def test_amounts_are_for_those_who_may_see_them(customer: Customer, owner: Staff, sign_in: SignIn) -> None:
    async with db.unit() as session:
        service = await factories.create_service(session, customer=customer, price=1290)
    await change(owner, service, price=129000)
    url = f"/admin/customer/details/{customer.id}?kind=change"
    reading = [("customer", "list"), ("customer", "details"), ("audit", "list")]
    told = " | ".join(events(await (await sign_in(await create_staff(reading))).get(url)))
    assert "Price changed" in told and "12.90" not in told
    seeing = await sign_in(await create_staff([*reading, ("service", "details")]))
    assert "1,290.00" in " | ".join(events(await seeing.get(url)))


async def test_amounts_of_what_is_deleted_stay_unsaid(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff
) -> None:
    async with db.unit() as session:
        service = await factories.create_service(session, customer=customer, price=1290)
    await change(owner, service, price=5)
    async with db.unit() as session:
        theirs = await session.get(Service, service.id)
        assert theirs is not None
        await catalog.delete_service(session, service=theirs)
    page = await desk.get(f"/admin/customer/details/{customer.id}?kind=change")
    assert page.status_code == 200 and "12.90" not in page.text


async def test_the_audit_calls_tables_actions_and_fields_by_their_names(
    desk: httpx.AsyncClient, customer: Customer
) -> None:
    async with db.unit() as session:
        await factories.create_ticket(session, customer=customer, subject="No access")
    rows = (await desk.get("/admin/audit/list")).text
    assert ">Ticket message<" in rows and ">ticket_message<" not in rows and ">ticket message<" not in rows
    async with db.reads() as session:
        wanted = select(Audit.id).where(Audit.noun == "customer", Audit.action == "create")
        made = await session.scalar(wanted.order_by(Audit.id.desc()))
    card = (await desk.get(f"/admin/audit/details/{made}")).text
    assert f"<bdi>Customer #{customer.id}: registered</bdi>" in card
    assert '<th scope="row">Account type</th>' in card and "project_id" not in card


def test_names_of_tables_are_of_tables_that_have_no_screen() -> None:
    tables = {m.class_.__tablename__ for m in Base.registry.mappers}
    assert set(audit.NOUNS) - {"demo"} <= tables - {view.identity for view in SCREENS}
    assert audit.word_of("customer") == "Customer" and audit.word_of("campaign_text") == "Text of a campaign"


def test_a_place_is_called_as_the_reader_calls_it() -> None:
    for code, place in {"en": "Moscow", "de": "Moskau", "es": "Moscú", "ru": "Москва"}.items():
        with speaking(code):
            assert local_time("Europe/Moscow").endswith(place), code
    assert local_time("") == "" and local_time("Nowhere/At all") == ""
    assert local_time("America/Argentina/Buenos_Aires").endswith("in Buenos Aires")


async def test_an_action_names_whom_it_is_for(desk: httpx.AsyncClient, project: Project) -> None:
    async with db.unit() as session:
        ids = [(await factories.create_customer(session, project=project, name=f"Person <{n}>")).id for n in range(7)]
    one = (await desk.get(f"/admin/customer/action/suspend?pks={ids[0]}")).text
    assert "Person &lt;0&gt;" in one and "can be opened again" in one
    many = (await desk.get(f"/admin/customer/action/groups?pks={','.join(map(str, ids))}")).text
    assert many.count("Person &lt;") == 5 and "and 2 more" in many


async def test_a_number_that_nobody_can_dial_is_doubted_while_it_is_typed(desk: httpx.AsyncClient) -> None:
    async def ask(**sent: str) -> dict[str, str]:
        answer = await desk.post("/admin/doubts", data=sent)
        assert answer.status_code == 200
        return dict(answer.json())

    assert set(await ask(phone="call Jürgen", country="DE")) == {"phone"}
    assert set(await ask(verified_phone="12", country="DE")) == {"verified_phone"}
    assert await ask(phone="030 23125000", country="DE") == {} and await ask(phone="", country="DE") == {}
    assert await ask(phone="030 23125000", country="") != {} and await ask(name="x") == {}
    form = (await desk.get("/admin/customer/create")).text
    assert 'data-doubt="/admin/doubts"' in form and "doubts.js" in form
    assert "doubts.js" not in (await desk.get("/admin/attitude/create")).text
