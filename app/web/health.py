"""``GET /health``: whether database, Redis and a worker answer, for monitors. Nothing else is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from litestar import Response, get
from sqlalchemy import select

from app import db, queue
from app.models.projects import Project
from app.observe import SYSTEM, acting, log

WAIT = 2.0
"""Seconds that each part has."""
WORKER_KEY = "arq:queue:health-check"
"""Written by arq's workers, and gone when none has written for its interval (arq 0.28, worker.py)."""


async def _database() -> bool:
    with acting(SYSTEM):
        async with db.reads() as session:
            await session.execute(select(Project.id).limit(1))
    return True


async def _redis() -> bool:
    return bool(await (await queue.redis()).ping())


async def _worker() -> bool:
    return bool(await (await queue.redis()).exists(WORKER_KEY))


async def _asked(name: str, question: Awaitable[bool]) -> tuple[str, bool]:
    try:
        return name, await asyncio.wait_for(question, WAIT)
    except Exception as error:
        log("health").warning("%s: %s", name, type(error).__name__)
        return name, False


async def state() -> dict[str, str]:
    """{"database": "ok" | "missing", "redis": ..., "worker": ...}"""
    asked = await asyncio.gather(
        _asked("database", _database()), _asked("redis", _redis()), _asked("worker", _worker())
    )
    return {name: "ok" if fine else "missing" for name, fine in asked}


@get("/health", name="health")
async def health() -> Response[dict[str, Any]]:
    found = await state()
    fine = all(value == "ok" for value in found.values())
    return Response(found, status_code=200 if fine else 503, headers={"Cache-Control": "no-store"})
