"""A new user, three minutes, no documentation: a field of one's own, as a column, a filter, a view for everybody, and a
message to whom it finds, in English and German. Everything is found by what stands on the page."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.hands import (
    button,
    choose,
    eventually,
    expect_customers,
    link,
    look_up,
    open_customers,
    sign_in,
)  # fmt: skip
from tests.browser.house import House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]

MOST = 180.0
"""Seconds that a person may take; a program takes less, so that this is a bound for the machine."""


def test_from_a_field_to_a_message(walk: Walk, house: House) -> None:
    page, begun = walk.page, time.monotonic()
    sign_in(page)
    menu = page.get_by_role("navigation", name="Main menu")

    menu.get_by_role("link", name="Custom fields").click()
    link(page, "Add a field").first.click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Support level")
    page.get_by_label("Kind").select_option("One of a list")
    for n, (english, german) in enumerate((("Gold", "Gold"), ("Silver", "Silber")), 1):
        row = page.get_by_role("group", name=f"Choice {n}", exact=True)
        row.get_by_label("English").fill(english)
        row.get_by_label("German").fill(german)
    button(page, "Add a field").click()
    expect(page.get_by_role("heading", level=1, name="Support level")).to_be_visible()

    for name in ("Anna Müller", "Claire Young"):
        open_customers(page)
        link(page, name).click()
        link(page, "Edit").click()
        choose(page, "Support level", "Gold")
        button(page, "Save").click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()

    open_customers(page)
    link(page, "Columns").click()
    columns = page.get_by_role("complementary", name="Columns and order")
    columns.get_by_label("Find a column").fill("support")
    columns.get_by_role("checkbox", name="Support level").check()
    columns.get_by_role("button", name="Done").click()
    expect(page.get_by_role("columnheader", name="Support level")).to_be_visible()
    expect(page.get_by_role("cell", name="Gold", exact=True)).to_have_count(2)

    button(page, "Filter").click()
    drawer = page.get_by_role("complementary", name="Filter")
    drawer.get_by_text("Additional fields").click()
    drawer.get_by_role("group", name="Support level").get_by_label("Gold").check()
    drawer.get_by_role("button", name=re.compile("^Show")).click()
    expect_customers(page, "Anna Müller", "Claire Young")

    link(page, "Save view").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Gold customers")
    page.get_by_label("Everybody who may see this list").check()
    button(page, "Save").click()
    expect(page.get_by_role("link", name=re.compile("^Gold customers"))).to_be_visible()
    expect_customers(page, "Anna Müller", "Claire Young")
    walk.shot("view")

    link(page, "Send message").click()
    expect(page.get_by_text("To 2 customers")).to_be_visible()
    look_up(page, "Category", "Maintenance")
    subject, text = page.get_by_role("textbox", name="Subject"), page.get_by_role("textbox", name="Text")
    subject.fill("Your support level")
    text.fill("You have gold support from today.")
    page.get_by_role("tab", name="German").or_(page.get_by_role("tab", name="Deutsch")).click()
    subject.fill("Ihre Unterstützung")
    text.fill("Ab heute gilt für Sie Gold.")
    button(page, "Continue").click()
    expect(page.get_by_role("region", name="Please confirm")).to_contain_text("2")
    button(page, "Send to 2 customers").click()
    expect(page.get_by_role("region", name="Progress")).to_contain_text("100", timeout=15_000)

    eventually(lambda: len(house.sink.messages) == 2)
    assert {(to, str(message["subject"])) for to, message in house.sink.messages} == {
        ("anna@example.org", "Ihre Unterstützung"),
        ("claire@example.org", "Your support level"),
    }
    assert time.monotonic() - begun < MOST
