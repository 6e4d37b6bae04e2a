"""Setting up step by step: each step is saved, can be passed over, and is gone on with later."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.domain.config import live, modules
from app.i18n import LANGUAGES
from app.models.jobs import Job
from app.models.messaging import Category
from app.models.projects import Project
from app.models.staff import Staff
from tests.admin_views.conftest import PASSWORD, SignIn, create_staff


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


URL = "/admin/setup"
BRAND = {
    "name": "Nordlicht", "sender_email": "desk@nordlicht.example", "currency": "EUR", "country": "DE",
    "languages": ["de", "en"], "default_language": "de", "timezone": "Europe/Berlin",
}  # fmt: skip


async def step(browser: httpx.AsyncClient, name: str, data: dict[str, object]) -> str:
    """Where it goes on; the page when it does not."""
    answer = await browser.post(f"{URL}?step={name}", data=data)
    assert answer.status_code in (303, 422), answer.text
    return answer.headers.get("location", answer.text)


async def test_the_steps_are_saved_one_by_one(sign_in: SignIn, database: str) -> None:
    browser = await sign_in(await create_staff([("*", "*")], username="first"))
    assert (await browser.get("/admin/")).headers["location"] == URL
    assert 'aria-invalid="true"' in await step(browser, "brand", BRAND | {"name": ""})
    assert "one of the languages above" in await step(browser, "brand", BRAND | {"default_language": "ru"})
    assert await step(browser, "brand", BRAND) == f"{URL}?step=preset"
    first = (await browser.get("/admin/")).text
    assert "What is left to set up" in first and "Enter the tax rates" in first
    assert "Kind of business" in (await browser.get(URL)).text, "it goes on where it was left"
    assert await step(browser, "preset", {"preset": "hosting"}) == f"{URL}?step=modules"
    assert await step(browser, "modules", {name: "y" for name in modules.MODULES if name != "phone"}) == (
        f"{URL}?step=colleagues"
    )
    bad = await step(browser, "colleagues", {"full_name_1": "Jana", "email_1": "jana", "role_1": "Support"})
    assert "not an e-mail address" in bad
    people = {"full_name_1": "Jana Berg", "email_1": "jana@nordlicht.example", "role_1": "Support"}
    assert await step(browser, "colleagues", people) == f"{URL}?step=demo"
    assert await step(browser, "demo", {"skip": "1"}) == "/admin/"
    await live.keep_up(every=0)
    assert not modules.on("phone") and modules.on("tickets")
    async with db.reads() as session:
        project = (await session.scalars(select(Project))).one()
        assert (project.name, project.languages, project.default_language) == ("Nordlicht", ["en", "de"], "de")
        assert await session.scalar(select(func.count()).select_from(Category)) == 3
        assert await session.scalar(select(Staff.password_hash).where(Staff.username == "jana")) is None
        assert set(await session.scalars(select(Job.name))) == {"sessions.reset"}
    assert await step(browser, "brand", BRAND | {"name": "Nordlicht GmbH"}) == f"{URL}?step=preset"
    async with db.reads() as session:
        assert (await session.scalars(select(Project.name))).all() == ["Nordlicht GmbH"], "changed, not made again"
    await browser.post(f"{URL}/hide")
    assert "What is left to set up" not in (await browser.get("/admin/")).text


async def test_who_comes_first_is_spoken_to_as_at_the_door(sign_in: SignIn, database: str) -> None:
    """In the language of the page of signing in; with the languages of the client area to choose from."""
    first = await create_staff([("*", "*")])
    browser = await sign_in(first)

    async def at_the_door(language: str) -> None:
        browser.cookies.clear()
        data = {"username": first.username, "password": PASSWORD}
        answer = await browser.post("/login", data=data, headers={"accept-language": language})
        assert answer.status_code == 303

    await at_the_door("de-AT")
    page = (await browser.get(URL)).text
    assert "Ihre Marke" in page and page.count('name="languages"') == len(LANGUAGES) and "Russisch" in page
    await step(browser, "brand", BRAND)
    await live.keep_up(every=0)
    await step(browser, "preset", {"preset": "hosting"})
    people = {"full_name_0": "Jana", "email_0": "jana@example.org", "role_0": "Support"}
    await step(browser, "colleagues", people)
    await at_the_door("es")
    async with db.reads() as session:
        assert set(await session.scalars(select(Staff.language))) == {"de"}, "said once, and colleagues are asked alike"


async def test_later_means_later(sign_in: SignIn, database: str) -> None:
    browser = await sign_in(await create_staff([("*", "*")]))
    assert await step(browser, "brand", {"later": "1"}) == "/admin/"
    assert (await browser.get("/admin/")).status_code == 200
    colleague = await sign_in(await create_staff([("ticket", "list")]))
    assert (await colleague.get("/admin/")).status_code == 200
    assert (await colleague.get(URL)).status_code == 403
