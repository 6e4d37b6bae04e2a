"""Numbers without gaps: taken under a lock, in the transaction that uses them. Their pattern belongs to the project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from string import Formatter
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Invalid
from app.i18n import gettext
from app.models import audit
from app.models.billing import Document, DocumentKind, Invoice, InvoiceKind, NumberSeries

PATTERNS = {InvoiceKind.CREDIT_NOTE.value: "C{year}-{number:05}"}
"""Of a series that nobody has set up, by kind; the others are as the column says."""
USUAL = "{year}-{number:05}"
KINDS: dict[str, str] = {kind.value: kind.label for kinds in (InvoiceKind, DocumentKind) for kind in kinds}
"""What has numbers of its own in each project, with its name."""
LONGEST = 40
_COUNT = re.compile(r"0?[1-9]")


async def take_number(session: AsyncSession, *, project_id: int, kind: str, day: date, taken: Any = None) -> str:
    """The next number of a project's series. Whoever else wants one waits until this transaction ends; if it fails,
    the number is free again.

    taken: the column in which the numbers stand; one that is there already (brought by an import) is passed over.
    """
    series = await _locked(session, project_id, kind, day)
    if "{year" in series.pattern and day.year > (series.year or 0):
        series.year, series.next_number = day.year, 1
    while True:
        number = series.pattern.format(year=series.year or day.year, number=series.next_number)
        series.next_number += 1
        if taken is None or await session.scalar(select(taken).where(*_same(taken, project_id, kind, number))) is None:
            await session.flush()
            return number


async def _locked(session: AsyncSession, project_id: int, kind: str, day: date) -> NumberSeries:
    """The series, which nobody else counts on until this transaction ends; opened when there is none."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    values = {"project_id": project_id, "kind": kind, "year": day.year}
    if kind in PATTERNS:
        values["pattern"] = PATTERNS[kind]
    opened = dialect.insert(NumberSeries).values(**values).on_conflict_do_nothing()
    await session.execute(opened, execution_options={"audited": True})
    rows = await session.scalars(
        select(NumberSeries)
        .where(NumberSeries.project_id == project_id, NumberSeries.kind == kind)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.one()


def _same(column: Any, project_id: int, kind: str, number: str) -> tuple[Any, ...]:
    entity = column.class_
    return entity.project_id == project_id, entity.kind == kind, column == number


# ---- the pattern ----------------------------------------------------------------------------------------------------


def check_pattern(pattern: str, field: str = "pattern") -> str:
    """A pattern with {number} or {number:05} once, and {year} or not. Raises Invalid at `field`."""
    pattern = pattern.strip()
    counted = years = 0
    try:
        for _text, name, spec, conversion in Formatter().parse(pattern):
            if name is None:
                continue
            if conversion or ((name, spec) not in (("year", ""), ("number", "")) and not (
                name == "number" and _COUNT.fullmatch(spec or "")
            )):  # fmt: skip
                raise ValueError
            counted, years = counted + (name == "number"), years + (name == "year")
    except ValueError:
        said = gettext("Only {year}, {number} and, with zeros in front, such as {number:05} may stand in braces.")
        raise Invalid(**{field: said}) from None
    if counted != 1 or years > 1:
        raise Invalid(**{field: gettext("It needs {number} once, and {year} at most once.")})
    if len(pattern) > LONGEST or not pattern.isprintable():
        raise Invalid(**{field: gettext("At most %(n)d characters, please.") % {"n": LONGEST}})
    return pattern


async def patterns_of(session: AsyncSession, project_id: int) -> dict[str, str]:
    """The pattern of each kind."""
    rows = await session.execute(
        select(NumberSeries.kind, NumberSeries.pattern).where(NumberSeries.project_id == project_id)
    )
    there = {row.kind: row.pattern for row in rows}
    return {kind: there.get(kind) or PATTERNS.get(kind, USUAL) for kind in KINDS}


async def preview(session: AsyncSession, *, project_id: int, kind: str, pattern: str, day: date) -> str:
    """The number that would be taken next with a pattern; none is taken. Raises Invalid as `check_pattern`."""
    pattern = check_pattern(pattern)
    query = select(NumberSeries.next_number, NumberSeries.year).where(
        NumberSeries.project_id == project_id, NumberSeries.kind == kind
    )
    following, year = (await session.execute(query)).one_or_none() or (1, day.year)
    if "{year" in pattern and day.year > (year or 0):
        following, year = 1, day.year
    taken = Invoice.number if kind in {k.value for k in InvoiceKind} else Document.number
    while True:
        number = pattern.format(year=year or day.year, number=following)
        if await session.scalar(select(taken).where(*_same(taken, project_id, kind, number))) is None:
            return number
        following += 1


async def set_patterns(session: AsyncSession, *, project_id: int, patterns: Mapping[str, str], day: date) -> list[str]:
    """Change the patterns of some kinds, and say of which. Counting goes on where it is: what is numbered stays, and no
    number comes twice. Raises Invalid at the kind."""
    wanted = {kind: check_pattern(pattern, kind) for kind, pattern in patterns.items() if kind in KINDS}
    now = await patterns_of(session, project_id)
    changed = [kind for kind, pattern in wanted.items() if pattern != now[kind]]
    for kind in sorted(changed):
        series = await _locked(session, project_id, kind, day)
        series.pattern = wanted[kind]
    await session.flush()
    if changed:
        told = {kind: [now[kind], wanted[kind]] for kind in changed}
        await session.run_sync(lambda s: audit.write(s, "numbers", "project", project_id, told))
    return changed
