"""Answers of staff: the lock, two at once, canned replies, quotations, and the mails that go out."""

from __future__ import annotations

import asyncio
import email
import email.policy
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app import db
from app.db import moment
from app.domain import tickets
from app.domain.messaging import replies
from app.domain.messaging.suppression import suppress
from app.domain.tickets import mailing
from app.errors import Conflict, Invalid, NotFound
from app.integrations.mail import Deferred, Mailer, OutboxMailer, Rejected, Unsure
from app.integrations.storage import DirectoryStorage
from app.models.consent import Why
from app.models.customers import Customer
from app.models.jobs import Job, JobState
from app.models.messaging import MailKind
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus
from app.observe import Actor, Kind, acting
from app.settings import Settings
from tasks import base
from tasks import tickets as tasks
from tasks.base import Resources
from tests import factories as make

assert tasks  # registers the task of the mails
pytestmark = pytest.mark.usefixtures("database", "redis")


def as_staff(staff_id: int) -> Any:
    return acting(Actor(Kind.STAFF, staff_id=staff_id))


async def a_ticket(**kw: Any) -> tuple[Ticket, int, int]:
    """A ticket, and two colleagues."""
    async with db.unit() as session:
        customer = await make.create_customer(session, name="Acme", email="office@acme.example", **kw)
        ticket = await make.create_ticket(session, customer=customer, subject="Down")
        ann = await make.create_staff(session, full_name="Ann")
        bob = await make.create_staff(session, full_name="Bob")
    return ticket, ann.id, bob.id


async def lock(ticket: Ticket, staff_id: int, **kw: Any) -> tickets.Lock:
    with as_staff(staff_id):
        async with db.unit() as session:
            return await tickets.lock(session, ticket_id=ticket.id, **kw)


async def say(ticket: Ticket, staff_id: int, text: str = "Try now.", **kw: Any) -> TicketMessage:
    with as_staff(staff_id):
        async with db.unit() as session:
            return await tickets.reply(session, ticket_id=ticket.id, text=text, from_customer=False, **kw)


async def read(ticket: Ticket) -> Ticket:
    async with db.reads() as session:
        return await session.get_one(Ticket, ticket.id)


# ---- the lock -------------------------------------------------------------------------------------------------------


async def test_one_answers_and_the_other_is_told_who() -> None:
    ticket, ann, bob = await a_ticket()
    held = await lock(ticket, ann)
    assert (held.name, held.staff_id) == ("Ann", ann)
    again = await lock(ticket, ann)
    assert again.since == held.since, "going on does not begin anew"
    with pytest.raises(Conflict, match="Ann"):
        await lock(ticket, bob)
    with pytest.raises(Conflict, match="Ann"):
        await say(ticket, bob)
    assert (await say(ticket, bob, "A note beside it", internal=True)).internal
    assert (await lock(ticket, bob, take_over=True)).name == "Bob"
    with pytest.raises(Conflict, match="Bob"):
        await say(ticket, ann)
    await say(ticket, ann, take_over=True)


async def test_of_many_who_lock_at_once_one_gets_it() -> None:
    ticket, ann, bob = await a_ticket()
    found = await asyncio.gather(*[lock(ticket, n) for n in (ann, bob) * 4], return_exceptions=True)
    names = {one.name for one in found if isinstance(one, tickets.Lock)}
    assert len(names) == 1 and sum(isinstance(one, Conflict) for one in found) == 4


async def test_a_lock_ends_by_the_clock_of_the_database_and_with_the_answer() -> None:
    ticket, ann, bob = await a_ticket()
    await lock(ticket, ann)
    async with db.unit() as session:
        await session.execute(
            update(Ticket).values(lock_until=moment(-1)).execution_options(audited=True, synchronize_session=False)
        )
    assert (await lock(ticket, bob)).name == "Bob"
    await say(ticket, bob)
    async with db.reads() as session:
        assert await tickets.lock_of(session, ticket.id) is None
    await lock(ticket, ann)
    with as_staff(bob):
        async with db.unit() as session:
            await tickets.let_go(session, ticket_id=ticket.id)
    with pytest.raises(Conflict):
        await lock(ticket, bob)  # nobody gives away what is somebody else's


async def test_two_answers_at_once_lose_nothing() -> None:
    ticket, ann, bob = await a_ticket()
    async with db.reads() as session:
        seen = await session.scalar(select(func.max(TicketMessage.id)))
    await say(ticket, ann, "The first.", seen=seen)
    with pytest.raises(Conflict, match="Ann has written"):
        await say(ticket, bob, "The second.", seen=seen)
    with pytest.raises(Conflict):
        await say(ticket, ann, "The first.", seen=seen)  # the button pressed twice
    async with db.reads() as session:
        newest = await session.scalar(select(func.max(TicketMessage.id)))
        n = await session.scalar(select(func.count()).select_from(TicketMessage))
    assert n == 2
    await say(ticket, bob, "The second.", seen=newest)


# ---- status ---------------------------------------------------------------------------------------------------------


async def test_an_answer_says_what_becomes_of_the_ticket() -> None:
    for then in (TicketStatus.CLOSED, TicketStatus.OPEN, TicketStatus.ANSWERED, None):
        ticket, ann, _bob = await a_ticket()
        await say(ticket, ann, then=then)
        assert (await read(ticket)).status is (then or TicketStatus.ANSWERED)


async def test_every_move_outside_the_table_is_refused_with_the_reason() -> None:
    ticket, _ann, _bob = await a_ticket()
    for now in TicketStatus:
        for to in TicketStatus:
            async with db.unit() as session:
                (await session.get_one(Ticket, ticket.id)).status = now
            legal = to in tickets.TICKET_MOVES[now]
            try:
                async with db.unit() as session:
                    await tickets.set_status(session, ticket_id=ticket.id, to=to)
            except Conflict as refusal:
                assert not legal and refusal.status == 409 and str(now.label) in str(refusal)
            else:
                assert legal
    with pytest.raises(Conflict):
        async with db.unit() as session:
            await tickets.set_status(
                session, ticket_id=ticket.id, to=TicketStatus.ANSWERED, customer_id=ticket.customer_id
            )


async def test_the_first_answer_is_noted_once_and_notes_do_not_count() -> None:
    ticket, ann, _bob = await a_ticket()
    await say(ticket, ann, "Hm", internal=True)
    assert (await read(ticket)).first_answered_at is None
    await say(ticket, ann)
    first = (await read(ticket)).first_answered_at
    assert first is not None
    await say(ticket, ann, "And more.")
    assert (await read(ticket)).first_answered_at == first


# ---- canned replies -------------------------------------------------------------------------------------------------


async def test_canned_replies_fit_the_ticket_and_speak_the_customers_language() -> None:
    ticket, ann, _bob = await a_ticket(language="de-AT")
    async with db.unit() as session:
        other = await make.create_project(session)
        category = await make.create_category(session)
        texts = {"en": "Hello {{ customer.name }}", "de": "Hallo {{ customer.name|upper }}, {{ staff.name }}"}
        await make.create_canned(session, name="Greeting", texts=texts)
        await make.create_canned(session, name="Only English")
        await make.create_canned(session, name="Elsewhere", project_id=other.id)
        await make.create_canned(session, name="Other category", category_id=category.id)
        await make.create_canned(session, name="Off", enabled=False)
    with as_staff(ann):
        async with db.reads() as session:
            found = await tickets.canned_replies(session, ticket_id=ticket.id)
    assert [(c.name, c.language, c.text) for c in found] == [
        ("Greeting", "de", "Hallo ACME, Ann"), ("Only English", "en", "Hello Acme, we look into it."),
    ]  # fmt: skip


async def test_values_in_canned_replies_are_plain_text() -> None:
    ticket, ann, _bob = await a_ticket(contact_person="{{ customer.email }} <b>{% if %}")
    async with db.unit() as session:
        await make.create_canned(session, texts={"en": "Hi {{ customer.contact_person }}"})
    with as_staff(ann):
        async with db.reads() as session:
            [found] = await tickets.canned_replies(session, ticket_id=ticket.id)
    assert found.text == "Hi {{ customer.email }} <b>{% if %}"


@pytest.mark.parametrize("text", ["{{ customer.secret }}", "{{ ''.__class__ }}", "{% for x in y %}", "x" * 20_001])
async def test_a_canned_reply_with_something_else_in_it_is_refused_at_its_field(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        async with db.unit() as session:
            await tickets.save_canned(session, canned=None, values={"name": "Bad"}, texts={"en": "", "de": text})
    assert set(refusal.value.fields) == {"text_de"}
    with pytest.raises(Invalid):
        async with db.unit() as session:
            await tickets.save_canned(session, canned=None, values={"name": "Empty"}, texts={"en": " "})


async def test_canned_replies_of_a_foreign_ticket_are_not_there() -> None:
    ticket, ann, _bob = await a_ticket()
    with acting(Actor(Kind.STAFF, staff_id=ann, projects=frozenset({4711}))), pytest.raises(NotFound):
        async with db.reads() as session:
            await tickets.canned_replies(session, ticket_id=ticket.id)


# ---- quotations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Yes.\n\nOn Mon, 1 Jan 2026 at 10:00, Desk <a@b> wrote:\n> Try now.\n>\n> Ann", "Yes."),
        ("Ja.\n\nAm 1. Januar 2026 um 10:00 schrieb Desk:\n\n> Jetzt?\n", "Ja."),
        ("Да.\n\n1 января 2026 г., 10:00 Desk написал(а):\nх", "Да.\n\n1 января 2026 г., 10:00 Desk написал(а):\nх"),
        ("Top\n> in between\nBottom", "Top|Bottom"),
        ("Yes\n\n-----Original Message-----\nFrom: Desk\nold text", "Yes"),
        ("Yes\n________________________________\nFrom: Desk\nSent: now\nold", "Yes"),
        ("a rule\n________________________________\nand my own words", "a rule\n____"),
        ("> only a quotation", "> only a quotation"),
        ("no quotation > here", "no quotation > here"),
        ("", ""),
    ],
)  # fmt: skip
def test_quotations_are_folded_and_nothing_is_lost(text: str, own: str) -> None:
    pieces = tickets.folded(text)
    assert "\n".join(p.text for p in pieces) == text
    shown = "|".join(p.text.strip() for p in pieces if not p.quoted and p.text.strip())
    assert shown.startswith(own) and (not own or shown)
    if text.startswith(("Yes", "Ja", "Top")):
        assert shown == own


@pytest.mark.parametrize(
    "text",
    [
        ">" + "\n" * 19_990 + ">a", "-" + " " * 19_990 + "x", "-- " * 6_660 + "x", "On " + "wrote " * 3_000,
        "on wrote\n" * 2_200, "_" * 19_990 + "x", "from" + " " * 19_990, ("_" * 10 + "\n\n\n") * 1_500,
    ],
    ids=range(8),
)  # fmt: skip
def test_a_text_made_to_take_long_is_folded_at_once(text: str) -> None:
    begin = time.thread_time()
    assert "\n".join(p.text for p in tickets.folded(text)) == text
    assert time.thread_time() - begin < 0.2


# ---- mails ----------------------------------------------------------------------------------------------------------


class Answering:
    """A mail server that answers each mail with the next of these; None: taken."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.mails: list[bytes] = []

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        self.mails.append(message)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    async def close(self) -> None:
        pass


def resources(tmp_path: Path, database: str, mailer: Mailer | None = None) -> Resources:
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path)
    return Resources(settings, mailer or OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))


async def run_mails(parts: Resources) -> None:
    async with db.reads() as session:
        ids = list(await session.scalars(select(Job.id).where(Job.name == "tickets.mail").order_by(Job.id)))
    for job_id in ids:
        await base.run_job(job_id, parts)


def outbox(tmp_path: Path) -> list[EmailMessage]:
    found = []
    for path in sorted((tmp_path / "outbox").glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        found.append(message)
    return found


async def test_an_answer_goes_out_once_to_everybody_it_is_for(tmp_path: Path, database: str) -> None:
    replies.configure("k" * 40, "desk@example.com")
    try:
        ticket, ann, _bob = await a_ticket()
        async with db.unit() as session:
            customer = await session.get_one(Customer, ticket.customer_id)
            people: dict[str, dict[str, Any]] = {
                "wrote": {},
                "gets": {"receives": True},
                "silent": {},
                "off": {"enabled": False},
            }
            for name, kw in people.items():
                user = await make.create_user(session, customer=customer, email=f"{name}@acme.example", **kw)
                if name in ("wrote", "off"):
                    session.add(TicketMessage(ticket_id=ticket.id, from_customer=True, user_id=user.id, text="Hm",
                                              email_id=f"{name}.1@client.example"))  # fmt: skip
            file = await make.create_attachment(session, name="how-to.txt", size=5)
            stored = await DirectoryStorage(tmp_path / "attachments").save(b"steps")
            file.key = stored.key
        first = await say(ticket, ann, "Try now.\n\nAnn", attachment_ids=[file.id])
        parts = resources(tmp_path, database)
        await run_mails(parts)
        await run_mails(parts)
        mails = outbox(tmp_path)
        assert sorted(m["To"].addresses[0].addr_spec for m in mails) == [
            "gets@acme.example", "office@acme.example", "wrote@acme.example",
        ]  # fmt: skip
        async with db.reads() as session:
            first_id = (await session.get_one(TicketMessage, first.id)).email_id
        for message in mails:
            assert message["Message-ID"] == f"<{first_id}>"
            assert message["In-Reply-To"] == "<off.1@client.example>"
            assert message["References"] == "<wrote.1@client.example> <off.1@client.example>"
            assert message["Reply-To"] == replies.reply_address(ticket_id=ticket.id)
            assert message["Subject"] == "Re: Down" and "Ann" in message["From"]
            plain = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
            assert plain.splitlines()[:4] == ["Try now.", "", "Ann", ""] and plain.splitlines()[4].startswith("Ann, ")
            user = message["To"].addresses[0].addr_spec != "office@acme.example"
            assert (f"/client/tickets/{ticket.id})" in plain) is user
            html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
            assert "<p>Try now.<br><br>Ann</p>" in "".join(html.splitlines())
            assert [a.get_filename() for a in message.iter_attachments()] == ["how-to.txt"]
        await say(ticket, ann, "And this.")
        await run_mails(parts)
        second = [m for m in outbox(tmp_path) if m["In-Reply-To"] == f"<{first_id}>"]
        assert len(second) == 3 and second[0]["References"].endswith(f"<{first_id}>")
    finally:
        replies.configure("", "")


async def test_an_answer_says_what_staff_have_written_for_its_project_and_language(
    tmp_path: Path, database: str
) -> None:
    ticket, ann, _bob = await a_ticket(language="de-AT")
    async with db.unit() as session:
        project_id = (await session.get_one(Customer, ticket.customer_id)).project_id
        await make.create_template(
            session, kind=MailKind.TICKET_ANSWERED, project_id=project_id,
            texts={"de": ("Zu {{ ticket.number }}: {{ ticket.subject }}", "Hallo {{ user.name }} {{ ticket.answer }}")},
        )  # fmt: skip
    await say(ticket, ann, "<b>1</b> & 2")
    await run_mails(resources(tmp_path, database))
    [message] = outbox(tmp_path)
    assert message["Subject"] == f"Zu {ticket.id}: Down"
    assert message.get_body(("plain",)).get_content().split() == ["Hallo", "Acme", "<b>1</b>", "&", "2"]  # type: ignore[union-attr]
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert 'lang="de"' in html and "&lt;b&gt;1&lt;/b&gt; &amp; 2" in html


async def test_notes_and_closed_customers_get_no_mail_and_without_an_address_no_reply_to(
    tmp_path: Path, database: str
) -> None:
    ticket, ann, _bob = await a_ticket()
    await say(ticket, ann, "Only us.", internal=True)
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Job)) == 0
    await say(ticket, ann)
    await run_mails(resources(tmp_path, database))
    [message] = outbox(tmp_path)
    assert message["Reply-To"] is None and message["X-Loop"] is None and message["In-Reply-To"] is None


async def test_the_answer_to_a_campaign_hangs_on_its_mail(tmp_path: Path, database: str) -> None:
    async with db.unit() as session:
        project = await make.create_project(session, sender_email="desk@nordhost.example")
        customer = await make.create_customer(session, project=project, email="a@b.example")
        campaign = await make.create_campaign(session)
        await make.create_delivery(
            session, campaign=campaign, customer=customer, channel="email", address="a@b.example", state="sent",
            message_id="c7.x",
        )  # fmt: skip
        ticket = await make.create_ticket(session, customer=customer, campaign_id=campaign.id)
        ann = await make.create_staff(session)
    await say(ticket, ann.id)
    await run_mails(resources(tmp_path, database))
    [message] = outbox(tmp_path)
    assert message["References"] == message["In-Reply-To"] == "<c7.x@nordhost.example>"


async def notes(ticket: Ticket) -> list[str]:
    async with db.reads() as session:
        found = select(TicketMessage.text).where(TicketMessage.ticket_id == ticket.id, TicketMessage.internal)
        return list(await session.scalars(found.order_by(TicketMessage.id)))


@pytest.mark.parametrize("trouble", [Rejected("no such user", code=550), Unsure("silence")])
async def test_what_does_not_arrive_is_told_in_the_ticket_and_not_sent_again(
    tmp_path: Path, database: str, trouble: Exception
) -> None:
    ticket, ann, _bob = await a_ticket()
    await say(ticket, ann)
    server = Answering(trouble)
    parts = resources(tmp_path, database, server)
    await run_mails(parts)
    await run_mails(parts)
    assert len(server.mails) == 1
    [note] = await notes(ticket)
    assert "office@acme.example" in note


async def test_a_mail_that_is_put_off_goes_out_later_as_the_same_mail(tmp_path: Path, database: str) -> None:
    ticket, ann, _bob = await a_ticket()
    await say(ticket, ann)
    server = Answering(Deferred("busy", code=451))
    parts = resources(tmp_path, database, server)
    await run_mails(parts)
    async with db.unit() as session:
        await session.execute(update(Job).values(due_at=moment(-1)).execution_options(synchronize_session=False))
    await run_mails(parts)
    ids = {email.message_from_bytes(m)["Message-ID"] for m in server.mails}
    assert len(server.mails) == 2 and len(ids) == 1 and await notes(ticket) == []


async def test_a_worker_that_dies_while_it_sends_leaves_no_second_mail(tmp_path: Path, database: str) -> None:
    ticket, ann, _bob = await a_ticket()
    await say(ticket, ann)
    async with db.unit() as session:  # as it lies there after a kill right before or after the server's answer
        await session.execute(
            update(Job)
            .values(state=JobState.RUNNING, done=1, attempt=1, lease_token="gone", lease_until=moment(-1))
            .execution_options(synchronize_session=False)
        )
    server = Answering()
    await run_mails(resources(tmp_path, database, server))
    assert server.mails == [] and len(await notes(ticket)) == 1


async def test_an_address_that_is_no_longer_the_customers_gets_nothing(tmp_path: Path, database: str) -> None:
    ticket, ann, _bob = await a_ticket()
    message = await say(ticket, ann)
    async with db.reads() as session:
        assert await mailing.outgoing(session, message_id=message.id, address="office@acme.example") is not None
        assert await mailing.outgoing(session, message_id=message.id, address="eve@example.net") is None


async def test_a_suppressed_address_gets_no_answer_and_staff_are_told() -> None:
    ticket, ann, _bob = await a_ticket()
    async with db.unit() as session:
        await suppress(session, address="Office@acme.example", why=Why.STAFF)
    answer = await say(ticket, ann)
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Job).where(Job.name == "tickets.mail")) == 0
        told = await session.scalar(select(TicketMessage.text).where(TicketMessage.id > answer.id))
        assert told is not None and "office@acme.example" in told.lower()
        assert await mailing.outgoing(session, message_id=answer.id, address="office@acme.example") is None


async def test_files_too_large_for_a_mail_are_named(tmp_path: Path, database: str) -> None:
    ticket, ann, _bob = await a_ticket()
    async with db.unit() as session:
        big = await make.create_attachment(session, name="big.zip", size=mailing.MOST_ATTACHED + 1)
    message = await say(ticket, ann, attachment_ids=[big.id])
    await run_mails(resources(tmp_path, database))
    [sent] = outbox(tmp_path)
    assert "big.zip" in sent.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    async with db.reads() as session:
        assert await session.scalar(select(TicketAttachment.message_id)) == message.id
