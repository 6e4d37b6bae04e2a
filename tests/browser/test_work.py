"""The first page and long work in Chromium: charts that are drawn, walked by keys, and readable without scripts; an
import that is uploaded, checked, started and stopped without a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.hands import button, link, look_up, sign_in
from tests.browser.house import House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]
CHART = "New customers by day"


def _ink(page: Page) -> int:
    """How many points of the canvas are painted."""
    return int(
        page.evaluate(
            """() => { const c = document.querySelector('.plot-box canvas'); const d = c.getContext('2d')
                .getImageData(0, 0, c.width, c.height).data; let n = 0;
                for (let i = 3; i < d.length; i += 4) n += d[i] > 0;
                return n; }"""
        )
    )


def test_the_chart_is_drawn_walked_by_keys_and_shown_as_a_table(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    picture = page.get_by_role("img", name=re.compile("new customers in 30 days"))
    expect(picture.locator("canvas")).to_be_visible()
    assert _ink(page) > 500
    height = page.locator(".plot").bounding_box()
    picture.focus()
    walk.keys.press("End")
    expect(page.locator(".plot-tip")).to_contain_text("New customers 6")
    walk.keys.press("ArrowLeft")
    expect(page.locator(".plot-tip")).to_contain_text("New customers 0")
    before = page.evaluate("document.querySelector('.plot-box canvas').toDataURL()")
    button(page, "Light or dark").click()
    page.wait_for_function("b => document.querySelector('.plot-box canvas').toDataURL() !== b", arg=before)
    walk.shot("chart")
    page.set_viewport_size({"width": 360, "height": 800})
    expect(picture).to_be_visible()
    page.wait_for_function("document.querySelector('.plot-box canvas').getBoundingClientRect().right <= 360")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1280, "height": 900})
    button(page, "As a table").click()
    table = page.get_by_role("region", name=CHART).get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(31)
    expect(picture).to_be_hidden()
    assert page.locator(".plot").bounding_box() == height, "nothing around it moves"


def test_without_scripts_the_numbers_stand_there(chromium: Browser, house: House) -> None:
    context = chromium.new_context(base_url=house.url, java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    sign_in(page)
    expect(page.get_by_role("region", name=CHART).get_by_role("table")).to_be_visible()
    expect(page.locator(".plot-box")).to_be_hidden()
    context.close()


def test_an_import_is_checked_started_and_stopped_without_a_reload(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Imports").click()
    link(page, "Import customers").first.click()
    text = "id,name,email\n" + "".join(f"{n},Import {n},i{n}@example.org\n" for n in range(15_000)) + "1,Twice,\n"
    page.locator("input[type=file]").set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    look_up(page, "Project", "Nordhost")
    walk.shot("upload")
    button(page, "Read the file").click()
    columns = link(page, "Look at the columns")
    expect(columns).to_be_visible(timeout=60_000)
    columns.click()
    button(page, "Check the file").click()
    page.evaluate("window.sameDocument = true")
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("of 15,001")
    walk.shot("checking")
    go_on = link(page, "Import 15,000 customers")
    expect(go_on).to_be_visible(timeout=120_000)
    expect(page.locator("#announce")).to_have_text("Checked")
    expect(page.get_by_role("heading", name="Rows that are left out")).to_be_visible()
    assert page.evaluate("window.sameDocument")
    walk.shot("checked")
    go_on.click()
    button(page, "Start the import").click()
    page.evaluate("window.sameDocument = true")
    expect(progress).to_contain_text(re.compile(r"New \d"), timeout=30_000)
    button(progress, "Stop").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Stop this import?")
    walk.shot("stop")
    button(dialog, "Cancel").click()
    assert page.evaluate("window.sameDocument")
    button(progress, "Stop").click()
    button(dialog, "Stop").click()
    expect(progress).to_contain_text("Stopped")
    expect(button(progress, "Stop")).to_have_count(0)
    walk.shot("stopped")
