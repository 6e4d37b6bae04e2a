"""Taking back what work on many rows did, as the audit holds it: by the tag that its rows bear.

A row gets back what it was where it still is as the work left it. What stays is listed with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Date, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import UtcDateTime
from app.domain import custom
from app.i18n import _, gettext
from app.models import audit
from app.models.audit import Audit, AuditDetail

CHANGED = _("It was changed since.")
Kept = dict[int, tuple[str, str]]
"""Row -> name and the reason why it stays."""


@dataclass(frozen=True)
class Deed:
    """One row that was made ("create"), changed ("update") or taken out. changes: column -> [before, after]."""

    audit_id: int
    action: str
    noun: str
    row_id: int
    changes: dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """Which audit rows tell of the work: those with this tag, behind `first` and up to `last`, about these nouns."""

    tag: str
    first: int
    last: int
    nouns: tuple[str, ...]
    actions: tuple[str, ...] = ("create", "update")

    def where(self, after: int = 0) -> tuple[ColumnElement[bool], ...]:
        return (
            Audit.id > max(self.first, after), Audit.id <= self.last, Audit.request == self.tag,
            Audit.noun.in_(self.nouns), Audit.action.in_(self.actions),
        )  # fmt: skip


async def newest(session: AsyncSession) -> int:
    """Where the audit ends now."""
    return await session.scalar(select(func.max(Audit.id)), execution_options={"unscoped": True}) or 0


async def deeds(
    session: AsyncSession, trace: Trace, *, after: int = 0, most: int, newest_first: bool = False
) -> list[Deed]:  # fmt: skip
    """The next ones behind the audit row `after`, in order."""
    query = (
        select(Audit.id, Audit.action, Audit.noun, Audit.noun_id, AuditDetail.payload)
        .join(AuditDetail, AuditDetail.audit_id == Audit.id)
        .where(*trace.where(after))
        .order_by(Audit.id.desc() if newest_first else Audit.id)
        .limit(most)
        .execution_options(unscoped=True)
    )
    return [Deed(row[0], row[1], row[2], row[3] or 0, json.loads(row[4])) for row in await session.execute(query)]


async def put_back(session: AsyncSession, model: Any, changed: Sequence[Deed]) -> Kept:
    """Give each column its value from before, where it still holds what the work wrote."""
    try:
        async with session.begin_nested():
            return await _put_back(session, model, changed)
    except IntegrityError:  # one of them pointed at a row that is gone, or had a name that is taken by now
        kept = Kept()
    for deed in changed:
        try:
            async with session.begin_nested():
                kept |= await _put_back(session, model, [deed])
        except IntegrityError:
            row = await session.get(model, deed.row_id)
            kept[deed.row_id] = (str(row or ""), gettext("What it was before is not possible any more."))
    return kept


async def _put_back(session: AsyncSession, model: Any, changed: Sequence[Deed]) -> Kept:
    ids = {deed.row_id for deed in changed}
    found = await session.scalars(select(model).where(model.id.in_(ids)).with_for_update())
    rows, kept = {row.id: row for row in found}, Kept()
    columns = model.__table__.c
    for deed in changed:
        row, stays = rows.get(deed.row_id), []
        if row is None:
            kept[deed.row_id] = ("", gettext("It was deleted since."))
            continue
        for name, (before, after) in deed.changes.items():
            if name == "custom":
                stays += _custom_back(row, before or {}, after or {})
            elif name not in columns or audit.plain(getattr(row, name)) != after:
                stays.append(str(columns[name].info.get("label", name)) if name in columns else name)
            else:
                setattr(row, name, typed(columns[name], before))
        if stays:
            kept[row.id] = (str(row), said_stays(stays))
    await session.flush()
    return kept


def said_stays(names: Sequence[str]) -> str:
    return gettext("Changed since, and left as it is: %(columns)s.") % {"columns": ", ".join(names)}


def _custom_back(row: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The same field by field for those that people have added. Gives the names of what was changed since."""
    now, stays = dict(row.custom or {}), []
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) == after.get(key):
            continue
        if now.get(key) != after.get(key):
            spec = custom.known(type(row), key)
            stays.append(str(spec.label) if spec is not None else key)
        elif key in before:
            now[key] = before[key]
        else:
            now.pop(key, None)
    row.custom = now
    return stays


def typed(column: ColumnElement[Any], value: Any) -> Any:
    """What a column takes for a value as the audit holds it."""
    if value is None:
        return None
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value)
    if isinstance(column.type, Date):
        return date.fromisoformat(value)
    kind = getattr(column.type, "enum_class", None)
    return kind(value) if kind is not None else value
