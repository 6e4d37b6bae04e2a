"""A small supervisor: starts children, starts the dead again, shows their lines, leaves nobody behind."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Stopped(Exception):
    """SIGINT, SIGTERM or SIGHUP came."""


@dataclass(frozen=True)
class Child:
    """A command to keep running. quiet: its lines are shown only when it dies. last: stopped after the others."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] | None = None
    quiet: bool = False
    last: bool = False


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float | None = None
    """When it is to be started again (monotonic clock); None while it runs."""
    delay: float = 0.0
    rest: bytes = b""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    last_words: tuple[str, ...] = ()


def spawn(child: Child, *, pipe: bool = True) -> subprocess.Popen[bytes]:
    """Start `child` in a process group of its own; on Linux the kernel kills it when this process dies.

    Call it from the main thread: the kernel ties the child to the thread that started it.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before prctl
                os._exit(1)

    return subprocess.Popen(
        list(child.command),
        env=None if child.env is None else dict(child.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if pipe else None,
        stderr=subprocess.STDOUT if pipe else None,
        bufsize=0,
        process_group=0,
        preexec_fn=die_with_parent,
    )


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a child and what it has started; no error when nobody is left."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass


class Supervisor:
    """Use it as a context manager in the main thread; leaving it stops every child.

    grace: seconds between SIGTERM and SIGKILL. shortest, longest: the pause before a dead child is started again, in
    seconds; it doubles until the child has stayed alive for `steady` seconds.
    """

    def __init__(
        self,
        *,
        grace: float = 10.0,
        shortest: float = 0.2,
        longest: float = 10.0,
        steady: float = 10.0,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._grace, self._shortest, self._longest, self._steady = grace, shortest, longest, steady
        self._write = write or _to_stdout
        self._running: list[_Running] = []
        self._signals = 0
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._old: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        self._wake, waker = socket.socketpair()
        self._waker = waker
        for end in (self._wake, waker):
            end.setblocking(False)
        self._old_wakeup = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup
            self._old[number] = signal.signal(number, self._on_signal)
        self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the selector
        self._selector.register(self._wake, selectors.EVENT_READ)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop_all()
        finally:
            signal.set_wakeup_fd(self._old_wakeup)
            for number, handler in self._old.items():
                signal.signal(number, handler)
            self._selector.close()
            self._wake.close()
            self._waker.close()

    def say(self, name: str, line: str) -> None:
        """Write one line, with the name of who says it in front."""
        self._write(f"{name:<7}| {line}\n")

    def start(self, child: Child) -> None:
        """Start `child` and keep it running until the end."""
        running = _Running(child)
        self._running.append(running)
        self._launch(running)

    def once(self, child: Child) -> int:
        """Run `child` to its end, on our own output, and return its exit code. Raises Stopped."""
        process = spawn(child, pipe=False)
        try:
            while process.poll() is None:
                self._step(1.0)
        except BaseException:
            signal_group(process, signal.SIGTERM)
            try:
                process.wait(self._grace)
            except subprocess.TimeoutExpired:
                pass
            raise
        finally:
            signal_group(process, signal.SIGKILL)
            process.wait()
        return process.returncode

    def wait_for(self, check: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
        """Keep the children running until `check` says yes; False when it does not within `seconds`. Raises Stopped."""
        end = time.monotonic() + seconds
        while not check():
            if time.monotonic() > end:
                return False
            self._step(every)
        return True

    def forever(self) -> None:
        """Keep the children running. Ends by raising Stopped."""
        while True:
            self._step(60.0)

    def last_lines(self, name: str) -> str:
        """The last lines of a child in one line, to explain why it is not there."""
        found = [running for running in self._running if running.child.name == name]
        return " / ".join(line for running in found for line in (running.lines or running.last_words))

    # ---- inside ---------------------------------------------------------------------------------------------------

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _step(self, seconds: float) -> None:
        """Wait for news up to `seconds`, show lines, notice deaths, start what is due."""
        if self._signals and not self._stopping:
            raise Stopped
        due = [running.due for running in self._running if running.due is not None]
        if due and not self._stopping:
            seconds = min(seconds, max(0.0, min(due) - time.monotonic()))
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._drain_wakeups()
            else:
                self._read(key.data)
        for running in self._running:
            if running.process is not None and running.process.poll() is not None:
                self._buried(running)
            if running.due is not None and running.due <= time.monotonic() and not self._stopping:
                self._launch(running)
        if self._signals and not self._stopping:
            raise Stopped

    def _drain_wakeups(self) -> None:
        try:
            while self._wake.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _launch(self, running: _Running) -> None:
        running.due, running.started, running.rest = None, time.monotonic(), b""
        try:
            running.process = spawn(running.child)
        except OSError as problem:
            self.say(running.child.name, f"cannot be started: {problem.strerror}: {running.child.command[0]}")
            self._plan(running)
            return
        assert running.process.stdout is not None
        os.set_blocking(running.process.stdout.fileno(), False)
        self._selector.register(running.process.stdout, selectors.EVENT_READ, running)

    def _plan(self, running: _Running) -> None:
        """Decide when a dead child is started again."""
        stayed = time.monotonic() - running.started >= self._steady
        running.delay = self._shortest if stayed or not running.delay else min(running.delay * 2, self._longest)
        running.due = time.monotonic() + running.delay

    def _read(self, running: _Running) -> bool:
        """Take over what the child has written; False when there is nothing more for now."""
        if running.process is None or running.process.stdout is None:
            return False
        try:
            data = os.read(running.process.stdout.fileno(), 65536)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(running.process.stdout)
            running.process.stdout.close()
            running.process.stdout = None
        *lines, running.rest = (running.rest + data).split(b"\n")
        if running.rest and (not data or len(running.rest) > 65536):
            lines, running.rest = [*lines, running.rest], b""
        for raw in lines:
            line = raw.decode("utf-8", "replace").rstrip("\r")
            running.lines.append(line)
            if not running.child.quiet:
                self.say(running.child.name, line)
        return bool(data)

    def _buried(self, running: _Running) -> None:
        process = running.process
        if process is None:
            return
        while self._read(running):
            pass
        if process.stdout is not None:
            self._selector.unregister(process.stdout)
            process.stdout.close()
        signal_group(process, signal.SIGKILL)  # what it may have started itself
        running.process = None
        if self._stopping:
            return
        running.last_words = tuple(running.lines)
        running.lines.clear()
        if running.child.quiet:
            for line in running.last_words:
                self.say(running.child.name, line)
        self._plan(running)
        code = process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        self.say(running.child.name, f"ended ({how}), starts again in {running.delay:g} s")

    def _stop_all(self) -> None:
        """SIGTERM, `grace` seconds, SIGKILL; a second signal from the person shortens the wait."""
        self._stopping = True
        for group in (
            [running for running in self._running if not running.child.last],
            [running for running in self._running if running.child.last],
        ):
            for running in group:
                if running.process is not None:
                    signal_group(running.process, signal.SIGTERM)
            end, before = time.monotonic() + self._grace, self._signals
            while any(running.process for running in group) and time.monotonic() < end and self._signals == before:
                self._step(0.1)
            for running in group:
                if running.process is not None:
                    self.say(running.child.name, "did not stop in time and was killed")
                    signal_group(running.process, signal.SIGKILL)
                    running.process.wait()
                    self._buried(running)


def _to_stdout(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:  # the reader of a pipe has gone; the children stay
        pass
