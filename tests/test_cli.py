"""The `bursar` command: what was to be expected is one line and exit code 2, never a traceback."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.localrun import redis_server
from tests.forked import bursar
from tests.integrations.stripe_api import SECRET_KEY, WEBHOOK_SECRET, stripe_server

ROOT = Path(__file__).parent.parent


def refusal(folder: Path, *arguments: str, stdin: str = "", **variables: str) -> str:
    """The one line that a refused command says."""
    lines = bursar(folder, *arguments, stdin=stdin, **variables).stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("bursar: ")
    return lines[0]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    bursar(folder, "migrate", code=0)
    return folder


@pytest.fixture(scope="module")
def own_redis() -> Iterator[str]:
    with redis_server() as url:
        yield url


def test_help_is_quick_and_lists_the_commands() -> None:
    begin = time.perf_counter()
    command = [sys.executable, "-m", "app", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert time.perf_counter() - begin < 3
    for command in ("up", "web", "worker", "migrate", "staff", "demo", "import", "doctor"):
        assert f"    {command} " in text


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, app.cli\nprint(*[m for m in ('sqlalchemy', 'litestar', 'arq', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("command", ["up", "web", "worker", "migrate"])
def test_a_bad_setting_is_one_line(tmp_path: Path, command: str) -> None:
    assert refusal(tmp_path, command, PORT="many").startswith("bursar: BURSAR_PORT must be")


def test_production_without_a_secret_is_refused(tmp_path: Path) -> None:
    assert "BURSAR_SECRET_KEY" in refusal(tmp_path, "web", ENV="production")


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_database_that_is_not_migrated_is_named(tmp_path: Path, command: str) -> None:
    assert "bursar migrate" in refusal(tmp_path, command)
    assert not (tmp_path / "bursar.db").exists()


def test_a_database_ahead_of_the_code_is_refused(migrated: Path, tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(migrated / "bursar.db")) as source,
        closing(sqlite3.connect(tmp_path / "bursar.db")) as copy,
    ):
        source.backup(copy)
        copy.execute("UPDATE alembic_version SET version_num = 'fffffffffff1'")
        copy.commit()
    assert "ahead of this code" in refusal(tmp_path, "web")
    assert "ahead of this code" in refusal(tmp_path, "migrate")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bursar.db").write_bytes(b"hello" * 1000)
    assert "cannot read the database" in refusal(tmp_path, "migrate")


def test_an_unreachable_postgresql_is_one_line_without_the_password(tmp_path: Path) -> None:
    line = refusal(tmp_path, "web", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/bursar")
    assert "cannot reach the database bursar on 127.0.0.1:1" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:1/0", "unix:///nowhere/redis.sock"])
def test_an_unreachable_redis_is_one_line(migrated: Path, url: str) -> None:
    for command in ("web", "worker"):
        line = refusal(migrated, command, REDIS_URL=url)
        assert "cannot reach Redis at" in line
        assert "hunter2" not in line


def test_a_redis_that_never_answers_is_given_up_soon(migrated: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.perf_counter()
        refusal(migrated, "worker", REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert time.perf_counter() - begin < 6


def test_a_taken_port_is_one_line(migrated: Path, own_redis: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} on 127.0.0.1 is taken" in refusal(migrated, "web", PORT=port, REDIS_URL=own_redis)


def test_migrate_twice_changes_nothing_the_second_time(migrated: Path) -> None:
    assert "nothing to do" in bursar(migrated, "migrate", code=0).stdout
    assert not (migrated / "backups").exists()


def test_a_password_must_come_from_somewhere(migrated: Path) -> None:
    assert "--password-stdin" in refusal(migrated, "staff", "add", "anna", "--email", "anna@example.com")


def test_an_import_that_cannot_start_is_one_line(migrated: Path, tmp_path: Path) -> None:
    for what in ("customers", "consent"):
        refusal(migrated, "import", what, str(tmp_path / "none.csv"))
    assert "COLUMN=field" in refusal(migrated, "import", "customers", "x.csv", "--map", "Email")


def test_a_new_password_for_nobody_is_one_line(migrated: Path) -> None:
    line = refusal(migrated, "staff", "password", "nobody", "--password-stdin", stdin="a long pass phrase 7\n")
    assert "no staff member with the user name nobody" in line


def test_staff_are_added_and_a_taken_user_name_is_one_line(tmp_path: Path) -> None:
    bursar(tmp_path, "migrate", code=0)
    add = ("staff", "add", "anna", "--email", "anna@example.com", "--password-stdin")
    assert "anna may sign in now" in bursar(tmp_path, *add, code=0, stdin="a long pass phrase 7\n").stdout
    refusal(tmp_path, *add, stdin="a long pass phrase 7\n")
    change = ("staff", "password", "anna", "--password-stdin")
    assert "new password" in bursar(tmp_path, *change, code=0, stdin="another pass phrase 8\n").stdout


def test_doctor_says_fail_and_why(tmp_path: Path) -> None:
    text = bursar(tmp_path, "doctor", code=1, REDIS_URL="unix:///nowhere/redis.sock").stdout
    lines = {line[:15].strip(): line[16:] for line in text.splitlines()}
    assert lines["settings"].startswith("ok")
    assert lines["data directory"].startswith("ok")
    assert lines["mail"].startswith("ok")
    for name in ("database", "redis", "worker", "clock"):
        assert lines[name].startswith("FAIL  "), text


def test_doctor_finds_rows_that_point_to_nothing(migrated: Path, own_redis: str, tmp_path: Path) -> None:
    text = bursar(migrated, "doctor", code=1, REDIS_URL=own_redis).stdout
    assert "foreign keys    ok" in text
    assert "no heartbeat" in text
    with closing(sqlite3.connect(tmp_path / "bursar.db")) as broken:
        broken.executescript(
            "CREATE TABLE p (id INTEGER PRIMARY KEY);"
            "CREATE TABLE c (p INTEGER REFERENCES p (id)); INSERT INTO c VALUES (7);"
        )
    assert "1 rows point to nothing" in bursar(tmp_path, "doctor", code=1, REDIS_URL=own_redis).stdout


def test_doctor_reports_a_mail_server_that_is_down(tmp_path: Path) -> None:
    text = bursar(tmp_path, "doctor", code=1, MAIL_URL="smtp://127.0.0.1:1").stdout
    assert "mail            FAIL" in text


def test_doctor_looks_into_the_mailbox(tmp_path: Path) -> None:
    def said(url: str) -> str:
        shown = bursar(tmp_path, "doctor", code=1, INBOUND_URL=url).stdout
        [line] = [line for line in shown.splitlines() if line.startswith("mailbox")]
        return line[16:]

    box = tmp_path / "Maildir"
    assert said(f"maildir://{box}").startswith("FAIL  the Maildir cannot be used")
    (box / "new").mkdir(parents=True)
    (box / "new" / "1.mail").write_bytes(b"x")
    assert said(f"maildir://{box}") == "ok    1 waiting"
    down = said("imap://ada:secret@127.0.0.1:1/INBOX")
    assert down.startswith("FAIL  the IMAP server") and "secret" not in down


def test_doctor_asks_stripe_whether_it_takes_the_key(tmp_path: Path) -> None:
    def said(**variables: str) -> str:
        shown = bursar(tmp_path, "doctor", code=1, **variables).stdout
        [line] = [line for line in shown.splitlines() if line.startswith("card payments")]
        return line[16:]

    assert said() == "ok    not set up"
    with stripe_server() as fake:
        keys = {"STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET, "STRIPE_URL": fake.url}
        assert said(STRIPE_SECRET_KEY=SECRET_KEY, **keys) == "ok    Stripe, test key"
        other = "sk_live_" + "z" * 24
        refused = said(STRIPE_SECRET_KEY=other, **keys)
        assert refused.startswith("FAIL") and other not in refused
        fake.down = True
        assert said(STRIPE_SECRET_KEY=SECRET_KEY, **keys).startswith("FAIL")
    gone = said(STRIPE_SECRET_KEY=SECRET_KEY, **keys)
    assert gone.startswith("FAIL") and SECRET_KEY not in gone


@pytest.mark.parametrize("engine_name", ["postgres"], indirect=True)
@pytest.mark.skipif("BURSAR_TEST_POSTGRES" in os.environ, reason="that server's settings are not ours to change")
async def test_doctor_fails_where_a_commit_may_be_lost(database: str, tmp_path: Path) -> None:
    """The tests' own server is such a one; here it is made safe, and unsafe in each way."""
    options = ("fsync", "full_page_writes", "synchronous_commit")
    engine = create_async_engine(database, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    async def line(**values: str) -> str:
        async with engine.connect() as connection:
            for name, value in values.items():
                await connection.execute(text(f"ALTER SYSTEM SET {name} = {value}"))
            await connection.execute(text("SELECT pg_reload_conf()"))
        for _n in range(100):  # the server reads its settings when it comes to it
            async with engine.connect() as connection:
                now = {name: await connection.scalar(text(f"SHOW {name}")) for name in values}
            if now == values:
                break
            await asyncio.sleep(0.05)
        done = await asyncio.to_thread(bursar, tmp_path, "doctor", code=1, DATABASE_URL=database)
        [found] = [line for line in done.stdout.splitlines() if line.startswith("on disk")]
        return found[16:]

    try:
        assert await line(**dict.fromkeys(options, "on")) == "ok    each commit is synced"
        for name in options:
            assert (await line(**{name: "off"})).startswith(f"FAIL  {name}: off")
            await line(**{name: "on"})
        assert (await line(synchronous_commit="local")).startswith("ok")
    finally:
        said = await line(**dict.fromkeys(options, "off"))
        await engine.dispose()
    assert said.startswith(f"FAIL  {', '.join(options)}: off")


def test_the_configuration_as_a_file(migrated: Path, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text("attitudes:\n- {name: Loyal, hue: 1}\n")
    assert "+ attitudes: Loyal" in bursar(migrated, "config", "diff", str(file), code=1).stdout
    assert "Taken over." in bursar(migrated, "config", "import", str(file), "--yes", code=0).stdout
    assert "  - name: Loyal\n" in bursar(migrated, "config", "export", code=0).stdout
    file.write_text("attitudes:\n- {name: Loyal, hue: 12}\n")
    assert "line 2, attitudes.1.hue: A number from 1 to 8, please." in refusal(migrated, "config", "diff", str(file))
