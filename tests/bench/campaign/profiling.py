"""Where the time of a worker goes: a sample each 2 ms of processor time, written at its end."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY = 0.002


class Samples:
    def __init__(self) -> None:
        self.leaf: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()
        self.total = 0

    def take(self, _signal: int, frame: FrameType | None) -> None:
        self.total += 1
        if frame is None:
            return
        self.leaf[_name(frame)] += 1
        seen = set()
        step: FrameType | None = frame
        while step is not None:
            seen.add(_name(step))
            step = step.f_back
        self.inside.update(seen)

    def write(self, path: Path) -> None:
        lines = [f"{self.total} samples"]
        for title, counter in (("where the processor was", self.leaf), ("with all that they call", self.inside)):
            lines += ["", title]
            lines += [f"{100 * n / max(self.total, 1):6.1f} %  {what}" for what, n in counter.most_common(45)]
        path.write_text("\n".join(lines) + "\n")


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(code.co_filename.rsplit('/', 2)[-2:])}:{code.co_qualname}"


def main() -> None:
    from tasks.worker import run

    samples = Samples()
    signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        run()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        samples.write(Path(os.environ["BURSAR_BENCH_PROFILE_TO"]))
