"""Single mails in the background: the system's own, and tests to staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from app import db
from app.domain.messaging.headers import REFERENCE, token_of
from app.domain.messaging.replies import inbound_address
from app.domain.messaging.suppression import is_suppressed
from app.integrations.mail import Rejected, build_message
from app.integrations.mail.address import host_of
from app.integrations.storage import StorageError
from app.models.attachments import Attachment
from tasks import posting
from tasks.base import Again, JobRun, task
from tasks.posting import NotSent


@task("messaging.mail", timeout=120)
async def mail(
    job: JobRun, *, to: str, sender: str, sender_name: str, subject: str, text: str, html: str,
    attachments: Sequence[int] = (), customer_id: int | None = None,
) -> Again | None:  # fmt: skip
    """Send one mail that is written already, once. What is not sent is a job that has failed: staff see why, and may
    send it again. customer_id: whom it is about, for what comes back."""
    return await deliver(
        job, await posting.begin(job), to=to, sender=sender, sender_name=sender_name, subject=subject, text=text,
        html=html, attachments=attachments,
    )  # fmt: skip


async def deliver(
    job: JobRun, written_at: datetime, *, to: str, sender: str, sender_name: str, subject: str, text: str, html: str,
    attachments: Sequence[int] = (),
) -> Again | None:  # fmt: skip
    """Send the mail of a job, once. Raises NotSent."""
    async with db.reads() as session:
        if await is_suppressed(session, to):
            return None
        found = await session.scalars(
            select(Attachment).where(Attachment.id.in_(attachments)), execution_options={"unscoped": True}
        )
        rows = {row.id: row for row in found}
    if missing := [n for n in attachments if n not in rows]:
        raise NotSent(f"An attached file is missing: {missing}")
    headers = {"Auto-Submitted": "auto-generated", REFERENCE: token_of(f"mail.{job.id}")}  # RFC 3834, and for bounces
    if answers := inbound_address():
        headers |= {"Reply-To": answers, "X-Loop": answers}
    try:
        message = build_message(
            sender=sender, sender_name=sender_name, recipient=to, recipient_name="", subject=subject, text=text,
            html=html, message_id=f"mail.{job.id}@{host_of(sender)}", date=written_at, headers=headers,
            attachments=await posting.read(job, [rows[n] for n in attachments]),
        )  # fmt: skip
    except (StorageError, ValueError, Rejected) as problem:
        raise NotSent(str(problem)) from None
    return await posting.post(job, message, sender=sender, recipient=to, written_at=written_at)
