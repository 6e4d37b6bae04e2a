"""Handing work to the workers. `enqueue` writes a row in the caller's transaction; arq hears of it after the commit."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Deserializer, Serializer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import after_commit, utcnow
from app.models import noticing
from app.models.jobs import Job, JobState
from app.observe import actor, log

_pool: ArqRedis | None = None
_url: str | None = None


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=str).encode()


def _load(raw: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(raw)
    return loaded


serialize: Serializer = _dump
"""arq's default pickle would run what lies in Redis; JSON does not."""
deserialize: Deserializer = _load


def redis_settings(url: str) -> RedisSettings:
    """Redis by URL: ``redis://``, ``rediss://`` or ``unix:///path``; two quick tries, then the sweep finds the row."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout, settings.conn_retries, settings.conn_retry_delay = 2, 1, 0
    return settings


def configure(url: str) -> None:
    global _url
    _url = url


async def redis() -> ArqRedis:
    """The pool of this process, opened at the first use."""
    global _pool
    if _pool is None:
        if _url is None:
            raise RuntimeError("app.queue.configure() was not called")
        _pool = await create_pool(redis_settings(_url), job_serializer=serialize, job_deserializer=deserialize)
    return _pool


async def close() -> None:
    global _pool
    if _pool is not None:
        await _pool.aclose()
        _pool = None


BEATS = "bursar:workers"
"""A hash in Redis: worker -> when it last said that it is alive, as seconds since 1970."""
FORGET = 86_400.0
"""Seconds after which a worker that died is not spoken of any more."""


async def beat(worker: str, *, ended: bool = False) -> None:
    """Say that this worker is alive; ended: that it has stopped as it should. Raises what Redis raises."""
    pool, now = await redis(), utcnow()
    late = [name for name, at in (await beats()).items() if (now - at).total_seconds() > FORGET]
    for name in [worker] if ended else late:
        await cast("Awaitable[int]", pool.hdel(BEATS, name))
    if not ended:
        await cast("Awaitable[int]", pool.hset(BEATS, worker, str(now.timestamp())))


async def beats() -> dict[str, datetime]:
    """When each worker last said that it is alive. Raises what Redis raises."""
    found = await cast("Awaitable[dict[bytes, bytes]]", (await redis()).hgetall(BEATS))
    return {name.decode(): datetime.fromtimestamp(float(at), UTC) for name, at in found.items()}


async def ring(name: str, job_id: int) -> None:
    """Tell the workers that a job is due. A failure is only logged: the sweep hands it over again."""
    try:
        await (await redis()).enqueue_job(name, job_id)
    except Exception as error:
        log("queue").warning("hand-over failed, the sweep will do it: %s", type(error).__name__)


noticing.rings[:] = [ring]


async def enqueue(
    session: AsyncSession,
    name: str,
    *,
    key: str | None = None,
    due_at: datetime | None = None,
    total: int = 0,
    **args: Any,
) -> Job:
    """Do task `name` ("noun.verb") with these ids, once this transaction is committed.

    key: at most one job with this key ever; a second call returns the first job. due_at: not before. total: how many
    things it will do, for the progress bar.
    """  # fmt: skip
    if key is not None:
        present = await session.scalar(select(Job).where(Job.key == key))
        if present is not None:
            return present
    who = actor.get()
    job = Job(
        name=name, args=args, key=key, due_at=due_at or utcnow(), state=JobState.DUE, total=total,
        owner_id=who.staff_id, visited_id=who.customer_id if who.staff_id is not None else None,
    )  # fmt: skip
    session.add(job)
    await session.flush()
    if due_at is None:
        after_commit(session, partial(ring, name, job.id))
    return job
