"""The real panel, signed in to as a browser does it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from app import db
from app.domain.config import setup
from app.domain.sessions import passwords
from app.models.projects import Project
from app.models.staff import Staff
from app.settings import Settings
from app.web.guard import Guard
from tests import factories
from tests.application import application

PASSWORD = "correct horse battery"
SignIn = Callable[[Staff], Awaitable[httpx.AsyncClient]]


@pytest.fixture
def settings(database: str, redis: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database, secret_key="k" * 40, data_dir=tmp_path / "data", redis_url=redis)


@pytest.fixture
async def app(settings: Settings) -> Guard:
    return application(settings)


@pytest.fixture
async def sign_in(app: Guard) -> AsyncIterator[SignIn]:
    """Gives a browser that is signed in as this staff member."""
    browsers: list[httpx.AsyncClient] = []

    async def enter(staff: Staff) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        browser = httpx.AsyncClient(
            transport=transport,
            base_url="http://desk.test",
            headers={"sec-fetch-site": "same-origin", "accept": "text/html"},
        )
        browsers.append(browser)
        answer = await browser.post("/login", data={"username": staff.username, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser

    yield enter
    for browser in browsers:
        await browser.aclose()


async def create_staff(grants: list[tuple[str, str]], *, projects: tuple[Project, ...] = (), **values: object) -> Staff:
    """A staff member with exactly these grants, limited to `projects` when any are given."""
    hashed = await passwords.hash_password(PASSWORD)
    async with db.unit() as session:
        return await factories.create_staff(session, grants=grants, projects=projects, password_hash=hashed, **values)


@pytest.fixture
async def owner(database: str) -> Staff:
    """The first page does not lead them through setting up (tests/admin_views/test_setup.py)."""
    async with db.unit() as session:
        await setup.leave(session, hide=True)
    return await create_staff([("*", "*")], full_name="Olga Owner")


@pytest.fixture
async def settled(database: str) -> None:
    """The first steps are over: the first page is the dashboard."""
    async with db.unit() as session:
        await setup.leave(session)


@pytest.fixture
async def desk(owner: Staff, sign_in: SignIn) -> httpx.AsyncClient:
    """A browser with everything granted."""
    return await sign_in(owner)
