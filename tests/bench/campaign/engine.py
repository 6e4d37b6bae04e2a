"""Bursar end to end: real worker processes, a real Redis, from the start of a campaign to the last row."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text

from app import db, queue
from app.db import utcnow
from app.domain.messaging import starting
from app.migrations import upgrade_url
from app.models.customers import Customer
from app.models.messaging import Campaign, CampaignState, Delivery, DeliveryState
from app.observe import SYSTEM, acting
from tests import factories as make
from tests.bench.campaign.content import TEXTS, person
from tests.bench.campaign.sink import Sink
from tests.bench.lists.measuring import cpu_seconds, memory_mb
from tests.bench.lists.places import FOLDER, ROOT, Postgres

PATIENCE = 900.0


@dataclass(frozen=True)
class Place:
    """A database with customers, and what the workers need to know."""

    kind: str
    url: str
    redis_url: str
    sink: Sink
    postgres: Postgres | None
    customers: int

    def env(self, port: int, window: int | None) -> dict[str, str]:
        env = os.environ | {
            "PYTHONPATH": str(ROOT), "BURSAR_DATABASE_URL": self.url, "BURSAR_REDIS_URL": self.redis_url,
            "BURSAR_MAIL_URL": f"smtp://127.0.0.1:{port}", "BURSAR_DATA_DIR": str(FOLDER / "campaign-data"),
            "BURSAR_ENV": "development", "PYTHONDONTWRITEBYTECODE": "",  # compiled once, as where it is installed
        }  # fmt: skip
        return env | {"BURSAR_SEND_WINDOW": str(window)} if window else env


async def prepare(kind: str, name: str, customers: int, redis_url: str, sink: Sink, postgres: Postgres | None) -> Place:
    """A migrated database with so many customers, configured for this process."""
    if postgres is None:
        path = FOLDER / f"{name}.db"
        for old in FOLDER.glob(f"{name}.db*"):
            old.unlink()
        url = f"sqlite+aiosqlite:///{path}"
    else:
        url = postgres.database(name)
        db.configure(postgres.database("postgres"), isolation_level="AUTOCOMMIT")
        async with db.engine().connect() as connection:
            await connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            await connection.execute(text(f"CREATE DATABASE {name}"))
        await db.dispose()
    await upgrade_url(url)
    db.configure(url)
    queue.configure(redis_url)
    now = utcnow()
    with acting(SYSTEM):
        async with db.unit() as session:
            project = await make.create_project(session, name="Nordhost", sender_email="desk@nordhost.example")
            project_id = project.id
            await make.create_category(session)
        for start in range(0, customers, 50_000):
            rows = []
            for n in range(start, min(start + 50_000, customers)):
                title, contact, address, language = person(n)
                rows.append({"name": title, "contact_person": contact, "email": address, "language": language,
                             "project_id": project_id, "registered_at": now})  # fmt: skip
            async with db.unit() as session:
                await session.execute(insert(Customer).execution_options(audited=True), rows)
    return Place(kind, url, redis_url, sink, postgres, customers)


@contextmanager
def workers(
    place: Place, *, n: int = 1, port: int | None = None, window: int | None = None, profile: str = ""
) -> Iterator[list[int]]:
    """Worker processes, from when they have started until the end of the block."""
    FOLDER.joinpath("campaign-data").mkdir(parents=True, exist_ok=True)
    env = place.env(port or place.sink.port, window)
    command = [sys.executable, "-m", "app", "worker"]
    if profile:
        env["BURSAR_BENCH_PROFILE_TO"] = profile
        command = [sys.executable, "-c", "from tests.bench.campaign.profiling import main; main()"]
    processes = []
    try:
        for i in range(n):
            log = FOLDER / f"worker{i}.log"
            with log.open("wb") as out:
                processes.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out))
            end = time.monotonic() + 120
            while "the worker starts" not in log.read_text(errors="replace"):
                assert time.monotonic() < end and processes[-1].poll() is None, log.read_text()
                time.sleep(0.05)
        time.sleep(1.5)  # until it has settled
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


def server_cpu(place: Place) -> float:
    """Processor time of the processes of the PostgreSQL server: of ours alone, if it is one of ours."""
    if place.postgres is None:
        return 0.0
    total = 0.0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if "postgres" not in (folder / "comm").read_text():
                    continue
                data = (folder / "cwd").readlink()
                if os.environ.get("BURSAR_TEST_POSTGRES") or data.is_relative_to(FOLDER):
                    words = (folder / "stat").read_text().rpartition(")")[2].split()
                    total += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return total


async def run(place: Place, pids: list[int], customers: int, key: str) -> dict[str, Any]:
    """One campaign to the first `customers` customers: seconds from Send to the last row, and what it has cost."""
    trips = place.sink.counts()
    cpu, server, sink_cpu = [cpu_seconds(pid) for pid in pids], server_cpu(place), cpu_seconds(place.sink.pid)
    began = time.monotonic()
    audience: dict[str, Any] = {"everyone": True}
    if customers < place.customers:
        audience = {"filter": {"field": "id", "op": "at_most", "value": customers}}
    with acting(SYSTEM):
        async with db.unit() as session:
            campaign = await starting.start_campaign(
                session, key=key, category_id=1, default_language="en", texts=TEXTS, channels=["email"],
                audience=audience,
            )  # fmt: skip
        first = 0.0
        while True:
            await asyncio.sleep(0.1)
            async with db.reads() as session:
                state = await session.scalar(select(Campaign.state).where(Campaign.id == campaign.id))
            if state is CampaignState.RUNNING and not first:
                first = time.monotonic()
            if state is CampaignState.DONE:
                break
            assert state in (CampaignState.STARTING, CampaignState.RUNNING), state
            assert time.monotonic() - began < PATIENCE
        seconds = time.monotonic() - began
        async with db.reads() as session:
            n, began_at, ended_at = (
                await session.execute(
                    select(func.count(), func.min(Delivery.sent_at), func.max(Delivery.sent_at)).where(
                        Delivery.campaign_id == campaign.id, Delivery.state == DeliveryState.SENT
                    )
                )
            ).one()
    used = [cpu_seconds(pid) - before for pid, before in zip(pids, cpu, strict=True)]
    server_used = server_cpu(place) - server
    counts = place.sink.counts().since(trips)
    sending = (ended_at - began_at).total_seconds()
    assert counts.messages == n, f"{counts.messages} arrived, {n} are marked"
    return {
        "messages": n, "seconds": round(seconds, 2), "per second": round(n / seconds),
        "per second while sending": round(n / sending) if sending else None,
        "cpu us": round(1e6 * sum(used) / n, 1), "database cpu us": round(1e6 * server_used / n, 1),
        "sink cpu us": round(1e6 * (cpu_seconds(place.sink.pid) - sink_cpu) / n, 1),
        "trips": round((counts.trips - 1) / n, 2), "bytes": round(counts.bytes / n),
        "peak MB": round(max(memory_mb(pid, "VmHWM") for pid in pids), 1),
        "without shared MB": round(max(memory_mb(pid, "VmHWM") - memory_mb(pid, "RssFile") for pid in pids), 1),
        "choosing s": round(first - began, 2) if first else None,
    }  # fmt: skip
