"""The worker process: an arq worker that outlives Redis, and beside it the sweep over the database."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from arq.worker import Worker, func
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app import db, links, models, queue
from app.domain.messaging import replies
from app.integrations.mail import make_mailer
from app.integrations.storage import DirectoryStorage
from app.observe import SYSTEM, acting, log, set_up_logging
from app.settings import Settings, load
from tasks import (
    automation,
    base,
    bulk,
    campaigns,
    charging,
    config,
    confirmations,
    custom,
    customers,
    daily,
    imports,
    inbound,
    invoices,
    jobs,
    ledger,
    mails,
    messaging,
    payments,
    privacy,
    sessions,
    tickets,
)
from tasks.base import Resources

__all__ = [
    "automation",
    "bulk",
    "campaigns",
    "charging",
    "config",
    "confirmations",
    "custom",
    "customers",
    "imports",
    "inbound",
    "invoices",
    "ledger",
    "mails",
    "models",
    "payments",
    "privacy",
    "run",
    "sessions",
    "tickets",
]  # importing the models registers every mapper, importing the tasks every task

POLL = 0.1
HEALTH = 5
BEAT = 5.0
"""Seconds between two signs of life."""
SWEEP = 1.0
MAX_JOBS = 10
GARBAGE = 10_000
"""Objects more than before until cycles are looked for: a lane holds thousands, and makes no cycles of them."""
LONGEST_SLICE = 10.0
"""Seconds that running jobs get to end their slice after SIGTERM; then they are cancelled and run again elsewhere."""


def run(settings: Settings | None = None) -> None:
    """Work until SIGTERM or SIGINT, which lets slices end. A Redis or a database that goes away is waited for."""
    settings = settings or load()
    set_up_logging()
    db.configure(settings.database_url)
    queue.configure(settings.redis_url)
    links.configure(settings)
    replies.configure(settings.secret_key, settings.inbound_address, settings.old_secret_keys)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_main(settings))
    finally:
        base.stop(False)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where it is: a campaign takes half the time."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _main(settings: Settings) -> None:
    mailer = make_mailer(settings.mail_url, settings.data_dir, settings.mail_only_to)
    resources = Resources(settings, mailer, DirectoryStorage(settings.data_dir / "attachments"))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log("worker").info("the worker starts")
    try:
        async with base.beside(SWEEP, _Sweep(settings.data_dir).once), base.beside(BEAT, _alive):
            await _alive()
            with suppress(SQLAlchemyError, OSError):  # the database may still be starting: then the next worker does it
                await inbound.begin(settings)
                await payments.begin(settings)
                await automation.begin()
            await _distribute(settings, resources, stop)
    finally:
        with suppress(Exception):
            await queue.beat(NAME, ended=True)
        await mailer.close()
        with suppress(RedisError, OSError):
            await queue.close()
        await db.dispose()
        log("worker").info("the worker has ended")


NAME = f"{socket.gethostname()}:{os.getpid()}"


async def _alive() -> None:
    """The sign of life that the first page of the panel shows; without Redis it waits for the next round."""
    with suppress(RedisError, OSError):
        await queue.beat(NAME)


async def _distribute(settings: Settings, resources: Resources, stop: asyncio.Event) -> None:
    """Run arq's worker; when Redis goes away, start another as soon as it is back. Running jobs go on meanwhile."""
    running: set[asyncio.Task[Any]] = set()
    stopped = asyncio.create_task(stop.wait())
    while not stop.is_set():
        worker = _worker(settings, resources, running)
        main = asyncio.create_task(worker.async_run())
        await asyncio.wait({main, stopped}, return_when=asyncio.FIRST_COMPLETED)
        worker.allow_pick_jobs = False
        for task in worker.tasks.values():
            task.add_done_callback(_forget)
        if stop.is_set():
            await _let_end(running)
            if worker.tasks:  # a moment to tell Redis that they are done
                await asyncio.wait(worker.tasks.values(), timeout=0.5)
        main.cancel()
        problem = (await asyncio.gather(main, return_exceptions=True))[0]
        if worker._pool is not None:
            with suppress(RedisError, OSError):
                await worker._pool.aclose()
        if not stop.is_set():
            log("worker").warning("Redis cannot be reached, trying again: %s", type(problem).__name__)
            await asyncio.wait({stopped}, timeout=0.5)
    stopped.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    """Without Redis arq cannot book the end of a job. That is no news: the row is the truth."""
    if not task.cancelled():
        task.exception()


async def _let_end(running: set[asyncio.Task[Any]]) -> None:
    base.stop()
    if running:
        log("worker").info("stopping, %s jobs end their slice", len(running))
        await asyncio.wait(running, timeout=LONGEST_SLICE)
    for late in list(running):
        late.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _worker(settings: Settings, resources: Resources, running: set[asyncio.Task[Any]]) -> Worker:
    return Worker(
        functions=[
            func(partial(_run, resources, running), name=name, timeout=task.timeout + 30, max_tries=1, keep_result=0)  # type: ignore[arg-type]
            for name, task in base.TASKS.items()
        ],
        redis_settings=queue.redis_settings(settings.redis_url),
        job_serializer=queue.serialize,
        job_deserializer=queue.deserialize,
        poll_delay=POLL,
        max_jobs=MAX_JOBS,
        max_tries=1,
        keep_result=0,
        handle_signals=False,
        job_completion_wait=int(LONGEST_SLICE),
        health_check_interval=HEALTH,
        log_results=False,
    )


async def _run(resources: Resources, running: set[asyncio.Task[Any]], _ctx: dict[str, Any], job_id: int) -> None:
    """What arq calls, with the id of a row. The run is a task of its own: arq's end with Redis does not end it."""
    work = asyncio.create_task(base.run_job(job_id, resources))
    running.add(work)
    work.add_done_callback(running.discard)
    await asyncio.shield(work)


class _Sweep:
    """Hands over what is due, and returns the deliveries of workers that died."""

    def __init__(self, data_dir: Path) -> None:
        returned = partial(messaging.return_expired, data_dir)
        self._steps: tuple[Callable[[], Awaitable[object]], ...] = (daily.begin_day, jobs.hand_over, returned)
        self._quiet_until = 0.0

    async def once(self) -> None:
        for step in self._steps:
            try:
                with acting(SYSTEM):
                    await asyncio.wait_for(step(), 30)
            except Exception as error:
                if time.monotonic() >= self._quiet_until:  # one line in ten seconds is enough
                    self._quiet_until = time.monotonic() + 10
                    log("worker").warning("the sweep waits: %s: %s", type(error).__name__, error)
