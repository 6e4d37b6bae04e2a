"""How fast a campaign may go, and when it stops by itself: real lanes, a real mail server."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from app import db
from app.domain.messaging import campaigns, starting
from app.integrations.mail import SmtpMailer
from app.integrations.storage import DirectoryStorage
from app.models.jobs import Job, JobState
from app.models.messaging import Campaign, CampaignState, Delivery, DeliveryState
from app.settings import Settings
from tasks import base, messaging, pace
from tasks.lane import MailServer
from tests import factories as make

assert messaging  # registers the tasks
pytestmark = pytest.mark.usefixtures("database", "redis")


class Sink:
    """Takes mail and notes when; addresses at refused.example do not exist."""

    def __init__(self) -> None:
        self.at: list[tuple[float, str]] = []

    async def session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        recipient = ""
        while (line := await reader.readline()) and not line.startswith(b"QUIT"):
            if line.startswith(b"EHLO"):
                writer.write(b"250-sink\r\n250 PIPELINING\r\n")
            elif line.startswith(b"RCPT"):
                recipient = line.decode().partition("<")[2].partition(">")[0]
                writer.write(b"550 nobody\r\n" if "@refused" in recipient else b"250 ok\r\n")
            elif line.startswith(b"DATA") and "@refused" in recipient:
                writer.write(b"503 nobody\r\n")
            elif line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                self.at.append((time.monotonic(), recipient))
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"250 ok\r\n")
        writer.close()


def most(moments: list[float], seconds: float = 1.0) -> int:
    """The most that fall into so many seconds."""
    return max(sum(at <= other < at + seconds for other in moments) for at in moments)


def spread(allowed: list[float], arrived: list[float]) -> float:
    """By how much the way from the lane to the server took longer for one than for another: a busy machine's share."""
    ways = [there - here for here, there in zip(sorted(allowed), sorted(arrived), strict=False)]
    return max(ways) - min(ways)


class Watched(pace.Pace):
    """Notes when each letter was allowed to go."""

    allowed: ClassVar[list[float]] = []
    turns: ClassVar[dict[str, float]] = {}

    def tokens(self) -> int:
        self.asked = time.monotonic()
        return super().tokens()

    def used(self, n: int) -> None:
        super().used(n)
        if self.limited:
            self.allowed.extend([self.asked] * n)

    def domain_wait(self, address: str, *, first: bool) -> float:
        wait = super().domain_wait(address, first=first)
        if wait <= pace.SOON:
            self.turns[address] = time.monotonic() + wait
        return wait


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    monkeypatch.setattr("tasks.lane.Pace", Watched)
    Watched.allowed.clear()
    Watched.turns.clear()
    return Watched


@pytest.fixture
async def sink() -> AsyncIterator[tuple[Sink, int]]:
    handler = Sink()
    server = await asyncio.start_server(handler.session, "127.0.0.1", 0)
    yield handler, server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def resources(sink: tuple[Sink, int], tmp_path: Path, database: str) -> AsyncIterator[base.Resources]:
    mailer = SmtpMailer(f"smtp://127.0.0.1:{sink[1]}", timeout=5)
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path, lease_seconds=5)
    MailServer.down_since = None
    pace._kept.clear()  # the campaigns of other tests have the same numbers
    yield base.Resources(settings, mailer, DirectoryStorage(tmp_path / "attachments"))
    await mailer.close()


async def campaign_to(addresses: list[str], **kw: Any) -> Campaign:
    async with db.unit() as session:
        for address in addresses:
            await make.create_customer(session, email=address)
        campaign = await starting.start_campaign(
            session, key="pace", category_id=(await make.create_category(session)).id, audience={"everyone": True},
            texts={"en": ("Hello", "Hello {{ customer.name }}")}, default_language="en", channels=["email"],
        )  # fmt: skip
        for name, value in kw.items():
            setattr(campaign, name, value)
    async with db.unit() as session:
        return await starting.materialise(session, campaign_id=campaign.id)


async def work(resources: base.Resources, seconds: float) -> None:
    """Both lanes, as workers would run them."""
    end = time.monotonic() + seconds
    running: set[asyncio.Task[Any]] = set()
    while time.monotonic() < end:
        async with db.reads() as session:
            due = await session.scalars(
                select(Job.id).where(
                    Job.name == "messaging.deliver", Job.state == JobState.DUE, Job.due_at <= db.moment()
                )
            )
            ids = list(due)
        if not ids and not running:
            async with db.reads() as session:
                if await session.scalar(select(Campaign.state)) is not CampaignState.RUNNING:
                    return
        for job_id in ids:
            task = asyncio.create_task(base.run_job(job_id, resources))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.sleep(0.05)
    base.stop()
    await asyncio.gather(*running)
    base.stop(False)


async def states() -> Counter[DeliveryState]:
    async with db.reads() as session:
        return Counter(await session.scalars(select(Delivery.state)))


async def test_a_campaign_with_a_limit_never_goes_faster_and_hardly_slower(
    resources: base.Resources, sink: tuple[Sink, int], watched: type[Watched]
) -> None:
    await campaign_to([f"c{n}@example.org" for n in range(200)], per_second=20)
    began = time.monotonic()
    await work(resources, 4)
    seconds = time.monotonic() - began
    arrived = [at for at, _recipient in sink[0].at]
    assert most(watched.allowed) <= 21, "20, and the one that may go at once"
    assert most(arrived) <= 20 * (1 + spread(watched.allowed, arrived)) + 1
    assert 20 <= len(sink[0].at) <= 20 * seconds + 1


def test_however_late_it_is_asked_no_second_has_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, chance = SimpleNamespace(now=1000.0), Random(7)
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock.now))
    for limit in (1, 7, 20, 300):
        lane, allowed = pace.Pace("test", limit, 0), []
        for _n in range(3_000):
            clock.now += chance.choice((0.0, 0.001, 0.01, 0.05, 0.3, 2.0)) * chance.random()
            n = chance.randint(0, lane.tokens())
            lane.used(n)
            allowed += [clock.now] * n
        at_once = max(1, limit * pace.BURST)
        assert len(allowed) > 100
        for first in range(0, len(allowed), 10):
            assert sum(allowed[first] <= at < allowed[first] + 1 for at in allowed) <= limit + at_once


async def test_a_limit_for_each_domain_holds_back_only_that_domain(
    resources: base.Resources, sink: tuple[Sink, int], watched: type[Watched]
) -> None:
    large = [f"c{n}@large.example" for n in range(100)]
    await campaign_to([*large, *[f"c{n}@small{n}.example" for n in range(30)]], per_domain_second=8)
    began = time.monotonic()
    await work(resources, 4)
    seconds = time.monotonic() - began
    assert sum("@small" in recipient for _at, recipient in sink[0].at) == 30
    arrived = {recipient: at for at, recipient in sink[0].at if "@large" in recipient}
    turns = [watched.turns[recipient] for recipient in arrived]
    assert most(turns) <= 9, "8, and one that falls on the edge"
    assert most(list(arrived.values())) <= 8 * (1 + spread(turns, list(arrived.values()))) + 1
    assert 8 <= sum("@large" in recipient for _at, recipient in sink[0].at) <= 8 * seconds + 2
    found = await states()
    assert found.keys() <= {DeliveryState.SENT, DeliveryState.DUE}
    assert found[DeliveryState.SENT] == len(sink[0].at)


async def test_too_many_failures_among_the_last_pause_the_campaign(
    resources: base.Resources, sink: tuple[Sink, int]
) -> None:
    well = [f"c{n}@example.org" for n in range(40)]
    bad = [f"c{n}@refused.example" for n in range(1200)]
    campaign = await campaign_to([*well, *bad], stop_percent=50, stop_window=20)
    await work(resources, 10)
    async with db.reads() as session:
        found = await session.get_one(Campaign, campaign.id)
    assert found.state is CampaignState.PAUSED and "of the last 20 e-mails" in found.error
    assert (await states())[DeliveryState.DUE] > 100, "the rest waits"
    async with db.unit() as session:
        await campaigns.resume_campaign(session, campaign_id=campaign.id)
    await work(resources, 10)
    async with db.reads() as session:
        assert (await session.get_one(Campaign, campaign.id)).state is CampaignState.PAUSED, "it counts anew"


async def test_few_failures_stop_nothing(resources: base.Resources, sink: tuple[Sink, int]) -> None:
    addresses = [f"c{n}@refused.example" if n % 4 == 0 else f"c{n}@example.org" for n in range(120)]
    campaign = await campaign_to(addresses, stop_percent=50, stop_window=20)
    await work(resources, 10)
    async with db.reads() as session:
        assert (await session.get_one(Campaign, campaign.id)).state is CampaignState.DONE
    assert await states() == {DeliveryState.SENT: 90, DeliveryState.FAILED: 30}


async def test_a_lane_of_a_run_before_the_pause_ends(resources: base.Resources, sink: tuple[Sink, int]) -> None:
    campaign = await campaign_to([f"c{n}@example.org" for n in range(10)])
    async with db.unit() as session:
        await campaigns.pause_campaign(session, campaign_id=campaign.id)
    async with db.unit() as session:
        await campaigns.resume_campaign(session, campaign_id=campaign.id)
    async with db.reads() as session:
        jobs = list(await session.scalars(select(Job.id).where(Job.name == "messaging.deliver").order_by(Job.id)))
    assert len(jobs) == 4
    for job_id in jobs[:2]:
        await base.run_job(job_id, resources)
    assert sink[0].at == []
    await work(resources, 10)
    assert len(sink[0].at) == 10
