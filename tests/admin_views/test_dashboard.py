"""The first page: figures and blocks for those who may see them, in their scope; running work; the workers."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from app import db, queue
from app.db import utcnow
from app.models.staff import Staff
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

LIST = [("customer", "list"), ("ticket", "list"), ("campaign", "list"), ("import_run", "list"), ("job", "list")]


def values(html: str) -> list[int]:
    """The numbers of the chart's table, day by day."""
    return [int(n) for n in re.findall(r'data-value="(\d+)"', html)]


async def test_new_customers_stand_at_their_day_in_the_readers_time_zone(owner: Staff, sign_in: SignIn) -> None:
    there = ZoneInfo("Pacific/Auckland")
    reader = await create_staff([("customer", "list")], username="far", timezone=there.key)
    today = datetime.now(there).date()
    late, early = time(23, 30, tzinfo=there), time(0, 30, tzinfo=there)  # in UTC both are the day before
    async with db.unit() as session:
        project = await factories.create_project(session)
        for days, at in ((2, late), (2, early), (5, early), (29, early), (30, late)):
            registered = datetime.combine(today - timedelta(days=days), at)
            await factories.create_customer(session, project=project, registered_at=registered)
    html = (await (await sign_in(reader)).get("/admin/")).text
    expected = [0] * 30
    expected[29 - 2], expected[29 - 5], expected[0] = 2, 1, 1
    assert values(html) == expected
    assert "4 new customers in 30 days" in html and "1 in the 30 days before" in html


async def test_every_block_needs_the_grant_of_its_screen(owner: Staff, sign_in: SignIn) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        customer = await factories.create_customer(session, project=project)
        await factories.create_ticket(session, customer=customer, subject="Nothing works")
        category = await factories.create_category(session)
        await factories.create_campaign(session, category=category, state="running", texts={"en": ("Spring sale", "x")})
        await factories.create_import(session, project_id=project.id, state="running", name="people.csv")
        await factories.create_job(session, name="customers.welcome", state="running")
    signs = {
        "customer": "New customers by day", "ticket": "Nothing works", "campaign": "Latest campaigns",
        "import_run": "people.csv", "job": "Welcome message",
    }  # fmt: skip
    for n, (screen, sign) in enumerate(signs.items()):
        staff = await create_staff([(screen, "list")], username=f"only-{n}")
        html = (await (await sign_in(staff)).get("/admin/")).text
        assert sign in html, screen
        assert [s for s in signs.values() if s in html] == [sign]
    nobody = await create_staff([], username="none")
    html = (await (await sign_in(nobody)).get("/admin/")).text
    assert not any(sign in html for sign in signs.values())
    assert (await (await sign_in(nobody)).get("/admin/running")).text == ""


async def test_staff_of_one_project_see_its_figures_only(owner: Staff, sign_in: SignIn) -> None:
    async with db.unit() as session:
        mine, other = [await factories.create_project(session, name=name) for name in ("Mine", "Other")]
        for project, n in ((mine, 1), (other, 3)):
            for i in range(n):
                customer = await factories.create_customer(session, project=project)
                await factories.create_ticket(session, customer=customer, subject=f"{project.name} question {i}")
            await factories.create_import(session, project_id=project.id, state="running", name=f"{project.name}.csv")
    limited = await create_staff(LIST, projects=(mine,), username="limited")
    whole = await create_staff(LIST, username="whole")
    seen = (await (await sign_in(limited)).get("/admin/")).text
    assert sum(values(seen)) == 1 and "Mine question 0" in seen and "Mine.csv" in seen and "Other" not in seen
    all_of_it = (await (await sign_in(whole)).get("/admin/")).text
    assert sum(values(all_of_it)) == 4 and "Other question 2" in all_of_it and "Other.csv" in all_of_it


async def test_tickets_wait_oldest_first_and_say_how_long(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, project=await factories.create_project(session))
        for subject, hours in (("Young", 1), ("Old", 50), ("Middle", 5)):
            at = utcnow() - timedelta(hours=hours)
            await factories.create_ticket(session, customer=customer, subject=subject, updated_at=at)
        await factories.create_ticket(session, customer=customer, subject="Answered", status="answered")
    html = (await desk.get("/admin/")).text
    assert html.index("Old") < html.index("Middle") < html.index("Young") and ">Answered<" not in html
    assert "2 days" in html and "5 hr" in html and "longest wait: 2 days" in html
    assert html.count("action/take?pks=") == 3


async def test_running_work_renews_itself_until_nothing_runs(desk: httpx.AsyncClient) -> None:
    quiet = (await desk.get("/admin/running")).text
    assert "Nothing runs" in quiet and "data-poll" not in quiet
    async with db.unit() as session:
        project = await factories.create_project(session)
        since = utcnow() - timedelta(seconds=20)
        run = await factories.create_import(
            session, project_id=project.id, state="running", name="people.csv", total=400, done=100, created=100,
            started_at=since,
        )  # fmt: skip
    busy = (await desk.get("/admin/running")).text
    assert 'data-poll="/admin/running"' in busy and "Import: people.csv" in busy and "25 %" in busy
    assert "100 of 400" in busy and "5 a second" in busy and "about 1 min left" in busy
    card = (await desk.get(f"/admin/import_run/details/{run.id}")).text
    assert f'data-poll="/admin/import_run/details/{run.id}/part/progress"' in card
    assert 'data-sure-method="post"' in card and "Stop this import?" in card


@pytest.mark.usefixtures("settled")
async def test_the_health_of_the_workers_is_told(desk: httpx.AsyncClient) -> None:
    async def told() -> str:
        db.database().kept._values.clear()
        return (await desk.get("/admin/")).text

    assert "No worker runs" in await told()
    await queue.beat("one:1")
    await queue.beat("two:2")
    assert "2 workers run" in await told()
    pool = await queue.redis()
    long_ago = str((utcnow() - timedelta(minutes=5)).timestamp())
    await pool.hset(queue.BEATS, "two:2", long_ago)  # type: ignore[misc]
    assert "1 worker runs, 1 has fallen silent" in await told()
    await queue.beat("one:1", ended=True)
    assert "No worker has been heard of for 5 min" in await told()
    async with db.unit() as session:
        await factories.create_job(session, state="failed")
        await factories.create_job(session, due_at=utcnow() - timedelta(minutes=10))
    html = await told()
    assert "1 job has failed." in html and "has waited for 10 min" in html


@pytest.mark.usefixtures("settled")
async def test_without_redis_the_page_says_so(desk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await queue.close()
    monkeypatch.setattr(queue, "_url", "redis://127.0.0.1:1/0")
    answer = await desk.get("/admin/")
    assert answer.status_code == 200 and "Redis does not answer" in answer.text
