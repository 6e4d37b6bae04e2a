"""The builder of conditions: what it offers to whom, what it is told, and the field that holds one."""

from __future__ import annotations

import json
import random
import re
import time
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import db, filters
from app.db import utcnow
from app.domain import customers
from app.domain.customers import grouping
from app.models.catalog import ServiceStatus
from app.models.customers import Customer, Group
from app.models.discounts import Discount
from app.models.messaging import Segment
from app.models.staff import Staff
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)

IN_GERMANY = {"field": "country", "op": "in", "value": ["DE"]}


async def ask(desk: httpx.AsyncClient, condition: Any, pk: int | None = None) -> dict[str, Any]:
    text = condition if isinstance(condition, str) else json.dumps(condition)
    data = {"condition": text} | ({} if pk is None else {"pk": str(pk)})
    answer = await desk.post("/admin/customer/condition", data=data)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_fields_are_those_that_the_person_may_ask_about(
    desk: httpx.AsyncClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = {f["name"]: f for f in (await desk.get("/admin/customer/fields")).json()["fields"]}
    assert every["services"]["target"] == "service" and every["balance"]["digits"] == 2
    assert ["in", "any of"] in every["country"]["ops"] and ["DE", "Germany"] in every["country"]["choices"]
    assert every["subscriptions"]["target"] == "subscription" and every["refuses"]["target"] == "message_category"
    few = await sign_in(await create_staff([("customer", "list")]))
    names = {f["name"] for f in (await few.get("/admin/customer/fields")).json()["fields"]}
    assert {"country", "group"} <= names and not names & {"services", "balance", "unpaid_invoices"}
    has_any = {"field": "services", "op": "has"}
    assert (await ask(few, has_any))["problem"]["path"] == "field", "nor may it be asked by hand"
    filters.computed(Customer, "custom_shoe", "Shoe size", "number", lambda c: filters.value(c, "id"))
    try:
        assert "custom_shoe" in {f["name"] for f in (await desk.get("/admin/customer/fields")).json()["fields"]}
    finally:
        filters.withdraw(Customer, "custom_shoe")
    assert (await ask(desk, {"field": "custom_shoe", "op": "is", "value": 1}))["problem"], "it is gone at once"


async def test_a_condition_is_said_counted_and_explained_within_the_scope(
    desk: httpx.AsyncClient, sign_in: SignIn
) -> None:
    async with db.unit() as session:
        mine, other = await factories.create_project(session), await factories.create_project(session)
        ada = await factories.create_customer(session, name="Ada", country="DE", project=mine)
        bob = await factories.create_customer(session, name="Bob", country="DE", project=other)
        product = await factories.create_product(session, name="Web 5")
        for status in (ServiceStatus.ACTIVE, ServiceStatus.ACTIVE):
            await factories.create_service(session, customer=ada, product=product, status=status)
        news = await factories.create_category(session, name="News")
        await factories.create_subscription(session, customer=ada, category=news, wanted=True)
        await factories.create_subscription(session, customer=bob, category=news, wanted=True, ended_at=utcnow())
        await factories.create_subscription(session, customer=bob, category=news, wanted=False)
    for name, who in (("asked_for", ada), ("refuses", bob)):
        own = {"all": [{"field": name, "op": "in", "value": [news.id]}, {"field": "id", "op": "is", "value": who.id}]}
        for condition in (own, own["all"][0]):
            assert (await ask(desk, condition))["match"] == "1 match", name
    served = {"field": "services", "op": "has", "where": {"field": "product", "op": "in", "value": [product.id]}}
    both = {"all": [IN_GERMANY, {"not": {"any": [served]}}]}
    told = await ask(desk, IN_GERMANY)
    assert told["said"] == "Country is Germany" and told["match"] == "2 match"
    assert (await ask(desk, both))["match"] == "1 match"
    assert (await ask(desk, served))["names"] == {"product": {str(product.id): "Web 5"}}
    why = (await ask(desk, both, ada.id))["why"]
    assert why["in"] is False
    assert [(line["path"], line["holds"], line["good"]) for line in why["lines"]] == [
        ("all[0]", True, True), ("all[1].not.any[0]", True, False),
    ]  # fmt: skip
    assert "Web 5" in why["lines"][1]["text"] and why["lines"][1]["said"] == "Holds, but must not"
    assert (await ask(desk, both, bob.id))["why"]["in"] is True
    limited = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    assert (await ask(limited, IN_GERMANY))["match"] == "1 match"
    assert (await ask(limited, IN_GERMANY, bob.id))["why"] == {"in": False, "lines": []}, "nothing is told of him"
    blind = await sign_in(await create_staff([("attitude", "*")]))
    told = await ask(blind, served)
    assert (told["match"], told["names"], told["said"]) == ("", {}, ""), "no list, so no figure and no name"
    assert (await ask(blind, IN_GERMANY, ada.id)).get("why") is None


async def test_a_broken_condition_is_shown_matches_nobody_and_survives(desk: httpx.AsyncClient) -> None:
    broken = {"all": [IN_GERMANY, {"field": "gone", "op": "is", "value": 1}]}
    async with db.unit() as session:
        await factories.create_customer(session, name="Ada", country="DE")
        discount = await factories.create_discount(session, name="Loyal", percent=500, condition=broken)
    told = await ask(desk, broken)
    assert told["problem"]["path"] == "all[1].field" and "gone" in told["problem"]["text"] and not told["match"]
    card = (await desk.get(f"/admin/discount/details/{discount.id}")).text
    assert "cannot be used" in card and "It reaches" not in card
    form = {"name": "Loyal", "target": "all", "scope": "everything", "kind": "percent", "percent": "5",
            "currency": "EUR", "enabled": "y", "priority": "0", "amount": "0"}  # fmt: skip

    async def send(condition: str, **more: str) -> httpx.Response:
        return await desk.post(f"/admin/discount/edit/{discount.id}", data={**form, **more, "condition": condition})

    async def stored() -> Discount:
        async with db.reads() as session:
            return await session.get_one(Discount, discount.id)

    assert (await send(json.dumps(broken), name="Faithful")).status_code == 303
    assert ((await stored()).name, (await stored()).condition) == ("Faithful", broken)
    other = await send(json.dumps({"any": [broken]}))
    assert other.status_code == 422 and "There is no field “gone” here." in other.text, "but not written anew"
    assert "&#34;gone&#34;" in other.text, "and what was typed is there"
    empty = await send('{"all": [{"any": []}]}')
    assert empty.status_code == 422 and "This group is empty" in empty.text
    assert (await send(json.dumps(IN_GERMANY))).status_code == 303
    assert (await stored()).condition == IN_GERMANY
    assert (await send("")).status_code == 303 and (await stored()).condition is None


def wrong(r: random.Random, depth: int = 0) -> Any:
    """Something that is nearly a condition."""
    word = r.choice(["all", "any", "not", "field", "where", "value", "op", "n", "\0", "__class__"])
    value = r.choice([
        None, True, 1.5, -(2**70), "", "\0", "\ud800", "x" * 5000, [], {}, [[]] * 9, [{}], ["DE"] * 3000, "-30d",
        r.choice(list(filters.fields(Customer))), "in", "has", "is",
    ])  # fmt: skip
    if depth < 6 and r.random() < 0.6:
        value = [wrong(r, depth + 1) for _ in range(r.randrange(1, 4))] if r.random() < 0.5 else wrong(r, depth + 1)
    return {word: value, **({"op": r.choice(["in", "is", "has", 7])} if word == "field" else {})}


async def test_conditions_by_hand_are_answered_quickly_and_never_with_a_failure(desk: httpx.AsyncClient) -> None:
    deep: Any = IN_GERMANY
    for _ in range(30):
        deep = {"all": [deep]}
    seed = random.randrange(10**9)
    r = random.Random(seed)
    bad = [
        json.dumps(deep), json.dumps({"any": [IN_GERMANY] * 10_000}), "[" * 100_000, "{", "null null", "NaN", "7",
        json.dumps({"field": "country", "op": "in", "value": ["DE"] * 9_000}), '{"field": "name\\u0000", "op": "is"}',
        json.dumps({"field": "id", "op": "in", "value": [10**40]}), "9" * 5000, '{"field": "name", "op": "contains"}',
        '{"all": [], "\\ud800": 1}', '{"any": [{"not": {"field": "\\udfff", "op": "is"}}]}', '{"not": {"all": []}}',
    ]  # fmt: skip
    for n, text in enumerate([*bad, *(json.dumps(wrong(r)) for _ in range(60))]):
        begin = time.process_time()
        told = await ask(desk, text)
        assert n >= len(bad) or (told["problem"]["text"] and not told["match"]), text[:200]
        assert time.process_time() - begin < 1.5, (seed, text[:200])
    for text in bad[:-1]:  # the last means nobody, for whoever writes it so
        answer = await desk.get("/admin/customer/list", params={"filter": text[:15_000]})
        assert answer.status_code in (400, 422), text[:200]
        assert (await desk.post("/admin/discount/create", data={"name": "x", "condition": text})).status_code == 422


async def test_the_drawer_gives_the_builder_what_its_fields_cannot_show(desk: httpx.AsyncClient) -> None:
    query = "kind.in=company&country.in=DE,FR&registered_at.from=-30d&name.starts_with=A"
    form = (await desk.get(f"/admin/customer/filter?{query}")).text
    [text] = re.findall(r'<textarea[^>]*name="filter"[^>]*>(.*?)</textarea>', form, re.S)
    assert [c["field"] for c in json.loads(unescape(text))["all"]] == ["country", "registered_at", "name"]
    assert re.search(r'name="kind.in" value="company" checked', form) and "hidden" not in form.split("<details")[0]
    plain = (await desk.get("/admin/customer/filter?country.in=DE&name.contains=x")).text
    assert (
        re.search(r'<textarea[^>]*name="filter"[^>]*>\s*</textarea>', plain) and '<option selected value="DE">' in plain
    )
    both = {"all": [IN_GERMANY, {"any": [IN_GERMANY, {"field": "name", "op": "contains", "value": "z"}]}]}
    shown = (await desk.get("/admin/customer/list", params={"filter": json.dumps(both), "kind.in": "company"})).text
    chips = [unescape(c) for c in re.findall(r'<a class="x" href="([^"]*)" aria-label="Remove: ', shown)]
    assert len(chips) == 3, "each condition that holds together with the others goes by itself"
    assert "country.in=DE" in chips[1] and "kind.in=company" in chips[1], "what is left is an address that people read"


async def test_segments_and_groups_are_made_with_the_builder(desk: httpx.AsyncClient, owner: Staff) -> None:
    async with db.unit() as session:
        ada = await factories.create_customer(session, name="Ada", country="DE")
        group = await factories.create_group(session, name="Berliners")
        await factories.create_membership(session, customer=ada, group=group)
    page = "/admin/segment/create"
    assert "Add at least one condition." in (await desk.post(page, data={"name": "All", "condition": ""})).text
    made = await desk.post(page, data={"name": "Germans", "condition": json.dumps(IN_GERMANY)})
    card = (await desk.get(made.headers["location"])).text
    assert "Country is Germany" in card and "1 customer now" in card and "data-why" in card
    edit = made.headers["location"].replace("details", "edit")
    french = {"field": "country", "op": "in", "value": ["FR"]}
    answer = await desk.post(edit, data={"name": "The French", "condition": json.dumps(french)})
    assert answer.status_code == 303
    async with db.reads() as session:
        [segment] = await session.scalars(select(Segment))
        assert (segment.name, segment.condition, segment.staff_id) == ("The French", french, owner.id)

    at, form = f"/admin/customer_group/edit/{group.id}", {"name": "Berliners", "hue": "1", "priority": "0"}
    own = {"field": "group", "op": "in", "value": [group.id]}
    refused = await desk.post(at, data={**form, "condition": json.dumps(own)})
    assert refused.status_code == 422 and "A rule cannot ask for members of groups." in refused.text
    assert (await desk.post(at, data={**form, "condition": json.dumps(IN_GERMANY)})).status_code == 303
    card = (await desk.get(f"/admin/customer_group/details/{group.id}")).text
    assert "Country is Germany" in card and "1 member by hand" in card and "0 members by this rule" in card
    assert "just now" in card, "the job waits for a worker"
    async with db.unit() as session:
        await grouping.follow_slice(session, group_id=group.id, after=0)
        await customers.register_customer(
            session, project_id=ada.project_id, name="Bob", email="bob@example.org", country="DE"
        )
    assert "1 member by this rule" in (await desk.get(f"/admin/customer_group/details/{group.id}")).text
    names = (await desk.get("/admin/customer/list", params={"group.in": str(group.id)})).text
    assert "Ada" in names and "Bob" in names
    async with db.unit() as session:
        (await session.get_one(Group, group.id)).condition = {"field": "gone", "op": "is", "value": 1}
    card = (await desk.get(f"/admin/customer_group/details/{group.id}")).text
    assert "means nobody" in card and "There is no field “gone” here." in card
    assert (await desk.post(at, data={**form, "name": "Others", "condition": '{"field":"gone","op":"is","value":1}'})
            ).status_code == 303  # fmt: skip
