"""Codes and links that are to be confirmed. They are made here, so that none lies in a job."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import db, i18n
from app.domain import confirmations
from app.domain.confirmations.telling import letter
from app.domain.messaging.suppression import is_suppressed
from app.domain.messaging.system import mail_of, written
from app.i18n import gettext, speaking
from app.integrations.codes import NotTaken, Way, sms_of
from app.integrations.mail import Rejected, build_message
from app.integrations.mail.address import host_of
from app.models.confirmations import Confirmation
from app.models.customers import Customer
from app.models.users import User
from tasks import posting
from tasks.base import Again, JobRun, task
from tasks.posting import NotSent

BACK_OFF = 10.0


@task("confirmations.send", timeout=60)
async def send(job: JobRun, *, confirmation_id: int) -> Again | None:
    """Send a code or a link, unless it cannot be used any more."""
    async with db.reads() as session:
        row = await session.scalar(
            select(Confirmation)
            .where(Confirmation.id == confirmation_id)
            .options(
                joinedload(Confirmation.customer).joinedload(Customer.project),
                joinedload(Confirmation.user).joinedload(User.project),
            )
        )
        if row is None or row.ended_at is not None or row.expires_at <= db.utcnow():
            return None
        if row.args.get("way") == Way.SMS:
            return await _text(job, row)
        return await _mail(job, row)


async def _text(job: JobRun, row: Confirmation) -> Again | None:
    gateway = sms_of(job.resources.settings)
    if gateway is None:
        raise NotSent("BURSAR_SMS_URL is not set any more")
    project = row.customer.project
    with speaking(i18n.best(row.customer.language, tuple(i18n.LANGUAGES)) or project.default_language):
        text = gettext("%(code)s is your code for %(project)s. It works for 10 minutes.") % {
            "code": confirmations.code_of(row), "project": project.name,
        }  # fmt: skip
    to = "+" + "".join(c for c in row.value if c.isdecimal())
    try:
        await gateway.send(key=f"code-{row.id}", to=to, text=text)
    except NotTaken as problem:
        if problem.final:
            raise NotSent(str(problem)) from None
        return Again(BACK_OFF)  # until it is too old
    return None


async def _mail(job: JobRun, row: Confirmation) -> Again | None:
    written_at = await posting.begin(job)
    async with db.reads() as session:
        to, kind, language, values = await letter(session, row)
        if await is_suppressed(session, to):
            return None
        code, message = await written(
            session, kind=kind, project_id=row.customer.project_id, language=language, values=values
        )
    parts = mail_of(message, language=code, to=to, values=values)
    try:
        mail = build_message(
            sender=parts["sender"], sender_name=parts["sender_name"], recipient=to, recipient_name="",
            subject=parts["subject"], text=parts["text"], html=parts["html"],
            message_id=f"mail.{job.id}@{host_of(parts['sender'])}", date=written_at,
            headers={"Auto-Submitted": "auto-generated"},
        )  # fmt: skip
    except (ValueError, Rejected) as problem:
        raise NotSent(str(problem)) from None
    return await posting.post(job, mail, sender=parts["sender"], recipient=to, written_at=written_at)
