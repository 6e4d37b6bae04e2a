"""Writing down a payment in Chromium: the look-ups follow the customer, and the receipt is printed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.hands import button, link, look_up, sign_in
from tests.browser.house import Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def test_a_payment_is_written_down_and_its_receipt_printed(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.wait_for_url("**/admin/")
    page.goto("/admin/payment_method/create")
    page.get_by_label("Name", exact=False).first.fill("Cash")
    button(page, "Create").click()
    for name, customer in (("Anna pays", "Anna Müller"), ("Bernd pays", "Bernd Jäger")):
        page.goto("/admin/payer/create")
        look_up(page, "Customer", customer)
        page.get_by_role("textbox", name="Name", exact=True).fill(name)
        button(page, "Create").click()
        page.wait_for_url("**/admin/payer/details/*")
    page.goto("/admin/payment/create")
    look_up(page, "Customer", "Bernd Jäger")
    look_up(page, "Customer", "Anna Müller")
    page.get_by_role("combobox", name="Payer", exact=True).click()
    expect(page.get_by_role("option")).to_have_text(["Anna pays"])
    page.get_by_role("option", name="Anna pays").click()
    look_up(page, "Method", "Cash")
    page.get_by_label("Amount").fill("12.5")
    button(page, "Write down a payment").click()
    page.wait_for_url("**/admin/payment/details/*")
    walk.shot("payment")
    link(page, "Set paid").click()
    button(page, "Set paid").click()
    expect(page.get_by_text("The payment is on the account.")).to_be_visible()
    link(page, "Print").click()
    page.evaluate("window.print = () => { document.body.dataset.printed = '1'; }")
    button(page, "Print").click()
    expect(page.locator("body")).to_have_attribute("data-printed", "1")
    with page.expect_download() as file:
        button(page, "Save as PDF").click()
    assert re.fullmatch(r"receipt-\d+\.pdf", file.value.suggested_filename)
