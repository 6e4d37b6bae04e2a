"""The inbox: tabs, search, files that are kept when a form comes back, double clicks and answers that cross."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.db import utcnow
from app.domain import tickets
from app.models.attachments import Attachment
from app.models.messaging import CampaignAttachment, DeliveryState
from app.models.tickets import Ticket, TicketMessage, TicketStatus
from app.observe import Actor, Kind, acting
from tests import factories
from tests.web.helpers import People, Site

SUBJECTS = re.compile(r'stretch" href="[^"]+"><bdi>([^<]+)</bdi>')


async def found(client: httpx.AsyncClient, **asked: str) -> list[str]:
    answer = await client.get("/client/messages", params=asked)
    assert answer.status_code == 200
    return SUBJECTS.findall(answer.text)


@pytest.fixture
async def inbox(people: People) -> None:
    """Three messages and two tickets of Ada, and one of each of somebody else."""
    now = utcnow()
    async with db.unit() as session:
        category = await factories.create_category(session, name="Billing")
        texts: list[tuple[str, str, bool, Any]] = [
            ("Price list", "From **Monday** on hosting costs 5.", True, people.customer),
            ("Straße gesperrt", "Übersicht der Arbeiten", False, people.customer),
            ("100 % uptime", "under_score and Ünïcode", False, people.customer),
            ("Price of others", "Monday", False, people.other),
        ]
        for n, (subject, body, read, customer) in enumerate(texts):
            campaign = await factories.create_campaign(session, category=category, texts={"en": (subject, body)})
            await factories.create_delivery(
                session, campaign=campaign, customer=customer, state=DeliveryState.SENT,
                sent_at=now - timedelta(minutes=n), read_at=now if read else None,
            )  # fmt: skip
            if n == 1:
                file = await factories.create_attachment(session, name="Plan-2027.pdf")
                session.add(CampaignAttachment(campaign_id=campaign.id, attachment_id=file.id))
        asked = await factories.create_ticket(
            session, customer=people.customer, subject="Why so slow", text="Since Monday it crawls",
            updated_at=now - timedelta(hours=1),
        )  # fmt: skip
        session.add(TicketMessage(ticket_id=asked.id, from_customer=False, internal=True, text="a zebra between us"))
        session.add(TicketMessage(ticket_id=asked.id, from_customer=False, text="We look at the giraffe"))
        await factories.create_ticket(
            session, customer=people.customer, subject="Quota", text="How much?", updated_at=now - timedelta(hours=2)
        )
        await factories.create_ticket(session, customer=people.other, subject="Monday of others", text="Price")


async def test_search_and_tabs(ada: httpx.AsyncClient, inbox: None) -> None:
    assert await found(ada, q="MONDAY") == ["Price list", "Why so slow"]
    assert await found(ada, q="price monday") == ["Price list"], "every word"
    assert await found(ada, q="strasse") == ["Straße gesperrt"]
    assert await found(ada, q="ubersicht") == ["Straße gesperrt"]
    assert await found(ada, q="plan-2027") == ["Straße gesperrt"], "by the name of a file"
    assert await found(ada, q="giraffe") == ["Why so slow"]
    assert await found(ada, q="zebra") == [], "notes of staff for each other are not looked through"
    assert await found(ada, q="%") == ["100 % uptime"]
    assert await found(ada, q="r_s") == ["100 % uptime"], "no wildcard"
    assert await found(ada, q="others") == []
    assert await found(ada, show="questions") == ["Why so slow", "Quota"]
    assert await found(ada, show="messages") == ["Price list", "Straße gesperrt", "100 % uptime"]
    assert await found(ada, show="unread") == ["Straße gesperrt", "100 % uptime", "Why so slow"]
    assert await found(ada, show="unread", q="monday") == ["Why so slow"]
    assert len(await found(ada, show="whatever", q="   ")) == 5
    for odd in ("'--", '"><script>', "\0", "x" * 5000, "🦒", "\\"):
        answer = await ada.get("/client/messages", params={"q": odd})
        assert answer.status_code in (200, 400) and "<script>" not in answer.text
    page = (await ada.get("/client/messages", params={"q": "x", "show": "unread"})).text
    assert "Nothing was found" in page and 'value="x"' in page and 'name="show" value="unread"' in page


async def test_pages_keep_what_was_searched_for(ada: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        for n in range(25):
            await factories.create_ticket(session, customer=people.customer, subject=f"Line {n}", text="down")
    page = (await ada.get("/client/messages", params={"q": "line", "show": "questions"})).text
    assert 'href="/client/messages?show=questions&amp;q=line&amp;page=2"' in page
    assert len(await found(ada, q="line", show="questions", page="2")) == 5


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_refused_form_keeps_text_and_the_files_that_fit(
    ada: httpx.AsyncClient, site: Site, people: People
) -> None:
    small = site.again(max_upload_mb=1)
    big = ("files", ("big.bin", b"x" * (1024 * 1024 + 1)))
    good = ("files", ("..\\good<1>.html", b"<script>1</script>"))
    async with small.browser(cookies=ada.cookies) as client:
        asked = {"subject": "About files", "text": "kept text"}
        answer = await client.post("/client/tickets/new", data=asked, files=[big, good, ("files", ("none.txt", b""))])
        assert answer.status_code == 422
        assert "larger than 1 MB" in answer.text and "none.txt" in answer.text and "kept text" in answer.text
        [token] = re.findall(r'name="kept" value="([^"]+)"', answer.text)
        assert "good_1_.html" in answer.text
        answer = await client.post("/client/tickets/new", data={**asked, "text": "", "kept": token})
        assert answer.status_code == 422 and token in answer.text, "still there when something else is wrong"
        answer = await client.post("/client/tickets/new", data={**asked, "kept": token})
        assert answer.status_code == 303, answer.text
        page = await client.get(answer.headers["location"])
        assert "good_1_.html" in page.text and "big.bin" not in page.text
        [url] = re.findall(r'href="(/client/tickets/\d+/files/\d+)"', page.text)
        sent = await client.get(url)
        assert sent.headers["content-type"] == "application/octet-stream" and "sandbox" in str(sent.headers)
    async with db.reads() as session:
        file = (await session.scalars(select(Attachment))).one()
    async with db.unit() as session:
        foreign = await factories.create_attachment(session, name="foreign.txt", customer_id=people.other.id)
        mine = await factories.create_attachment(session, name="invoice.pdf", customer_id=people.customer.id)
    for forged in (str(mine.id), f"{people.customer.id}:{mine.id}", token[:-1] + "A", token.replace(str(file.id), "9")):
        answer = await ada.post("/client/tickets/new", data={"subject": "x", "text": "", "kept": forged})
        assert "invoice.pdf" not in answer.text and "foreign.txt" not in answer.text
    assert foreign.id


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_double_click_sends_once(ada: httpx.AsyncClient, people: People) -> None:
    asked = {"subject": "Twice", "text": "Please once"}
    file = [("files", ("a.txt", b"a"))]
    first, second = [await ada.post("/client/tickets/new", data=asked, files=file) for _click in range(2)]
    assert first.headers["location"] == second.headers["location"]
    where = first.headers["location"]
    for _click in range(2):
        assert (await ada.post(f"{where}/reply", data={"text": "And?", "seen": "1"})).status_code == 303
    other = [("files", ("b.txt", b"b"))]
    assert (await ada.post(f"{where}/reply", data={"text": "And?"}, files=other)).status_code == 303
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Ticket)) == 1
        said = (await session.scalars(select(TicketMessage.text).order_by(TicketMessage.id))).all()
    assert said == ["Please once", "And?", "And?"], "the last one brought a file"


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_an_answer_that_crosses_another_is_shown_it_first(ada: httpx.AsyncClient, people: People) -> None:
    async with db.unit() as session:
        ticket = await factories.create_ticket(session, customer=people.customer, subject="Crossing", text="Hello?")
    url = f"/client/tickets/{ticket.id}"
    [seen] = re.findall(r'name="seen" value="(\d+)"', (await ada.get(url)).text)
    with acting(Actor(Kind.STAFF, staff_id=people.staff.id)):
        async with db.unit() as session:
            await tickets.reply(session, ticket_id=ticket.id, text="a note", from_customer=False, internal=True)
    assert (await ada.post(f"{url}/reply", data={"text": "One", "seen": seen})).status_code == 303, "notes do not count"
    [seen] = re.findall(r'name="seen" value="(\d+)"', (await ada.get(url)).text)
    with acting(Actor(Kind.STAFF, staff_id=people.staff.id)):
        async with db.unit() as session:
            await tickets.reply(session, ticket_id=ticket.id, text="We found it.", from_customer=False)
            await tickets.close(session, ticket_id=ticket.id)
    answer = await ada.post(f"{url}/reply", data={"text": "Any news?", "seen": seen})
    assert answer.status_code == 422
    assert "We found it." in answer.text and "has written meanwhile" in answer.text and "Any news?" in answer.text
    [seen] = re.findall(r'name="seen" value="(\d+)"', answer.text)
    assert (await ada.post(f"{url}/reply", data={"text": "Any news?", "seen": seen})).status_code == 303
    async with db.reads() as session:
        assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.OPEN, "an answer opens it again"
