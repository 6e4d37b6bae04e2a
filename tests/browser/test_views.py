"""Columns by mouse and by keyboard, a view that is saved, changed and undone; names in place of the usual ones."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.hands import button, expect_customers, link, sign_in
from tests.browser.house import House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]
LIST = "/admin/customer/list"


def heads(page: Page) -> Locator:
    return page.locator("thead th[scope=col]")


def item(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has=page.get_by_role("checkbox", name=name, exact=True))


def drag(walk: Walk, one: Locator, to: Locator) -> None:
    """By its handle, above the other."""
    page, grip, target = walk.page, one.locator(".column-grip").bounding_box(), to.bounding_box()
    assert grip is not None and target is not None
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(target["x"] + 20, target["y"] + 30, steps=4)
    page.mouse.move(target["x"] + 20, target["y"] + 4, steps=4)
    page.mouse.up()


def test_columns_are_chosen_and_the_list_is_kept_as_a_view(walk: Walk) -> None:
    page = walk.page
    sign_in(page, at=LIST)
    page.evaluate("window.same = true")
    link(page, "Columns").click()
    drawer = page.get_by_role("complementary", name="Columns and order")
    expect(drawer.get_by_placeholder("Find a column")).to_be_focused()
    for name in ("ID", "Account type", "Country", "Language", "Attitude"):
        drawer.get_by_role("checkbox", name=name, exact=True).uncheck()
    drawer.get_by_placeholder("Find a column").fill("e-ma")
    expect(drawer.get_by_role("listitem")).to_have_count(1)
    drawer.get_by_role("checkbox", name="E-mail", exact=True).check()
    drawer.get_by_placeholder("Find a column").fill("")
    drag(walk, item(page, "Status"), item(page, "Name"))
    expect(heads(page).nth(0)).to_have_text("Status")

    # the same by keyboard: focus stays at what is moved, and its place is said
    for _place in range(2):
        drawer.get_by_role("button", name="Later: Status").focus()
        walk.keys.press("Enter")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Later: Status"
    expect(heads(page).nth(0)).to_have_text("Name")
    email = drawer.get_by_role("checkbox", name="E-mail", exact=True)
    email.focus()
    for _place in range(20):
        walk.keys.press("Alt+ArrowUp")
    expect(heads(page).nth(0)).to_have_text("E-mail")
    expect(email).to_be_focused()
    drawer.get_by_role("combobox", name="Width: E-mail").select_option("wide")
    expect(page.locator("th.w-wide")).to_have_text("E-mail")
    walk.shot("columns")
    walk.keys.press("Escape")
    expect(drawer).to_be_hidden()
    assert page.evaluate("window.same === true")
    page.reload()
    expect(heads(page).nth(0)).to_have_text("E-mail")

    # a view of it, with its tab and figure
    page.goto(f"{LIST}?name.contains=anna&search=ann")
    link(page, "Save view").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Anna's list")
    page.get_by_role("radio", name="Everybody who may see this list").check()
    button(page, "Save").click()
    views = page.get_by_role("navigation", name="Saved views")
    expect(views.get_by_role("link", name="Anna's list 1")).to_have_attribute("aria-current", "page")
    expect_customers(page, "Anna Müller")
    page.evaluate("window.same = true")
    link(views, "All").click()
    expect(page.get_by_role("link", name="Remove: Name contains anna")).to_have_count(0)
    box = page.get_by_label("Find in this list")
    expect(box).to_have_value("")
    views.get_by_role("link", name="Anna's list").click()
    expect_customers(page, "Anna Müller")
    expect(box).to_have_value("ann")
    box.fill("bernd")
    expect(page.get_by_text("Changed: search")).to_be_visible()
    walk.shot("changed")
    link(page, "Undo").click()
    expect_customers(page, "Anna Müller")
    expect(page.get_by_text("Changed:")).to_have_count(0)
    assert page.evaluate("window.same === true"), "tabs replace the list alone"


def test_a_radio_button_shows_the_fields_that_depend_on_it(walk: Walk) -> None:
    page = walk.page
    sign_in(page, at="/admin/customer/view")
    role = page.locator("#role")
    expect(role).to_be_hidden()
    page.get_by_label("One role, which opens it by itself").check()
    expect(role).to_be_visible()
    page.get_by_label("Only me").check()
    expect(role).to_be_hidden()
    page.goto("/admin/customer/action/pin_widget?all=1")
    expect(page.get_by_label("By the day of")).to_be_hidden()
    page.get_by_label("Chart over time").check()
    expect(page.get_by_label("By the day of")).to_be_visible()


def test_columns_are_a_page_without_scripts(chromium: Browser, house: House) -> None:
    context = chromium.new_context(base_url=house.url, java_script_enabled=False, locale="en-GB")
    context.set_default_timeout(8000)
    page = context.new_page()
    sign_in(page, at=LIST)
    link(page, "Columns").click()
    page.get_by_role("checkbox", name="Phone", exact=True).check()
    page.get_by_role("button", name="Earlier: Phone", exact=True).click()
    expect(page.get_by_role("checkbox", name="Phone", exact=True)).to_be_checked()
    button(page, "Show").click()
    expect(heads(page).filter(has_text="Phone")).to_have_count(1)
    link(page, "Columns").click()
    button(page, "The usual columns").click()
    expect(heads(page).filter(has_text="Phone")).to_have_count(0)
    context.close()
