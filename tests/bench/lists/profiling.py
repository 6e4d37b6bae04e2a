"""`bursar web` with a clock in it: where the processor time of a page goes, by line of ours.

Sampled by the timer that counts processor time, not traced: tracing makes small functions look dear, and loses itself
in the greenlets of SQLAlchemy. Counting begins with SIGUSR1, so that starting up is not in it; the end writes the file.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import greenlet

from tests.bench.lists.places import ROOT

EVERY = 0.001
"""Seconds of processor time between two samples; the kernel may make them longer."""


class Samples:
    def __init__(self) -> None:
        self.total = 0
        self.inside: Counter[str] = Counter()
        """Function of ours anywhere on the stack."""
        self.charged: Counter[str] = Counter()
        """The innermost line of ours, which answers for the libraries that it calls."""
        self.leaf: Counter[str] = Counter()
        """Where the processor was, by library and function."""
        self.room: Counter[str] = Counter()
        """The same by library alone."""

    def take(self, _signal: int, frame: FrameType | None) -> None:
        self.total += 1
        if frame is None:
            return
        library = _library(frame.f_code.co_filename)
        self.leaf[f"{library}:{frame.f_code.co_name}"] += 1
        self.room[library.partition("/")[0]] += 1
        seen: set[str] = set()
        charged = ""
        for step in _stack(frame):
            name = _ours(step.f_code.co_filename)
            if name is None:
                continue
            line, first = f":{step.f_lineno}", f":{step.f_code.co_firstlineno}"
            if name.startswith("templates/"):
                line = first = ""  # they count the lines of the code that Jinja made of it
            charged = charged or f"{name}{line} {step.f_code.co_name}"
            seen.add(f"{name}{first} {step.f_code.co_qualname}")
        self.charged[charged or "(outside: the web server, the loop, the driver)"] += 1
        self.inside.update(seen)

    def reset(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self.total = 0
        for counter in (self.inside, self.charged, self.leaf, self.room):
            counter.clear()

    def write(self, path: Path) -> None:
        parts = [f"{self.total} samples\n"]
        for title, counter, most in (
            ("Functions of ours, with all that they call", self.inside, 60),
            ("Lines of ours, with the libraries that they call", self.charged, 50),
            ("Where the processor was, by library", self.room, 15),
            ("Where the processor was", self.leaf, 50),
        ):
            parts.append(f"\n{title}\n")
            parts += [f"{100 * n / max(self.total, 1):6.1f} %  {what}\n" for what, n in counter.most_common(most)]
        path.write_text("".join(parts))


def _stack(frame: FrameType | None) -> list[FrameType]:
    """The frames from the innermost out, through the greenlet into the one that started it."""
    frames: list[FrameType] = []
    current = greenlet.getcurrent()
    while True:
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        if current is None or current.parent is None:
            return frames
        current = current.parent
        frame = current.gr_frame


def _ours(filename: str) -> str | None:
    if not filename.startswith(str(ROOT)) or "/site-packages/" in filename:
        return None
    name = filename[len(str(ROOT)) + 1 :]
    return name if name.split("/")[0] in ("app", "admin_views", "templates") else None


def _library(filename: str) -> str:
    if name := _ours(filename):
        return name
    if "/site-packages/" in filename:
        return "/".join(filename.rpartition("/site-packages/")[2].split("/")[:3])
    return filename.rpartition("/")[2]


def main() -> None:
    from app.cli import main as bursar

    samples = Samples()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn ends itself by the signal that ended it
    signal.signal(signal.SIGPROF, samples.take)
    signal.signal(signal.SIGUSR1, samples.reset)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    sys.argv = ["bursar", "web"]
    try:
        bursar()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        samples.write(Path(os.environ["BURSAR_BENCH_PROFILE_TO"]))


if __name__ == "__main__":
    main()
