"""What the faults happen to: a mail server, a Redis and a database of their own, and real worker processes.

BURSAR_FAULTS_FULL=1 (`make faults FULL=1`): with the numbers of the long form.
"""

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
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, insert, select, update

from app import db, queue
from app.db import utcnow
from app.domain.messaging import starting
from app.integrations.mail import notes
from app.localrun import redis_binary, redis_child
from app.models.customers import Customer
from app.models.messaging import Campaign, CampaignState, Delivery, DeliveryState, Policy
from app.supervisor import signal_group, spawn
from tasks import worker
from tests import factories as make
from tests.forked import Forked

ROOT = Path(__file__).parents[2]
FULL = bool(os.environ.get("BURSAR_FAULTS_FULL"))
LEASE = 4
"""Seconds; shorter, and a worker that a busy machine holds up for a moment is taken for dead."""


def scale(short: int, full: int) -> int:
    return full if FULL else short


class Sink:
    """A mail server that remembers every Message-ID that it has accepted, and when.

    It takes `slow` seconds to be ready for a text. put_off, cut: this share of the messages is answered with 451 once,
    or accepted and then cut off without an answer, once.
    """

    def __init__(self, *, slow: float = 0.0, put_off: float = 0.0, cut: float = 0.0) -> None:
        self.slow, self.put_off, self.cut = slow, put_off, cut
        self.seen: Counter[str] = Counter()
        self.last = 0.0
        self.was_put_off: set[str] = set()
        self.was_cut: set[str] = set()
        self.chance = random.Random(4711)
        self.port = 0

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipient = ""
        try:
            writer.write(b"220 sink\r\n")
            while line := await reader.readline():
                word = line[:4].upper()
                if word in (b"EHLO", b"HELO"):
                    writer.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                elif word == b"RCPT":
                    recipient = line.decode()
                    if recipient not in self.was_put_off and self.chance.random() < self.put_off:
                        self.was_put_off.add(recipient)
                        recipient = ""
                        writer.write(b"451 later\r\n")
                    else:
                        writer.write(b"250 ok\r\n")
                elif word == b"DATA" and not recipient:
                    writer.write(b"503 nobody\r\n")
                elif word == b"DATA":
                    if self.slow:
                        await asyncio.sleep(self.slow)
                    writer.write(b"354 go on\r\n")
                    message = await reader.readuntil(b"\r\n.\r\n")
                    found = re.search(rb"(?im)^message-id:\s*<([^>@]+)", message)
                    assert found is not None
                    message_id = found[1].decode()
                    self.seen[message_id] += 1  # from here on it is delivered, whoever hears the answer
                    self.last = time.monotonic()
                    if message_id not in self.was_cut and self.chance.random() < self.cut:
                        self.was_cut.add(message_id)
                        writer.transport.abort()
                        return
                    writer.write(b"250 taken\r\n")
                elif word == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 ok\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def doubles(self) -> int:
        return sum(self.seen.values()) - len(self.seen)

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
<<<<<<< HEAD
    """Real worker processes, each with a log of its own. first: what they run before they begin."""

    def __init__(self, env: dict[str, str], folder: Path, first: str = "") -> None:
        self.env, self.folder, self.first = env, folder, first
        self.processes: list[subprocess.Popen[bytes]] = []
=======
    """Real worker processes, each with a log of its own. changes: see `Forked`."""

    def __init__(self, env: dict[str, str], folder: Path, changes: Mapping[str, Any] = {}) -> None:
        self.env, self.folder, self.changes = env, folder, changes
        self.processes: list[Forked] = []
>>>>>>> h-ci
        self.logs: dict[int, Path] = {}

    def start(self) -> None:
        path = self.folder / f"worker{len(self.logs)}.log"
<<<<<<< HEAD
        with path.open("wb") as log:
            command = [sys.executable, "-c", f"{self.first}\nfrom tasks.worker import run; run()"]
            process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=log)
=======
        path.touch()
        process = Forked(worker.run, env=self.env, said=path, changes=self.changes)
>>>>>>> h-ci
        self.processes.append(process)
        self.logs[process.pid] = path

    async def ready(self) -> None:
        """Wait until all have started: before that a SIGTERM meets no handler."""
        end = time.monotonic() + 30
        while not all("the worker starts" in self.logs[process.pid].read_text() for process in self.processes):
            assert time.monotonic() < end, self.said()
            await asyncio.sleep(0.05)

    def said(self) -> str:
        return "".join(path.read_text() for path in self.logs.values())

    def kill(self, process: Forked) -> int:
        """SIGKILL. Returns how many letters were in the air: begun, and no answer noted."""
        process.send_signal(signal.SIGSTOP)  # so that what is counted is what the kill leaves behind
        time.sleep(0.01)
        left = in_the_air(process.pid)
        process.kill()
        process.wait()
        self.processes.remove(process)
        return left

    def terminate(self) -> list[int]:
        for process in self.processes:
            process.terminate()
        return [process.wait(30) for process in self.processes]


def in_the_air(pid: int) -> int:
    """What the notes of this process say was begun and not answered."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    count = 0
    for path in {line.split(maxsplit=5)[5] for line in maps if "/sending/" in line and "(deleted)" not in line}:
        with suppress(FileNotFoundError):
            count += Path(path).read_bytes()[notes.HEAD :: notes.SLOT].count(notes.BEGUN)
    return count


@dataclass
class Stage:
    redis: Redis
    workers: Workers
    sink: Sink


@asynccontextmanager
async def stage(database: str, tmp_path: Path, sink: Sink) -> AsyncIterator[Stage]:
    await _keep_what_is_committed()
    with own_redis() as redis:
        async with sink.serve():
            env = os.environ | {
                "PYTHONPATH": str(ROOT), "BURSAR_DATABASE_URL": database, "BURSAR_REDIS_URL": redis.url,
                "BURSAR_MAIL_URL": f"smtp://127.0.0.1:{sink.port}", "BURSAR_DATA_DIR": str(tmp_path / "data"),
                "BURSAR_LEASE_SECONDS": str(LEASE), "BURSAR_ENV": "development",
            }  # fmt: skip
            workers = Workers(env, tmp_path)
            queue.configure(redis.url)
            try:
                yield Stage(redis, workers, sink)
            finally:
                for process in workers.processes:
                    process.kill()
                    process.wait()
                await queue.close()


# ---- campaigns ------------------------------------------------------------------------------------------------------


async def start(recipients: int, policy: Policy = Policy.RESEND) -> int:
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
        campaign = await starting.start_campaign(session, category_id=category.id, policy=policy, **form())
        return campaign.id


def form() -> dict[str, Any]:
    return {
        "key": "fault", "audience": {"everyone": True}, "default_language": "en", "channels": ["email"],
        "texts": {"en": ("Maintenance", "Hello {{ customer.name }}, **we** are at work.")},
    }  # fmt: skip


async def states() -> dict[DeliveryState, int]:
    async with db.reads() as session:
        counted = await session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
        return {row[0]: row[1] for row in counted}


async def ids(state: DeliveryState | None = None) -> set[str]:
    statement = select(Delivery.message_id)
    async with db.reads() as session:
        return set(await session.scalars(statement if state is None else statement.where(Delivery.state == state)))


async def look(campaign_id: int) -> tuple[int, CampaignState]:
    """Sent, and the state."""
    async with db.reads() as session:
        sent = await session.scalar(select(func.count()).where(Delivery.state == DeliveryState.SENT))
        state = (await session.execute(select(Campaign.state).where(Campaign.id == campaign_id))).scalar_one()
    return sent or 0, state


async def until(campaign_id: int, *, sent: int = 0, state: CampaignState | None = None, within: float = 60) -> None:
    end = time.monotonic() + (within * 10 if FULL else within)
    while True:
        now = await look(campaign_id)
        if now[0] >= sent and state in (None, now[1]):
            return
        assert time.monotonic() < end, (now, await states())
        await asyncio.sleep(0.02)


async def hurry(campaign_id: int) -> None:
    """Until the campaign is over; what was put off for half a minute is due now."""
    while (await look(campaign_id))[1] is not CampaignState.DONE:
        async with db.unit() as session:
            await session.execute(
                update(Delivery)
                .where(Delivery.state == DeliveryState.DUE, Delivery.next_at > db.moment(1))
                .values(next_at=db.moment()).execution_options(synchronize_session=False)
            )  # fmt: skip
        await asyncio.sleep(0.5)


async def _keep_what_is_committed() -> None:
    """The server of the tests answers a commit before its log is written, for speed; what is pulled here needs better:
    else the marks of the last moment are lost with the server, and letters that were marked as sent go out again."""
    if db.engine().dialect.name != "postgresql":
        return
    async with db.unit() as session:
        name = await session.scalar(sa.text("SELECT current_database()"))
        await session.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = on'))
    await db.dispose()
    async with db.reads() as session:
        assert await session.scalar(sa.text("SHOW synchronous_commit")) == "on"


# ---- databases that go away -----------------------------------------------------------------------------------------


async def restart_database(url: str) -> None:
    """PostgreSQL ends without goodbye and starts again; SQLite is locked by somebody for two seconds."""
    if url.startswith("sqlite"):
        path = sa.make_url(url).database
        script = (
            "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None); "
            "c.execute('BEGIN EXCLUSIVE'); time.sleep(2); c.execute('ROLLBACK')"
        )
        locking = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(path))
        assert await locking.wait() == 0
        return
    async with db.reads() as session:
        folder = Path(str(await session.scalar(sa.text("SHOW data_directory"))))
    await db.dispose()
    await asyncio.to_thread(_restart_postgres, folder)
    await until_true(_answers, 20)


def _restart_postgres(folder: Path) -> None:
    pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
    owner = Path(f"/proc/{pid}").stat()
    command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    program = os.readlink(f"/proc/{pid}/exe")
    os.kill(pid, signal.SIGQUIT)
    end = time.monotonic() + 20
    while (folder / "postmaster.pid").exists() and Path(f"/proc/{pid}").exists() and not _ended(pid):
        assert time.monotonic() < end, "PostgreSQL does not stop"
        time.sleep(0.05)
    with (folder / "restarted.log").open("ab") as log:
        subprocess.Popen(
            [program, *command[1:]], user=owner.st_uid, group=owner.st_gid, cwd=folder, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def _ended(pid: int) -> bool:
    with suppress(OSError, ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


async def _answers() -> bool:
    try:
        async with db.reads() as session:
            return await session.scalar(sa.text("SELECT 1")) == 1
    except Exception:
        await db.dispose()
        return False


async def until_true(what: Callable[[], Any], within: float) -> float:
    """Seconds until it was true."""
    began = time.monotonic()
    while not await what():
        assert time.monotonic() - began < within
        await asyncio.sleep(0.05)
    return time.monotonic() - began
