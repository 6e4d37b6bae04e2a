"""Single mails in the background: the system's own, and tests to staff."""

from __future__ import annotations

from app.integrations.mail import build_message
from app.integrations.mail.address import host_of
from tasks.base import JobRun, task


@task("messaging.mail", timeout=120, tries=5)
async def mail(job: JobRun, *, to: str, sender: str, sender_name: str, subject: str, text: str, html: str) -> None:
    """Send one mail that is written already."""
    message = build_message(
        sender=sender, sender_name=sender_name, recipient=to, recipient_name="", subject=subject, text=text, html=html,
        message_id=f"mail.{job.id}@{host_of(sender)}",
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no out-of-office replies, please
    )  # fmt: skip
    await job.resources.mailer.send(message, sender=sender, recipient=to)
