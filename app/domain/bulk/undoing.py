"""Taking back a whole run: each row becomes what it was, where it still is as the run left it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import unit, utcnow
from app.domain import checks, undoing
from app.domain.bulk import runs
from app.domain.bulk.kinds import EDITABLE, Editable, Many, grant_of
from app.domain.longwork import Left
from app.domain.undoing import Deed, Kept, Trace
from app.errors import AppError, Conflict
from app.i18n import gettext
from app.models import audit
from app.models.bulk import BulkKind, BulkRun, BulkState
from app.queue import enqueue

AT_ONCE = 10_000
"""Audit rows of one transaction: what a part of the change has left is fewer."""
SPELLED_OUT = 200


def undoable(run: BulkRun) -> bool:
    """Whether it did something that can be taken back."""
    over = run.state in (BulkState.DONE, BulkState.STOPPED, BulkState.FAILED)
    return run.kind is BulkKind.EDIT and over and bool(run.changed) and bool(run.looked.get("audit"))


async def undo(session: AsyncSession, *, run_id: int) -> None:
    """Take back what a run did, in the background. Raises NotFound, Conflict, Forbidden."""
    run = await runs.locked(session, run_id)
    if not undoable(run):
        raise Conflict(gettext("There is nothing to undo."))
    await runs.need(session, run, grant_of(run))
    run.state, run.started_at, run.finished_at = BulkState.UNDOING, utcnow(), None
    await session.flush()
    looked = {**run.looked, "undone_at": 0, "not_undone": []}
    await runs.write(session, run.id, BulkState.UNDOING, done=0, undone=0, kept=0, looked=looked)
    await enqueue(session, "bulk.undo", total=run.changed, bulk_id=run.id)


async def undo_some(*, run_id: int, more: Callable[[], bool]) -> Left:
    """Go on with it as long as `more` says so, a part in each transaction. Raises NotFound, Forbidden."""
    run, who = await runs.load(run_id)
    left = Left(run.done, run.changed, over=run.state is not BulkState.UNDOING)
    if not left.over:
        who.need(run.noun, grant_of(run))
    with runs.on_behalf(who, run.id, doing="undo"):
        while not left.over:
            async with unit() as session:
                left = await _part(session, run_id)
            if not more():
                break
    return left


async def _part(session: AsyncSession, run_id: int) -> Left:
    run = await runs.locked(session, run_id)
    if run.state is not BulkState.UNDOING:
        return Left(run.done, run.changed, over=True)
    kind = EDITABLE[run.noun]
    first, last = run.looked["audit"]
    links = {many.link.__tablename__: many for many in kind.many.values()}
    trace = Trace(runs.tag(run.id), first, last or 0, (run.noun, *links), ("create", "update", "delete"))
    at = run.looked.get("undone_at", 0)
    # one part of the change at a time: what was done to a row belongs together
    upto = min((end for end in run.looked.get("ends", ()) if end > at), default=trace.last)
    part = await undoing.deeds(session, replace(trace, last=upto), after=at, most=AT_ONCE)
    if not part and upto == trace.last:
        await runs.end(session, run, BulkState.UNDONE)
        return Left(run.done, run.changed, over=True)
    mine = [deed for deed in part if deed.noun == run.noun and deed.action == "update"]
    kept = await _by_verb(session, kind, mine)
    plain = [replace(d, changes={c: v for c, v in d.changes.items() if c not in kind.by_verb}) for d in mine]
    kept |= await undoing.put_back(session, kind.model, plain)
    for noun, many in links.items():
        kept |= await _links_back(session, kind, many, [d for d in part if d.noun == noun])
    rows = {_row_of(deed, links) for deed in part}
    if kind.follow is not None:
        await kind.follow(session, sorted(rows))
    spelled = [*run.looked.get("not_undone", ()), *([i, name, why] for i, (name, why) in kept.items())][:SPELLED_OUT]
    looked = {**run.looked, "undone_at": part[-1].audit_id if len(part) == AT_ONCE else upto, "not_undone": spelled}
    done = run.done + len(rows)
    if kept:  # the chosen rows are forgotten by now
        at = run.total + run.kept + 1
        lines = [{"run_id": run.id, "position": at + n, "row_id": i, "kept": why}
                 for n, (i, (_name, why)) in enumerate(kept.items())]  # fmt: skip
        await (await session.connection()).execute(insert(runs.ROWS), lines)
    await runs.write(
        session, run.id, BulkState.UNDOING, done=done, undone=run.undone + len(rows) - len(kept),
        kept=run.kept + len(kept), looked=looked,
    )  # fmt: skip
    return Left(done, run.changed, over=False)


def _row_of(deed: Deed, links: dict[str, Many]) -> int:
    many = links.get(deed.noun)
    if many is None:
        return deed.row_id
    before, after = deed.changes[many.of]
    return int(after if after is not None else before)


async def _by_verb(session: AsyncSession, kind: Editable, changed: Sequence[Deed]) -> Kept:
    """Put back by the verb of the change what moves others along, and may be refused."""
    asked = {d.row_id: {c: v for c, v in d.changes.items() if c in kind.by_verb} for d in changed}
    asked = {row_id: changes for row_id, changes in asked.items() if changes}
    if not asked:
        return Kept()
    kept, steps = Kept(), []
    model = kind.model
    for row in await session.scalars(select(model).where(model.id.in_(asked)).with_for_update()):
        stays = [c for c, (_before, after) in asked[row.id].items() if audit.plain(getattr(row, c)) != after]
        if stays:
            kept[row.id] = (str(row), undoing.said_stays([kind.label(c) for c in stays]))
        else:
            steps.append((row, {c: before for c, (before, _after) in asked[row.id].items()}))
    for (row, _values), outcome in zip(steps, await kind.change(session, steps), strict=True):
        if isinstance(outcome, AppError):
            kept[row.id] = (str(row), str(outcome))
    return kept


async def _links_back(session: AsyncSession, kind: Editable, many: Many, changed: Sequence[Deed]) -> Kept:
    """Take out what was put in, put in what was taken out; what is so already needs nothing."""
    kept = Kept()
    link, model = many.link, kind.model
    # what a rule has done it does again: it is followed afterwards
    meant = [deed for deed in changed if not (many.held and True in deed.changes.get(many.held, ()))]
    pairs = {deed.audit_id: (_row_of(deed, {deed.noun: many}), _other(deed, many)) for deed in meant}
    ids = {row_id for row_id, _other in pairs.values()}
    theirs = await session.scalars(select(link).where(getattr(link, many.of).in_(ids)))
    present = {(getattr(row, many.of), getattr(row, many.to)): row for row in theirs}
    rows = {row.id: row for row in await session.scalars(select(model).where(model.id.in_(ids)))}
    others = await checks.those_known(session, many.target, {other for _row_id, other in pairs.values()})
    for deed in meant:
        row_id, other = pair = pairs[deed.audit_id]
        if deed.action == "create" and pair in present:
            await session.delete(present.pop(pair))
        elif deed.action == "delete" and pair not in present:
            if row_id not in rows or other not in others:
                kept[row_id] = (str(rows.get(row_id, "")), gettext("It was deleted since."))
                continue
            present[pair] = link(**{many.of: row_id, many.to: other})
            session.add(present[pair])
    await session.flush()
    return kept


def _other(deed: Deed, many: Many) -> int:
    before, after = deed.changes[many.to]
    return int(after if after is not None else before)
