"""Forms in Chromium: choosing by typing, sentences at the fields, nothing lost, and all of it without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.hands import button, choose, look_up, sign_in
from tests.browser.house import House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]
CREATE = "/admin/customer/create"


def enter(page: Page) -> None:
    sign_in(page)
    page.wait_for_url("**/admin/")


def posted(page: Page, name: str) -> str:
    """What the form would send for this field."""
    value: str = page.evaluate("name => new FormData(document.getElementById('form')).get(name)", name)
    return value


def test_a_long_list_is_chosen_by_typing_and_by_keys(walk: Walk) -> None:
    page, keys = walk.page, walk.keys
    enter(page)
    page.goto(CREATE)
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
    country = page.get_by_role("combobox", name="Country", exact=True)
    country.focus()
    keys.type("osterr")
    expect(page.locator(".pick .option")).to_have_count(0)
    expect(page.locator(".pick .told", has_text="Nothing found")).to_be_visible()
    keys.press("Escape")
    expect(country).to_have_value("")
    keys.type("aust")
    expect(page.locator(".pick .option")).to_have_text(["Australia", "Austria"])
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(country).to_have_value("Austria")
    assert posted(page, "country") == "AT"
    country.fill("nonsense")
    keys.press("Tab")
    expect(country).to_have_value("Austria")
    country.fill("de")  # the code itself
    keys.press("Enter")
    assert posted(page, "country") == "DE"
    country.fill("")
    keys.press("Tab")
    assert posted(page, "country") == ""
    zone = page.get_by_role("combobox", name="Time zone", exact=True)
    zone.fill("berlin")
    expect(page.locator(".pick .option")).to_have_text(re.compile(r"Europe/Berlin \(UTC\+0[12]:00\)"))
    keys.press("Tab")
    assert posted(page, "timezone") == "Europe/Berlin"
    walk.shot("pickers")


def test_mistakes_are_told_at_their_fields_before_anything_is_sent(walk: Walk) -> None:
    page = walk.page
    enter(page)
    page.context.add_cookies([{"name": "bursar_language", "value": "de", "url": page.url}])
    page.goto(CREATE)
    page.get_by_label("E-mail").fill("not an address")
    page.get_by_label("Phone", exact=True).fill("030 123456")
    expect(page.get_by_text("This is not an e-mail address")).to_be_visible()
    button(page, "Register customer").click()
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_accessible_description(
        re.compile("Please fill this in.")
    )
    assert page.url.endswith(CREATE)
    page.get_by_role("textbox", name="Name", exact=True).fill("Anna")
    page.get_by_label("E-mail").fill("anna@example.org")
    page.get_by_label("Phone", exact=True).focus()
    expect(page.locator("#name-error, #email-error")).to_have_count(0)
    walk.shot("mistakes")


def test_what_the_server_refuses_leads_to_the_first_mistake(walk: Walk) -> None:
    page = walk.page
    enter(page)
    page.goto(CREATE)
    page.get_by_role("textbox", name="Name", exact=True).fill("Second Anna")
    project = page.get_by_role("combobox", name="Project", exact=True)
    project.press_sequentially("Nordhost")
    page.get_by_role("option", name="Nordhost").click()
    page.get_by_label("User name").fill("anna")
    page.get_by_label("E-mail").fill("second@example.org")
    choose(page, "Country", "Germany")
    page.get_by_label("Password", exact=True).fill("a long one")
    page.get_by_label("Password again").fill("a long one")
    button(page, "Register customer").click()
    expect(page.get_by_role("alert")).to_contain_text("User name")
    expect(page.get_by_label("User name")).to_be_focused()
    expect(page.get_by_role("combobox", name="Country", exact=True)).to_have_value("Germany")
    assert posted(page, "password") == posted(page, "password_again") == ""
    expect(page.locator("#password-error, #password_again-error")).to_have_count(2)
    page.get_by_role("alert").get_by_role("link", name="User name").click()
    expect(page.get_by_label("User name")).to_be_focused()
    walk.watch.problems.clear()  # the refusal is a 422
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("/admin/")
    assert asked == ["beforeunload"]


def test_an_amount_shows_its_currency_and_colours_have_keys(walk: Walk) -> None:
    page = walk.page
    enter(page)
    page.goto("/admin/product/create")
    beside = page.locator("[data-currency-of]").first
    expect(beside).to_have_text("EUR")
    page.get_by_role("combobox", name="Currency", exact=True).fill("CHF")
    walk.keys.press("Tab")
    expect(beside).to_have_text("CHF")
    page.goto("about:blank")
    page.goto("/admin/attitude/create")
    page.get_by_role("radio", name="Colour 1").focus()
    walk.keys.press("ArrowRight")
    walk.keys.press("ArrowRight")
    expect(page.get_by_role("radio", name="Colour 3")).to_be_checked()


def test_many_boxes_are_sifted(walk: Walk) -> None:
    page = walk.page
    enter(page)
    page.goto("/admin/project/create")
    languages = page.get_by_role("group", name="Languages")
    languages.get_by_role("checkbox", name="German").check()
    languages.get_by_role("searchbox").fill("russ")
    expect(languages.get_by_role("checkbox")).to_have_count(1)
    languages.get_by_role("searchbox").fill("xyz")
    expect(languages.get_by_text("Nothing found")).to_be_visible()
    languages.get_by_role("searchbox").fill("")
    expect(languages.get_by_role("checkbox", name="German")).to_be_checked()


@pytest.fixture
def bare(chromium: Browser, house: House) -> Iterator[Page]:
    """A browser without scripts."""
    context = chromium.new_context(base_url=house.url, java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_without_scripts_every_control_is_the_browsers_own(bare: Page) -> None:
    enter(bare)
    bare.goto("/admin/customer/edit/1")
    bare.locator("select#country").select_option("AT")
    bare.locator("select#timezone").select_option("Europe/Vienna")
    bare.locator("input#phone").fill("01 5123456")
    button(bare, "Save").click()
    expect(bare.get_by_text("+43 1 5123456").first).to_be_visible()
    bare.goto("/admin/attitude/create")
    bare.get_by_label("Name").fill("Kind")
    bare.get_by_role("radio", name="Colour 5").check()
    button(bare, "Create").click()
    expect(bare.get_by_role("heading", level=1, name="Kind")).to_be_visible()


def test_a_number_that_cannot_be_dialled_is_doubted_at_the_field_and_kept(walk: Walk) -> None:
    page = walk.page
    enter(page)
    page.goto(CREATE)
    page.wait_for_load_state("domcontentloaded")
    phone, doubt = page.get_by_label("Phone", exact=True), page.locator(".doubt")
    phone.fill("ask for Jürgen")
    page.keyboard.press("Tab")
    expect(doubt).to_have_text("Nobody can dial this number as it stands. It is kept as you typed it.")
    described = page.evaluate("id => document.getElementById(id).getAttribute('aria-describedby')", "phone")
    assert described == "phone-help phone-doubt"
    walk.shot("doubted")
    phone.fill("030 23125000")
    expect(page.locator("#phone-doubt")).to_have_count(1)  # of which country?
    choose(page, "Country", "Germany")
    page.keyboard.press("Tab")
    expect(doubt).to_have_count(0)
    phone.fill("12")
    page.keyboard.press("Tab")
    expect(doubt).to_have_count(1)
    page.get_by_role("textbox", name="Name", exact=True).fill("Doubted Ltd")
    page.get_by_role("textbox", name="E-mail").fill("doubted@example.org")
    look_up(page, "Project", "Nordhost")
    button(page, "Register customer").click()
    expect(page.get_by_role("heading", level=1, name="Doubted Ltd")).to_be_visible()
