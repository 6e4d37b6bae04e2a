"""The tables that every subject serves: those of Bursar's own migration, filled with the same rows on each run.

A row is a function of its number, so the rows that a page must show are known without asking any database.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app import db
from app.db import Base, fold
from app.domain.sessions import passwords
from app.migrations import upgrade_url
from app.migrations.drift import create_extras, drop_extras
from app.models.catalog import Product, Service
from app.models.customers import Customer
from app.models.projects import Project
from app.models.users import User, UserCustomer
from app.observe import SYSTEM, acting
from tests import factories
from tests.bench.lists.places import FOLDER, ROOT, Postgres
from tests.bench.lists.subjects import COMMON, LANGUAGE, PAGE, PROJECT, RARE

PASSWORD = "correct horse battery"

WORDS = """
    Anna Bernd Carla Dmitri Élodie François Günther Håkon Inés Jürgen Katarzyna Łukasz Márta Nikos Ólafur Pedro Quentin
    Renée Søren Tomáš Ülkü Věra Wolfgang Ximena Yusuf Zoë Анна Дмитрий Ольга Сергей Ελένη Γιώργος 明 花子 翔太 فاطمة علي
    שרה राहुल 지훈 /
    Schmidt Müller Köhler Weiß García Núñez Lefèvre O’Connor Andersson Sørensen Kowalski Dvořák Nagy Ionescu Yılmaz
    Иванов Петрова Παπαδόπουλος 田中 佐藤 王 김 الحسن כהן शर्मा Silva Rossi Virtanen Jansen Novák /
    Hosting Networks Studio Logistik Brauerei Software Садоводство 商店 Öl Media
"""
FIRST, LAST, BUSINESS = (part.split() for part in WORDS.split("/"))
LANGUAGES = ("en", "de", "ru", "es", "fr", "pl", "ja", "")
COUNTRIES = ("DE", "GB", "RU", "ES", "FR", "PL", "JP", "AT")
STATUSES = ("active", "active", "active", "new", "suspended", "closed")
START = datetime(2012, 1, 1, 12, tzinfo=UTC)
SMALL = {"project": 8, "attitude": 5, "product": 20}


@dataclass(frozen=True)
class Person:
    """What is drawn for one customer."""

    id: int
    name: str
    contact: str
    email: str
    phone: str
    project: int
    language: str
    company: bool
    draw: int


def person(i: int) -> Person:
    draw = i * 2_654_435_761 % 2**32 >> 3  # scattered, yet the same on every machine
    first, last = FIRST[draw % len(FIRST)], LAST[draw // 41 % len(LAST)]
    company = draw // 1301 % 5 == 0
    if i % 100_003 == 7:  # about ten in a million, one in a small table
        last = RARE.title()
    name = f"{last} {BUSINESS[draw // 97 % len(BUSINESS)]} GmbH" if company else f"{first} {last}"
    return Person(
        id=i, name=name, contact=f"{first} {last}", email=f"kunde{i}@example.org",
        phone=f"+49 30 {draw % 10_000_000:07d}", project=draw // 3 % SMALL["project"] + 1,
        language=LANGUAGES[draw // 7 % len(LANGUAGES)], company=company, draw=draw,
    )  # fmt: skip


_folds: dict[str, str] = {}


def folded(text: str) -> str:
    """`app.db.fold`, remembered by word: names repeat, and folding is by word."""
    out = []
    for word in text.split():
        if (known := _folds.get(word)) is None:
            known = fold(word)
            if len(_folds) < 10_000:
                _folds[word] = known
        out.append(known)
    return "".join(out)


def customers(n: int) -> Iterator[dict[str, Any]]:
    for i in range(1, n + 1):
        p = person(i)
        legal = f"{p.name} & Co. KG" if p.company else ""
        vat = f"DE{p.draw % 1_000_000_000:09d}" if p.company else ""
        yield {
            "id": i, "name": p.name, "project_id": p.project,
            "kind": "company" if p.company else "individual", "status": STATUSES[p.draw // 5 % len(STATUSES)],
            "contact_person": p.contact, "email": p.email, "phone": p.phone,
            "country": COUNTRIES[p.draw // 11 % len(COUNTRIES)],
            "language": p.language, "timezone": "Europe/Berlin", "legal_name": legal, "vat_number": vat,
            "attitude_id": p.draw % SMALL["attitude"] + 1 if p.draw % 4 else None,
            "registered_at": START + timedelta(minutes=7 * i), "registration_ip": f"192.0.2.{i % 256}",
        }  # fmt: skip


def users(n: int) -> Iterator[dict[str, Any]]:
    for i in range(1, n + 1):
        p = person(i)
        yield {
            "id": i, "project_id": p.project, "username": f"kunde{i}", "full_name": p.contact, "email": p.email,
            "created_at": START + timedelta(minutes=7 * i),
        }  # fmt: skip


def links(n: int) -> Iterator[dict[str, Any]]:
    for i in range(1, n + 1):
        yield {"user_id": i, "customer_id": i}


def services(n: int) -> Iterator[dict[str, Any]]:
    for i in range(1, max(n // 10, 25) + 1):
        name, whose = f"host{i}.example.net", person(i).draw % n + 1
        yield {
            "id": i, "name": name, "customer_id": whose,
            "product_id": i % SMALL["product"] + 1, "status": "active", "price": 990 + i % 5000,
            "created_at": START + timedelta(minutes=i),
        }  # fmt: skip


BIG: dict[type[Base], Any] = {Customer: customers, User: users, UserCustomer: links, Service: services}


# ---- what the pages must show ---------------------------------------------------------------------------------------


@dataclass
class Facts:
    """What is known of the rows. The lists hold the ids of a page, the newest first."""

    rows: int
    deep_page: int = 1
    matches: dict[str, int] = field(default_factory=dict)
    top: dict[str, list[int]] = field(default_factory=dict)

    @property
    def last_page(self) -> int:
        return -(-self.rows // PAGE)

    def page(self, number: int) -> list[int]:
        newest = self.rows - PAGE * (number - 1)
        return list(range(newest, max(newest - PAGE, 0), -1))


def facts_of(n: int) -> Facts:
    facts = Facts(n, deep_page=max(min(1000, -(-n // PAGE) // 2), 1))
    asked = {
        "rare": lambda p: RARE in p.name.lower(),
        "common": lambda p: COMMON in p.name.lower(),
        "absent": lambda p: False,
        "filter": lambda p: p.project == PROJECT and p.language == LANGUAGE,
        "half": lambda p: p.project % 2 == 1,
    }
    for name in asked:
        facts.matches[name], facts.top[name] = 0, []
    for i in range(n, 0, -1):
        p = person(i)
        for name, holds in asked.items():
            if holds(p):
                facts.matches[name] += 1
                if len(facts.top[name]) < PAGE:
                    facts.top[name].append(i)
    return facts


# ---- building -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """`url` with the asynchronous driver that Bursar uses."""

    url: str
    facts: Facts
    trigrams: bool
    """Whether anything there speeds up substrings: pg_trgm, or an FTS5 table."""


def _key() -> str:
    """Changes with whatever decides the content: migrations, extras, this file."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted((ROOT / "alembic" / "versions").glob("*.py")):
        digest.update(path.read_bytes())
    digest.update(repr([_derived(model) for model in BIG]).encode())
    for extra in db.extras:
        digest.update(repr([extra.create("sqlite"), extra.create("postgresql")]).encode())
    return digest.hexdigest()[:8]


def build(kind: str, rows: int, server: Postgres | None) -> Database:
    """The database with so many customers; kept from the last run when nothing that decides its content has changed."""
    name = f"lists_{rows}_{_key()}"
    note = FOLDER / f"{kind}-{name}.json"
    path = FOLDER / f"{name}.db"
    url = server.database(name) if server else f"sqlite+aiosqlite:///{path}"
    if not note.exists() or not asyncio.run(_is_there(url, path, server)):
        print(f"  building {rows:,} customers on {kind} ...", flush=True)
        for old in FOLDER.glob(f"{kind}-lists_{rows}_*.json"):
            old.unlink()
        asyncio.run(_build(url, path, rows, server))
        note.write_text(json.dumps(asdict(facts_of(rows))))
    return Database(url, Facts(**json.loads(note.read_text())), asyncio.run(_has_trigrams(url)))


async def _is_there(url: str, path: Path, server: Postgres | None) -> bool:
    if server is None:
        return os.path.exists(path)  # noqa: ASYNC240  nothing else runs
    name = f"SELECT 1 FROM pg_database WHERE datname = '{_name(url)}'"
    return bool(await _on(server.database("postgres"), name))


def _name(url: str) -> str:
    return str(sa.make_url(url).database)


async def _on(url: str, *statements: str) -> Any:
    """The first value that the last statement gives; each is on its own, outside any transaction."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            value = None
            for statement in statements:
                result = await connection.exec_driver_sql(statement)
                value = result.scalar() if result.returns_rows else None
            return value
    finally:
        await engine.dispose()


async def _has_trigrams(url: str) -> bool:
    if url.startswith("postgresql"):
        return bool(await _on(url, "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%gin_trgm_ops%'"))
    return bool(await _on(url, "SELECT count(*) FROM sqlite_master WHERE sql LIKE '%fts5%trigram%'"))


async def _build(url: str, path: Path, rows: int, server: Postgres | None) -> None:
    if server is None:
        for old in FOLDER.glob(f"lists_{rows}_*.db*"):
            old.unlink()
    else:
        like = f"SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'lists\\_{rows}\\_%'"
        for old in (await _on(server.database("postgres"), like) or "").split():
            await _on(server.database("postgres"), f"DROP DATABASE {old} WITH (FORCE)")
        await _on(server.database("postgres"), f"CREATE DATABASE {_name(url)}")
    await upgrade_url(url)
    await _small_tables(url)
    engine = db.make_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(drop_extras)
    await (_fill_sqlite(path, rows) if server is None else _fill_postgres(url, rows))
    async with engine.begin() as connection:
        await connection.run_sync(create_extras)
    await _check_folding(engine)
    await engine.dispose()
    if server is None:
        await _on(url, "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        await _on(url, "VACUUM (ANALYZE)", "CHECKPOINT")


async def _small_tables(url: str) -> None:
    db.configure(url)
    hashed = await passwords.hash_password(PASSWORD)
    with acting(SYSTEM):
        async with db.unit() as session:
            for i in range(1, SMALL["project"] + 1):
                await factories.create_project(session, id=i, name=f"{BUSINESS[i]} Brand {i}", hue=i)
            for i in range(1, SMALL["attitude"] + 1):
                await factories.create_attitude(session, id=i, name=f"Attitude {i}", hue=i)
            session.add_all(Product(id=i, name=f"Server {i}", price=990 * i) for i in range(1, SMALL["product"] + 1))
            role = await factories.create_role(session, name="Everything")
            projects = [await session.get(Project, i) for i in range(1, SMALL["project"] + 1)]
            for username, of in (("limited", projects), ("owner", []), ("half", projects[::2])):  # 1, 3, 5, 7
                await factories.create_staff(
                    session, username=username, full_name=f"Olga {username.title()}", role=role, projects=of,
                    password_hash=hashed,
                )  # fmt: skip
    await db.dispose()


def _derived(model: type[Base]) -> tuple[dict[str, str], list[str] | None]:
    """Folded column -> its source; and what `search_text` is made of, None without one. As `app.db` reads the model."""
    columns = {p.key: p.columns[0].info for p in sa.inspect(model).column_attrs}
    twins = {name: info["folds"] for name, info in columns.items() if "folds" in info}
    searched = [name for name, info in columns.items() if info.get("searched")]
    return twins, searched if "search_text" in columns else None


def _complete(model: type[Base], rows: Iterable[dict[str, Any]]) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Column names and records: with what is folded, and the model's defaults for what a row does not say."""
    twins, searched = _derived(model)
    defaults: dict[str, Any] = {}
    for column in model.__table__.c:  # type: ignore[attr-defined]
        if not column.nullable and column.server_default is None and (default := column.default) is not None:
            now = isinstance(column.type, db.UtcDateTime)
            defaults[column.name] = START if now else getattr(default.arg, "value", default.arg)

    def record(row: dict[str, Any]) -> dict[str, Any]:
        row = defaults | row
        for name, source in twins.items():
            row[name] = folded(row[source])
        if searched is not None:
            row["search_text"] = "".join(folded(str(row[name])) for name in searched if row[name])
        return row

    made = map(record, rows)
    first = next(made)
    return list(first), itertools.chain([tuple(first.values())], (tuple(row.values()) for row in made))


async def _fill_postgres(url: str, rows: int) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        await driver.execute("SET session_replication_role = replica")  # the foreign keys hold by construction
        for model, make in BIG.items():
            table = model.__tablename__
            indexes = await driver.fetch(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1 AND indexname NOT IN"
                " (SELECT conname FROM pg_constraint)", table,
            )  # fmt: skip
            for index in indexes:
                await driver.execute(f"DROP INDEX {index['indexname']}")
            names, records = _complete(model, make(rows))
            await driver.copy_records_to_table(table, records=records, columns=names)
            for index in indexes:
                await driver.execute(index["indexdef"])
            if "id" in names:
                top = f'(SELECT max(id) FROM "{table}")'
                await driver.execute(f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), {top})")
    await engine.dispose()


async def _fill_sqlite(path: Path, rows: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-262144"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    for model, make in BIG.items():
        table = model.__tablename__
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", (table,)
        ).fetchall()
        for index, _sql in indexes:
            connection.execute(f'DROP INDEX "{index}"')
        names, records = _complete(model, make(rows))
        marks = ", ".join("?" * len(names))
        columns = ", ".join(f'"{n}"' for n in names)
        connection.executemany(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', map(_for_sqlite, records))
        for _index, sql in indexes:
            connection.execute(sql)
    connection.execute("COMMIT")
    connection.close()


def _for_sqlite(record: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(v.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(v, datetime) else v for v in record)


async def _check_folding(engine: Any) -> None:
    """What was written beside the ORM is what the ORM would have written."""
    for model in (Customer, User, Service):
        mapper = sa.inspect(model)
        async with engine.connect() as connection:
            rows = (await connection.execute(sa.select(model.__table__).where(model.__table__.c.id <= 200))).mappings()
            for row in rows:
                searched = []
                for prop in mapper.column_attrs:
                    info = prop.columns[0].info
                    if source := info.get("folds"):
                        assert row[prop.key] == fold(row[source] or ""), (model, row["id"], prop.key)
                    if info.get("searched") and row[prop.key]:
                        searched.append(str(row[prop.key]))
                if "search_text" in row:
                    assert row["search_text"] == fold(" ".join(searched)), (model, row["id"])
