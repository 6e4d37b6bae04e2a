"""The answer box in Chromium: canned replies by "/", the note that looks different, the colleague who answers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app import db
from app.domain.staff import add_staff
from app.models.customers import Customer
from app.observe import SYSTEM, acting
from tests import factories
from tests.browser.conftest import _blocking
from tests.browser.hands import button, eventually, sign_in
from tests.browser.house import PASSWORD, House, Walk, furnish, open_house

pytestmark = [pytest.mark.browser, pytest.mark.pages]
QUOTED = "It is still down.\n\nOn Monday the desk wrote:\n> Try it now.\n> Ann"


async def _furnish(database: str, data: Path) -> None:
    await furnish(database, data)
    db.configure(database)
    with acting(SYSTEM):
        async with db.unit() as session:
            await add_staff(session, username="bob", full_name="Bob Beck", email="bob@example.com", password=PASSWORD)
            customer = await session.get_one(Customer, 1)
            for n in range(3):
                await factories.create_ticket(session, customer=customer, subject=f"Line {n} is down", text=QUOTED)
            for name in ("Greeting", "Grüße zum Schluss", "Restart the router"):
                await factories.create_canned(session, name=name, texts={"de": f"{name}, {{{{ customer.name }}}}."})
    await db.dispose()


@pytest.fixture(scope="module")
def house(redis_url: str, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data = tmp_path_factory.mktemp("tickets")
    shutil.copy(sqlite_template, data / "bursar.db")
    database = f"sqlite+aiosqlite:///{data / 'bursar.db'}"
    _blocking(_furnish(database, data))
    with open_house(database, redis_url, data) as opened:
        yield opened


def test_a_canned_reply_is_found_by_its_name_and_filled_in(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.goto("/admin/ticket/details/1")
    area = page.get_by_role("textbox", name="Answer")
    area.press_sequentially("Hello /gru")
    option = page.get_by_role("option", name="Grüße zum Schluss")
    expect(option).to_be_visible()
    expect(page.get_by_role("option")).to_have_count(1)
    expect(area).to_have_attribute("aria-activedescendant", re.compile("slash-"))
    walk.shot("slash")
    page.keyboard.press("Enter")
    expect(area).to_have_value("Hello Grüße zum Schluss, Anna Müller.")
    area.press_sequentially(" /")
    expect(page.get_by_role("option")).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox", name="Canned replies")).to_be_hidden()
    area.fill("")
    page.locator("summary", has_text="Canned reply").click()
    page.get_by_role("link", name="Greeting").click()
    expect(area).to_have_value("Greeting, Anna Müller.")
    area.fill("see a/b and 1/2")
    expect(page.get_by_role("listbox", name="Canned replies")).to_be_hidden()
    area.fill("")


def test_a_note_looks_different_and_quotations_are_folded(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.goto("/admin/ticket/details/2")
    expect(page.get_by_text("It is still down.")).to_be_visible()
    expect(page.get_by_text("Try it now.")).to_be_hidden()
    page.get_by_label("Show the quoted text").click()
    expect(page.get_by_text("Try it now.")).to_be_visible()
    expect(button(page, "Send the answer")).to_be_visible()
    page.get_by_label("Internal note").check()
    expect(button(page, "Write the note")).to_be_visible()
    expect(button(page, "Send the answer")).to_be_hidden()
    walk.shot("note")
    page.get_by_role("textbox", name="Answer").fill("Careful with this one.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.internal")).to_contain_text("Careful with this one.")


def test_who_begins_to_write_is_seen_by_the_others(walk: Walk, chromium: Browser, house: House) -> None:
    page = walk.page
    sign_in(page)
    page.goto("/admin/ticket/details/3")
    with page.expect_response(re.compile("/action/lock")) as answer:
        page.get_by_role("textbox", name="Answer").press_sequentially("I look")
    assert answer.value.json()["held"] is True
    context = chromium.new_context(base_url=house.url, locale="en-GB")
    other = context.new_page()
    sign_in(other, "bob")
    other.goto("/admin/ticket/details/3")
    expect(other.get_by_text(re.compile("Olga Owner answers this ticket"))).to_be_visible()
    other.get_by_role("textbox", name="Answer").fill("Me too.")
    other.get_by_label("Take the ticket over").check()
    button(other, "Send the answer").click()
    expect(other.get_by_text("Me too.")).to_be_visible()
    page.get_by_role("textbox", name="Answer").fill("I looked.")
    button(page, "Send the answer").click()
    expect(page.get_by_text(re.compile("Bob Beck has written meanwhile"))).to_be_visible()
    expect(page.get_by_role("textbox", name="Answer")).to_have_value("I looked.")
    walk.watch.problems.clear()  # the refusal is a 422
    walk.shot("meanwhile")
    button(page, "Send the answer").click()
    expect(page.locator(".msg", has_text="I looked.")).to_be_visible()
    context.close()
    sent = eventually(lambda: len(house.sink.messages) > 1 and list(house.sink.messages))
    assert {(to, m["Subject"]) for to, m in sent} == {("anna@example.org", "Re: Line 2 is down")}


@pytest.mark.parametrize("walk", [(360, 800)], indirect=True)
def test_on_a_phone_nothing_stands_over_the_edge(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    for url in ("/admin/ticket/details/1", "/admin/ticket/action/answer?pks=1", "/admin/ticket/list",
                "/admin/canned_reply/create", "/admin/inbound_mail/list"):  # fmt: skip
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, url
