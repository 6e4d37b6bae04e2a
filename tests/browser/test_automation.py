"""A rule is made in Chromium by what stands on the page: the fields of an action appear with its kind."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.hands import button, sign_in
from tests.browser.house import Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def test_a_rule_is_made_by_choosing(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.wait_for_url("**/admin/")
    page.goto("/admin/automation_rule/create")
    page.get_by_role("textbox", name="Name", exact=True).fill("Late payers")
    days = page.get_by_label("Days", exact=True)
    expect(days).to_be_hidden()
    page.get_by_label("What happens").select_option(label="An invoice is overdue")
    days.fill("5")
    done = page.get_by_role("combobox", name="What is done").first
    note, address = page.locator("#a1_long_value"), page.locator("#a1_url")
    expect(note).to_be_hidden()
    done.fill("set: note")
    done.press("Enter")
    expect(note).to_be_visible()
    expect(address).to_be_hidden()
    note.fill("pays late")
    page.get_by_text("Another action").first.click()
    page.locator("#a2_kind").fill("webhook")
    page.locator("#a2_kind").press("Enter")
    page.locator("#a2_url").fill("https://example.org/hook")
    walk.shot("rule")
    button(page, "Create").click()
    expect(
        page.get_by_text("When an invoice is overdue for 5 days: set Note to pays late, call example.org")
    ).to_be_visible()
    page.get_by_role("link", name="Switch on").click()
    expect(page.get_by_text("In the last 30 days it would have met")).to_be_visible()
    button(page, "Switch on").click()
    expect(page.get_by_text("In use", exact=True)).to_be_visible()
