"""Campaigns in the background, beside the sending itself: quiet hours, and test mails."""

from __future__ import annotations

from app import db
from app.domain.messaging import campaigns, plans
from app.errors import NotFound
from app.integrations.mail import build_message
from app.models.messaging import CampaignState
from tasks.base import Again, JobRun, task


@task("messaging.hush", timeout=300)
async def hush(job: JobRun, *, campaign_id: int, run: int) -> Again | None:
    """While a campaign with quiet hours runs: let those sleep whose quiet hours have begun. Opens its lanes."""
    async with db.unit() as session:
        try:
            campaign = await campaigns.locked(session, campaign_id)
        except NotFound:
            return None
        if campaign.state is not CampaignState.RUNNING or campaign.run != run:
            return None
        await plans.hush(session, campaign)
        await campaigns.enqueue_lanes(session, campaign)
        now = await plans.clock(session)
    return Again(plans.until_next_look(now))


@task("messaging.test", timeout=120, tries=3)
async def test_mail(job: JobRun, *, to: str, sender: str, sender_name: str, subject: str, text: str, html: str) -> None:
    """A message as a customer would get it, to the staff member who writes it."""
    domain = sender.rpartition("@")[2]
    message = build_message(
        sender=sender, sender_name=sender_name, recipient=to, recipient_name="", subject=subject, text=text, html=html,
        message_id=f"test.{job.id}@{domain.encode('idna').decode() if domain else 'localhost'}",
        headers={"Auto-Submitted": "auto-generated"},
    )  # fmt: skip
    await job.resources.mailer.send(message, sender=sender, recipient=to)
