"""Killing the one worker again and again while it does many small things, until all are done."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Select, func, select

from app import db
from tests.faults.stage import Sink, Workers, scale, stage


async def count(rows: Select[tuple[int]]) -> int:
    async with db.reads() as session:
        return await session.scalar(rows) or 0


def count_of(model: type[db.Base]) -> Select[tuple[int]]:
    return select(func.count()).select_from(model)


@asynccontextmanager
async def one_by_one(database: str, folder: Path, first: str, **env: str) -> AsyncIterator[Workers]:
    """Workers that run `first` before they begin, which makes what they do at once so small that most kills hit the
    middle of it."""
    async with stage(database, folder, Sink()) as on:
        workers = Workers({**on.workers.env, **env}, folder, first)
        try:
            workers.start()
            yield workers
        finally:
            for process in workers.processes:
                process.kill()
                process.wait()


async def kill_through(
    workers: Workers, *, kills: int, of: int, begun: Select[tuple[int]], over: Callable[[], Awaitable[bool]]
) -> list[int]:
    """Kill the worker whenever another part of the whole is begun, until it is over. Gives how much was begun at each
    kill."""
    chance, hit, began = random.Random(4711), list[int](), time.monotonic()
    while not await over():
        assert time.monotonic() - began < scale(150, 900), workers.said()[-3000:]
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        n = await count(begun)
        if len(hit) < kills and n > of * (len(hit) + 1) // (kills + 2):
            workers.kill(workers.processes[0])
            hit.append(n)
            workers.start()
    return hit
