"""Parts of a change: some rows, by the verbs of the forms, in one transaction, and what became of each of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from app.db import Choice, reads, trial, unit
from app.domain import custom, undoing
from app.domain.bulk import runs
from app.domain.bulk.kinds import Editable, Outcomes
from app.domain.bulk.values import related
from app.domain.custom.spec import PREFIX
from app.domain.longwork import Left
from app.errors import AppError, Conflict, Invalid
from app.i18n import country_name, gettext, language_name, say_money, show_date, show_moment
from app.models.bulk import BulkRun, BulkState

FIRST, MOST = 100, 1000
"""Rows of the first part; the following ones have as many as fit into the time."""
LONGEST = 0.5
"""Seconds of one transaction: whoever stops it, or waits for a lock, does not wait for more."""
SAMPLE = 10
SPELLED_OUT = 200
"""Refusals that the row of the run holds; a file has them all."""


class Lost(Exception):
    """The run was stopped while a part was worked on: the part is taken back."""


@dataclass
class _Part:
    """What became of some rows."""

    changed: int = 0
    unchanged: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    sample: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[int, int, str, str]] = field(default_factory=list)
    """(position, id, name, reason)."""


@dataclass(frozen=True)
class _Step:
    """A row that is to be changed. before: its columns; was: its custom fields. several: all ids that a field is to
    hold. wanted: what the verb is given."""

    position: int
    row_id: int
    name: str
    row: Any
    before: Mapping[str, Any]
    was: Mapping[str, Any]
    present: Mapping[str, frozenset[int]]
    several: Mapping[str, set[int]]
    wanted: Mapping[str, Any]


class Worker:
    def __init__(self, run: BulkRun, kind: Editable, state: BulkState) -> None:
        self.run, self.kind, self.state = run, kind, state
        self.looked = dict(run.looked)
        self.counts = {name: getattr(run, name) for name in runs.COUNTS}
        self.done = run.done
        stored = {
            name: undoing.typed(kind.model.__table__.c[name], value)
            for name, value in run.wanted.get("set", {}).items()
            if name in kind.fields
        }
        self.values = kind.cleaned({**run.wanted, "set": {**run.wanted.get("set", {}), **stored}})
        self.add, self.remove = run.wanted.get("add", {}), run.wanted.get("remove", {})
        self.many = [name for name in kind.many if self.add.get(name) or self.remove.get(name)]
        self.act = kind.acts[run.wanted["act"]] if "act" in run.wanted else None
        self.own: dict[str, Any] = self.values.pop("custom", {})
        self.within = {of: self.values.pop(of) for name, of in kind.within.items() if name in self.values}
        self.columns = [self.act.column] if self.act else list(self.values)
        self.names: dict[tuple[Any, Any], str] = {}
        self.most = FIRST

    async def part(self) -> Left:
        """Check or change the next rows. Raises Lost."""
        async with reads() as session:
            rows = await runs.part(session, self.run.id, after=self.looked.get("at", 0), most=self.most)
        there, began = len(rows), time.monotonic()
        last = there < self.most
        if self.state is BulkState.CHECKING:
            async with trial() as session:
                found = await self._rows(session, rows)
            async with unit() as session:
                left = await self._keep(session, rows, found, last=last and len(rows) == there)
        else:
            async with unit() as session:
                found = await self._rows(session, rows)
                left = await self._keep(session, rows, found, last=last and len(rows) == there)
        took = time.monotonic() - began
        if took > LONGEST:
            self.most = max(self.most // 2, 1)
        elif took < LONGEST / 3:
            self.most = min(self.most * 2, MOST)
        return left

    async def _rows(self, session: AsyncSession, part: list[tuple[int, int]]) -> _Part:
        """Work on the rows of the part together. Where one of them stands in the way, on a few of them, one by one; the
        others are then taken out of it."""
        found, steps = await self._steps(session, part)
        try:
            async with session.begin_nested():
                outcomes = await self._do(session, steps)
        except (AppError, IntegrityError, StaleDataError):
            if len(part) > FIRST:
                del part[FIRST:]
                return await self._rows(session, part)
            outcomes = await self._one_by_one(session, steps)
        for step, outcome in zip(steps, outcomes, strict=True):
            await self._count(session, step, outcome, found)
        return found

    async def _steps(self, session: AsyncSession, part: Sequence[tuple[int, int]]) -> tuple[_Part, list[_Step]]:
        found, steps = _Part(), []
        ids = [row_id for _position, row_id in part]
        rows = await self._loaded(session, ids)
        present = {name: await self.kind.many[name].present(session, ids) for name in self.many}
        held = {n: await self.kind.many[n].present(session, ids, held=True) for n in self.many if self.remove.get(n)}
        for position, row_id in part:
            if (row := rows.get(row_id)) is None:
                found.refused.append((position, row_id, "", gettext("It does not exist any more.")))
                continue
            if apart := self._apart(row):
                found.refused.append((position, row_id, str(row), apart))
                continue
            has, stays = ({n: frozenset(p.get(row_id, ())) for n, p in of.items()} for of in (present, held))
            step = self._step(position, row, has, stays)
            if step.wanted or self.act is not None:
                steps.append(step)
            else:
                found.unchanged += 1
        return found, steps

    def _apart(self, row: Any) -> str:
        """Why the values are not meant for this row."""
        differs = ((self.kind.label(of), getattr(row, of), value) for of, value in self.within.items())
        said = gettext("%(field)s: %(now)s, not %(then)s.")
        return " ".join(said % {"field": name, "now": now, "then": then} for name, now, then in differs if now != then)

    async def _loaded(self, session: AsyncSession, ids: Sequence[int]) -> dict[int, Any]:
        """The rows, locked, as they are in the database."""
        model = self.kind.model
        query = select(model).where(model.id.in_(ids)).order_by(model.id).with_for_update(of=model)
        return {row.id: row for row in await session.scalars(query.execution_options(populate_existing=True))}

    def _step(
        self, position: int, row: Any, present: Mapping[str, frozenset[int]], stays: Mapping[str, frozenset[int]]
    ) -> _Step:
        before = {column: getattr(row, column) for column in self.columns}
        was = dict(row.custom or {}) if self.own else {}
        wanted: dict[str, Any] = {c: v for c, v in self.values.items() if before[c] != v}
        if any(was.get(key) != v for key, v in self.own.items()):
            wanted["custom"] = self.own
        several: dict[str, set[int]] = {}
        for name in self.many:
            then = set(present[name] | set(self.add.get(name, ()))) - (
                set(self.remove.get(name, ())) - stays.get(name, frozenset())
            )
            if then != present[name]:
                several[name] = then
        return _Step(position, row.id, str(row), row, before, was, present, several, {**wanted, **several})

    async def _do(self, session: AsyncSession, steps: Sequence[_Step]) -> Outcomes:
        if self.act is not None:
            return await self.act.verb(session, [step.row for step in steps])
        return await self.kind.change(session, [(step.row, dict(step.wanted)) for step in steps])

    async def _one_by_one(self, session: AsyncSession, steps: list[_Step]) -> Outcomes:
        """Each in a SAVEPOINT of its own; `steps` have their rows anew."""
        rows = await self._loaded(session, [step.row_id for step in steps])
        steps[:] = [replace(step, row=rows[step.row_id]) for step in steps]
        outcomes: list[object] = []
        for step in steps:
            try:
                async with session.begin_nested():
                    outcomes += await self._do(session, [step])
            except AppError as refusal:
                outcomes.append(refusal)
            except (IntegrityError, StaleDataError):
                outcomes.append(Conflict(gettext("Somebody else has changed it meanwhile.")))
        return outcomes

    async def _count(self, session: AsyncSession, step: _Step, outcome: object, found: _Part) -> None:
        if isinstance(outcome, AppError):
            found.refused.append((step.position, step.row_id, step.name, self._why(outcome)))
            return
        row = step.row
        changes = {c: (v, getattr(row, c)) for c, v in step.before.items() if getattr(row, c) != v}
        now = (row.custom or {}) if self.own else {}
        changes |= {f"{PREFIX}{key}": (step.was.get(key), now.get(key)) for key in self.own
                    if step.was.get(key) != now.get(key)}  # fmt: skip
        changes |= {name: (sorted(step.present[name]), sorted(then)) for name, then in step.several.items()}
        if not changes:
            found.unchanged += 1
            return
        found.changed += 1
        for column in changes:
            found.fields[column] = found.fields.get(column, 0) + 1
        if len(found.sample) + len(self.looked.get("sample", ())) < SAMPLE:
            shown = [[c, await self._said(session, c, a), await self._said(session, c, b)]
                     for c, (a, b) in changes.items()]  # fmt: skip
            found.sample.append({"id": step.row_id, "name": step.name, "changes": shown})

    def _why(self, refusal: AppError) -> str:
        fields = refusal.fields if isinstance(refusal, Invalid) else {}
        said = [f"{self._label(name)}: {why}" if name else str(why) for name, why in fields.items()]
        return " ".join(said) or str(refusal)

    def _label(self, field: str) -> str:
        column = f"{field}_id"
        return self.kind.label(column if column in self.kind.model.__table__.c else field)

    async def _keep(self, session: AsyncSession, rows: Sequence[tuple[int, int]], found: _Part, *, last: bool) -> Left:
        """Write down how far it is, and what became of the rows. Raises Lost when it was stopped meanwhile."""
        looked = self.looked
        fields = dict(looked.get("fields", {}))
        for column, n in found.fields.items():
            fields[column] = fields.get(column, 0) + n
        refused = [*looked.get("refused", ()), *([i, name, why] for _p, i, name, why in found.refused)][:SPELLED_OUT]
        looked = {**looked, "fields": fields, "refused": refused, "sample": [*looked.get("sample", ()), *found.sample]}
        looked["at"] = rows[-1][0] if rows else looked.get("at", 0)
        if self.state is BulkState.RUNNING and found.changed:
            looked["ends"] = [*looked.get("ends", ()), await undoing.newest(session)]
        counts = {
            "changed": self.counts["changed"] + found.changed,
            "unchanged": self.counts["unchanged"] + found.unchanged,
            "refused": self.counts["refused"] + len(found.refused),
        }
        done = self.done + len(rows)
        if not await runs.write(session, self.run.id, self.state, done=done, looked=looked, **counts):
            raise Lost
        if found.refused:
            table = runs.ROWS
            mark = update(table).where(table.c.run_id == self.run.id, table.c.position == bindparam("at"))
            marks = [{"at": position, "why": why} for position, _id, _name, why in found.refused]
            await (await session.connection()).execute(mark.values(reason=bindparam("why")), marks)
        if last:
            run = await runs.locked(session, self.run.id)
            await runs.end(session, run, BulkState.DONE if self.state is BulkState.RUNNING else BulkState.CHECKED)
        self.looked, self.counts, self.done = looked, counts, done
        return Left(done, self.run.total, over=last)

    # ---- in words ----------------------------------------------------------------------------------------------------

    async def _said(self, session: AsyncSession, column: str, value: Any) -> str:
        """A value as people read it."""
        if column in self.kind.many:
            target: Any = self.kind.many[column].target
            return ", ".join([await self._name(session, target, i) for i in value])
        if (spec := custom.named(self.kind.model, column)) is not None:
            return custom.say(spec, value)
        if value is None or value == "":
            return ""
        if isinstance(value, bool):
            return gettext("yes") if value else gettext("no")
        if isinstance(value, Choice):
            return str(value.label)
        if isinstance(value, datetime):
            return show_moment(value)
        if isinstance(value, date):
            return show_date(value)
        mapped = self.kind.model.__mapper__
        stored = mapped.column_attrs[column].columns[0]
        if (pointed := related(mapped, stored)) is not None:
            return await self._name(session, pointed, value)
        widget = str(stored.info.get("widget", "")).removesuffix("_or_none")
        if widget == "money":
            return say_money(value, self.within[stored.info["currency"]])
        named = {"country": country_name, "language": language_name}.get(widget)
        return named(value) if named else str(value)

    async def _name(self, session: AsyncSession, model: Any, row_id: int) -> str:
        key = (model, row_id)
        if key not in self.names:
            found = await session.scalar(select(model).where(model.id == row_id))
            self.names[key] = str(found) if found is not None else f"#{row_id}"
        return self.names[key]
