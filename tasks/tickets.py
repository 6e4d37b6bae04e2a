"""Answers of staff on their way out by e-mail."""

from __future__ import annotations

from datetime import timedelta

from app import db
from app.db import utcnow
from app.domain.tickets import mailing
from app.i18n import gettext
from app.integrations.mail import Deferred, MailAttachment, Rejected, Unsure
from app.integrations.storage import StorageError
from app.observe import log
from tasks.base import Again, JobRun, task

LONGEST = timedelta(days=2)
"""How long a mail server may put an answer off."""
BACK_OFF = 120.0
"""Seconds until it is tried again."""


@task("tickets.mail", timeout=120)
async def mail(job: JobRun, *, message_id: int, address: str) -> Again | None:
    """Send one answer to one address, once. When nobody knows whether it went, it is not sent again: staff are told."""
    async with db.reads() as session:
        if await mailing.begun(session, job_id=job.id):
            return await _failed(message_id, address, str(mailing.UNSURE))
        letter = await mailing.outgoing(session, message_id=message_id, address=address)
    if letter is None:
        return None
    try:
        files = [
            MailAttachment(file.name, file.content_type, await job.resources.storage.read(file.key))
            for file in letter.files
        ]
        message = letter.compose(files)
    except (StorageError, ValueError, Rejected) as problem:
        return await _failed(message_id, address, str(problem))
    await job.progress(1, 1)  # from here on a crash leaves it open whether it went
    if job.cancelled:
        return None
    try:
        await job.resources.mailer.send(message, sender=letter.sender, recipient=address)
    except Rejected as problem:
        return await _failed(message_id, address, str(problem))
    except Deferred as problem:
        await job.progress(0, 1)
        if utcnow() - letter.written_at > LONGEST:
            return await _failed(message_id, address, str(problem))
        log("tickets").warning("the answer %s is put off: %s", message_id, problem)
        return Again(BACK_OFF)
    except Unsure:
        return await _failed(message_id, address, str(mailing.UNSURE))
    return None


async def _failed(message_id: int, address: str, reason: str) -> Again | None:
    """The end of the job: staff are told."""
    async with db.unit() as session:
        await mailing.not_sent(session, message_id=message_id, address=address, reason=gettext(reason))
    return None
