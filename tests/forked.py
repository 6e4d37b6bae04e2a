"""Processes of ours for tests: forked from one that has loaded the application, which takes seconds of a processor."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import uvicorn
from alembic import command as migrating

from admin_views import mount
from app import asgi, doctor, migrations
from app.cli import main
from app.domain import imports, staff
from app.domain.config import terminal
from app.integrations import payments
from tasks import worker

LOADED = [asgi, doctor, imports, migrating, migrations, mount, payments, staff, terminal, uvicorn, worker]
gc.collect()
gc.freeze()

LONGEST = 60


def _begin(
    what: Callable[..., Any], given: tuple[Any, ...], env: dict[str, str], files: list[str], changes: dict[str, Any]
) -> None:
    """In the new process."""
    sys.stdin = open(files[0])  # noqa: SIM115
    for number, name in enumerate(files[1:], 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["bursar"]
    for name, value in changes.items():
        module, _dot, attribute = name.rpartition(".")
        setattr(resolve_name(module), attribute, value)
    sys.exit(what(*given))


class Forked:
    """As `subprocess.Popen`, but does `what(*given)`. said: what it says and complains of, in one file or in two;
    changes: constants of modules, as `tasks.charging.CHUNK`."""

    def __init__(
        self, what: Callable[..., Any], *given: Any, env: Mapping[str, str], said: Path, complaints: Path | None = None,
        stdin: Path = Path(os.devnull), changes: Mapping[str, Any] = {},
    ) -> None:  # fmt: skip
        server = multiprocessing.get_context("forkserver")
        server.set_forkserver_preload([__name__])
        files = [str(stdin), str(said), str(complaints or said)]
        self._process = server.Process(target=_begin, args=(what, given, dict(env), files, dict(changes)), daemon=True)
        self._process.start()
        self.pid, self.said = self._process.pid or 0, said

    def poll(self) -> int | None:
        return self._process.exitcode

    returncode = property(poll)

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(["bursar"], seconds or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def bursar(
    folder: Path, *arguments: str, code: int = 2, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command with `variables` (without BURSAR_) and check its exit code."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    env |= {"BURSAR_DATA_DIR": str(folder)} | {f"BURSAR_{name}": value for name, value in variables.items()}
    with tempfile.TemporaryDirectory() as place:
        given, said, complaints = (Path(place, name) for name in ("given", "said", "complaints"))
        given.write_text(stdin)
        process = Forked(main, arguments, env=env, said=said, complaints=complaints, stdin=given)
        try:
            returned = process.wait(LONGEST)
        finally:
            process.kill()
        done = subprocess.CompletedProcess(arguments, returned, said.read_text(), complaints.read_text())
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
