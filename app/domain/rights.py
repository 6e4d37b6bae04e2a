"""What the acting person may do themselves: asked by verbs that do something in their name, now or later."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.db import Base
from app.domain.sessions import granted
from app.domain.staff import own_grants
from app.errors import Forbidden
from app.filters import Allowed
from app.i18n import gettext

Pair = tuple[str, str]
"""(screen, action)."""


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
