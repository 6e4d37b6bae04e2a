"""What happens once a day: a job with a key for the day, made by the clock of whichever worker looks first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import wraps
from typing import Any

from sqlalchemy.exc import IntegrityError

from app import db
from app.domain.config import modules
from app.observe import SYSTEM, acting
from app.queue import enqueue
from tasks.base import Again, Function, JobRun, task

DAILY: dict[str, int] = {}
"""Task -> the hour (UTC) from which on it is due."""
_made: dict[str, date] = {}
"""What this process knows to be made, so that it asks the database once a day."""


def daily(
    name: str, *, hour: int, timeout: float = 3600, slice_seconds: float = 3, module: str = ""
) -> Callable[[Function], Function]:
    """Register ``fn(job, *, day)`` as a task that is due once each day (UTC) from `hour` on; day is an ISO date.
    module: it rests while that module is switched off.

    After an outage only the last day is made: what counts by days has to look back by itself.
    """

    def register(function: Function) -> Function:
        DAILY[name] = hour
        return task(name, timeout=timeout, slice_seconds=slice_seconds)(_resting(function, module))

    return register


def _resting(function: Function, module: str) -> Function:
    if not module:
        return function

    @wraps(function)
    async def work(job: JobRun, **args: Any) -> Again | None:
        return await function(job, **args) if modules.on(module) else None

    return work


async def begin_day() -> None:
    """Make the jobs of the day that are due by now and not there yet. Called each second."""
    now = db.utcnow()
    for name, hour in DAILY.items():
        day = (now if now.hour >= hour else now - timedelta(days=1)).date()
        if _made.get(name) == day:
            continue
        try:
            with acting(SYSTEM):
                async with db.unit() as session:
                    await enqueue(session, name, key=f"{name}:{day}", day=day.isoformat())
        except IntegrityError:  # another worker has just made it
            pass
        _made[name] = day
