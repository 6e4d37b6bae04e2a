"""The configuration in the panel: a file, modules, taking out the demo."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.domain import automation, discounts
from app.domain.automation import rules, watching
from app.domain.config import live, modules
from app.domain.inbound import rules as sorting
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.customers import Attitude, Customer
from app.models.jobs import Job, JobState
from app.models.staff import Staff
from app.settings import Settings
from tasks import base, charging, invoices
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.domain.test_import_runs import run_jobs

assert charging and invoices


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


URL = "/admin/configuration"
FILE = b"attitudes:\n- {name: Loyal, hue: 1}\n"


async def switch(**states: bool) -> None:
    async with db.unit() as session:
        await modules.switch(session, states=states)
    await live.keep_up(every=0)


def upload(data: bytes) -> dict[str, tuple[str, bytes, str]]:
    return {"files": ("desk.yaml", data, "application/yaml")}


async def test_a_file_is_shown_confirmed_and_taken(desk: httpx.AsyncClient) -> None:
    page = (await desk.post(f"{URL}/look", files=upload(FILE))).text
    assert "Loyal" in page and "1 row is made." in page
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Attitude)) == 0, "it was only shown"
    key = re.findall(r'name="file" value="([^"]+)"', page)[0]
    forged = await desk.post(f"{URL}/take", data={"file": key[:-1] + ("A" if key[-1] != "A" else "B")})
    assert forged.status_code == 422
    taken = await desk.post(f"{URL}/take", data={"file": key})
    assert (taken.status_code, taken.headers["location"]) == (303, URL)
    out = await desk.get(f"{URL}/file")
    assert "- name: Loyal" in out.text and "attachment" in out.headers["content-disposition"]
    assert "Nothing differs." in (await desk.post(f"{URL}/look", files=upload(out.content))).text
    bad = await desk.post(f"{URL}/look", files=upload(FILE.replace(b"1", b"9")))
    assert bad.status_code == 422 and "line 2, attitudes.1.hue" in bad.text
    preset = await desk.post(f"{URL}/look", data={"preset": "isp"})
    assert "Fibre 500" in preset.text and preset.status_code == 200
    assert (await desk.post(f"{URL}/look", data={"preset": "../../secret"})).status_code == 404


async def test_it_has_a_grant_of_its_own(sign_in: SignIn, database: str) -> None:
    browser = await sign_in(await create_staff([("*", "list"), ("*", "details"), ("project", "edit")]))
    for url in (URL, f"{URL}/file", f"{URL}/demo", "/admin/modules"):
        assert (await browser.get(url)).status_code == 403
    assert URL not in (await browser.get("/admin/")).text
    granted = await sign_in(await create_staff([("project", "action:configuration"), ("role", "create")]))
    assert (await granted.get(URL)).status_code == 200
    more = await granted.post(f"{URL}/look", files=upload(b"roles:\n- {name: X, grants: {'*': ['*']}}\n"))
    assert more.status_code == 422 and "more than you have" in more.text


async def test_a_module_that_is_off_is_nowhere(desk: httpx.AsyncClient, owner: Staff) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        await factories.create_ticket(session, customer_id=customer.id)
    card = f"/admin/customer/details/{customer.id}"
    assert "/admin/ticket/list" in (await desk.get("/admin/")).text
    assert "?tab=ticket" in (await desk.get(card)).text
    form = (await desk.get("/admin/modules")).text
    assert form.count('type="checkbox"') == len(modules.MODULES)
    left = {name: "y" for name in modules.MODULES if name not in ("tickets", "money", "groups", "phone", "projects")}
    assert (await desk.post("/admin/modules", data=left)).status_code == 303
    first = (await desk.get("/admin/")).text
    for screen in ("ticket", "canned_reply", "invoice", "payment", "account", "discount", "customer_group"):
        assert f"/admin/{screen}/list" not in first, screen
        answer = await desk.get(f"/admin/{screen}/list")
        assert answer.status_code == 404 and "switched off" in answer.text
        assert (await desk.post(f"/admin/{screen}/create", data={})).status_code == 404
    page = (await desk.get(card)).text
    assert "?tab=ticket" not in page and "/action/payment" not in page and "Phone verified" not in page
    shown = (await desk.get("/admin/customer/list")).text
    assert "Balance" not in shown and 'data-key="project_id"' not in shown and "sort=project" not in shown
    new = (await desk.get("/admin/customer/create")).text
    assert 'name="groups"' not in new and "available_projects" not in new
    filters = (await desk.get("/admin/customer/filter")).text
    assert "group.in" not in filters and "balance" not in filters and "verified_phone" not in filters
    found = (await desk.get("/admin/find?term=tick")).text
    assert "/admin/ticket" not in found
    kept = await desk.post(f"/admin/customer/edit/{customer.id}", data={"name": "Anna", "project": customer.project_id,
                           "kind": "individual", "status": "new", "email": "a@b.example"})  # fmt: skip
    assert kept.status_code == 303, kept.text
    await switch(tickets=True, money=True, groups=True, phone=True, projects=True)
    assert "?tab=ticket" in (await desk.get(card)).text, "the data is still there"


async def test_what_is_off_rests(database: str) -> None:
    async with db.unit() as session:
        await factories.create_project(session, name="One")
        await factories.create_project(session, name="Two")
        customer = await factories.create_customer(session)
        session.add(discounts.Discount(name="Ten", percent=1000))
    await switch(discounts=False)
    async with db.reads() as session:
        assert (await discounts.rules(session, customers=Customer.id == customer.id)).discounts == []
    await switch(discounts=True, money=False)
    assert not modules.on("discounts"), "it needs money"
    await switch(money=True)
    async with db.reads() as session:
        assert len((await discounts.rules(session, customers=Customer.id == customer.id)).discounts) == 1
    with pytest.raises(modules.Invalid, match="projects are in use"):
        await switch(projects=False)
    assert sorting._no_tickets in sorting.RULES
    async with db.unit() as session:
        rule = {"name": "Hello", "trigger": "balance", "amount": 0, "currency": "EUR",
                "actions": [{"kind": "webhook", "url": "https://x.example/"}]}  # fmt: skip
        made = await automation.save_rule(session, values=rule)
        await automation.switch(session, rule=made, on=True)
    for state in (True, False):
        await switch(automation=state)
        async with db.reads() as session:
            assert len(await rules.enabled(session, made.trigger)) == state
            assert len(await watching.in_use(session)) == state


async def test_a_file_of_many_rows_is_taken_later_by_who_may_still(
    desk: httpx.AsyncClient, sign_in: SignIn, settings: Settings
) -> None:
    resources = base.Resources(
        settings, OutboxMailer(settings.data_dir / "outbox"), DirectoryStorage(settings.data_dir / "attachments")
    )
    brief = await create_staff([("project", "action:configuration"), ("attitude", "create")])
    for n, browser in enumerate((desk, await sign_in(brief))):
        many = b"attitudes:\n" + b"".join(b"- {name: n%d-%d}\n" % (n, m) for m in range(400))
        page = (await browser.post(f"{URL}/look", files=upload(many))).text
        assert "400 rows are made." in page
        key = re.findall(r'name="file" value="([^"]+)"', page)[0]
        taken = await browser.post(f"{URL}/take", data={"file": key})
        assert taken.status_code == 303 and "in the background" in (await browser.get(URL)).text
    async with db.unit() as session:
        assert await session.scalar(select(func.count()).select_from(Attitude)) == 0
        (await session.get_one(Staff, brief.id)).enabled = False
    await run_jobs(resources)
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Attitude)) == 400
        states = (await session.scalars(select(Job.state).where(Job.name == "config.take").order_by(Job.id))).all()
        assert states == [JobState.DONE, JobState.FAILED], "who cannot sign in any more configures nothing"
