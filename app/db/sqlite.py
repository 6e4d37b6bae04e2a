"""SQLite's connections: one trip to the driver's thread per statement, and what each needs to be told.

aiosqlite takes four trips (make a cursor, execute, fetch, close), each waking two threads: on a page of the panel they
took as long as the queries themselves.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiosqlite
from sqlalchemy import URL, Dialect

LONGEST = 20.0
"""Seconds that a statement of a reading connection may take; then it is broken off."""
STEPS = 200_000
"""Steps of SQLite's machine between two looks at the clock: some ten milliseconds."""
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000", "cache_size=-1000")


class _Cursor:
    """A cursor as SQLAlchemy's adapter uses it: rows are fetched along with the execution, closing is nothing."""

    def __init__(self, connection: _Connection) -> None:
        self.connection = connection
        self.rows: list[Any] = []
        self.description: Any = None
        self.rowcount, self.lastrowid, self.arraysize = -1, 0, 1

    async def __aenter__(self) -> _Cursor:
        return self

    async def _trip(self, method: str, *args: Any) -> None:
        def run() -> tuple[Any, ...]:
            self.connection.begun = time.monotonic()
            cursor = self.connection._conn.cursor()
            try:
                getattr(cursor, method)(*args)
                rows = cursor.fetchall() if cursor.description else []
                return rows, cursor.description, cursor.rowcount, cursor.lastrowid
            finally:
                cursor.close()

        self.rows, self.description, self.rowcount, self.lastrowid = await self.connection._execute(run)  # type: ignore[no-untyped-call]

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        await self._trip("execute", sql, parameters)

    async def executemany(self, sql: str, parameters: Any) -> None:
        await self._trip("executemany", sql, parameters)

    async def fetchall(self) -> list[Any]:
        rows, self.rows = self.rows, []
        return rows

    async def close(self) -> None:
        pass


class _Connection(aiosqlite.Connection):
    begun = 0.0
    """When the statement that runs was begun."""

    def too_long(self) -> bool:
        return time.monotonic() - self.begun > LONGEST

    def cursor(self) -> Any:
        return _Cursor(self)


def creator(url: URL, dialect: Dialect) -> Callable[[], Awaitable[Any]]:
    """What opens a connection, for ``create_async_engine(async_creator=...)``."""
    args, options = dialect.create_connect_args(url)

    def connect() -> Awaitable[Any]:
        connection = _Connection(partial(sqlite3.connect, *args, **options), iter_chunk_size=64)
        connection._thread.daemon = True  # a process that ends does not wait for it
        return connection  # awaited, it opens

    return connect


def prepare(connection: Any, *, writes: bool) -> None:
    """Say to a new connection what SQLite forgets: it is told with each."""
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
    for pragma in (*PRAGMAS, "query_only=OFF" if writes else "query_only=ON"):
        connection.execute(f"PRAGMA {pragma}")
    if not writes:
        connection.run_async(lambda driver: driver.set_progress_handler(driver.too_long, STEPS))
