"""The button "Enter as customer": a fresh sign-in, the customer's code, the mail about it, and the list of visits."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.db import utcnow
from app.domain import door, impersonation
from app.models.audit import Audit
from app.models.customers import Customer
from app.models.jobs import Job
from app.models.projects import Project
from app.models.sessions import DoorCode, LoginSession, SessionKind
from app.models.staff import Staff
from app.observe import Actor, Kind, acting
from tests import factories
from tests.admin_views.conftest import PASSWORD, SignIn, create_staff

ENTER = "/admin/customer/action/enter"
GRANTS = [("customer", "list"), ("customer", "details"), ("customer", "action:enter")]


@pytest.fixture
async def customer(database: str) -> Customer:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Northern", languages=["de"], default_language="de")
        return await factories.create_customer(
            session, name="Ada Lovelace", project=project, language="de", email="ada@example.org"
        )


async def press(browser: httpx.AsyncClient, customer: Customer, **form: str) -> httpx.Response:
    return await browser.post(ENTER, data={"pks": str(customer.id), "reason": "Ticket 4711", **form})


async def change(customer: Customer, **values: object) -> None:
    async with db.unit() as session:
        project = await session.get_one(Project, customer.project_id)
        for name, value in values.items():
            setattr(project, name, value)


async def grow_old(staff: Staff, minutes: int = 121) -> None:
    async with db.unit() as session:
        for row in await session.scalars(select(LoginSession).where(LoginSession.staff_id == staff.id)):
            row.created_at = utcnow() - timedelta(minutes=minutes)
            row.proved_at = None


async def visits() -> int:
    async with db.reads() as session:
        kind = LoginSession.kind == SessionKind.VISIT
        return await session.scalar(select(func.count()).select_from(LoginSession).where(kind)) or 0


async def test_an_old_sign_in_asks_the_password_and_loses_nothing(sign_in: SignIn, customer: Customer) -> None:
    staff = await create_staff(GRANTS)
    desk = await sign_in(staff)
    asked = await desk.get(f"{ENTER}?pks={customer.id}")
    assert 'name="password"' not in asked.text and 'name="act"' not in asked.text
    await grow_old(staff)  # between the form and its sending
    answer = await press(desk, customer)
    assert answer.status_code == 422 and "Ticket 4711" in answer.text and 'name="password"' in answer.text
    assert await visits() == 0
    wrong = await press(desk, customer, password="not this one")
    assert wrong.status_code == 422 and "neither your password" in wrong.text and "Ticket 4711" in wrong.text
    assert "not this one" not in wrong.text
    answer = await press(desk, customer, password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/client/")
    assert (await press(desk, customer)).status_code == 303  # it was given just now
    await grow_old(staff, 119)
    assert (await press(desk, customer)).status_code == 303


async def test_guessing_the_password_at_the_door_is_slowed_down(sign_in: SignIn, customer: Customer) -> None:
    staff = await create_staff(GRANTS)
    desk = await sign_in(staff)
    await grow_old(staff)
    for _try in range(5):
        assert (await press(desk, customer, password="not this one")).status_code == 422
    slowed = await press(desk, customer, password=PASSWORD)
    assert slowed.status_code == 422 and "Too many tries" in slowed.text and await visits() == 0


async def test_the_verb_asks_too(sign_in: SignIn, customer: Customer) -> None:
    """Whoever comes past the form finds the same door."""
    staff = await create_staff(GRANTS)
    await sign_in(staff)
    await grow_old(staff)
    async with db.reads() as session:
        parent = (await session.scalars(select(LoginSession.id).where(LoginSession.staff_id == staff.id))).one()
    with acting(Actor(Kind.STAFF, staff.id)):
        async with db.reads() as session:
            assert await impersonation.needs_password(session, staff_session_id=parent)
            assert not await impersonation.needs_password(session, staff_session_id=parent, fresh_minutes=200)


@pytest.mark.parametrize("form", [{}, {"act": "y"}, {"reason": ""}, {"reason": "ab"}])
async def test_who_has_not_the_grant_to_act_only_looks(
    sign_in: SignIn, customer: Customer, form: dict[str, str]
) -> None:
    desk = await sign_in(await create_staff(GRANTS))
    answer = await press(desk, customer, **form)
    assert answer.status_code == (422 if "reason" in form else 303)
    assert (await desk.get(ENTER)).status_code in (404, 422)
    async with db.reads() as session:
        assert not (await session.scalars(select(LoginSession).where(LoginSession.may_act))).all()


async def test_entering_needs_its_own_grant(sign_in: SignIn, customer: Customer) -> None:
    desk = await sign_in(await create_staff([("customer", "list"), ("customer", "edit"), ("customer", "action:act")]))
    assert (await press(desk, customer)).status_code == 403
    assert await visits() == 0


# ---- the code of the customer ------------------------------------------------------------------------------------


async def make_code(customer: Customer) -> str:
    with acting(Actor(Kind.USER, user_id=1, customer_id=customer.id)):
        async with db.unit() as session:
            return await door.make(session, customer_id=customer.id)


async def test_a_code_of_the_customer_opens_the_door_once(sign_in: SignIn, customer: Customer) -> None:
    desk = await sign_in(await create_staff(GRANTS))
    await change(customer, visits_by_code=True)
    assert 'name="code"' in (await desk.get(f"{ENTER}?pks={customer.id}")).text
    assert (await press(desk, customer)).status_code == 422  # none given, none made
    assert (await press(desk, customer, code="1234 5678")).status_code == 422
    first, code = await make_code(customer), await make_code(customer)
    assert first == code or (await press(desk, customer, code=first)).status_code == 422  # only the last one counts
    answer = await press(desk, customer, code=code.replace(" ", ""))
    assert (answer.status_code, answer.headers["location"]) == (303, "/client/")
    assert (await press(desk, customer, code=code)).status_code == 422
    assert await visits() == 1
    async with db.reads() as session:
        opened = (await session.scalars(select(Audit).where(Audit.action == "door_opened"))).one()
        assert (opened.kind.value, opened.customer_id) == ("staff", customer.id)


@pytest.mark.parametrize("what", ["guessed", "late", "withdrawn", "another's"])
async def test_a_code_that_does_not_open(sign_in: SignIn, customer: Customer, what: str) -> None:
    desk = await sign_in(await create_staff(GRANTS))
    await change(customer, visits_by_code=True)
    code = await make_code(customer)
    wrong = "0000 0000" if code != "0000 0000" else "1111 1111"
    if what == "guessed":
        for _try in range(door.MOST_TRIES):
            assert (await press(desk, customer, code=wrong)).status_code == 422
    elif what == "late":
        async with db.unit() as session:
            (await session.get_one(DoorCode, customer.id)).expires_at = utcnow()
    elif what == "withdrawn":
        async with db.unit() as session:
            await door.close(session, customer_id=customer.id)
    else:
        async with db.unit() as session:
            other = await factories.create_customer(session, project_id=customer.project_id)
        code, before = await make_code(other), code
        assert code != before
    answer = await press(desk, customer, code=code)
    assert answer.status_code == 422 and "Ticket 4711" in answer.text
    assert "Ask the customer for a new one" in answer.text
    assert await visits() == 0


async def test_the_customer_makes_the_code_on_a_page_of_theirs(desk: httpx.AsyncClient, customer: Customer) -> None:
    """Staff inside the account do not."""
    await press(desk, customer, act="y")
    assert (await desk.get("/client/door")).status_code == 404
    await change(customer, visits_by_code=True)
    page = await desk.get("/client/door")
    assert page.status_code == 200 and "/client/door/code" not in page.text
    for path in ("/client/door/code", "/client/door/close"):
        assert (await desk.post(path)).status_code == 403
    async with db.reads() as session:
        assert await session.get(DoorCode, customer.id) is None


# ---- telling, and listing ------------------------------------------------------------------------------------------


async def test_the_customer_is_told_in_their_language_where_the_project_wants_it(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff
) -> None:
    await press(desk, customer)
    await change(customer, visits_told=True)
    await press(desk, customer, reason="The server {{ is }} <b>slow</b>")
    async with db.reads() as session:
        mails = (await session.scalars(select(Job).where(Job.name == "messaging.mail"))).all()
    assert [job.args["to"] for job in mails] == ["ada@example.org"]
    told = mails[0].args
    assert "Northern" in told["subject"] and "Olga Owner" in told["text"] and "{{ is }}" in told["text"]
    assert "<b>slow</b>" not in told["html"] and "Hello" not in told["text"]


async def test_visits_are_listed_with_what_was_changed(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff
) -> None:
    await press(desk, customer, act="y")
    await desk.post("/client/tickets/new", data={"subject": "For them", "text": "Hello"})
    for path in (
        "/admin/login_session/list", f"/admin/customer/details/{customer.id}?tab=login_session",
        f"/admin/staff/details/{owner.id}?tab=login_session",
    ):  # fmt: skip
        page = (await desk.get(path)).text
        assert "Ticket 4711" in page and "Ada Lovelace" in page, path
        link = re.search(r'href="(/admin/audit/list\?staff[^"]+)"', page)
        assert link is not None, path
    found = await desk.get(link[1].replace("&amp;", "&"))
    assert found.status_code == 200
    rows = found.text.split("<tbody")[1]
    assert "Ticket message" in rows and "signed in" not in rows
    export = await desk.post("/admin/login_session/action/export", data={"all": "1", "query": "", "kind": "csv"})
    assert "Ticket 4711" in export.text and export.text.count("\n") == 2  # no session that is no visit
    async with db.reads() as session:
        own = (await session.scalars(select(LoginSession.id).where(LoginSession.kind == SessionKind.STAFF))).one()
    picked = await desk.post("/admin/login_session/action/export", data={"pks": str(own), "kind": "csv"})
    assert picked.status_code == 404
