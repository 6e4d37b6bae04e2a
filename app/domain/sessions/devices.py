"""Where a person is signed in, in plain words, and signing out there."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.sessions.person import Person
from app.domain.sessions.rows import STAFF_IDLE, end, note
from app.errors import NotFound
from app.i18n import gettext
from app.models.sessions import LoginSession, SessionKind

MOST = 50
BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
SYSTEMS = {
    "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "macOS",
    "CrOS": "ChromeOS", "Linux": "Linux",
}  # fmt: skip


def device(agent: str) -> str:
    """What a browser calls itself, in two words: "Firefox, Windows". What is not known is not guessed."""
    parts = [next((name for sign, name in known.items() if sign in agent), "") for known in (BROWSERS, SYSTEMS)]
    return ", ".join(filter(None, parts)) or gettext("Unknown device")


async def living(session: AsyncSession, person: Person) -> Sequence[LoginSession]:
    """The sessions in which a person is signed in now, the one used last first; without visits."""
    now = utcnow()
    kind = SessionKind.STAFF if person.staff_id is not None else SessionKind.CLIENT
    query = select(LoginSession).where(
        person.owns(LoginSession), LoginSession.kind == kind, LoginSession.ended_at.is_(None),
        LoginSession.expires_at > now,
    )  # fmt: skip
    if person.staff_id is not None:
        query = query.where(LoginSession.last_seen_at > now - STAFF_IDLE)
    rows = await session.scalars(query.order_by(LoginSession.last_seen_at.desc(), LoginSession.id.desc()).limit(MOST))
    return rows.all()


async def sign_out_there(session: AsyncSession, *, person: Person, session_id: int) -> None:
    """End one session of this person. Raises NotFound, also for somebody else's."""
    kind = SessionKind.STAFF if person.staff_id is not None else SessionKind.CLIENT
    ended = await end(session, LoginSession.id == session_id, person.owns(LoginSession), LoginSession.kind == kind)
    if not ended:
        raise NotFound
    await note(session, "sessions_ended", person.noun, person.id, {"sessions": [ended, None]})
