"""A customer from the first form to an answered message, with a second person who only reads, and staff who look in.

Everything goes through visible labels and roles; mails are read from the SMTP server that they were sent to.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from app import db
from app.models.billing import Gateway
from app.models.catalog import Period
from app.models.projects import Project
from app.observe import SYSTEM, acting
from tests import factories
from tests.browser.conftest import _blocking
from tests.browser.hands import button, eventually, file, link, look_up, open_customers, sign_in
from tests.browser.house import House, Walk, Watch, furnish, open_house
from tests.browser.test_main_job import part
from tests.generated.test_accessibility import findings

pytestmark = [pytest.mark.browser, pytest.mark.pages]
OWNER, READER = "mona@example.org", "rita@example.org"
SECRET = "seven green bottles"
PLAN, NAME = "Hosting M", "Mona Brandt"


async def _furnish(database: str, data: Path) -> None:
    """Beside the usual: something to order, a way to pay, and a message category."""
    await furnish(database, data)
    db.configure(database)
    with acting(SYSTEM):
        async with db.unit() as session:
            await factories.create_product(session, name=PLAN, price=1000, period=Period.MONTH)
            await factories.create_payment_method(session, name="Test card", gateway=Gateway.TEST)
            project = await session.get_one(Project, 1)
            project.slug, project.terms = "nordhost", "Be kind."
            project.signup = {"open": True, "kinds": ["individual"], "asked": ["contact_person", "country"]}
    await db.dispose()


@pytest.fixture(scope="module")
def house(redis_url: str, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data = tmp_path_factory.mktemp("client")
    shutil.copy(sqlite_template, data / "bursar.db")
    database = f"sqlite+aiosqlite:///{data / 'bursar.db'}"
    _blocking(_furnish(database, data))
    with open_house(database, redis_url, data) as opened:
        yield opened


def mail_to(house: House, address: str, words: str) -> EmailMessage:
    """The newest mail to this address with these words in its subject, once it has come."""

    def newest() -> EmailMessage | None:
        return next((m for to, m in reversed(house.sink.messages) if to == address and words in m["subject"]), None)

    found = eventually(newest, 20)
    assert isinstance(found, EmailMessage)
    return found


def link_in(house: House, mail: EmailMessage, words: str) -> str:
    """The address in a mail whose path begins like this."""
    body = mail.get_body(("plain",))
    assert body is not None
    found = re.search(rf"https?://[^\s/]+({words}[^\s>)\]]+)", body.get_content())
    assert found, body.get_content()
    return house.url + found[1]


@contextmanager
def another(chromium: Browser, house: House) -> Iterator[tuple[Page, Watch]]:
    """The browser of somebody else, and what goes wrong in it."""
    context = chromium.new_context(
        base_url=house.url, viewport={"width": 1280, "height": 800}, locale="en-GB", reduced_motion="reduce"
    )
    context.set_default_timeout(8000)
    watch = Watch()
    watch.look_at(context)
    yield context.new_page(), watch
    context.close()


def go(page: Page, name: str) -> None:
    """By the menu, which on a phone keeps some of its entries behind "More"."""
    menu = page.get_by_role("navigation", name="Main menu")
    entry = menu.get_by_role("link", name=re.compile(rf"^{name}\b"))
    if not entry.first.is_visible():
        menu.locator("summary").click()
    entry.locator("visible=true").click()


@pytest.mark.parametrize("walk", [(360, 740)], indirect=True)
def test_a_customer_from_the_first_form_to_an_answered_message(walk: Walk, house: House, chromium: Browser) -> None:
    sign_up(walk, house)
    totp = second_factor(walk)
    sign_in_with_a_code(walk, totp)
    order(walk)
    add_funds(walk)
    pay(walk)
    invite(walk)
    only_reads(house, chromium)
    with another(chromium, house) as (staff, _watch):
        answer_a_message(walk, house, staff)
        staff_look_in(walk, house, staff)


def look(walk: Walk, name: str) -> None:
    """A picture of what stands there; it is no wider than the phone, and axe-core finds nothing serious."""
    walk.shot(name)
    assert walk.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert findings(walk.page) == [], name
    walk.page.emulate_media(color_scheme="light")


def sign_up(walk: Walk, house: House) -> None:
    """The form of the project, and the link of the mail: without it there is no account."""
    page = walk.page
    page.goto("/client/p/nordhost/register")
    look(walk, "register")
    page.get_by_label(re.compile(r"^Name\b")).first.fill(NAME)
    page.get_by_label("E-mail").fill(OWNER)
    page.get_by_label(re.compile("^Password")).first.fill(SECRET)
    page.get_by_label(re.compile("^Once more")).first.fill(SECRET)
    page.get_by_label(re.compile("^I accept")).check()
    button(page, "Register").click()
    expect(page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
    look(walk, "mailbox")
    page.goto(link_in(house, mail_to(house, OWNER, ""), r"/client/(?:p/\w+/)?register/confirm/"))
    button(page, "Confirm").click()
    expect(page.get_by_text("Your account is ready.")).to_be_visible()
    sign_in(page, OWNER, SECRET, at="/client/p/nordhost/login")
    expect(page.get_by_role("heading", level=1)).to_contain_text(NAME)
    look(walk, "home")


def second_factor(walk: Walk) -> pyotp.TOTP:
    page = walk.page
    go(page, "Profile")
    page.get_by_role("navigation", name="Profile").get_by_role("link", name="Sign-in and security").click()
    page.locator("summary", has_text="Set up").click()
    page.get_by_label(re.compile("^Your password now")).first.fill(SECRET)
    button(page, "Go on").click()
    page.locator("summary", has_text="Enter it by hand").click()
    totp = pyotp.TOTP("".join(page.locator("main code").inner_text().split()))
    page.get_by_label("Type the code that the app shows now").fill(totp.now())
    look(walk, "app")
    button(page, "Switch it on").click()
    expect(page.locator("ol.codes li").first).to_be_visible()
    look(walk, "codes")
    link(page, "I have kept them").click()
    return totp


def sign_in_with_a_code(walk: Walk, totp: pyotp.TOTP) -> None:
    page = walk.page
    page.locator("summary", has_text=f"{NAME}, profile").click()
    button(page, "Sign out").click()
    sign_in(page, OWNER, SECRET, at="/client/p/nordhost/login")
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    look(walk, "second-step")
    page.get_by_label("Code").fill(totp.at(time.time() + totp.interval))  # the one before works only once
    button(page, "Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(NAME)


def order(walk: Walk) -> None:
    page = walk.page
    go(page, "Services")
    link(page, "Order").first.click()
    link(page, PLAN).click()
    page.get_by_label("Name", exact=False).first.fill("mona.example")
    look(walk, "order")
    button(page, "Order and pay").click()
    expect(page.get_by_role("heading", name="Thank you for your order")).to_be_visible()
    walk.shot("ordered")


def add_funds(walk: Walk) -> None:
    page = walk.page
    link(page, "Pay now").click()
    page.get_by_label("Amount").fill("25")
    walk.shot("funds")
    button(page, "Continue").click()
    button(page, "Pay").click()
    walk.shot("paid")


def pay(walk: Walk) -> None:
    """The money starts the service; a second order is paid from what is left, and what is not left is asked for."""
    page = walk.page
    go(page, "Services")
    eventually(lambda: page.reload() and page.get_by_text("Active").is_visible(), 20)  # a worker starts it
    go(page, "Overview")
    expect(page.locator(".purse")).to_contain_text("15.00")
    link(page, "Order").first.click()
    link(page, PLAN).click()
    page.get_by_label("Name", exact=False).first.fill("second.example")
    button(page, "Order and pay").click()
    expect(page.get_by_text("It is paid and runs.")).to_be_visible()
    go(page, "Overview")
    expect(page.locator(".purse")).to_contain_text("5.00")
    look(walk, "two-services")


def invite(walk: Walk) -> None:
    page = walk.page
    go(page, "Profile")
    page.get_by_role("navigation", name="Profile").get_by_role("link", name="Users").click()
    link(page, "Invite a user").click()
    page.get_by_label("E-mail").fill(READER)
    page.get_by_label(re.compile("^Read-only")).check()
    look(walk, "invite")
    page.locator("main form button.primary").click()
    expect(page.get_by_text(READER).first).to_be_visible()


def only_reads(house: House, chromium: Browser) -> None:
    """The invited person chooses a password, sees what things cost, and cannot pay."""
    mail = mail_to(house, READER, "invites you")
    with another(chromium, house) as (page, watch):
        page.goto(link_in(house, mail, "/client/join/"))
        page.get_by_label("Your name").fill("Rita Reader")
        page.get_by_label("Choose a password").fill(SECRET)
        page.get_by_label("Once more").fill(SECRET)
        button(page, "Accept the invitation").click()
        expect(page.get_by_text("You are now a user of the account")).to_be_visible()
        sign_in(page, READER, SECRET, at="/client/login")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Rita Reader")
        expect(page.locator(".purse")).to_contain_text("5.00")
        expect(page.get_by_role("link", name="Add funds")).to_have_count(0)
        page.goto("/client/payments/new")
        expect(page.get_by_text("Your role in this account does not allow this.")).to_be_visible()
        expect(page.get_by_label("Amount")).to_be_disabled()
        assert refused(page, house, "/client/payments/new", {"amount": "10"})
        assert refused(page, house, "/client/services/1/cancel", {})
        assert watch.problems == []


def refused(page: Page, house: House, path: str, form: dict[str, str | float | bool]) -> bool:
    """Whether this is forbidden to whoever posts it past the page."""
    answer = page.request.post(house.url + path, form=form, headers={"Origin": house.url})
    return answer.status == 403 and "</html>" in answer.text()


def answer_a_message(walk: Walk, house: House, staff: Page) -> None:
    """Staff write; it comes by mail and stands in the inbox, and the answer becomes their ticket."""
    page = walk.page
    sign_in(staff)
    open_customers(staff)
    link(staff, NAME).click()
    link(staff, "Send message").click()
    look_up(staff, "Category", "Maintenance")
    look_up(staff, "Template", "Planned work")
    staff.get_by_label("Attachments").set_input_files([file("plan.txt", "the plan")])
    button(staff, "Continue").click()
    button(staff, "Send to 1 customer").click()
    assert "Hello" in part(mail_to(house, OWNER, "Maintenance"), "plain")

    go(page, "Messages")
    expect(page.get_by_role("listitem").filter(has=link(page, "Maintenance")).filter(has_text="unread")).to_have_count(
        1
    )
    page.get_by_role("searchbox", name=re.compile("^Search")).fill("at work")
    button(page, "Search").click()
    look(walk, "inbox")
    link(page, "Maintenance").click()
    expect(page.frame_locator("iframe").get_by_text(NAME)).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("plan.txt"))).to_be_visible()
    look(walk, "message")
    page.get_by_role("textbox", name="Your answer").fill("On Tuesday, please.")
    page.get_by_label("Attach files").set_input_files([file("wish.txt", "Tuesday")])
    button(page, "Send").click()
    expect(page.get_by_text("Your answer is sent.")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("wish.txt"))).to_be_visible()
    walk.shot("answered")

    staff.get_by_role("navigation", name="Main menu").get_by_role("link", name="Tickets").click()
    staff.get_by_role("row", name="Re: Maintenance").get_by_role("link").first.click()
    expect(staff.get_by_text("On Tuesday, please.")).to_be_visible()
    staff.get_by_role("textbox", name="Answer").fill("Tuesday it is.")
    button(staff, "Send the answer").click()
    expect(staff.get_by_text("Tuesday it is.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Tuesday it is.")).to_be_visible()


def staff_look_in(walk: Walk, house: House, staff: Page) -> None:
    """Read-only: they see what the customer sees, change nothing, and return to the card. The customer is told."""
    open_customers(staff)
    link(staff, NAME).click()
    link(staff, "Enter as customer").click()
    staff.get_by_role("textbox", name="Reason").fill("She called, #4711")
    button(staff, "Enter").click()
    banner = staff.get_by_role("complementary", name="You are inside a customer’s account")
    expect(banner).to_contain_text("Olga Owner")
    expect(banner).to_contain_text(NAME)
    expect(staff.locator(".purse")).to_contain_text("5.00")
    staff.goto("/client/services/1")
    expect(banner).to_contain_text("30 min left")
    assert refused(staff, house, "/client/services/1/cancel", {})
    assert refused(staff, house, "/client/data/export", {})
    staff.goto("/client/tickets/1")
    expect(staff.get_by_text("You are only looking at this account.")).to_be_visible()
    staff.emulate_media(media="print")  # on paper too
    expect(banner).to_be_visible()
    staff.emulate_media(media="screen")
    button(banner, "Return").click()
    expect(staff).to_have_url(re.compile(r"/admin/customer/details/\d+$"))
    page = walk.page
    go(page, "Profile")
    page.get_by_role("navigation", name="Profile").get_by_role("link", name="My data").click()
    expect(page.locator("#visits")).to_contain_text("She called, #4711")
    expect(page.locator("#visits")).to_contain_text("Olga Owner")
    look(walk, "visits")
