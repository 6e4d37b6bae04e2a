"""Segments: filters over customers that staff keep under a name, to write to the same kind of people again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.messaging import audience as audiences
from app.errors import Invalid
from app.i18n import _
from app.models.messaging import Segment
from app.observe import actor


async def save_segment(
    session: AsyncSession, *, name: str, condition: dict[str, Any], description: str = ""
) -> Segment:
    """Keep a filter. Raises Invalid at `name` (missing, or one's own segment has it), `description`, `audience`."""
    checked, who = audiences.check_who({"filter": condition}), actor.get()
    name = await check_name(session, name=name, staff_id=who.staff_id)
    segment = Segment(
        name=name, description=description.strip()[:500], condition=checked["filter"], staff_id=who.staff_id
    )
    session.add(segment)
    await session.flush()
    return segment


async def change_segment(
    session: AsyncSession, *, segment: Segment, name: str, condition: dict[str, Any], description: str
) -> Segment:
    """Change a segment; what was sent to it before stays. Raises Invalid at `name`, and at `audience` for a filter that
    is new and cannot be used: a broken one may stay."""
    segment.name = await check_name(session, name=name, staff_id=segment.staff_id, but=segment.id)
    segment.description = description.strip()[:500]
    if condition != segment.condition:
        segment.condition = audiences.check_who({"filter": condition})["filter"]
    await session.flush()
    return segment


async def check_name(session: AsyncSession, *, name: str, staff_id: int | None, but: int | None = None) -> str:
    """The name, if its owner has no other segment of that name. Raises Invalid."""
    name = " ".join(name.split())
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid(name=_("Give it a name of at most 200 characters."))
    taken = select(Segment.id).where(Segment.name == name, Segment.staff_id == staff_id)
    if await session.scalar(taken if but is None else taken.where(Segment.id != but)) is not None:
        raise Invalid(name=_("You already have a segment of this name."))
    return name
