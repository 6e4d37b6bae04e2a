"""Imports from the panel: checked without a trace, taken in slices, stopped, and their file forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app import db
from app.db import utcnow
from app.domain.imports import customers as importing
from app.domain.imports import runs
from app.errors import Conflict, Invalid
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage, FileMissing
from app.models.customers import Customer
from app.models.imports import ImportRun, ImportState
from app.models.jobs import Job, JobState
from app.models.projects import Project
from app.settings import Settings
from tasks import base, imports
from tests import factories

pytestmark = pytest.mark.usefixtures("redis")
assert imports  # registers the tasks
ROWS = 25
TEXT = "id,name,email,country\n" + "".join(f"{n},Customer {n},c{n}@example.org,DE\n" for n in range(ROWS))


@pytest.fixture
def resources(tmp_path: Path, database: str) -> base.Resources:
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path)
    return base.Resources(settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))


@pytest.fixture
async def project(database: str) -> Project:
    async with db.unit() as session:
        return await factories.create_project(session, name="Nordhost")


async def add(resources: base.Resources, project: Project, text: str = TEXT, **kw: Any) -> int:
    stored = await runs.store(resources.storage, name="people.csv", chunks=text.encode(), max_bytes=100_000)
    given = {"name": "people.csv", "project_id": project.id, "source": "old panel"} | kw
    async with db.unit() as session:
        return (await runs.add_import(session, stored=stored, **given)).id


async def run_jobs(resources: base.Resources, most: int = 50) -> int:
    """Run what is due, or will be in a minute, until nothing is. Gives how many runs it took."""
    for n in range(most):
        soon = Job.state == JobState.DUE, Job.due_at < utcnow() + timedelta(minutes=1)
        async with db.reads() as session:
            job = (await session.execute(select(Job.id, Job.due_at).where(*soon).order_by(Job.due_at).limit(1))).first()
        if job is None:
            return n
        await asyncio.sleep(max((job.due_at - utcnow()).total_seconds(), 0))
        await base.run_job(job.id, resources)
    raise AssertionError("it never ends")


async def check(resources: base.Resources, import_id: int, **defaults: str) -> dict[str, list[str]]:
    """Read a file, take its columns for what they are guessed to be, and check it. Gives the values nobody knows."""
    await run_jobs(resources)
    guessed = (await row(import_id)).plan.get("columns", {})
    async with db.unit() as session:
        unknown = await runs.plan_import(session, import_id=import_id, columns=guessed, defaults=defaults)
    async with db.unit() as session:
        await runs.check_import(session, import_id=import_id)
    await run_jobs(resources)
    return unknown


async def row(import_id: int) -> ImportRun:
    async with db.reads() as session:
        return await session.get_one(ImportRun, import_id)


async def how_many() -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(Customer)) or 0


async def test_a_file_is_checked_without_a_trace_then_taken_and_forgotten(
    resources: base.Resources, project: Project
) -> None:
    text = TEXT + "7,Twice,twice@example.org,DE\n99,Nowhere,n@example.org,Atlantis\n"
    import_id = await add(resources, project, text)
    await check(resources, import_id)
    checked = await row(import_id)
    assert (checked.state, checked.created, checked.failed, checked.done, checked.total) == (
        ImportState.CHECKED, ROWS, 2, ROWS + 2, ROWS + 2,
    )  # fmt: skip
    assert [line for line, _c, _r in checked.report["errors"]] == [27, 28]
    assert "Atlantis" in checked.report["errors"][1][2] and checked.report["mapping"]["email"] == "email"
    assert await how_many() == 0
    async with db.unit() as session:
        await runs.start_import(session, import_id=import_id)
    await run_jobs(resources)
    taken = await row(import_id)
    assert (taken.state, taken.created, taken.failed, await how_many()) == (ImportState.DONE, ROWS, 2, ROWS)
    assert taken.finished_at is not None and taken.key == ""
    with pytest.raises(FileMissing):
        await resources.storage.read(checked.key)
    async with db.unit() as session:
        with pytest.raises(Conflict):
            await runs.start_import(session, import_id=import_id)


async def test_slices_go_on_where_the_last_one_ended_and_count_every_row_once(
    resources: base.Resources, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 4)
    text = TEXT + "3,Again,again@example.org,DE\n"  # the same customer, rows and slices later
    import_id = await add(resources, project, text)
    await check(resources, import_id)
    async with db.unit() as session:
        await runs.start_import(session, import_id=import_id)
    slices = 0
    while not (
        left := await runs.work_off(
            resources.storage, import_id=import_id, state=ImportState.RUNNING, more=lambda: False
        )
    ).over:
        slices += 1
        assert (left.done, left.total) == (min(4 * slices, ROWS + 1), ROWS + 1)
    taken = await row(import_id)
    assert slices == 7
    assert (taken.state, taken.created, taken.updated, taken.failed) == (ImportState.DONE, ROWS, 0, 1)
    assert taken.report["errors"][0][0] == ROWS + 2 and await how_many() == ROWS


async def test_what_is_stopped_takes_nothing_more_not_even_the_batch_at_hand(
    resources: base.Resources, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    import_id = await add(resources, project)
    await check(resources, import_id)
    async with db.unit() as session:
        await runs.start_import(session, import_id=import_id)
    first = await runs.work_off(resources.storage, import_id=import_id, state=ImportState.RUNNING, more=lambda: False)
    assert first == runs.Left(10, ROWS, over=False)
    async with db.unit() as session:
        await runs.stop_import(session, import_id=import_id)
    await run_jobs(resources)
    stopped = await row(import_id)
    assert (stopped.state, stopped.done, stopped.created, await how_many()) == (ImportState.STOPPED, 10, 10, 10)
    assert stopped.key == ""
    async with db.unit() as session:
        with pytest.raises(Conflict):
            await runs.stop_import(session, import_id=import_id)


async def test_a_file_that_cannot_be_used_says_so(resources: base.Resources, project: Project) -> None:
    for text, said in (("a,b\n", "no rows"), ("a,b\n" + "x" * 10, "")):
        import_id = await add(resources, project, text)
        await run_jobs(resources)
        failed = await row(import_id)
        assert (failed.state is ImportState.FAILED, said in failed.error) == (bool(said), True)
    with pytest.raises(Invalid, match="Say which column"):
        await check(resources, import_id)
    with pytest.raises(Invalid):
        await add(resources, project, "")
    with pytest.raises(Invalid) as unknown:
        await add(resources, project, project_id=999)
    assert "project" in unknown.value.fields


async def test_a_file_that_is_also_attached_stays(resources: base.Resources, project: Project) -> None:
    import_id = await add(resources, project)
    key = (await row(import_id)).key
    async with db.unit() as session:
        await factories.create_attachment(session, key=key)
        await runs.stop_import(session, import_id=import_id)
    await run_jobs(resources)
    assert (await row(import_id)).key == "" and await resources.storage.read(key) == TEXT.encode()
