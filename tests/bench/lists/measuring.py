"""Measuring: the client's process, what the kernel says of the web processes, and the alternation between subjects."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.lists.places import ROOT
from tests.bench.lists.subjects import Skip, Subject, Visit

TIMES = int(os.environ.get("BURSAR_BENCH_TIMES") or 60)
"""Visits of one measure that are timed one by one."""
SECONDS = float(os.environ.get("BURSAR_BENCH_SECONDS") or 6)
"""How long one subject may take for them; and then for 8 clients at once."""
CLIENTS = 8
ROUNDS = 3
SLOW = 10.0
"""What takes longer is timed once."""
HEAVY = 1.0
"""A heavy page that takes longer is not asked for by 8 clients at once: some need gigabytes for one answer."""
PATIENCE = 900.0


@dataclass
class Figures:
    """Of one measure of one subject. Times in milliseconds, sizes in bytes, memory in MB."""

    median_ms: float | None = None
    p95_ms: float | None = None
    visits: int = 0
    requests_per_s: float | None = None
    cpu_ms: float | None = None
    """Processor time of the web process per page."""
    bytes: int | None = None
    first_byte_ms: float | None = None
    lines_per_s: float | None = None
    rss_before_mb: float | None = None
    rss_mb: float | None = None
    peak_mb: float | None = None
    note: str = ""


@dataclass
class Served:
    """A subject that is being served."""

    subject: Subject
    process: subprocess.Popen[bytes]
    port: int
    visits: dict[str, Visit | Skip]
    figures: dict[str, Figures] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return self.process.pid


# ---- what the kernel says -------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, those included that have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """VmRSS now, VmHWM the most since the start or since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise LookupError(what)


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


# ---- the client -----------------------------------------------------------------------------------------------------


class Client:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, served: Served, visit: Visit, mode: str, **more: Any) -> dict[str, Any]:
        """Raises AssertionError when the server did not answer, or with anything but a page."""
        job = {"mode": mode, "port": served.port, "visit": visit.job(), "timeout": PATIENCE, **more}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        result: dict[str, Any] = json.loads(self.process.stdout.readline())
        where = f"{served.subject.name}: {visit.path}"
        assert "error" not in result, f"{where}: {result['error']}"
        assert result["statuses"] == [200], f"{where}: {result['statuses']} {result.get('body', '')[:300]}"
        return result

    def check(self, served: Served, visit: Visit) -> None:
        """The page shows what it must, in that order: an error page or another list is quick, too."""
        body, at = self.ask(served, visit, "look")["body"], 0
        for text in visit.shows:
            found = body.find(text, at)
            assert found >= 0, f"{served.subject.name}: {visit.path} does not show {text!r} (there): {body[:300]}"
            at = found
        for text in visit.hides:
            assert text not in body, f"{served.subject.name}: {visit.path} shows {text!r}"


@contextmanager
def client() -> Iterator[Client]:
    """The process of the client. Its results would be worth less if it shared ours."""
    command = [sys.executable, str(Path(__file__).with_name("client.py"))]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Client(process)
    finally:
        process.terminate()
        process.wait()


# ---- measuring ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """Measure `visit` of `served`, and call the result `label`."""

    served: Served
    visit: Visit
    label: str


def entries(all_served: Sequence[Served], name: str) -> list[Entry]:
    """Who has this measure. Who has not gets a note instead."""
    found = []
    for served in all_served:
        visit = served.visits.get(name)
        if isinstance(visit, Visit):
            found.append(Entry(served, visit, name))
        elif isinstance(visit, Skip):
            served.figures[name] = Figures(note=visit.why)
    return found


def pages(client: Client, wanted: Sequence[Entry], *, heavy: bool = False) -> None:
    """Time each page: one by one in rounds that alternate between the subjects, then by 8 clients, in rounds again."""
    seconds: dict[int, list[float]] = {i: [] for i in range(len(wanted))}
    for i, entry in enumerate(wanted):
        served, made = entry.served, Figures()
        served.figures[entry.label] = made
        forget_peak(served.pid)
        made.rss_before_mb = round(memory_mb(served.pid), 1)
        client.check(served, entry.visit)
        first = client.ask(served, entry.visit, "serial", times=1, seconds=0)
        made.bytes = first["size"]
        if first["seconds"][0] > SLOW:
            seconds[i] = first["seconds"]
            made.note = f"over {SLOW:.0f} s: timed once"
        else:  # twice more, so that caches and prepared statements are what they are on a working day
            client.ask(served, entry.visit, "serial", times=2, seconds=1)
    alive = [i for i in seconds if not seconds[i]]
    for _round in range(ROUNDS):
        for i in alive:
            share = {"times": max(TIMES // ROUNDS, 1), "seconds": SECONDS / ROUNDS}
            seconds[i] += client.ask(wanted[i].served, wanted[i].visit, "serial", **share)["seconds"]
    for i, entry in enumerate(wanted):
        _times(entry.served.figures[entry.label], seconds[i])
    _at_once(client, [wanted[i] for i in alive], heavy=heavy)
    for entry in wanted:
        made, pid = entry.served.figures[entry.label], entry.served.pid
        made.rss_mb, made.peak_mb = round(memory_mb(pid), 1), round(memory_mb(pid, "VmHWM"), 1)


def _times(made: Figures, seconds: list[float]) -> None:
    made.visits = len(seconds)
    made.median_ms = round(1000 * statistics.median(seconds), 2)
    made.p95_ms = round(1000 * sorted(seconds)[min(len(seconds) - 1, int(0.95 * len(seconds)))], 2)
    made.requests_per_s = round(1 / statistics.median(seconds), 3)
    if made.visits < TIMES // ROUNDS:
        made.note = made.note or f"{made.visits} visits only"


def _at_once(client: Client, wanted: Sequence[Entry], *, heavy: bool) -> None:
    done: dict[int, tuple[int, float, float]] = {}
    bearable = {}
    for i, entry in enumerate(wanted):
        made = entry.served.figures[entry.label]
        if heavy and (made.median_ms or 0) > 1000 * HEAVY:
            made.note = "; ".join(filter(None, (made.note, "one client only")))
        else:
            bearable[i] = entry
    for _round in range(2):
        for i, entry in bearable.items():
            cpu = cpu_seconds(entry.served.pid)
            result = client.ask(entry.served, entry.visit, "load", clients=CLIENTS, seconds=SECONDS / 2)
            cpu = cpu_seconds(entry.served.pid) - cpu
            n, elapsed, before = done.get(i, (0, 0.0, 0.0))
            done[i] = n + len(result["seconds"]), elapsed + result["elapsed"], before + cpu
    for i, (n, elapsed, cpu) in done.items():
        made = wanted[i].served.figures[wanted[i].label]
        made.requests_per_s, made.cpu_ms = round(n / elapsed, 3), round(1000 * cpu / n, 2)


def export(client: Client, entry: Entry) -> None:
    """One export of everything: when it begins, how fast it runs, how much memory it takes."""
    served, made = entry.served, Figures()
    served.figures[entry.label] = made
    forget_peak(served.pid)
    made.rss_before_mb = round(memory_mb(served.pid), 1)
    cpu = cpu_seconds(served.pid)
    try:
        result = client.ask(served, entry.visit, "serial", times=1, seconds=0)
    except AssertionError as problem:
        made.note = str(problem)[:200]
        return
    _times(made, result["seconds"])
    made.note = ""
    made.cpu_ms = round(1000 * (cpu_seconds(served.pid) - cpu), 1)
    made.bytes, made.first_byte_ms = result["size"], round(1000 * result["first_byte"], 1)
    made.lines_per_s = round(result["lines"] / result["seconds"][0])
    if result["lines"] < served.subject.facts.rows:
        made.note = f"only {result['lines']} lines came"
    made.rss_mb, made.peak_mb = round(memory_mb(served.pid), 1), round(memory_mb(served.pid, "VmHWM"), 1)
