"""`make bench NAME=lists`: Bursar's lists against stock SQLAdmin, starlette-admin and the Django admin, in one run.

BURSAR_BENCH_ROWS (1000000), BURSAR_BENCH_DATABASES (postgresql,sqlite), BURSAR_BENCH_SUBJECTS (all four),
BURSAR_BENCH_SECONDS (6, per measure and subject), BURSAR_BENCH_STRICT=1: fail when a target is missed,
BURSAR_BENCH_PROFILE=1: besides, write where Bursar's processor time goes; =only: nothing else.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from typing import Any

import pytest

from app.localrun import redis_server
from tests.bench.lists import measuring, report
from tests.bench.lists.bursar import Bursar
from tests.bench.lists.data import Database, build
from tests.bench.lists.measuring import Client, Entry, Served
from tests.bench.lists.places import FOLDER, ROOT, free_port, only_run, postgres, serving
from tests.bench.lists.stock_django import StockDjango
from tests.bench.lists.stock_sqladmin import StockSQLAdmin
from tests.bench.lists.stock_starlette_admin import StockStarletteAdmin
from tests.bench.lists.subjects import MEASURES, Skip, Subject, Visit

ROWS = int(os.environ.get("BURSAR_BENCH_ROWS") or 1_000_000)
KINDS = (os.environ.get("BURSAR_BENCH_DATABASES") or "postgresql,sqlite").split(",")
WANTED = (os.environ.get("BURSAR_BENCH_SUBJECTS") or "bursar,sqladmin,starlette-admin,django").split(",")
PROFILE = os.environ.get("BURSAR_BENCH_PROFILE", "")
PROFILED = ("page 1", "search common", "card", "edit form")
FEW = 100


def _subjects(database: Database, redis_url: str) -> list[Subject]:
    others: list[Subject] = [kind(database) for kind in (StockSQLAdmin, StockStarletteAdmin, StockDjango)]
    return [s for s in (Bursar(database, redis_url), *others) if s.name in WANTED]


def _serve(stack: ExitStack, subject: Subject) -> Served:
    port = free_port()
    command, env = subject.command(port)
    process = stack.enter_context(serving(f"{subject.name}-{subject.facts.rows}", command, env, port))
    base_url = f"http://127.0.0.1:{port}"
    subject.sign_in(base_url)
    return Served(subject, process, port, subject.visits(base_url))


def _against_few(client: Client, large: list[Served], small: list[Served]) -> None:
    """Page 1 of 100 rows and page 1 of all, in the same rounds."""
    wanted = []
    for few, all_ in zip(small, large, strict=True):
        for served, label in ((few, "page 1, 100 rows"), (all_, "page 1, beside 100 rows")):
            visit = served.visits["page 1"]
            assert isinstance(visit, Visit)
            wanted.append(Entry(served, visit, label))
    measuring.pages(client, wanted)
    for few, all_ in zip(small, large, strict=True):
        all_.figures["page 1, 100 rows"] = few.figures["page 1, 100 rows"]


def _measure(client: Client, database: Database, few: Database, redis_url: str) -> tuple[list[Served], float]:
    with ExitStack() as stack:
        served = [_serve(stack, s) for s in _subjects(database, redis_url)]
        for each in served:  # before the long part
            for name in MEASURES:
                if isinstance(visit := each.visits[name], Visit):
                    client.check(each, visit)
        own = [n for s in served for n in s.visits if n not in (*MEASURES, "edit form", "export")]
        for name in (*MEASURES, *dict.fromkeys(own)):
            print(f"  {name} ...", flush=True)
            measuring.pages(client, measuring.entries(served, name))
        with ExitStack() as beside:
            print(f"  page 1, {FEW} rows ...", flush=True)
            _against_few(client, served, [_serve(beside, s) for s in _subjects(few, redis_url)])
        print("  edit form ...", flush=True)
        measuring.pages(client, measuring.entries(served, "edit form"), heavy=True)
        for entry in measuring.entries(served, "export"):
            print(f"  export of {entry.served.subject.name} ...", flush=True)
            measuring.export(client, entry)
        time.sleep(5)
        settled = next((measuring.memory_mb(s.pid) for s in served if s.subject.name == "bursar"), 0.0)
    return served, round(settled, 1)


def _profile(client: Client, kind: str, database: Database, redis_url: str) -> None:
    for name in PROFILED:
        path = FOLDER / f"profile-{kind}-{name.replace(' ', '-')}.txt"
        with ExitStack() as stack:
            served = _serve(stack, Bursar(database, redis_url, profile=str(path)))
            visit = served.visits[name]
            if isinstance(visit, Skip):
                continue
            client.ask(served, visit, "serial", times=20, seconds=5)
            os.kill(served.pid, signal.SIGUSR1)
            before = measuring.cpu_seconds(served.pid)
            n = len(client.ask(served, visit, "serial", times=2000, seconds=2 * measuring.SECONDS)["seconds"])
            cpu = measuring.cpu_seconds(served.pid) - before
        path.write_text(f"{name} on {kind}: {1000 * cpu / n:.1f} ms of processor time a page\n{path.read_text()}")
        print(f"  {path.relative_to(ROOT)}: {1000 * cpu / n:.1f} ms of processor time a page", flush=True)


@pytest.mark.bench
def test_lists() -> None:
    results: dict[str, Any] = {}
    about = report.machine()
    with ExitStack() as stack:
        stack.enter_context(only_run())
        server = stack.enter_context(postgres()) if "postgresql" in KINDS else None
        redis_url = stack.enter_context(redis_server())
        client = stack.enter_context(measuring.client())
        for kind in KINDS:
            where = server if kind == "postgresql" else None
            print(f"\n{kind}, {ROWS:,} customers", flush=True)
            database, few = build(kind, ROWS, where), build(kind, FEW, where)
            if PROFILE != "only":
                served, settled = _measure(client, database, few, redis_url)
                what = where.what if where else "SQLite"
                results[kind] = report.of_database(database, what, served, settled)
                print("\n" + report.table({s.subject.name: s.figures for s in served}), flush=True)
                print("\n" + "\n".join(report.targets(results[kind]["ratios"])), flush=True)
                report.write(FOLDER / "lists.json", results, about)  # after each: a long run may be broken off
            if PROFILE:
                _profile(client, kind, database, redis_url)
    if os.environ.get("BURSAR_BENCH_STRICT"):
        assert not (lines := [f"{k}: {line}" for k, r in results.items() for line in report.missed(r["ratios"])]), lines
