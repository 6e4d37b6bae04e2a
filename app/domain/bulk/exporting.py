"""Exports in the background: the chosen rows, read in short transactions, into a file of the store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import IO, Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import model_of, unit, utcnow
from app.domain import keeping
from app.domain.bulk import runs
from app.domain.bulk.files import FILES
from app.domain.bulk.values import Values, known
from app.errors import Forbidden, Invalid, NotFound
from app.i18n import gettext
from app.integrations.storage import BLOCK, Storage
from app.models import scope
from app.models.bulk import BulkKind, BulkRun, BulkState

CHUNK = 2000
"""Rows per transaction."""
MOST_COLUMNS = 200
FORGOTTEN_AT_ONCE = 50

Told = Callable[[int, int], Awaitable[None]]


async def add_export(
    session: AsyncSession, *, noun: str, rows: Select[Any], query: str, name: str, ending: str,
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
    return await runs.add(session, kind=BulkKind.EXPORT, noun=noun, name=name, rows=rows, query=query, wanted=wanted)


class _Lost(Exception):
    """The export was stopped while it was written."""


async def make(storage: Storage, *, run_id: int, told: Told) -> None:
    """Write the file, and keep it. After a crash all of it again. told: (done, total). Raises NotFound, Forbidden, and
    Invalid when a column is gone."""
    run, who = await runs.load(run_id)
    if run.state is not BulkState.RUNNING:
        return
    if not who.may(run.noun, "export"):
        raise Forbidden(gettext("The right to do this was taken away meanwhile."))
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
            kept = {"key": stored.key, "size": stored.size, "done": done, "changed": done, "looked": {"projects": seen}}
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
    _media, kind = FILES[run.wanted["ending"]]
    values = Values(model, [key for key, _label in run.wanted["columns"]], plain=kind.plain)
    out = kind(values, [label for _key, label in run.wanted["columns"]], run.name)
    file.write(out.begin())
    at = done = 0
    while True:
        async with db.reads() as session:
            chosen, rows = await _chunk(session, run.id, values, at)
        if not chosen:
            break
        at, done = chosen, done + len(rows)
        if rows:
            columns = await values.made(rows)
            data = await asyncio.to_thread(out.add, columns)
            await asyncio.to_thread(file.write, data)
        async with unit() as session:
            if not await runs.write(session, run.id, BulkState.RUNNING, done=min(at, run.total)):
                raise _Lost
        await told(min(at, run.total), run.total)
    file.write(await asyncio.to_thread(out.end))
    return done


async def _chunk(session: AsyncSession, run_id: int, values: Values, at: int) -> tuple[int, Sequence[Any]]:
    """The rows behind the position `at`: the position of the last one, 0 when there are no more, and the rows as the
    driver gives them. Those that are gone, or outside the scope by now, are missing."""
    chosen = runs.ROWS.c
    model = values.model
    last = select(chosen.position).where(chosen.run_id == run_id, chosen.position > at)
    connection = await session.connection()
    positions = (await connection.execute(last.order_by(chosen.position).limit(CHUNK))).scalars().all()
    if not positions:
        return 0, []
    statement = (
        select(*values.selected())
        .select_from(model)
        .join(runs.ROWS, chosen.row_id == model.id)
        .where(chosen.run_id == run_id, chosen.position > at, chosen.position <= positions[-1])
        .order_by(chosen.position)
    )
    prepared = db.Prepared(scope.limited(statement), session.get_bind().dialect)
    return positions[-1], await prepared.run(session, {})


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
