"""What people configure for themselves and for others, in the browser: a role in its matrix, a dictionary in its place,
the first page. One walk, because each part is small."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hands import button, link, sign_in
from tests.browser.house import Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def titles(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("[data-cell]", "all => all.map(c => c.dataset.title)")
    return found


def test_a_role_a_dictionary_and_the_first_page(walk: Walk) -> None:
    page = walk.page
    sign_in(page, at="/admin/role/create")
    role(page)
    dictionary(page)
    first_page(page)


def role(page: Page) -> None:
    page.get_by_role("textbox", name="Name").fill("Night desk")
    button(page, "Tick the whole row: Tickets").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Tickets"))
    ticked = row.get_by_role("checkbox", checked=True)
    n = row.get_by_role("checkbox").count()
    expect(ticked).to_have_count(n)
    expect(page.locator("#grants [data-said]")).to_have_text(f"{n} ticked")
    button(page, "Tick the whole row: Tickets").click()
    expect(ticked).to_have_count(0)
    button(page, "Tick the whole column: See the list").click()
    lists = page.get_by_role("checkbox", name=re.compile(": See the list$"))
    assert page.locator("[data-col=list] input:checked").count() == lists.count() - 1  # not "Everywhere"
    first = page.get_by_role("checkbox", name="Customers: See the list")
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("checkbox", name="Customers: Open one")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("checkbox", name="Users: Open one")).to_be_focused()
    page.keyboard.press("Space")
    page.get_by_text("Special grants: Customers").click()
    page.get_by_role("checkbox", name="Customers: Enter as customer").check()
    expect(page.locator("details", has_text="Special grants: Customers").locator("[data-ticked]")).to_contain_text("1 ")
    button(page, "Create").last.click()
    expect(page.get_by_role("heading", level=1, name="Night desk")).to_be_visible()
    expect(page.get_by_text("Enters customers’ accounts")).to_be_visible()
    link(page, "See the panel as this role").click()
    button(page, "Begin").click()
    told = page.get_by_role("complementary", name="You see the panel as a role")
    expect(told).to_contain_text("Night desk")
    button(told, "Back").click()
    expect(page.get_by_role("heading", level=1, name="Night desk")).to_be_visible()
    expect(told).to_have_count(0)


def dictionary(page: Page) -> None:
    page.goto("/admin/customer/create")
    button(page, "New: Attitude").click()
    dialog = page.get_by_role("dialog", name="New: Attitude")
    dialog.get_by_label("Name").fill("Thorough")
    button(dialog, "Add").click()
    expect(page.get_by_role("combobox", name="Attitude")).to_have_value("Thorough")
    page.once("dialog", lambda d: d.accept())  # the form that was begun is left
    page.goto("/admin/attitude/list")
    page.get_by_role("row").nth(1).hover()
    page.get_by_role("link", name=re.compile("^Edit here")).first.click()
    name = page.get_by_role("form", name="Edit here").get_by_label("Name")
    expect(name).to_be_focused()
    page.keyboard.press("Escape")
    expect(name).to_have_count(0)
    page.get_by_role("row").nth(1).hover()
    page.get_by_role("link", name=re.compile("^Edit here")).first.click()
    name.fill("")
    page.keyboard.press("Enter")
    name.fill("Patient")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Patient", exact=True)).to_be_visible()
    link(page, "Add here").click()
    page.get_by_role("form", name="Add").get_by_label("Name").fill("Curious")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Curious", exact=True)).to_be_visible()


def first_page(page: Page) -> None:
    for title, show in (("With an a", "How many"), ("The first of them", "The first rows")):
        page.goto("/admin/customer/list?search=a")
        page.locator("summary[aria-label='More for this list']").click()
        link(page, "Pin to dashboard").click()
        page.get_by_label("Title").fill(title)
        page.get_by_label(show).check()
        button(page, "Pin").click()
    one, other = page.locator("[data-cell]").nth(0), page.locator("[data-cell]").nth(1)
    expect(one.get_by_role("listitem").first).to_be_visible()
    expect(other.locator(".figure")).to_have_text(re.compile(r"^\d+"))
    assert titles(page)[:2] == ["The first of them", "With an a"]
    one.locator("summary[aria-label^='Arrange:']").click()
    button(one, "Later").click()
    page.wait_for_url(re.compile("#w-"))
    expect(page.locator("[data-cell]").nth(1).locator("summary[aria-label^='Arrange:']")).to_be_focused()
    assert titles(page)[:2] == ["With an a", "The first of them"]
    with page.expect_response("**/admin/widgets"):
        page.locator("[data-cell] .grip").nth(1).drag_to(page.locator("[data-cell]").nth(0))
    page.reload()
    assert titles(page)[:2] == ["The first of them", "With an a"]
    page.locator("summary[aria-label='Arrange this page']").click()
    button(page, "The usual arrangement").click()
    button(page, "As usual").click()
    expect(page.locator("[data-cell]")).to_have_count(0)
