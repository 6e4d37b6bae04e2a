"""Whom something is for: a condition over customers, entered or taken from a segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.domain import checks
from app.errors import Invalid
from app.i18n import gettext
from app.models.customers import Customer
from app.models.messaging import Segment


def condition(value: Any) -> dict[str, Any] | None:
    """The check of a condition as it is stored; None: everybody. Raises Bad for what is no filter of customers."""
    if not value:
        return None
    try:
        parsed = filters.parse(value, Customer)
    except filters.FilterProblem as problem:
        raise checks.Bad(str(problem)) from None
    return None if filters.is_empty(parsed) else filters.to_json(parsed)


async def entered(session: AsyncSession, values: Mapping[str, Any], before: Any) -> dict[str, Any]:
    """The values of a form with the condition of the segment that was chosen instead of `segment`. before: the row as
    it is; a condition that nobody touched is left out, so that a broken one stays. Raises Invalid at `segment`."""
    wanted = {name: value for name, value in values.items() if name != "segment"}
    if before is not None and wanted.get("condition") == before.condition:
        wanted.pop("condition", None)
    if (segment := values.get("segment")) is not None:
        wanted["condition"] = await session.scalar(select(Segment.condition).where(Segment.id == segment))
        if wanted["condition"] is None:
            raise Invalid(segment=gettext("Choose one from the list."))
    return wanted
