"""What a visit never loses: its banner, both names in every line that is written; and what closes it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain import impersonation
from app.errors import Conflict
from app.models.audit import Audit
from app.models.billing import InvoiceStatus
from app.models.customers import Customer, CustomerStatus
from app.models.projects import Project
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import StaffProject
from app.models.users import User
from app.observe import Actor, Kind, acting, set_up_logging
from app.web.client import HANDLERS, queries
from app.web.client.access import TABLE, Visit
from app.web.guard import SAFE
from tests import factories
from tests.web.helpers import People, Site, sign_in
from tests.web.test_visits import enter

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)

BANNER = ("Ada Lovelace", "Grace Hopper", "30 min", 'action="/client/leave"')


@pytest.fixture
async def visiting(grace: httpx.AsyncClient, people: People) -> AsyncIterator[httpx.AsyncClient]:
    await enter(grace, people, may_act=True)
    yield grace


def has_banner(answer: httpx.Response) -> bool:
    return all(word in answer.text for word in BANNER)


async def test_the_banner_stands_on_errors_too(
    visiting: httpx.AsyncClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_what: object, **_more: object) -> None:
        raise RuntimeError("SELECT secret")

    asked = [
        (403, await visiting.post("/client/logout")),
        (404, await visiting.get("/client/nowhere")),
        (404, await visiting.get("/client/invoices/999999")),
        (405, await visiting.post("/client/services")),
        (413, await visiting.post("/client/profile", content=b"x" * 2_000_000)),
        (422, await visiting.post("/client/tickets/new", data={"text": ""})),
        (400, await visiting.post("/client/profile", content=b"<xml/>", headers={"content-type": "text/xml"})),
    ]
    monkeypatch.setattr(queries, "count_unread", breaks)
    asked.append((500, await visiting.get("/client/services")))
    for status, answer in asked:
        assert answer.status_code == status, (status, answer.status_code, answer.url)
        assert has_banner(answer), (status, answer.url)
        assert "SELECT secret" not in answer.text
    told = await visiting.get("/client/nowhere", headers={"accept": "application/json"})
    assert told.json()["error"] and told.status_code == 404


async def test_nothing_of_the_account_is_shown_without_the_banner(visiting: httpx.AsyncClient, people: People) -> None:
    """Every page has it; what is no page of ours is a download, never opened in the window."""
    async with db.unit() as session:
        account = await factories.create_account(session, customer=people.customer, balance=10_000)
        invoice = await factories.create_invoice(
            session, account=account, status=InvoiceStatus.ISSUED, number="7", issued_on=utcnow().date(),
            due_on=utcnow().date(), sides={"payer": {"name": "Ada", "email": ""}, "seller": {"name": "North"}},
        )  # fmt: skip
        campaign = await factories.create_campaign(session, texts={"en": ("Hello", "Text")})
        await factories.create_delivery(
            session, campaign=campaign, customer=people.customer, state="sent", sent_at=utcnow()
        )
    keys = {"/client/invoices/": invoice.id, "/client/messages/": campaign.id}
    seen = {"page": 0, "file": 0}
    for handler in HANDLERS:
        if not {str(m) for m in handler.http_methods} <= SAFE | {"OPTIONS"} or handler.name == "client.message.body":
            continue
        for path in handler.paths:
            key = next((v for start, v in keys.items() if path.startswith(start)), 1)
            answer = await visiting.get(re.sub(r"{\w+:str}", str(key), path))
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert has_banner(answer), (path, answer.status_code)
                seen["page"] += 1
            elif answer.status_code == 200:
                assert answer.headers["content-disposition"].startswith("attachment"), path
                seen["file"] += 1
    assert seen["page"] > 15 and seen["file"] >= 1, seen
    body = f"/client/messages/{campaign.id}/body"
    assert (await visiting.get(body, headers={"sec-fetch-dest": "iframe"})).status_code == 200
    alone = await visiting.get(body, headers={"sec-fetch-dest": "document"})
    assert alone.headers["location"] == f"/client/messages/{campaign.id}"


async def test_every_line_that_is_written_names_both(
    visiting: httpx.AsyncClient, people: People, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_what: object, **_more: object) -> None:
        raise RuntimeError("broken")

    set_up_logging()
    async with db.reads() as session:
        last = (await session.scalars(select(Audit.id).order_by(Audit.id.desc()).limit(1))).one()
    await visiting.post("/client/tickets/new", data={"subject": "For them", "text": "Hello"})
    monkeypatch.setattr(queries, "count_unread", breaks)
    await visiting.get("/client/services")
    await visiting.post("/client/leave")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    mine = [line for line in lines if line["log"].startswith("bursar")]
    assert any("failed" in line["message"] for line in mine)
    for line in mine:
        assert (line["staff"], line["customer"]) == (people.staff.id, people.customer.id), line
        assert "user" not in line and line["request"]
    async with db.reads() as session:
        rows = (await session.scalars(select(Audit).where(Audit.id > last))).all()
        assert len(rows) >= 3
        assert {(r.kind.value, r.staff_id, r.user_id, r.customer_id) for r in rows} == {
            ("staff", people.staff.id, None, people.customer.id)
        }


async def test_what_was_changed_meanwhile_is_told_to_the_customer(visiting: httpx.AsyncClient, people: People) -> None:
    async def lines() -> list[tuple[str, bool]]:
        async with db.reads() as session:
            with acting(Actor(Kind.SYSTEM)):
                return [(v.staff, v.changed) for v in await queries.visits(session, people.customer.id)]

    assert await lines() == [("Grace Hopper", False)]
    await visiting.post("/client/tickets/new", data={"subject": "For them", "text": "Hello", "category": ""})
    await visiting.post("/client/leave")
    async with db.unit() as session:
        (await session.get_one(Project, people.project.id)).name = "Northwind"  # by somebody else
    assert await lines() == [("Grace Hopper", True)]
    async with db.unit() as session:
        (await session.get_one(Project, people.project.id)).visits_shown = False
    assert await lines() == []


# ---- what stays closed ----------------------------------------------------------------------------------------------

CLOSED = re.compile(
    r"password|email|factor|totp|passkey|token|security|session|payer|method|delet|invit|role|user\.|door\.|phone|join"
    r"|recover|api|subscription|consent|export|confirm|type|language|log(in|out)|account"
)
WRITES = {
    h.name for h in HANDLERS if not {str(m) for m in h.http_methods} <= SAFE | {"OPTIONS"}
}  # fmt: skip


def test_the_table_closes_what_staff_never_do(engine_name: str) -> None:
    """By its name: a new route of that kind is closed too, or fails here."""
    found = {name for name in WRITES if CLOSED.search(name.removeprefix("client."))}
    assert len(found) > 20
    assert {name for name in found if TABLE[name].visit is not Visit.NEVER} == set()
    assert all(TABLE[name].visit is not Visit.SEE for name in WRITES - {"client.leave"})


async def test_an_acting_visit_leaves_every_way_in_as_it_is(visiting: httpx.AsyncClient, people: People) -> None:
    """It posts what would change e-mail, password and the rest to every route, also as fields that no form has."""
    before = await _ways_in()
    page = (await visiting.get("/client/profile")).text
    version = re.findall(r'name="version"[^>]*value="(\d+)"', page)
    forged = {
        "name": "Ada King", "contact_person": "", "phone": "+4930123456", "language": "", "timezone": "",
        "version": version[0] if version else "1", "email": "grace@evil.test", "username": "grace2",
        "password": "another one 12", "new": "another one 12", "again": "another one 12", "old": "x", "role": "owner",
        "kind": "company", "vat_number": "DE136695976", "status": "closed", "customer_id": str(people.other.id),
        "customer": str(people.other.id), "project_id": "1", "user_id": "1", "verified_phone": "+4930123456",
    }  # fmt: skip
    for handler in HANDLERS:
        if handler.name in WRITES - {"client.leave"}:
            for path in handler.paths:
                await visiting.post(re.sub(r"{\w+:str}", "1", path), data=forged)
    assert await _ways_in() == before
    async with db.reads() as session:  # what is open was done: the forged form did arrive
        assert (await session.get_one(Customer, people.customer.id)).name == "Ada King"


async def _ways_in() -> list[object]:
    async with db.reads() as session:
        users = [(u.id, u.email, u.username, u.password_hash, u.enabled) for u in await session.scalars(select(User))]
        rows = await session.scalars(select(Customer).order_by(Customer.id))
        addresses = [(c.email, c.status, c.kind, c.verified_phone, c.project_id) for c in rows]
        kept = await session.scalars(select(LoginSession.id).where(LoginSession.ended_at.is_(None)))
        return [users, addresses, sorted(kept)]


# ---- entering -------------------------------------------------------------------------------------------------------


async def _enter(people: People, customer_id: int, **more: object) -> str:
    async with db.reads() as session:
        parent = (await session.scalars(select(LoginSession).where(LoginSession.kind == SessionKind.STAFF))).one()
    given = {"reason": "Ticket 4711", "may_act": False} | more
    async with db.unit() as session:
        return await impersonation.enter(session, staff_session_id=parent.id, customer_id=customer_id, **given)  # type: ignore[arg-type]


async def test_from_inside_one_account_no_other_is_entered(visiting: httpx.AsyncClient, people: People) -> None:
    who = Actor(Kind.STAFF, people.staff.id, customer_id=people.customer.id)
    with acting(who), pytest.raises(Conflict):
        await _enter(people, people.other.id)
    token = visiting.cookies["bursar_visit"]
    visiting.cookies.set("bursar_staff", token, domain="desk.test", path="/")  # a visit is no session of staff
    assert (await visiting.get("/admin/")).headers["location"].startswith("/login")
    visiting.cookies.set("bursar_client", token, domain="desk.test", path="/")
    visiting.cookies.delete("bursar_visit", domain="desk.test", path="/client")
    assert (await visiting.get("/client")).headers["location"].startswith("/client/login")


async def test_a_session_of_staff_or_customer_is_no_visit(
    grace: httpx.AsyncClient, ada: httpx.AsyncClient, people: People
) -> None:
    for browser, name in ((grace, "bursar_staff"), (ada, "bursar_client")):
        browser.cookies.set("bursar_visit", browser.cookies[name], domain="desk.test", path="/client")
        answer = await browser.get("/client")
        assert answer.status_code == 303 and answer.headers["location"] == "/admin/"


async def test_two_tabs_show_one_account_only(grace: httpx.AsyncClient, people: People) -> None:
    """A second entry ends the first visit: a form of the first tab lands nowhere."""
    await enter(grace, people, may_act=True)
    first = grace.cookies["bursar_visit"]
    with acting(Actor(Kind.STAFF, people.staff.id)):
        second = await _enter(people, people.other.id, may_act=True)
    grace.cookies.set("bursar_visit", second, domain="desk.test", path="/client")
    assert "Charles Babbage" in (await grace.get("/client")).text
    grace.cookies.set("bursar_visit", first, domain="desk.test", path="/client")
    answer = await grace.post("/client/tickets/new", data={"subject": "Hello", "text": "There"})
    assert answer.headers["location"] == "/admin/"


@pytest.mark.parametrize("what", ["moved", "closed", "off"])
async def test_the_visit_ends_with_what_happens_to_the_customer(
    visiting: httpx.AsyncClient, people: People, what: str
) -> None:
    async with db.unit() as session:
        elsewhere = await factories.create_project(session)
        customer = await session.get_one(Customer, people.customer.id)
        if what == "moved":
            session.add(StaffProject(staff_id=people.staff.id, project_id=people.project.id))
            customer.project_id = elsewhere.id
        elif what == "closed":
            customer.status = CustomerStatus.CLOSED
        else:
            (await session.get_one(Project, people.project.id)).enabled = False
    answer = await visiting.get("/client")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")
    with acting(Actor(Kind.STAFF, people.staff.id)):
        if what == "off":
            with pytest.raises(Conflict):
                await _enter(people, people.customer.id)


async def test_sessions_of_the_customer_go_on(site: Site, ada: httpx.AsyncClient, people: People) -> None:
    async with site.browser() as browser:
        await sign_in(browser, "grace")
        await enter(browser, people, may_act=True)
        await browser.get("/client")
        await browser.post("/client/leave")
    async with db.reads() as session:
        mine = (await session.scalars(select(LoginSession).where(LoginSession.user_id == people.user.id))).one()
        assert mine.ended_at is None and mine.expires_at > utcnow() + timedelta(days=29)
    assert (await ada.get("/client")).status_code == 200
