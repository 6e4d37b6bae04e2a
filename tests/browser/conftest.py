"""Chromium in the real house, on SQLite and PostgreSQL. Without Chromium these tests are skipped."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser
from sqlalchemy.ext.asyncio import create_async_engine

from tests.browser.house import House, Walk, Watch, furnish, open_house


def _blocking(work: Coroutine[Any, Any, None]) -> None:
    with ThreadPoolExecutor(1) as pool:  # Playwright keeps a loop running in this thread
        pool.submit(asyncio.run, work).result()


async def _copy(server: str, template: str, name: str) -> None:
    engine = create_async_engine(sa.make_url(server).set(database="postgres"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    await engine.dispose()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def house(redis_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[House]:
    """Narrow it with ``@pytest.mark.parametrize("house", ["sqlite"], indirect=True)``."""
    data = tmp_path_factory.mktemp("house")
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), data / "bursar.db")
        database = f"sqlite+aiosqlite:///{data / 'bursar.db'}"
    else:
        server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_template")
        name = f"browser_{uuid.uuid4().hex[:12]}"
        _blocking(_copy(server, template, name))
        database = sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    _blocking(furnish(database, data))
    with open_house(database, redis_url, data) as opened:
        yield opened


@pytest.fixture
def walk(chromium: Browser, house: House, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Walk]:
    """A new browser profile; the viewport comes from ``@pytest.mark.parametrize("walk", [(w, h)], indirect=True)``."""
    width, height = getattr(request, "param", (1280, 900))
    context = chromium.new_context(
        base_url=house.url, viewport={"width": width, "height": height}, locale="en-GB", reduced_motion="reduce"
    )
    context.set_default_timeout(8000)
    watch = Watch()
    watch.look_at(context)
    yield Walk(context, watch, tmp_path)
    context.close()
    assert watch.problems == []
