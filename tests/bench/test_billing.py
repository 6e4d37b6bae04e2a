"""`make bench NAME=billing`: a day on which every service is due, set-based and with discounts to explain.

BURSAR_BENCH_SERVICES (1000000), BURSAR_BENCH_DATABASES (postgresql,sqlite),
BURSAR_BENCH_STRICT=1: fail when a target is missed. The figures go to var/bench/billing.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from app import db, queue
from app.localrun import redis_server
from app.migrations import upgrade_url
from tests.bench.billing import measuring
from tests.bench.lists.places import FOLDER, Postgres, only_run, postgres

SERVICES = int(os.environ.get("BURSAR_BENCH_SERVICES") or 1_000_000)
KINDS = (os.environ.get("BURSAR_BENCH_DATABASES") or "postgresql,sqlite").split(",")
TARGETS = {"set-based": 10_000, "with discounts": 3_000}
"""Services per second, on PostgreSQL on two cores."""


async def _fresh(server: Postgres | None) -> str:
    if server is None:
        path = FOLDER / "billing-bench.db"
        for old in FOLDER.glob("billing-bench.db*"):
            old.unlink()
        url = f"sqlite+aiosqlite:///{path}"
    else:
        engine = create_async_engine(server.database("postgres"), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(sa.text("DROP DATABASE IF EXISTS billing_bench WITH (FORCE)"))
            await connection.execute(sa.text("CREATE DATABASE billing_bench"))
        await engine.dispose()
        url = server.database("billing_bench")
    await upgrade_url(url)
    return url


async def _measure(server: Postgres | None, redis_url: str) -> dict[str, Any]:
    db.configure(await _fresh(server))
    queue.configure(redis_url)
    try:
        return await measuring.measure(SERVICES)
    finally:
        await queue.close()
        await db.dispose()


def _write(results: dict[str, Any]) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "billing.json"
    about = {"at": datetime.now(UTC).isoformat(), "python": platform.python_version(), "cores": os.cpu_count()}
    path.write_text(json.dumps({**about, **results}, indent=1) + "\n")
    return path


@pytest.mark.bench
def test_billing() -> None:
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        stack.enter_context(only_run())
        server = stack.enter_context(postgres()) if "postgresql" in KINDS else None
        redis_url = stack.enter_context(redis_server())
        for kind in KINDS:
            results[kind] = asyncio.run(_measure(server if kind == "postgresql" else None, redis_url))
            _write(results)
            for way, figures in results[kind].items():
                print(f"  {kind}, {way}: {figures}", flush=True)
    if os.environ.get("BURSAR_BENCH_STRICT"):
        missed = {w: n for w, n in TARGETS.items() if results.get("postgresql", {}).get(w, {}).get("per second", n) < n}
        assert not missed, missed
