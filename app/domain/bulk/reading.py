"""Reading all rows of a list as values, chunk by chunk, without objects, for a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db.keyset import beyond, order_by
from app.domain.bulk.values import Values
from app.domain.lists import Meant
from app.models import scope

CHUNK = 2000
"""Rows that are read at once."""


async def how_many(meant: Meant) -> int:
    """How many rows are meant; 0 when it takes too long to count them."""
    try:
        async with db.reads() as session:
            where = meant.where()
            await db.weigh(session, where)
            return await session.scalar(select(func.count()).select_from(meant.model).where(*where)) or 0
    except DBAPIError as problem:
        if not db.took_too_long(problem):
            raise
        return 0


class Source:
    """The rows of a list as the values of `keys`. Without a session each chunk is read in a transaction of its own,
    so that a slow reader holds no snapshot."""

    def __init__(self, meant: Meant, keys: Sequence[str], session: AsyncSession | None = None, *, plain: bool) -> None:
        self.meant, self.session = meant, session
        self.order = meant.keys()
        self.values = Values(meant.model, keys, [k.attr for k in self.order if not k.own], plain=plain)
        own = [k for k in self.order if k.own]
        self.own = [k.expression.label(k.attr) for k in own]
        self.at = {k.attr: len(self.values.columns) + i for i, k in enumerate(own)} | self.values.columns

    async def _prepared(self, session: AsyncSession, *, on: bool) -> db.Prepared:
        where = self.meant.where()
        await db.weigh(session, where)
        if on:
            where.append(beyond(self.order))
        statement = select(*self.values.selected(), *self.own).select_from(self.meant.model).where(*where)
        statement = statement.order_by(*order_by(self.order, descending=self.meant.descending)).limit(CHUNK)
        return db.Prepared(scope.limited(statement), session.get_bind().dialect)

    async def _both(self, session: AsyncSession) -> tuple[db.Prepared, db.Prepared]:
        """Of the first rows, and of those behind a row."""
        await session.connection()  # the first one tells the dialect what the database has
        return await self._prepared(session, on=False), await self._prepared(session, on=True)

    async def _raw(self, prepared: db.Prepared, values: dict[str, Any]) -> Sequence[Any]:
        if self.session is not None:
            return await prepared.run(self.session, values)
        async with db.reads() as session:
            return await prepared.run(session, values)

    async def chunks(self) -> AsyncIterator[list[list[Any]]]:
        """All rows that match: per chunk one list of values for each column."""
        if self.session is not None:
            first, following = await self._both(self.session)
        else:
            async with db.reads() as session:
                first, following = await self._both(session)
        reading = asyncio.create_task(self._raw(first, {}))
        read = self.values
        try:
            while True:
                rows = await reading
                if len(rows) == CHUNK:  # the database looks for the next ones while these are written
                    processors = (*read.processors, *[None] * len(self.own))
                    last = [process(v) if process else v for v, process in zip(rows[-1], processors, strict=True)]
                    at = {f"key_{i}": k.value(last[self.at[k.attr]]) for i, k in enumerate(self.order)}
                    reading = asyncio.create_task(self._raw(following, at))
                if rows:
                    yield await read.made(rows)
                if len(rows) < CHUNK:
                    return
        finally:
            reading.cancel()
            await asyncio.wait({reading})
