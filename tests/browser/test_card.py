"""The card of a customer by hand: tabs, kinds and earlier events come without a new page, by mouse and by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hands import button, sign_in
from tests.browser.house import Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages]
CARD = "/admin/customer/details/1"
STAYS = "document.documentElement.dataset.mine = 'here'"


def stayed(page: Page) -> bool:
    """Whether this is still the page that was marked, and not a new one."""
    return bool(page.evaluate("document.documentElement.dataset.mine === 'here'"))


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_the_card_changes_without_a_new_page(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.goto(CARD)
    page.evaluate(STAYS)
    tabs = page.get_by_role("navigation", name="Parts of this record")

    note = page.get_by_label("Write a note")
    note.fill("Half a thought")
    tabs.get_by_role("link", name="Users").focus()
    walk.keys.press("Enter")
    expect(page.get_by_role("heading", level=2, name="Users")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?tab=user$"))
    expect(tabs.get_by_role("link", name="Users")).to_have_attribute("aria-current", "page")
    expect(tabs.get_by_role("link", name="Users")).to_be_focused()
    expect(tabs.locator("[aria-current]")).to_have_count(1)
    expect(page.locator("#announce")).to_have_text("Users")

    page.go_back()
    expect(page.get_by_label("Write a note")).to_have_value("Half a thought")
    expect(tabs.get_by_role("link", name="Summary")).to_have_attribute("aria-current", "page")
    page.go_forward()
    expect(page.get_by_role("heading", level=2, name="Users")).to_be_visible()
    page.go_back()
    assert stayed(page)
    page.reload()
    expect(page.get_by_role("heading", level=2, name="Timeline")).to_be_visible()


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_a_note_the_kinds_and_earlier_events(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    for n in range(27):
        page.goto(CARD)
        page.get_by_label("Write a note").fill(f"Note {n}")
        button(page, "Save the note").click()
        expect(page.locator(".event .quote").first).to_have_text(f"Note {n}")
    page.evaluate(STAYS)
    kinds = page.get_by_role("navigation", name="What the timeline shows")
    kinds.get_by_role("link", name="Notes").focus()
    walk.keys.press("Enter")
    expect(page).to_have_url(re.compile(r"\?kind=note$"))
    expect(kinds.get_by_role("link", name="Notes")).to_be_focused()
    expect(kinds.get_by_role("link", name="Notes")).to_have_attribute("aria-current", "true")
    events = page.locator(".event")
    expect(events).to_have_count(25)
    page.get_by_role("link", name="Earlier events").click()
    expect(events).to_have_count(27)
    expect(page.get_by_role("link", name="Earlier events")).to_have_count(0)
    expect(page.get_by_role("heading", level=3)).to_have_count(1)  # today, once
    expect(events.nth(25)).to_be_focused()
    assert stayed(page)
    walk.shot("notes")


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_when_the_fragment_fails_the_whole_page_comes(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.goto(CARD)
    page.evaluate(STAYS)

    page.route(
        "**/*tab=payer*", lambda route, request: route.abort() if "x-fragment" in request.headers else route.continue_()
    )
    page.get_by_role("link", name="Payers", exact=False).last.click()
    expect(page.get_by_role("heading", level=2, name="Payers")).to_be_visible()
    assert not stayed(page)
    walk.watch.problems.clear()


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
@pytest.mark.parametrize("walk", [(360, 740)], indirect=True)
def test_nothing_is_cut_off_on_a_phone(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    for query in ("", "?tab=user", "?tab=audit"):
        page.goto(CARD + query)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
