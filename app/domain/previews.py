"""Seeing the panel as a role: for a while the grants of a staff session are those of the role, and nothing can be done.

The browser holds a signed text that names the session, the role, a project and the end. Whoever takes it away sees what
they hold themselves, so it needs no row; begin and end are audited.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain.sessions import Grants, SessionView, granted
from app.domain.sessions.rows import note
from app.errors import NotFound
from app.links import Signer
from app.models.projects import Project
from app.models.staff import Grant, Role
from app.observe import actor

LIFE = timedelta(minutes=30)
_tokens = Signer("preview")


@dataclass(frozen=True)
class Preview:
    role_id: int
    role: str
    project: str
    """The project that the view is limited to; empty: as the person is limited anyway."""
    until: datetime
    less: bool
    """The role holds more than the person: that is left out."""


def within(one: Grants, other: Grants) -> Grants:
    """What both of them hold."""

    def both(a: str, b: str) -> str | None:
        return a if b in (a, "*") else b if a == "*" else None

    pairs = ((both(s, t), both(a, b)) for s, a in one for t, b in other)
    return frozenset((screen, action) for screen, action in pairs if screen is not None and action is not None)


async def begin(session: AsyncSession, *, role: Role, project_id: int | None = None) -> str:
    """The acting staff member begins to see the panel as this role. Returns the text that the browser keeps. Raises
    NotFound for a project that they do not see."""
    until = utcnow() + LIFE
    if project_id is not None and await session.scalar(select(Project.id).where(Project.id == project_id)) is None:
        raise NotFound
    await note(session, "preview", "role", role.id, {"project": [None, project_id], "until": [None, str(until)]})
    return _tokens.sign(f"{actor.get().session_id} {role.id} {project_id or 0} {int(until.timestamp())}")


async def end(session: AsyncSession, *, role_id: int) -> None:
    """Nothing to undo: the browser forgets its text. Only the audit is written."""
    await note(session, "preview_end", "role", role_id, {})


async def seen(token: str, view: SessionView) -> tuple[SessionView, Preview] | None:
    """The session as it is while this preview lasts; None when it is over, not of this session, or the role is gone."""
    numbers = (_tokens.read(token) or "").split(" ")
    if len(numbers) != 4:
        return None
    session_id, role_id, project_id, at = map(int, numbers)
    until = datetime.fromtimestamp(at, UTC)
    if session_id != view.id or until <= utcnow():
        return None
    async with db.reads() as session:
        role = await session.scalar(select(Role.name).where(Role.id == role_id).execution_options(unscoped=True))
        pairs = select(Grant.screen, Grant.action).where(Grant.role_id == role_id)
        held = frozenset((screen, action) for screen, action in await session.execute(pairs))
        named = select(Project.name).where(Project.id == project_id).execution_options(unscoped=True)
        project = await session.scalar(named) if project_id else ""
    if role is None or project is None:
        return None
    projects = view.projects
    if project_id:
        projects = frozenset({project_id}) & (projects if projects is not None else {project_id})
    less = not all(granted(view.grants, *pair) for pair in held)
    shown = replace(view, grants=within(view.grants, held), projects=projects)
    return shown, Preview(role_id, role, project, until, less)
