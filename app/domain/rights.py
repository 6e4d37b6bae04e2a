"""What the acting person may do themselves: asked by verbs that do something in their name, now or later."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.db import Base
from app.domain.sessions import granted
from app.domain.staff import own_grants
from app.errors import Forbidden
from app.filters import Allowed
from app.i18n import gettext
from app.models.staff import Staff, StaffProject
from app.observe import Actor, Kind

Pair = tuple[str, str]
"""(screen, action)."""


async def as_now(session: AsyncSession, staff_id: int | None) -> Actor:
    """A staff member as they are now, for work that they have begun. Raises Forbidden for somebody who is gone or may
    not sign in any more."""
    unscoped = {"unscoped": True}
    who = select(Staff.id).where(Staff.id == staff_id, Staff.enabled)
    if await session.scalar(who, execution_options=unscoped) is None:
        raise Forbidden
    limits = select(StaffProject.project_id).where(StaffProject.staff_id == staff_id)
    projects = frozenset(await session.scalars(limits, execution_options=unscoped))
    return Actor(Kind.STAFF, staff_id, projects=projects or None)


async def need(session: AsyncSession, pairs: Iterable[Pair], what: str) -> None:
    """Raises Forbidden, which says `what` it is about, when the acting person does not hold all of these."""
    own = await own_grants(session)
    if not all(granted(own, *pair) for pair in pairs):
        raise Forbidden(gettext("Your role does not allow this: %(what)s.") % {"what": what})


async def asking(session: AsyncSession) -> Allowed:
    """What the acting person may filter by (`filters.parse`): not what lies in rows that they may not list."""
    own = await own_grants(session)

    def allowed(model: type[Base], name: str) -> bool:
        looked = filters.fields(model)[name].looks_into
        return looked is None or granted(own, looked.__tablename__, "list")

    return allowed
