"""Rules in the background: events that others have left, what happens by the clock, doing it, and calling webhooks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import moment, utcnow
from app.domain import jobs
from app.domain.automation import calling, events, running, touched, watching
from app.domain.config import modules
from app.i18n import _
from app.integrations import webhooks
from app.models.automation import Rule, RuleRun
from app.models.jobs import Job, JobState
from app.models.noticing import TASK as CHANGES
from app.models.touching import TASK as TOUCHED
from app.observe import SYSTEM, acting
from app.queue import enqueue
from tasks.base import Again, JobRun, task
from tasks.daily import daily

WATCH = "automation.watch"
EVERY = 60.0
"""Seconds between two looks at what happens by the clock."""
LEFT_LYING = timedelta(minutes=2)
CALLS = 8
"""Tries of one call of a webhook."""


async def begin() -> None:
    """Have rules looked after from now on, by one worker at a time. Called when a worker starts."""
    with acting(SYSTEM), suppress(IntegrityError):  # another worker has just begun it
        async with db.unit() as session:
            job = await enqueue(session, WATCH, key=WATCH)
            await session.execute(
                update(Job)
                .where(Job.id == job.id, Job.state.in_((JobState.DONE, JobState.FAILED)))
                .values(state=JobState.DUE, due_at=moment(), attempt=0, error="", finished_at=None)
                .execution_options(synchronize_session=False)
            )


async def _as_long_as(job: JobRun, work: Callable[[AsyncSession], Awaitable[bool]]) -> Again | None:
    """Parts of the work, each in a unit, until it gives False."""
    while True:
        async with db.unit() as session:
            if not await work(session):
                return None
        if job.slice_over:
            return Again(0)


@task(CHANGES)
async def changes(job: JobRun, *, spans: list[list[int]], chain: list[int]) -> Again | None:
    """Look at what one transaction has changed of customers."""
    while spans:
        async with db.unit() as session:
            spans = await events.take_changes(session, spans=spans, chain=chain)
            await jobs.remember(session, job_id=job.id, token=job.token, args={"spans": spans, "chain": chain})
        if spans and job.slice_over:
            return Again(0)
    return None


@task(TOUCHED)
async def touched_(job: JobRun) -> Again | None:
    """Look at the customers of whom something has changed that rules look at."""
    return await _as_long_as(job, touched.work)


@task(WATCH, timeout=280, tries=1000)
async def watch(job: JobRun) -> Again:
    """One look at everything that happens by the clock, and come again."""
    async with db.reads() as session:
        ids = await watching.in_use(session)
    for rule_id in ids:
        more = True
        while more:
            async with db.unit() as session:
                more = await watching.look_once(session, rule_id=rule_id, now=utcnow())
            if job.cancelled:
                return Again(0)
    async with db.unit() as session:
        if await running.due_since(session, utcnow() - LEFT_LYING):
            await events.wake(session)
        await touched.wake(session)
    return Again(EVERY)


@task(watching.DAY)
async def day(job: JobRun, *, rule_id: int, day: str, after: int = 0) -> Again | None:
    """A rule of every day: everybody who meets its condition."""
    while True:
        async with db.unit() as session:
            last = await watching.take_day(session, rule_id=rule_id, day=day, after=after)
            if last is None:
                return None
            after = last
            args = {"rule_id": rule_id, "day": day, "after": after}
            await jobs.remember(session, job_id=job.id, token=job.token, args=args)
        if job.slice_over:
            return Again(0)


@task(events.WORK)
async def work(job: JobRun) -> Again | None:
    """Do what is due. It waits while automation is switched off."""
    while modules.on("automation"):
        with acting(SYSTEM):
            async with db.unit() as session:
                more = await running.work(session)
        if not more:
            return None
        if job.slice_over:
            return Again(0)
    return None


AT_ONCE = 4
"""Calls of one worker at the same time: the rest of it is for other work, however slowly people's servers answer."""
A_MOMENT = 0.3
"""Seconds for which a call waits for its turn; then it makes room for other work, and comes again."""
REST = 30.0
"""Seconds for which an address that does not answer is left in peace: tries in between count without being made."""
_calls: set[int] = set()
_resting: dict[str, float] = {}


def under_way() -> int:
    """Calls that wait for an answer in this process."""
    return len(_calls)


async def _free() -> bool:
    """Whether another call may begin, now or in a moment: most servers answer at once."""
    until = time.monotonic() + A_MOMENT
    while len(_calls) >= AT_ONCE:
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(0.02)
    return True


class NotTaken(Exception):
    """The other side did not take it; it is tried again."""


async def _gave_up(session: AsyncSession, *, job_id: int, reason: str, run_id: int, action: str, url: str) -> None:
    answer = webhooks.Answer(0, reason, True)
    await calling.note(session, run_id=run_id, action=action, answer=answer, last=True)


@task(calling.TASK, timeout=60, tries=CALLS, on_failed=_gave_up)
async def call(job: JobRun, *, run_id: int, action: str, url: str) -> Again | None:
    """Call a webhook, until somebody takes it or it makes no sense any more."""
    if job.attempt == 1 and not await _free():
        return Again(random.uniform(2, 10))  # noqa: S311
    _calls.add(job.id)
    try:
        await _call(job, run_id, action, url)
    finally:
        _calls.discard(job.id)
    return None


async def _call(job: JobRun, run_id: int, action: str, url: str) -> None:
    async with db.reads() as session:
        run = await session.get(RuleRun, run_id)
        rule = await session.get(Rule, run.rule_id) if run is not None else None
        if run is None or rule is None or run.done.get(action, {}).get("state") == "ok":
            return
        secret, body = calling.secret_of(rule), await calling.said(session, run, rule)
    if secret is None or body is None:
        why = _("there is no secret") if secret is None else _("the customer is gone")
        answer = webhooks.Answer(0, why, True)
    elif _resting.get(host := urlsplit(url).netloc, 0) > time.monotonic():
        answer = webhooks.Answer(0, webhooks.UNREACHED, False)
    else:
        answer = await webhooks.call(
            url, secret=secret, message_id=calling.message_id(run_id, action), body=body,
            private=job.resources.settings.webhook_private,
        )  # fmt: skip
        _resting.pop(host, None)
        if answer.status == 0 and not answer.final:
            _resting[host] = time.monotonic() + REST
    last = answer.final or job.attempt >= CALLS
    async with db.unit() as session:
        await calling.note(session, run_id=run_id, action=action, answer=answer, last=last)
    if not answer.taken and not last:
        raise NotTaken(f"{answer.status} {answer.text}"[:300])


@daily("automation.forget", hour=4)
async def forget(job: JobRun, *, day: str) -> Again | None:
    """Delete what is too old in the log."""
    return await _as_long_as(job, running.forget)
