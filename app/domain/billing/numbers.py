"""Numbers without gaps: taken under a lock, in the transaction that uses them."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.billing import InvoiceKind, NumberSeries

PATTERNS = {InvoiceKind.CREDIT_NOTE.value: "C{year}-{number:05}"}
"""Of a series that nobody has set up, by kind; the others are as the column says."""


async def take_number(session: AsyncSession, *, project_id: int, kind: str, day: date, taken: Any = None) -> str:
    """The next number of a project's series. Whoever else wants one waits until this transaction ends; if it fails,
    the number is free again.

    taken: the column in which the numbers stand; one that is there already (brought by an import) is passed over.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    values = {"project_id": project_id, "kind": kind, "year": day.year}
    if kind in PATTERNS:
        values["pattern"] = PATTERNS[kind]
    opened = dialect.insert(NumberSeries).values(**values).on_conflict_do_nothing()
    await session.execute(opened, execution_options={"audited": True})
    series = (
        await session.scalars(
            select(NumberSeries)
            .where(NumberSeries.project_id == project_id, NumberSeries.kind == kind)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    if "{year" in series.pattern and day.year > (series.year or 0):
        series.year, series.next_number = day.year, 1
    while True:
        number = series.pattern.format(year=series.year or day.year, number=series.next_number)
        series.next_number += 1
        if taken is None or await session.scalar(select(taken).where(*_same(taken, project_id, kind, number))) is None:
            await session.flush()
            return number


def _same(column: Any, project_id: int, kind: str, number: str) -> tuple[Any, ...]:
    entity = column.class_
    return entity.project_id == project_id, entity.kind == kind, column == number
