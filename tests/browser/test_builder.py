"""The builder of conditions: a filter made with the keys, a segment with related rows, why one is in or out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.hands import button, expect_customers, sign_in
from tests.browser.house import Walk
from tests.generated.test_accessibility import findings

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def sound(page: Page) -> None:
    assert findings(page) == []
    page.emulate_media(color_scheme="light")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def choose(walk: Walk, text: str, option: str) -> None:
    """Type into the box that has the focus, and take what it finds."""
    walk.page.keyboard.type(text)
    expect(walk.page.get_by_role("option", name=option, exact=True)).to_be_visible()
    walk.keys.press("Enter")


def add(inside: Locator) -> None:
    inside.get_by_role("button", name="Add a condition", exact=True).last.press("Enter")


def test_a_filter_is_built_with_the_keys_and_a_segment_of_related_rows(walk: Walk) -> None:
    page = walk.page
    sign_in(page, at="/admin/customer/list")
    button(page, "Filter").click()
    drawer = page.get_by_role("complementary", name="Filter")
    drawer.locator("summary", has_text="Build a filter").press("Enter")
    add(drawer)
    expect(drawer.get_by_role("combobox", name="Field")).to_be_focused()
    choose(walk, "langu", "Language")
    drawer.get_by_role("group", name="Language: Value").get_by_role("checkbox", name="German").press("Space")
    expect(drawer.get_by_text("4 match")).to_be_visible()
    expect(drawer.get_by_text("Language is German")).to_be_visible()
    add(drawer)
    choose(walk, "registered", "Registered")
    expect(drawer.get_by_role("textbox", name="Registered: How many")).to_be_focused()
    walk.page.keyboard.type("7")
    add(drawer)
    choose(walk, "e-mail", "E-mail")
    drawer.get_by_role("button", name=re.compile("^Show")).click()
    expect(drawer.get_by_text("A text is needed.")).to_be_visible()
    expect(drawer).to_be_visible()
    drawer.get_by_role("textbox", name="E-mail: Value").fill("bernd@")
    walk.shot("drawer")
    sound(page)
    drawer.get_by_role("button", name=re.compile("^Show")).click()
    expect_customers(page, "Bernd Jäger")
    expect(page.locator(".chip")).to_have_count(3)
    page.get_by_role("link", name="Remove: E-mail contains bernd@").click()
    expect(page.locator(".chip")).to_have_count(2)
    button(page, "Filter 2").click()
    expect(drawer.get_by_role("combobox", name="Language", exact=True)).to_have_value("de")
    expect(drawer.get_by_role("textbox", name="Registered: How many")).to_have_value("7")
    page.set_viewport_size({"width": 360, "height": 800})
    walk.shot("phone")
    sound(page)

    page.goto("/admin/segment/create")
    page.get_by_label("Name").fill("With a user called Anna")
    builder = page.get_by_role("group", name="Who is meant")
    add(builder)
    choose(walk, "users", "Users")
    within = builder.locator(".builder-where")
    add(within)
    choose(walk, "user name", "User name")
    page.keyboard.type("anna")
    expect(builder.get_by_text("1 match")).to_be_visible()
    within.get_by_role("button", name="Add a group", exact=True).press("Enter")
    within.get_by_role("combobox", name="How the conditions of this group go together").last.select_option(
        "None of these"
    )
    within.get_by_role("combobox", name="Field").last.focus()
    choose(walk, "user name", "User name")
    page.keyboard.type("bernd")
    expect(builder.get_by_text("not (User name contains bernd)")).to_be_visible()
    sound(page)
    walk.shot("segment")
    button(page, "Edit as text").click()
    text = page.get_by_role("textbox", name="Who is meant")
    expect(text).to_have_value(re.compile('"not"'))
    text.fill(text.input_value().replace('"username"', '"shoe_size"', 1))
    button(page, "Edit as conditions").click()
    expect(builder.get_by_text("There is no field “shoe_size” here.")).to_be_visible()
    builder.get_by_role("combobox", name="Field").nth(1).focus()
    choose(walk, "user name", "User name")
    page.keyboard.type("anna")
    expect(builder.get_by_text("1 match")).to_be_visible()
    button(page, "Create").click()
    expect(page.get_by_role("heading", name="Who is meant")).to_be_visible()
    page.locator("summary", has_text="Why is one in or out?").press("Enter")
    page.get_by_role("combobox", name="Why is one in or out?").click()
    page.keyboard.type("bernd")
    expect(page.get_by_role("option")).to_have_count(1)
    walk.keys.press("Enter")
    expect(page.get_by_text("Not included")).to_be_visible()
    expect(page.get_by_text("Does not hold")).to_be_visible()
    sound(page)
    walk.shot("why")


def test_a_broken_filter_stands_open_to_be_mended(walk: Walk) -> None:
    page = walk.page
    sign_in(page, at="/admin/customer/list?gone.is=1&language.in=de")
    banner = page.locator("main").get_by_role("alert")
    expect(banner).to_contain_text("There is no field “gone” here")
    drawer = page.get_by_role("complementary", name="Filter")
    expect(drawer.get_by_role("alert")).to_contain_text("There is no field “gone” here")
    expect(drawer.get_by_role("button", name="Remove this condition")).to_be_visible()
    assert len(walk.watch.problems) == 2, "the status of the page, and the console about it"
    walk.watch.problems.clear()
    walk.shot("broken")
    sound(page)
    drawer.get_by_role("button", name="Remove this condition").click()
    expect(drawer.get_by_text("4 match")).to_be_visible()
    drawer.get_by_role("button", name=re.compile("^Show")).click()
    expect(page.locator(".chip")).to_have_count(1)
    expect(banner).to_have_count(0)
