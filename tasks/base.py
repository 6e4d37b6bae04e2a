"""What a task is: an async function run for a row of the job table, under that row's lease."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from app import db, queue
from app.domain import (
    jobs,
    labels,  # noqa: F401 - read by this process too
)
from app.domain.config import live
from app.domain.jobs import Claimed
from app.errors import AppError
from app.integrations.mail import Mailer
from app.integrations.storage import Storage
from app.observe import SYSTEM, acting, log, request_id
from app.settings import Settings


@dataclass(frozen=True)
class Again:
    """Returned by a task that has more to do: run it again in so many seconds."""

    after_seconds: float = 0


@dataclass(frozen=True)
class Resources:
    """What the worker process opened at its start."""

    settings: Settings
    mailer: Mailer
    storage: Storage


Function = Callable[..., Awaitable[Again | None]]
GiveUp = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Task:
    name: str
    function: Function
    timeout: float
    slice_seconds: float
    tries: int
    on_failed: GiveUp | None


TASKS: dict[str, Task] = {}
"""All tasks by name; `tasks.worker` imports the modules that fill it."""


def task(
    name: str, *, timeout: float = 300, slice_seconds: float = 3, tries: int = 10, on_failed: GiveUp | None = None
) -> Callable[[Function], Function]:
    """Register ``fn(job: JobRun, **args)`` as the task `name`. It may run twice: a second run must change nothing.

    timeout: seconds after which it is stopped and tried again. slice_seconds: how long it should work before it
    returns `Again`. tries: failures and crashes in a row until the job fails; a run that ends well resets them.
    on_failed: ``fn(session, *, job_id, reason, **args)``, in the transaction that marks the job as failed.
    """

    def register(function: Function) -> Function:
        if name in TASKS and TASKS[name].function.__qualname__ != function.__qualname__:
            raise RuntimeError(f"two tasks are named {name}")
        TASKS[name] = Task(name, function, timeout, slice_seconds, tries, on_failed)
        return function

    return register


class JobRun:
    """One run of a job. `lease_seconds` is how long others wait when this process vanishes."""

    def __init__(self, claimed: Claimed, task: Task, resources: Resources) -> None:
        self.id = claimed.id
        self.name = claimed.name
        self.token = claimed.token
        self.attempt = claimed.attempt
        self.owner_id = claimed.owner_id
        self.resources = resources
        self.lease_seconds = float(resources.settings.lease_seconds)
        self.cancelled = False
        """The lease was lost, or the worker is about to stop: return `Again` soon."""
        self._slice_ends = time.monotonic() + task.slice_seconds

    @property
    def slice_over(self) -> bool:
        """It is time to return `Again(0)`, so that other jobs get their turn."""
        return self.cancelled or stopping() or time.monotonic() >= self._slice_ends

    async def progress(self, done: int, total: int) -> None:
        """Say how far the job is; renews the lease."""
        async with db.unit() as session:
            held = await jobs.report(
                session, job_id=self.id, token=self.token, done=done, total=total, lease_seconds=self.lease_seconds
            )
        self.cancelled = self.cancelled or not held

    async def renew(self) -> None:
        """Renew the lease; notices when it was lost."""
        if not self.cancelled:
            async with db.unit() as session:
                held = await jobs.renew(session, job_id=self.id, token=self.token, lease_seconds=self.lease_seconds)
            self.cancelled = not held


@asynccontextmanager
async def beside(seconds: float, what: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do `what` every so many seconds while the block runs; a failure is logged and tried again.

    At the end it may finish its round: a transaction that is cut leaves a connection behind, and with it the process.
    """
    ended = asyncio.Event()

    async def repeat() -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), seconds)
            if ended.is_set():
                return
            try:
                await what()
            except Exception as error:
                log("tasks").warning("%s failed: %s", what.__qualname__, type(error).__name__)

    rounds = asyncio.create_task(repeat())
    try:
        yield
    finally:
        ended.set()
        await asyncio.wait({rounds})


_stopping = False


def stopping() -> bool:
    """True once this process was told to stop."""
    return _stopping


def stop(value: bool = True) -> None:
    global _stopping
    _stopping = value


BACK_OFF = (1, 4, 15, 60, 300)
"""Seconds until the next try, by the number of tries that failed."""


async def run_job(job_id: int, resources: Resources) -> bool:
    """Run a job if it is due. False: there was nothing to do here. Never raises for what the task does."""
    with acting(SYSTEM):
        async with db.unit() as session:
            claimed = await jobs.claim(session, job_id=job_id, lease_seconds=resources.settings.lease_seconds)
        if claimed is None:
            return False
    with acting(replace(SYSTEM, staff_id=claimed.owner_id, customer_id=claimed.visited_id)):
        token = request_id.set(f"job-{claimed.id}")
        try:
            await _run(claimed, resources)
        finally:
            request_id.reset(token)
    return True


async def _run(claimed: Claimed, resources: Resources) -> None:
    known = TASKS.get(claimed.name)
    if known is None:  # an older worker beside a newer web process: leave it to a newer worker
        await _later(claimed, 30, f"this worker knows no task {claimed.name}")
        return
    if claimed.attempt > known.tries:
        await _fail(claimed, known, "the worker stopped each time while it ran this")
        return
    job = JobRun(claimed, known, resources)
    async with beside(job.lease_seconds / 3, job.renew):
        try:
            async with asyncio.timeout(known.timeout):
                await live.keep_up(every=0)
                result = await known.function(job, **claimed.args)
        except asyncio.CancelledError:  # the process ends: somebody else may go on at once
            with suppress(Exception):
                await asyncio.shield(_later(claimed, 0, None))
            raise
        except AppError as refusal:
            log("tasks").warning("%s was refused: %s", claimed.name, refusal)
            await _fail(claimed, known, str(refusal))
        except Exception as error:
            reason = "it took too long" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            log("tasks").log(
                logging.WARNING if isinstance(error, TimeoutError) else logging.ERROR,
                "%s failed, try %s: %s", claimed.name, claimed.attempt, reason, exc_info=True,
            )  # fmt: skip
            if claimed.attempt >= known.tries:
                await _fail(claimed, known, reason)
            else:
                await _later(claimed, BACK_OFF[min(claimed.attempt, len(BACK_OFF)) - 1], reason)
        else:
            if isinstance(result, Again):
                await _later(claimed, result.after_seconds, None)
            else:
                async with db.unit() as session:
                    await jobs.finish(session, job_id=claimed.id, token=claimed.token)


async def _later(claimed: Claimed, seconds: float, error: str | None) -> None:
    async with db.unit() as session:
        held = await jobs.again(session, job_id=claimed.id, token=claimed.token, after_seconds=seconds, error=error)
    if held and seconds <= 0 and not stopping():
        await queue.ring(claimed.name, claimed.id)


async def _fail(claimed: Claimed, known: Task, reason: str) -> None:
    log("tasks").error("%s has failed: %s", claimed.name, reason)
    async with db.unit() as session:
        held = await jobs.fail(session, job_id=claimed.id, token=claimed.token, error=reason)
        if held and known.on_failed is not None:
            await known.on_failed(session, job_id=claimed.id, reason=reason, **claimed.args)
