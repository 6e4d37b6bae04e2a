"""Messages in the background: choosing the recipients, sending in slices, returning what dead workers held."""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain.messaging import campaigns, consent, delivery, starting
from app.domain.messaging.content import Content, load_content
from app.errors import Conflict, NotFound
from app.i18n import gettext
from app.integrations.mail import MailAttachment
from app.integrations.mail.notes import mark, sealed
from app.integrations.storage import Storage, StorageError
from app.models.jobs import Job
from app.models.messaging import CampaignState
from app.observe import log
from tasks.base import Again, JobRun, beside, task
from tasks.lane import Lane, MailServer
from tasks.pace import Failures

SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 15.0
BESIDE = 5.0
"""Seconds after which a lane looks again whether another one sends a campaign that may only have one."""


async def _not_chosen(session: AsyncSession, *, job_id: int, reason: str, campaign_id: int) -> None:
    with suppress(NotFound):
        await starting.fail_campaign(session, campaign_id=campaign_id, reason=reason)


@task("messaging.materialise", timeout=600, tries=5, on_failed=_not_chosen)
async def materialise(job: JobRun, *, campaign_id: int) -> None:
    """Write one delivery per recipient and start the lanes."""
    async with db.unit() as session:
        campaign = await starting.materialise(session, campaign_id=campaign_id)
        total, since = campaign.total, campaign.created_at
    async with db.unit() as session:  # whoever refused while the recipients were being chosen
        await consent.recheck(session, campaign_id=campaign_id, since=since)
    await job.progress(total, total)


@task("messaging.wind_up", timeout=120)
async def wind_up(job: JobRun, *, campaign_id: int) -> Again | None:
    """Mark what a stopped campaign did not send."""
    async with db.unit() as session:
        return None if await campaigns.wind_up(session, campaign_id=campaign_id) else Again(1)


async def _not_sent(session: AsyncSession, *, job_id: int, reason: str, campaign_id: int, lane: int) -> None:
    log("messaging").error("lane %s of campaign %s gave up: %s", lane, campaign_id, reason)
    if not await delivery.other_lanes(session, campaign_id=campaign_id, job_id=job_id):
        await delivery.give_up(session, campaign_id=campaign_id, reason=reason)
        with suppress(NotFound):
            await delivery.settle(session, campaign_id=campaign_id)


@task("messaging.deliver", timeout=300, slice_seconds=10, on_failed=_not_sent)
async def deliver(job: JobRun, *, campaign_id: int, lane: int) -> Again | None:
    """Send for a few seconds, then let others have their turn; over when every row of the campaign is final."""
    try:
        async with db.reads() as session:
            content = await load_content(session, campaign_id)
    except NotFound:
        return None
    if content.state is not CampaignState.RUNNING or await _outdated(job, content):
        return None
    if lane and (content.per_second or content.per_domain_second):
        async with db.reads() as session:  # one clock is enough for a campaign that may not go fast
            if await delivery.other_lanes(session, campaign_id=campaign_id, job_id=job.id):
                return Again(BESIDE)
    try:
        files = await _files(job.resources.storage, content)
    except StorageError as problem:
        async with db.unit() as session:
            await delivery.give_up(session, campaign_id=campaign_id, reason=f"An attached file is missing: {problem}")
            await delivery.settle(session, campaign_id=campaign_id)
        return None
    run = Lane(job, content, files, lane)
    async with beside(job.lease_seconds / 3, run.renew):
        try:
            await run.work()
        finally:
            await run.end()
    if run.failures.too_many:
        await _stop(content, run.failures)
        return None
    if run.down:
        return Again(_pause())
    if not run.exhausted:
        return Again(0)
    async with db.unit() as session:
        wait = await delivery.settle(session, campaign_id=campaign_id)
    return None if wait is None else Again(wait)


async def _outdated(job: JobRun, content: Content) -> bool:
    """This lane belongs to a run before the last pause: those of the present one send now."""
    async with db.reads() as session:
        key = await session.scalar(select(Job.key).where(Job.id == job.id))
    run = (key or "").rpartition(":")[2]
    return run.isdecimal() and int(run) != content.run


async def _stop(content: Content, failures: Failures) -> None:
    """Too many of the last deliveries failed: pause, and say why. Another lane may have done so already."""
    log("messaging").warning("campaign %s is paused: %s failed", content.campaign_id, failures)
    reason = gettext("Paused by itself: of the last %(n)s e-mails %(failed)s failed.") % failures.figures
    with suppress(Conflict, NotFound):
        async with db.unit() as session:
            await campaigns.pause_campaign(session, campaign_id=content.campaign_id, reason=reason)


_kept: OrderedDict[tuple[tuple[str, str], ...], list[MailAttachment]] = OrderedDict()


async def _files(storage: Storage, content: Content) -> list[MailAttachment]:
    """The files of a campaign, read and encoded once for all its slices."""
    if not content.attachments:
        return []
    which = tuple((file.name, file.key) for file in content.attachments)
    if which not in _kept:
        _kept[which] = [
            MailAttachment(file.name, file.content_type, await storage.read(file.key)) for file in content.attachments
        ]
        while len(_kept) > 2:
            _kept.popitem(last=False)
    _kept.move_to_end(which)
    return _kept[which]


def _pause() -> float:
    now = time.monotonic()
    down = now - (MailServer.down_since or now)
    return min(max(down, SHORTEST_PAUSE), LONGEST_PAUSE)


async def return_expired(data_dir: Path | None = None) -> None:
    """For the sweep: what workers held that died. data_dir: where the workers of this machine leave their notes."""
    folder = (data_dir or Path("nowhere")) / "sending"
    async with db.reads() as session:
        abandoned = await delivery.expired(session, mark=mark(folder))
    for of in abandoned:
        with sealed(folder, of.token) as notes:
            async with db.unit() as session:
                await delivery.return_expired(session, of=of, notes=notes)
