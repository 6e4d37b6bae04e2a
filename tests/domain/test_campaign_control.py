"""Pausing, planning, approving and holding back campaigns."""

from __future__ import annotations

from itertools import product

import pytest

from app import db
from app.domain.messaging import campaigns
from app.errors import Conflict, NotFound
from app.models.messaging import CAMPAIGN_MOVES, Campaign, CampaignState, Channel, DeliveryState
from tasks import base
from tests import factories as make
from tests.domain.test_messaging import Sink, resources, rows, sink, smtp, start, state_of, work

__all__ = ["resources", "sink", "smtp"]  # fixtures
pytestmark = pytest.mark.usefixtures("database", "redis")


def test_the_table_of_moves_is_the_only_rule() -> None:
    for before, after in product(CampaignState, repeat=2):
        campaign = Campaign(state=before)
        if after in CAMPAIGN_MOVES[before]:
            campaigns.move(campaign, after)
            assert campaign.state is after
        else:
            with pytest.raises(Conflict) as refused:
                campaigns.move(campaign, after)
            assert refused.value.status == 409 and str(before.label) in str(refused.value)
            assert campaign.state is before


async def test_a_paused_campaign_sends_nothing_until_it_is_resumed(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        for n in range(5):
            await make.create_customer(session, email=f"c{n}@example.com")
    campaign = await start()
    async with db.unit() as session:
        await campaigns.materialise(session, campaign_id=campaign.id)
        paused = await campaigns.pause_campaign(session, campaign_id=campaign.id, reason="Too many failed.")
        assert (paused.state, paused.error) == (CampaignState.PAUSED, "Too many failed.")
    await work(resources)
    assert smtp.mails == [] and {row.state for row in await rows()} == {DeliveryState.DUE}
    async with db.unit() as session:
        with pytest.raises(Conflict):
            await campaigns.pause_campaign(session, campaign_id=campaign.id)
        resumed = await campaigns.resume_campaign(session, campaign_id=campaign.id)
        assert (resumed.state, resumed.error, resumed.run) == (CampaignState.RUNNING, "", 2)
        with pytest.raises(Conflict):
            await campaigns.resume_campaign(session, campaign_id=campaign.id)
    await work(resources)
    assert len(smtp.mails) == 5 and {row.state for row in await rows()} == {DeliveryState.SENT}
    assert await state_of(campaign) is CampaignState.DONE


async def test_a_paused_campaign_can_be_stopped(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="c@example.com")
    campaign = await start()
    async with db.unit() as session:
        await campaigns.materialise(session, campaign_id=campaign.id)
        await campaigns.pause_campaign(session, campaign_id=campaign.id)
        await campaigns.stop_campaign(session, campaign_id=campaign.id)
        with pytest.raises(Conflict):
            await campaigns.resume_campaign(session, campaign_id=campaign.id)
    await work(resources)
    assert smtp.mails == [] and {row.state for row in await rows()} == {DeliveryState.SKIPPED}


async def test_sending_failed_ones_again_does_not_end_a_pause(resources: base.Resources) -> None:
    async with db.unit() as session:
        await make.create_customer(session, email="c@example.com")
    campaign = await start()
    async with db.unit() as session:
        with pytest.raises(Conflict):
            await campaigns.resend_failed(session, campaign_id=campaign.id)
        await campaigns.materialise(session, campaign_id=campaign.id)
        await campaigns.pause_campaign(session, campaign_id=campaign.id)
    async with db.unit() as session:
        row = next(r for r in await rows() if r.channel is Channel.EMAIL)
        (await session.merge(row)).state = DeliveryState.FAILED
        await session.flush()
        assert await campaigns.resend_failed(session, campaign_id=campaign.id) == 1
    assert await state_of(campaign) is CampaignState.PAUSED


async def test_a_campaign_that_is_not_there_cannot_be_paused() -> None:
    async with db.unit() as session:
        with pytest.raises(NotFound):
            await campaigns.pause_campaign(session, campaign_id=1)
        with pytest.raises(NotFound):
            await campaigns.resume_campaign(session, campaign_id=1)
