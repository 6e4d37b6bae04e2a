"""Rules in the panel: made without scripts, tried, switched on, their secret shown once, their log."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.domain import automation
from app.models.automation import Rule, RuleNotice, RuleRun, RunState, Trigger
from app.models.customers import Customer
from tests import factories as make
from tests.admin_views.conftest import SignIn, create_staff

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
LIST = "/admin/automation_rule/list"
GERMANS = '{"field": "country", "op": "in", "value": ["DE"]}'


async def the_rule() -> Rule:
    async with db.reads() as session:
        return (await session.scalars(select(Rule))).one()


def text(answer: httpx.Response) -> str:
    return unescape(re.sub(r"<[^>]+>", "", answer.text))


async def test_a_rule_is_made_tried_and_switched_on(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        group = await make.create_group(session, name="<b>New</b>")
        german = await make.create_customer(session, name="Ada <Germany>", country="DE")
        await make.create_customer(session, project_id=german.project_id, name="Bob Austria", country="AT")
    form = (await desk.get("/admin/automation_rule/create")).text
    assert 'data-when="trigger=expiring|overdue"' in form and 'data-when="a1_kind=join|leave"' in form
    given = {"name": "Newcomers", "trigger": "registered", "condition": GERMANS, "a1_kind": "join", "position": "0",
             "days": "", "hours": "", "clock": "", "amount": ""}  # fmt: skip
    refused = await desk.post("/admin/automation_rule/create", data=given)
    assert refused.status_code == 422 and 'id="a1_group-error"' in refused.text
    given |= {"a1_group": str(group.id), "a3_kind": "set_country", "a3_country": "DE"}
    made = await desk.post("/admin/automation_rule/create", data=given)
    assert made.status_code == 303, text(made)
    rule = await the_rule()
    sentence = (
        "When a customer is registered, if Country is Germany: add to the group <b>New</b>, set Country to Germany"
    )
    assert [action["kind"] for action in rule.actions] == ["join", "set"] and not rule.enabled
    listed = await desk.get(LIST)
    assert sentence in text(listed) and "<b>New" not in listed.text and "Not in use" in listed.text
    assert sentence in text(await desk.get(made.headers["location"]))
    tried = await desk.get(f"/admin/automation_rule/action/try?pks={rule.id}")
    assert "In the last 30 days it would have met 1 customer." in tried.text
    assert "Ada &lt;Germany&gt;" in tried.text and "set Country to Germany (it is so already)" in tried.text
    why = {"pks": str(rule.id), "customer": str(german.id), "_look": "show"}
    looked = await desk.post("/admin/automation_rule/action/try", data=why, headers={"x-fragment": "look"})
    assert "Is met: the whole condition holds." in looked.text
    on = await desk.post("/admin/automation_rule/action/enable", data={"pks": str(rule.id)})
    assert on.status_code == 303 and (await the_rule()).enabled
    edit = (await desk.get(f"/admin/automation_rule/edit/{rule.id}")).text
    keys = re.findall(r'name="(a\d)_key"[^>]*value="([0-9a-f]+)"', edit)
    assert [key for _row, key in keys] == [action["key"] for action in rule.actions]
    again = {**given, "version": str((await the_rule()).version), "a1_kind": "", "a2_kind": "set_country",
             "a2_country": "AT", "a2_key": rule.actions[1]["key"], "a3_kind": ""}  # fmt: skip
    assert (await desk.post(f"/admin/automation_rule/edit/{rule.id}", data=again)).status_code == 303
    [action] = (await the_rule()).actions
    assert (action["key"], action["value"]) == (rule.actions[1]["key"], "AT")
    off = await desk.post("/admin/automation_rule/action/disable", data={"pks": str(rule.id)})
    assert off.status_code == 303 and not (await the_rule()).enabled


async def test_every_parameter_and_every_kind_of_action_comes_back_as_it_was_entered(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        staff = await make.create_staff(session)
        category = await make.create_category(session)
        template = await make.create_template(session, texts={"en": ("Hi", "Hello.")})
        attitude = await make.create_attitude(session, name="Loyal")
    given = {
        "name": "All", "position": "3", "trigger": "changed", "field": "attitude_id", "was": "", "becomes": "Loyal",
        "a1_kind": "template", "a1_template": str(template.id), "a2_kind": "ticket", "a2_subject": "S", "a2_text": "T",
        "a2_category": str(category.id), "a2_assigned": str(staff.id), "a2_to_customer": "y",
        "a3_kind": "notify", "a3_text": "Look", "a3_staff": str(staff.id), "a3_mail": "y",
    }  # fmt: skip
    made = await desk.post("/admin/automation_rule/create", data=given)
    assert made.status_code == 303, text(made)
    rule = await the_rule()
    assert rule.becomes == str(attitude.id)
    edit = (await desk.get(f"/admin/automation_rule/edit/{rule.id}")).text
    for name, value in given.items():
        assert name in edit, name
        if name in ("becomes", "a2_subject", "position"):
            assert re.search(rf'name="{name}"[^>]*value="{value}"', edit), name
    more = {**given, "version": str(rule.version), "a4_kind": "webhook", "a4_url": "https://example.org/hook",
            "a5_kind": "set_note", "a5_long_value": "one\ntwo"}  # fmt: skip
    assert (await desk.post(f"/admin/automation_rule/edit/{rule.id}", data=more)).status_code == 303
    rule = await the_rule()
    assert [action["kind"] for action in rule.actions] == ["template", "ticket", "notify", "webhook", "set"]
    assert rule.actions[1]["to_customer"] and rule.actions[2]["mail"] and rule.actions[4]["value"] == "one\ntwo"
    secret_page = await desk.get(f"/admin/automation_rule/action/secret?pks={rule.id}")
    [offered] = re.findall(r"whsec_[A-Za-z0-9+/=]+", secret_page.text)
    sent = await desk.post("/admin/automation_rule/action/secret", data={"pks": str(rule.id), "secret": offered})
    assert sent.status_code == 303
    rule = await the_rule()
    assert automation.secret_of(rule) == offered
    for url in (sent.headers["location"], f"/admin/automation_rule/edit/{rule.id}", LIST):
        assert "whsec_" not in (await desk.get(url)).text
    bad = {"pks": str(rule.id), "secret": "whsec_short"}
    assert (await desk.post("/admin/automation_rule/action/secret", data=bad)).status_code == 422


async def test_the_log_the_bell_and_the_timeline(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session, name="Ada")
        rule = await make.create_rule(session, name="Watch", trigger=Trigger.CHANGED, field="country")
        event = {"what": "changed", "field": "country", "was": "AT", "now": "DE"}
        failed = await make.create_rule_run(session, rule=rule, customer=customer, event=event)
        told = await make.create_rule_run(session, rule=rule, customer=customer, state=RunState.DONE, done={
            "two": {"kind": "notify", "state": "ok", "what": "told", "note": "<i>Call</i> Ada", "ref": 1}
        })  # fmt: skip
    colleague = await create_staff([("automation_run", "*"), ("customer", "list"), ("customer", "details")])
    async with db.unit() as session:
        session.add(RuleNotice(run_id=told.id, action="two", staff_id=colleague.id, text="Call Ada"))
    theirs = await sign_in(colleague)
    notices = (await theirs.get("/admin/notices")).text
    assert "&lt;i&gt;Call&lt;/i&gt; Ada" in notices
    assert "Call" not in (await desk.get("/admin/notices")).text
    log = text(await desk.get("/admin/automation_run/list"))
    assert "Country: Austria → Germany" in log and "failed: It broke." in log
    card = text(await desk.get(f"/admin/automation_run/details/{failed.id}"))
    assert "Country: Austria → Germany" in card and "failed: It broke." in card
    timeline = text(await desk.get(f"/admin/customer/details/{customer.id}?tab=timeline"))
    page = timeline if "Rule Watch" in timeline else text(await desk.get(f"/admin/customer/details/{customer.id}"))
    assert "Rule Watch" in page and "failed: It broke." in page
    again = await desk.post("/admin/automation_run/action/again", data={"pks": str(failed.id)})
    assert again.status_code == 303
    async with db.reads() as session:
        assert (await session.get_one(RuleRun, failed.id)).state is RunState.DUE
    assert (await desk.post("/admin/automation_run/action/again", data={"pks": str(told.id)})).status_code in (409, 422)
    assert (await theirs.get(LIST)).status_code == 403


async def test_a_broken_rule_is_shown_as_broken_and_can_be_renamed(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        rule = await make.create_rule(session, name="Old", condition={"field": "gone", "op": "is", "value": 1})
        await make.create_customer(session)
    assert "Broken" in (await desk.get(LIST)).text
    card = text(await desk.get(f"/admin/automation_rule/details/{rule.id}"))
    assert "Until it is mended, the rule does nothing." in card
    refused = await desk.post("/admin/automation_rule/action/enable", data={"pks": str(rule.id)})
    assert "cannot be used" in text(refused) and not (await the_rule()).enabled
    given = {"name": "New name", "trigger": "registered", "version": str(rule.version), "a1_kind": "set_note",
             "condition": '{"field": "gone", "op": "is", "value": 1}', "a1_long_value": "x"}  # fmt: skip
    saved = await desk.post(f"/admin/automation_rule/edit/{rule.id}", data=given)
    assert saved.status_code == 303, text(saved)
    assert (await the_rule()).name == "New name"


async def test_who_may_not_see_customers_sees_none_in_a_dry_run(sign_in: SignIn) -> None:
    async with db.unit() as session:
        await make.create_customer(session, name="Ada Secret")
        rule = await make.create_rule(session)
    browser = await sign_in(await create_staff([("automation_rule", "*")]))
    tried = (await browser.get(f"/admin/automation_rule/action/try?pks={rule.id}")).text
    assert "Ada Secret" not in tried and "Your role does not show customers." in tried
    async with db.reads() as session:
        assert (await session.scalars(select(Customer))).one().note == ""
