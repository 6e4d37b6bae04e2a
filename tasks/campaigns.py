"""Campaigns in the background, beside the sending itself: quiet hours."""

from __future__ import annotations

from app import db
from app.domain.messaging import campaigns, plans
from app.errors import NotFound
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
