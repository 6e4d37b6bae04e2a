"""Exports in the background: the rows of a list as they are at one moment, written into a file of the store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import model_of, unit, utcnow
from app.domain import keeping, lists
from app.domain.bulk import runs
from app.domain.bulk.files import FILES
from app.domain.bulk.reading import Source, how_many
from app.domain.bulk.values import known
from app.domain.lists import Meant
from app.errors import Forbidden, Invalid, NotFound
from app.i18n import gettext
from app.integrations.storage import BLOCK, Storage
from app.models.bulk import BulkKind, BulkRun, BulkState
from app.queue import enqueue

MOST_COLUMNS = 200
FORGOTTEN_AT_ONCE = 50

Told = Callable[[int, int], Awaitable[None]]


async def add_export(
    session: AsyncSession, *, noun: str, rows: Meant, query: str, name: str, ending: str,
    columns: Sequence[tuple[str, str]],
) -> BulkRun:  # fmt: skip
    """Have rows written into a file; see `runs.add` for `rows` and `query`. columns: (key, label), in their order.
    Raises Invalid at `kind`, `columns`."""
    if ending not in FILES:
        raise Invalid(kind=gettext("Choose one from the list."))
    keys = [key for key, _label in columns]
    if not 0 < len(keys) <= MOST_COLUMNS or not all(known(model_of(noun), key) for key in keys):
        raise Invalid(columns=gettext("Choose one from the list."))
    wanted = {"ending": ending, "columns": [[key, str(label)] for key, label in columns]}
    run = await runs.add(session, kind=BulkKind.EXPORT, noun=noun, name=name, rows=rows, query=query, wanted=wanted)
    await enqueue(session, "bulk.export", bulk_id=run.id)
    return run


class _Lost(Exception):
    """The export was stopped while it was written."""


async def make(storage: Storage, *, run_id: int, told: Told) -> None:
    """Write the file, and keep it. After a crash all of it again. told: (done, total). Raises NotFound, Forbidden, and
    Invalid when a column is gone."""
    run, who = await runs.load(run_id)
    if run.state is not BulkState.RUNNING:
        return
    who.need(run.noun, "export")
    with runs.on_behalf(who, run.id):
        with tempfile.TemporaryFile(prefix="bursar-export-") as file:
            try:
                done = await _write(run, file, told)
            except _Lost:
                return
            stored = await storage.save(_blocks(file))
        async with unit() as session:
            now = utcnow()
            seen = None if who.projects is None else sorted(who.projects)
            kept = {
                "key": stored.key, "size": stored.size, "done": done, "total": done, "changed": done,
                "looked": {"projects": seen},
            }  # fmt: skip
            held = await runs.write(
                session, run.id, BulkState.RUNNING, **kept, expires_at=now + timedelta(days=runs.KEPT_DAYS)
            )
            if held:
                await runs.end(session, await runs.locked(session, run.id), BulkState.DONE)
        if not held:
            async with db.reads() as session:
                await keeping.forget(storage, session, [stored.key])


async def _write(run: BulkRun, file: IO[bytes], told: Told) -> int:
    model: Any = model_of(run.noun)
    if gone := [label for key, label in run.wanted["columns"] if not known(model, key)]:
        raise Invalid(gettext("A column is not there any more: %(name)s.") % {"name": gone[0]})
    meant = lists.read(model, run.wanted.get("rows"))
    total, done = await how_many(meant), 0
    _media, kind = FILES[run.wanted["ending"]]
    async with db.snapshot() as session:
        source = Source(meant, [key for key, _label in run.wanted["columns"]], session, plain=kind.plain)
        out = kind(source.values, [label for _key, label in run.wanted["columns"]], run.name)
        file.write(out.begin())
        async for chunk in source.chunks():
            data = await asyncio.to_thread(out.add, chunk)
            await asyncio.to_thread(file.write, data)
            done += len(chunk[0])
            total = max(total, done)
            async with unit() as writing:
                if not await runs.write(writing, run.id, BulkState.RUNNING, done=done, total=total):
                    raise _Lost
            await told(done, total)
    file.write(await asyncio.to_thread(out.end))
    return done


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    file.seek(0)
    while block := await asyncio.to_thread(file.read, BLOCK):
        yield block


async def file_of(session: AsyncSession, *, run_id: int, staff_id: int) -> BulkRun:
    """An export that this person may download now. Raises NotFound, Forbidden."""
    found = await session.scalar(
        select(BulkRun).where(
            BulkRun.id == run_id, BulkRun.staff_id == staff_id, BulkRun.kind == BulkKind.EXPORT,
            BulkRun.state == BulkState.DONE, BulkRun.expires_at > utcnow(), BulkRun.key != "",
        )
    )  # fmt: skip
    if found is None:
        raise NotFound(gettext("This file is not there any more."))
    who = await runs.need(session, found, "export")
    seen = found.looked.get("projects")
    if who.projects is not None and (seen is None or not who.projects.issuperset(seen)):
        raise Forbidden(gettext("You saw more projects when this file was written. Export the list again."))
    return found


async def forget(storage: Storage) -> bool:
    """Delete exports that were kept long enough, with their files, and changes that nobody has started; True: there are
    more."""
    async with db.reads() as session:
        old = (
            await session.scalars(
                select(BulkRun.id)
                .where(BulkRun.expires_at <= utcnow(), BulkRun.state.not_in(runs.GOING))
                .order_by(BulkRun.id)
                .limit(FORGOTTEN_AT_ONCE)
            )
        ).all()
    for run_id in old:
        async with unit() as session:
            run = await runs.locked(session, run_id)
            await session.delete(run)
            await session.flush()
            await keeping.forget(storage, session, [run.key])  # before the commit: a crash finds the row again
    return len(old) == FORGOTTEN_AT_ONCE
