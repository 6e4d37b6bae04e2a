"""The first hour of a new owner: the steps of setting up, a preset, the demo made and taken out again."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app import db
from app.domain.staff import add_staff
from app.observe import SYSTEM, acting
from tests.browser.hands import button, link, sign_in
from tests.browser.house import PASSWORD, STAFF, House, Walk, open_house

pytestmark = [pytest.mark.browser, pytest.mark.pages]


async def _owner(database: str) -> None:
    db.configure(database)
    with acting(SYSTEM):
        async with db.unit() as session:
            await add_staff(
                session, username=STAFF, full_name="Olga Owner", email="olga@nordlicht.example", password=PASSWORD
            )
    await db.dispose()


@pytest.fixture(scope="module")
def house(redis_url: str, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Nothing in it but its owner."""
    data = tmp_path_factory.mktemp("new")
    shutil.copy(sqlite_template, data / "bursar.db")
    database = f"sqlite+aiosqlite:///{data / 'bursar.db'}"
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _owner(database)).result()
    with open_house(database, redis_url, data) as opened:
        yield opened


def _until(page: Page, holds: Callable[[], bool]) -> None:
    for _second in range(60):
        if holds():
            return
        page.wait_for_timeout(1000)
    raise AssertionError("it took too long")


def test_a_new_owner_is_led_through(walk: Walk, house: House) -> None:
    page = walk.page
    sign_in(page)
    expect(page.get_by_role("heading", level=1, name="Your brand")).to_be_visible()
    button(page, "Save and go on").click()
    page.get_by_label("Name", exact=False).first.fill("Nordlicht")
    page.get_by_label("Sender address").fill("desk@nordlicht.example")
    page.get_by_label("German", exact=True).check()
    walk.shot("setup-brand")
    button(page, "Save and go on").click()

    expect(page.get_by_role("heading", level=1, name="Kind of business")).to_be_visible()
    page.goto("/admin/")
    link(page, "Enter what you sell").wait_for()  # the list of what is left
    page.goto("/admin/setup")  # goes on where it was left
    expect(page.get_by_role("heading", level=1, name="Kind of business")).to_be_visible()
    page.get_by_label("Internet access").check()
    button(page, "Save and go on").click()

    expect(page.get_by_role("heading", level=1, name="Modules")).to_be_visible()
    page.get_by_label("Phone verification").uncheck()
    page.get_by_label("Discounts").uncheck()
    button(page, "Save and go on").click()

    expect(page.get_by_role("heading", level=1, name="Colleagues")).to_be_visible()
    page.get_by_label("Name of colleague 1").fill("Jana Berg")
    page.get_by_label("E-mail of colleague 1").fill("jana@nordlicht.example")
    page.get_by_label("Role of colleague 1").select_option("Support")
    walk.shot("setup-colleagues")
    button(page, "Save and go on").click()

    expect(page.get_by_role("heading", level=1, name="Demo data")).to_be_visible()
    button(page, "Make demo data").click()
    expect(page.get_by_role("heading", level=2, name=re.compile("What is left to set up"))).to_be_visible()
    walk.shot("setup-left")
    menu = page.get_by_role("navigation", name="Main menu")
    expect(menu.get_by_role("link", name="Discounts")).to_have_count(0)
    link(menu, "Products").click()
    expect(page.get_by_role("link", name="Fibre 500")).to_be_visible()
    _until(page, lambda: any(to == "jana@nordlicht.example" for to, _mail in house.sink.messages))
    mail = next(mail for to, mail in house.sink.messages if to == "jana@nordlicht.example")
    assert "/link/" in mail.as_string()

    link(menu, "Configuration").click()
    _until(page, lambda: bool(page.reload() and link(page, "Remove the demo data").count()))
    link(page, "Remove the demo data").click()
    expect(page.get_by_role("heading", level=2, name="This is of the demo")).to_be_visible()
    button(page, "Remove the demo data").click()
    expect(page.get_by_text("The demo was taken out.")).to_be_visible(timeout=60_000)
    walk.shot("demo-removed")
    link(menu, "Projects").click()
    expect(page.get_by_role("link", name="Nordlicht")).to_be_visible()
    expect(page.get_by_role("link", name="Kupol")).to_have_count(0)
