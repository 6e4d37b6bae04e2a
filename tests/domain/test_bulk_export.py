"""Exports in the background: the chosen rows as a file of each kind, for their owner only, and not for ever."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from sqlalchemy import select

from app import db, filters
from app.db import utcnow
from app.domain import custom
from app.domain.bulk import exporting, files, reading, runs
from app.domain.bulk.values import Values
from app.domain.config import live
from app.domain.lists import Meant
from app.errors import Forbidden, Invalid, NotFound
from app.integrations.storage import FileMissing
from app.models.bulk import BulkRow, BulkRun, BulkState
from app.models.catalog import Service
from app.models.customers import Customer
from app.models.messaging import Delivery
from app.models.staff import Grant, Staff, StaffProject
from app.observe import Actor, Kind, acting
from tasks import base
from tests import factories
from tests.domain.test_bulk import all_of, chosen, colleague, resources, row
from tests.domain.test_import_runs import run_jobs

pytestmark = pytest.mark.usefixtures("redis")
__all__ = ["colleague", "resources"]  # fixtures
COLUMNS = [("id", "ID"), ("name", "Name"), ("project_id", "Project"), ("registered_at", "Since"), ("groups", "Groups"),
           ("balance", "Balance"), ("custom_weight", "Weight")]  # fmt: skip


async def begin(who: Staff, ending: str, rows: Any = None, **asked: Any) -> int:
    asked = {"noun": "customer", "columns": COLUMNS, "query": "", "name": "Export: Customers"} | asked
    with acting(Actor(Kind.STAFF, who.id, projects=asked.pop("projects", None))):
        async with db.unit() as session:
            rows = chosen(Customer) if rows is None else rows
            return (await exporting.add_export(session, rows=rows, ending=ending, **asked)).id


async def content(resources: base.Resources, run_id: int) -> bytes:
    await run_jobs(resources)
    run = await row(run_id)
    assert run.state is BulkState.DONE, run.error
    return await resources.storage.read(run.key)


async def people() -> list[Customer]:
    async with db.unit() as session:
        await custom.create(session, target="customer", kind="number", digits=1, labels={"en": "Weight"})
    await live.keep_up(every=0)
    async with db.unit() as session:
        project = await factories.create_project(session, name="Nordhost")
        group = await factories.create_group(session, name="Regulars")
        since = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
        names = ("=1+1", "A\x0b & <b>", "+49 30", "Köhler; =x", "Last")
        made = [
            await factories.create_customer(
                session, project=project, name=n, registered_at=since, custom={"weight": 5 * i}
            )
            for i, n in enumerate(names)
        ]
        await factories.create_membership(session, customer=made[0], group=group)
        await factories.create_account(session, customer=made[0], currency="EUR")
        return made


async def test_each_kind_of_file_has_all_rows_in_order_and_no_formula(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 2)
    made = await people()
    text = (await content(resources, await begin(colleague, "csv"))).decode("utf-8-sig")
    found = list(csv.DictReader(io.StringIO(text)))
    assert [r["ID"] for r in found] == [str(c.id) for c in reversed(made)]
    assert [r["Name"] for r in found] == ["Last", "Köhler; '=x", "'+49 30", "A\x0b & <b>", "'=1+1"]
    assert found[-1] | {"ID": "", "Since": ""} == {
        "ID": "", "Name": "'=1+1", "Project": "Nordhost", "Since": "", "Groups": "Regulars", "Balance": "0.00 EUR",
        "Weight": "0.0",
    }  # fmt: skip
    last = json.loads(await content(resources, await begin(colleague, "json")))[-1]
    assert (last["name"], last["groups"], last["custom_weight"]) == ("=1+1", "Regulars", "0.0")
    book = openpyxl.load_workbook(io.BytesIO(await content(resources, await begin(colleague, "xlsx"))))
    rows = list(book.active.iter_rows())
    assert [c.value for c in rows[0]] == [label for _key, label in COLUMNS]
    assert [r[1].value for r in rows[1:]] == ["Last", "Köhler; =x", "+49 30", "A & <b>", "=1+1"]
    assert {c.data_type for r in rows[1:] for c in r} <= {"n", "s", "d"}, "none is a formula"
    assert rows[1][-1].value == 2, "a figure"
    assert rows[1][0].value == made[-1].id and rows[1][3].value == datetime(2026, 3, 1, 12, 30)
    assert await all_of(BulkRow.position) == []


async def test_a_workbook_goes_on_on_the_next_sheet(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ROWS", 4)
    values = Values(Service, ["id", "name", "price", "auto_renew", "next_charge_on"], plain=False)
    book = files.Xlsx(values, ["A", "B", "C", "D", "E"], "Export: [Services]/now")
    rows = [[1, 2, 3, 4], ["x" * 40_000, None, "", "\ud800"], ["12.50"] * 4, [True] * 4, [None] * 4]
    data = book.begin() + book.add(rows) + book.end()
    sheets = openpyxl.load_workbook(io.BytesIO(data)).worksheets
    assert [s.max_row for s in sheets] == [4, 2]
    first = [c.value for c in list(sheets[0].iter_rows())[1]]
    assert (first[0], len(first[1]), first[2:]) == (1, 32_767, [12.5, True, None])


async def test_a_file_is_its_owners_while_they_may_and_for_a_week(resources: base.Resources, colleague: Staff) -> None:
    await people()
    async with db.unit() as session:
        other = await factories.create_staff(session, grants=[("*", "*")])
    run_id = await begin(colleague, "csv")
    await content(resources, run_id)
    key = (await row(run_id)).key
    async with db.reads() as session:
        assert (await exporting.file_of(session, run_id=run_id, staff_id=colleague.id)).size > 100
        with pytest.raises(NotFound):
            await exporting.file_of(session, run_id=run_id, staff_id=other.id)
    async with db.unit() as session:
        limit = StaffProject(staff_id=colleague.id, project_id=(await factories.create_project(session)).id)
        session.add(limit)
    async with db.reads() as session:
        with pytest.raises(Forbidden, match="more projects"):
            await exporting.file_of(session, run_id=run_id, staff_id=colleague.id)
    async with db.unit() as session:
        await session.delete(limit)
        granted = (await session.scalars(select(Grant))).all()
        for grant in granted:
            grant.action = "list"
    async with db.reads() as session:
        with pytest.raises(Forbidden):
            await exporting.file_of(session, run_id=run_id, staff_id=colleague.id)
    refused = await begin(colleague, "csv")
    await run_jobs(resources)
    assert ((await row(refused)).state, (await row(refused)).key) == (BulkState.FAILED, "")
    assert not await exporting.forget(resources.storage) and await resources.storage.read(key)
    async with db.unit() as session:
        await runs.write(session, run_id, BulkState.DONE, expires_at=utcnow() - timedelta(seconds=1))
    assert not await exporting.forget(resources.storage)
    with pytest.raises(FileMissing):
        await resources.storage.read(key)
    assert await all_of(BulkRun.id) == [refused]


async def test_it_stops_keeps_to_the_scope_and_says_what_is_gone(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 1)
    made = await people()
    for wrong in ({"ending": "exe"}, {"columns": [("gone", "Gone")]}, {"columns": []}):
        with pytest.raises(Invalid):
            await begin(colleague, wrong.get("ending", "csv"), **{k: v for k, v in wrong.items() if k != "ending"})
    assert not await all_of(BulkRun.id)
    run_id = await begin(colleague, "csv")
    run = await row(run_id)
    async with db.unit() as session:
        await runs.write(session, run_id, BulkState.RUNNING, wanted={**run.wanted, "columns": [["gone", "Gone"]]})
    await run_jobs(resources)
    assert ((await row(run_id)).state, "Gone" in (await row(run_id)).error) == (BulkState.FAILED, True)

    async def stopped(done: int, total: int) -> None:
        if done == 2:
            with acting(Actor(Kind.STAFF, colleague.id)):
                async with db.unit() as session:
                    await runs.stop(session, run_id=run_id)

    run_id = await begin(colleague, "csv")
    await exporting.make(resources.storage, run_id=run_id, told=stopped)
    run = await row(run_id)
    assert (run.state, run.done, run.key) == (BulkState.STOPPED, 2, "")
    # staff who are limited meanwhile get only what they may see
    async with db.unit() as session:
        elsewhere = await factories.create_project(session)
        limited = await factories.create_staff(session, grants=[("customer", "export")], projects=(elsewhere,))
        await factories.create_customer(session, project=elsewhere, name="Mine")
    found = json.loads(await content(resources, await begin(limited, "json", columns=[("name", "Name")])))
    assert [r["name"] for r in found] == ["Mine"] and len(made) == 5


async def test_it_is_written_as_of_one_moment_and_all_of_it_again_after_a_crash(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 2)
    await people()
    by_name = Meant(Customer, sort="name_folded", descending=False)
    run_id = await begin(colleague, "csv", by_name, columns=[("name", "Name")])
    before = sorted(p.name for p in resources.settings.data_dir.rglob("*"))

    async def killed(done: int, total: int) -> None:
        assert total == 5
        if done == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await exporting.make(resources.storage, run_id=run_id, told=killed)
    half = await row(run_id)
    assert (half.state, half.done, half.key, half.size) == (BulkState.RUNNING, 4, "", 0)
    assert sorted(p.name for p in resources.settings.data_dir.rglob("*")) == before, "no half file"
    async with db.reads() as session:
        with pytest.raises(NotFound):
            await exporting.file_of(session, run_id=run_id, staff_id=colleague.id)

    async def renamed(done: int, total: int) -> None:
        if done == 2:  # behind what is written: it would be there twice; before it: not at all
            async with db.unit() as session:
                rows = {c.name: c for c in await session.scalars(select(Customer))}
                rows["=1+1"].name, rows["Last"].name = "Zzz", "0"
                await factories.create_customer(session, name="Zzzz")

    await exporting.make(resources.storage, run_id=run_id, told=renamed)
    run = await row(run_id)
    assert (run.state, run.done, run.total, run.changed) == (BulkState.DONE, 5, 5, 5)
    lines = (await resources.storage.read(run.key)).decode("utf-8-sig").split()
    assert sorted(lines[1:]) == sorted(["'=1+1", "'+49", "30", "A", "&", "<b>", "Köhler;", "'=x", "Last"]), lines


async def test_rows_with_a_key_of_several_columns(
    resources: base.Resources, colleague: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 2)
    made = await people()
    async with db.unit() as session:
        campaigns = [await factories.create_campaign(session) for _n in range(2)]
        for customer in made[:3]:
            for campaign in campaigns:
                await factories.create_delivery(session, campaign=campaign, customer=customer)
            await factories.create_delivery(
                session, campaign=campaigns[0], customer=customer, channel="email", address="a@example.org"
            )
    keys = ["campaign_id", "customer_id", "channel", "address"]
    first = Meant(Delivery, filters.parse({"field": "campaign", "op": "in", "value": [campaigns[0].id]}, Delivery))
    whole = Meant(Delivery, sort="state", descending=False)
    for rows, n in ((first, 6), (whole, 9)):
        run_id = await begin(colleague, "json", rows, noun="delivery", columns=[(key, key) for key in keys])
        found = [tuple(line.values()) for line in json.loads(await content(resources, run_id))]
        async with db.reads() as session:
            there = (await session.scalars(select(Delivery).order_by(*Delivery.__table__.primary_key))).all()
        keyed = [d for d in there if rows is whole or d.campaign_id == campaigns[0].id]
        names = {c.id: c.name for c in made}
        shown = [("Hello", names[d.customer_id], d.channel.value, d.address) for d in keyed]
        assert found == (shown if rows is whole else shown[::-1]) and len(found) == n
