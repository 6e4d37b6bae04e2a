"""Staff inside a customer's account: what they see, what stays closed, and the way back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from app import cookies, db
from app.db import utcnow
from app.domain import impersonation
from app.models.audit import Audit
from app.models.customers import Customer
from app.models.messaging import DeliveryState
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Grant, Staff, StaffProject
from app.models.tickets import TicketMessage
from app.observe import Actor, Kind, acting
from app.web.client import HANDLERS
from app.web.client.access import TABLE, Visit
from app.web.guard import SAFE
from tests import factories
from tests.web.helpers import People, Site, sign_in


async def enter(
    client: httpx.AsyncClient, people: People, *, may_act: bool = False, reason: str = "Ticket 4711"
) -> int:
    """What the panel's button does. Returns the id of the visit."""
    async with db.reads() as session:
        parent = (await session.scalars(select(LoginSession).where(LoginSession.kind == SessionKind.STAFF))).one()
    with acting(Actor(Kind.STAFF, staff_id=people.staff.id, session_id=parent.id, ip="192.0.2.7")):
        async with db.unit() as session:
            token = await impersonation.enter(
                session, staff_session_id=parent.id, customer_id=people.customer.id, reason=reason, may_act=may_act
            )
    line = cookies.visit_cookie(token, https=False)
    assert "Path=/client" in line and "HttpOnly" in line
    client.cookies.set("bursar_visit", token, domain="desk.test", path="/client")
    async with db.reads() as session:
        return (
            await session.scalars(
                select(LoginSession.id).where(LoginSession.kind == SessionKind.VISIT, LoginSession.ended_at.is_(None))
            )
        ).one()


@pytest.fixture
async def visiting(grace: httpx.AsyncClient, people: People) -> AsyncIterator[httpx.AsyncClient]:
    await enter(grace, people)
    yield grace


async def test_the_banner_names_everything_and_leads_back(visiting: httpx.AsyncClient, people: People) -> None:
    for path in ("/client", "/client/messages", "/client/profile", "/client/tickets/new"):
        page = (await visiting.get(path)).text
        for word in ("Ada Lovelace", "Grace Hopper", "30 min", "Only looking", "Ticket 4711", 'action="/client/leave"'):
            assert word in page, (path, word)
        assert "/client/logout" not in page
        assert "/client/language" not in page


async def test_leaving_ends_the_visit_and_returns_to_the_card(visiting: httpx.AsyncClient, people: People) -> None:
    answer = await visiting.post("/client/leave")
    assert answer.headers["location"] == f"/admin/customer/details/{people.customer.id}"
    assert "bursar_visit" not in visiting.cookies
    assert (await visiting.get("/admin/")).status_code == 200
    assert (await visiting.get("/client")).headers["location"].startswith("/client/login")
    async with db.reads() as session:
        visit = (await session.scalars(select(LoginSession).where(LoginSession.kind == SessionKind.VISIT))).one()
        assert visit.ended_at is not None
        rows = (
            await session.scalars(select(Audit).where(Audit.action.in_(("enter", "return"))).order_by(Audit.id))
        ).all()
        assert [(r.action, r.staff_id, r.customer_id, r.noun, r.noun_id) for r in rows] == [
            (action, people.staff.id, people.customer.id, "customer", people.customer.id)
            for action in ("enter", "return")
        ]
        assert rows[0].note == "Ticket 4711"


def _changing() -> list[tuple[str, str]]:
    """(name, path) of every route of the client area that is not a GET."""
    return [
        (h.name or "?", path.replace("{key:str}", "1").replace("{file:str}", "1"))
        for h in HANDLERS
        for path in h.paths
        if not {str(m) for m in h.http_methods} <= SAFE | {"OPTIONS"}
    ]


def test_every_route_has_a_name_of_its_own() -> None:
    names = [h.name for h in HANDLERS]
    assert None not in names
    assert len(set(names)) == len(names)
    assert len(_changing()) >= 13


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("may_act", [False, True])
async def test_a_visit_changes_only_what_the_table_opens(
    grace: httpx.AsyncClient, people: People, may_act: bool
) -> None:
    await enter(grace, people, may_act=may_act)
    for name, path in _changing():
        if name == "client.leave":
            continue
        answer = await grace.post(path, data={"text": ""})
        needs = TABLE[name].visit
        opened = may_act and needs is Visit.ACT
        assert (answer.status_code == 403) is not opened, (name, answer.status_code)
        if not opened:
            told = "only to the customer" if needs is Visit.NEVER else "only looking at this account"
            assert told in answer.text, name
    assert (await grace.get("/client")).status_code == 200  # the visit goes on


@pytest.mark.parametrize(
    "name",
    [
        "client.password.save",
        "client.language",
        "client.logout",
        "client.account.pick",
        "client.login.post",
        "client.message.read",
    ],
)
def test_what_staff_never_do_for_a_customer_is_closed_in_the_table(name: str) -> None:
    assert TABLE[name].visit is Visit.NEVER


async def test_acting_leaves_both_names_behind(grace: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        campaign = await factories.create_campaign(session, texts={"en": ("Hello", "Text")})
        await factories.create_delivery(
            session, campaign=campaign, customer=people.customer, state=DeliveryState.SENT, sent_at=utcnow()
        )
    await enter(grace, people, may_act=True)
    assert "May act here" in (await grace.get("/client")).text
    answer = await grace.post(f"/client/messages/{campaign.id}/answer", data={"text": "For them"})
    assert answer.status_code == 303, answer.text
    given = {"name": "Ada King", "contact_person": "", "phone": "", "language": "", "timezone": ""}
    given["version"] = re.findall(r'name="version"[^>]*value="(\d+)"', (await grace.get("/client/profile")).text)[0]
    assert (await grace.post("/client/profile", data=given)).status_code == 303
    async with db.reads() as session:
        message = (await session.scalars(select(TicketMessage))).one()
        assert (message.from_customer, message.staff_id, message.user_id) == (True, people.staff.id, None)
        rows = (
            await session.scalars(
                select(Audit).where(
                    Audit.action.in_(("create", "update")),
                    Audit.noun.in_(("ticket_message", "customer")),
                    Audit.staff_id == people.staff.id,
                )
            )
        ).all()
        assert {(r.noun, r.kind.value, r.customer_id) for r in rows} == {
            ("ticket_message", "staff", people.customer.id),
            ("customer", "staff", people.customer.id),
        }


async def test_looking_does_not_mark_as_read(visiting: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        campaign = await factories.create_campaign(session, texts={"en": ("Hello", "Text")})
        await factories.create_delivery(
            session, campaign=campaign, customer=people.customer, state=DeliveryState.SENT, sent_at=utcnow()
        )
    page = (await visiting.get(f"/client/messages/{campaign.id}")).text
    assert "You are only looking at this account." in page
    assert 'class="unread"' in (await visiting.get("/client/messages")).text


async def test_a_limited_staff_member_sees_messages_of_colleagues_in_the_inbox(
    grace: httpx.AsyncClient, people: People
) -> None:
    async with db.unit() as session:
        colleague = await factories.create_staff(session)
        campaign = await factories.create_campaign(
            session, staff_id=colleague.id, texts={"en": ("From a colleague", "Text")}
        )
        await factories.create_delivery(
            session, campaign=campaign, customer=people.customer, state=DeliveryState.SENT, sent_at=utcnow()
        )
        session.add(StaffProject(staff_id=people.staff.id, project_id=people.project.id))
    await enter(grace, people)
    assert "From a colleague" in (await grace.get("/client/messages")).text


# ---- how a visit ends ------------------------------------------------------------------------------------------------


async def _ended(client: httpx.AsyncClient) -> None:
    answer = await client.get("/client")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")
    assert "bursar_visit" not in client.cookies


async def test_the_visit_ends_with_the_staff_session(visiting: httpx.AsyncClient) -> None:
    await visiting.post("/logout")
    await _ended(visiting)


async def test_the_visit_ends_after_half_an_hour(grace: httpx.AsyncClient, people: People) -> None:
    visit_id = await enter(grace, people)
    async with db.unit() as session:
        visit = await session.get_one(LoginSession, visit_id)
        left = visit.expires_at - utcnow()
        assert timedelta(minutes=29) < left <= timedelta(minutes=30)
        visit.expires_at = utcnow() - timedelta(seconds=1)
    await _ended(grace)


@pytest.mark.parametrize("what", ["disabled", "grant", "project", "idle"])
async def test_the_visit_ends_when_staff_lose_what_it_stands_on(
    visiting: httpx.AsyncClient, people: People, what: str
) -> None:
    async with db.unit() as session:
        if what == "disabled":
            (await session.get_one(Staff, people.staff.id)).enabled = False
        elif what == "grant":
            for grant in (await session.scalars(select(Grant))).all():
                await session.delete(grant)
        elif what == "project":
            elsewhere = await factories.create_project(session)
            session.add(StaffProject(staff_id=people.staff.id, project_id=elsewhere.id))
        else:
            parent = (await session.scalars(select(LoginSession).where(LoginSession.kind == SessionKind.STAFF))).one()
            parent.last_seen_at = utcnow() - timedelta(hours=13)
    await _ended(visiting)


async def test_leave_to_act_follows_the_grant(grace: httpx.AsyncClient, people: People) -> None:
    await enter(grace, people, may_act=True)
    async with db.unit() as session:
        grant = (await session.scalars(select(Grant))).one()
        session.add(Grant(role_id=grant.role_id, screen="customer", action="action:enter"))
        await session.delete(grant)
    assert "Only looking" in (await grace.get("/client")).text


async def test_an_ended_visit_does_not_fall_into_another_account(
    site: Site, visiting: httpx.AsyncClient, people: People
) -> None:
    """The same browser is signed in as a customer too: a click after the end must not act there."""
    async with site.browser() as other:
        await sign_in(other, "charles", area="/client")
        visiting.cookies.set("bursar_client", other.cookies["bursar_client"], domain="desk.test", path="/")
    assert "Ada Lovelace" in (await visiting.get("/client")).text
    async with db.unit() as session:
        (
            await session.scalars(select(LoginSession).where(LoginSession.kind == SessionKind.VISIT))
        ).one().ended_at = utcnow()
    answer = await visiting.post("/client/profile", data={"name": "Wrong one"})
    assert answer.headers["location"] == "/admin/"
    async with db.reads() as session:
        assert (await session.get_one(Customer, people.other.id)).name == "Charles Babbage"


async def test_a_second_visit_ends_the_first(grace: httpx.AsyncClient, people: People) -> None:
    first = await enter(grace, people)
    second = await enter(grace, people)
    assert first != second
    async with db.reads() as session:
        assert (await session.get_one(LoginSession, first)).ended_at is not None


async def test_the_customer_sees_who_was_there(visiting: httpx.AsyncClient, ada: httpx.AsyncClient) -> None:
    page = (await ada.get("/client")).text
    assert "Grace Hopper" in page and "Ticket 4711" in page
