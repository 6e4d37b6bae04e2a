"""Live configuration: what people configure is in the memory of every process, and read again when it has changed.

The version stands in the database and is read with the session of each request. A process that is behind reads
everything again, in the same request, before anything else is done: nobody sees their own change late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.models.config import ConfigVersion
from app.observe import SYSTEM, acting

Loader = Callable[[AsyncSession], Awaitable[None]]

_loaders: list[Loader] = []
_lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
_loaded: tuple[object, int] = (None, -1)
"""The database of the process, and its version that was read."""
_times = 0
_asked_at = 0.0

EVERY = 1.0
"""Seconds after which a request without a session asks again."""


def loader(load: Loader) -> Loader:
    """Declare what is read when the configuration has changed. It replaces what it had read before, whole; it runs in
    a read session of the system, and must cope with an empty database."""
    _loaders.append(load)
    return load


def stamp() -> int:
    """Differs whenever the configuration does: a part of the key of whatever is made from it and kept."""
    return _times


def forget() -> None:
    """Another database behind the same engine: whatever was read is not of this one."""
    global _loaded, _times
    _loaded, _times = (None, -1), _times + 1


async def version(session: AsyncSession) -> int:
    return await session.scalar(select(ConfigVersion.version)) or 0


async def keep_up(known: int | None = None, *, every: float = EVERY) -> None:
    """Read the configuration again if it is not that of version `known`; None: asked of the database, unless that was
    done within `every` seconds."""
    global _asked_at
    here = db.engine().sync_engine
    if known is None:
        if _loaded[0] is here and time.monotonic() < _asked_at + every:
            return
        with acting(SYSTEM):
            async with db.reads() as session:
                known = await version(session)
        _asked_at = time.monotonic()
    if _loaded == (here, known):
        return
    async with _locked():
        if _loaded != (here, known):
            await _load(here)


def _locked() -> asyncio.Lock:
    global _lock
    loop = asyncio.get_running_loop()
    if _lock is None or _lock[0] is not loop:
        _lock = (loop, asyncio.Lock())
    return _lock[1]


async def show(session: AsyncSession) -> None:
    """Let this process read what a unit has changed and not committed yet; `again` takes it back."""
    for load in _loaders:
        await load(session)


async def again() -> None:
    """Read everything again, whatever the version: a unit that was rolled back had shown some of it."""
    async with _locked():
        await _load(db.engine().sync_engine)


async def _load(here: object) -> None:
    global _loaded, _times
    with acting(SYSTEM):
        async with db.reads() as session:
            found = await version(session)  # before what it tells of: at worst that is read once more
            for load in _loaders:
                await load(session)
    _loaded, _times = (here, found), _times + 1
