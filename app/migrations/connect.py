"""The connection of a migration: one of its own, in one transaction, with `foreign_keys=OFF` on SQLite."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.errors import AppError

WAIT = 5.0
"""Seconds until a database that does not answer counts as unreachable."""

T = TypeVar("T")


class MigrationError(AppError):
    """The database cannot be reached, or does not fit the code. The text is one line."""

    status = 503


def _engine(url: str) -> AsyncEngine:
    """An engine for one connection: batch mode must not run under `foreign_keys=ON`, it would empty child tables."""
    sqlite = url.startswith("sqlite")
    options: dict[str, Any] = {} if sqlite else {"connect_args": {"timeout": WAIT}}
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, **options)
    if sqlite:
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver: then DDL can be rolled back
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "foreign_keys=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def on_database(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` on a connection of its own; an unreachable database raises MigrationError."""

    async def run() -> T:
        engine = _engine(url)
        try:
            try:
                connection = await engine.connect()
            except (OSError, TimeoutError, SQLAlchemyError) as problem:
                raise MigrationError(f"cannot reach the database {_where(url)}: {first_line(problem)}") from None
            except Exception as problem:  # asyncpg raises errors of its own while connecting
                if not type(problem).__module__.startswith("asyncpg"):
                    raise
                raise MigrationError(f"cannot reach the database {_where(url)}: {first_line(problem)}") from None
            try:
                return await connection.run_sync(work)
            finally:
                await connection.close()
        finally:
            await engine.dispose()

    return _blocking(run())


def _blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    if asyncio._get_running_loop() is None:  # the public twin raises instead, and would sit in every traceback
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def _where(url: str) -> str:
    """The address without the password."""
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return str(parts.database)
    host = parts.host or parts.query.get("host", "")
    return f"{parts.database} on {host}{f':{parts.port}' if parts.port else ''}"


def first_line(problem: BaseException) -> str:
    """The reason in one line, without the SQL and the driver's wrapping."""
    origin = problem.orig if isinstance(problem, DBAPIError) and problem.orig else problem
    if isinstance(origin, TimeoutError) and not str(origin):
        return f"no answer within {WAIT:.0f} seconds"
    line = next(iter(str(origin).splitlines()), "") or type(origin).__name__
    return re.sub(r"^<class '[^']*'>: ", "", line)
