"""Campaigns while processes are killed, stopped and restarted: nobody is missed, and doubles are only what was in the
air. `make faults FULL=1` runs them with the numbers of the long form."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db, queue
from app.domain.messaging import campaigns, starting
from app.models.messaging import Campaign, CampaignState, DeliveryState, Policy
from app.observe import SYSTEM, acting
from tests import factories as make
from tests.faults.stage import (
    LEASE,
    Sink,
    Stage,
    form,
    hurry,
    ids,
    in_the_air,
    look,
    restart_database,
    scale,
    stage,
    start,
    states,
    until,
    until_true,
)

pytestmark = pytest.mark.faults

RECIPIENTS = scale(1500, 10_000)
"""As many for each kill in the short form as in the long one: the share of doubles is compared with the same limit."""
KILLS, REDIS_KILLS = scale(3, 20), scale(1, 3)
SLOW = 0.05


async def _killing(on: Stage, policy: Policy) -> tuple[int, list[int], float]:
    """A campaign with kills of workers and of Redis at random moments: (its id, in the air at each, Redis' gap)."""
    chance = random.Random(4711)
    for _n in range(2):
        on.workers.start()
    await on.workers.ready()
    campaign_id = await start(RECIPIENTS, policy)
    step = RECIPIENTS * 4 // 5 // (KILLS + 1)
    points = [step * (n + 1) + chance.randrange(step // 2) for n in range(KILLS)]
    redis_points = [RECIPIENTS * (n + 1) // (REDIS_KILLS + 2) for n in range(REDIS_KILLS)]
    air: list[int] = []
    gap, redis_back, at_kill = 0.0, 0.0, 0
    began = time.monotonic()
    while True:
        sent, state = await look(campaign_id)
        if state is CampaignState.DONE and not redis_back:
            break
        assert time.monotonic() - began < scale(90, 900), (sent, await states(), on.workers.said()[-3000:])
        now = time.monotonic()
        if points and sent >= points[0]:
            points.pop(0)
            air.append(on.workers.kill(chance.choice(on.workers.processes)))
            on.workers.start()
        if redis_points and sent >= redis_points[0] and not redis_back:
            redis_points.pop(0)
            redis_back, at_kill = now + chance.uniform(1, 3), sent
            on.redis.kill()
        if redis_back and now >= redis_back:
            redis_back = 0.0
            on.redis.start()

            async def goes_on(than: int = at_kill) -> bool:
                sent, state = await look(campaign_id)
                return sent > than or state is CampaignState.DONE

            gap = max(gap, await until_true(goes_on, 20))
        await asyncio.sleep(chance.uniform(0.01, 0.05))
    assert len(air) == KILLS
    await on.workers.ready()
    assert await asyncio.to_thread(on.workers.terminate) == [0, 0], on.workers.said()[-4000:]
    return campaign_id, air, gap


async def test_a_campaign_survives_killed_workers_and_a_killed_redis(database: str, tmp_path: Path) -> None:
    async with stage(database, tmp_path, Sink(slow=SLOW)) as on:
        began = time.monotonic()
        _id, air, gap = await _killing(on, Policy.RESEND)
    written, got, lines = await ids(), set(on.sink.seen), on.workers.said()
    print(
        f"\n{db.engine().dialect.name}: {RECIPIENTS} recipients in {time.monotonic() - began:.1f} s, {KILLS} workers "
        f"and {REDIS_KILLS} Redis killed, {len(written - got)} missing, {on.sink.doubles} doubles, in the air {air} = "
        f"{sum(air)}, after Redis came back {gap:.1f} s"
    )
    assert await states() == {DeliveryState.SENT: RECIPIENTS}, lines[-4000:]
    assert len(written) == RECIPIENTS and got == written, "nobody is missing, nobody else got it"
    assert on.sink.doubles <= sum(air) and on.sink.doubles <= RECIPIENTS * 0.005
    assert gap < 10
    assert "Traceback" not in lines, lines[-4000:]


async def test_under_review_kills_double_nothing_and_staff_see_what_is_open(database: str, tmp_path: Path) -> None:
    async with stage(database, tmp_path, Sink(slow=SLOW)) as on:
        _id, air, _gap = await _killing(on, Policy.REVIEW)
    found, review = await states(), await ids(DeliveryState.REVIEW)
    print(f"\n{db.engine().dialect.name}: {len(review)} to be reviewed, in the air {air} = {sum(air)}")
    assert set(on.sink.seen.values()) == {1}, "no doubles"
    assert found.keys() <= {DeliveryState.SENT, DeliveryState.REVIEW} and sum(found.values()) == RECIPIENTS
    assert len(review) <= sum(air)
    assert await ids() - set(on.sink.seen) <= review


async def test_rolling_restarts_miss_nobody_and_double_nothing(database: str, tmp_path: Path) -> None:
    rounds = scale(2, 10)
    recipients = 400 * (rounds + 1)
    async with stage(database, tmp_path, Sink(slow=SLOW)) as on:
        for _n in range(2):
            on.workers.start()
        await on.workers.ready()
        campaign_id = await start(recipients)
        exits = []
        for n in range(rounds):
            await until(campaign_id, sent=100 + 400 * n)
            on.workers.start()
            await on.workers.ready()
            old = on.workers.processes.pop(0)
            old.terminate()
            exits.append(await asyncio.to_thread(old.wait, 20))
        await until(campaign_id, state=CampaignState.DONE)
        assert exits + await asyncio.to_thread(on.workers.terminate) == [0] * (rounds + 2)
    assert await states() == {DeliveryState.SENT: recipients}
    assert len(on.sink.seen) == recipients and set(on.sink.seen.values()) == {1}
    assert "Traceback" not in on.workers.said()


async def test_it_goes_on_after_redis_the_database_and_the_mail_server_had_their_troubles(
    database: str, tmp_path: Path
) -> None:
    """Redis emptied, Redis away, the database restarted, 451 for a tenth, one in a hundred cut off after its text."""
    recipients = scale(1500, 6000)
    async with stage(database, tmp_path, Sink(slow=SLOW, put_off=0.1, cut=0.01)) as on:
        for _n in range(2):
            on.workers.start()
        await on.workers.ready()
        campaign_id = await start(recipients)
        gaps: dict[str, float] = {}

        async def recovers(what: str) -> None:
            before = len(on.sink.seen)

            async def more() -> bool:
                return len(on.sink.seen) > before or (await look(campaign_id))[1] is CampaignState.DONE

            gaps[what] = await until_true(more, 20)

        await until(campaign_id, sent=100)
        await (await queue.redis()).flushall()
        await recovers("flushall")
        on.redis.kill()
        await asyncio.sleep(scale(4, 60))
        on.redis.start()
        await recovers("redis away")
        for n in range(scale(1, 3)):
            await restart_database(database)
            await recovers(f"database {n + 1}")
            await asyncio.sleep(0.5)
        await asyncio.wait_for(hurry(campaign_id), scale(60, 600))
        await on.workers.ready()
        assert await asyncio.to_thread(on.workers.terminate) == [0, 0]
    twice = {message_id for message_id, n in on.sink.seen.items() if n > 1}
    print(
        f"\n{db.engine().dialect.name}: {len(twice - on.sink.was_cut)} twice that were not cut off, "
        + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in gaps.items())
    )
    assert await states() == {DeliveryState.SENT: recipients}, on.workers.said()[-4000:]
    assert set(on.sink.seen) == await ids(), "nobody is missing"
    assert max(gaps.values()) < 10
    assert on.sink.was_put_off and on.sink.was_cut
    assert len(twice - on.sink.was_cut) <= 16 * scale(1, 3), (
        "beside those that were cut only what was in the air at a restart: eight connections in each of two workers"
    )


async def test_after_pause_or_stop_nothing_more_is_sent(database: str, tmp_path: Path) -> None:
    chance, rounds = random.Random(4711), scale(2, 20)
    async with stage(database, tmp_path, Sink(slow=0.15)) as on:
        on.workers.start()
        await on.workers.ready()
        campaign_id = await start(20_000)
        for n in range(rounds):
            before = len(on.sink.seen)

            async def sends(than: int = before) -> bool:
                return len(on.sink.seen) > than

            await until_true(sends, 20)
            await asyncio.sleep(chance.uniform(0.1, 1.0))
            async with db.unit() as session:
                stopped = campaigns.stop_campaign if n == rounds - 1 else campaigns.pause_campaign
                await stopped(session, campaign_id=campaign_id)
            at = time.monotonic()
            await asyncio.sleep(2.7)
            assert on.sink.last <= at + 2, f"{on.sink.last - at:.2f} s after it was stopped a message went out"
            if n < rounds - 1:
                async with db.unit() as session:
                    await campaigns.resume_campaign(session, campaign_id=campaign_id)

        async def wound_up() -> bool:
            return (await states()).keys() <= {DeliveryState.SENT, DeliveryState.SKIPPED}

        await until_true(wound_up, 30)
        assert await asyncio.to_thread(on.workers.terminate) == [0]
    assert set(on.sink.seen.values()) == {1}
    found = await states()
    assert found.keys() <= {DeliveryState.SENT, DeliveryState.SKIPPED} and found[DeliveryState.SENT] == len(
        on.sink.seen
    )
    assert "Traceback" not in on.workers.said()


async def test_a_worker_that_was_stopped_past_its_lease_finds_the_fence_closed(database: str, tmp_path: Path) -> None:
    recipients = scale(1000, 4000)
    async with stage(database, tmp_path, Sink(slow=SLOW)) as on:
        for _n in range(2):
            on.workers.start()
        await on.workers.ready()
        campaign_id = await start(recipients)
        await until(campaign_id, sent=150)
        sleeper = on.workers.processes[0]
        sleeper.send_signal(signal.SIGSTOP)
        air = in_the_air(sleeper.pid)
        await asyncio.sleep(LEASE + 3)
        sleeper.send_signal(signal.SIGCONT)
        await until(campaign_id, state=CampaignState.DONE)
        await asyncio.sleep(1)
        assert await asyncio.to_thread(on.workers.terminate) == [0, 0]
    print(f"\n{db.engine().dialect.name}: {on.sink.doubles} doubles, {air} were in the air")
    assert await states() == {DeliveryState.SENT: recipients}
    assert set(on.sink.seen) == await ids()
    assert on.sink.doubles <= air


async def test_send_pressed_fifty_times_at_once_is_one_campaign(database: str, redis: str) -> None:
    async with db.unit() as session:
        category = await make.create_category(session)
        for _n in range(5):
            await make.create_customer(session)

    async def press() -> int:
        with acting(SYSTEM):
            async with db.unit() as session:
                return (await starting.start_campaign(session, category_id=category.id, **form())).id

    assert len(set(await asyncio.gather(*[press() for _n in range(50)]))) == 1
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Campaign)) == 1
