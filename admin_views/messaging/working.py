"""Campaigns as long work: on their card, among what runs now, among the latest."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_views.base.figures import figure
from admin_views.base.working import work
from app.domain.messaging import delivery
from app.i18n import gettext, show_number
from app.models.messaging import Campaign, CampaignState, DeliveryState

GOING = (CampaignState.STARTING, CampaignState.RUNNING)
WAITING = (CampaignState.APPROVAL, CampaignState.SCHEDULED, CampaignState.MISSED)
"""Nothing is chosen yet: it waits for somebody, or for its time."""
KINDS = {
    DeliveryState.SENT: "ok", DeliveryState.REVIEW: "warn", DeliveryState.FAILED: "bad", DeliveryState.SKIPPED: "",
    DeliveryState.LEASED: "info", DeliveryState.DUE: "",
}  # fmt: skip
"""In the order in which they are shown."""


def work_of(campaign: Campaign, p: delivery.Progress) -> dict[str, Any]:
    """A campaign with the counts of its deliveries."""
    card = f"/admin/campaign/details/{campaign.id}"
    counts = [
        {"label": str(s.label), "n": p.counts.get(s, 0), "kind": kind, "url": f"{card}?tab=delivery&state.in={s.value}"}
        for s, kind in KINDS.items()
    ]
    return work(
        label=campaign.subject,
        url=card,
        state=campaign.state,
        going=campaign.state in GOING,
        done=p.done,
        total=p.total,
        rate=p.rate,
        seconds_left=p.seconds_left,
        counts=counts,
        note=gettext(p.trouble),
    )


async def counted(session: AsyncSession, campaign: Campaign) -> delivery.Progress:
    """How far it is; of a large campaign, how far it was a moment ago."""
    return await figure(
        f"campaign {campaign.id} {campaign.version}", partial(delivery.progress, session, campaign_id=campaign.id)
    )


async def running(session: AsyncSession, limit: int) -> list[dict[str, Any]]:
    """Campaigns that are being sent."""
    found = (await session.scalars(select(Campaign).where(Campaign.state.in_(GOING)).limit(limit))).all()
    shown = [work_of(campaign, await counted(session, campaign)) for campaign in found]
    return [{**w, "label": gettext("Campaign: %(name)s") % {"name": w["label"]}} for w in shown]


async def latest(session: AsyncSession, limit: int) -> list[dict[str, Any]]:
    """The latest campaigns and what became of their messages; the note says what did not arrive."""
    shown = []
    for campaign in (await session.scalars(select(Campaign).order_by(Campaign.id.desc()).limit(limit))).all():
        p = await counted(session, campaign)
        troubled = [(s, p.counts.get(s, 0)) for s in (DeliveryState.FAILED, DeliveryState.REVIEW)]
        note = ", ".join(f"{s.label} {show_number(n)}" for s, n in troubled if n)
        shown.append({**work_of(campaign, p), "note": note})
    return shown
