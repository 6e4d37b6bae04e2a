"""Mails about signing in, with links that are made when they are sent, and the daily tidying up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import signup
from app.domain.sessions import Person, letters, links
from app.models.sessions import OneUseKind
from tasks import mails, posting
from tasks.base import Again, JobRun, task
from tasks.daily import daily

Letter = Callable[[AsyncSession], Awaitable[dict[str, Any] | None]]


async def _post(job: JobRun, write: Letter) -> Again | None:
    """Write a mail now and send it once. A mail that is put off is written anew, with a link of its own."""
    written_at = await posting.begin(job)
    async with db.unit() as session:
        letter = await write(session)
    return None if letter is None else await mails.deliver(job, written_at, **letter)


@task("sessions.link", timeout=120)
async def link(job: JobRun, *, kind: str, user_id: int | None, staff_id: int | None) -> Again | None:
    """Mail a link to a person."""
    person = Person(user_id, staff_id)
    return await _post(job, lambda session: letters.with_link(session, kind=OneUseKind(kind), person=person))


@task("sessions.notice", timeout=120)
async def notice(job: JobRun, *, what: str, user_id: int | None, staff_id: int | None) -> Again | None:
    """Tell a person of a change of the sign-in."""
    return await _post(job, lambda session: letters.of_change(session, person=Person(user_id, staff_id), what=what))


@task("signup.mail", timeout=120)
async def confirm_registration(job: JobRun, *, registration_id: int) -> Again | None:
    """Write to who has registered."""
    return await _post(job, lambda session: signup.letter(session, registration_id))


@daily("signup.tidy", hour=3)
async def tidy(job: JobRun, *, day: str) -> None:
    """Forget what nobody has confirmed."""
    async with db.unit() as session:
        await signup.tidy(session)


@task("sessions.reset", timeout=120)
async def reset(job: JobRun, *, people: Sequence[dict[str, int | None]]) -> None:
    """One mail to each who has asked for a new password."""
    async with db.unit() as session:
        for n, who in enumerate(people):
            await links.mail(session, kind=OneUseKind.RESET, key=f"reset:{job.id}:{n}", **who)
