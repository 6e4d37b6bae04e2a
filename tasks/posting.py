"""Mails that may not go twice: one job each. When nobody knows whether one went, it is not sent again by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain.messaging.bounces import take_refusal
from app.errors import Conflict
from app.i18n import _
from app.integrations.mail import Deferred, MailAttachment, Rejected, Unsure
from app.models.attachments import Attachment
from app.models.jobs import Job
from app.observe import log
from tasks.base import Again, JobRun

LONGEST = timedelta(days=2)
"""How long a mail server may put a mail off."""
BACK_OFF = 120.0
"""Seconds until it is tried again."""
UNSURE = _("the mail server fell silent; nobody knows whether it arrived. It is not sent again.")


class NotSent(Conflict):
    """A mail did not go out, or perhaps not; the text says why."""


async def begin(job: JobRun) -> datetime:
    """When the mail of this job was written. Raises NotSent when an earlier run has gone to the mail server with it and
    did not say how that ended."""
    async with db.reads() as session:
        done, written_at = (await session.execute(select(Job.done, Job.created_at).where(Job.id == job.id))).one()
    if done:
        raise NotSent(UNSURE)
    return written_at


async def read(job: JobRun, files: Sequence[Attachment]) -> list[MailAttachment]:
    """The files with their contents. Raises StorageError."""
    store = job.resources.storage
    return [MailAttachment(file.name, file.content_type, await store.read(file.key)) for file in files]


async def post(job: JobRun, message: bytes, *, sender: str, recipient: str, written_at: datetime) -> Again | None:
    """Hand a mail to the mail server, once; Again: it is put off. Raises NotSent."""
    await job.progress(1, 1)  # from here on a crash leaves it open whether it went
    if job.cancelled:
        return None
    try:
        await job.resources.mailer.send(message, sender=sender, recipient=recipient)
    except Rejected as problem:
        async with db.unit() as session:
            await take_refusal(session, address=recipient, code=problem.code, reason=problem.reason)
        raise NotSent(str(problem)) from None
    except Deferred as problem:
        await job.progress(0, 1)
        if utcnow() - written_at > LONGEST:
            raise NotSent(str(problem)) from None
        log("mail").warning("%s %s is put off: %s", job.name, job.id, problem)
        return Again(BACK_OFF)
    except Unsure:
        raise NotSent(UNSURE) from None
    return None
