"""The staff inbox: tabs, the answer box on the card, the lock, canned replies, mails that were put aside."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from app import db
from app.domain import tickets
from app.integrations.storage import DirectoryStorage
from app.models.inbound import InboundMail, InboundState
from app.models.staff import Staff
from app.models.tickets import CannedReply, Ticket, TicketMessage, TicketStatus
from app.observe import Actor, Kind, acting
from app.settings import Settings
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

SQLITE = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


async def a_ticket(**kw: object) -> Ticket:
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Acme & Söhne", phone="+49 30 1", language="de")
        return await factories.create_ticket(session, customer=customer, subject="It is <down>", text="Help", **kw)


async def messages(ticket: Ticket) -> list[TicketMessage]:
    async with db.reads() as session:
        found = select(TicketMessage).where(TicketMessage.ticket_id == ticket.id).order_by(TicketMessage.id)
        return list(await session.scalars(found))


async def newest(ticket: Ticket) -> str:
    return str((await messages(ticket))[-1].id)


def tabs(html: str) -> dict[str, str]:
    nav = re.search(r'<nav class="tabs"[^>]*>(.*?)</nav>', html, re.S)
    assert nav
    found = re.findall(r'<a href="([^"]*)"[^>]*>(.*?)</a>', nav[1], re.S)
    return {unescape(" ".join(re.sub("<[^>]*>", " ", label).split())): unescape(url) for url, label in found}


async def test_the_tabs_of_the_inbox_show_what_they_say(desk: httpx.AsyncClient, owner: Staff) -> None:
    mine = await a_ticket(assigned_id=owner.id)
    free = await a_ticket()
    done = await a_ticket(assigned_id=owner.id, status=TicketStatus.CLOSED)
    asked = await a_ticket(status=TicketStatus.ANSWERED)
    html = (await desk.get("/admin/ticket/list")).text
    found = tabs(html)
    assert list(found) == ["Mine 1", "Nobody's 1", "Wait for us 2", "Wait for customers", "All"]
    expected = {"Mine 1": {mine.id}, "Nobody's 1": {free.id}, "Wait for us 2": {mine.id, free.id},
                "Wait for customers": {asked.id}, "All": {mine.id, free.id, done.id, asked.id}}  # fmt: skip
    for label, url in found.items():
        page = (await desk.get(url)).text
        assert set(map(int, re.findall(r'href="/admin/ticket/details/(\d+)"', page))) == expected[label], label
        current = re.search(r'<a href="[^"]*" aria-current="page"><bdi>(\w+)', page)
        assert current and label.startswith(current[1])


@SQLITE
async def test_the_card_holds_the_talk_the_box_and_the_customer(desk: httpx.AsyncClient) -> None:
    ticket = await a_ticket()
    async with db.unit() as session:
        session.add(
            TicketMessage(ticket_id=ticket.id, from_customer=True, text="Yes\n\nOn Monday you wrote:\n> <old>\n> words",
                          email_id="1@x")
        )  # fmt: skip
        session.add(TicketMessage(ticket_id=ticket.id, from_customer=False, internal=True, text="careful"))
    html = (await desk.get(f"/admin/ticket/details/{ticket.id}")).text
    assert 'class="msg mine internal"' in html and "Internal note" in html
    assert '<details class="quoted">' in html and "&lt;old&gt;" in html and "<old>" not in html
    assert "Came by e-mail" in html and "+49 30 1" in html and "German" in html
    assert 'action="/admin/ticket/action/answer"' in html and "waits for" in html


@SQLITE
async def test_an_answer_from_the_card_arrives_and_closes_the_ticket(
    desk: httpx.AsyncClient, settings: Settings
) -> None:
    ticket = await a_ticket()
    data = {"pks": str(ticket.id), "seen": await newest(ticket), "text": "Try <now>.", "then": "closed"}
    answer = await desk.post("/admin/ticket/action/answer", data=data, files={"files": ("a.txt", b"steps")})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/ticket/details/{ticket.id}")
    said = (await messages(ticket))[-1]
    assert (said.text, said.internal) == ("Try <now>.", False)
    async with db.reads() as session:
        row = await session.get_one(Ticket, ticket.id)
    assert row.status is TicketStatus.CLOSED and row.first_answered_at is not None
    html = (await desk.get(f"/admin/ticket/details/{ticket.id}")).text
    assert "Try &lt;now&gt;." in html and "a.txt" in html
    assert "set “Closed”" in html, "the history tells"
    listed = (await desk.get("/admin/ticket/list")).text
    assert "First answer usually after" in listed


@SQLITE
async def test_an_answer_that_crosses_another_comes_back_with_its_text(
    desk: httpx.AsyncClient, sign_in: SignIn
) -> None:
    ticket = await a_ticket()
    seen = await newest(ticket)
    other = await sign_in(await create_staff([("*", "*")], full_name="Bob"))
    first = {"pks": str(ticket.id), "seen": seen, "text": "The first."}
    assert (await other.post("/admin/ticket/action/answer", data=first)).status_code == 303
    second = {"pks": str(ticket.id), "seen": seen, "text": "The second."}
    refused = await desk.post("/admin/ticket/action/answer", data=second)
    assert refused.status_code == 422
    assert (
        "Bob has written meanwhile" in refused.text and "The second." in refused.text and "The first." in refused.text
    )
    assert f'value="{await newest(ticket)}"' in refused.text, "now it has been seen"
    assert len(await messages(ticket)) == 2
    second["seen"] = await newest(ticket)
    assert (await desk.post("/admin/ticket/action/answer", data=second)).status_code == 303


@SQLITE
async def test_a_colleague_who_answers_is_named_and_can_be_passed_over(
    desk: httpx.AsyncClient, sign_in: SignIn, owner: Staff
) -> None:
    ticket = await a_ticket()
    other = await sign_in(await create_staff([("*", "*")], full_name="Bob"))
    script = {"x-fragment": "lock"}
    pks = {"pks": str(ticket.id)}
    held = await other.post("/admin/ticket/action/lock", data=pks, headers=script)
    assert held.status_code == 200 and held.json() == {"held": True, "said": ""}
    refused = await desk.post("/admin/ticket/action/lock", data=pks, headers=script)
    assert not refused.json()["held"] and "Bob" in refused.json()["said"]
    page = (await desk.get(f"/admin/ticket/details/{ticket.id}")).text
    assert "Bob answers this ticket" in page and 'name="take_over"' in page
    state = (await desk.get(f"/admin/ticket/data/state?id={ticket.id}&seen=0")).json()
    assert "Bob" in state["lock"] and state["newer"] is True
    data = pks | {"text": "Mine.", "seen": await newest(ticket)}
    answer = await desk.post("/admin/ticket/action/answer", data=data)
    assert answer.status_code == 422 and "Bob" in answer.text and "Mine." in answer.text
    without_script = await desk.post("/admin/ticket/action/lock", data=pks)
    assert without_script.status_code == 422 and "take_over" in without_script.text
    assert (await desk.post("/admin/ticket/action/lock", data=pks | {"take_over": "y"})).status_code == 303
    assert (await desk.post("/admin/ticket/action/answer", data=data)).status_code == 303
    html = (await desk.get(f"/admin/ticket/details/{ticket.id}")).text
    assert "took the answer over from Bob" in html
    assert (await other.post("/admin/ticket/action/unlock", data=pks)).status_code == 303


@SQLITE
async def test_status_moves_that_are_not_in_the_table_are_told(desk: httpx.AsyncClient) -> None:
    ticket = await a_ticket(status=TicketStatus.CLOSED)
    refused = await desk.post("/admin/ticket/action/close", data={"pks": str(ticket.id)})
    assert refused.status_code == 422 and "already" in refused.text
    assert (await desk.post("/admin/ticket/action/reopen", data={"pks": str(ticket.id)})).status_code == 303
    answer = await desk.post("/admin/ticket/action/priority", data={"pks": str(ticket.id), "priority": "high"})
    assert answer.status_code == 303
    async with db.reads() as session:
        row = await session.get_one(Ticket, ticket.id)
    assert (row.status, row.priority.value) == (TicketStatus.OPEN, "high")


@SQLITE
async def test_who_may_only_look_gets_no_box(database: str, sign_in: SignIn) -> None:
    ticket = await a_ticket()
    reader = await sign_in(await create_staff([("ticket", "list"), ("ticket", "details")]))
    html = (await reader.get(f"/admin/ticket/details/{ticket.id}")).text
    assert "Help" in html and "data-answer" not in html
    assert "+49 30 1" not in html, "the customer's data need a grant of their own"
    for slug in ("answer", "lock", "unlock", "close", "priority"):
        assert (await reader.post(f"/admin/ticket/action/{slug}", data={"pks": str(ticket.id)})).status_code == 403


# ---- canned replies -------------------------------------------------------------------------------------------------


@SQLITE
async def test_a_canned_reply_is_written_and_offered_filled_in(desk: httpx.AsyncClient) -> None:
    ticket = await a_ticket()
    form = (await desk.get("/admin/canned_reply/create")).text
    assert 'name="text_de"' in form and "customer.name" in form
    bad = {"name": "Hello", "enabled": "y", "text_de": "Hallo {{ customer.nam }}", "text_en": "Hi"}
    refused = await desk.post("/admin/canned_reply/create", data=bad)
    assert refused.status_code == 422 and "customer.name" in refused.text and "Hallo {{ customer.nam }}" in refused.text
    good = bad | {"text_de": "Hallo {{ customer.name }}"}
    assert (await desk.post("/admin/canned_reply/create", data=good)).status_code == 303
    found = (await desk.get(f"/admin/ticket/data/canned?id={ticket.id}")).json()["replies"]
    assert [(r["name"], r["text"]) for r in found] == [("Hello", "Hallo Acme & Söhne")]
    page = (await desk.get(f"/admin/ticket/action/answer?pks={ticket.id}&canned={found[0]['id']}")).text
    assert "Hallo Acme &amp; Söhne</textarea>" in page, "without scripts it is a link"
    async with db.reads() as session:
        [row] = await session.scalars(select(CannedReply))
    edited = {"name": "Hello", "enabled": "y", "version": str(row.version), "text_de": "", "text_en": "Hi there"}
    assert (await desk.post(f"/admin/canned_reply/edit/{row.id}", data=edited)).status_code == 303
    card = (await desk.get(f"/admin/canned_reply/details/{row.id}")).text
    assert "Hi there" in card and "Hallo" not in card
    assert "Hello" in (await desk.get("/admin/canned_reply/list?search=hello")).text


# ---- mails that were put aside --------------------------------------------------------------------------------------


async def _came(settings: Settings, raw: bytes, **kw: object) -> InboundMail:
    stored = await DirectoryStorage(settings.data_dir / "attachments").save(raw)
    async with db.unit() as session:
        return await factories.create_inbound(session, key=stored.key, size=len(raw), **kw)


@SQLITE
async def test_a_mail_that_was_put_aside_becomes_a_ticket(desk: httpx.AsyncClient, settings: Settings) -> None:
    mail = await _came(settings, b"From: eve@example.net\r\nSubject: Hi\r\n\r\n<script>alert(1)</script> hello\r\n",
                       sender="eve@example.net", subject="Hi <b>")  # fmt: skip
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Acme")
    listed = (await desk.get("/admin/inbound_mail/list?state.in=aside")).text
    assert "Hi &lt;b&gt;" in listed and "Put aside" in tabs(listed).__str__()
    card = (await desk.get(f"/admin/inbound_mail/details/{mail.id}")).text
    assert "&lt;script&gt;alert(1)" in card and "Nobody is known" in card
    url = "/admin/inbound_mail/action/ticket"
    assert (await desk.post(url, data={"pks": str(mail.id)})).status_code == 422
    made = await desk.post(url, data={"pks": str(mail.id), "customer": str(customer.id)})
    assert made.status_code == 303 and "/admin/ticket/details/" in made.headers["location"]
    html = (await desk.get(made.headers["location"])).text
    assert "&lt;script&gt;alert(1)" in html
    again = await desk.post(url, data={"pks": str(mail.id), "customer": str(customer.id)})
    assert again.status_code == 422 and "not possible" in again.text
    original = await desk.post("/admin/inbound_mail/action/original", data={"pks": str(mail.id)})
    assert original.content.startswith(b"From: eve") and "attachment" in original.headers["content-disposition"]


@SQLITE
async def test_a_mail_that_cannot_be_read_is_shown_as_such(desk: httpx.AsyncClient, settings: Settings) -> None:
    mail = await _came(settings, b"From: a@b.example\r\nX: " + b"a" * 300_000 + b"\r\n\r\nx")
    card = await desk.get(f"/admin/inbound_mail/details/{mail.id}")
    assert card.status_code == 200 and "Its header is too large. (256 kB)" in card.text
    answer = await desk.post("/admin/inbound_mail/action/ticket", data={"pks": str(mail.id), "customer": "1"})
    assert answer.status_code == 422
    assert (await desk.post("/admin/inbound_mail/action/drop", data={"pks": str(mail.id)})).status_code == 303
    async with db.reads() as session:
        assert (await session.get_one(InboundMail, mail.id)).state is InboundState.DROPPED


async def test_limited_staff_see_only_mails_of_their_customers(settings: Settings, sign_in: SignIn) -> None:
    async with db.unit() as session:
        mine, other = await factories.create_project(session), await factories.create_project(session)
        own = await factories.create_customer(session, project=mine)
        foreign = await factories.create_customer(session, project=other)
        seen = await factories.create_inbound(session, customer=own, subject="Of mine")
        await factories.create_inbound(session, customer=foreign, subject="Of theirs")
        await factories.create_inbound(session, subject="Of nobody")
    limited = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    html = (await limited.get("/admin/inbound_mail/list")).text
    assert f'/details/{seen.id}"' in html and "Of theirs" not in html and "Of nobody" not in html


async def test_notes_never_reach_the_customer(tmp_path: Path, database: str, redis: str) -> None:
    """Neither by mail nor in the client area: the queries of the area leave them out, and no job is made."""
    from app.web.client import queries

    ticket = await a_ticket()
    staff = await create_staff([("*", "*")])
    with acting(Actor(Kind.STAFF, staff_id=staff.id)):
        async with db.unit() as session:
            await tickets.reply(session, ticket_id=ticket.id, text="secret", from_customer=False, internal=True)
    async with db.reads() as session:
        assert [m.text for m in await queries.thread(session, ticket.id)] == ["Help"]
        assert await session.scalar(select(func.count()).select_from(TicketMessage)) == 2


async def test_a_mail_whose_original_is_gone_is_still_shown(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        mail = InboundMail(fingerprint="f" * 64, key="", size=9, state=InboundState.DROPPED, subject="Old one")
        session.add(mail)
    assert "Old one" in (await desk.get("/admin/inbound_mail/list")).text
    card = await desk.get(f"/admin/inbound_mail/details/{mail.id}")
    assert card.status_code == 200 and "not kept any more" in card.text and "action/original" not in card.text
    pressed = {"pks": str(mail.id)}
    assert (await desk.post("/admin/inbound_mail/action/original", data=pressed)).status_code >= 400
    again = await desk.post("/admin/inbound_mail/action/again", data=pressed)
    assert again.status_code in (409, 422) or "not kept" in again.text
    async with db.reads() as session:
        assert (await session.get_one(InboundMail, mail.id)).state is InboundState.DROPPED
