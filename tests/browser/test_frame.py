"""What stands round every page: palette, keys, bell, theme; at a desk, on a phone, and without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.hands import button, link, sign_in
from tests.browser.house import House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Customer, screen or action")


def chosen(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Search or jump to").get_by_role("option", selected=True)


def heading(page: Page, name: str) -> Locator:
    return page.get_by_role("heading", level=1, name=name, exact=True)


def test_the_palette_finds_chooses_and_remembers(walk: Walk) -> None:
    page, keys = walk.page, walk.keys
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    button(page, "Search or jump to…").click()
    expect(box(page)).to_be_focused()
    expect(chosen(page)).to_contain_text("Dashboard")
    keys.press("ArrowDown")
    expect(chosen(page)).to_contain_text("Customers")
    keys.press("ArrowUp")
    keys.press("ArrowUp")
    expect(chosen(page)).to_contain_text("Files")
    keys.type("jager")
    expect(chosen(page)).to_contain_text("Bernd Jäger")
    walk.shot("palette")
    keys.press("Enter")
    expect(heading(page, "Bernd Jäger")).to_be_visible()
    keys.press("Control+k")
    box(page).fill("zzzz")
    expect(page.locator("[data-told]")).to_be_visible()
    box(page).fill("<b>&")
    keys.press("Escape")
    expect(box(page)).to_be_hidden()
    expect(heading(page, "Bernd Jäger")).to_be_visible()
    keys.press("Control+k")
    keys.type("register customer")
    keys.press("Enter")  # before anything is found
    expect(heading(page, "Register customer")).to_be_visible()
    keys.press("Control+k")
    expect(page.get_by_role("group", name="Recent").get_by_role("option")).to_contain_text(["Bernd Jäger"])
    expect(chosen(page)).to_contain_text("Bernd Jäger")
    keys.press("Escape")
    page.locator("summary", has_text="Olga Owner, profile").click()
    button(page, "Sign out").click()
    expect(button(page, "Sign in")).to_be_visible()
    assert page.evaluate("Object.keys(localStorage).filter(k => k.startsWith('bursar-recent'))") == []


def test_single_keys_move_select_open_and_go(walk: Walk) -> None:
    page, keys = walk.page, walk.keys
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    keys.press("g")
    keys.press("c")
    expect(heading(page, "Customers")).to_be_visible()
    names = page.locator("tbody tr .lead a")
    keys.press("j")
    expect(names.nth(0)).to_be_focused()
    keys.press("j")
    expect(names.nth(1)).to_be_focused()
    keys.press("x")
    expect(page.locator("tbody tr").nth(1).get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_role("region", name="Selection")).to_contain_text("1 selected")
    keys.press("k")
    expect(names.nth(0)).to_be_focused()
    name = names.nth(0).inner_text()
    keys.press("o")
    expect(heading(page, name)).to_be_visible()
    keys.press("e")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Edit")
    page.get_by_label("Contact person").click()
    keys.type("gc?jx/")
    expect(page.get_by_label("Contact person")).to_have_value("gc?jx/")
    page.get_by_label("Contact person").fill("")
    page.goto("/admin/customer/list")
    keys.press("n")
    expect(heading(page, "Register customer")).to_be_visible()
    page.goto("/admin/")
    page.evaluate(
        """() => { for (const [key, code] of [["п", "KeyG"], ["е", "KeyT"]])
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, code, bubbles: true, cancelable: true })); }"""
    )
    expect(heading(page, "Tickets")).to_be_visible()  # on a Russian keyboard


def test_the_sheet_lists_the_keys_and_they_can_be_switched_off(walk: Walk) -> None:
    page, keys = walk.page, walk.keys
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    keys.press("?")
    expect(sheet).to_be_visible()
    walk.shot("keys")
    keys.press("g")
    keys.press("c")
    expect(sheet).to_be_visible()
    keys.press("Escape")
    expect(sheet).to_be_hidden()
    page.locator("summary", has_text="Olga Owner, profile").click()
    button(page, "Keyboard shortcuts").click()
    expect(sheet).to_be_visible()
    link(sheet, "Switch them off").click()
    page.get_by_label("Keyboard shortcuts of a single key").uncheck()
    page.locator("#own").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    keys.press("?")
    keys.press("g")
    keys.press("c")
    page.wait_for_timeout(300)
    expect(heading(page, "My profile")).to_be_visible()
    expect(sheet).to_be_hidden()
    keys.press("Control+k")
    expect(box(page)).to_be_focused()
    keys.press("Escape")
    page.get_by_label("Keyboard shortcuts of a single key").check()
    page.locator("#own").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def test_the_theme_of_the_profile_rules_until_the_button_is_pressed(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()

    def choose(theme: str) -> None:
        page.goto("/admin/profile")
        page.get_by_role("group", name="Theme").get_by_text(theme, exact=True).click()
        page.locator("#own").get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved.")).to_be_visible()

    html = page.locator("html")
    choose("Dark")
    expect(html).to_have_attribute("data-theme", "dark")
    page.get_by_role("banner").get_by_role("button", name="Light or dark").click()
    expect(html).to_have_attribute("data-theme", "light")
    page.goto("/admin/")
    expect(html).to_have_attribute("data-theme", "light")
    choose("As the device")
    expect(html).not_to_have_attribute("data-theme", re.compile("."))


def test_the_bell_shows_and_then_counts_as_seen(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.locator(".bell").click()
    expect(page.locator(".pop.notices")).to_contain_text("Nothing waits for you")
    walk.keys.press("Escape")
    expect(page.locator(".pop.notices")).to_be_hidden()
    expect(page.locator(".bell")).to_be_focused()


@pytest.mark.parametrize("walk", [(360, 740)], indirect=True)
def test_on_a_phone_everything_of_the_top_bar_is_within_reach(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()

    def fits(name: str) -> None:
        walk.shot(name)
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"{name}: {wide[0]} > {wide[1]}"

    button(page, "Search or jump to").click()
    box(page).fill("anna")
    expect(chosen(page)).to_contain_text("Anna Müller")
    fits("phone-palette")
    button(page.get_by_role("dialog"), "Close").click()
    page.locator(".bell").click()
    expect(page.locator(".pop.notices")).to_contain_text("Nothing waits for you")
    fits("phone-bell")
    page.locator("summary", has_text="Olga Owner, profile").click()
    fits("phone-menu")
    link(page, "My profile").click()
    expect(heading(page, "My profile")).to_be_visible()
    fits("phone-profile")
    button(page, "Menu").click()
    link(page, "Customers").click()
    expect(heading(page, "Customers")).to_be_visible()


def test_without_scripts_the_box_searches_customers(house: House, chromium: Browser) -> None:
    context = chromium.new_context(base_url=house.url, java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    sign_in(page)
    expect(page.locator("[data-palette]").first).to_be_hidden()
    page.get_by_label("Search customers").fill("eva")
    page.get_by_label("Search customers").press("Enter")
    expect(link(page, "Eva Alpina")).to_be_visible()
    page.locator(".bell").click()
    page.locator(".pop.notices").get_by_role("link", name="Notifications").click()
    expect(heading(page, "Notifications")).to_be_visible()
    context.close()
