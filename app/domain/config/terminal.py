"""The configuration at a terminal: `bursar config export | diff | import`."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from app import db
from app.domain.config import yamlfile
from app.domain.config.applying import Taken, lines, rehearse, take
from app.domain.config.pictures import lying_in
from app.domain.config.planning import compare, export
from app.errors import AppError
from app.i18n import gettext
from app.integrations.storage import Storage


async def run(arguments: Namespace, storage: Storage) -> int:
    """Does what the command line says, and gives the exit code."""
    match arguments.what:
        case "export":
            await _export(arguments.file, storage)
            return 0
        case "diff":
            async with lying_in(storage), db.reads() as session:
                found = await compare(session, load(arguments.file), prune=arguments.prune)
            _say(lines(found))
            return 1 if found else 0
    return await _import(load(arguments.file), arguments, storage)


async def _export(name: str | None, storage: Storage) -> None:
    async with db.reads() as session:
        text = await export(session, storage)
    _write(name, text)


def _write(name: str | None, text: str) -> None:
    if name is None:
        sys.stdout.write(text)
        return
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as problem:
        raise AppError(f"{name}: {problem.strerror}") from None


async def _import(data: bytes, arguments: Namespace, storage: Storage) -> int:
    tried = await rehearse(data, prune=arguments.prune, storage=storage)
    _say(_told(tried))
    if arguments.dry_run or not tried.differences:
        return 0
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise AppError(gettext("Nothing was changed: there is nobody to ask here. Say --yes."))
        print(gettext("Take it over? Type yes:"), end=" ", flush=True)
        if sys.stdin.readline().strip().lower() != "yes":
            _say([gettext("Nothing was changed.")])
            return 1
    await take(data, prune=arguments.prune, storage=storage)
    _say([gettext("Taken over.")])
    return 0


def _told(taken: Taken) -> list[str]:
    return [*lines(taken.differences), *taken.altered]


def load(name: str) -> bytes:
    """The file, unless it is too large to be one. Raises AppError."""
    try:
        with Path(name).open("rb") as file:
            return file.read(yamlfile.MOST_BYTES + 1)
    except OSError as problem:
        raise AppError(f"{name}: {problem.strerror}") from None


def _say(told: list[str]) -> None:
    print("\n".join(told))
