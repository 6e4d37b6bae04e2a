"""Campaigns: one message to one or many customers, their states and lanes, and what is decided while they run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import moment, utcnow
from app.domain.messaging import consent
from app.domain.messaging.content import load_content
from app.domain.messaging.values import load as load_values
from app.errors import Conflict, NotFound
from app.i18n import _
from app.models import audit
from app.models.messaging import CAMPAIGN_MOVES, Campaign, CampaignState, Delivery, DeliveryState
from app.queue import enqueue

LANES = 2
"""Deliver jobs of one campaign that may run at once, in any worker."""
STOPPED = _("The campaign was stopped before it was this one's turn.")
UNCONFIRMED = _("The mail server never confirmed it; taken as sent.")


def move(campaign: Campaign, to: CampaignState) -> None:
    """Change the state. Raises Conflict for a move that is not in CAMPAIGN_MOVES."""
    if to not in CAMPAIGN_MOVES[campaign.state]:
        raise refusal(campaign)
    campaign.state = to


def refusal(campaign: Campaign) -> Conflict:
    """Why something cannot be done with this campaign now."""
    state = str(campaign.state.label)
    return Conflict(_('This is not possible while the campaign is in the state "%(state)s".') % {"state": state})


async def locked(session: AsyncSession, campaign_id: int) -> Campaign:
    """The campaign, held until the end of the unit. Raises NotFound, also for one that the person may not see."""
    campaign = await session.scalar(
        select(Campaign).where(Campaign.id == campaign_id).with_for_update()
        .execution_options(populate_existing=True)
    )  # fmt: skip
    if campaign is None:
        raise NotFound
    return campaign


async def count_by_state(session: AsyncSession, campaign_id: int) -> dict[DeliveryState, int]:
    rows = await session.execute(
        select(Delivery.state, func.count()).where(Delivery.campaign_id == campaign_id).group_by(Delivery.state)
    )
    return {row[0]: row[1] for row in rows}


async def open_lanes(session: AsyncSession, campaign: Campaign) -> None:
    campaign.run += 1
    await session.flush()
    if campaign.quiet_from is not None:  # it first looks whose quiet hours have begun, then opens the lanes
        key = f"hush:{campaign.id}:{campaign.run}"
        await enqueue(session, "messaging.hush", key=key, campaign_id=campaign.id, run=campaign.run)
    else:
        await enqueue_lanes(session, campaign)


async def enqueue_lanes(session: AsyncSession, campaign: Campaign) -> None:
    for lane in range(LANES):
        key = f"deliver:{campaign.id}:{lane}:{campaign.run}"  # each run has lanes of its own, once
        await enqueue(session, "messaging.deliver", key=key, campaign_id=campaign.id, lane=lane)


async def pause_campaign(session: AsyncSession, *, campaign_id: int, reason: str = "") -> Campaign:
    """Send nothing more until it is resumed; `reason` is shown until then. Raises NotFound, Conflict.

    What is on the wire this moment still arrives.
    """
    campaign = await locked(session, campaign_id)
    move(campaign, CampaignState.PAUSED)
    campaign.error = reason[:2000]
    await session.flush()
    return campaign


async def resume_campaign(session: AsyncSession, *, campaign_id: int) -> Campaign:
    """Go on with a paused campaign, in a run of its own. Raises NotFound, Conflict."""
    campaign = await locked(session, campaign_id)
    if campaign.state is not CampaignState.PAUSED:
        raise refusal(campaign)
    await _run_again(session, campaign)
    return campaign


async def stop_campaign(session: AsyncSession, *, campaign_id: int) -> Campaign:
    """Send nothing more. What is on the wire this moment still arrives. Raises NotFound, Conflict."""
    campaign = await locked(session, campaign_id)
    move(campaign, CampaignState.CANCELLED)
    campaign.finished_at = utcnow()
    await session.flush()
    await enqueue(session, "messaging.wind_up", key=f"wind_up:{campaign.id}", campaign_id=campaign.id)
    return campaign


async def wind_up(session: AsyncSession, *, campaign_id: int) -> bool:
    """Mark what a stopped campaign did not send. True when nothing is on its way any more."""
    await _mark(
        session, campaign_id, DeliveryState.DUE,
        state=DeliveryState.SKIPPED, error=str(STOPPED), lease_token=None, lease_until=None,
    )  # fmt: skip
    return not (await count_by_state(session, campaign_id)).get(DeliveryState.LEASED, 0)


async def resend_failed(session: AsyncSession, *, campaign_id: int) -> int:
    """Try the failed deliveries once more, from the first try on. Returns how many. Raises NotFound, Conflict."""
    campaign = await locked(session, campaign_id)
    _refuse_to_send(campaign)
    n = await _mark(session, campaign_id, DeliveryState.FAILED, **_FRESH)
    n = max(n - await consent.recheck(session, campaign_id=campaign.id), 0)
    if n:
        await session.run_sync(audit.write, "resend", "campaign", campaign.id, {"failed": [n, 0]})
        if campaign.state is CampaignState.DONE:  # otherwise its lanes find the rows, now or when it is resumed
            await _run_again(session, campaign)
    return n


async def decide_review(session: AsyncSession, *, campaign_id: int, resend: bool) -> int:
    """Decide about all deliveries of which nobody knows whether they arrived: send them again, or take them as sent.

    Returns how many there were. Raises NotFound, Conflict for a stopped campaign that should send again.
    """
    campaign = await locked(session, campaign_id)
    if resend:
        _refuse_to_send(campaign)
        n = await _mark(session, campaign_id, DeliveryState.REVIEW, **_FRESH)
        n = max(n - await consent.recheck(session, campaign_id=campaign.id), 0)
        if n and campaign.state is CampaignState.DONE:
            await _run_again(session, campaign)
    else:
        n = await _take_as_sent(session, campaign)
    if n:
        note = "resend" if resend else "taken as sent"
        await session.run_sync(audit.write, "review", "campaign", campaign.id, {"review": [n, 0]}, note=note)
    return n


def _refuse_to_send(campaign: Campaign) -> None:
    """Rows can be set due again while it runs, is paused or is over."""
    if campaign.state not in (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.DONE):
        raise refusal(campaign)


_FRESH: dict[str, Any] = {"state": DeliveryState.DUE, "attempt": 0, "error": "", "started_at": None}


async def _mark(session: AsyncSession, campaign_id: int, where: DeliveryState, **values: Any) -> int:
    result = await session.execute(
        update(Delivery)
        .where(Delivery.campaign_id == campaign_id, Delivery.state == where)
        .values(next_at=moment(), **values)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


async def _run_again(session: AsyncSession, campaign: Campaign) -> None:
    move(campaign, CampaignState.RUNNING)
    campaign.finished_at = None
    campaign.error = ""
    await open_lanes(session, campaign)


async def _take_as_sent(session: AsyncSession, campaign: Campaign) -> int:
    found = await session.execute(
        select(Delivery.message_id, Delivery.language, func.coalesce(Delivery.started_at, moment())).where(
            Delivery.campaign_id == campaign.id, Delivery.state == DeliveryState.REVIEW
        )
    )
    rows = {message_id: (language, at) for message_id, language, at in found}
    if not rows:
        return 0
    content = await load_content(session, campaign.id)
    languages = {message_id: language for message_id, (language, _at) in rows.items()}
    ids = sorted(rows)
    for start in range(0, len(ids), 500):
        part = {i: languages[i] for i in ids[start : start + 500]}
        values = await load_values(session, macros=content.macros, rows=part, staff_name=content.staff_name)
        for message_id in part:
            await session.execute(
                update(Delivery)
                .where(Delivery.message_id == message_id, Delivery.state == DeliveryState.REVIEW)
                .values(
                    state=DeliveryState.SENT, sent_at=rows[message_id][1], error=str(UNCONFIRMED),
                    values=values[message_id].values if message_id in values else {},
                )
                .execution_options(synchronize_session=False)
            )  # fmt: skip
    return len(rows)
