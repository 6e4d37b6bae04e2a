"""The composer in Chromium: what recipients get appears while one writes, and nothing that was typed is lost by it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.hands import button, eventually, look_up, sign_in
from tests.browser.house import House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]
COMPOSE = "/admin/customer/action/message?all=1"


def test_the_preview_follows_what_is_written(walk: Walk, house: House) -> None:
    page = walk.page
    sign_in(page)
    page.wait_for_url("**/admin/")
    page.goto(COMPOSE)
    beside = page.get_by_role("complementary", name="What the recipients get")
    expect(beside).to_contain_text("The preview appears as you write.")
    page.evaluate("window.sameDocument = true")
    page.get_by_role("textbox", name="Subject").fill("Hi {{ customer.name }}")
    page.get_by_role("textbox", name="Text").fill("We **work**. {{ customer.phone }}")
    mail = beside.get_by_role("article")
    expect(mail).to_have_count(1)
    expect(mail.locator("strong")).to_have_text("work")
    expect(beside).to_contain_text("customer.phone is empty for")
    expect(beside).to_contain_text("No text in German")
    look_up(page, "Preview as", "Anna Müller")
    expect(mail).to_contain_text("Hi Anna Müller")
    walk.shot("composer-preview")
    page.get_by_role("textbox", name="Text").fill("{{ customer.nam }}")
    expect(beside).to_contain_text("unknown field")
    page.get_by_role("textbox", name="Text").fill("<p>As <b>HTML</b></p>")
    expect(mail.locator("b", has_text="HTML")).to_have_count(1)
    button(page, "Test mail to me").click()
    expect(beside).to_contain_text("A test mail is on its way")
    eventually(lambda: house.sink.messages)
    [(_to, message)] = house.sink.messages
    assert message["subject"] == "Hi Anna Müller"
    plain = message.get_body(("plain",))
    assert plain is not None and plain.get_content().strip() == "As HTML"
    assert page.evaluate("window.sameDocument"), "the page has not been loaded again"
    expect(page.get_by_role("textbox", name="Text")).to_have_value("<p>As <b>HTML</b></p>")


def test_without_scripts_the_buttons_show_the_same(walk: Walk, house: House, chromium: Browser) -> None:
    sign_in(walk.page)
    walk.page.wait_for_url("**/admin/")
    context = chromium.new_context(
        base_url=house.url, java_script_enabled=False, storage_state=walk.page.context.storage_state()
    )
    page = context.new_page()
    page.goto(COMPOSE)
    page.locator("[name^=subject_]").first.fill("Hello")
    page.locator("[name^=body_]").first.fill("We **work**")
    button(page, "Look again").click()
    expect(page.get_by_role("article").locator("strong")).to_have_text("work")
    expect(page.locator("[name^=body_]").first).to_have_value("We **work**")
    expect(page.get_by_role("alert")).to_have_count(0)
    context.close()
