"""Upgrade and drift on real databases, with further revisions written for the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from app import db, migrations
from app.db import Extra
from app.migrations import MigrationError
from app.settings import Settings, load
from tests.forked import bursar

ROOT = Path(__file__).parent.parent

REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {revision!r}, {down!r}, None, None


def upgrade():
{body}
"""

ADD_COLUMN = """
    with op.batch_alter_table("{table}", recreate="always") as batch:
        batch.add_column(sa.Column("one", sa.Integer(), nullable=True))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the revisions to which a test may add."""
    folder = tmp_path / "root"
    shutil.copytree(ROOT / "alembic", folder / "alembic")
    shutil.copy(ROOT / "alembic.ini", folder)
    monkeypatch.setattr(migrations, "ROOT", folder)
    return folder


def add_revision(root: Path, name: str, body: str) -> None:
    text = REVISION.format(revision=name, down=migrations.head(), body=body)
    (root / "alembic" / "versions" / f"{name}.py").write_text(text)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"BURSAR_DATA_DIR": str(tmp_path / "data")})


def objects(settings: Settings, query: str) -> list[tuple[object, ...]]:
    assert settings.sqlite_path is not None
    with closing(sqlite3.connect(settings.sqlite_path)) as connection:
        rows = connection.execute(query).fetchall()
        connection.commit()
        return rows


def names(settings: Settings) -> set[object]:
    return {row[0] for row in objects(settings, "SELECT name FROM sqlite_master")}


@pytest.fixture
def an_extra() -> Iterator[None]:
    """An expression index, which batch mode would lose, and a virtual table with its trigger."""

    def create(dialect: str) -> list[str]:
        if dialect != "sqlite":
            return ["CREATE INDEX ix_test_lower ON project (lower(name))"]
        return [
            "CREATE INDEX ix_test_lower ON project (lower(name))",
            "CREATE VIRTUAL TABLE test_fts USING fts5(name, content='project', content_rowid='id')",
            "CREATE TRIGGER test_fts_new AFTER INSERT ON project BEGIN"
            " INSERT INTO test_fts(rowid, name) VALUES (new.id, new.name); END",
        ]

    def drop(dialect: str) -> list[str]:
        if dialect != "sqlite":
            return ["DROP INDEX IF EXISTS ix_test_lower"]
        return [
            "DROP TRIGGER IF EXISTS test_fts_new",
            "DROP TABLE IF EXISTS test_fts",
            "DROP INDEX IF EXISTS ix_test_lower",
        ]

    extra = Extra("test_fts", create, drop)
    db.extras.append(extra)
    yield
    db.extras.remove(extra)


def test_the_first_upgrade_makes_no_backup_and_the_second_does_nothing(settings: Settings) -> None:
    assert migrations.current(settings) is None
    with pytest.raises(MigrationError, match="bursar migrate"):
        migrations.require_head(settings)
    done = migrations.upgrade(settings)
    assert (done.before, done.after, done.backup) == (None, migrations.head(), None)
    migrations.require_head(settings)
    assert migrations.upgrade(settings) == migrations.Upgrade(done.after, done.after)
    assert not (settings.data_dir / "backups").exists()


@pytest.mark.usefixtures("an_extra")
def test_an_upgrade_copies_the_file_keeps_the_rows_and_makes_the_extras_anew(root: Path, settings: Settings) -> None:
    migrations.upgrade(settings)
    before = migrations.current(settings)
    objects(settings, "CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    objects(settings, "CREATE TABLE child (p INTEGER REFERENCES parent (id) ON DELETE CASCADE)")
    objects(settings, "INSERT INTO parent VALUES (1)")
    objects(settings, "INSERT INTO child VALUES (1)")
    add_revision(root, "add_one", ADD_COLUMN.format(table="project") + ADD_COLUMN.format(table="parent"))
    done = migrations.upgrade(settings)
    assert (done.before, done.after) == (before, "add_one")
    assert {"ix_test_lower", "test_fts", "test_fts_new"} <= names(settings)
    assert objects(settings, "SELECT p FROM child") == [(1,)]  # foreign_keys=ON would have emptied it
    assert done.backup is not None
    with closing(sqlite3.connect(done.backup)) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == (before,)


def test_only_the_newest_backups_stay(root: Path, settings: Settings) -> None:
    migrations.upgrade(settings)
    for number in range(migrations.BACKUPS_KEPT + 2):
        add_revision(root, f"step_{number}", "    pass")
        last = migrations.upgrade(settings).backup
    kept = sorted((settings.data_dir / "backups").iterdir())
    assert len(kept) == migrations.BACKUPS_KEPT
    assert kept[-1] == last


@pytest.mark.usefixtures("an_extra")
def test_a_failed_step_rolls_everything_back(root: Path, settings: Settings) -> None:
    migrations.upgrade(settings)
    before, there = migrations.current(settings), names(settings)
    add_revision(root, "good", ADD_COLUMN.format(table="project"))
    add_revision(root, "bad", '    op.execute("INSERT INTO nothing_here VALUES (1)")')
    with pytest.raises(MigrationError, match="rolled back: no such table: nothing_here"):
        migrations.upgrade(settings)
    assert migrations.current(settings) == before
    assert names(settings) == there
    assert "one" not in {row[1] for row in objects(settings, "PRAGMA table_info(project)")}


def test_a_step_that_leaves_rows_pointing_to_nothing_is_rolled_back(root: Path, settings: Settings) -> None:
    migrations.upgrade(settings)
    objects(settings, "CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    objects(settings, "CREATE TABLE child (p INTEGER REFERENCES parent (id))")
    before = migrations.current(settings)
    add_revision(root, "orphan", '    op.execute("INSERT INTO child VALUES (9)")')
    with pytest.raises(MigrationError, match="1 rows point to nothing, the first is row 1 of child"):
        migrations.upgrade(settings)
    assert migrations.current(settings) == before


@pytest.mark.usefixtures("an_extra")
def test_drift_of_tables_and_extras_is_found(settings: Settings) -> None:
    migrations.upgrade(settings)
    assert migrations.check(settings) == []
    objects(settings, "CREATE INDEX cf_on_demand ON project (name)")
    assert migrations.check(settings) == []
    objects(settings, "CREATE INDEX stray ON project (name)")
    objects(settings, "DROP INDEX ix_test_lower")
    found = migrations.check(settings)
    assert len(found) == 2
    assert "stray" in found[0]
    assert "ix_test_lower" in found[1]
    assert "ix_test_lower" not in names(settings)  # looking changes nothing


async def test_it_can_be_called_where_a_loop_runs(settings: Settings) -> None:
    migrations.upgrade(settings)
    assert migrations.check(settings) == []


def several_at_once(settings: Settings) -> None:
    with ThreadPoolExecutor(3) as three:
        for running in [
            three.submit(bursar, settings.data_dir, "migrate", code=0, DATABASE_URL=settings.database_url)
            for _n in range(3)
        ]:
            running.result()
    migrations.require_head(settings)


def test_several_at_once_on_sqlite(settings: Settings) -> None:
    several_at_once(settings)


@pytest.mark.usefixtures("an_extra")
def test_postgresql_upgrades_checks_and_stands_several_at_once(postgres_server: str, tmp_path: Path) -> None:
    import sqlalchemy as sa

    name = f"migrations_{os.getpid()}"
    server = sa.make_url(postgres_server)

    def on_server(statement: str) -> None:
        async def run() -> None:
            from sqlalchemy.ext.asyncio import create_async_engine

            engine = create_async_engine(server.set(database="postgres"), isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                await connection.execute(sa.text(statement))
            await engine.dispose()

        asyncio.run(run())

    def at(database: str) -> Settings:
        url = server.set(database=database).render_as_string(hide_password=False)
        return load({"BURSAR_DATA_DIR": str(tmp_path), "BURSAR_DATABASE_URL": url})

    with pytest.raises(MigrationError, match=r"cannot reach the database nobody_made_it .* does not exist"):
        migrations.current(at("nobody_made_it"))
    on_server(f"CREATE DATABASE {name}")
    try:
        settings = at(name)
        assert migrations.current(settings) is None
        several_at_once(settings)
        found = migrations.check(settings)  # the three processes did not know the extra
        assert len(found) == 1
        assert "ix_test_lower" in found[0]
    finally:
        on_server(f"DROP DATABASE {name} WITH (FORCE)")


def test_nobody_else_on_the_machine_can_read_the_sqlite_database(settings: Settings) -> None:
    """It holds customers and password hashes. SQLite gives its journal files the rights of the database."""
    before = os.umask(0o022)
    try:
        migrations.upgrade(settings)
    finally:
        os.umask(before)
    assert settings.sqlite_path is not None
    with closing(sqlite3.connect(settings.sqlite_path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE one (two)")
        files = [p for p in settings.data_dir.iterdir() if p.name.startswith(settings.sqlite_path.name)]
        assert len(files) == 3
        assert [p.name for p in files if p.stat().st_mode & 0o077] == []
