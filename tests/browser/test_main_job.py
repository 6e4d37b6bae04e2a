"""The main job in a real browser: register, filter, send, watch, enter, answer, return; then the customer in person."""

from __future__ import annotations

import re
from email.message import EmailMessage

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hands import (
    button,
    choose,
    expect_customers,
    file,
    link,
    look_up,
    open_customers,
    rows,
    rows_with,
    sign_in,
)  # fmt: skip
from tests.browser.house import USED_BEFORE, House, Walk

pytestmark = [pytest.mark.browser, pytest.mark.pages]

COMPANY, ADDRESS = "Weber & Söhne GmbH", "post@weber.example"


def test_the_main_job(walk: Walk, house: House) -> None:
    page = walk.page
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    walk.shot("dashboard")

    password = register_a_company(walk)
    filter_and_pin(walk)
    compose_and_send(walk, house)
    watch_it_arrive(walk, house)
    look_into_the_panel_of_the_customer(walk)
    act_in_the_panel_of_the_customer(walk)
    answer_the_ticket(walk)
    the_customer_comes_in_person(walk, password)
    both_identities_stand_in_the_audit(walk)


def register_a_company(walk: Walk) -> str:
    page = walk.page
    open_customers(page)
    expect(rows(page)).to_have_count(6)
    walk.shot("customers")
    link(page, "Register customer").click()
    walk.shot("register-empty")

    expect(page.get_by_label("Legal name")).to_be_hidden()
    choose(page, "Account type", "Company")
    expect(page.get_by_label("Legal name")).to_be_visible()
    page.get_by_role("textbox", name="Name", exact=True).fill(COMPANY)
    look_up(page, "Project", "Nordhost")
    page.get_by_role("textbox", name="E-mail").fill(ADDRESS)
    choose(page, "Country", "Germany")
    choose(page, "Language", "German")
    page.get_by_label("Contact person").fill("Änne Weber")
    page.get_by_label("Legal name").fill(COMPANY)
    page.get_by_label("User name").fill("weber")
    button(page, "Generate").click()
    password = page.get_by_label("Password", exact=True).input_value()
    assert len(password) == 16
    expect(page.get_by_label("Password again")).to_have_value(password)
    walk.shot("register-filled")
    button(page, "Register customer").click()

    expect(page.get_by_role("heading", level=1, name=COMPANY)).to_be_visible()
    walk.shot("card")
    return password


def filter_and_pin(walk: Walk) -> None:
    page = walk.page
    open_customers(page)
    button(page, "Filter").click()
    drawer = page.get_by_role("complementary", name="Filter")
    choose(drawer, "Language", "German")
    look_up(drawer, "Project", "Nordhost")
    walk.shot("filter-drawer")
    drawer.get_by_role("button", name=re.compile("^Show")).click()
    expect_customers(page, "Anna Müller", "Bernd Jäger", "Ohne Post", COMPANY)
    walk.shot("filtered")

    link(page, "Remove: Language is German").click()
    expect_customers(page, "Anna Müller", "Bernd Jäger", "Claire Young", "Diego Ruiz", "Ohne Post", COMPANY)
    link(page, "Remove filter").click()
    expect(rows(page)).to_have_count(7)

    rows(page).filter(has_text="Claire").hover()
    button(page, "More for Claire Young").click()
    link(page, "Filter by customer").locator("visible=true").click()
    button(page, "Filter by customer").click()
    expect_customers(page, "Claire Young")
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Users").click()
    expect(page.get_by_role("row", name="claire")).to_be_visible()
    expect(page.get_by_role("row", name="anna")).to_have_count(0)
    walk.shot("pinned")
    button(page, "Remove filter by customer").click()
    expect(page.get_by_role("row", name="anna")).to_be_visible()


def compose_and_send(walk: Walk, house: House) -> None:
    page = walk.page
    open_customers(page)
    button(page, "Filter").click()
    drawer = page.get_by_role("complementary", name="Filter")
    look_up(drawer, "Project", "Nordhost")
    drawer.get_by_role("button", name=re.compile("^Show")).click()
    page.get_by_role("checkbox", name="Select all on this page").check()
    selection = page.get_by_role("region", name="Selection")
    button(selection, "All 6 that match").click()
    expect(selection).to_contain_text("All 6 selected")
    walk.shot("selected")
    link(selection, "Send message").click()

    expect(page.get_by_text("To 6 customers")).to_be_visible()
    look_up(page, "Category", "Maintenance")
    page.get_by_label("Only to customers of the corresponding language").check()
    look_up(page, "Template", "Planned work")
    subject, text = page.get_by_role("textbox", name="Subject"), page.get_by_role("textbox", name="Text")
    expect(subject).to_have_value("Maintenance")
    text.fill(text.input_value() + "\n\nSee the plan.")
    page.get_by_role("tab", name="German").or_(page.get_by_role("tab", name="Deutsch")).click()
    expect(subject).to_have_value("Wartung")
    subject.fill("Wartung am Dienstag")
    text.fill(text.input_value() + "\n\nSiehe Plan, mit Grüßen.")
    page.get_by_label("Attachments").set_input_files([file("plan.txt", "the plan"), file("../../Übersicht.txt", "x")])
    look_up(page, "Files used before", USED_BEFORE)
    walk.shot("composer")
    button(page, "Continue").click()

    confirmation = page.get_by_role("region", name="Please confirm")
    expect(confirmation).to_contain_text("5")
    walk.shot("confirmation")
    house.sink.hold()
    button(page, "Send to 5 customers").click()


def watch_it_arrive(walk: Walk, house: House) -> None:
    page, sink = walk.page, house.sink
    progress = page.get_by_role("region", name="Progress")
    expect(progress).to_contain_text("Sending")
    expect(button(page, "Stop")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    walk.shot("campaign-sending")
    sink.go_on()
    expect(progress).to_contain_text("100", timeout=15_000)
    expect(progress).not_to_contain_text("Sending")
    expect(button(page, "Stop")).to_have_count(0)
    expect(page.get_by_text("Choosing recipients")).to_have_count(0)
    assert page.evaluate("window.sameDocument"), "the page has not been loaded again"
    walk.shot("campaign-sent")
    link(page, "Recipients").click()
    expect(rows_with(page, "Inbox", "Sent")).to_have_count(5)
    expect(rows_with(page, "E-mail", "Sent")).to_have_count(4)
    expect(rows_with(page, "Ohne Post", "E-mail", "Left out", "The customer has no e-mail address.")).to_have_count(1)
    walk.shot("recipients")

    german = ("anna@example.org", "bernd@example.org", ADDRESS)
    assert sorted(to for to, _message in sink.messages) == sorted([*german, "claire@example.org"]), "once each"
    for to, message in sink.messages:
        subject, words = ("Wartung am Dienstag", "mit Grüßen") if to in german else ("Maintenance", "See the plan")
        assert message["subject"] == subject
        assert words in part(message, "plain") and words in part(message, "html")
        assert "<strong>" in part(message, "html")
        files = sorted(str(a.get_filename()) for a in message.iter_attachments())
        assert files == ["plan.txt", USED_BEFORE, "Übersicht.txt"]


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def enter(page: Page, *, act: bool) -> None:
    """From anywhere in the panel through the card into the customer's panel."""
    open_customers(page)
    link(page, COMPANY).click()
    link(page, "Enter as customer").click()
    page.get_by_role("textbox", name="Reason").fill("They called, #4711")
    if act:
        page.get_by_label("I need to change something").check()
    button(page, "Enter").click()
    banner = page.get_by_role("complementary", name="You are inside a customer’s account")
    expect(banner).to_contain_text("Olga Owner")
    expect(banner).to_contain_text("30 min left")
    expect(banner).to_contain_text(COMPANY)


def open_message(page: Page, subject: str) -> None:
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Messages").click()
    link(page, subject).click()


def leave(page: Page) -> None:
    button(page, "Return").click()
    expect(page).to_have_url(re.compile(r"/admin/customer/details/\d+$"))
    expect(page.get_by_role("heading", level=1, name=COMPANY)).to_be_visible()


def look_into_the_panel_of_the_customer(walk: Walk) -> None:
    page = walk.page
    enter(page, act=False)
    walk.shot("visit")
    open_message(page, "Wartung am Dienstag")
    expect(page.frame_locator("iframe").get_by_text("mit Grüßen")).to_be_visible()
    for name in ("plan.txt", "Übersicht.txt", USED_BEFORE):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    expect(page.get_by_text("You are only looking at this account.")).to_be_visible()
    expect(button(page, "Send")).to_be_disabled()
    walk.shot("visit-message")
    here = {"Origin": page.url.split("/client")[0]}
    refused = page.request.post(f"{page.url}/answer", form={"text": "no"}, headers=here)
    assert refused.status == 403 and "You are only looking at this account." in refused.text()
    leave(page)
    walk.shot("returned")


def act_in_the_panel_of_the_customer(walk: Walk) -> None:
    page = walk.page
    enter(page, act=True)
    open_message(page, "Wartung am Dienstag")
    page.get_by_role("textbox", name="Your answer").fill("Please not on Tuesday.")
    page.get_by_label("Attach files").set_input_files([file("wish.txt", "Wednesday")])
    walk.shot("visit-answer")
    button(page, "Send").click()
    expect(page.get_by_text("Your answer is sent.")).to_be_visible()
    expect(page.get_by_role("link", name="wish.txt")).to_be_visible()
    walk.shot("visit-answered")
    leave(page)


def answer_the_ticket(walk: Walk) -> None:
    page = walk.page
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Tickets").click()
    ticket = page.get_by_role("row", name="Wartung am Dienstag")
    expect(ticket).to_contain_text("Olga Owner")
    walk.shot("tickets")
    ticket.get_by_role("link", name=re.compile("Wartung am Dienstag")).first.click()
    expect(page.get_by_text("Please not on Tuesday.")).to_be_visible()
    expect(page.get_by_text(f"Olga Owner for {COMPANY}")).to_be_visible()
    walk.shot("ticket")
    page.get_by_role("textbox", name="Answer").fill("Wednesday it is.")
    button(page, "Send the answer").click()
    expect(page.get_by_text("Wednesday it is.")).to_be_visible()
    walk.shot("ticket-answered")


def the_customer_comes_in_person(walk: Walk, password: str) -> None:
    page = walk.page
    sign_in(page, "weber", password, at="/client/login")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Änne Weber")
    expect(page.get_by_role("complementary", name="You are inside a customer’s account")).to_have_count(0)
    expect(page.get_by_role("navigation", name="Hauptmenü")).to_be_visible()  # it speaks the customer's language
    walk.shot("client-home")
    page.locator("summary", has_text="Sprache").click()
    button(page, "English").click()
    open_message(page, "Wartung am Dienstag")
    expect(page.frame_locator("iframe").get_by_text("mit Grüßen")).to_be_visible()
    walk.shot("client-message")
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Messages").click()
    expect(page.get_by_role("listitem").filter(has_text="unread")).to_have_count(1)  # the answer; the message is read
    walk.shot("client-inbox")
    open_message(page, "Re: Wartung am Dienstag")
    walk.shot("client-ticket")
    expect(page.get_by_text("Wednesday it is.")).to_be_visible()
    page.get_by_role("textbox", name="Your answer").fill("Thank you!")
    button(page, "Send").click()
    expect(page.get_by_text("Thank you!")).to_be_visible()
    walk.shot("client-replied")
    page.locator("summary", has_text="Änne Weber, profile").click()
    button(page, "Sign out").click()
    expect(button(page, "Sign in")).to_be_visible()


def both_identities_stand_in_the_audit(walk: Walk) -> None:
    page = walk.page
    page.goto("/admin/")
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name="Audit").click()
    for action in ("entered the panel of", "returned from"):
        expect(rows_with(page, "Staff", "Olga Owner", COMPANY, action)).to_have_count(2)
    expect(rows_with(page, "Staff", "Olga Owner", COMPANY, "registered", "Ticket message")).to_have_count(1)
    expect(rows_with(page, "entered the panel of", "They called, #4711")).to_have_count(2)
    walk.shot("audit")
