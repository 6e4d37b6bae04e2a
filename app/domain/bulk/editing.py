"""Changing many rows: first as if, then in earnest. Each part is a short transaction; a stop is heard between two."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from app.db import Choice, reads, unit
from app.domain import custom, undoing
from app.domain.bulk import choosing, runs
from app.domain.bulk.kinds import EDITABLE, Editable, grant_of
from app.domain.bulk.runs import Left
from app.domain.bulk.values import related
from app.domain.custom.spec import PREFIX
from app.domain.lists import Meant
from app.errors import AppError, Forbidden, Invalid
from app.i18n import country_name, gettext, language_name, show_date, show_moment
from app.models import audit
from app.models.bulk import BulkKind, BulkRun, BulkState

AT_ONCE = 100
LONGEST = 0.5
"""Rows and seconds of one transaction: whoever stops it does not wait for more."""
SAMPLE = 10
SPELLED_OUT = 200
"""Refusals that the row of the run holds; a file has them all."""


async def add_edit(
    session: AsyncSession, *, noun: str, rows: Meant, query: str, name: str,
    values: Mapping[str, Any] | None = None, add: Mapping[str, Sequence[int]] | None = None,
    remove: Mapping[str, Sequence[int]] | None = None, act: str | None = None,
) -> BulkRun:  # fmt: skip
    """Have rows checked that are to be changed; see `runs.add` for `rows` and `query`.

    values: column -> value for all. add, remove: field -> ids that are put in or taken out. act: a step of
    `Editable.acts` instead. Raises Invalid with every bad field, and when nothing is asked for.
    """
    kind = EDITABLE[noun]
    wanted: dict[str, Any] = {"set": dict(values or {}), "add": dict(add or {}), "remove": dict(remove or {})}
    if act is not None:
        wanted["act"] = act
    cleaned = kind.cleaned(wanted)
    if not cleaned and act is None and not any(wanted["add"].values()) and not any(wanted["remove"].values()):
        raise Invalid(gettext("Choose at least one field that is to be changed."))
    wanted["set"] = {column: audit.plain(value) for column, value in cleaned.items()}
    run = await runs.add(session, kind=BulkKind.EDIT, noun=noun, name=name, rows=rows, query=query, wanted=wanted)
    await choosing.choose(session, run, rows)
    return run


# ---- in the background ----------------------------------------------------------------------------------------------


class _TakeBack(Exception):
    """The part was only looked at."""


class _Lost(Exception):
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
    last: bool = False
    """No rows are left behind this part."""


async def work_off(*, run_id: int, state: BulkState, more: Callable[[], bool]) -> Left:
    """Check (CHECKING) or change (RUNNING) rows as long as `more` says so. It goes on where it was, also after a crash.
    Raises NotFound, Forbidden, and Invalid when a field is gone."""
    run, who = await runs.load(run_id)
    left = Left(run.done, run.total, over=run.state is not state)
    if left.over:
        return left
    kind = EDITABLE[run.noun]
    if not who.may(run.noun, grant_of(run)):
        raise Forbidden(gettext("The right to do this was taken away meanwhile."))
    with runs.on_behalf(who, run.id):
        worker = _Worker(run, kind, state)
        try:
            while not left.over:
                left = await worker.part()
                if not more():
                    break
        except _Lost:
            return Left(left.done, left.total, over=True)
    return left


class _Worker:
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
        self.columns = [self.act.column] if self.act else list(self.values)
        self.names: dict[tuple[Any, Any], str] = {}

    async def part(self) -> Left:
        async with reads() as session:
            rows = await runs.part(session, self.run.id, after=self.looked.get("at", 0), most=AT_ONCE)
        found = _Part()
        if self.state is BulkState.CHECKING:
            try:
                async with unit() as session:
                    await self._rows(session, rows, found)
                    raise _TakeBack
            except _TakeBack:
                pass
            async with unit() as session:
                return await self._keep(session, rows, found)
        async with unit() as session:
            await self._rows(session, rows, found)
            return await self._keep(session, rows, found)

    async def _rows(self, session: AsyncSession, part: list[tuple[int, int]], found: _Part) -> None:
        """Work on the rows of the part; those for which there is no time are taken out of it."""
        until = time.monotonic() + LONGEST
        found.last = len(part) < AT_ONCE
        model = self.kind.model
        ids = [row_id for _position, row_id in part]
        query = select(model).where(model.id.in_(ids)).order_by(model.id).with_for_update(of=model)
        rows = {row.id: row for row in await session.scalars(query)}
        present = {name: await self.kind.many[name].present(session, ids) for name in self.many}
        held = {n: await self.kind.many[n].present(session, ids, held=True) for n in self.many if self.remove.get(n)}
        for n, (position, row_id) in enumerate(part):
            if n and time.monotonic() > until:
                del part[n:]
                found.last = False
                break
            row = rows.get(row_id)
            if row is None:
                found.refused.append((position, row_id, "", gettext("It does not exist any more.")))
                continue
            name = str(row)
            try:
                has, stays = ({n: frozenset(p.get(row_id, ())) for n, p in of.items()} for of in (present, held))
                changes = await self._one(session, row, has, stays)
            except Invalid as problem:
                said = [f"{self._label(field)}: {why}" if field else str(why) for field, why in problem.fields.items()]
                found.refused.append((position, row_id, name, " ".join(said) or str(problem)))
                continue
            except AppError as problem:
                found.refused.append((position, row_id, name, str(problem)))
                continue
            except (IntegrityError, StaleDataError):
                found.refused.append((position, row_id, name, gettext("Somebody else has changed it meanwhile.")))
                continue
            if not changes:
                found.unchanged += 1
                continue
            found.changed += 1
            for column in changes:
                found.fields[column] = found.fields.get(column, 0) + 1
            if len(found.sample) + len(self.looked.get("sample", ())) < SAMPLE:
                shown = [[c, await self._said(session, c, a), await self._said(session, c, b)]
                         for c, (a, b) in changes.items()]  # fmt: skip
                found.sample.append({"id": row_id, "name": name, "changes": shown})

    async def _one(
        self, session: AsyncSession, row: Any, present: Mapping[str, frozenset[int]],
        stays: Mapping[str, frozenset[int]],
    ) -> dict[str, tuple[Any, Any]]:  # fmt: skip
        """Change one row: column, or name of a field that people have added -> (before, after)."""
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
        if not wanted and not several and self.act is None:
            return {}
        async with session.begin_nested():
            if self.act is not None:
                await self.act.verb(session, row)
            else:
                await self.kind.change(session, row, {**wanted, **several})
        changes = {c: (v, getattr(row, c)) for c, v in before.items() if getattr(row, c) != v}
        changes |= {
            f"{PREFIX}{key}": (was.get(key), now.get(key))
            for now in ([row.custom or {}] if self.own else [])
            for key in self.own
            if was.get(key) != now.get(key)
        }
        return changes | {name: (sorted(present[name]), sorted(then)) for name, then in several.items()}

    def _label(self, field: str) -> str:
        column = f"{field}_id"
        return self.kind.label(column if column in self.kind.model.__table__.c else field)

    async def _keep(self, session: AsyncSession, rows: Sequence[tuple[int, int]], found: _Part) -> Left:
        """Write down how far it is, and what became of the rows. Raises _Lost when it was stopped meanwhile."""
        looked = self.looked
        fields = dict(looked.get("fields", {}))
        for column, n in found.fields.items():
            fields[column] = fields.get(column, 0) + n
        refused = [*looked.get("refused", ()), *([i, name, why] for _p, i, name, why in found.refused)][:SPELLED_OUT]
        looked = {**looked, "fields": fields, "refused": refused, "sample": [*looked.get("sample", ()), *found.sample]}
        looked["at"] = rows[-1][0] if rows else looked.get("at", 0)
        counts = {
            "changed": self.counts["changed"] + found.changed,
            "unchanged": self.counts["unchanged"] + found.unchanged,
            "refused": self.counts["refused"] + len(found.refused),
        }
        done = self.done + len(rows)
        if not await runs.write(session, self.run.id, self.state, done=done, looked=looked, **counts):
            raise _Lost
        if found.refused:
            table = runs.ROWS
            mark = update(table).where(table.c.run_id == self.run.id, table.c.position == bindparam("at"))
            marks = [{"at": position, "why": why} for position, _id, _name, why in found.refused]
            await (await session.connection()).execute(mark.values(reason=bindparam("why")), marks)
        over = found.last
        if over:
            run = await runs.locked(session, self.run.id)
            await runs.end(session, run, BulkState.DONE if self.state is BulkState.RUNNING else BulkState.CHECKED)
        self.looked, self.counts, self.done = looked, counts, done
        return Left(done, self.run.total, over=over)

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
        named = {"country": country_name, "language": language_name}.get(widget)
        return named(value) if named else str(value)

    async def _name(self, session: AsyncSession, model: Any, row_id: int) -> str:
        key = (model, row_id)
        if key not in self.names:
            found = await session.scalar(select(model).where(model.id == row_id))
            self.names[key] = str(found) if found is not None else f"#{row_id}"
        return self.names[key]
