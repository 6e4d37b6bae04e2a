"""Customers as staff meet them: find, register, change, delete, pin."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.db import Base
from app.models.audit import Audit
from app.models.customers import Customer
from app.models.jobs import Job
from app.models.projects import Project
from app.models.users import User
from tests import factories

REGISTER = "/admin/customer/create"


@pytest.fixture
async def project(database: str) -> Project:
    async with db.unit() as session:
        return await factories.create_project(session, name="Nordhost")


async def the(model: type[Base], **where: object) -> object:
    async with db.reads() as session:
        return (await session.scalars(select(model).filter_by(**where))).one()


async def number(model: type[Base]) -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


def entries(project: Project, /, **more: str) -> dict[str, str]:
    return {
        "name": "Bäckerei Grünwald GmbH", "project": str(project.id), "kind": "company",
        "email": "info@gruenwald.example", "country": "DE", "language": "de", "contact_person": "Martina Grünwald",
    } | more  # fmt: skip


async def test_registering_makes_customer_user_and_audit(desk: httpx.AsyncClient, project: Project) -> None:
    answer = await desk.post(REGISTER, data=entries(project, password="long enough 1", password_again="long enough 1"))
    assert answer.status_code == 303, answer.text
    customer = await the(Customer, email="info@gruenwald.example")
    assert answer.headers["location"] == f"/admin/customer/details/{customer.id}"
    user = await the(User, username="info@gruenwald.example")
    assert user.password_hash.startswith("$argon2id$")
    row = await the(Audit, noun="customer", action="create")
    assert row.staff_id is not None and row.customer_id is None


async def test_a_password_that_is_left_empty_makes_a_user_who_cannot_sign_in_yet(
    desk: httpx.AsyncClient, project: Project
) -> None:
    answer = await desk.post(REGISTER, data=entries(project, password="", password_again=""))
    assert answer.status_code == 303, "as a browser sends it"
    user = await the(User, username="info@gruenwald.example")
    assert not user.password_hash


async def test_the_list_shows_name_with_user_name(desk: httpx.AsyncClient, project: Project) -> None:
    await desk.post(REGISTER, data=entries(project, username="gruenwald"))
    page = (await desk.get("/admin/customer/list")).text
    assert "Bäckerei Grünwald GmbH" in page and "(<bdi>gruenwald</bdi>)" in page


async def test_welcome_leaves_a_job(desk: httpx.AsyncClient, project: Project) -> None:
    await desk.post(REGISTER, data=entries(project, send_welcome="y"))
    assert (await the(Job, name="customers.welcome")) is not None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("email", "not an address", "e-mail"),
        ("country", "XX", "valid choice"),
        ("name", "", "required"),
        ("name", "x" * 201, "200"),
        ("name", "a\0b", "cannot be stored"),
        ("project", "999", "from the list"),
        ("project", "abc", "from the list"),
        ("project", "9" * 40, "from the list"),
        ("password", "short", "between 8 and 200"),
        ("password_again", "different", "differ"),
        ("vat_number", "DE123", "VAT"),
        ("kind", "robot", "valid choice"),
    ],
)
async def test_bad_entries_are_told_at_the_field_and_nothing_is_lost(
    desk: httpx.AsyncClient, project: Project, field: str, value: str, says: str
) -> None:
    answer = await desk.post(REGISTER, data=entries(project, **{field: value}))
    assert answer.status_code == 422, answer.headers
    assert says.lower() in answer.text.lower()
    assert "Martina Grünwald" in answer.text, "what was typed is still there"
    assert await number(Customer) == 0 and await number(User) == 0


async def test_a_taken_user_name_is_refused_and_a_taken_email_only_warned_of(
    desk: httpx.AsyncClient, project: Project
) -> None:
    await desk.post(REGISTER, data=entries(project))
    again = await desk.post(REGISTER, data=entries(project))
    assert again.status_code == 422 and "taken" in again.text
    other = await desk.post(REGISTER, data=entries(project, username="second"), follow_redirects=True)
    assert other.status_code == 200 and "is the same as that of" in other.text
    assert await number(Customer) == 2


async def test_editing_changes_every_field_and_two_editors_do_not_overwrite_each_other(
    desk: httpx.AsyncClient, project: Project
) -> None:
    await desk.post(REGISTER, data=entries(project))
    customer = await the(Customer)
    url = f"/admin/customer/edit/{customer.id}"
    first = await desk.post(url, data=entries(project, note="prompt payer", director="M. G.", version="1"))
    assert first.status_code == 303, first.text
    assert (await the(Customer)).note == "prompt payer"
    second = await desk.post(url, data=entries(project, note="lost?", version="1"))
    assert second.status_code == 422 and "Somebody else has saved" in second.text
    assert "lost?" in second.text and "prompt payer" in second.text, "both are there to compare"
    assert (await the(Customer)).note == "prompt payer"
    knowingly = await desk.post(url, data=entries(project, note="mine", version="2"))
    assert knowingly.status_code == 303 and (await the(Customer)).note == "mine"


async def test_saving_an_unchanged_form_changes_and_audits_nothing(desk: httpx.AsyncClient, project: Project) -> None:
    await desk.post(REGISTER, data=entries(project))
    before, rows = await the(Customer), await number(Audit)
    moment = before.registered_at.strftime("%Y-%m-%dT%H:%M")
    saved = await desk.post(
        f"/admin/customer/edit/{before.id}", data=entries(project, status="new", registered_at=moment, version="1")
    )
    assert saved.status_code == 303
    assert (await the(Customer)).registered_at == before.registered_at
    assert await number(Audit) == rows


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [("registration_ip", "300.1.1.1", "IP"), ("registered_at", "yesterday", "date"), ("status", "closed", "")],
)
async def test_editing_refuses_what_cannot_be_or_moves_the_status(
    desk: httpx.AsyncClient, project: Project, field: str, value: str, says: str
) -> None:
    await desk.post(REGISTER, data=entries(project))
    customer = await the(Customer)
    answer = await desk.post(
        f"/admin/customer/edit/{customer.id}", data=entries(project, **{"status": "new", field: value, "version": "1"})
    )
    assert answer.status_code == (422 if says else 303)
    assert says in answer.text
    assert (await the(Customer)).status == ("new" if says else "closed")


async def test_deleting_says_what_is_attached_and_refuses_while_services_run(
    desk: httpx.AsyncClient, project: Project
) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, project=project)
        await factories.create_service(session, customer=customer)
    url = f"/admin/customer/action/delete?pks={customer.id}"
    page = (await desk.get(url)).text
    assert "cannot be deleted" in page and "Services" in page
    refused = await desk.post("/admin/customer/action/delete", data={"pks": str(customer.id)})
    assert refused.status_code == 422 and await number(Customer) == 1
    async with db.unit() as session:
        free = await factories.create_customer(session, project=project)
    gone = await desk.post("/admin/customer/action/delete", data={"pks": str(free.id)})
    assert gone.status_code == 303 and await number(Customer) == 1


async def test_a_pinned_customer_narrows_every_screen_until_it_is_removed(
    desk: httpx.AsyncClient, project: Project
) -> None:
    async with db.unit() as session:
        one = await factories.create_customer(session, project=project, name="Pinned One")
        two = await factories.create_customer(session, project=project, name="Other Two")
        for customer, name in ((one, "srv-one"), (two, "srv-two")):
            await factories.create_service(session, customer=customer, name=name)
            await factories.create_user(session, customer=customer, username=f"login-{name}")
    pinned = await desk.post("/admin/customer/action/pin", data={"pks": str(one.id)})
    assert pinned.headers["location"] == f"/admin/customer/list?pin={one.id}"
    await desk.get(pinned.headers["location"])
    services, users = (await desk.get("/admin/service/list")).text, (await desk.get("/admin/user/list")).text
    assert "srv-one" in services and "srv-two" not in services and "Pinned One" in services
    assert "login-srv-one" in users and "login-srv-two" not in users
    assert "Nordhost" in (await desk.get("/admin/project/list")).text, "a screen without customers stays whole"
    await desk.post("/admin/unpin", data={"next": f"/admin/service/list?pin={one.id}"})
    assert "srv-two" in (await desk.get("/admin/service/list")).text


async def test_the_filter_form_finds_by_every_named_field(desk: httpx.AsyncClient, project: Project) -> None:
    async with db.unit() as session:
        group = await factories.create_group(session, name="Resellers")
        found = await factories.create_customer(session, project=project, name="Jörg Köhler", groups=[group])
        await factories.create_customer(session, project=project, name="Anna Schmidt")
        await factories.create_service(session, customer=found, status="active")
        await factories.create_user(session, customer=found, username="kohl")
    for query in (
        f"id.is={found.id}", "account_name.contains=KOHLER", "account_name.contains=kohl", f"group.in={group.id}",
        "active_items.is=true", f"project.in={project.id}&name.contains=jorg", "name.contains=&active_items.is=yes",
        "search=kohler", "filter=" + '{"any":[{"field":"name","op":"is","value":"Jörg Köhler"}]}',
    ):  # fmt: skip
        page = (await desk.get(f"/admin/customer/list?{query}")).text
        assert "Jörg Köhler" in page and "Anna Schmidt" not in page, query
        assert "Remove filter" in page


async def test_projects_notes_groups_and_responsible_stand_on_the_card(
    desk: httpx.AsyncClient, project: Project
) -> None:
    async with db.unit() as session:
        group = await factories.create_group(session, name="Resellers")
        customer = await factories.create_customer(session, project=project, groups=[group])
    written = await desk.post(
        "/admin/customer/action/note", data={"pks": str(customer.id), "text": "Never call before nine", "sticky": "y"}
    )
    assert written.status_code == 303
    page = (await desk.get(f"/admin/customer/details/{customer.id}")).text
    assert "Never call before nine" in page and "Resellers" in page and "Nordhost" in page
    for tab in ("user", "payer", "service", "delivery", "ticket", "note", "audit"):
        assert (await desk.get(f"/admin/customer/details/{customer.id}?tab={tab}")).status_code == 200
