"""The command palette: what it finds, for whom, and that nobody finds what is not theirs."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest

from admin_views.projects import Projects
from admin_views.screens import SCREENS
from app import db
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

FRAGMENT = {"x-fragment": "1"}


async def found(browser: httpx.AsyncClient, term: str = "") -> dict[str, list[tuple[str, str]]]:
    """Group -> (label, address) of each option."""
    answer = await browser.get("/admin/find", params={"term": term}, headers=FRAGMENT)
    assert answer.status_code == 200 and "<html" not in answer.text
    groups = {}
    for label, inside in re.findall(r'role="group" aria-label="([^"]*)">(.*?)</div>', answer.text, re.S):
        options = re.findall(r'role="option"[^>]* href="([^"]*)".*?<bdi data-mark>(.*?)</bdi>', inside, re.S)
        groups[unescape(label)] = [(unescape(text), unescape(url)) for url, text in options]
    return groups


def labels(groups: dict[str, list[tuple[str, str]]], group: str) -> list[str]:
    return [label for label, _url in groups.get(group, [])]


async def test_without_a_term_it_shows_the_main_screens(desk: httpx.AsyncClient) -> None:
    groups = await found(desk)
    assert list(groups) == ["Screens"]
    assert groups["Screens"][:2] == [("Dashboard", "/admin/"), ("Customers", "/admin/customer/list")]
    assert "Roles" not in labels(groups, "Screens")


async def test_it_finds_screens_actions_and_settings_by_their_words(desk: httpx.AsyncClient) -> None:
    assert ("Register customer", "/admin/customer/create") in (await found(desk, "regis"))["Actions"]
    assert ("Send message", "/admin/customer/action/message?all=1") in (await found(desk, "send mes"))["Actions"]
    assert ("Roles", "/admin/role/list") in (await found(desk, "role"))["Settings"]
    assert ("My profile", "/admin/profile") in (await found(desk, "PROFILE"))["Settings"]
    assert await found(desk, "nothing is called so") == {}


async def test_it_speaks_the_readers_language_and_understands_english(sign_in: SignIn, database: str) -> None:
    browser = await sign_in(await create_staff([("*", "*")], language="de"))
    assert "Kunden" in labels(await found(browser, "kunden"), "Seiten")
    assert "Kunden" in labels(await found(browser, "customers"), "Seiten")


async def test_it_finds_rows_of_the_nouns_that_declare_it(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Nordhost")
        customer = await factories.create_customer(session, project=project, name="Jörg <Köhler>", email="jk@x.example")
        user = await factories.create_user(session, customer=customer, username="koehler.j", full_name="Eva Köhler")
        ticket = await factories.create_ticket(session, customer=customer, subject="Köhler asks")
    groups = await found(desk, "kohler")
    assert groups["Customers"] == [("Jörg <Köhler>", f"/admin/customer/details/{customer.id}")]
    assert groups["Users"] == [("Eva Köhler", f"/admin/user/details/{user.id}")]
    assert groups["Tickets"] == [("Köhler asks", f"/admin/ticket/details/{ticket.id}")]
    page = (await desk.get("/admin/find", params={"term": "kohler"})).text
    assert f"#{customer.id} · jk@x.example · Nordhost" in page and "Jörg &lt;Köhler&gt; · Waits for us" in page
    assert {v.identity for v in SCREENS if v.in_palette} >= {"customer", "user", "ticket"}


async def test_a_noun_joins_by_its_declaration(desk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session, name="Solvex")
    assert await found(desk, "solvex") == {}
    monkeypatch.setattr(Projects, "in_palette", True)
    assert await found(desk, "solvex") == {"Projects": [("Solvex", f"/admin/project/details/{project.id}")]}


async def test_the_row_with_the_typed_id_comes_first_and_the_rest_is_a_link(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        rows = [await factories.create_customer(session, name=f"Client {n}", phone="+49 1") for n in range(12)]
    first = rows[0].id
    for term in (str(first), f"#{first}"):
        assert (await found(desk, term))["Customers"][0] == ("Client 0", f"/admin/customer/details/{first}")
    many = (await found(desk, "client"))["Customers"]
    assert [label for label, _url in many] == [*(f"Client {n}" for n in range(11, 6, -1)), "Customers: all that match"]
    assert many[-1][1] == "/admin/customer/list?search=client"


async def test_nobody_finds_what_is_not_theirs(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        mine, other = [await factories.create_project(session, name=n) for n in ("Mine", "Other")]
        for project in (mine, other):
            customer = await factories.create_customer(session, project=project, name=f"Köhler of {project.name}")
            await factories.create_ticket(session, customer=customer, subject=f"Köhler asks {project.name}")
    other_id = customer.id
    limited = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    for term in ("kohler", str(other_id)):
        text = (await limited.get("/admin/find", params={"term": term})).text
        assert "Other" not in text
    assert labels(await found(limited, "kohler"), "Customers") == ["Köhler of Mine"]
    desk = await sign_in(await create_staff([("ticket", "list"), ("ticket", "details"), ("customer", "list")]))
    groups = await found(desk, "kohler")
    assert list(groups) == ["Tickets"] and len(groups["Tickets"]) == 2, "a card that may not be opened is not offered"
    assert labels(await found(desk), "Screens") == ["Dashboard", "Customers", "Tickets"]
    assert await found(desk, "register") == {} and "Roles" not in labels(await found(desk, "role"), "Settings")


async def test_writing_to_all_is_offered_only_to_those_who_may(sign_in: SignIn, database: str) -> None:
    grants = [("customer", "list"), ("customer", "details"), ("customer", "action:message")]
    one = await sign_in(await create_staff(grants))
    assert await found(one, "send message") == {}
    assert "action/message" not in (await one.get("/admin/customer/list")).text.partition("<table")[0]
    many = await sign_in(await create_staff([*grants, ("customer", "action:message_all")]))
    assert labels(await found(many, "send message"), "Actions") == ["Send message"]


async def test_strange_terms_are_harmless(desk: httpx.AsyncClient) -> None:
    for term in ("%", "_", "'; DROP", '"', "9" * 30, "#", "x" * 5000, "\\", "٣", "<b>", "* OR a"):
        answer = await desk.get("/admin/find", params={"term": term})
        assert answer.status_code == 200 and "<b>" not in answer.text, term


def test_letters_lead_to_one_place_each() -> None:
    given = [v.letter for v in SCREENS if v.letter]
    assert len(given) == len(set(given)) and all(re.fullmatch("[a-z]", x) for x in given) and "h" not in given


async def test_the_frame_carries_palette_keys_and_a_box_for_browsers_without_scripts(
    desk: httpx.AsyncClient, sign_in: SignIn, database: str
) -> None:
    page = (await desk.get("/admin/")).text
    assert 'id="palette"' in page and 'data-go="c"' in page and 'data-go="j"' in page
    assert 'action="/admin/customer/list"' in page and 'name="search"' in page
    poor = (await (await sign_in(await create_staff([("ticket", "list")]))).get("/admin/")).text
    assert 'data-go="t"' in poor and 'data-go="c"' not in poor and 'name="search"' not in poor
