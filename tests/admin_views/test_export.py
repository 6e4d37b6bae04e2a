"""Export: what the list shows, filtered, whole, without formulas."""

from __future__ import annotations

import csv
import io
import json

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain.bulk import reading
from app.models.audit import Audit
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

URL = "/admin/customer/action/export"


async def rows(desk: httpx.AsyncClient, **data: str) -> list[dict[str, str]]:
    answer = await desk.post(URL, data={"kind": "csv", "all": "1", **data})
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


async def test_the_filtered_list_is_exported_whole_and_in_its_order(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Nordhost")
        for n in range(57):
            await factories.create_customer(session, project=project, name=f"Köhler {n:02}", language="de")
        await factories.create_customer(session, project=project, name="Anna", language="en")
    reading.CHUNK, whole = 10, reading.CHUNK
    try:
        found = await rows(desk, query="language.in=de&sort=name")
    finally:
        reading.CHUNK = whole
    assert [r["Name"] for r in found] == [f"Köhler {n:02}" for n in range(57)]
    assert found[0]["Project"] == "Nordhost" and found[0]["Account type"] == "individual"


async def test_chosen_rows_and_json(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        one, _two = [await factories.create_customer(session, name=name) for name in ("One", "Two")]
    answer = await desk.post(URL, data={"kind": "json", "pks": str(one.id)})
    assert [r["name"] for r in json.loads(answer.text)] == ["One"]


async def test_formulas_are_neutralised(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        for name in ("=1+1", "+1", "-1", "@x", "\t=1"):
            await factories.create_customer(session, name=name)
    assert all(r["Name"].startswith("'") for r in await rows(desk))


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_formula_does_not_hide_behind_a_separator_of_another_country(desk: httpx.AsyncClient) -> None:
    """A spreadsheet that parts at semicolons or tabs would find a cell of its own there (OWASP, CSV injection)."""
    hidden = ("Koch;=1+1", "Koch; @x", 'Koch";+1', 'Koch;"-1', "\uff1d1+1", "\uff20x")
    async with db.unit() as session:
        for name in (*hidden, "Koch; Söhne = 1-2 + 3 & Co"):
            await factories.create_customer(session, name=name)
    names = {r["Name"] for r in await rows(desk)}
    assert names == {
        "Koch;'=1+1", "Koch; '@x", "Koch\";'+1", "Koch;\"'-1", "'\uff1d1+1", "'\uff20x",
        "Koch; Söhne = 1-2 + 3 & Co",
    }  # fmt: skip


async def test_an_export_needs_its_grant_stays_in_scope_and_is_audited(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        mine, foreign = [await factories.create_project(session) for _n in range(2)]
        await factories.create_customer(session, project=mine, name="Mine")
        await factories.create_customer(session, project=foreign, name="Foreign")
    reader = await sign_in(await create_staff([("customer", "list")]))
    assert (await reader.post(URL, data={"kind": "csv", "all": "1"})).status_code == 403
    limited = await sign_in(await create_staff([("customer", "list"), ("customer", "export")], projects=(mine,)))
    assert [r["Name"] for r in await rows(limited)] == ["Mine"]
    async with db.reads() as session:
        assert (await session.scalars(select(Audit).where(Audit.action == "export"))).one().noun == "customer"
