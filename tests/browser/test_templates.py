"""Writing a template by hand: the list of fields, the preview while typing, mistakes at their place."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.hands import button, link, look_up, open_customers, sign_in
from tests.browser.house import House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


@pytest.mark.parametrize("walk", [(1280, 900), (360, 740)], indirect=True)
def test_a_template_is_written_with_its_preview(walk: Walk, house: House) -> None:
    page = walk.page
    sign_in(page)
    page.goto("/admin/message_template/create")
    page.get_by_role("textbox", name="Name", exact=True).fill(f"By hand {walk.page.viewport_size}")
    subject, text = page.get_by_role("textbox", name="Subject"), page.get_by_role("textbox", name="Text", exact=True)
    text.fill("Dear , hello")
    text.evaluate("e => e.setSelectionRange(5, 5)")
    find = page.get_by_role("searchbox", name="Find a field")
    find.fill("account")
    rows = page.locator(".macro-rows li:visible")
    expect(rows).to_have_count(1)
    rows.get_by_role("button").click()
    expect(text).to_have_value("Dear {{ customer.name }}, hello")
    look = page.locator("#look")
    expect(look).to_contain_text("Dear Müller & Söhne GmbH, hello")
    subject.focus()
    rows.get_by_role("button").click()
    expect(subject).to_have_value("{{ customer.name }}")
    find.fill("no such field")
    expect(page.get_by_text("Nothing found")).to_be_visible()

    text.fill("first\n and {{ customer.nam }}")
    mistake = look.locator("[data-mistake]")
    expect(mistake).to_contain_text("Line 2, position 9: unknown field")
    expect(text).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".error[data-live]")).to_contain_text("Did you mean")
    walk.shot("mistake")
    button(mistake, "Show the place").click()
    expect(text).to_be_focused()
    assert text.evaluate("e => e.selectionStart") == len("first\n and {{ ")
    text.fill("**all** well")
    expect(look.locator("strong")).to_have_text("all")
    expect(text).not_to_have_attribute("aria-invalid", "true")
    page.get_by_role("tab", name=re.compile("German|Deutsch")).click()
    expect(look).to_contain_text("all well")
    walk.shot("preview")
    button(page, "Create").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("By hand")
    walk.shot("card")


def test_the_composer_looks_for_templates_of_the_chosen_category(walk: Walk, house: House) -> None:
    page = walk.page
    sign_in(page)
    open_customers(page)
    link(page, "Anna Müller").click()
    link(page, "Send message").click()
    template = page.get_by_role("combobox", name="Template", exact=True)
    expect(template).to_have_attribute("data-lookup", "/admin/message_template/lookup?project=1")
    look_up(page, "Category", "Maintenance")
    chosen = re.compile(r"^/admin/message_template/lookup\?category=\d+&project=1$")
    expect(template).to_have_attribute("data-lookup", chosen)
    look_up(page, "Template", "Planned work")
    expect(page.get_by_role("textbox", name="Subject")).to_have_value("Maintenance")
