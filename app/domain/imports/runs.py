"""Imports from the panel: a file is taken in, read and checked in the background, started by staff, and can be stopped.

What stands in the file is looked at in `looking`; `undoing` takes back what an import did.
The row of the import is the truth: what a worker took and how far it came are written in one transaction.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.db import fold, reads, unit, utcnow
from app.domain import keeping, longwork, rights
from app.domain.imports.choices import Choices
from app.domain.imports.customers import import_customers
from app.domain.imports.mapping import IGNORE, Plan, fields
from app.domain.imports.reading import look_at, rows
from app.domain.imports.records import import_records
from app.domain.imports.report import ImportReport
from app.domain.longwork import Left
from app.domain.undoing import newest
from app.errors import AppError, Conflict, Invalid, NotFound, TooLarge
from app.i18n import SOURCE, gettext, speaking
from app.integrations.storage import Content, FileMissing, FileTooLarge, Storage, StoredFile, safe_filename
from app.models.customers import Group
from app.models.imports import CUSTOMER, ImportRow, ImportRun, ImportState
from app.models.projects import Project
from app.observe import acting, actor, request_id
from app.queue import enqueue

GOING = (ImportState.READING, ImportState.CHECKING, ImportState.RUNNING, ImportState.UNDOING)
BEFORE = (ImportState.READ, ImportState.CHECKED)
"""Staff say how it is to be taken."""
OPEN = (ImportState.READING, ImportState.CHECKING, ImportState.RUNNING, *BEFORE)
COUNTS = ("created", "updated", "unchanged", "failed")
SHOWN = 200
"""Errors and notes that the row of an import spells out; the rest it only counts."""
LISTED = 50_000
"""Reasons that are kept with the cells of their rows."""


ROWS_OF = ImportRow.metadata.tables["import_row"]
WHO = ("name", "company", "contact_person", "first_name", "last_name", "email")


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
    """Have a stored file read. Raises Invalid with the field: `project`, `source`."""
    source = source.strip()
    if not 0 < len(source) <= 60:
        raise Invalid(source=gettext("At most %(n)d characters, please.") % {"n": 60})
    if await session.scalar(select(Project.id).where(Project.id == project_id)) is None:
        raise Invalid(project=gettext("Choose one from the list."))
    return await _add(session, stored, name, project_id=project_id, source=source)


async def add_rows(
    session: AsyncSession, *, stored: StoredFile, name: str, noun: str, fields: Sequence[str]
) -> ImportRun:  # fmt: skip
    """Have a stored file read and checked that holds rows of a table without rules of its own.

    fields: the columns of the table that it may fill."""
    return await _add(session, stored, name, noun=noun, source="", plan={"fields": list(fields)})


async def _add(session: AsyncSession, stored: StoredFile, name: str, **values: Any) -> ImportRun:
    run = ImportRun(
        name=safe_filename(name), size=stored.size, key=stored.key, staff_id=actor.get().staff_id,
        state=ImportState.READING, started_at=utcnow(), **values,
    )  # fmt: skip
    session.add(run)
    await session.flush()
    await enqueue(session, "imports.read", import_id=run.id)
    return run


def with_plan(run: ImportRun) -> bool:
    """Whether staff can still say what its columns are."""
    return run.noun == CUSTOMER and run.state in BEFORE


async def plan_import(
    session: AsyncSession, *, import_id: int, columns: Mapping[str, str], defaults: Mapping[str, str],
    invite: bool = False,
) -> dict[str, list[str]]:  # fmt: skip
    """Say what the columns of a file are (see `mapping.Plan`), and whether its users get an invitation.

    Gives field -> the values in it that nobody knows: `translate_values` says what they mean. Raises NotFound,
    Conflict, Invalid at `columns`.
    """
    run = await locked(session, import_id)
    _refuse_unless_planned(run)
    names = [column["name"] for column in run.looked.get("columns", ())]
    wanted = {name: columns.get(name, IGNORE) for name in names}
    if bad := set(wanted.values()) - {*fields(), IGNORE}:
        raise Invalid(columns=gettext("There is no such field.") + f" {sorted(bad)[0]}")
    if not set(wanted.values()) & set(WHO):
        raise Invalid(columns=gettext("Say which column holds the company, a name, or the e-mail address."))
    plan = Plan.of(run.plan)
    run.plan = replace(plan, columns=wanted, defaults={k: v for k, v in defaults.items() if v}).kept()
    run.looked = {**run.looked, "invite": invite}
    run.state = ImportState.READ
    await session.flush()
    return await unknown_values(session, run)


async def unknown_values(session: AsyncSession, run: ImportRun) -> dict[str, list[str]]:
    """Field -> what the file says there and nobody has translated."""
    groups = {fold(group.name): group.id for group in await session.scalars(select(Group))}
    values = {column["name"]: column["values"] for column in run.looked.get("columns", ())}
    plan = Plan.of(run.plan)
    return Choices(plan, groups).unknown(plan.columns, values)


async def translate_values(session: AsyncSession, *, import_id: int, values: Mapping[str, Mapping[str, str]]) -> None:
    """Say what values of the file mean: field -> text -> value; empty: not said, so that such rows are left out.
    Raises NotFound, Conflict."""
    run = await locked(session, import_id)
    _refuse_unless_planned(run)
    plan = Plan.of(run.plan)
    known = {field: dict(said) for field, said in plan.values.items()}
    for field, said in values.items():
        known.setdefault(field, {}).update({fold(text): value for text, value in said.items() if value})
    run.plan = replace(plan, values=known).kept()
    await session.flush()


async def read_again(session: AsyncSession, *, import_id: int, sheet: int) -> None:
    """Take another sheet of the workbook. Raises NotFound, Conflict, Invalid at `sheet`."""
    run = await locked(session, import_id)
    _refuse_unless_planned(run)
    if not 0 <= sheet < len(run.looked.get("sheets", ())):
        raise Invalid(sheet=gettext("Choose one from the list."))
    run.looked, run.state = {**run.looked, "sheet": sheet}, ImportState.READING
    await session.flush()
    await enqueue(session, "imports.read", import_id=run.id)


async def check_import(session: AsyncSession, *, import_id: int) -> None:
    """Look at each row, and change nothing. Raises NotFound, Conflict."""
    run = await locked(session, import_id)
    _refuse_unless_planned(run)
    if not run.plan.get("columns"):
        raise Conflict(gettext("Say first what the columns are."))
    await begin_check(session, run)


async def start_import(session: AsyncSession, *, import_id: int) -> None:
    """Take the rows of a file that was checked. Raises NotFound, Conflict for any other state."""
    run = await locked(session, import_id)
    if run.state is not ImportState.CHECKED:
        raise Conflict(gettext("Only a file that was checked can be imported, and only once."))
    await need(session, run, ("create", "edit"))
    run.looked = {**run.looked, "audit": [await newest(session), None]}
    await _begin(session, run, ImportState.RUNNING, "imports.take")


async def begin_check(session: AsyncSession, run: ImportRun) -> None:
    await _begin(session, run, ImportState.CHECKING, "imports.check")


async def _begin(session: AsyncSession, run: ImportRun, state: ImportState, task: str) -> None:
    run.state, run.started_at, run.finished_at = state, utcnow(), None
    await session.flush()
    await write(session, run.id, state, done=0, report={}, **dict.fromkeys(COUNTS, 0))
    await (await session.connection()).execute(delete(ROWS_OF).where(ROWS_OF.c.import_id == run.id))
    await enqueue(session, task, import_id=run.id)


def _refuse_unless_planned(run: ImportRun) -> None:
    if not with_plan(run):
        raise Conflict(gettext("This is not possible any more: the import is further, or over."))


async def need(session: AsyncSession, run: ImportRun, actions: Sequence[str]) -> None:
    """Customers are made and taken back by who may do that by hand; rows of another screen by who may add them there.
    Raises Forbidden."""
    wanted = actions if run.noun == CUSTOMER else ("create",)
    await rights.need(session, [(run.noun, action) for action in wanted], gettext("Import"))


async def stop_import(session: AsyncSession, *, import_id: int) -> None:
    """Take nothing more; what was taken stays. Raises NotFound, Conflict when it is over."""
    run = await locked(session, import_id)
    if run.state not in OPEN:
        raise Conflict(gettext("This import is over."))
    await _end(session, run, ImportState.STOPPED)


async def fail_import(session: AsyncSession, *, import_id: int, reason: str) -> None:
    """Nothing more can be taken, for this reason. An import that is over is left alone."""
    run = await locked(session, import_id)
    if run.state in OPEN:
        run.error = reason[:2000]
        await _end(session, run, ImportState.FAILED)


async def _end(session: AsyncSession, run: ImportRun, state: ImportState) -> None:
    if run.state is ImportState.RUNNING and (did := run.looked.get("audit")):
        run.looked = {**run.looked, "audit": [did[0], await newest(session)]}
        if state is ImportState.DONE and run.looked.get("invite"):
            await enqueue(session, "imports.invite", import_id=run.id)
    run.state, run.finished_at = state, utcnow()
    await session.flush()
    if state not in OPEN:
        await enqueue(session, "imports.forget", import_id=run.id)


async def forget_file(storage: Storage, *, import_id: int) -> None:
    """Delete the file of an import that is over, unless the same content is kept for something else."""
    async with unit() as session:
        run = await locked(session, import_id)
        keys = {run.key, run.looked.get("workbook", "")} - {""}
        if run.state in OPEN or not keys:
            return
        run.key, run.looked = "", {**run.looked, "workbook": ""}
        await session.flush()
    async with reads() as session:
        await keeping.forget(storage, session, keys)


def tag(import_id: int) -> str:
    """By this name the audit knows what an import did."""
    return f"import-{import_id}"


async def locked(session: AsyncSession, import_id: int) -> ImportRun:
    return await longwork.locked(session, ImportRun, import_id)


async def write(session: AsyncSession, import_id: int, state: ImportState, /, **values: Any) -> bool:
    """See `longwork.write`."""
    return await longwork.write(session, ImportRun, import_id, state, **values)


# ---- in the background ----------------------------------------------------------------------------------------------


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
    keeping, as_import = _Keeping(run, run.total, more), request_id.set(tag(run.id))
    with tempfile.TemporaryDirectory(prefix="bursar-import-") as folder, speaking(code):
        path = Path(folder) / "import.csv"
        try:
            path.write_bytes(await storage.read(run.key))
            report = await _take(path, run, keeping)
        except _Lost:
            return Left(run.done, run.total, over=True)
        except FileMissing as problem:
            return await _failed(run, str(problem))
        except AppError as refusal:
            return await _failed(run, str(refusal))
        finally:
            request_id.reset(as_import)
    if report.ended:
        async with unit() as session:
            await write(session, run.id, state, total=report.done, report=keeping.spelled_out(report))
            found = await locked(session, run.id)
            if found.state is state:
                await _end(session, found, ImportState.CHECKED if report.dry_run else ImportState.DONE)
    return Left(report.done, keeping.total, over=report.ended or keeping.lost)


async def _take(path: Path, run: ImportRun, keeping: _Keeping) -> ImportReport:
    """The rows of another table than customers are taken by the rights of who has started it, as they are now."""
    dry_run = run.state is ImportState.CHECKING
    if run.noun == CUSTOMER:
        assert run.project is not None
        return await import_customers(
            path, project=run.project.name, plan=Plan.of(run.plan), source=run.source, dry_run=dry_run, start=run.done,
            keep=keeping,
        )  # fmt: skip
    async with reads() as session:
        who = await longwork.owner(session, run.staff_id)
    who.need(run.noun, "create")
    with acting(who.actor):
        return await import_records(
            path, table=run.noun, fields=run.plan["fields"], change=who.may(run.noun, "edit"), dry_run=dry_run,
            start=run.done, keep=keeping,
        )  # fmt: skip


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
        if not await write(session, run.id, run.state, **kept):
            if run.state is ImportState.RUNNING:
                raise _Lost
            self.lost = True
        if report.left_out and run.failed + report.failed <= LISTED:
            rows = [{"import_id": run.id, "undo": False, "line": error.line, "column": error.column[:200],
                     "reason": error.reason, "cells": cells} for error, cells in report.left_out]  # fmt: skip
            await (await session.connection()).execute(insert(ROWS_OF), rows)
        return not self.lost and self.more()

    def spelled_out(self, report: ImportReport) -> dict[str, Any]:
        before = self.run.report
        errors = [*before.get("errors", ()), *([e.line, e.column, e.reason] for e in report.errors)]
        notes = [*before.get("notes", ()), *([n.line, n.text] for n in report.notes)]
        columns = {"mapping": report.mapping, "unused": report.unused}
        return {"errors": sorted(errors)[:SHOWN], "notes": notes[:SHOWN], **columns}
