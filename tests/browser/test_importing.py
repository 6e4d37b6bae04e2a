"""Rows of a screen out of a file, in Chromium: checked, started and undone; what is wrong appears by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.hands import button, file, link, sign_in
from tests.browser.house import Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def test_attitudes_are_imported_and_taken_back(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.goto("/admin/attitude/list")
    page.get_by_label("More for this list").click()
    link(page, "Import").click()
    page.locator("input[type=file]").set_input_files(file("moods.csv", "Name,Colour\nImported,3\nWrong,red\n"))
    button(page, "Check the file").click()
    progress = page.get_by_role("region", name="Progress")
    expect(link(progress, "Import 1 row")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("row").filter(has_text="This is not a number")).to_be_visible()
    walk.shot("checked")
    link(progress, "Import 1 row").click()
    button(page, "Start the import").click()
    undo = link(page, "Undo the import")
    more = page.get_by_label("More actions")
    expect(progress).to_contain_text("Done", timeout=60_000)
    expect(more).to_be_visible()
    page.wait_for_load_state()
    more.click()
    expect(undo).to_be_visible()
    undo.click()
    walk.shot("undo")
    button(page, "Undo the import").click()
    expect(progress).to_contain_text("Undone", timeout=60_000)
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    walk.shot("narrow")
    page.goto("/admin/attitude/list")
    expect(page.get_by_text("Imported")).to_have_count(0)
