"""The application over a database that `world.furnish` has filled once; each test gets a copy."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app import db, queue
from app.db import utcnow
from app.models.sessions import LoginSession
from app.settings import Settings
from app.web.health import WORKER_KEY
from tests.application import application, panel_of
from tests.conftest import _named, _on_server
from tests.generated.routes import Way, ways
from tests.generated.world import World, furnish, store_files

HOST = "http://desk.test"


_AWAKE = "UPDATE login_session SET last_seen_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'"


async def _wake() -> None:
    """All sessions were used just now: no request notes that anew, so a change is one of what was asked for."""
    async with db.unit() as session:
        await session.execute(update(LoginSession).values(last_seen_at=utcnow()).execution_options(audited=True))


def _made(work: Coroutine[Any, Any, World]) -> World:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def sqlite_world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    path = tmp_path_factory.mktemp("world") / "world.db"
    shutil.copy(sqlite_template, path)
    world = _made(furnish(f"sqlite+aiosqlite:///{path}"))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path, world


@pytest.fixture(scope="session")
def postgres_world(postgres_server: str, postgres_template: str) -> tuple[str, World]:
    name = f"world_{uuid.uuid4().hex[:8]}"
    with ThreadPoolExecutor(1) as pool:
        making = _on_server(postgres_server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
        pool.submit(asyncio.run, making).result()
    return name, _made(furnish(_named(postgres_server, name)))


@pytest.fixture
def world(engine_name: str, request: pytest.FixtureRequest) -> World:
    made: tuple[Any, World] = request.getfixturevalue(f"{engine_name}_world")
    return made[1]


@pytest.fixture
async def database_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A copy of the furnished database."""
    template, _world = request.getfixturevalue(f"{engine_name}_world")
    if engine_name == "sqlite":
        shutil.copy(template, tmp_path / "bursar.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'bursar.db'}"
        return
    server, name = request.getfixturevalue("postgres_server"), f"test_{uuid.uuid4().hex[:12]}"
    await _on_server(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(server, name)
    await _on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def settings(database: str, redis: str, tmp_path: Path) -> Settings:
    data = tmp_path / "data"
    data.mkdir()
    await store_files(data)
    await (await queue.redis()).set(WORKER_KEY, "here")
    return Settings(database_url=database, secret_key="k" * 40, data_dir=data, redis_url=redis)


class Undo:
    """Puts the furnished rows back into a SQLite file that is in use, when anything was changed."""

    def __init__(self, path: Path, furnished: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.furnished = furnished
        self.seen = self._version()

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def __call__(self) -> None:
        if self._version() == self.seen:
            return
        source = sqlite3.connect(self.furnished)
        source.backup(self.connection)
        source.close()
        self.connection.execute(_AWAKE)
        self.seen = self._version()


@dataclass
class House:
    """The application as one process serves it, and the browsers of the people in `world`."""

    world: World
    settings: Settings
    ways: list[Way]
    client: httpx.AsyncClient
    undo: Undo | None
    """SQLite only."""
    asked: int = field(default=0)

    def put_back(self) -> None:
        """Undo all changes since the start."""
        assert self.undo is not None, "this needs SQLite"
        self.undo()

    async def ask(self, method: str, url: str, who: str, **more: Any) -> httpx.Response:
        """A request from this person's browser, from a page of ours unless `headers` say otherwise."""
        self.asked += 1
        headers = {"sec-fetch-site": "same-origin", "accept": "text/html", "cookie": self.world.cookies[who]}
        headers |= more.pop("headers", {})
        self.client.cookies.clear()
        given = {k: v.encode("latin-1") for k, v in headers.items() if v}
        return await self.client.request(method, url, headers=given, **more)  # type: ignore[arg-type]


@pytest.fixture
async def house(
    settings: Settings, world: World, engine_name: str, request: pytest.FixtureRequest
) -> AsyncIterator[House]:
    host = panel_of(settings)
    app = application(settings)
    await _wake()
    undo = Undo(settings.sqlite_path, request.getfixturevalue("sqlite_world")[0]) if settings.sqlite_path else None
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        yield House(world, settings, ways(host, app.app, world), client, undo)
    if undo is not None:
        undo.connection.close()
