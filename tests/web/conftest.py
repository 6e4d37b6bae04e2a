"""The web application as a browser meets it, without the panel's screens: a stand-in answers under ``/admin``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from app import db, flash
from app.asgi import build
from app.domain.sessions import passwords
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff
from app.models.users import User
from app.settings import Settings
from app.web.guard import Guard
from tests import factories

PASSWORD = "correct horse battery"
SAME_SITE = {"sec-fetch-site": "same-origin"}


async def stand_in(scope: Any, receive: Any, send: Any) -> None:
    """Tells what the panel would see of the request."""
    if scope["path"] == "/admin/flashes":
        told: Any = flash.take_flashes(scope)
    elif scope["path"] == "/admin/flash":
        flash.flash(scope, "ok", "Saved.")
        told = "flashed"
    elif scope["path"] == "/admin/break":
        raise RuntimeError("SELECT secret FROM nowhere")
    elif scope["path"] == "/admin/body":
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        told = size
    else:
        session = scope["session"]
        told = {"path": scope["path"], "session": {**session, "grants": sorted(session["grants"])}}
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(autouse=True)
def fast_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real algorithm with cheap parameters."""
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def template(engine_name: str, request: pytest.FixtureRequest) -> None:
    """The migrated templates are made by asyncio.run, so they are asked for before the loop of the test runs."""
    request.getfixturevalue("sqlite_template" if engine_name == "sqlite" else "postgres_template")


@pytest.fixture
def database_url(template: None, database_url: str) -> str:
    return database_url


@dataclass
class Site:
    settings: Settings
    app: Guard

    @asynccontextmanager
    async def browser(self, *, base: str = "http://desk.test", ip: str = "192.0.2.7", **more: Any) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=self.app, client=(ip, 5000))  # type: ignore[arg-type]
        headers = {**SAME_SITE, "accept": "text/html", **more.pop("headers", {})}
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers, **more) as client:
            yield client

    def again(self, **changes: Any) -> Site:
        """The same with other settings."""
        settings = replace(self.settings, **changes)
        return Site(settings, build(settings, stand_in))


@pytest.fixture
async def site(database: str, redis_url: str, tmp_path: Path) -> Site:
    settings = Settings(database_url=database, secret_key="k" * 40, data_dir=tmp_path / "data", redis_url=redis_url)
    return Site(settings, build(settings, stand_in))


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser() as client:
        yield client


@dataclass
class People:
    project: Project
    customer: Customer
    user: User
    staff: Staff
    other: Customer
    """Another customer, of whom nobody here may see anything."""
    stranger: User


@pytest.fixture
async def people(site: Site) -> People:
    hashed = await passwords.hash_password(PASSWORD)
    async with db.unit() as session:
        project = await factories.create_project(session, name="Northwind Hosting", hue=3)
        customer = await factories.create_customer(session, name="Ada Lovelace", project=project)
        other = await factories.create_customer(session, name="Charles Babbage", project=project)
        user = await factories.create_user(
            session, customer=customer, username="ada", email="ada@example.net", full_name="Ada", password_hash=hashed
        )
        stranger = await factories.create_user(session, customer=other, username="charles", password_hash=hashed)
        staff = await factories.create_staff(
            session, username="grace", full_name="Grace Hopper", email="grace@example.com", password_hash=hashed,
            grants=[("*", "*")],
        )  # fmt: skip
    return People(project, customer, user, staff, other, stranger)


async def sign_in(client: httpx.AsyncClient, username: str, password: str = PASSWORD, *, area: str = "") -> httpx.Response:
    return await client.post(f"{area}/login", data={"username": username, "password": password})


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
