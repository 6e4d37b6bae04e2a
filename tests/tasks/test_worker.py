"""Jobs under leases, in this process and in real worker processes with a real Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app import db, queue
from app.domain import jobs as job_verbs
from app.errors import Conflict
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.jobs import Job, JobState
from app.observe import Actor, Kind, acting, actor
from app.queue import enqueue
from app.settings import Settings
from tasks import base, jobs
from tasks.base import Again, JobRun, Resources, task
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database", "redis")


@pytest.fixture
def resources(tmp_path: Path, database: str) -> Resources:
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path, lease_seconds=1)
    return Resources(settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))


@pytest.fixture
def known() -> Iterator[None]:
    """Tasks that a test registers are gone after it."""
    before = dict(base.TASKS)
    yield
    base.TASKS.clear()
    base.TASKS.update(before)


async def add(name: str, **kw: Any) -> int:
    async with db.unit() as session:
        return (await enqueue(session, name, **kw)).id


async def row(job_id: int) -> Job:
    async with db.reads() as session:
        return await session.get_one(Job, job_id)


@pytest.mark.usefixtures("known")
async def test_a_job_runs_once_with_its_arguments_and_the_one_who_started_it(resources: Resources) -> None:
    seen: list[tuple[int, int | None, str]] = []

    @task("test.run")
    async def run(job: JobRun, *, number: int) -> None:
        seen.append((number, actor.get().staff_id, actor.get().kind))
        await job.progress(3, 7)

    async with db.unit() as session:
        staff = await make.create_staff(session)
        job = await enqueue(session, "test.run", number=5)
        job.owner_id = staff.id
    assert await base.run_job(job.id, resources)
    assert not await base.run_job(job.id, resources)
    assert seen == [(5, staff.id, "system")]
    found = await row(job.id)
    assert (found.state, found.done, found.total, found.attempt, found.lease_token) == (JobState.DONE, 3, 7, 1, None)


@pytest.mark.usefixtures("known")
async def test_what_staff_begin_inside_an_account_names_both_to_its_end(resources: Resources) -> None:
    seen: list[tuple[int | None, int | None]] = []

    @task("test.visited")
    async def visited(_job: JobRun) -> None:
        seen.append((actor.get().staff_id, actor.get().customer_id))

    async with db.unit() as session:
        staff, customer = await make.create_staff(session), await make.create_customer(session)
    for who in (Actor(Kind.STAFF, staff.id, customer_id=customer.id), Actor(Kind.STAFF, staff.id)):
        with acting(who):
            async with db.unit() as session:
                job = await enqueue(session, "test.visited")
        assert await base.run_job(job.id, resources)
    assert seen == [(staff.id, customer.id), (staff.id, None)]


@pytest.mark.usefixtures("known")
async def test_of_many_at_once_one_runs_it(resources: Resources) -> None:
    runs = 0

    @task("test.once")
    async def run(_job: JobRun) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)

    job_id = await add("test.once")
    assert sum(await asyncio.gather(*[base.run_job(job_id, resources) for _n in range(8)])) == 1
    assert runs == 1


@pytest.mark.usefixtures("known")
async def test_again_makes_it_due_later_and_forgets_failed_tries(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BACK_OFF", (60,))  # not over before a slow machine asks again
    results: list[Any] = [RuntimeError("bad luck"), Again(60)]

    @task("test.again")
    async def run(_job: JobRun) -> Again | None:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    job_id = await add("test.again")
    await base.run_job(job_id, resources)
    found = await row(job_id)
    assert (found.state, found.attempt, found.error) == (JobState.DUE, 1, "RuntimeError: bad luck")
    assert not await base.run_job(job_id, resources), "it waits before the next try"
    async with db.unit() as session:
        await session.execute(update(Job).values(due_at=db.moment(-1)))
    assert await base.run_job(job_id, resources)
    found = await row(job_id)
    assert (found.state, found.attempt, found.error) == (JobState.DUE, 0, "")
    assert 50 < (found.due_at - db.utcnow()).total_seconds() <= 60


@pytest.mark.usefixtures("known")
async def test_after_its_tries_a_job_fails_and_says_why_and_can_be_tried_again(resources: Resources) -> None:
    told: list[str] = []

    async def on_failed(_session: Any, *, job_id: int, reason: str) -> None:
        told.append(f"{job_id} {reason}")

    @task("test.fails", tries=2, on_failed=on_failed)
    async def run(_job: JobRun) -> None:
        raise RuntimeError("never")

    job_id = await add("test.fails")
    for _n in range(2):
        assert await base.run_job(job_id, resources)
        async with db.unit() as session:
            await session.execute(update(Job).where(Job.state == JobState.DUE).values(due_at=db.moment(-1)))
    found = await row(job_id)
    assert (found.state, found.error) == (JobState.FAILED, "RuntimeError: never")
    assert told == [f"{job_id} RuntimeError: never"]
    assert not await base.run_job(job_id, resources)
    async with db.unit() as session:
        await job_verbs.retry(session, job_id=job_id)
    assert await base.run_job(job_id, resources)
    async with db.unit() as session:
        with pytest.raises(Conflict):
            await job_verbs.retry(session, job_id=job_id)


@pytest.mark.usefixtures("known")
async def test_a_refusal_is_not_repeated(resources: Resources) -> None:
    @task("test.refused")
    async def run(_job: JobRun) -> None:
        raise Conflict("not in this state")

    job_id = await add("test.refused")
    await base.run_job(job_id, resources)
    found = await row(job_id)
    assert (found.state, found.error) == (JobState.FAILED, "not in this state")


@pytest.mark.usefixtures("known")
async def test_a_job_that_takes_too_long_is_stopped_and_tried_again(resources: Resources) -> None:
    @task("test.slow", timeout=0.1)
    async def run(_job: JobRun) -> None:
        await asyncio.sleep(10)

    job_id = await add("test.slow")
    await base.run_job(job_id, resources)
    found = await row(job_id)
    assert (found.state, found.error) == (JobState.DUE, "it took too long")


@pytest.mark.usefixtures("known")
async def test_the_lease_is_renewed_while_it_runs(resources: Resources) -> None:
    @task("test.long")
    async def run(_job: JobRun) -> None:
        await asyncio.sleep(1.6)  # the lease is one second

    job_id = await add("test.long")
    running = asyncio.create_task(base.run_job(job_id, resources))
    await asyncio.sleep(1.3)
    assert not await base.run_job(job_id, resources)
    assert await running
    assert (await row(job_id)).state is JobState.DONE


async def test_whoever_lost_the_lease_changes_nothing() -> None:
    job_id = await add("test.lost")
    async with db.unit() as session:
        first = await job_verbs.claim(session, job_id=job_id, lease_seconds=0.05)
    await asyncio.sleep(0.1)
    async with db.unit() as session:
        second = await job_verbs.claim(session, job_id=job_id, lease_seconds=60)
    assert first is not None and second is not None and second.attempt == 2
    old: dict[str, Any] = {"job_id": job_id, "token": first.token}
    async with db.unit() as session:
        assert not await job_verbs.renew(session, lease_seconds=60, **old)
        assert not await job_verbs.report(session, done=1, total=1, lease_seconds=60, **old)
        assert not await job_verbs.finish(session, **old)
        assert not await job_verbs.again(session, after_seconds=0, **old)
        assert not await job_verbs.fail(session, error="late", **old)
    found = await row(job_id)
    assert (found.state, found.lease_token, found.done, found.error) == (JobState.RUNNING, second.token, 0, "")


@pytest.mark.usefixtures("known")
async def test_a_job_that_kills_its_worker_each_time_fails_in_the_end(resources: Resources) -> None:
    @task("test.deadly", tries=3)
    async def run(_job: JobRun) -> None:
        raise AssertionError("not run any more")

    job_id = await add("test.deadly")
    async with db.unit() as session:
        await session.execute(update(Job).values(state=JobState.RUNNING, attempt=3, lease_until=db.moment(-1)))
    await base.run_job(job_id, resources)
    found = await row(job_id)
    assert found.state is JobState.FAILED and "the worker stopped" in found.error


async def test_the_sweep_hands_over_once_what_is_due_and_what_was_abandoned() -> None:
    due, later, running, abandoned = [await add(f"test.{n}", due_at=db.utcnow()) for n in range(4)]
    async with db.unit() as session:
        for job_id, values in (
            (later, {"due_at": db.moment(60)}),
            (running, {"state": JobState.RUNNING, "lease_until": db.moment(60)}),
            (abandoned, {"state": JobState.RUNNING, "lease_until": db.moment(-1)}),
        ):
            await session.execute(update(Job).where(Job.id == job_id).values(**values))
    before = int(time.time() / jobs.SAME)
    taken = [await jobs.hand_over() for _n in range(3)]
    spans = int(time.time() / jobs.SAME) - before + 1
    assert 2 <= sum(taken) <= 2 * spans, "each of the two is handed over once in a span of time"
    queued = await (await queue.redis()).queued_jobs()
    assert {tuple(job.args) for job in queued} == {(due,), (abandoned,)}


# ---- real processes -------------------------------------------------------------------------------------------------


class Process:
    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.log = log
        root = Path(__file__).parents[2]
        command = [sys.executable, "-c", "from tasks.worker import run; run()"]
        with log.open("ab") as file:
            self.process = subprocess.Popen(command, cwd=root, env=env, stdout=file, stderr=file)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
async def worker(database: str, redis: str, tmp_path: Path) -> AsyncIterator[Callable[[], Process]]:
    started: list[Process] = []
    env = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]), "BURSAR_DATABASE_URL": database, "BURSAR_REDIS_URL": redis,
        "BURSAR_DATA_DIR": str(tmp_path), "BURSAR_LEASE_SECONDS": "2", "BURSAR_ENV": "development",
    }  # fmt: skip

    def start() -> Process:
        started.append(Process(env, tmp_path / f"worker{len(started)}.log"))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 15) -> float:
    began = time.monotonic()
    while not await what():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_a_worker_sends_a_campaign_to_the_outbox_and_ends_at_sigterm(
    worker: Callable[[], Process], tmp_path: Path
) -> None:
    from app.domain.messaging import starting
    from app.models.messaging import Campaign, CampaignState

    async with db.unit() as session:
        for _n in range(5):
            await make.create_customer(session)
        category = await make.create_category(session)
        await starting.start_campaign(
            session, key="k", category_id=category.id, audience={"everyone": True}, default_language="en",
            texts={"en": ("Hi", "Hello {{ customer.name }}")},
        )  # fmt: skip
    process = worker()  # started after the ring: the sweep and the queue both know it

    async def done() -> bool:
        async with db.reads() as session:
            return await session.scalar(select(Campaign.state)) is CampaignState.DONE

    await until(done)
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 5
    assert await (await queue.redis()).exists("arq:queue:health-check")
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


async def test_what_redis_lost_is_found_in_the_database(worker: Callable[[], Process]) -> None:
    job_id = await add("messaging.deliver", campaign_id=4711, lane=0)  # of no campaign: done at once
    await (await queue.redis()).flushall()
    process = worker()

    async def done() -> bool:
        return (await row(job_id)).state is JobState.DONE

    assert await until(done) < 10
    assert process.stop() == 0
