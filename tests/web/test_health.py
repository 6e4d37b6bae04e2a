"""GET /health with real parts: there, and gone."""

from __future__ import annotations

import httpx
import pytest

from app import db, queue
from app.web import health
from tests.web.helpers import Site


async def _beat() -> None:
    await (await queue.redis()).psetex(health.WORKER_KEY, 60_000, b"alive")


async def test_all_there(redis: str, browser: httpx.AsyncClient) -> None:
    await _beat()
    answer = await browser.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "redis": "ok", "worker": "ok"})
    assert answer.headers["cache-control"] == "no-store"


async def test_no_worker(redis: str, browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"database": "ok", "redis": "ok", "worker": "missing"})


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_no_redis(site: Site, tmp_path: object) -> None:
    await queue.close()
    async with site.again(redis_url=f"unix://{tmp_path}/nothing.sock").browser() as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"database": "ok", "redis": "missing", "worker": "missing"})
    await queue.close()


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_no_database(redis: str, browser: httpx.AsyncClient) -> None:
    await _beat()
    await db.dispose()
    db.configure("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    answer = await browser.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"database": "missing", "redis": "ok", "worker": "ok"})
    assert "nobody" not in answer.text
