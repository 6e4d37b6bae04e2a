"""Bulk changes from the list to the undoing, and exports that are written in the background, as people meet them."""

from __future__ import annotations

import csv
import io
import re

import httpx
import pytest
from sqlalchemy import func, select

from admin_views.base import export
from app import db
from app.models.audit import Audit
from app.models.bulk import BulkRun
from app.models.catalog import ServiceStatus
from app.models.customers import Customer, Membership
from app.models.views import SavedView
from tasks import bulk
from tasks.base import Resources
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.admin_views.test_work import resources
from tests.domain.test_import_runs import run_jobs

assert bulk  # registers the tasks
__all__ = ["resources"]  # a fixture
EDIT = "/admin/customer/action/edit_several"
ACTIONS = ("list", "details", "edit", "export", "action:close")


async def languages() -> list[str]:
    async with db.reads() as session:
        return list(await session.scalars(select(Customer.language).order_by(Customer.id)))


async def test_several_are_edited_looked_at_and_undone(desk: httpx.AsyncClient, resources: Resources) -> None:
    async with db.unit() as session:
        group = await factories.create_group(session, name="Regulars")
        for n in range(3):
            await factories.create_customer(session, name=f"German {n}", language="de")
        await factories.create_customer(session, name="English", language="en")
    assert EDIT in (await desk.get("/admin/customer/list?language.in=de")).text
    form = (await desk.get(f"{EDIT}?all=1&language.in=de")).text
    assert "3 rows are meant" in form and 'data-when="how_language=set"' in form
    meant = {"all": "1", "query": "language.in=de"}
    nothing = await desk.post(EDIT, data={**meant, "how_language": ""})
    assert nothing.status_code == 422 and "at least one field" in nothing.text
    wrong = await desk.post(EDIT, data={**meant, "how_language": "set", "language": "xx"})
    assert wrong.status_code == 422
    broken = await desk.post(EDIT, data={"all": "1", "query": "gone.in=de", "how_language": "set", "language": "fr"})
    assert broken.status_code == 400
    nobody = await desk.post(EDIT, data={"how_language": "set", "language": "fr"})
    assert nobody.status_code == 404
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(BulkRun)) == 0
    asked = {"how_language": "set", "language": "fr", "how_groups": "add", "groups": str(group.id)}
    answer = await desk.post(EDIT, data={**meant, **asked})
    assert answer.status_code == 303, answer.text
    card = answer.headers["location"]
    assert "Being checked" in (await desk.get(card)).text
    await run_jobs(resources)
    looked = (await desk.get(f"{card}/part/progress")).text
    assert "Change 3 rows" in looked and "Nothing is changed yet" in looked
    assert "<bdi>German</bdi> → <bdi>French</bdi>" in looked and "German 2" in looked
    assert "<bdi>–</bdi> → <bdi>Regulars</bdi>" in looked
    assert await languages() == ["de"] * 3 + ["en"]
    run_id = card.rpartition("/")[2]
    start = f"/admin/bulk_run/action/start?pks={run_id}"
    assert start in looked and "can be undone" in (await desk.get(start)).text
    assert (await desk.post("/admin/bulk_run/action/start", data={"pks": run_id})).status_code == 303
    await run_jobs(resources)
    over = (await desk.get(card)).text
    assert await languages() == ["fr"] * 3 + ["en"] and "/admin/bulk_run/action/undo" in over
    assert "Bulk changes that are done" in (await desk.get("/admin/notices")).text
    assert "Customers: Groups, Language" in (await desk.get("/admin/bulk_run/list")).text
    assert (await desk.post("/admin/bulk_run/action/undo", data={"pks": run_id})).status_code == 303
    await run_jobs(resources)
    assert await languages() == ["de"] * 3 + ["en"] and "Undone" in (await desk.get(card)).text


async def test_the_price_of_services_is_set_in_its_currency(desk: httpx.AsyncClient, resources: Resources) -> None:
    url, meant = "/admin/service/action/edit_several", {"all": "1", "query": ""}
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        for code in ("EUR", "JPY"):
            await factories.create_service(session, customer=customer, price=900, currency=code)
    form = (await desk.get(f"{url}?all=1")).text
    assert form.count('data-when="how_price=set"') >= 2
    empty = await desk.post(url, data={**meant, "how_price": "set", "price": "", "currency": "EUR"})
    assert empty.status_code == 422 and "Please fill this in" in empty.text
    set_to = await desk.post(url, data={**meant, "how_price": "set", "price": "1250", "currency": "JPY"})
    await run_jobs(resources)
    looked = (await desk.get(set_to.headers["location"])).text
    assert "Change 1 row" in looked and "Currency: EUR, not JPY." in looked and "1,250\N{NO-BREAK SPACE}JPY" in looked


async def test_the_selection_closes_and_joins_groups_and_lists_who_was_refused(
    desk: httpx.AsyncClient, resources: Resources
) -> None:
    async with db.unit() as session:
        group = await factories.create_group(session, name="Regulars")
        free, bound = [await factories.create_customer(session, name=name) for name in ("Free", "Bound;=1")]
        await factories.create_service(session, customer=bound, status=ServiceStatus.ACTIVE)
    page = (await desk.get("/admin/customer/list")).text
    for slug in ("close_several", "groups", "edit_several", "message", "export"):
        assert f"/admin/customer/action/{slug}" in page, slug
    url, data = "/admin/customer/action/close_several", {"pks": f"{free.id},{bound.id}"}
    assert "2 rows are meant" in (await desk.get(url, params=data)).text
    card = (await desk.post(url, data=data)).headers["location"]
    await run_jobs(resources)
    looked = (await desk.get(card)).text
    assert "Change 1 row" in looked and "is not closed" in looked
    assert f"/admin/customer/list?id.in={free.id}%2C{bound.id}" in looked
    run_id = card.rpartition("/")[2]
    found = await desk.get(f"/admin/bulk_run/file/{run_id}/reasons")
    [line] = csv.DictReader(io.StringIO(found.text.removeprefix("\ufeff")))
    assert (line["id"], line["Name"]) == (str(bound.id), "Bound;'=1") and "not closed" in line["Refused"]
    # discarded: nothing is closed
    assert (await desk.post("/admin/bulk_run/action/stop", data={"pks": run_id})).status_code == 303
    assert (await desk.post("/admin/bulk_run/action/start", data={"pks": run_id})).status_code == 422
    joined = await desk.post("/admin/customer/action/groups", data={"all": "1", "query": "", "groups": str(group.id)})
    await run_jobs(resources)
    run_id = joined.headers["location"].rpartition("/")[2]
    await desk.post("/admin/bulk_run/action/start", data={"pks": run_id})
    await run_jobs(resources)
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Membership)) == 2


async def test_a_long_export_is_written_in_the_background_for_its_owner_only(
    sign_in: SignIn, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 2)
    async with db.unit() as session:
        mine, foreign = [await factories.create_project(session) for _n in range(2)]
        for n in range(4):
            await factories.create_customer(session, project=mine, name=f"Mine {n}", language="de")
        await factories.create_customer(session, project=foreign, name="Foreign", language="de")
    grants = [("customer", action) for action in ACTIONS]
    desk = await sign_in(await create_staff(grants, projects=(mine,)))
    other = await sign_in(await create_staff([("*", "*")]))
    form = (await desk.get("/admin/customer/action/export?all=1")).text
    ticked = re.findall(r'name="columns" value="(\w+)" checked', form)
    assert "name" in ticked and "phone" not in ticked and 'value="phone"' in form
    assert "balance" not in form and "groups" not in ticked, "what one may not see is not offered"
    data = {"all": "1", "query": "language.in=de&sort=name", "kind": "csv", "columns": ["name", "language"]}
    at_once = await desk.post("/admin/customer/action/export", data=data | {"at_once": "y"})
    assert at_once.text.count("Mine") == 4
    answer = await desk.post("/admin/customer/action/export", data=data)
    card = answer.headers["location"]
    assert card.startswith("/admin/bulk_run/details/")
    assert 'data-poll="' in (await desk.get(card)).text and "Stop" in (await desk.get(card)).text
    await run_jobs(resources)
    file = re.search(r'href="(/admin/bulk_run/file/\d+/download)"', (await desk.get(f"{card}/part/progress")).text)
    assert file is not None and "Exports to download" in (await desk.get("/admin/notices")).text
    found = await desk.get(file[1])
    assert found.text == "\ufeffName,Language\r\n" + "".join(f"Mine {n},de\r\n" for n in range(4))
    assert "attachment" in found.headers["content-disposition"]
    for url in (card, file[1], f"{card}/part/progress"):
        assert (await other.get(url)).status_code == 404
    run_id = card.rpartition("/")[2]
    for slug in ("stop", "start", "undo"):
        assert (await other.post(f"/admin/bulk_run/action/{slug}", data={"pks": run_id})).status_code == 404
    assert f"details/{run_id}" not in (await other.get("/admin/bulk_run/list")).text
    assert f"details/{run_id}" in (await desk.get("/admin/bulk_run/list")).text
    async with db.reads() as session:
        told = (await session.scalars(select(Audit).where(Audit.action == "export"))).all()
        assert [t.noun for t in told] == ["customer"] * 2


async def test_recipients_are_exported_in_the_background_too(
    desk: httpx.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their key has several columns."""
    monkeypatch.setattr(export, "AT_ONCE", 2)
    async with db.unit() as session:
        campaign = await factories.create_campaign(session)
        for n in range(3):
            customer = await factories.create_customer(session, name=f"C{n}")
            await factories.create_delivery(session, campaign=campaign, customer=customer)
    data = {"all": "1", "query": f"campaign.in={campaign.id}", "kind": "csv", "columns": ["customer_id", "state"]}
    answer = await desk.post("/admin/delivery/action/export", data=data)
    card = answer.headers["location"]
    await run_jobs(resources)
    found = await desk.get(f"/admin/bulk_run/file/{card.rpartition('/')[2]}/download")
    assert [line.partition(",")[0] for line in found.text.split()[1:]] == ["C2", "C1", "C0"]


async def test_ticked_rows_are_exported_in_the_columns_and_the_order_of_the_list(desk: httpx.AsyncClient) -> None:
    url = "/admin/customer/action/export"
    async with db.unit() as session:
        made = [await factories.create_customer(session, name=name, country="DE") for name in ("B", "A", "C")]
        columns = [["country", ""], ["name", ""]]
        view = SavedView(screen="customer", name="Mine", kind="shared", staff_id=None, columns=columns, sort="-name")
        session.add(view)
    pks = ",".join(str(c.id) for c in made[:2])
    for query, heads, names in (
        ("", None, ["A", "B"]),
        ("columns=email:wide,name&sort=name", ["email", "name"], ["A", "B"]),
        (f"view={view.id}", ["country", "name"], ["B", "A"]),
        ("columns=gone", None, ["A", "B"]),
    ):
        form = (await desk.get(url, params={"pks": pks, "query": query})).text
        ticked = re.findall(r'name="columns" value="(\w+)" checked', form)
        assert ticked[:1] == ["id"] if heads is None else ticked == heads, query
        posted = await desk.post(url, data={"pks": pks, "query": query, "kind": "csv", "columns": ticked})
        assert posted.status_code == 200
        rows = list(csv.DictReader(io.StringIO(posted.text.removeprefix("\ufeff"))))
        assert [row["Name"] for row in rows] == names, query
