"""Pausing, planning, approving and holding back campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from app import db
from app.db import utcnow
from app.domain.messaging import campaigns, plans, starting
from app.domain.messaging.plans import Pace, Plan, turn
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.i18n import speaking
from app.models.jobs import Job, JobState
from app.models.messaging import CAMPAIGN_MOVES, Campaign, CampaignState, Channel, Delivery, DeliveryState
from app.models.staff import Staff
from app.observe import Actor, Kind, acting
from tasks import base
from tasks import campaigns as campaign_tasks
from tests import factories as make
from tests.domain.test_messaging import Sink, make_due, resources, rows, sink, smtp, start, state_of, work

assert campaign_tasks  # registers its tasks
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
        await starting.materialise(session, campaign_id=campaign.id)
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
        await starting.materialise(session, campaign_id=campaign.id)
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
        await starting.materialise(session, campaign_id=campaign.id)
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


# ---- plans ----------------------------------------------------------------------------------------------------------


async def _customers(n: int, **kw: object) -> None:
    async with db.unit() as session:
        for _n in range(n):
            await make.create_customer(session, **kw)


async def _come(campaign: Campaign, late: timedelta = timedelta(0)) -> None:
    """Let the time of a planned campaign come, and pass by so much."""
    async with db.unit() as session:
        at = utcnow() - late - timedelta(seconds=1)
        (await session.get_one(Campaign, campaign.id)).send_at = at
        await session.execute(update(Job).where(Job.state == JobState.DUE).values(due_at=at))


async def test_a_planned_campaign_waits_for_its_time(smtp: Sink, resources: base.Resources) -> None:
    await _customers(2)
    campaign = await start(plan=Plan(send_at=utcnow() + timedelta(hours=3)))
    assert campaign.state is CampaignState.SCHEDULED
    await work(resources)
    assert await state_of(campaign) is CampaignState.SCHEDULED and await rows() == []
    await _customers(1)  # who comes until then is asked too
    await _come(campaign)
    await work(resources)
    assert await state_of(campaign) is CampaignState.DONE and len(smtp.mails) == 3


async def test_another_time_stays_the_recipients_own() -> None:
    first, later = utcnow() + timedelta(days=3), utcnow() + timedelta(days=9)
    campaign = await start(plan=Plan(send_at=first, local_time=True))

    async def planned(**kw: Any) -> tuple[str, datetime | None]:
        async with db.unit() as session:
            changed = await starting.plan_campaign(session, campaign_id=campaign.id, **kw)
            assert changed.state is CampaignState.SCHEDULED
            return changed.local_at, changed.send_at

    clock = later.strftime("%Y-%m-%dT%H:%M")
    begins = datetime.fromisoformat(clock).replace(tzinfo=UTC) - timedelta(hours=14)
    assert await planned(send_at=later) == (clock, begins)
    assert await planned(send_at=later, local_time=False) == ("", later)
    assert await planned(send_at=first) == ("", first)
    assert (await planned(send_at=later, local_time=True)) == (clock, begins)


async def test_a_plan_that_is_missed_by_too_much_asks_again(smtp: Sink, resources: base.Resources) -> None:
    await _customers(1)
    plan = Plan(send_at=utcnow() + timedelta(hours=3), grace_minutes=30)
    late, missed = await start(plan=plan), await start(plan=plan, key="form-2")
    await _come(late, timedelta(minutes=29))
    await _come(missed, timedelta(minutes=31))
    await work(resources)
    assert await state_of(late) is CampaignState.DONE and len(smtp.mails) == 1
    assert await state_of(missed) is CampaignState.MISSED
    async with db.unit() as session:
        with pytest.raises(Invalid):
            await starting.plan_campaign(session, campaign_id=missed.id, send_at=utcnow() - timedelta(minutes=1))
        await starting.plan_campaign(session, campaign_id=missed.id, send_at=utcnow() + timedelta(hours=1))
    assert await state_of(missed) is CampaignState.SCHEDULED
    async with db.unit() as session:
        await starting.plan_campaign(session, campaign_id=missed.id, send_at=None)
    await work(resources)
    assert await state_of(missed) is CampaignState.DONE and len(smtp.mails) == 2


async def test_the_job_of_an_old_plan_starts_nothing(smtp: Sink, resources: base.Resources) -> None:
    await _customers(1)
    campaign = await start(plan=Plan(send_at=utcnow() + timedelta(hours=1)))
    async with db.unit() as session:
        await starting.plan_campaign(session, campaign_id=campaign.id, send_at=utcnow() + timedelta(days=1))
        await session.execute(update(Job).where(Job.due_at < utcnow() + timedelta(hours=2)).values(due_at=utcnow()))
    await work(resources)
    assert await state_of(campaign) is CampaignState.SCHEDULED and smtp.mails == []


async def test_a_planned_campaign_can_be_stopped_and_a_running_one_has_no_plan(resources: base.Resources) -> None:
    await _customers(1)
    campaign = await start(plan=Plan(send_at=utcnow() + timedelta(hours=1)))
    async with db.unit() as session:
        await campaigns.stop_campaign(session, campaign_id=campaign.id)
        with pytest.raises(Conflict):
            await starting.plan_campaign(session, campaign_id=campaign.id, send_at=None)
    await _come(campaign)
    await work(resources)
    assert await state_of(campaign) is CampaignState.CANCELLED and await rows() == []


@pytest.mark.parametrize(
    ("plan", "pace", "field"),
    [
        (Plan(grace_minutes=0), Pace(), "grace_minutes"),
        (Plan(quiet_from=22), Pace(), "quiet_until"),
        (Plan(quiet_from=8, quiet_until=8), Pace(), "quiet_until"),
        (Plan(quiet_from=24, quiet_until=8), Pace(), "quiet_from"),
        (Plan(local_time=True), Pace(), "send_at"),
        (Plan(send_at=datetime(2020, 1, 1, tzinfo=UTC)), Pace(), "send_at"),
        (Plan(), Pace(per_second=-1), "per_second"),
        (Plan(), Pace(stop_percent=101), "stop_percent"),
    ],
)
async def test_a_plan_or_pace_that_makes_no_sense_is_refused(plan: Plan, pace: Pace, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        await start(plan=plan, pace=pace)
    assert set(refused.value.fields) == {field}


# ---- time zones and quiet hours -------------------------------------------------------------------------------------

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "local_at", "quiet", "expected"),
    [
        ("UTC", "", None, "2026-11-22T12:00"),
        ("UTC", "", (21, 8), "2026-11-22T12:00"),
        ("Asia/Tokyo", "", (21, 8), "2026-11-22T23:00"),  # it is 21:00 there: at 8:00 of the next day
        ("Asia/Tokyo", "", (22, 8), "2026-11-22T12:00"),
        ("Europe/Berlin", "", (13, 15), "2026-11-22T14:00"),
        ("Europe/Berlin", "", (15, 13), "2026-11-22T12:00"),  # the hour at which they end is not quiet
        ("America/New_York", "2026-11-22T09:00", None, "2026-11-22T14:00"),
        ("Asia/Tokyo", "2026-11-22T09:00", None, "2026-11-22T12:00"),  # past there: at once
        ("America/New_York", "2026-11-22T22:00", (21, 8), "2026-11-23T13:00"),
        ("Nowhere/At_All", "", (11, 14), "2026-11-22T14:00"),
        ("../etc/passwd", "", None, "2026-11-22T12:00"),
    ],
)
def test_when_it_is_a_recipients_turn(zone: str, local_at: str, quiet: tuple[int, int] | None, expected: str) -> None:
    at = turn(zone, now=NOON, local_at=local_at, quiet=quiet)
    assert at.strftime("%Y-%m-%dT%H:%M") == expected


def test_quiet_hours_end_by_the_clock_also_when_it_is_changed() -> None:
    evening = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)  # 23:30 in Berlin, the night in which an hour is left out
    at = turn("Europe/Berlin", now=evening, quiet=(22, 8)).astimezone(ZoneInfo("Europe/Berlin"))
    assert (at.day, at.hour, at.minute) == (29, 8, 0)


def _hours_around(now: datetime) -> tuple[int, int]:
    """Quiet hours in which UTC is now, and places eight hours away are not."""
    return (now - timedelta(hours=1)).hour, (now + timedelta(hours=2)).hour


async def test_quiet_hours_are_those_of_the_customer_else_of_the_project(smtp: Sink, resources: base.Resources) -> None:
    async with db.unit() as session:
        here = await make.create_project(session, timezone="UTC")
        there = await make.create_project(session, timezone="Asia/Singapore")
        for email, project, zone in (
            ("asleep@example.com", here, ""), ("awake@example.com", here, "Asia/Singapore"),
            ("also-awake@example.com", there, ""), ("also-asleep@example.com", there, "UTC"),
        ):  # fmt: skip
            await make.create_customer(session, project=project, email=email, timezone=zone)
    begin, end = _hours_around(utcnow())
    campaign = await start(plan=Plan(quiet_from=begin, quiet_until=end))
    await work(resources, rounds=4)
    assert set(smtp.recipients) == {"awake@example.com", "also-awake@example.com"}
    later = {row.next_at for row in await rows(state=DeliveryState.DUE)}
    assert len(later) == 1 and later.pop().hour == end
    assert await state_of(campaign) is CampaignState.RUNNING


async def test_quiet_hours_that_begin_while_it_runs_are_kept(resources: base.Resources, smtp: Sink) -> None:
    await _customers(2, timezone="UTC", email="one@example.com")
    campaign = await start(channels=["email"])
    async with db.unit() as session:
        await starting.materialise(session, campaign_id=campaign.id)
        await campaigns.pause_campaign(session, campaign_id=campaign.id)
        begin, end = _hours_around(utcnow())
        paused = await session.get_one(Campaign, campaign.id)
        paused.quiet_from, paused.quiet_until = begin, end
    await work(resources)  # the lanes of the first run end
    async with db.unit() as session:
        await campaigns.resume_campaign(session, campaign_id=campaign.id)
    await work(resources, rounds=4)
    assert smtp.mails == [] and {row.next_at.hour for row in await rows()} == {end}


def test_the_next_look_is_at_the_next_quarter() -> None:
    assert plans.until_next_look(datetime(2026, 1, 1, 12, 14, 30, tzinfo=UTC)) == pytest.approx(30.05)
    assert plans.until_next_look(datetime(2026, 1, 1, 12, 15, 0, tzinfo=UTC)) == pytest.approx(900.05)


async def test_each_gets_it_at_this_time_of_their_own_day(resources: base.Resources, smtp: Sink) -> None:
    await _customers(1, timezone="Pacific/Auckland", email="early@example.com")
    await _customers(1, timezone="America/Los_Angeles", email="late@example.com")
    wall = (utcnow() + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)  # past in Auckland already
    with speaking("en", "UTC"):
        campaign = await start(channels=["email"], plan=Plan(send_at=wall, local_time=True))
    assert campaign.state is CampaignState.STARTING
    await work(resources, rounds=4)
    assert smtp.recipients == ["early@example.com"]
    [row] = await rows(state=DeliveryState.DUE)
    there = row.next_at.astimezone(ZoneInfo("America/Los_Angeles"))
    assert (there.hour, there.day) == (wall.hour, wall.day)


async def test_a_time_of_day_far_away_waits_for_the_first_clocks() -> None:
    at = utcnow() + timedelta(days=3)
    with speaking("en", "UTC"):
        campaign = await start(plan=Plan(send_at=at, local_time=True))
    assert campaign.state is CampaignState.SCHEDULED and campaign.send_at is not None
    assert timedelta(hours=14) <= at - campaign.send_at < timedelta(hours=14, minutes=1)


# ---- approval -------------------------------------------------------------------------------------------------------


async def _people(n: int) -> Sequence[Staff]:
    async with db.unit() as session:
        return [await make.create_staff(session, full_name=f"Colleague {i}") for i in range(n)]


def _as(staff: Staff) -> Actor:
    return Actor(Kind.STAFF, staff_id=staff.id)


async def test_above_the_limit_a_second_person_approves(smtp: Sink, resources: base.Resources) -> None:
    writer, second = await _people(2)
    await _customers(3)
    async with db.unit() as session:
        category = await make.create_category(session, approval_above=2)
    with acting(_as(writer)):
        campaign = await start(category_id=category.id)
    assert campaign.state is CampaignState.APPROVAL
    await work(resources)
    assert smtp.mails == []
    with acting(_as(writer)):
        async with db.unit() as session:
            with pytest.raises(Forbidden):
                await starting.approve_campaign(session, campaign_id=campaign.id)
    with acting(_as(second)):
        async with db.unit() as session:
            approved = await starting.approve_campaign(session, campaign_id=campaign.id)
            assert approved.approved_by == "Colleague 1" and approved.state is CampaignState.STARTING
        async with db.unit() as session:
            with pytest.raises(Conflict):
                await starting.approve_campaign(session, campaign_id=campaign.id)
    await work(resources)
    assert await state_of(campaign) is CampaignState.DONE and len(smtp.mails) == 3


async def test_up_to_the_limit_nobody_is_asked(resources: base.Resources) -> None:
    [writer] = await _people(1)
    await _customers(2)
    async with db.unit() as session:
        category = await make.create_category(session, approval_above=2)
    with acting(_as(writer)):
        assert (await start(category_id=category.id)).state is CampaignState.STARTING


async def test_an_audience_that_has_grown_until_its_time_is_approved_then(
    smtp: Sink, resources: base.Resources
) -> None:
    writer, second = await _people(2)
    await _customers(2)
    async with db.unit() as session:
        category = await make.create_category(session, approval_above=2)
    with acting(_as(writer)):
        campaign = await start(category_id=category.id, plan=Plan(send_at=utcnow() + timedelta(hours=1)))
    assert campaign.state is CampaignState.SCHEDULED
    await _customers(1)
    await _come(campaign)
    await work(resources)
    assert await state_of(campaign) is CampaignState.APPROVAL and await rows() == []
    with acting(_as(second)):
        async with db.unit() as session:
            await starting.approve_campaign(session, campaign_id=campaign.id)
    await work(resources)
    assert await state_of(campaign) is CampaignState.DONE


@pytest.mark.parametrize("grown", [0, 1])
async def test_an_approval_holds_for_as_many_as_there_were(grown: int) -> None:
    writer, second = await _people(2)
    await _customers(4)
    async with db.unit() as session:
        category = await make.create_category(session, approval_above=2)
    with acting(_as(writer)):
        campaign = await start(category_id=category.id, plan=Plan(send_at=utcnow() + timedelta(hours=1)))
    with acting(_as(second)):
        async with db.unit() as session:
            approved = await starting.approve_campaign(session, campaign_id=campaign.id)
            assert (approved.state, approved.total) == (CampaignState.SCHEDULED, 4)
    await _customers(grown)
    await _come(campaign)
    async with db.unit() as session:
        begun = await starting.materialise(session, campaign_id=campaign.id)
    assert begun.state is (CampaignState.APPROVAL if grown else CampaignState.RUNNING)
    assert len(await rows()) == (0 if grown else 8) and (begun.approved_at is None) is bool(grown)
    if grown:
        with acting(_as(second)):
            async with db.unit() as session:
                await starting.approve_campaign(session, campaign_id=campaign.id)
        async with db.unit() as session:
            again = await starting.materialise(session, campaign_id=campaign.id)
            assert again.state is CampaignState.RUNNING


async def test_an_approval_that_comes_too_late_asks_for_a_new_time() -> None:
    writer, second = await _people(2)
    await _customers(3)
    async with db.unit() as session:
        category = await make.create_category(session, approval_above=2)
    with acting(_as(writer)):
        campaign = await start(category_id=category.id, plan=Plan(send_at=utcnow() + timedelta(hours=1)))
    assert campaign.state is CampaignState.APPROVAL
    await _come(campaign, timedelta(hours=2))
    with acting(_as(second)):
        async with db.unit() as session:
            missed = await starting.approve_campaign(session, campaign_id=campaign.id)
            assert missed.state is CampaignState.MISSED


async def test_the_pace_is_kept_with_the_campaign() -> None:
    campaign = await start(pace=Pace(per_second=10, per_domain_second=2, stop_percent=5))
    assert (campaign.per_second, campaign.per_domain_second, campaign.stop_percent) == (10, 2, 5)
    assert campaign.stop_window == 200


async def test_what_was_due_when_it_was_paused_goes_out_later(resources: base.Resources, smtp: Sink) -> None:
    await _customers(1)
    campaign = await start()
    async with db.unit() as session:
        await starting.materialise(session, campaign_id=campaign.id)
        await campaigns.pause_campaign(session, campaign_id=campaign.id)
        await session.execute(update(Delivery).values(next_at=db.moment(-3600)))
    await work(resources)
    async with db.unit() as session:
        await campaigns.resume_campaign(session, campaign_id=campaign.id)
    await make_due()
    await work(resources)
    assert len(smtp.mails) == 1
