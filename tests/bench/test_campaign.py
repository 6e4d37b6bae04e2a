"""`make bench NAME=campaign`: the sender against raw SMTP and against Celery, arq and Django, in one run.

BURSAR_BENCH_MAILS (40000, of ours), BURSAR_BENCH_PEER_MAILS (4000, of each peer; arq a quarter), BURSAR_BENCH_MANY
(1000000: memory, audience), BURSAR_BENCH_DATABASES (postgresql,sqlite), BURSAR_BENCH_WINDOWS (16,64,500),
BURSAR_BENCH_PARTS (limits,engine,peers,line,two,memory,audience,profile), BURSAR_BENCH_STRICT=1: fail when a target
is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import pytest

from app import db, queue
from app.localrun import redis_server
from tests.bench.campaign import audience, engine, report
from tests.bench.campaign.engine import Place
from tests.bench.campaign.sink import Sink, long_line, sink
from tests.bench.lists.places import FOLDER, ROOT, Postgres, environment, only_run, postgres

MAILS = int(os.environ.get("BURSAR_BENCH_MAILS") or 40_000)
PEER_MAILS = int(os.environ.get("BURSAR_BENCH_PEER_MAILS") or 4_000)
MANY = int(os.environ.get("BURSAR_BENCH_MANY") or 1_000_000)
KINDS = (os.environ.get("BURSAR_BENCH_DATABASES") or "postgresql,sqlite").split(",")
WINDOWS = [int(w) for w in (os.environ.get("BURSAR_BENCH_WINDOWS") or "16,64,500").split(",")]
ALL = "limits,engine,peers,line,two,memory,audience,profile"
PARTS = (os.environ.get("BURSAR_BENCH_PARTS") or ALL).split(",")
CONNECTIONS = 8
ROUND_TRIP = 20.0
PEERS = {"celery": ("celery", 1), "celery-batch": ("celery", 1), "arq": ("arq", 4), "django": ("django-mail", 1)}
"""Name -> its environment, and by how much fewer mails it gets."""


def _json(command: list[str], **env: str) -> dict[str, Any]:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _figures(found: dict[str, Any], sink: Sink, trips: int) -> dict[str, Any]:
    n = found["n"]
    return {
        "messages": n, "seconds": round(found["seconds"], 2), "per second": round(n / found["seconds"]),
        "cpu us": round(1e6 * found["cpu"] / n, 1), "trips": round((sink.counts().trips - trips - 1) / n, 2),
    }  # fmt: skip


def _limit(sink: Sink, how: str) -> dict[str, Any]:
    trips = sink.counts().trips
    command = [sys.executable, "-m", "tests.bench.campaign.raw", str(sink.port), str(MAILS), str(CONNECTIONS), how]
    return _figures(_json(command), sink, trips)


def _peer(name: str, sink: Sink, port: int, database: str, redis_url: str, n: int) -> dict[str, Any]:
    folder, _fewer = PEERS.get(name, ("arq", 1))
    trips = sink.counts().trips
    script = str(ROOT / "tests" / "bench" / "campaign" / "peers.py")
    return _figures(
        _json([str(environment(folder)), script, name, str(port), database, redis_url, str(n)]), sink, trips
    )


async def _engine(place: Place, results: dict[str, Any]) -> None:
    found = results.setdefault(place.kind, {})
    with engine.workers(place) as pids:
        await engine.run(place, pids, min(2000, MAILS), "warm")
        found["default window"] = await engine.run(place, pids, MAILS, "default")
    for window in WINDOWS:
        with engine.workers(place, window=window) as pids:
            found[f"window {window}"] = await engine.run(place, pids, MAILS, f"window{window}")


async def _line(place: Place, results: dict[str, Any], n: int) -> None:
    with long_line(place.sink.port, ROUND_TRIP) as port:
        with engine.workers(place, port=port) as pids:
            results[place.kind][f"{ROUND_TRIP:g} ms"] = await engine.run(place, pids, n, "line")


async def _two(place: Place, results: dict[str, Any]) -> None:
    for n in (1, 2):
        with engine.workers(place, n=n) as pids:
            results[place.kind][f"{n} worker{'s'[: n - 1]}"] = await engine.run(place, pids, MAILS, f"workers{n}")


async def _memory(place: Place, results: dict[str, Any]) -> None:
    for n in sorted({min(10_000, MANY), min(100_000, MANY), MANY}):
        with engine.workers(place) as pids:
            results[place.kind][f"{n} recipients"] = await engine.run(place, pids, n, f"memory{n}")


async def _profile(place: Place) -> None:
    path = FOLDER / f"profile-campaign-{place.kind}.txt"
    with engine.workers(place, profile=str(path)) as pids:
        figures = await engine.run(place, pids, MAILS, "profile")
    path.write_text(f"{json.dumps(figures)}\n{path.read_text()}")


async def _all(kind: str, server: Postgres | None, redis_url: str, sink: Sink, results: dict[str, Any]) -> None:
    name = "campaign_bench" if server else "campaign-bench"
    customers = MANY if {"memory", "audience"} & set(PARTS) else MAILS
    place = await engine.prepare(kind, name, customers, redis_url, sink, server)
    results.setdefault(kind, {})
    try:
        if "engine" in PARTS:
            await _engine(place, results)
        if "two" in PARTS:
            await _two(place, results)
        if "line" in PARTS and server is not None:
            await _line(place, results, PEER_MAILS)
        if "profile" in PARTS:
            await _profile(place)
        if "audience" in PARTS:
            results[kind]["audience"] = await audience.measure(place)
        if "memory" in PARTS and server is not None:
            await _memory(place, results)
    finally:
        await queue.close()
        await db.dispose()


@pytest.mark.bench
def test_campaign() -> None:
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        stack.enter_context(only_run())
        server = stack.enter_context(postgres()) if {"postgresql"} & set(KINDS) or "peers" in PARTS else None
        redis_url = stack.enter_context(redis_server())
        there = stack.enter_context(sink())
        if "limits" in PARTS:
            results["raw"] = _limit(there, "ready")
            results["template"] = _limit(there, "template")
            report.write(results)
        for kind in KINDS:
            asyncio.run(_all(kind, server if kind == "postgresql" else None, redis_url, there, results))
            report.write(results)
        if "peers" in PARTS and server is not None:
            database = server.database("postgres").replace("postgresql+asyncpg", "postgresql")
            for name, (_folder, fewer) in PEERS.items():
                print(f"  {name} ...", flush=True)
                results[name] = _peer(name, there, there.port, database, redis_url, PEER_MAILS // fewer)
                report.write(results)
        if "line" in PARTS:
            with long_line(there.port, ROUND_TRIP) as port:
                results["aiosmtplib, 20 ms"] = _peer("aiosmtplib", there, port, "-", "-", max(PEER_MAILS // 4, 100))
        report.write(results)
    print(report.table(results))
    if os.environ.get("BURSAR_BENCH_STRICT"):
        assert not (missed := report.missed(results)), missed
