"""Messages in the background: choosing the recipients, sending in slices, returning what dead workers held."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain.messaging import campaigns, consent, delivery
from app.domain.messaging.content import Content, load_content
from app.domain.messaging.delivery import End, Outcome, Row
from app.errors import NotFound
from app.integrations.mail import MailAttachment
from app.integrations.storage import Storage, StorageError
from app.models.messaging import CampaignState
from app.observe import log
from tasks.base import Again, JobRun, beside, task

CLAIM = 64
"""Rows claimed at once. Those that are not started are simply due again after a crash."""
IN_FLIGHT = 16
"""Rows of one lane that are with the mail server or not yet marked: the most that a crash can send twice."""
IN_FLIGHT_LARGE = 4
"""The same when the files are large, for the memory's sake."""
LARGE = 1024 * 1024
PROBES = 2
"""Rows that are tried while the mail server is known to be down."""
FLUSH_ROWS = 8
FLUSH_SECONDS = 0.1
SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 15.0


async def _not_chosen(session: AsyncSession, *, job_id: int, reason: str, campaign_id: int) -> None:
    with suppress(NotFound):
        await campaigns.fail_campaign(session, campaign_id=campaign_id, reason=reason)


@task("messaging.materialise", timeout=600, tries=5, on_failed=_not_chosen)
async def materialise(job: JobRun, *, campaign_id: int) -> None:
    """Write one delivery per recipient and start the lanes."""
    async with db.unit() as session:
        campaign = await campaigns.materialise(session, campaign_id=campaign_id)
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


@task("messaging.deliver", timeout=300, slice_seconds=3, on_failed=_not_sent)
async def deliver(job: JobRun, *, campaign_id: int, lane: int) -> Again | None:
    """Send for a few seconds, then let others have their turn; over when every row of the campaign is final."""
    try:
        async with db.reads() as session:
            content = await load_content(session, campaign_id)
    except NotFound:
        return None
    if content.state is not CampaignState.RUNNING:
        return None
    try:
        files = await _files(job.resources.storage, content)
    except StorageError as problem:
        async with db.unit() as session:
            await delivery.give_up(session, campaign_id=campaign_id, reason=f"An attached file is missing: {problem}")
            await delivery.settle(session, campaign_id=campaign_id)
        return None
    run = _Lane(job, content, files)
    async with beside(job.lease_seconds / 3, run.renew):
        try:
            await run.work()
        finally:
            await run.end()
    if run.down:
        return Again(_pause())
    if not run.exhausted:
        return Again(0)
    async with db.unit() as session:
        wait = await delivery.settle(session, campaign_id=campaign_id)
    return None if wait is None else Again(wait)


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


_down_since: float | None = None
"""Since when the mail server has not answered this process (monotonic clock)."""


def _pause() -> float:
    down = time.monotonic() - (_down_since or time.monotonic())
    return min(max(down, SHORTEST_PAUSE), LONGEST_PAUSE)


class _Lane:
    """One slice of one lane: claims ahead, keeps a few rows in flight, marks them in small groups as they come back."""

    def __init__(self, job: JobRun, content: Content, files: list[MailAttachment]) -> None:
        self.job = job
        self.content = content
        self.files = files
        self.token = job.token
        self.exhausted = False
        """Nothing was due when it last looked."""
        self.down = False
        """The mail server cannot be reached."""
        self._ready: deque[Row] = deque()
        self._flying: dict[asyncio.Task[Outcome], float] = {}
        self._back: list[Outcome] = []
        self._oldest_back = 0.0
        self._last_success = 0.0
        large = sum(file.size for file in content.attachments) > LARGE
        self._most = IN_FLIGHT_LARGE if large else IN_FLIGHT

    @property
    def _ending(self) -> bool:
        return self.down or self.job.slice_over

    async def work(self) -> None:
        while True:
            if not self._ready and not self._ending and not self.exhausted:
                await self._claim()
            if self._ready and not self._ending:
                await self._launch()
            if self._flying:
                landed, _still = await asyncio.wait(
                    self._flying, timeout=FLUSH_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                # of those that end together, successes count first: they tell that the server is well
                for flight in sorted(landed, key=lambda f: f.result().end is End.UNREACHABLE):
                    self._land(flight)
            if self._back and (
                len(self._back) >= FLUSH_ROWS
                or not self._flying
                or time.monotonic() - self._oldest_back > FLUSH_SECONDS
            ):
                await self._flush()
            if not self._flying and not self._back and (self._ending or (self.exhausted and not self._ready)):
                return

    async def end(self) -> None:
        """Whatever happened: write down what came back, give back what was not started."""
        for flight in self._flying:
            flight.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)
        if self._back:
            await self._flush()
        if self._ready:
            async with db.unit() as session:
                await delivery.release(session, token=self.token, message_ids=[row.message_id for row in self._ready])

    async def _claim(self) -> None:
        async with db.unit() as session:
            found, mails = await delivery.claim(
                session, content=self.content, n=CLAIM, token=self.token, lease_seconds=self.job.lease_seconds
            )
        self._ready.extend(mails)
        self.exhausted = found == 0

    async def _launch(self) -> None:
        most = PROBES if _down_since is not None else self._most
        free = most - len(self._flying) - len(self._back)
        if free < max(most // 2, 1):  # a few at once: one transaction fences them all
            return
        group = [self._ready.popleft() for _n in range(min(free, len(self._ready)))]
        async with db.unit() as session:
            held = await delivery.fence(
                session, content=self.content, rows=group, token=self.token, lease_seconds=self.job.lease_seconds
            )
        for row in group:
            if row.message_id in held:
                self._flying[asyncio.create_task(self._send(row))] = time.monotonic()
        if not held:  # stopped, or too late: the rest of the claim is in the same state
            async with db.unit() as session:
                ids = [row.message_id for row in (*group, *self._ready)]
                await delivery.release(session, token=self.token, message_ids=ids)
            self._ready.clear()

    async def _send(self, row: Row) -> Outcome:
        return await delivery.send(self.job.resources.mailer, content=self.content, files=self.files, row=row)

    def _land(self, flight: asyncio.Task[Outcome]) -> None:
        global _down_since
        began, outcome, now = self._flying.pop(flight), flight.result(), time.monotonic()
        if outcome.end is End.UNREACHABLE:
            if self._last_success > began:
                outcome = Outcome(outcome.row, outcome.end, outcome.reason, server_is_well=True)
            else:
                self.down = True
                if _down_since is None:
                    _down_since = now
                    log("messaging").warning("the mail server cannot be reached: %s", outcome.reason)
        elif outcome.end is not End.NO_ADDRESS:
            self._last_success = now
            _down_since = None
        if not self._back:
            self._oldest_back = now
        self._back.append(outcome)

    async def _flush(self) -> None:
        outcomes, self._back = self._back, []
        async with db.unit() as session:
            await delivery.finish(session, outcomes=outcomes, token=self.token, policy=self.content.policy)

    async def renew(self) -> None:
        """Renew the leases of the rows: a slow server must not make them look abandoned."""
        async with db.unit() as session:
            await delivery.renew(session, token=self.token, lease_seconds=self.job.lease_seconds)


async def return_expired() -> None:
    """For the sweep: what workers held that died."""
    async with db.reads() as session:
        if not await delivery.expired(session):
            return
    async with db.unit() as session:
        await delivery.return_expired(session)
