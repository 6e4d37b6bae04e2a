"""The card of a customer: the timeline, its pages and its limits; tabs as fragments; the note; few statements."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import event, update

from app import db
from app.db import utcnow
from app.domain import customers, users
from app.models.audit import AuditDetail
from app.models.customers import Customer, CustomerStatus, Note
from app.models.projects import Project
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff
from app.models.tickets import TicketMessage
from app.observe import Actor, Kind, acting
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

EVENT = re.compile(r'<li class="event">.*?</li>', re.S)
MORE = re.compile(r'href="([^"]+)" data-more')
TEXTS = {"en": ("Planned work", "Hello")}


@pytest.fixture
async def project(database: str) -> Project:
    async with db.unit() as session:
        return await factories.create_project(session, name="Nordhost")


@pytest.fixture
async def customer(project: Project) -> Customer:
    async with db.unit() as session:
        long_ago = utcnow() - timedelta(days=400)
        return await factories.create_customer(
            session, project=project, name="Bäckerei Grünwald", email="info@gruenwald.example", registered_at=long_ago
        )


def card(customer: Customer, query: str = "") -> str:
    return f"/admin/customer/details/{customer.id}{query}"


def events(page: httpx.Response) -> list[str]:
    """The events of the timeline as plain text."""
    assert page.status_code == 200, page.text
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", e)).split()) for e in EVENT.findall(page.text)]


def session_row(kind: SessionKind, customer: Customer, at: datetime, **columns: object) -> LoginSession:
    return LoginSession(
        token_hash=f"{kind}{at}", kind=kind, customer_id=customer.id, created_at=at, last_seen_at=at, expires_at=at,
        **columns,
    )  # fmt: skip


async def live(customer: Customer, owner: Staff) -> None:
    """Something of every kind, an hour apart, the first the newest."""
    now = utcnow() - timedelta(days=3)
    async with db.unit() as session:
        user = await factories.create_user(session, customer=customer, username="grun", full_name="Martina Grünwald")
        category = await factories.create_category(session)
        campaign = await factories.create_campaign(session, category=category, texts=TEXTS, staff_id=owner.id)
        ticket = await factories.create_ticket(session, customer=customer, subject="No access", text="It does not open")
        await factories.create_service(session, customer=customer, name="shop.example", created_at=now)
        await factories.create_delivery(
            session, campaign=campaign, customer=customer, state="sent", sent_at=now - timedelta(hours=1)
        )
        await factories.create_delivery(
            session, campaign=campaign, customer=customer, channel="email", address=customer.email, state="failed",
            error="550 no such user",
        )  # fmt: skip
        for hours, answer in (
            (2, TicketMessage(from_customer=False, staff_id=owner.id, internal=True, text="Ask the night shift")),
            (3, TicketMessage(from_customer=False, staff_id=owner.id, text="Please try again")),
        ):
            answer.ticket_id, answer.created_at = ticket.id, now - timedelta(hours=hours)
            session.add(answer)
        note = Note(customer_id=customer.id, staff_id=owner.id, text="Never before nine")
        note.created_at = now - timedelta(hours=4)
        at, until = now - timedelta(hours=6), now - timedelta(hours=5, minutes=48)
        visit = session_row(SessionKind.VISIT, customer, at, staff_id=owner.id, reason="Ticket 4711", ended_at=until)
        signed_in = now - timedelta(hours=5)
        sign_in = session_row(SessionKind.CLIENT, customer, signed_in, user_id=user.id, ip="192.0.2.9")
        session.add_all([note, visit, sign_in])
    async with db.unit() as session:
        attitude = await factories.create_attitude(session, name="Likes to talk")
        await session.flush()
        with acting(Actor(Kind.STAFF, owner.id)):
            changed = await session.get(Customer, customer.id)
            assert changed is not None
            await customers.change_customer(session, customer=changed, values={"attitude_id": attitude.id})
            await session.flush()


async def test_everything_that_happened_newest_first(desk: httpx.AsyncClient, customer: Customer, owner: Staff) -> None:
    await live(customer, owner)
    page = await desk.get(card(customer))
    told = events(page)
    wanted = [
        "Olga Owner changed the customer Attitude: – → is now Likes to talk",
        "shop.example was ordered",
        "Olga Owner sent Planned work in English The e-mail failed: 550 no such user",
        "Olga Owner noted in ticket",
        "Olga Owner answered ticket",
        "Olga Owner wrote a note Never before nine",
        "Martina Grünwald signed in from 192.0.2.9",
        "Olga Owner entered the customer's panel 12 minutes, only looking Reason: Ticket 4711",
        "The account was registered",
    ]
    places = [next((i for i, t in enumerate(told) if w in t), None) for w in wanted]
    assert None not in places and places == sorted(places), told
    assert ">Today</h3>" in page.text and page.text.count('class="day"') >= 3


async def test_chips_choose_the_kinds_and_can_be_combined(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff
) -> None:
    await live(customer, owner)
    notes = events(await desk.get(card(customer, "?kind=note")))
    assert len(notes) == 1 and "Never before nine" in notes[0]
    both = await desk.get(card(customer, "?kind=note&kind=visit"))
    assert len(events(both)) == 2
    assert re.search(r'href="[^"]*\?kind=visit" data-pick="\d" aria-current="true">Notes<', both.text)
    assert len(events(await desk.get(card(customer, "?kind=nonsense")))) > 5


async def test_pages_show_every_event_once_even_when_many_share_a_moment(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff
) -> None:
    at = utcnow() - timedelta(days=9)
    async with db.unit() as session:
        session.add_all(Note(customer_id=customer.id, text=f"Note {n:03}", created_at=at) for n in range(70))
        ticket = await factories.create_ticket(session, customer=customer, text="The first")
        session.add_all(
            TicketMessage(ticket_id=ticket.id, from_customer=True, text=f"Message {n:03}", created_at=at)
            for n in range(30)
        )
    told, url, pages = [], card(customer), 0
    while url:
        page = await desk.get(url)
        told += events(page)
        found = MORE.search(page.text)
        url, pages = html.unescape(found[1]) if found else "", pages + 1
    names = re.findall(r"(?:Note|Message) \d{3}", " ".join(told))
    assert len(names) == len(set(names)) == 100 and pages == 5
    assert told[-1].startswith("The account was registered")


@pytest.mark.parametrize("before", ["x", "2026-01-01,note,1", "2026-01-01T00:00:00+00:00,nothing,1", "9" * 300])
async def test_a_damaged_place_is_refused(desk: httpx.AsyncClient, customer: Customer, before: str) -> None:
    assert (await desk.get(card(customer), params={"before": before})).status_code == 400


async def test_each_source_and_each_figure_needs_the_grant_for_its_screen(
    sign_in: SignIn, customer: Customer, owner: Staff
) -> None:
    await live(customer, owner)
    looks = [("customer", "list"), ("customer", "details")]
    page = await (await sign_in(await create_staff(looks))).get(card(customer))
    assert [e.rpartition(" ")[0] for e in events(page)] and len(events(page)) == 1
    for word in ("shop.example", "Planned work", "No access", "Never before nine", "192.0.2.9", "4711", "Martina"):
        assert word not in page.text
    assert "Open tickets" not in page.text and "Active services" not in page.text
    told = events(await (await sign_in(await create_staff([*looks, ("ticket", "list")]))).get(card(customer)))
    assert any("answered ticket" in e for e in told) and not any("wrote a note" in e for e in told)


async def test_staff_limited_to_projects_read_nothing_of_others(
    sign_in: SignIn, customer: Customer, project: Project, owner: Staff
) -> None:
    await live(customer, owner)
    limited = await create_staff([("*", "*")], projects=(project,))
    browser = await sign_in(limited)
    told = events(await browser.get(card(customer)))
    assert any("sent a message" in e for e in told), "the campaign of a colleague is not theirs to read"
    assert not any("Planned work" in e or "changed the customer" in e for e in told)
    async with db.unit() as session:
        elsewhere = await factories.create_project(session, name="Elsewhere")
        foreign = await factories.create_customer(session, project=elsewhere)
    for headers in ({}, {"x-fragment": "tab"}, {"x-fragment": "main"}):
        assert (await browser.get(card(foreign), headers=headers)).status_code == 404


async def test_edits_name_what_they_lead_to_and_mask_what_is_secret(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff
) -> None:
    async with db.unit() as session:
        user = await factories.create_user(session, customer=customer, username="grun")
    with acting(Actor(Kind.STAFF, owner.id)):
        async with db.unit() as session:
            changed = await session.get(Customer, customer.id)
            assert changed is not None
            await customers.suspend_customer(session, customer=changed)
            theirs = await session.get(type(user), user.id)
            assert theirs is not None
            await users.change_user(session, user=theirs, values={"full_name": "A <b>"}, password="a new secret 12")
    page = await desk.get(card(customer, "?kind=change"))
    told = " | ".join(events(page))
    assert "Status: " in told and f"→ is now {CustomerStatus.SUSPENDED.label}" in told
    assert f"Olga Owner changed User #{user.id}" in told and "Password changed" in told
    assert "***" not in page.text and "argon2" not in page.text and "A <b>" in told


async def test_a_tab_comes_as_a_fragment_and_as_a_page(desk: httpx.AsyncClient, customer: Customer) -> None:
    async with db.unit() as session:
        await factories.create_service(session, customer=customer, name="shop.example")
    whole = (await desk.get(card(customer, "?tab=service"))).text
    part = (await desk.get(card(customer, "?tab=service"), headers={"x-fragment": "tab"})).text
    assert "shop.example" in whole and "shop.example" in part
    assert "<html" in whole and "<html" not in part and 'class="side"' not in part and "<h1" not in part
    summary = (await desk.get(card(customer), headers={"x-fragment": "tab"})).text
    main = (await desk.get(card(customer), headers={"x-fragment": "main"})).text
    assert "<aside" in summary and "<aside" not in main and 'id="timeline"' in main


async def test_tabs_count_what_is_cheap_and_no_further_than_99(desk: httpx.AsyncClient, customer: Customer) -> None:
    async with db.unit() as session:
        session.add_all(Note(customer_id=customer.id, text="x") for _n in range(120))
        await factories.create_user(session, customer=customer)
    tabs = dict(
        re.findall(
            r'\?tab=(\w+)">[^<]*(?: <span class="count">([^<]*)</span>)?</a>', (await desk.get(card(customer))).text
        )
    )
    assert tabs["note"] == "99+" and tabs["user"] == "1" and tabs["payer"] == ""


async def test_a_note_is_written_right_on_the_card(
    desk: httpx.AsyncClient, sign_in: SignIn, customer: Customer
) -> None:
    page = (await desk.get(card(customer))).text
    assert 'action="/admin/customer/action/note"' in page
    sent = await desk.post("/admin/customer/action/note", data={"pks": str(customer.id), "text": "Call at ten"})
    assert sent.status_code == 303 and sent.headers["location"] == card(customer)
    assert any("wrote a note Call at ten" in e for e in events(await desk.get(card(customer))))
    reader = await sign_in(await create_staff([("*", "list"), ("*", "details")]))
    assert 'action="/admin/customer/action/note"' not in (await reader.get(card(customer))).text


async def test_ids_and_addresses_can_be_copied(desk: httpx.AsyncClient, customer: Customer) -> None:
    page = (await desk.get(card(customer))).text
    assert f'data-copy-text="{customer.id}"' in page and 'data-copy-text="info@gruenwald.example"' in page


async def test_the_card_asks_little(desk: httpx.AsyncClient, customer: Customer, owner: Staff) -> None:
    await live(customer, owner)
    await desk.get(card(customer))
    asked: list[str] = []
    for engine in (db.database().engine, db.database().reader):
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    await desk.get(card(customer))
    # who asks; the menu's figures; customer, groups, figures, tabs, timeline, names in changes, users, notes
    assert len(asked) <= 11, "\n".join(asked)


async def test_what_is_added_from_the_card_is_for_this_customer(
    desk: httpx.AsyncClient, sign_in: SignIn, customer: Customer, project: Project
) -> None:
    for noun in ("user", "service"):
        link = f"/admin/{noun}/create?customer={customer.id}"
        assert link in (await desk.get(card(customer))).text
        form = (await desk.get(link)).text
        assert f'name="customer" value="{customer.id}"' in form and "Bäckerei Grünwald" in form
    async with db.unit() as session:
        elsewhere = await factories.create_project(session, name="Elsewhere")
    limited = await sign_in(await create_staff([("*", "*")], projects=(elsewhere,)))
    assert "Bäckerei Grünwald" not in (await limited.get(f"/admin/user/create?customer={customer.id}")).text
    assert (await desk.get(f"/admin/user/create?customer={'9' * 40}")).status_code == 200


async def test_a_list_on_a_card_does_not_repeat_whose_it_is_and_offers_a_new_row(
    desk: httpx.AsyncClient, customer: Customer
) -> None:
    async with db.unit() as session:
        user = await factories.create_user(session, customer=customer)
        await factories.create_service(session, customer=customer, name="shop.example")
    alone = (await desk.get("/admin/service/list")).text
    inside = (await desk.get(card(customer, "?tab=service"))).text
    assert ">Customer</th>" in alone and ">Customer</th>" not in inside and "shop.example" in inside
    assert f'href="/admin/service/create?customer={customer.id}"' in inside
    theirs = (await desk.get(f"/admin/user/details/{user.id}")).text
    assert f'href="/admin/customer/details/{customer.id}"' in theirs and customer.name in theirs


async def test_an_unknown_tab_is_the_summary(desk: httpx.AsyncClient, customer: Customer) -> None:
    assert 'id="timeline"' in (await desk.get(card(customer, "?tab=nonsense"))).text


async def test_every_tab_shows_its_rows(desk: httpx.AsyncClient, customer: Customer, owner: Staff) -> None:
    await live(customer, owner)
    async with db.unit() as session:
        await factories.create_payer(session, customer=customer)
    for tab in ("user", "payer", "service", "delivery", "ticket", "note", "audit"):
        for headers in ({}, {"x-fragment": "tab"}):
            answer = await desk.get(card(customer, f"?tab={tab}"), headers=headers)
            assert answer.status_code == 200 and "<tbody><tr>" in answer.text, tab


@pytest.mark.parametrize("payload", ["/etc/passwd", "[1]", '{"status": 1, "registered_at": ["yesterday", 7]}', ""])
async def test_a_detail_that_cannot_be_read_breaks_no_card(
    desk: httpx.AsyncClient, customer: Customer, owner: Staff, payload: str
) -> None:
    await live(customer, owner)
    async with db.unit() as session:
        await session.execute(update(AuditDetail).values(payload=payload).execution_options(audited=True))
    assert any("changed the customer" in e for e in events(await desk.get(card(customer))))
