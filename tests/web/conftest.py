"""Fixtures of the web tests; see helpers.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app import db
from app.domain.sessions import passwords
from app.settings import Settings
from tests import factories
from tests.application import application
from tests.web.helpers import PASSWORD, People, Site, sign_in, stand_in


@pytest.fixture
async def site(database: str, redis_url: str, tmp_path: Path) -> Site:
    settings = Settings(database_url=database, secret_key="k" * 40, data_dir=tmp_path / "data", redis_url=redis_url)
    return Site(settings, application(settings, stand_in))


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser() as client:
        yield client


@pytest.fixture
async def people(site: Site) -> People:
    hashed = await passwords.hash_password(PASSWORD)
    async with db.unit() as session:
        project = await factories.create_project(
            session, name="Northwind Hosting", hue=3, languages=["en", "de", "ru", "es"]
        )
        customer = await factories.create_customer(session, name="Ada Lovelace", project=project)
        other = await factories.create_customer(session, name="Charles Babbage", project=project)
        user = await factories.create_user(
            session, customer=customer, username="ada", email="ada@example.net", full_name="Ada", password_hash=hashed
        )
        stranger = await factories.create_user(session, customer=other, username="charles", password_hash=hashed)
        staff = await factories.create_staff(
            session,
            username="grace",
            full_name="Grace Hopper",
            email="grace@example.com",
            password_hash=hashed,
            grants=[("*", "*")],
        )
    return People(project, customer, user, staff, other, stranger)


@pytest.fixture
async def ada(site: Site, people: People) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in user of a customer."""
    async with site.browser() as client:
        assert (await sign_in(client, "ada", area="/client")).status_code == 303
        yield client


@pytest.fixture
async def grace(site: Site, people: People) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in staff member."""
    async with site.browser() as client:
        assert (await sign_in(client, "grace")).status_code == 303
        yield client
