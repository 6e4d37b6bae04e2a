"""Mail that comes in: looking into the mailbox, and sorting what was taken."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import moment, utcnow
from app.domain import inbound, originals
from app.errors import NotFound
from app.i18n import gettext
from app.integrations.mail.inbound import Mailbox, MailboxError, open_mailbox
from app.integrations.mail.reading import Incoming, Unreadable, peek
from app.integrations.storage import Storage, StorageError
from app.models.inbound import InboundMail
from app.models.jobs import Job, JobState
from app.observe import SYSTEM, acting, log
from app.queue import enqueue
from app.settings import Settings
from tasks.base import Again, JobRun, task

POLL, FORGET = "inbound.poll", "inbound.forget"
AT_NIGHT = 3
"""The hour (UTC) at which old originals are deleted."""
EVERY = 30.0
"""Seconds between two looks into the mailbox."""
AFTER_TROUBLE = 60.0
AT_ONCE = 50
MAX_MAIL = 50 * 1024 * 1024
KEPT_OF_LARGE = 1024 * 1024


async def begin(settings: Settings) -> None:
    """Have the mailbox looked into from now on, and old originals deleted at night, by one worker at a time. Called
    when a worker starts."""
    await _begin(FORGET)
    if settings.inbound_url:
        await _begin(POLL)


async def _begin(name: str) -> None:
    with acting(SYSTEM), suppress(IntegrityError):  # another worker has just begun it
        async with db.unit() as session:
            job = await enqueue(session, name, key=name)
            await session.execute(
                update(Job)
                .where(Job.id == job.id, Job.state.in_((JobState.DONE, JobState.FAILED)))
                .values(state=JobState.DUE, due_at=moment(), attempt=0, error="", finished_at=None)
                .execution_options(synchronize_session=False)
            )


@task(FORGET, timeout=280, tries=1000)
async def forget(job: JobRun) -> Again:
    """Delete originals that are old enough, and come again the next night."""
    while await originals.forget(job.resources.storage, days=job.resources.settings.inbound_keep_days):
        if job.slice_over:
            return Again(0)
    now = utcnow()
    night = now.replace(hour=AT_NIGHT, minute=0, second=0, microsecond=0)
    return Again((night + timedelta(days=now >= night) - now).total_seconds())


@task(POLL, timeout=280, tries=1000)
async def poll(job: JobRun) -> Again | None:
    """Take what waits in the mailbox, and come again."""
    settings = job.resources.settings
    if not settings.inbound_url:
        return None
    mailbox = open_mailbox(settings.inbound_url)
    try:
        more = await look(mailbox, job.resources.storage, settings.inbound_url.partition(":")[0], job)
    except MailboxError as error:
        log("inbound").warning("%s", error)
        return Again(AFTER_TROUBLE)
    finally:
        await mailbox.close()
    return Again(0 if more else EVERY)


async def look(mailbox: Mailbox, storage: Storage, source: str, job: JobRun | None = None) -> bool:
    """Take the mails that wait, one after the other; True when there are more."""
    names = await mailbox.waiting(AT_ONCE + 1)
    for name in names[:AT_ONCE]:
        if job is not None and job.slice_over:
            return True
        raw, size = await mailbox.read(name, MAX_MAIL)
        await take(storage, raw, source=source, size=size)
        await mailbox.put_away(name)
    return len(names) > AT_ONCE


async def take(storage: Storage, raw: bytes, *, source: str, size: int | None = None) -> bool:
    """Keep a mail, whole, and note it; False when it was taken before. size: how long it is, where `raw` is only its
    beginning."""
    size = len(raw) if size is None else size
    problem = ""
    if size > len(raw):
        raw = raw[:KEPT_OF_LARGE]
        problem = gettext("It is too large; only its beginning is kept here.") + f"|> {MAX_MAIL // 1024 // 1024} MB"
    seen = await asyncio.to_thread(peek, raw)
    stored = await storage.save(raw)
    taken = False
    with acting(SYSTEM), suppress(IntegrityError):  # somebody else took the same one in this moment
        async with db.unit() as session:
            mail = await inbound.take(
                session, seen=seen, key=stored.key, size=size, source=source, problem=problem
            )  # fmt: skip
            taken = mail is not None
    return taken


async def _unsorted(session: AsyncSession, *, job_id: int, reason: str, mail_id: int) -> None:
    with suppress(NotFound):
        await inbound.put_aside(session, mail_id=mail_id, reason=reason)


@task("inbound.sort", timeout=120, tries=4, on_failed=_unsorted)
async def sort(job: JobRun, *, mail_id: int) -> None:
    """Read a mail and put it where it belongs; what cannot be read is put aside with the reason."""
    async with db.reads() as session:
        key = await session.scalar(select(InboundMail.key).where(InboundMail.id == mail_id))
    if key is None:
        return
    try:
        letter = await asyncio.to_thread(Incoming, await job.resources.storage.read(key))
        await asyncio.to_thread(lambda: (letter.text, letter.files))  # what takes its time is done before the unit
    except (Unreadable, StorageError) as problem:
        async with db.unit() as session:
            await inbound.put_aside(session, mail_id=mail_id, reason=str(problem))
        return
    async with db.unit() as session:
        await inbound.sort(
            session, mail_id=mail_id, letter=letter, storage=job.resources.storage,
            most_bytes=job.resources.settings.max_upload_bytes,
        )  # fmt: skip
