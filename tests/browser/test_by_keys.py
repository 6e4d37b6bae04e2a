"""The main job by the keyboard alone, in one go: nothing here clicks, and nothing is focused but by Tab and keys."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.hands import button, expect_customers, link
from tests.browser.house import PASSWORD, STAFF, House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]
MOST = 160
"""Presses of Tab until something counts as out of reach."""
SEEN = """element => {
  const at = element.getBoundingClientRect();
  const top = document.elementFromPoint(at.x + Math.min(at.width / 2, 200), at.y + Math.min(at.height / 2, 60));
  return element.matches(":focus-visible") && !!top && (element.contains(top) || top.contains(element));
}"""


def arrived(page: Page, name: str) -> None:
    """The page is there, and its scripts have run."""
    expect(page.get_by_role("heading", level=1, name=name, exact=True)).to_be_visible()
    page.wait_for_load_state("domcontentloaded")


def reach(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until it has the focus; then its focus shows, and nothing lies over it."""
    expect(target).to_be_visible()
    for _n in range(MOST):
        if target.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press(key)
    expect(target).to_be_focused()
    assert target.evaluate(SEEN), f"the focus on {target} cannot be seen"


def take(page: Page, field: Locator, text: str) -> None:
    """Choose in a look-up by typing."""
    reach(page, field)
    page.keyboard.type(text)
    expect(page.get_by_role("option", name=text).first).to_be_visible()
    page.keyboard.press("Enter")
    if field.get_attribute("data-many") is None:
        expect(field).to_have_value(re.compile(text))
    else:
        expect(button(page, f"Remove {text}")).to_be_visible()


def test_the_main_job_by_the_keyboard_alone(walk: Walk, house: House) -> None:
    page, keys = walk.page, walk.page.keyboard
    page.goto("/admin/customer/list")
    page.wait_for_load_state("domcontentloaded")
    expect(page.get_by_label("User name or e-mail")).to_be_focused()
    keys.type(STAFF)
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    arrived(page, "Customers")

    find_filter_and_select(page)
    walk.shot("selected")
    compose_in_two_languages(walk)
    watch_it_arrive(page, house)
    walk.shot("sent")

    keys.press("Control+k")
    keys.type("anna")
    expect(page.get_by_role("dialog", name="Search or jump to").get_by_role("option", selected=True)).to_contain_text(
        "Anna Müller"
    )
    keys.press("Enter")
    arrived(page, "Anna Müller")
    enter_look_and_return(walk)


def find_filter_and_select(page: Page) -> None:
    keys = page.keyboard
    keys.press("/")
    keys.type("bernd")
    expect_customers(page, "Bernd Jäger")
    keys.press("Control+a")
    keys.press("Delete")
    expect(page.get_by_role("checkbox", name=re.compile("^Select (?!all)"))).to_have_count(6)

    reach(page, button(page, "Filter"))
    keys.press("Enter")
    drawer = page.get_by_role("complementary", name="Filter")
    expect(drawer.get_by_role("textbox").first).to_be_focused()
    take(page, drawer.get_by_role("combobox", name="Project", exact=True), "Nordhost")
    reach(page, drawer.get_by_role("button", name=re.compile("^Show")))
    keys.press("Enter")
    expect_customers(page, "Anna Müller", "Bernd Jäger", "Claire Young", "Diego Ruiz", "Ohne Post")

    keys.press("j")
    keys.press("x")
    selection = page.get_by_role("region", name="Selection")
    expect(selection).to_contain_text("1 selected")
    reach(page, page.get_by_role("checkbox", name="Select all on this page"), "Shift+Tab")
    keys.press("Space")
    expect(selection).to_contain_text("5 selected")
    reach(page, link(selection, "Send message"))
    keys.press("Enter")
    arrived(page, "Send message")


def compose_in_two_languages(walk: Walk) -> None:
    page, keys = walk.page, walk.page.keyboard
    expect(page.get_by_text("To 5 customers")).to_be_visible()
    take(page, page.get_by_role("combobox", name="Category"), "Maintenance")
    subject, text = page.get_by_role("textbox", name="Subject"), page.get_by_role("textbox", name="Text")
    reach(page, page.get_by_role("tab", selected=True))
    for name, words in (("English", "By keys alone"), ("German", "Nur mit Tasten")):
        tab = page.get_by_role("tab", name=name)
        for _n in range(page.get_by_role("tab").count()):
            if tab.get_attribute("aria-selected") == "true":
                break
            keys.press("ArrowRight")
        expect(tab).to_be_focused()
        reach(page, subject)
        keys.type(words)
        reach(page, text)
        keys.type(f"{words}, {{{{ customer.name }}}}.")
        expect(text).to_have_value(re.compile(f"^{words}, "))
        reach(page, tab, "Shift+Tab")
    walk.shot("written")
    reach(page, button(page, "Continue"))
    keys.press("Enter")
    expect(page.get_by_role("region", name="Please confirm")).to_contain_text("5")
    page.wait_for_load_state("domcontentloaded")
    walk.shot("asked")
    reach(page, page.get_by_role("button", name=re.compile(r"^Send to \d")))
    keys.press("Enter")


def watch_it_arrive(page: Page, house: House) -> None:
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("Sent", timeout=20_000)
    expect(progress).not_to_contain_text("Sending", timeout=20_000)
    subjects = {to: str(message["subject"]) for to, message in house.sink.messages}
    assert subjects["bernd@example.org"] == "Nur mit Tasten" and subjects["claire@example.org"] == "By keys alone"
    page.wait_for_load_state("domcontentloaded")


def enter_look_and_return(walk: Walk) -> None:
    page, keys = walk.page, walk.page.keyboard
    reach(page, link(page, "Enter as customer"))
    keys.press("Enter")
    expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
    page.wait_for_load_state("domcontentloaded")
    keys.type("To see it by keys")
    reach(page, button(page, "Enter"))
    keys.press("Enter")
    banner = page.get_by_role("complementary", name="You are inside a customer’s account")
    expect(banner).to_contain_text("Anna Müller")
    page.wait_for_load_state("domcontentloaded")
    walk.shot("inside")
    reach(page, page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Messages"))
    keys.press("Enter")
    arrived(page, "Messages")
    reach(page, link(page, "Nur mit Tasten"))
    keys.press("Enter")
    arrived(page, "Nur mit Tasten")
    reach(page, button(page, "Return"))
    keys.press("Enter")
    arrived(page, "Anna Müller")
