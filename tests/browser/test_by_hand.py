"""The keyboard alone, a phone, and what a browser would not send."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.hands import button, eventually, expect_customers, sign_in
from tests.browser.house import PASSWORD, STAFF, House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]


def test_signing_in_and_searching_with_the_keyboard_alone(walk: Walk) -> None:
    page, keys = walk.page, walk.keys
    page.goto("/admin/customer/list")
    keys.type(STAFF)
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Customers")).to_be_visible()
    keys.press("/")
    expect(page.get_by_label("Find in this list")).to_be_focused()
    keys.type("bernd")
    keys.press("Enter")
    expect_customers(page, "Bernd Jäger")
    keys.press("Control+k")
    expect(page.get_by_role("combobox", name="Customer, screen or action")).to_be_focused()
    keys.type("eva")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Eva Alpina")).to_be_visible()


@pytest.mark.parametrize("walk", [(360, 740)], indirect=True)
def test_a_phone_never_scrolls_sideways(walk: Walk) -> None:
    page = walk.page

    def fits(name: str) -> None:
        walk.shot(name)
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"{name}: {wide[0]} > {wide[1]}"

    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for name, address in {
        "dashboard": "/admin/", "list": "/admin/customer/list?language.in=de", "card": "/admin/customer/details/1",
        "form": "/admin/customer/create", "composer": "/admin/customer/action/message?pks=1",
        "campaigns": "/admin/campaign/list", "recipients": "/admin/delivery/list", "audit": "/admin/audit/list",
    }.items():  # fmt: skip
        page.goto(address)
        fits(name)
    page.goto("/admin/customer/action/enter?pks=1")
    page.get_by_role("textbox", name="Reason").fill("To see it on a phone")
    button(page, "Enter").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    fits("client")
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Messages").click()
    expect(page.get_by_role("heading", level=1, name="Messages")).to_be_visible()
    fits("client-inbox")


@pytest.mark.parametrize("walk", [(360, 740), (1280, 900)], indirect=True)
def test_from_right_to_left_everything_turns_and_nothing_runs_out(walk: Walk) -> None:
    page = walk.page
    sign_in(page)
    page.wait_for_url("**/admin/")
    for name, address in {
        "dashboard": "/admin/", "list": "/admin/customer/list?language.in=de", "card": "/admin/customer/details/1",
        "form": "/admin/customer/create", "composer": "/admin/customer/action/message?pks=1",
        "catalogue": "/admin/design",
    }.items():  # fmt: skip
        page.goto(address)
        page.evaluate("document.documentElement.dir = 'rtl'")
        walk.shot(name)
        wide, heading, width = page.evaluate(
            "[document.documentElement.scrollWidth, document.querySelector('h1').getBoundingClientRect().x, innerWidth]"
        )
        assert wide <= width, f"{name}: {wide} > {width}"
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).direction") == "rtl" and heading > 0
    if page.viewport_size == {"width": 1280, "height": 900}:
        side = page.get_by_role("navigation", name="Main menu").bounding_box()
        assert side is not None and side["x"] > 1000, "the menu stands where reading begins"


@pytest.fixture
def desk(house: House) -> Iterator[httpx.Client]:
    """The panel without a browser, for what a browser would not send."""
    with httpx.Client(base_url=house.url, headers={"Origin": house.url, "Accept": "text/html"}, timeout=30) as client:
        assert client.post("/login", data={"username": STAFF, "password": PASSWORD}).status_code == 303
        yield client


def compose(desk: httpx.Client, to: str, *files: tuple[str, bytes], **more: str) -> httpx.Response:
    """Post the composer for one customer."""
    customer = desk.get("/admin/customer/lookup", params={"term": to}).json()["results"][0]["id"]
    category = desk.get("/admin/message_category/lookup").json()["results"][0]["id"]
    data = {
        "pks": customer, "category": category, "subject_en": "Hello", "body_en": "Hello there",
        "default_language": "en", "channels": "email", "policy": "resend", "key": f"by hand to {to}",
    } | more  # fmt: skip
    parts = [("files", (name, content)) for name, content in files] or [("files", ("", b""))]
    return desk.post("/admin/customer/action/message", data=data, files=parts)


def test_a_path_in_the_name_of_a_file_is_cut_off(desk: httpx.Client) -> None:
    answer = compose(desk, "Diego", ("../../etc/passwd.txt", b"x"), ("C:\\secret\\wages.txt", b"y"))
    assert answer.status_code == 200 and "Please confirm" in answer.text
    found = [f["text"] for f in desk.get("/admin/attachment/lookup").json()["results"]]
    assert {"passwd.txt (1 B)", "wages.txt (1 B)"} <= set(found)
    assert not any("/" in name or "\\" in name for name in found)


def test_files_that_are_too_large_are_refused_with_a_sentence(desk: httpx.Client) -> None:
    answer = compose(desk, "Diego", ("big.bin", bytes(26 * 2**20)))
    assert answer.status_code == 422 and "The file big.bin is larger than 25 MB." in answer.text
    assert "Hello there" in answer.text, "what was written is still there"
    answer = compose(desk, "Diego", ("huge.bin", bytes(50 * 2**20)))
    assert answer.status_code == 413 and "This is too large" in answer.text


def test_while_the_mail_server_is_down_a_delivery_waits_and_says_why(desk: httpx.Client, house: House) -> None:
    house.sink.down()
    try:
        answer = compose(desk, "Diego", _confirmed="1")
        assert answer.status_code == 303, answer.text
        recipients = f"{answer.headers['location']}?tab=delivery"
        eventually(lambda: "no connection to" in desk.get(recipients).text)
        assert "Waiting" in desk.get(recipients).text
    finally:
        house.sink.up()
    eventually(lambda: "diego@example.org" in [to for to, _message in house.sink.messages], 30)
