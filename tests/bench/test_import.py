"""`make bench NAME=import`: customers from a CSV file into an empty SQLite database, in units of 500 rows.

BURSAR_BENCH_ROWS (100000), BURSAR_BENCH_STRICT=1: fail when a target is missed. The figures go to
var/bench/import.json.
"""

from __future__ import annotations

import asyncio
import csv
import gc
import json
import os
import random
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from app import db
from app.domain.imports.customers import import_customers
from app.migrations import upgrade_url
from app.observe import SYSTEM, acting
from tasks import worker
from tests import factories
from tests.bench.lists.places import FOLDER, only_run

ROWS = int(os.environ.get("BURSAR_BENCH_ROWS") or 100_000)
TARGETS = {"per second": 3_000, "growth": 1.1}
FIRST = ("Anna", "Bernd", "Dmitri", "Elena", "François", "Gül", "Ines", "Jörg", "Ольга", "太郎")
LAST = ("Müller", "Schmidt", "Иванов", "García", "Smith", "Novák", "Öztürk", "Dupont", "山田", "O'Neil")


def _write(path: Path) -> None:
    rnd = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["id", "company", "first_name", "last_name", "email", "phone", "street", "city", "zip", "country"]
        )
        for n in range(ROWS):
            company = f"Firma {n} GmbH" if n % 3 == 0 else ""
            writer.writerow([
                n, company, rnd.choice(FIRST), rnd.choice(LAST), f"user{n}@example{n % 50}.org",
                f"+49 30 {1000000 + n}", f"Straße {n % 200}", "Berlin", 10000 + n % 9999,
                rnd.choice(("Germany", "DE", "Spain", "Russia")),
            ])  # fmt: skip


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _measure(path: Path) -> dict[str, Any]:
    for old in FOLDER.glob("import-bench.db*"):
        old.unlink()
    url = f"sqlite+aiosqlite:///{FOLDER / 'import-bench.db'}"
    await upgrade_url(url)
    db.configure(url)
    gc.collect()  # the collector as the worker has it
    gc.freeze()
    gc.set_threshold(worker.GARBAGE)
    early = 0.0

    def look(done: int) -> None:
        nonlocal early
        if not early and done >= ROWS // 10:
            early = _peak()

    try:
        with acting(SYSTEM):
            async with db.unit() as session:
                await factories.create_project(session, name="Bench", languages=["en", "de"])
            began, cpu = time.perf_counter(), time.process_time()
            report = await import_customers(path, progress=look)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            again = time.perf_counter()
            second = await import_customers(path)
            again = time.perf_counter() - again
    finally:
        await db.dispose()
    assert report.created == second.unchanged == ROWS and not report.failed, report.lines()
    return {
        "rows": ROWS, "seconds": round(seconds, 1), "per second": round(ROWS / seconds),
        "cpu us": round(1e6 * cpu / ROWS), "again, per second": round(ROWS / again),
        "MB at a tenth": round(early, 1), "MB": round(_peak(), 1), "growth": round(_peak() / early, 3),
    }  # fmt: skip


@pytest.mark.bench
def test_import(tmp_path: Path) -> None:
    _write(tmp_path / "customers.csv")
    with only_run():
        figures = asyncio.run(_measure(tmp_path / "customers.csv"))
    (FOLDER / "import.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))
    missed = {
        name: figures[name] for name, limit in TARGETS.items()
        if (figures[name] < limit if name == "per second" else figures[name] > limit)
    }  # fmt: skip
    print(f"missed: {missed or 'nothing'} (targets: {TARGETS})")
    if os.environ.get("BURSAR_BENCH_STRICT"):
        assert not missed
