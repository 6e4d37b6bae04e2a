"""What a person does on a page, found by visible labels and roles only."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.house import PASSWORD, STAFF


def sign_in(page: Page, name: str = STAFF, password: str = PASSWORD, *, at: str = "/login") -> None:
    page.goto(at)
    page.get_by_label("User name or e-mail").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    button(page, "Sign in").click()


def button(page: Page | Locator, name: str) -> Locator:
    """A button of this name, on a page whose scripts have run: many do something only then."""
    (page if isinstance(page, Page) else page.page).wait_for_load_state("domcontentloaded")
    return page.get_by_role("button", name=name, exact=True)


def link(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)


def open_customers(page: Page) -> None:
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Customers").click()


def look_up(page: Page | Locator, label: str, text: str) -> None:
    """Type into a look-up and choose the only thing that it finds."""
    field = page.get_by_role("combobox", name=label, exact=True)
    field.click()
    field.press_sequentially(text)
    page.get_by_role("option", name=text).click()


def choose(page: Page | Locator, label: str, option: str) -> None:
    """From a select, or from a long list that is searched by typing."""
    field = page.get_by_role("combobox", name=label, exact=True)
    if field.evaluate("e => e.tagName") == "SELECT":
        field.select_option(option)
        return
    field.fill(option)
    page.get_by_role("option", name=option, exact=True).click()


def rows(page: Page) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("checkbox", name=re.compile("^Select (?!all)")))


def rows_with(page: Page, *cells: str) -> Locator:
    found = page.get_by_role("row")
    for text in cells:
        found = found.filter(has=page.get_by_role("cell", name=text, exact=True))
    return found


def expect_customers(page: Page, *names: str) -> None:
    expect(rows(page)).to_have_count(len(names))
    for name in names:
        expect(rows(page).filter(has_text=name)).to_have_count(1)


def file(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def eventually(check: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found
