"""The bell: what waits for whom, what is new, and what has been seen."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest

from admin_views.base import news
from app import db
from app.db import utcnow
from app.models.jobs import JobState
from app.models.messaging import CampaignState
from app.models.staff import Staff
from app.models.tickets import TicketStatus
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

FRAGMENT = {"x-fragment": "1"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "COUNTED_FOR", 0.0)


async def bell(browser: httpx.AsyncClient) -> str:
    page = (await browser.get("/admin/notices")).text
    found = re.search(r'class="bell-n" aria-hidden="true">([^<]*)<', page)
    return found[1] if found else ""


async def told(browser: httpx.AsyncClient) -> dict[str, list[str]]:
    """What is the matter -> the rows."""
    text = (await browser.get("/admin/notices", headers=FRAGMENT)).text
    assert "<html" not in text
    return {
        say: re.findall(r"<bdi>(.*?)</bdi>", inside)
        for say, inside in re.findall(r'class="notice" aria-label="([^"]*)">(.*?)</section>', text, re.S)
    }


async def furnish(owner: Staff, other: Staff) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Where it happens")
        customer = await factories.create_customer(session, project=project)
        for subject, values in {
            "Mine": {"assigned_id": owner.id},
            "Mine, answered": {"assigned_id": owner.id, "status": TicketStatus.ANSWERED},
            "Of a colleague": {"assigned_id": other.id},
            "Of nobody": {},
            "Closed": {"status": TicketStatus.CLOSED},
        }.items():
            await factories.create_ticket(session, customer=customer, subject=subject, **values)
        ended, long_ago = utcnow() - timedelta(hours=1), utcnow() - timedelta(days=60)
        for subject, state, at, staff in (
            ("Sent", CampaignState.DONE, ended, owner),
            ("Broken", CampaignState.FAILED, ended, owner),
            ("Sent long ago", CampaignState.DONE, long_ago, owner),
            ("Sent by another", CampaignState.DONE, ended, other),
            ("Still running", CampaignState.RUNNING, None, owner),
        ):
            await factories.create_campaign(session, subject=subject, state=state, finished_at=at, staff_id=staff.id)
        await factories.create_job(session, name="import.run", state=JobState.FAILED, due_at=ended)
        await factories.create_job(session, name="export.run", state=JobState.DONE, due_at=ended)


async def test_it_tells_what_waits_and_what_has_ended(desk: httpx.AsyncClient, owner: Staff) -> None:
    assert await bell(desk) == "" and await told(desk) == {}
    assert "Nothing waits for you" in (await desk.get("/admin/notices")).text
    await furnish(owner, await create_staff([("*", "*")]))
    assert await told(desk) == {
        "Wait for your answer": ["Mine"],
        "Wait for somebody to take them": ["Of nobody"],
        "Your campaigns that failed": ["Broken"],
        "Your campaigns that are sent": ["Sent"],
        "Failed jobs": ["import.run"],
    }
    assert await bell(desk) == "5"


async def test_each_is_told_only_of_screens_that_they_may_open(sign_in: SignIn, owner: Staff) -> None:
    support = await create_staff([("ticket", "list"), ("ticket", "details"), ("job", "list")])
    await furnish(support, owner)
    browser = await sign_in(support)
    assert set(await told(browser)) == {"Wait for your answer", "Wait for somebody to take them"}
    assert await bell(browser) == "2"


async def test_staff_of_one_project_are_not_told_of_another(sign_in: SignIn, owner: Staff) -> None:
    async with db.unit() as session:
        mine = await factories.create_project(session, name="Mine")
    limited = await create_staff([("ticket", "list"), ("ticket", "details")], projects=(mine,))
    await furnish(limited, owner)  # their customer is of another project
    browser = await sign_in(limited)
    assert await told(browser) == {} and await bell(browser) == ""


async def test_what_was_seen_is_not_counted_again_and_what_is_new_is(desk: httpx.AsyncClient, owner: Staff) -> None:
    await furnish(owner, await create_staff([("*", "*")]))
    page = (await desk.get("/admin/notices", headers=FRAGMENT)).text
    until = re.search(r'name="until" value="([^"]+)"', page)
    assert until
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        await factories.create_ticket(session, customer=customer, subject="Came meanwhile", assigned_id=owner.id)
    answer = await desk.post("/admin/notices/seen", data={"until": until[1]}, headers=FRAGMENT)
    assert answer.status_code == 204
    assert await bell(desk) == "1"
    assert (await told(desk))["Wait for your answer"] == ["Came meanwhile", "Mine"], "it still waits"
    assert (await desk.post("/admin/notices/seen")).headers["location"] == "/admin/notices"
    assert await bell(desk) == "" and "Mark all as seen" not in (await desk.get("/admin/notices")).text


async def test_the_mark_never_goes_back_nor_into_the_future(desk: httpx.AsyncClient, owner: Staff) -> None:
    async def seen_at() -> object:
        async with db.reads() as session:
            return (await session.get_one(Staff, owner.id)).seen_at

    await desk.post("/admin/notices/seen", data={"until": "2999-01-01T00:00:00+00:00"})
    first = await seen_at()
    assert first is not None and first <= utcnow()  # type: ignore[operator]
    await desk.post("/admin/notices/seen", data={"until": "2001-01-01T00:00:00+00:00"})
    assert await seen_at() == first
    for wrong in ("yesterday", "0001-01-01T00:00:00+14:00"):
        assert (await desk.post("/admin/notices/seen", data={"until": wrong})).status_code == 400


async def test_a_figure_is_kept_for_some_seconds_and_not_for_another_person(
    desk: httpx.AsyncClient, owner: Staff, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "COUNTED_FOR", 60.0)
    assert await bell(desk) == ""
    other = await create_staff([("*", "*")])
    await furnish(owner, other)
    assert await bell(desk) == ""
    assert await bell(await sign_in(other)) == "4"
    await desk.post("/admin/notices/seen", data={"until": "2001-01-01T00:00:00+00:00"})
    assert await bell(desk) == "5", "another mark is another question"


async def test_a_hundred_and_more_is_not_counted_on(desk: httpx.AsyncClient, owner: Staff) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        for n in range(101):
            await factories.create_ticket(session, customer=customer, subject=f"Ticket {n}", assigned_id=owner.id)
    assert await bell(desk) == "99+"
    assert len((await told(desk))["Wait for your answer"]) == news.SHOWN
