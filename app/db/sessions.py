"""Engines, the session that writes and the one that only reads, and what differs between SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, event, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.db.base import AppSession, Base
from app.db.trigrams import look_for_indexes
from app.observe import log


@dataclass
class _Database:
    engine: AsyncEngine
    writes: async_sessionmaker[AsyncSession]
    reads: async_sessionmaker[AsyncSession]


_database: _Database | None = None


def make_engine(url: str, **options: Any) -> AsyncEngine:
    """An engine with what each database needs; parameters never appear in error messages."""
    sqlite = url.startswith("sqlite")
    if not sqlite:
        options.setdefault("pool_pre_ping", True)
        # a generic plan cannot know whether the text of a LIKE is rare
        settings = {"jit": "off", "plan_cache_mode": "force_custom_plan", "application_name": "bursar"}
        options.setdefault("connect_args", {"server_settings": settings, "timeout": 5})
    engine = create_async_engine(url, hide_parameters=True, **options)
    if sqlite:
        dialect = engine.dialect
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "connect", lambda connection, _record: look_for_indexes(connection, dialect))
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", False)
    if connection.info.get("writes") is not writes:
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
        connection.info["writes"] = writes
    # a deferred transaction that reads and then writes fails at once in spite of the busy timeout
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def configure(url: str, **options: Any) -> None:
    """Name the database of this process. `url`: ``sqlite+aiosqlite:///file`` or ``postgresql+asyncpg://...``."""
    global _database
    engine = make_engine(url, **options)
    if engine.dialect.name == "sqlite":
        writer, reader = engine.execution_options(writes=True), engine
    else:
        writer, reader = engine, engine.execution_options(postgresql_readonly=True)
    common: dict[str, Any] = {"sync_session_class": AppSession, "expire_on_commit": False}
    _database = _Database(engine, async_sessionmaker(writer, **common), async_sessionmaker(reader, **common))


def database() -> _Database:
    if _database is None:
        raise RuntimeError("app.db.configure() was not called")
    return _database


def engine() -> AsyncEngine:
    return database().engine


def is_sqlite() -> bool:
    return engine().dialect.name == "sqlite"


def read_sessions() -> async_sessionmaker[AsyncSession]:
    """A sessionmaker of its own for SQLAdmin, which changes the one that it is given; it can only read."""
    bind = database().reads.kw["bind"]
    return async_sessionmaker(bind, sync_session_class=AppSession, expire_on_commit=False)


async def dispose() -> None:
    if _database is not None:
        await _database.engine.dispose()


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


@asynccontextmanager
async def reads() -> AsyncIterator[AsyncSession]:
    """A session that cannot write."""
    async with database().reads() as session:
        yield session


LARGE = 50_000
"""Rows from which on a number that is nearly right will do."""


async def estimated_rows(session: AsyncSession, table: Table) -> int:
    """How many rows a table has, whoever asks: of large tables of PostgreSQL what it last noticed, else exact."""
    bind = session.get_bind()
    if bind.dialect.name == "postgresql":
        name = bind.dialect.identifier_preparer.format_table(table)
        known = text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)")
        if (rows := await session.scalar(known, {"name": name}) or 0) > LARGE:
            return int(rows)
    return await session.scalar(select(func.count()).select_from(table)) or 0


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
