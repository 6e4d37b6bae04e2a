"""Alembic from inside the program: upgrade to head with a backup first, and the comparison of models and database."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SAWarning

from app.migrations.connect import WAIT, MigrationError, first_line, on_database
from app.migrations.drift import compare_options, create_extras, differences, drop_extras, metadata, render
from app.settings import Settings

__all__ = [
    "MigrationError", "Upgrade", "ask", "check", "current", "head", "require_head", "run_env", "upgrade", "upgrade_url",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
LOCK = 4_270_061_131
"""The key of the PostgreSQL advisory lock: of two migrations at once the second waits and finds nothing to do."""
BACKUPS_KEPT = 5


@dataclass(frozen=True)
class Upgrade:
    """What `upgrade` did. `before` is None for an empty database."""

    before: str | None
    after: str | None
    backup: Path | None = None


# ---- what the rest of the program calls -------------------------------------------------------------------------


def head() -> str | None:
    """The newest revision that the code knows; None while there is none. Raises MigrationError for two heads."""
    try:
        return _scripts().get_current_head()
    except CommandError as problem:
        raise MigrationError(f"the migrations do not form one line: {problem}") from None


def current(settings: Settings) -> str | None:
    """The revision of the database, None when it is empty. Raises MigrationError when it does not answer."""
    path = settings.sqlite_path
    if path is not None:
        return _current_sqlite(path)

    def read(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    return on_database(settings.database_url, read)


def require_head(settings: Settings) -> None:
    """Raise MigrationError unless the database answers and stands at the revision of the code."""
    now, wanted = current(settings), head()
    if now == wanted:
        return
    if now is None:
        raise MigrationError("the database is empty: run `bursar migrate` first")
    if not _known(now):
        raise MigrationError(f"the database is ahead of this code (revision {now}): update Bursar")
    raise MigrationError(f"the database is not migrated ({now}, the code needs {wanted}): run `bursar migrate`")


def upgrade(settings: Settings) -> Upgrade:
    """Bring the database to head, all steps in one transaction; a SQLite file is copied to `backups/` first.

    Does nothing when there is nothing to do, so a changed `app.db.extras` needs a revision, even an empty one.
    Blocks; from a coroutine use `asyncio.to_thread`. Raises MigrationError.
    """
    path = settings.sqlite_path
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)  # SQLite would let everybody read it
        except OSError as problem:
            raise MigrationError(f"cannot create {path.parent}: {problem.strerror}") from None
    before, wanted = current(settings), head()
    if before == wanted:
        return Upgrade(before, wanted)
    if before is not None and not _known(before):
        raise MigrationError(f"the database is ahead of this code (revision {before}): update Bursar")
    saved = _backup(path, settings.data_dir / "backups", before) if path is not None and before is not None else None
    try:
        command.upgrade(_config(settings.database_url), "head")
    except DBAPIError as problem:
        raise MigrationError(f"the migration failed and was rolled back: {first_line(problem)}") from problem
    return Upgrade(before, wanted, saved)


async def upgrade_url(url: str) -> None:
    """Bring the database at `url` to head, without a backup. For the tests."""
    await asyncio.to_thread(command.upgrade, _config(url), "head")


def check(settings: Settings) -> list[str]:
    """What differs between the models (and `app.db.extras`) and a migrated database; empty when they agree."""
    return on_database(settings.database_url, differences)


def ask(settings: Settings, query: str) -> Any:
    """The one value that `query` answers. Raises MigrationError when the database does not answer."""
    return on_database(settings.database_url, lambda connection: connection.exec_driver_sql(query).scalar())


# ---- what alembic/env.py calls ------------------------------------------------------------------------------------


def run_env(context: Any) -> None:
    """The body of alembic/env.py. `context` is the proxy `alembic.context`."""
    if context.is_offline_mode():
        raise CommandError("Bursar's migrations run on a connection only")
    url = context.config.attributes.get("url")
    if url is None:  # the `alembic` command itself
        from app.settings import load

        url = load().database_url
    try:
        changes = bool(context.get_revision_argument())
    except KeyError:
        changes = False  # autogenerate, current, check: nothing is to be changed

    def migrate(connection: Connection) -> None:
        context.configure(
            connection=connection,
            target_metadata=metadata(),
            render_as_batch=True,
            transactional_ddl=True,
            render_item=render,
            **compare_options(),
        )
        with context.begin_transaction():
            _lock(connection)
            if changes:
                drop_extras(connection)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SAWarning)
                context.run_migrations()
            if changes:
                _finish(context.get_context(), connection)

    on_database(url, migrate)


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # SQLite holds the file since BEGIN IMMEDIATE
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def _finish(context: MigrationContext, connection: Connection) -> None:
    """Make the extras anew (only head fits them) and see that no row points into nothing."""
    if set(context.get_current_heads()) == set(_scripts().get_heads()):
        create_extras(connection)
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            table, row, parent, _ = broken[0]
            raise MigrationError(
                f"the migration was rolled back: {len(broken)} rows point to nothing,"
                f" the first is row {row} of {table}, which misses its {parent}"
            )


# ---- SQLite --------------------------------------------------------------------------------------------------


def _current_sqlite(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=WAIT)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else None
    except sqlite3.Error as problem:
        raise MigrationError(f"cannot read the database {path}: {problem}") from None


def _backup(path: Path, folder: Path, revision: str) -> Path:
    """Copy a SQLite file that may be in use; the newest BACKUPS_KEPT copies stay."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    target = folder / f"{path.stem}-{stamp}-{revision}.db"
    part = target.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch(mode=0o600)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.rename(target)
        for old in sorted(folder.glob(f"{path.stem}-*.db"))[:-BACKUPS_KEPT]:
            old.unlink()
    except (OSError, sqlite3.Error) as problem:
        part.unlink(missing_ok=True)
        raise MigrationError(f"nothing was migrated, the backup to {folder} failed: {problem}") from None
    return target


# ---- scripts ----------------------------------------------------------------------------------------


def _config(url: str) -> Config:
    config = Config(str(ROOT / "alembic.ini"))
    config.attributes["url"] = url
    return config


def _scripts() -> ScriptDirectory:
    ini = ROOT / "alembic.ini"
    if not ini.exists():
        raise MigrationError(f"the migrations are not beside the code: {ini} is missing")
    return ScriptDirectory.from_config(Config(str(ini)))


def _known(revision: str) -> bool:
    try:
        return _scripts().get_revision(revision) is not None
    except CommandError:
        return False
