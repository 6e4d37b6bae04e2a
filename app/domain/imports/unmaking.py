"""Deleting rows of a table without rules of its own that an import has made, unless something has happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.domain.customers.removal import ATTACHED, BOOKED
from app.domain.undoing import CHANGED, Deed, Kept
from app.i18n import _, gettext
from app.models.audit import Audit

_LABELS: dict[str, str] = (
    {"customer": _("Customers")}
    | {entity.__tablename__: label for label, entity, _noun in ATTACHED}
    | {entity.__tablename__: label for label, entity in BOOKED}
)


def by_now(table: str) -> str:
    """Why something stays that rows of this table point at."""
    what = str(_LABELS[table]) if table in _LABELS else gettext("Other records")
    return gettext("%(what)s belong to it by now.") % {"what": what}


async def delete_made(session: AsyncSession, model: Any, made: Sequence[Deed], tags: Sequence[str]) -> Kept:
    """Delete them one by one, the last one first. Gives what stays, and why; what is gone already is no matter.

    tags: what the audit tells under them about a row was done by the import itself."""
    kept, table = Kept(), model.__tablename__
    for deed in made:
        row = await session.get(model, deed.row_id, with_for_update=True, populate_existing=True)
        if row is None:
            continue
        name = str(row)
        if reason := await _reason(session, table, deed.row_id, tags):
            kept[deed.row_id] = (name, reason)
            continue
        try:
            async with session.begin_nested():
                await session.delete(row)
                await session.flush()
        except IntegrityError:  # somebody was quicker
            kept[deed.row_id] = (name, str(CHANGED))
    return kept


async def _reason(session: AsyncSession, table: str, row_id: int, tags: Sequence[str]) -> str:
    told = select(Audit.id).where(Audit.noun == table, Audit.noun_id == row_id, Audit.request.not_in(tags)).limit(1)
    if await session.scalar(told, execution_options={"unscoped": True}) is not None:
        return str(CHANGED)
    connection = await session.connection()
    for other, column, _table in pointing(table):
        if (await connection.execute(select(column).where(column == row_id).limit(1))).first() is not None:
            return by_now(other)
    return ""


@cache
def pointing(*tables: str) -> tuple[tuple[str, Column[Any], str], ...]:
    """Every key to these tables: of which table, its column, and to which one."""
    return tuple(
        (other.name, column, key.column.table.name)
        for other in Base.metadata.sorted_tables for column in other.columns for key in column.foreign_keys
        if key.column.table.name in tables
    )  # fmt: skip
