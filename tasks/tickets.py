"""Answers of staff on their way out by e-mail."""

from __future__ import annotations

from app import db
from app.domain.tickets import mailing
from app.i18n import gettext
from app.integrations.mail import Rejected
from app.integrations.storage import StorageError
from tasks import posting
from tasks.base import Again, JobRun, task
from tasks.posting import NotSent


@task("tickets.mail", timeout=120)
async def mail(job: JobRun, *, message_id: int, address: str) -> Again | None:
    """Send one answer to one address, once. What did not go, or perhaps not, is told to staff in the ticket."""
    try:
        written_at = await posting.begin(job)
        async with db.reads() as session:
            letter = await mailing.outgoing(session, message_id=message_id, address=address)
        if letter is None:
            return None
        try:
            message = letter.compose(await posting.read(job, letter.files), job_id=job.id, written_at=written_at)
        except (StorageError, ValueError, Rejected) as problem:
            raise NotSent(str(problem)) from None
        return await posting.post(job, message, sender=letter.sender, recipient=address, written_at=written_at)
    except NotSent as problem:
        async with db.unit() as session:
            reason = gettext(problem.message)
            await mailing.not_sent(session, message_id=message_id, address=address, reason=reason)
        return None
