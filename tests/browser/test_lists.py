"""Lists in the browser: parts are replaced without a new page, the back button, typing, focus, keys; and all of it
without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.hands import button, expect_customers, rows, sign_in
from tests.browser.house import PASSWORD, STAFF, House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]
LIST = "/admin/customer/list"


@pytest.fixture
def many(house: House) -> Iterator[None]:
    """More customers than a page holds."""
    with httpx.Client(base_url=house.url, headers={"Origin": house.url}, timeout=30) as client:
        assert client.post("/login", data={"username": STAFF, "password": PASSWORD}).status_code == 303
        project = client.get("/admin/project/lookup").json()["results"][0]["id"]
        if "Extra" not in client.get(f"{LIST}?search=extra").text:
            for n in range(25):
                entry = {
                    "name": f"Extra {n:02}",
                    "project": project,
                    "kind": "individual",
                    "country": "CZ",
                    "email": f"extra{n}@example.org",
                    "language": "en",
                }
                assert client.post("/admin/customer/create", data=entry).status_code == 303
    yield


def open_list(page: Page, query: str = "") -> None:
    """The list, with a mark on the page that a new one would not have."""
    sign_in(page, at=LIST + query)
    expect(page.get_by_role("heading", level=1, name="Customers")).to_be_visible()
    page.evaluate("window.same = true")


def same(page: Page) -> bool:
    return bool(page.evaluate("window.same === true"))


def focused(page: Page) -> str:
    return str(
        page.evaluate("document.activeElement.id || document.activeElement.rel || document.activeElement.tagName")
    )


def test_sorting_and_paging_replace_the_rows_alone_and_go_back(walk: Walk, many: None) -> None:
    page = walk.page
    open_list(page)
    expect(rows(page)).to_have_count(25)
    sort = page.get_by_role("link", name="Name", exact=True)
    sort.focus()
    walk.keys.press("Enter")
    expect(page).to_have_url(re.compile(r"\?sort=name$"))
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    expect(rows(page).first).to_contain_text("Anna Müller")
    expect(page.locator("#announce")).to_contain_text("Sorted by Name, ascending")
    assert focused(page) == "by-name"
    page.get_by_role("link", name="Next").click()
    expect(rows(page)).to_have_count(6)
    assert page.evaluate("scrollY") < 200, "the new page is read from its beginning"
    assert focused(page) == "prev", "Next is gone, its neighbour has the focus"
    page.go_back()
    expect(rows(page).first).to_contain_text("Anna Müller")
    page.go_back()
    expect(page).to_have_url(re.compile(r"/list$"))
    expect(rows(page).first).not_to_contain_text("Anna Müller")
    assert same(page)
    page.reload()
    expect(rows(page)).to_have_count(25)


def test_the_list_is_searched_while_it_is_typed(walk: Walk, many: None) -> None:
    page = walk.page
    open_list(page, "?language.in=de")
    box = page.get_by_label("Find in this list")
    box.press_sequentially("bernd", delay=20)
    expect_customers(page, "Bernd Jäger")
    expect(page.locator("mark").first).to_have_text("Bernd")
    expect(box).to_be_focused()
    expect(page).to_have_url(re.compile("language.in=de.*search=bernd|search=bernd.*language.in=de"))
    walk.shot("typed")
    box.fill("anna")
    box.press("Enter")
    expect_customers(page, "Anna Müller")
    box.fill("nobody at all")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    walk.shot("nothing")
    page.get_by_role("link", name="Remove search and filter").click()
    expect(rows(page)).to_have_count(25)
    expect(box).to_have_value("")
    page.go_back()
    expect(box).to_have_value("nobody at all")
    assert same(page)


def test_chips_go_one_by_one_and_the_drawer_counts(walk: Walk, many: None) -> None:
    page = walk.page
    open_list(page)
    button(page, "Filter").click()
    drawer = page.get_by_role("complementary", name="Filter")
    drawer.get_by_text("Contact", exact=True).click()
    drawer.get_by_role("combobox", name="Country", exact=True).select_option("CZ")
    expect(drawer.get_by_text("25 match")).to_be_visible()
    drawer.get_by_text("Account", exact=True).click()
    drawer.get_by_role("checkbox", name="Company", exact=True).check()
    expect(drawer.get_by_text("0 match")).to_be_visible()
    drawer.get_by_role("checkbox", name="Individual", exact=True).check()
    expect(drawer.get_by_text("25 match")).to_be_visible()
    walk.shot("drawer")
    drawer.get_by_role("button", name=re.compile("^Show")).click()
    expect(drawer).to_be_hidden()
    expect(rows(page)).to_have_count(25)
    assert focused(page) == "filter-open"
    page.get_by_role("link", name="Remove: Country is Czechia").click()
    expect(page.locator(".chip")).to_have_count(1)
    assert page.evaluate("document.activeElement.className") == "x", "the next chip has the focus"
    walk.keys.press("Enter")
    expect(page.locator(".chip")).to_have_count(0)
    assert same(page)


def test_a_selection_ends_with_the_rows_it_was_made_in(walk: Walk, many: None) -> None:
    page = walk.page
    open_list(page)
    page.get_by_role("checkbox", name="Select all on this page").check()
    page.get_by_role("button", name="All 31 that match").click()
    expect(page.get_by_text("All 31 selected")).to_be_visible()
    page.get_by_label("Find in this list").fill("extra 0")
    expect(rows(page)).to_have_count(10)
    expect(page.get_by_role("region", name="Selection")).to_be_hidden()
    rows(page).first.get_by_role("checkbox").check()
    expect(page.get_by_text("1 selected")).to_be_visible()


def test_the_height_of_the_rows_is_kept(walk: Walk) -> None:
    page = walk.page
    open_list(page)
    page.locator("summary[aria-label='Height of the rows']").click()
    page.get_by_role("button", name="Dense").click()
    assert rows(page).first.evaluate("e => e.offsetHeight") == 30
    page.reload()
    assert page.evaluate("document.documentElement.dataset.density") == "compact"
    page.locator("summary[aria-label='Height of the rows']").click()
    expect(page.get_by_role("button", name="Dense")).to_have_attribute("aria-pressed", "true")


def test_the_menu_of_a_row_and_copying_by_keyboard(walk: Walk) -> None:
    page = walk.page
    walk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_list(page, "?search=bernd")
    first = rows(page).first
    first.get_by_role("checkbox").focus()
    walk.keys.press("Tab")
    walk.keys.press("Enter")
    expect(page.get_by_text("Copied")).to_be_visible()
    number = first.locator("td.id").inner_text().strip()
    assert page.evaluate("navigator.clipboard.readText()") == number
    more = page.get_by_role("button", name="More for Bernd Jäger")
    more.focus()
    walk.keys.press("Enter")
    walk.keys.press("ArrowDown")
    walk.keys.press("ArrowDown")
    walk.shot("row-menu")
    assert page.evaluate("document.activeElement.closest('[popover]') !== null")
    walk.keys.press("Escape")
    expect(more).to_be_focused()


@pytest.mark.parametrize("walk", [(360, 740)], indirect=True)
def test_a_phone_has_the_menu_of_a_row_too(walk: Walk) -> None:
    page = walk.page
    open_list(page, "?search=bernd")
    page.get_by_role("button", name="More for Bernd Jäger").click()
    walk.shot("phone-menu")
    expect(page.get_by_role("link", name="Filter by customer", exact=True).locator("visible=true")).to_be_visible()


def test_without_scripts_everything_is_a_page(chromium: Browser, house: House, many: None) -> None:
    context = chromium.new_context(base_url=house.url, java_script_enabled=False, locale="en-GB")
    context.set_default_timeout(8000)
    page = context.new_page()
    sign_in(page, at=f"{LIST}?sort=name")
    page.get_by_role("link", name="Next").click()
    expect(rows(page)).to_have_count(6)
    page.get_by_label("Find in this list").fill("bernd")
    page.keyboard.press("Enter")
    expect_customers(page, "Bernd Jäger")
    expect(page.locator("mark").first).to_have_text("Bernd")
    expect(page.locator("summary[aria-label='Height of the rows']")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("walk", [(1024, 600)], indirect=True)
def test_on_a_tablet_the_head_stays_and_nothing_scrolls_sideways(walk: Walk, many: None) -> None:
    page = walk.page
    open_list(page)
    page.evaluate("language => fetch('/language', {method: 'POST', body: new URLSearchParams({language})})", "ru")
    for noun in ("customer", "payer", "service", "user", "ticket", "delivery", "audit", "project", "staff"):
        page.goto(f"/admin/{noun}/list")
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], noun
        expect(page.locator(".listing.wide")).to_have_count(0)
    page.goto(LIST)
    page.evaluate("scrollTo(0, 400)")
    assert page.locator("thead th").nth(2).bounding_box()["y"] == page.locator(".top").bounding_box()["height"]  # type: ignore[index]
    walk.shot("head stays")
    # a table that cannot fit scrolls in its own box
    page.evaluate("document.querySelector('thead th.lead').style.minWidth = '900px'")
    page.set_viewport_size({"width": 1000, "height": 600})
    expect(page.locator(".listing.wide")).to_have_count(1)
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
