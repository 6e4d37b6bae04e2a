"""Long work that has a row of its own (`BulkRun`, `ImportRun`): the row is the truth. What a worker did and how far it
came are written in one transaction; whoever stops it changes the state, and the worker finds that out as it writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import staff
from app.domain.sessions import Grants, granted
from app.errors import Forbidden, NotFound
from app.i18n import SOURCE, gettext
from app.models.staff import Staff, StaffProject
from app.observe import Actor, Kind, actor

Run = TypeVar("Run")


@dataclass(frozen=True)
class Left:
    """How far it is. over: there is nothing more to do."""

    done: int
    total: int
    over: bool


async def locked(session: AsyncSession, model: type[Run], run_id: int) -> Run:
    """Raises NotFound."""
    of: Any = model
    found: Run | None = await session.scalar(select(of).where(of.id == run_id).with_for_update())
    if found is None:
        raise NotFound
    return found


async def write(session: AsyncSession, model: Any, run_id: int, state: Any, /, **values: Any) -> bool:
    """Bookkeeping, which is not audited; False, and nothing is changed, once the run has another state."""
    written = await session.execute(
        update(model)
        .where(model.id == run_id, model.state == state)
        .values(**values)
        .returning(model.id)
        .execution_options(synchronize_session=False, audited=True)
    )
    return written.one_or_none() is not None


@dataclass(frozen=True)
class Owner:
    """Who has begun a run, as they are now."""

    staff_id: int
    grants: Grants
    projects: frozenset[int] | None
    language: str
    timezone: str

    def may(self, screen: str, action: str) -> bool:
        return granted(self.grants, screen, action)

    def need(self, screen: str, action: str) -> None:
        """Raises Forbidden when they may not do that, or not any more."""
        if not self.may(screen, action):
            raise Forbidden(gettext("The right to do this was taken away meanwhile."))

    @property
    def actor(self) -> Actor:
        """Them as the acting person of what goes on now, which keeps the customer whom they had entered."""
        return replace(actor.get(), kind=Kind.STAFF, staff_id=self.staff_id, projects=self.projects)


async def owner(session: AsyncSession, staff_id: int | None) -> Owner:
    """Raises Forbidden for somebody who is gone, or may not sign in any more."""
    unscoped = {"unscoped": True}
    who = await session.scalar(select(Staff).where(Staff.id == staff_id, Staff.enabled), execution_options=unscoped)
    if who is None:
        raise Forbidden
    grants = frozenset(await staff.grants_of(session, who.id))
    limits = await session.scalars(
        select(StaffProject.project_id).where(StaffProject.staff_id == who.id), execution_options=unscoped
    )
    return Owner(who.id, grants, frozenset(limits) or None, who.language or SOURCE, who.timezone or "UTC")
