"""Engines, the session that writes and the one that only reads, and what differs between SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Dialect, FromClause, event, func, make_url, select, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.db import sqlite
from app.db.base import AppSession, Base
from app.db.kept import Kept
from app.db.trigrams import look_for_indexes
from app.observe import log


@dataclass(eq=False)
class _Database:
    engine: AsyncEngine
    reader: AsyncEngine
    """A pool of its own, whose connections cannot write and need no transaction: each statement is one."""
    writes: async_sessionmaker[AsyncSession]
    reads: async_sessionmaker[AsyncSession]
    kept: Kept = field(default_factory=Kept)


_database: _Database | None = None

IDLE = 1.0
"""Seconds without use after which a connection is asked whether it still lives before it is used again."""


def make_engine(url: str, *, writes: bool = True, **options: Any) -> AsyncEngine:
    """An engine with what each database needs; parameters never appear in error messages.

    writes: False gives connections on which every change fails, without BEGIN and ROLLBACK around what is read.
    """
    if not writes:
        options |= {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True, "pool_reset_on_return": None}
    if url.startswith("sqlite"):
        place = make_url(url)
        creator = sqlite.creator(place, place.get_dialect()())
        engine = create_async_engine(place, async_creator=creator, hide_parameters=True, **options)
        dialect = engine.dialect
        event.listen(
            engine.sync_engine, "connect", lambda connection, _record: sqlite.prepare(connection, writes=writes)
        )
        event.listen(engine.sync_engine, "connect", lambda connection, _record: look_for_indexes(connection, dialect))
        if writes:
            # a deferred transaction that reads and then writes fails at once in spite of the busy timeout
            event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    # a generic plan cannot know whether the text of a LIKE is rare
    settings = {"jit": "off", "plan_cache_mode": "force_custom_plan", "application_name": "bursar"}
    if not writes:
        settings |= {"default_transaction_read_only": "on", "statement_timeout": f"{1000 * sqlite.LONGEST:.0f}ms"}
    options.setdefault("connect_args", {"server_settings": settings, "timeout": 5})
    engine = create_async_engine(url, hide_parameters=True, **options)
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", partial(_ask_if_idle, engine.dialect))
    return engine


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _ask_if_idle(dialect: Dialect, connection: Any, record: Any, _proxy: Any) -> None:
    """What `pool_pre_ping` does, without a round trip for each of the many short uses on a busy day."""
    used = record.info.get("used")
    if used is None or time.monotonic() - used < IDLE:
        return
    try:
        alive = dialect.do_ping(connection)
    except Exception as error:
        raise DisconnectionError from error
    if not alive:
        raise DisconnectionError


def configure(url: str, **options: Any) -> None:
    """Name the database of this process. `url`: ``sqlite+aiosqlite:///file`` or ``postgresql+asyncpg://...``."""
    global _database
    writer, reader = make_engine(url, **options), make_engine(url, writes=False, **options)
    common: dict[str, Any] = {"sync_session_class": AppSession, "expire_on_commit": False}
    _database = _Database(writer, reader, async_sessionmaker(writer, **common), async_sessionmaker(reader, **common))


def database() -> _Database:
    if _database is None:
        raise RuntimeError("app.db.configure() was not called")
    return _database


def engine() -> AsyncEngine:
    return database().engine


def is_sqlite() -> bool:
    return engine().dialect.name == "sqlite"


def kept() -> Kept:
    """What this process keeps for a while about its database."""
    return database().kept


def read_sessions() -> async_sessionmaker[AsyncSession]:
    """A sessionmaker of its own for SQLAdmin, which changes the one that it is given; it can only read."""
    return async_sessionmaker(database().reader, sync_session_class=AppSession, expire_on_commit=False)


async def dispose() -> None:
    if _database is not None:
        await _database.engine.dispose()
        await _database.reader.dispose()


AfterCommit = Callable[[], Awaitable[None]]


def after_commit(session: AsyncSession, what: AfterCommit) -> None:
    """Do `what` once the unit is committed (not a SAVEPOINT); a failure is logged, never raised."""
    session.info.setdefault("after_commit", []).append(what)


@asynccontextmanager
async def unit() -> AsyncIterator[AsyncSession]:
    """One unit of work: one transaction, one commit, then what waits for the commit. Only this commits."""
    async with database().writes() as session:
        async with session.begin():
            yield session
        waiting: list[AfterCommit] = session.info.pop("after_commit", [])
    for what in waiting:
        try:
            await what()
        except Exception:
            log("db").exception("a step after the commit failed")


class _TakenBack(Exception):
    """Ends a trial without its commit."""


@asynccontextmanager
async def trial() -> AsyncIterator[AsyncSession]:
    """As `unit`, done for real, and then nothing of it: a rehearsal that comes upon all that would be refused."""
    with suppress(_TakenBack):
        async with unit() as session:
            yield session
            raise _TakenBack


@asynccontextmanager
async def reads() -> AsyncIterator[AsyncSession]:
    """A session that cannot write."""
    async with database().reads() as session:
        yield session


@asynccontextmanager
async def snapshot() -> AsyncIterator[AsyncSession]:
    """A session that cannot write, and for which nothing changes as long as it lasts: for work in the background that
    reads for longer than one statement."""
    async with reads() as session:
        connection = await session.connection()
        alone = " ISOLATION LEVEL REPEATABLE READ READ ONLY" if connection.dialect.name == "postgresql" else ""
        await connection.exec_driver_sql(f"BEGIN{alone}")
        try:
            yield session
        finally:
            try:
                await connection.exec_driver_sql("ROLLBACK")
            except DBAPIError:
                await connection.invalidate()


LARGE = 50_000
"""Rows from which on a number that is nearly right will do."""


async def estimated_rows(session: AsyncSession, table: FromClause) -> int:
    """How many rows a table has, whoever asks: of large tables of PostgreSQL what it last noticed, else exact."""
    bind = session.get_bind()
    if bind.dialect.name == "postgresql":
        name = bind.dialect.identifier_preparer.format_table(table)
        known = text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)")
        if (rows := await session.scalar(known, {"name": name}) or 0) > LARGE:
            return int(rows)
    return await session.scalar(select(func.count()).select_from(table)) or 0


def took_too_long(error: DBAPIError) -> bool:
    """Whether the database broke a statement off because of the time that it took."""
    return getattr(error.orig, "sqlstate", "") == "57014" or str(error.orig) == "interrupted"


def violated(error: IntegrityError) -> tuple[str, ...]:
    """The column names of the constraint that was hit; empty when the database does not say."""
    cause = getattr(error.orig, "__cause__", None)
    if name := getattr(cause, "constraint_name", None):
        for table in Base.metadata.tables.values():
            for constraint in [*table.constraints, *table.indexes]:
                if getattr(constraint, "name", None) == name:
                    return tuple(c.name for c in getattr(constraint, "columns", ()))
        return ()
    _head, _sep, columns = str(error.orig).partition("constraint failed: ")
    return tuple(part.rpartition(".")[2].strip() for part in columns.split(",") if "." in part)
