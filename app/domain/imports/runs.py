"""Imports from the panel: a file is taken in, checked in the background, started by staff, and can be stopped.

The row of the import is the truth: what a worker took and how far it came are written in one transaction.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.db import reads, unit, utcnow
from app.domain.imports.customers import ImportReport, import_customers
from app.domain.imports.reading import look_at, rows
from app.errors import AppError, Conflict, Invalid, NotFound, TooLarge
from app.i18n import SOURCE, gettext, speaking
from app.integrations.storage import Content, FileMissing, FileTooLarge, Storage, StoredFile, safe_filename
from app.models.attachments import Attachment
from app.models.imports import ImportRun, ImportState
from app.models.inbound import InboundMail
from app.models.projects import Project
from app.observe import actor
from app.queue import enqueue

GOING = (ImportState.CHECKING, ImportState.RUNNING)
OPEN = (*GOING, ImportState.CHECKED)
COUNTS = ("created", "updated", "unchanged", "failed")
SHOWN = 200
"""Errors and notes that the row of an import spells out; the rest it only counts."""


async def store(storage: Storage, *, name: str, chunks: Content, max_bytes: int) -> StoredFile:
    """Keep an uploaded file, before any unit is begun. Raises Invalid at the field `files`."""
    shown = safe_filename(name)
    try:
        stored = await storage.save(chunks, limit=max_bytes)
    except FileTooLarge:
        said = TooLarge(gettext("The file %(name)s is larger than %(most)s MB.") % {
            "name": shown, "most": max_bytes // (1024 * 1024)
        })  # fmt: skip
        raise Invalid(files=str(said)) from None
    if stored.size == 0:
        raise Invalid(files=gettext("The file %(name)s is empty.") % {"name": shown})
    return stored


async def add_import(
    session: AsyncSession, *, stored: StoredFile, name: str, project_id: int, source: str
) -> ImportRun:
    """Have a stored file checked. Raises Invalid with the field: `project`, `source`."""
    source = source.strip()
    if not 0 < len(source) <= 60:
        raise Invalid(source=gettext("At most %(n)d characters, please.") % {"n": 60})
    if await session.scalar(select(Project.id).where(Project.id == project_id)) is None:
        raise Invalid(project=gettext("Choose one from the list."))
    run = ImportRun(
        name=safe_filename(name), size=stored.size, key=stored.key, project_id=project_id, source=source,
        staff_id=actor.get().staff_id, state=ImportState.CHECKING, started_at=utcnow(),
    )  # fmt: skip
    session.add(run)
    await session.flush()
    await enqueue(session, "imports.check", import_id=run.id)
    return run


async def start_import(session: AsyncSession, *, import_id: int) -> None:
    """Take the rows of a file that was checked. Raises NotFound, Conflict for any other state."""
    run = await _locked(session, import_id)
    if run.state is not ImportState.CHECKED:
        raise Conflict(gettext("Only a file that was checked can be imported, and only once."))
    run.state, run.started_at, run.finished_at = ImportState.RUNNING, utcnow(), None
    await session.flush()
    await _write(session, run.id, ImportState.RUNNING, done=0, report={}, **dict.fromkeys(COUNTS, 0))
    await enqueue(session, "imports.take", import_id=run.id)


async def stop_import(session: AsyncSession, *, import_id: int) -> None:
    """Take nothing more; what was taken stays. Raises NotFound, Conflict when it is over."""
    run = await _locked(session, import_id)
    if run.state not in OPEN:
        raise Conflict(gettext("This import is over."))
    await _end(session, run, ImportState.STOPPED)


async def fail_import(session: AsyncSession, *, import_id: int, reason: str) -> None:
    """Nothing more can be taken, for this reason. An import that is over is left alone."""
    run = await _locked(session, import_id)
    if run.state in OPEN:
        run.error = reason[:2000]
        await _end(session, run, ImportState.FAILED)


async def _end(session: AsyncSession, run: ImportRun, state: ImportState) -> None:
    run.state, run.finished_at = state, utcnow()
    await session.flush()
    if state not in OPEN:
        await enqueue(session, "imports.forget", import_id=run.id)


async def forget_file(storage: Storage, *, import_id: int) -> None:
    """Delete the file of an import that is over, unless the same content is kept for something else."""
    async with unit() as session:
        run = await _locked(session, import_id)
        key, run.key = run.key, ""
        if run.state in OPEN or not key:
            return
    await forget_key(storage, key)


async def forget_key(storage: Storage, key: str) -> None:
    """Delete a stored file unless a row holds the same content."""
    async with reads() as session:
        for model in (Attachment, ImportRun, InboundMail):
            held = select(model.id).where(model.key == key).limit(1)
            if await session.scalar(held, execution_options={"unscoped": True}) is not None:
                return
    await storage.delete(key)


async def _locked(session: AsyncSession, import_id: int) -> ImportRun:
    found = await session.scalar(select(ImportRun).where(ImportRun.id == import_id).with_for_update())
    if found is None:
        raise NotFound
    return found


async def _write(session: AsyncSession, import_id: int, state: ImportState, **values: Any) -> bool:
    """Bookkeeping, which is not audited; False, and nothing is changed, once the import has another state."""
    written = await session.execute(
        update(ImportRun)
        .where(ImportRun.id == import_id, ImportRun.state == state)
        .values(**values)
        .returning(ImportRun.id)
        .execution_options(synchronize_session=False, audited=True)
    )
    return written.one_or_none() is not None


# ---- in the background ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """How far an import is. over: there is nothing more to do."""

    done: int
    total: int
    over: bool


async def work_off(storage: Storage, *, import_id: int, state: ImportState, more: Callable[[], bool]) -> Left:
    """Check (CHECKING) or take (RUNNING) rows, as long as `more` says so. It goes on where it was, also after a crash.

    What is wrong with the file ends the import and is written on its row. Raises NotFound.
    """
    async with reads() as session:
        query = select(ImportRun).where(ImportRun.id == import_id)
        run = await session.scalar(query.options(joinedload(ImportRun.project), joinedload(ImportRun.staff)))
    if run is None:
        raise NotFound
    if run.state is not state:
        return Left(run.done, run.total, over=True)
    code = run.staff.language if run.staff is not None else SOURCE
    with tempfile.TemporaryDirectory(prefix="bursar-import-") as folder, speaking(code):
        path = Path(folder) / "import.csv"
        try:
            path.write_bytes(await storage.read(run.key))
            keeping = _Keeping(run, run.total or await asyncio.to_thread(count_rows, path), more)
            report = await import_customers(
                path, project=run.project.name, source=run.source, dry_run=state is ImportState.CHECKING,
                start=run.done, keep=keeping,
            )  # fmt: skip
        except _Lost:
            return Left(run.done, run.total, over=True)
        except FileMissing as problem:
            return await _failed(run, str(problem))
        except AppError as refusal:
            return await _failed(run, str(refusal))
    if report.ended:
        async with unit() as session:
            await _write(session, run.id, state, total=report.done, report=keeping.spelled_out(report))
            found = await _locked(session, run.id)
            if found.state is state:
                await _end(session, found, ImportState.CHECKED if report.dry_run else ImportState.DONE)
    return Left(report.done, keeping.total, over=report.ended or keeping.lost)


def count_rows(path: Path) -> int:
    return sum(1 for _row in rows(look_at(path)))


async def _failed(run: ImportRun, reason: str) -> Left:
    async with unit() as session:
        await fail_import(session, import_id=run.id, reason=reason)
    return Left(run.done, run.total, over=True)


class _Lost(Exception):
    """The import was stopped while a batch was taken: the batch is taken back."""


class _Keeping:
    """Writes with each batch how far the import is. lost: it was stopped meanwhile."""

    def __init__(self, run: ImportRun, total: int, more: Callable[[], bool]) -> None:
        self.run, self.total, self.more = run, total, more
        self.lost = False

    async def __call__(self, session: AsyncSession, report: ImportReport) -> bool:
        run = self.run
        counts = {name: getattr(run, name) + getattr(report, name) for name in COUNTS}
        kept = {"done": report.done, "total": self.total, "report": self.spelled_out(report), **counts}
        if not await _write(session, run.id, run.state, **kept):
            if run.state is ImportState.RUNNING:
                raise _Lost
            self.lost = True
        return not self.lost and self.more()

    def spelled_out(self, report: ImportReport) -> dict[str, Any]:
        before = self.run.report
        errors = [*before.get("errors", ()), *([e.line, e.column, e.reason] for e in report.errors)]
        notes = [*before.get("notes", ()), *([n.line, n.text] for n in report.notes)]
        columns = {"mapping": report.mapping, "unused": report.unused}
        return {"errors": sorted(errors)[:SHOWN], "notes": notes[:SHOWN], **columns}
