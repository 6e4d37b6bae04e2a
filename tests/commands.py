"""The `bursar` command in processes of their own. They are forked from one that has loaded what commands use, which
takes longer than most commands."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from alembic import command as migrating

from app import doctor, migrations
from app.cli import main
from app.domain import imports, staff
from app.domain.config import terminal
from app.integrations import payments

assert doctor and imports and migrating and migrations and payments and staff and terminal  # loaded
gc.collect()
gc.freeze()

LONGEST = 60


def _command(arguments: Sequence[str], env: dict[str, str], files: Sequence[str]) -> None:
    """In the process that was forked for it: standard input, output and errors are these files."""
    given, *said = files
    sys.stdin = open(given)  # noqa: SIM115
    for number, name in enumerate(said, 1):
        os.dup2(os.open(name, os.O_WRONLY), number)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["bursar", *arguments]
    sys.exit(main(arguments))


def bursar(
    folder: Path, *arguments: str, code: int = 2, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own with `variables` (without BURSAR_) and check its exit code."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    env |= {"BURSAR_DATA_DIR": str(folder)} | {f"BURSAR_{name}": value for name, value in variables.items()}
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("in", "out", "err")]
        for file, text in zip(files, (stdin, "", ""), strict=True):
            file.write_text(text)
        process = server.Process(target=_command, args=(arguments, env, [str(file) for file in files]))
        process.start()
        process.join(LONGEST)
        if process.exitcode is None:
            process.kill()
            process.join()
        done = subprocess.CompletedProcess(arguments, process.exitcode or 0, *(f.read_text() for f in files[1:]))
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
