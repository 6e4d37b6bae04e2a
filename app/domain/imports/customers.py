"""Importing customers: each row becomes a customer with a user, or changes the one that it became before."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Set
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import fold, is_sqlite, reads
from app.domain import customers, users
from app.domain.customers import Newcomer
from app.domain.imports import mapping as columns_to_fields
from app.domain.imports.batches import Keep, in_batch
from app.domain.imports.choices import Choices
from app.domain.imports.mapping import Plan
from app.domain.imports.reading import Sheet, look_at, rows
from app.domain.imports.report import KEPT, ImportReport, RowNote
from app.domain.imports.understanding import Batch, Row, Understanding
from app.errors import AppError, Invalid
from app.i18n import gettext
from app.models.customers import Customer, ExternalRef, Group
from app.models.projects import Project

BATCH = 500
WORK, TURN = 0.4, 0.12
"""Seconds of work in the background, and of rest: SQLite has one writer, and who waits for it looks every 0.1 s."""
SAMPLE = 50
Progress = Callable[[int], Awaitable[None] | None]


async def import_customers(
    path: Path,
    *,
    project: str | None = None,
    mapping: Mapping[str, str] | None = None,
    plan: Plan | None = None,
    source: str = "csv",
    dry_run: bool = False,
    progress: Progress | None = None,
    start: int = 0,
    keep: Keep | None = None,
) -> ImportReport:
    """Import a CSV file in short units of its own, 500 rows each; good rows are taken, bad ones reported by line.

    project: the name; None: the only one. mapping: column -> field (imports/mapping.py), else guessed. plan: in its
    place all that staff have decided. source: the same source and id again change the customer, or nothing. progress:
    is told the number of rows done so far. A workbook is taken by its first sheet.

    New customers get a user without a password. A filled Company makes a company; an absent language is the country's
    main one. Both are decided once: later imports leave them alone, and an empty cell never erases what is there.

    start: go on after so many rows; the report is about the rest. keep: is called after each batch with what was done
    so far, in the unit that takes the batch (of a dry run: in one of its own), so that both are kept or neither is;
    False takes nothing more.
    Raises Invalid when the file or the project cannot be used at all.
    """  # fmt: skip
    if not 0 < len(source) <= 60:
        raise Invalid(source=gettext("At most %(n)d characters, please.") % {"n": 60})
    async with reads() as session:
        chosen = await _project(session, project)
        groups = {fold(group.name): group.id for group in await session.scalars(select(Group))}
    plan = plan or Plan(mapping or {})
    sheet = look_at(path)
    sample = [record.cells for record in islice(rows(sheet), SAMPLE) if not record.problem]
    report = ImportReport(project=chosen.name, dry_run=dry_run)
    report.mapping = columns_to_fields.guess(sheet.columns, sample, plan.columns)
    report.unused = [column for column in sheet.columns if column not in report.mapping]
    if not {"name", "company", "contact_person", "first_name", "last_name", "email"} & set(report.mapping.values()):
        listed = ", ".join(sheet.columns[:40])
        said = gettext("No column looks like a name or an e-mail: %(list)s. Say which is which.")
        raise Invalid(said % {"list": listed})
    if not start:
        report.notes += [RowNote(sheet.header_line, gettext("The column %(name)s stands there twice.") % {"name": name})
                     for name in sheet.doubled]  # fmt: skip
        report.notes += [RowNote(sheet.header_line, text) for text in sheet.warnings]
    work = _Import(sheet, chosen, source, report, Choices(plan, groups))
    records, rested = rows(sheet), monotonic()
    if start:
        await asyncio.to_thread(work.reader.pass_over, islice(records, start))
        report.done = start
    async for batch in _ahead(lambda: work.reader.understood(islice(records, BATCH))):
        report.done += len(batch.cells)
        go_on = await in_batch(partial(work.batch, batch=batch), report, keep)
        if progress is not None and inspect.isawaitable(told := progress(report.done)):
            await told
        if not go_on:
            break
        if keep is not None and is_sqlite() and monotonic() - rested > WORK:
            await asyncio.sleep(TURN)
            rested = monotonic()
    else:
        report.ended = True
    report.errors.sort(key=lambda error: error.line)  # within a batch, what the database refuses comes last
    return report


async def _ahead(read: Callable[[], Batch]) -> AsyncIterator[Batch]:
    """What `read` gives until it gives nothing; in a thread, while the one before is written."""
    following = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        while (batch := await following).cells:
            following = asyncio.ensure_future(asyncio.to_thread(read))
            yield batch
    finally:
        following.cancel()


async def _project(session: AsyncSession, name: str | None) -> Project:
    found = list(await session.scalars(select(Project).order_by(Project.name)))
    if name is not None:
        found = [p for p in found if p.name.casefold() == name.strip().casefold()]
        if not found:
            raise Invalid(project=gettext("There is no project %(name)s.") % {"name": name})
    if not found:
        raise Invalid(project=gettext("There is no project yet. Make one in the panel under Projects first."))
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise Invalid(project=gettext("There are several projects, please name one: %(names)s") % {"names": names})
    return found[0]


class _Import:
    """The state of one run: the report, and the ids that were seen."""

    def __init__(self, sheet: Sheet, project: Project, source: str, report: ImportReport, choices: Choices) -> None:
        self.sheet, self.project, self.source, self.report = sheet, project, source, report
        self.reader = Understanding(sheet, project, source, report.mapping, choices)
        self.cells: dict[int, list[str]] = {}

    async def batch(self, session: AsyncSession, batch: Batch) -> None:
        """Take rows in the running unit: the new ones together, each changed one in a SAVEPOINT of its own."""
        self.cells, ready = batch.cells, batch.rows
        for line, error in batch.refused:
            self._refused(line, error)
        refs = await session.scalars(
            select(ExternalRef).where(
                ExternalRef.source == self.source, ExternalRef.noun == "customer",
                ExternalRef.ref.in_([row.ref for row in ready]),
            )
        )  # fmt: skip
        known = {ref.ref: ref for ref in refs}
        ids = [ref.noun_id for ref in known.values()]
        present = {c.id: c for c in await session.scalars(select(Customer).where(Customer.id.in_(ids)))}
        fresh = []
        for row in ready:
            ref = known.get(row.ref)
            customer = present.get(ref.noun_id) if ref is not None else None
            if customer is None and ref is None:
                fresh.append(row)
            elif customer is None:
                await self._trying(session, row, self._register(session, row, ref))
            elif self._same(row, customer):
                self.report.unchanged += 1
            else:
                await self._trying(session, row, self._change(session, row, customer))
        await self._register_all(session, fresh)

    async def _trying(self, session: AsyncSession, row: Row, taking: Coroutine[Any, Any, None]) -> None:
        try:
            async with session.begin_nested():
                await taking
        except AppError as error:
            self._refused(row.line, error)

    def _refused(self, line: int, error: AppError) -> None:
        fields = error.fields if isinstance(error, Invalid) else {"": str(error)}
        self._leave_out(line, {self._column(name): text for name, text in fields.items()})

    def _leave_out(self, line: int, reasons: Mapping[str, str]) -> None:
        self.report.leave_out(line, reasons, self.cells.get(line, []))

    def _column(self, name: str) -> str:
        """The column of the file that a field came from."""
        sources = {"name": ("name", "company", "contact_person", "first_name", "last_name"),
                   "contact_person": ("contact_person", "first_name", "last_name"),
                   "address": ("street", "city", "state", "postal_code")}  # fmt: skip
        for wanted in sources.get(name, (name,)):
            if places := self.reader.places.get(wanted):
                return self.sheet.columns[places[0]]
        return name

    # ---- into the database

    def _same(self, row: Row, customer: Customer) -> bool:
        """Whether the customer holds already what the row says."""
        if customer.project_id != self.project.id:
            return False
        try:
            return customers.same(customer, row.values)
        except Invalid:
            return False

    async def _change(self, session: AsyncSession, row: Row, customer: Customer) -> None:
        if customer.project_id != self.project.id:
            raise Invalid(ref=gettext("This customer is in another project."))
        await customers.change_customer(session, customer=customer, values=row.values)
        self.report.updated += 1

    async def _register_all(self, session: AsyncSession, fresh: list[Row]) -> None:
        """Take new rows in a few statements; one by one when somebody took one of their names meanwhile."""
        taken = await users.those_taken(session, project_id=self.project.id, usernames=map(self.reader.wanted, fresh))
        people, rows = [], []
        for row in fresh:
            if not isinstance(person := row.newcomer, Newcomer):
                assert person is not None
                self._refused(row.line, person)
                continue
            username = await self._free_name(session, row, taken)
            people.append(person.named(username))
            taken.add(username)
            rows.append((row, username))
        if not people:
            return
        try:
            if not self.report.dry_run:
                async with session.begin_nested():
                    await customers.register_many(session, people)
        except IntegrityError:
            for row, _username in rows:
                await self._trying(session, row, self._register(session, row, None))
            return
        for row, username in rows:
            self._taken(row, username)

    async def _register(self, session: AsyncSession, row: Row, ref: ExternalRef | None) -> None:
        values = {**row.derived, **row.values}
        wanted = self.reader.wanted(row)
        there = await users.those_taken(session, project_id=self.project.id, usernames=[wanted])
        username = await self._free_name(session, row, there)
        email = values.pop("email", "")
        customer = await customers.register_customer(
            session, project_id=self.project.id, email=email, username=username, groups=row.groups, **values
        )
        if ref is None:
            session.add(ExternalRef(source=self.source, ref=row.ref, noun="customer", noun_id=customer.id))
        else:
            ref.noun_id = customer.id  # the customer it became before was deleted
        await session.flush()
        self._taken(row, username)

    def _taken(self, row: Row, username: str) -> None:
        """Count a row that became a customer, and note when the user got another name."""
        self.report.created += 1
        if username != (wanted := self.reader.wanted(row)) and len(self.report.notes) < KEPT:
            said = gettext("The user name %(taken)s is taken; it became %(name)s.")
            self.report.notes.append(RowNote(row.line, said % {"taken": wanted, "name": username}))

    async def _free_name(self, session: AsyncSession, row: Row, taken: Set[str]) -> str:
        """The wanted user name; with the id behind it when it is among those taken."""
        name = wanted = self.reader.wanted(row)
        tail = "".join(row.ref.lower().split())
        tries = 0
        while name in taken or (tries and await users.taken(session, project_id=self.project.id, username=name)):
            tries += 1
            end = f"-{tail}" if tries == 1 else f"-{tail}-{tries}"
            name = wanted[: 254 - len(end)] + end
        return name
