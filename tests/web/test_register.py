"""Customers who register by themselves, and who tries to learn or break something there."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from app import db
from app.db import utcnow
from app.domain import signup
from app.domain.sessions.throttle import PER_ACCOUNT
from app.models.customers import Customer
from app.models.projects import Project
from app.models.registrations import Registration
from app.models.sessions import OneUse
from app.models.users import User, UserCustomer, UserRole
from tests import factories
from tests.web.helpers import People, Site, sign_in
from tests.web.test_passwords import mails, run_jobs, text_of

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
URL = "/client/register"
NEW: dict[str, Any] = {
    "kind": "company", "contact_person": "Mary Somerville", "legal_name": "Somerville Ltd", "country": "GB",
    "email": "Mary@example.net", "password": "long enough", "again": "long enough", "language": "de", "terms": "y",
}  # fmt: skip


@pytest.fixture
async def opened(site: Site, people: People) -> Project:
    async with db.unit() as session:
        project = await session.get_one(Project, people.project.id)
        project.terms = "Be kind."
        group = await factories.create_group(session, name="New ones")
        await signup.configure(
            session, project=project, open=True, kinds=["individual", "company"],
            asked=["contact_person", "legal_name", "country", "phone"], required=["contact_person", "legal_name"],
            groups=[group.id],
        )  # fmt: skip
        return project


async def sent(site: Site) -> list[Any]:
    await run_jobs(site)
    return mails(site)


def link_in(mail: Any) -> str:
    found = re.search(r"(/client/register/confirm/[^\s)>\]]+)", text_of(mail))
    assert found, text_of(mail)
    return found[1]


async def count(table: Any) -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_somebody_registers_confirms_and_signs_in(
    site: Site, opened: Project, browser: httpx.AsyncClient
) -> None:
    assert f'href="{URL}"' in (await browser.get("/client/login")).text
    before = await count(Customer)
    page = await browser.get(URL, headers={"referer": "https://shop.example/offers?secret=1"})
    assert page.status_code == 200 and 'value="shop.example/offers"' in page.text
    done = await browser.post(URL, data=NEW | {"came_from": "shop.example/offers"})
    assert done.status_code == 303 and done.headers["location"].startswith(f"{URL}?sent=")
    assert "Look into your mailbox" in (await browser.get(done.headers["location"])).text
    assert await count(Customer) == before  # nobody is made before the address is confirmed
    assert (await sign_in(browser, "mary@example.net", "long enough", area="/client")).status_code == 422

    [mail] = await sent(site)
    assert mail["To"] == "Mary@example.net" and "bestätigen Sie" in mail["Subject"]
    path = link_in(mail)
    assert "Mary@example.net" in (await browser.get(path)).text
    assert await count(Customer) == before
    confirmed = await browser.post(path)
    assert (confirmed.status_code, confirmed.headers["location"]) == (303, "/client/login")
    async with db.reads() as session:
        made = (await session.scalars(select(Customer).order_by(Customer.id.desc()).limit(1))).one()
        link = (await session.scalars(select(UserCustomer).where(UserCustomer.customer_id == made.id))).one()
        user = await session.get_one(User, link.user_id)
    assert (made.name, made.contact_person, made.kind.value) == ("Somerville Ltd", "Mary Somerville", "company")
    assert (made.email, made.language, made.country) == ("Mary@example.net", "de", "GB")
    assert (made.registration_ip, made.came_from) == ("192.0.2.7", "desk.test – shop.example/offers")
    assert made.terms_accepted_at is not None and link.role is UserRole.OWNER
    assert (user.username, user.language) == ("mary@example.net", "de")
    assert await count(Registration) == 0
    assert (await browser.post(path)).status_code == 410
    assert (await browser.get(path)).status_code == 410
    assert (await sign_in(browser, "mary@example.net", "long enough", area="/client")).status_code == 303
    more = (await sent(site))[1:]  # the welcome goes the way of campaigns
    assert all("illkommen" in m["Subject"] for m in more), [m["Subject"] for m in more]
    async with db.reads() as session:
        from app.models.customers import Membership
        from app.models.jobs import Job

        assert await session.scalar(select(func.count()).select_from(Membership)) == 1
        assert await session.scalar(select(Job.id).where(Job.name == "customers.welcome")) is not None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nonsense"}, "email"), ({"email": ""}, "email"),
        ({"password": "short", "again": "short"}, "password"),
        ({"again": "different"}, "again"), ({"contact_person": " "}, "contact_person"),
        ({"legal_name": ""}, "legal_name"),
        ({"terms": ""}, "terms"), ({"kind": "sole_proprietor"}, "kind"), ({"country": "XX"}, "country"),
        ({"contact_person": "x" * 5000}, "contact_person"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_at_the_field_and_what_was_typed_stays(
    site: Site, opened: Project, browser: httpx.AsyncClient, change: dict[str, str], field: str
) -> None:
    answer = await browser.post(URL, data={k: v for k, v in (NEW | change).items() if v})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text or f'href="#{field}"' in answer.text
    assert "Somerville" in answer.text and "long enough" not in answer.text
    assert await count(Registration) == 0


async def test_a_person_needs_no_company(site: Site, opened: Project, browser: httpx.AsyncClient) -> None:
    data = {k: v for k, v in NEW.items() if k != "legal_name"} | {"kind": "individual"}
    assert (await browser.post(URL, data=data)).status_code == 303


async def test_a_known_address_reads_the_same_and_gets_another_mail(
    site: Site, people: People, opened: Project, browser: httpx.AsyncClient
) -> None:
    pages = []
    for email in ("ada@example.net", "ADA@example.net", "nobody@example.net"):
        done = await browser.post(URL, data=NEW | {"email": email})
        token = done.headers["location"].partition("sent=")[2]
        page = (await browser.get(done.headers["location"])).text
        pages.append(page.replace(token, "").replace(httpx.URL(f"/?x={token}").params["x"], ""))
    assert len(set(pages)) == 1
    told = await sent(site)
    assert [m["To"] for m in told] == ["ada@example.net", "ADA@example.net", "nobody@example.net"]
    assert "/client/forgot" in text_of(told[0]) and "confirm/" not in text_of(told[0])
    async with db.reads() as session:
        user = await session.get_one(User, people.user.id)
    assert user.password_hash == people.user.password_hash


async def test_the_mail_is_sent_again_but_not_for_ever(site: Site, opened: Project, browser: httpx.AsyncClient) -> None:
    done = await browser.post(URL, data=NEW)
    token = httpx.URL(done.headers["location"]).params["sent"]
    first = link_in((await sent(site))[-1])
    for _n in range(PER_ACCOUNT):
        assert (await browser.post(f"{URL}/again", data={"for": token})).status_code == 303
    assert (await browser.post(f"{URL}/again", data={"for": token})).status_code == 429
    assert (await browser.post(f"{URL}/again", data={"for": "1.made-up"})).status_code == 303
    told = await sent(site)
    assert len(told) == 1 + PER_ACCOUNT
    paths = [first, link_in(told[-1])]
    answers = await asyncio.gather(*(browser.post(path) for path in paths + paths))
    assert sorted(a.status_code for a in answers) == [303, 410, 410, 410]
    assert await count(Customer) == 3


async def test_somebody_else_was_faster(
    site: Site, people: People, opened: Project, browser: httpx.AsyncClient
) -> None:
    await browser.post(URL, data=NEW)
    path = link_in((await sent(site))[-1])
    async with db.unit() as session:
        await factories.create_user(session, customer=people.other, username="x", email="mary@EXAMPLE.net")
    answer = await browser.post(path)
    assert answer.status_code == 409 and "already" in answer.text
    assert await count(Customer) == 2


async def test_links_and_registrations_end(site: Site, opened: Project, browser: httpx.AsyncClient) -> None:
    await browser.post(URL, data=NEW)
    path = link_in((await sent(site))[-1])
    past = utcnow() - signup.KEPT - timedelta(minutes=1)
    async with db.unit() as session:
        assert await signup.tidy(session) == 0
        await session.execute(update(OneUse).values(expires_at=past))
    assert (await browser.post(path)).status_code == 410
    async with db.unit() as session:
        await session.execute(update(OneUse).values(expires_at=utcnow() + timedelta(days=1)))
        await session.execute(update(Registration).values(created_at=past))
    async with db.unit() as session:
        assert await signup.tidy(session) == 1
    assert (await browser.post(path)).status_code == 410
    assert await count(Customer) == 2


async def test_programs_and_crowds_are_kept_out(site: Site, opened: Project, browser: httpx.AsyncClient) -> None:
    trapped = await browser.post(URL, data=NEW | {"website": "https://spam.example"})
    assert trapped.status_code == 303 and trapped.headers["location"].startswith(f"{URL}?sent=")
    assert await count(Registration) == 0
    for n in range(20):
        assert (await browser.post(URL, data=NEW | {"email": f"m{n}@example.net"})).status_code == 303
    answer = await browser.post(URL, data=NEW | {"email": "m99@example.net"})
    assert answer.status_code == 429 and "Somerville" in answer.text


async def test_where_it_is_not_open_there_is_no_form(
    site: Site, people: People, opened: Project, browser: httpx.AsyncClient
) -> None:
    async with db.unit() as session:
        shut = await factories.create_project(session, name="Southwind", slug="south")
    assert (await browser.get(URL)).status_code == 404  # two brands at one address: nobody knows which
    assert (await browser.get("/client/p/south/register")).status_code == 404
    assert (await browser.post("/client/p/south/register", data=NEW)).status_code == 404
    async with db.unit() as session:
        (await session.get_one(Project, shut.id)).enabled = False
    assert (await browser.get(URL)).status_code == 200
    async with db.unit() as session:
        project = await session.get_one(Project, people.project.id)
        project.signup = {**project.signup, "open": False}
    assert (await browser.post(URL, data=NEW)).status_code == 404
    assert "register" not in (await browser.get("/client/login")).text
