"""Rows of screens without rules of their own out of a file: checked, taken by the rights of who asked, taken back."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from openpyxl import Workbook
from sqlalchemy import select

from app import db
from app.domain.imports import records, runs, undoing
from app.errors import Conflict, Forbidden
from app.models.audit import Audit
from app.models.customers import Attitude
from app.models.imports import ImportRow, ImportRun, ImportState
from app.observe import Actor, Kind, acting
from tasks import base
from tests import factories
from tests.domain.test_import_runs import resources, row, run_jobs

pytestmark = pytest.mark.usefixtures("redis")
__all__ = ["resources"]  # a fixture
FIELDS = ("name", "hue")
TEXT = "Name,Colour\nFriendly,3\nGrumpy,5\n"


async def person(grants: Sequence[tuple[str, str]]) -> Actor:
    async with db.unit() as session:
        staff = await factories.create_staff(session, grants=grants)
    return Actor(kind=Kind.STAFF, staff_id=staff.id)


async def checked(resources: base.Resources, who: Actor, content: bytes, name: str = "a.csv") -> int:
    stored = await runs.store(resources.storage, name=name, chunks=content, max_bytes=100_000)
    with acting(who):
        async with db.unit() as session:
            run = await runs.add_rows(session, stored=stored, name=name, noun="attitude", fields=FIELDS)
    await run_jobs(resources)
    return run.id


async def taken(resources: base.Resources, who: Actor, text: str) -> int:
    import_id = await checked(resources, who, text.encode())
    assert (await row(import_id)).state is ImportState.CHECKED, (await row(import_id)).error
    with acting(who):
        with pytest.raises(Conflict):
            async with db.unit() as session:
                await runs.plan_import(session, import_id=import_id, columns={"Name": "name"}, defaults={})
        async with db.unit() as session:
            await runs.start_import(session, import_id=import_id)
    await run_jobs(resources)
    assert (await row(import_id)).state is ImportState.DONE
    return import_id


async def undone(resources: base.Resources, who: Actor, import_id: int) -> ImportRun:
    with acting(who):
        async with db.unit() as session:
            await undoing.undo_import(session, import_id=import_id)
    await run_jobs(resources)
    return await row(import_id)


async def all_of_them() -> dict[str, Attitude]:
    async with db.reads() as session:
        return {a.name: a for a in await session.scalars(select(Attitude))}


async def test_what_it_made_goes_and_what_it_changed_comes_back(
    resources: base.Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "AT_ONCE", 2)
    monkeypatch.setattr(records, "AT_ONCE", 2)
    olga = await person([("*", "*")])
    await taken(resources, olga, TEXT)
    before = {a.name: a.hue for a in (await all_of_them()).values()}
    text = "Name,Colour\nFriendly,4\nNew,5\nGrumpy,4\nUsed,5\nSeen,5\nNew,3\nFriendly,6\nBad,red\n"
    import_id = await taken(resources, olga, text)
    run = await row(import_id)
    assert (run.created, run.updated, run.failed, run.done, run.total) == (3, 4, 1, 8, 8)
    assert run.report["mapping"] == {"Name": "name", "Colour": "hue"} and run.key == ""
    now = await all_of_them()
    assert (now["Friendly"].hue, now["New"].hue) == (6, 3)
    async with db.unit() as session:
        await factories.create_customer(session, attitude_id=now["Used"].id)
        (await session.get_one(Attitude, now["Seen"].id)).hue = 3
        (await session.get_one(Attitude, now["Grumpy"].id)).hue = 3
    run = await undone(resources, olga, import_id)
    assert (run.state, run.undone, run.kept, run.done, run.total) == (ImportState.UNDONE, 4, 3, 7, 7)
    after = await all_of_them()
    assert {a.name: a.hue for a in after.values()} == before | {"Grumpy": 3, "Used": 5, "Seen": 3}
    async with db.reads() as session:
        kept = {r.cells[0]: r.reason for r in await session.scalars(select(ImportRow).where(ImportRow.undo))}
        gone = (await session.scalars(select(Audit).where(Audit.action == "delete", Audit.noun == "attitude"))).all()
    assert kept == {
        "Grumpy": "Changed since, and left as it is: Colour.", "Used": "Customers belong to it by now.",
        "Seen": "It was changed since.",
    }  # fmt: skip
    assert [a.noun_id for a in gone] == [now["New"].id] and gone[0].request == f"import-{import_id}-undo"
    with pytest.raises(Conflict):
        await undone(resources, olga, import_id)


async def test_a_killed_worker_takes_no_row_twice(resources: base.Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies behind the second batch; what is kept of it says where to go on."""
    monkeypatch.setattr(records, "AT_ONCE", 2)
    olga = await person([("*", "*")])
    text = "Name\n" + "".join(f"A{n}\n" for n in range(5))
    import_id = await checked(resources, olga, text.encode())
    with acting(olga):
        async with db.unit() as session:
            await runs.start_import(session, import_id=import_id)
    asked = iter([True, False])
    left = await runs.work_off(
        resources.storage, import_id=import_id, state=ImportState.RUNNING, more=lambda: next(asked)
    )
    assert (left.done, left.over, len(await all_of_them())) == (4, False, 4)
    await run_jobs(resources)
    run = await row(import_id)
    assert (run.state, run.created, run.updated, len(await all_of_them())) == (ImportState.DONE, 5, 0, 5)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_workbook_is_read_and_nothing_is_changed_by_the_check(resources: base.Resources) -> None:
    book = Workbook()
    for line in (["Name", "Farbe"], ["Freundlich", "3"]):
        book.active.append(line)
    out = io.BytesIO()
    book.save(out)
    import_id = await checked(resources, await person([("*", "*")]), out.getvalue(), "a.xlsx")
    run = await row(import_id)
    assert (run.state, run.created, run.error) == (ImportState.CHECKED, 1, "") and not await all_of_them()
    for wrong in (b"Who,What\nx,y\n", b""):
        run = await row(await checked(resources, await person([("*", "*")]), wrong or b"Name\n"))
        assert run.state is ImportState.FAILED and run.error


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_the_rights_are_those_of_who_asked_as_they_are_now(resources: base.Resources) -> None:
    olga, adder = await person([("*", "*")]), await person([("import_run", "create"), ("attitude", "create")])
    await taken(resources, olga, TEXT)
    added = await taken(resources, adder, "Name,Colour\nGrumpy,4\nNew,5\n")
    run = await row(added)
    assert (run.created, run.updated, run.failed) == (1, 0, 1) and "change none" in run.report["errors"][0][2]
    stranger = await person([("import_run", "create")])
    assert (await row(await checked(resources, stranger, TEXT.encode()))).state is ImportState.FAILED
    with pytest.raises(Forbidden):
        await undone(resources, stranger, added)
