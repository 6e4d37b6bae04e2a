"""Many rows in Chromium: chosen, changed after a look at what would happen, undone without a reload, and exported."""

from __future__ import annotations

import io

import openpyxl
import pytest
from playwright.sync_api import expect

from tests.browser.hands import button, choose, link, open_customers, rows, sign_in
from tests.browser.house import Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def test_several_are_changed_undone_and_exported(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    open_customers(page)
    n = rows(page).count()
    page.get_by_role("checkbox", name="Select all on this page").check()
    selection = page.get_by_role("region", name="Selection")
    selection.get_by_label("More for the selection").click()
    link(selection, "Edit several").click()
    expect(page.get_by_text(f"{n} rows are meant.")).to_be_visible()
    expect(page.get_by_label("Came from: the value")).to_be_hidden()
    choose(page, "Came from", "Set to")
    page.get_by_label("Came from: the value").fill("A fair")
    walk.shot("form")
    button(page, "Look at the changes").click()
    progress = page.get_by_role("region", name="Progress")
    go_on = link(progress, f"Change {n} rows")
    expect(go_on).to_be_visible(timeout=60_000)
    expect(progress).to_contain_text("→ A fair")
    walk.shot("checked")
    go_on.click()
    button(page, "Start").click()
    page.evaluate("window.sameDocument = true")
    expect(button(progress, "Undo")).to_be_visible(timeout=60_000)
    expect(progress).to_contain_text(f"Changed {n}")
    walk.shot("done")
    button(progress, "Undo").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Undo this change?")
    button(dialog, "Undo").click()
    expect(progress).to_contain_text(f"Undone {n}", timeout=60_000)
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1280, "height": 900})
    open_customers(page)
    page.goto(page.url.partition("?")[0] + "?columns=email,name&sort=-name")
    page.get_by_role("checkbox", name="Select all on this page").check()
    selection.get_by_label("More for the selection").click()
    link(selection, "Export").click()
    expect(page.locator("input[name=columns]").first).to_have_value("email")
    expect(page.locator("input[name=columns]:checked")).to_have_count(2)
    open_customers(page)
    link(page, "Export").click()
    page.get_by_label("XLSX, a workbook").check()
    page.get_by_label("E-mail").check()
    with page.expect_download() as download:
        button(page, "Export").click()
    with open(download.value.path(), "rb") as file:
        sheet = openpyxl.load_workbook(io.BytesIO(file.read())).active
    heads = [cell.value for cell in next(sheet.iter_rows())]
    assert heads[:2] == ["ID", "Name"] and "E-mail" in heads and sheet.max_row == n + 1
