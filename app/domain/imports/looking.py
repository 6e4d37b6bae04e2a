"""What stands in a file: its sheets, the names of its columns with some values, and what they are likely to be."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app.db import fold, reads, unit
from app.domain import keeping
from app.domain.imports import runs, workbooks
from app.domain.imports.mapping import IGNORE, Plan, guess, header_key
from app.domain.imports.reading import Sheet, look_at, rows
from app.errors import AppError, Invalid, NotFound
from app.i18n import SOURCE, gettext, speaking
from app.integrations.storage import FileMissing, Storage
from app.models.imports import CUSTOMER, ImportRun, ImportState

SAMPLES, SHOWN = 3, 80
VALUES, LONG = 60, 60
"""A column with more different values than that, or longer ones, holds no choices."""
SAMPLE = 50
_BLOCK = 1 << 20
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass
class _Found:
    """sheets: the names of a workbook's. text: the sheet that was taken, as text."""

    sheets: list[str] = field(default_factory=list)
    sheet: int = 0
    text: Path | None = None
    warnings: list[str] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    guessed: dict[str, str] = field(default_factory=dict)
    rows: int = 0


async def read_file(storage: Storage, *, import_id: int) -> None:
    """See what stands in the file of an import; what is wrong with it ends the import. Raises NotFound."""
    async with reads() as session:
        run = await session.scalar(
            select(ImportRun).where(ImportRun.id == import_id).options(joinedload(ImportRun.staff))
        )
    if run is None:
        raise NotFound
    if run.state is not ImportState.READING:
        return
    code = run.staff.language if run.staff is not None else SOURCE
    key = run.looked.get("workbook") or run.key
    with tempfile.TemporaryDirectory(prefix="bursar-import-") as folder, speaking(code):
        path = Path(folder) / "file"
        try:
            path.write_bytes(await storage.read(key))
            found = await asyncio.to_thread(_look, path, run.looked.get("sheet"))
            stored = None if found.text is None else await storage.save(_blocks(found.text))
        except (FileMissing, AppError) as problem:
            async with unit() as session:
                await runs.fail_import(session, import_id=run.id, reason=str(problem))
            return
    names = [column["name"] for column in found.columns]
    header = header_key(names)
    looked: dict[str, Any] = {
        "sheets": found.sheets, "sheet": found.sheet, "workbook": key if stored else "", "warnings": found.warnings,
        "columns": found.columns,
    }  # fmt: skip
    if run.noun != CUSTOMER:
        async with unit() as session:
            await runs.write(
                session, run.id, ImportState.READING, looked=looked, total=found.rows, key=stored.key if stored else key
            )
            if (read := await runs.locked(session, run.id)).state is ImportState.READING:
                await runs.begin_check(session, read)
        return
    async with unit() as session:
        before = await session.scalar(
            select(ImportRun)
            .where(ImportRun.header == header, ImportRun.project_id == run.project_id, ImportRun.id != run.id,
                   ImportRun.finished_at.is_not(None), ImportRun.state != ImportState.FAILED)
            .order_by(ImportRun.id.desc()).limit(1)
        )  # fmt: skip
        plan = Plan({name: found.guessed.get(name, IGNORE) for name in names})
        if before is not None and before.plan.get("columns"):
            plan = _like(Plan.of(before.plan), names, plan)
            looked |= {"like": before.id, "invite": before.looked.get("invite", False)}
        await runs.write(
            session, run.id, ImportState.READING, looked=looked, plan=plan.kept(), header=header, total=found.rows,
            key=stored.key if stored else key, state=ImportState.READ,
        )  # fmt: skip
    if run.key != key:  # another sheet that was looked at before
        async with reads() as session:
            await keeping.forget(storage, session, [run.key])


def _like(plan: Plan, names: list[str], guessed: Plan) -> Plan:
    """The plan of an earlier file with the same columns, though their names may be written a little differently."""
    earlier = {fold(name): field for name, field in plan.columns.items()}
    columns = {name: earlier.get(fold(name), guessed.columns[name]) for name in names}
    return Plan(columns, plan.values, plan.defaults)


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            yield block


# ---- in a thread ----------------------------------------------------------------------------------------------------


def _look(path: Path, sheet: int | None) -> _Found:
    found = _Found()
    if not workbooks.is_workbook(path):
        _look_through(look_at(path), found)
        return found
    found.sheets = workbooks.sheet_names(path)
    tried = range(len(found.sheets)) if sheet is None else [sheet]
    for found.sheet in tried:
        found.text = path.with_name(f"sheet-{found.sheet}")
        try:
            written = workbooks.write(path, found.text, sheet=found.sheet)
            _look_through(look_at(found.text), found)
        except Invalid:
            if found.sheet == tried[-1]:
                raise
        else:
            found.warnings = written.warnings + found.warnings
            return found
    raise Invalid(gettext("The file is empty."))


def _look_through(sheet: Sheet, found: _Found) -> None:
    """Raises Invalid for a file without rows."""
    samples: list[list[str]] = [[] for _column in sheet.columns]
    values: list[dict[str, None] | None] = [{} for _column in sheet.columns]
    first: list[list[str]] = []
    for record in rows(sheet):
        found.rows += 1
        if record.problem:
            continue
        if len(first) < SAMPLE:
            first.append(record.cells)
        for place, cell in enumerate(record.cells):
            if not (cell := cell.strip()):
                continue
            if len(samples[place]) < SAMPLES and (shown := cell[:SHOWN]) not in samples[place]:
                samples[place].append(shown)
            if (seen := values[place]) is not None:
                seen[cell] = None
                if len(cell) > LONG or len(seen) > VALUES:
                    values[place] = None
    if not found.rows:
        raise Invalid(gettext("The file has the names of columns, and no rows under them."))
    found.warnings = list(sheet.warnings)
    found.warnings += [gettext("The column %(name)s stands there twice.") % {"name": name} for name in sheet.doubled]
    if any(_ADDRESS.fullmatch(name) for name in sheet.columns):
        found.warnings.append(gettext("The first row looks like data, and is taken for the names of the columns: put "
                                      "names above it, or it is lost."))  # fmt: skip
    found.guessed = guess(sheet.columns, islice(first, SAMPLE))
    found.columns = [
        {"name": name, "samples": samples[n], "values": list(values[n] or ())} for n, name in enumerate(sheet.columns)
    ]
