"""A campaign of 2,000 while workers and Redis are killed: nobody is missed, and doubles are only what was in flight."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from app import db, queue
from app.db import utcnow
from app.domain.messaging import campaigns
from app.localrun import redis_binary, redis_child
from app.models.customers import Customer
from app.models.messaging import Campaign, CampaignState, Delivery, DeliveryState, Policy
from app.supervisor import signal_group, spawn
from tasks.messaging import IN_FLIGHT
from tests import factories as make

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
RECIPIENTS = 2000
KILLS = 5
LEASE = 2
SLOW = 0.010


class Sink:
    """A mail server that takes 10 ms for each message and remembers every Message-ID that it has accepted."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.port = 0

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 sink\r\n")
            while line := (await reader.readline()).upper():
                if line.startswith((b"EHLO", b"HELO")):
                    writer.write(b"250-sink\r\n250 8BITMIME\r\n")
                elif line.startswith(b"DATA"):
                    writer.write(b"354 go on\r\n")
                    message = await reader.readuntil(b"\r\n.\r\n")
                    found = re.search(rb"(?im)^message-id:\s*<([^>]+)>", message)
                    assert found is not None
                    self.seen[found[1].decode()] += 1  # from here on it is delivered, whoever hears the answer
                    await asyncio.sleep(SLOW)
                    writer.write(b"250 taken\r\n")
                elif line.startswith(b"QUIT"):
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 ok\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Sink]:
        server = await asyncio.start_server(self._session, "127.0.0.1", 0, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()


class Redis:
    """A Redis of this test's own, without persistence, that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder / 'redis.sock'}"
        self.start()

    def start(self) -> None:
        self.process = spawn(redis_child(redis_binary(), self.folder), pipe=False)

    def kill(self) -> None:
        signal_group(self.process, signal.SIGKILL)
        self.process.wait()


@contextmanager
def own_redis() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="bursar-", dir="/tmp") as folder:
        redis = Redis(Path(folder))
        try:
            yield redis
        finally:
            redis.kill()


class Workers:
    """Real worker processes, each with a log of its own."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.logs: dict[int, Path] = {}

    def start(self) -> None:
        path = self.folder / f"worker{len(self.logs)}.log"
        with path.open("wb") as log:
            command = [sys.executable, "-c", "from tasks.worker import run; run()"]
            process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=log)
        self.processes.append(process)
        self.logs[process.pid] = path

    async def ready(self) -> None:
        """Wait until all have started: before that a SIGTERM meets no handler."""
        end = time.monotonic() + 20
        while not all("the worker starts" in self.logs[process.pid].read_text() for process in self.processes):
            assert time.monotonic() < end, self.said()
            await asyncio.sleep(0.05)

    def said(self) -> str:
        return "".join(path.read_text() for path in self.logs.values())

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        self.processes.remove(process)

    def terminate(self) -> list[int]:
        for process in self.processes:
            process.terminate()
        return [process.wait(20) for process in self.processes]


async def test_a_campaign_survives_five_killed_workers_and_a_killed_redis(database: str, tmp_path: Path) -> None:
    began = time.monotonic()
    async with _stage(database, tmp_path) as (redis, workers, sink):
        figures = await _run(workers, redis)
    lines = workers.said()
    states, ids = await _states(), await _ids()
    got = {message_id.partition("@")[0] for message_id in sink.seen}
    doubles = sum(sink.seen.values()) - len(sink.seen)
    print(
        f"\n{db.engine().dialect.name}: {time.monotonic() - began:.1f} s, {len(ids - got)} missing, {doubles} doubles, "
        f"in flight at the kills {figures.in_flight} = {sum(figures.in_flight)}, "
        f"after Redis came back {figures.redis_gap:.1f} s, sent in {figures.seconds:.1f} s"
    )
    assert states == {DeliveryState.SENT: RECIPIENTS}, lines[-4000:]
    assert len(ids) == RECIPIENTS and got == ids, "nobody is missing, nobody else got it"
    assert doubles <= min(sum(figures.in_flight), KILLS * campaigns.LANES * IN_FLIGHT)
    assert figures.kills == KILLS and figures.exits == [0, 0], lines[-4000:]
    assert figures.redis_gap < 10
    assert "Traceback" not in lines, lines[-4000:]


async def test_under_review_kills_double_nothing_and_staff_see_what_is_open(database: str, tmp_path: Path) -> None:
    async with _stage(database, tmp_path) as (_redis, workers, sink):
        workers.start()
        campaign_id = await _start(Policy.REVIEW, 600)
        for sent in (100, 300):
            await _until(campaign_id, sent=sent)
            workers.kill(workers.processes[0])
            workers.start()
        await _until(campaign_id, state=CampaignState.DONE)
        await workers.ready()
        assert await asyncio.to_thread(workers.terminate) == [0]
    states = await _states()
    got = {message_id.partition("@")[0] for message_id in sink.seen}
    assert set(sink.seen.values()) == {1}, "no doubles"
    assert states.keys() <= {DeliveryState.SENT, DeliveryState.REVIEW} and sum(states.values()) == 600
    async with db.reads() as session:
        review = set(await session.scalars(select(Delivery.message_id).where(Delivery.state == DeliveryState.REVIEW)))
    assert 0 < len(review) <= 2 * 2 * 16, "at most two lanes with sixteen in flight, at each kill"
    assert await _ids() - got <= review


async def test_rolling_restarts_miss_nobody_and_double_nothing(database: str, tmp_path: Path) -> None:
    async with _stage(database, tmp_path) as (_redis, workers, sink):
        for _n in range(2):
            workers.start()
        campaign_id = await _start(Policy.RESEND, 800)
        exits = []
        for sent in (50, 250, 450):
            await _until(campaign_id, sent=sent)
            workers.start()
            await workers.ready()
            old = workers.processes.pop(0)
            old.terminate()
            exits.append(await asyncio.to_thread(old.wait, 20))
        await _until(campaign_id, state=CampaignState.DONE)
        assert exits + await asyncio.to_thread(workers.terminate) == [0] * 5
    assert await _states() == {DeliveryState.SENT: 800}
    assert len(sink.seen) == 800 and set(sink.seen.values()) == {1}
    assert "Traceback" not in workers.said()


@asynccontextmanager
async def _stage(database: str, tmp_path: Path) -> AsyncIterator[tuple[Redis, Workers, Sink]]:
    with own_redis() as redis:
        async with Sink().serve() as sink:
            env = os.environ | {
                "PYTHONPATH": str(ROOT), "BURSAR_DATABASE_URL": database, "BURSAR_REDIS_URL": redis.url,
                "BURSAR_MAIL_URL": f"smtp://127.0.0.1:{sink.port}", "BURSAR_DATA_DIR": str(tmp_path / "data"),
                "BURSAR_LEASE_SECONDS": str(LEASE), "BURSAR_ENV": "development",
            }  # fmt: skip
            workers = Workers(env, tmp_path)
            queue.configure(redis.url)
            try:
                yield redis, workers, sink
            finally:
                for process in list(workers.processes):
                    workers.kill(process)
                await queue.close()


async def _states() -> dict[DeliveryState, int]:
    async with db.reads() as session:
        counted = await session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
        return {row[0]: row[1] for row in counted}


async def _ids() -> set[str]:
    async with db.reads() as session:
        return set(await session.scalars(select(Delivery.message_id)))


async def _until(campaign_id: int, *, sent: int = 0, state: CampaignState | None = None) -> None:
    end = time.monotonic() + 40
    while True:
        now = await _look(campaign_id)
        if now[0] >= sent and state in (None, now[2]):
            return
        assert time.monotonic() < end, now
        await asyncio.sleep(0.02)


class Figures:
    def __init__(self) -> None:
        self.in_flight: list[int] = []
        self.kills = 0
        self.redis_gap = 0.0
        self.seconds = 0.0
        self.exits: list[int] = []


async def _run(workers: Workers, redis: Redis) -> Figures:
    figures, chance = Figures(), random.Random(4711)
    for _n in range(2):
        workers.start()
    campaign_id = await _start(Policy.RESEND, RECIPIENTS)
    began = time.monotonic()
    step = RECIPIENTS * 3 // 4 // KILLS
    points = [step * n + chance.randrange(step // 2) for n in range(1, KILLS + 1)]
    redis_at: int | None = RECIPIENTS // 4
    redis_back: float | None = None
    while True:
        sent, _in_flight, state = await _look(campaign_id)
        if state is CampaignState.DONE:
            break
        assert state in (CampaignState.STARTING, CampaignState.RUNNING)
        now = time.monotonic()
        assert now - began < 55, f"{sent} sent after 55 s"
        if points and sent >= points[0]:
            points.pop(0)
            victim = chance.choice(workers.processes)
            victim.send_signal(signal.SIGSTOP)  # so that what is counted is what the kill leaves behind
            figures.in_flight.append((await _look(campaign_id))[1])
            workers.kill(victim)
            workers.start()
            figures.kills += 1
        if redis_at is not None and sent >= redis_at:
            redis_at, redis_back = None, now + 3.5  # longer than a slice: without Redis the lanes come to rest
            redis.kill()
        if redis_back is not None and now >= redis_back:
            redis_back = None
            redis.start()
            while (await _look(campaign_id))[0] <= sent:
                await asyncio.sleep(0.05)
                assert time.monotonic() - now < 20, "no work goes on after Redis is back"
            figures.redis_gap = time.monotonic() - now
        await asyncio.sleep(chance.uniform(0.01, 0.1))
    figures.seconds = time.monotonic() - began
    await workers.ready()
    figures.exits = await asyncio.to_thread(workers.terminate)
    return figures


async def _start(policy: Policy, recipients: int) -> int:
    async with db.unit() as session:
        project = await make.create_project(session)
        category = await make.create_category(session)
        now = utcnow()
        await session.execute(
            insert(Customer).execution_options(audited=True),
            [
                {
                    "name": f"Customer {n}", "project_id": project.id, "email": f"c{n}@example.org", "language": "en",
                    "registered_at": now,
                }
                for n in range(recipients)
            ],
        )  # fmt: skip
        campaign = await campaigns.start_campaign(
            session, key="fault", category_id=category.id, audience={"everyone": True}, default_language="en",
            texts={"en": ("Maintenance", "Hello {{ customer.name }}, **we** are at work.")}, channels=["email"],
            policy=policy,
        )  # fmt: skip
        return campaign.id


async def _look(campaign_id: int) -> tuple[int, int, CampaignState]:
    """Sent, in flight (with the mail server, or not yet marked), and the state."""
    async with db.reads() as session:
        sent = await session.scalar(select(func.count()).where(Delivery.state == DeliveryState.SENT))
        in_flight = await session.scalar(
            select(func.count()).where(Delivery.state == DeliveryState.LEASED, Delivery.started_at.is_not(None))
        )
        state = (await session.execute(select(Campaign.state).where(Campaign.id == campaign_id))).scalar_one()
    return sent or 0, in_flight or 0, state
