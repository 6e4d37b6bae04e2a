"""Changing many rows: asked for, then done in the background, first as if, then in earnest. Each part is a short
transaction; a stop is heard between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.bulk import choosing, runs
from app.domain.bulk.kinds import EDITABLE, grant_of
from app.domain.bulk.parts import Lost, Worker
from app.domain.lists import Meant
from app.domain.longwork import Left
from app.errors import Invalid
from app.i18n import gettext
from app.models import audit
from app.models.bulk import BulkKind, BulkRun, BulkState


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


async def work_off(*, run_id: int, state: BulkState, more: Callable[[], bool]) -> Left:
    """Check (CHECKING) or change (RUNNING) rows as long as `more` says so. It goes on where it was, also after a crash.
    Raises NotFound, Forbidden, and Invalid when a field is gone."""
    run, who = await runs.load(run_id)
    left = Left(run.done, run.total, over=run.state is not state)
    if left.over:
        return left
    kind = EDITABLE[run.noun]
    who.need(run.noun, grant_of(run))
    with runs.on_behalf(who, run.id):
        worker = Worker(run, kind, state)
        try:
            while not left.over:
                left = await worker.part()
                if not more():
                    break
        except Lost:
            return Left(left.done, left.total, over=True)
    return left
