"""The mail server of the benchmark, and a line that is 20 ms long."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.lists.places import FOLDER, ROOT

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Counts:
    messages: int
    bytes: int
    trips: int

    def since(self, before: Counts) -> Counts:
        return Counts(self.messages - before.messages, self.bytes - before.bytes, self.trips - before.trips)


@dataclass(frozen=True)
class Sink:
    port: int
    pid: int

    def counts(self) -> Counts:
        """What it has taken so far; the question itself is one trip."""
        with socket.create_connection(("127.0.0.1", self.port)) as talk:
            lines = talk.makefile("rwb")
            lines.readline()
            lines.write(b"XSTAT\r\n")
            lines.flush()
            _code, *figures = lines.readline().split()
        return Counts(*map(int, figures))


@contextmanager
def sink() -> Iterator[Sink]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("the mail server of this benchmark is a small C program: install a compiler (gcc)")
    binary = FOLDER / "sink"
    subprocess.run([compiler, "-O2", "-o", str(binary), str(HERE / "sink.c")], check=True)
    with subprocess.Popen([str(binary)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Sink(int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


@contextmanager
def long_line(port: int, milliseconds: float) -> Iterator[int]:
    """A port behind which `port` is so many milliseconds (there and back) away."""
    command = [sys.executable, str(HERE / "line.py"), str(port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
