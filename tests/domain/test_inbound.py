"""Mail that comes in is taken once and lands where it belongs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import db
from app.domain import inbound
from app.domain.messaging import headers as marks
from app.domain.messaging import replies
from app.errors import Conflict, Invalid
from app.integrations.mail.reading import Incoming, peek
from app.integrations.storage import DirectoryStorage
from app.models.attachments import Attachment
from app.models.consent import Suppression
from app.models.customers import Customer
from app.models.inbound import InboundMail, InboundState
from app.models.jobs import Job
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketMessage, TicketStatus
from app.models.users import User
from app.observe import Actor, Kind, acting
from tests import factories as make

pytestmark = pytest.mark.usefixtures("database", "redis")


class Desk:
    """A customer with a user, another customer, and a way to let mail come in."""

    def __init__(self, storage: DirectoryStorage) -> None:
        self.storage = storage
        self.customer: Customer
        self.user: User
        self.other: Customer
        self.staff: Staff

    async def take(self, raw: bytes) -> int | None:
        stored = await self.storage.save(raw)
        async with db.unit() as session:
            mail = await inbound.take(session, seen=peek(raw), key=stored.key, size=len(raw), source="test")
            return mail.id if mail is not None else None

    async def sort(self, mail_id: int, most_bytes: int = 1000) -> InboundMail:
        async with db.reads() as session:
            mail = await session.get_one(InboundMail, mail_id)
        letter = Incoming(await self.storage.read(mail.key))
        async with db.unit() as session:
            await inbound.sort(session, mail_id=mail_id, letter=letter, storage=self.storage, most_bytes=most_bytes)
        async with db.reads() as session:
            return await session.get_one(InboundMail, mail_id)

    async def comes(self, raw: bytes, most_bytes: int = 1000) -> InboundMail:
        mail_id = await self.take(raw)
        assert mail_id is not None
        return await self.sort(mail_id, most_bytes)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    replies.configure("k" * 40, "desk@example.com")
    made = Desk(DirectoryStorage(tmp_path / "attachments"))
    async with db.unit() as session:
        made.customer = await make.create_customer(session, name="Acme", email="Office@acme.example")
        made.user = await make.create_user(session, customer=made.customer, email="ada@acme.example")
        made.other = await make.create_customer(session, name="Other", email="other@example.org")
        made.staff = await make.create_staff(session)
    yield made
    replies.configure("", "")


N = iter(range(10_000))


def mail(
    sender: str, text: str = "It is down.", *, to: str = "desk@example.com", subject: str = "Down", headers: str = ""
) -> bytes:
    own = f"Message-ID: <mail{next(N)}@client.example>\r\n" if "message-id:" not in headers.lower() else ""
    return f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n{own}{headers}\r\n{text}\r\n".encode()


async def talk(ticket_id: int | None) -> list[TicketMessage]:
    async with db.reads() as session:
        found = select(TicketMessage).where(TicketMessage.ticket_id == ticket_id).order_by(TicketMessage.id)
        return list((await session.scalars(found)).all())


async def count(model: type) -> int:
    async with db.reads() as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


# ---- taking ---------------------------------------------------------------------------------------------------------


async def test_the_same_mail_is_taken_once(desk: Desk) -> None:
    raw = mail("ada@acme.example")
    assert await desk.take(raw) is not None
    assert await desk.take(raw) is None
    assert await desk.take(b"Received: by another way\r\n" + raw) is None
    assert await count(InboundMail) == 1 and await count(Job) == 1


async def test_sorting_twice_does_it_once(desk: Desk) -> None:
    came = await desk.comes(mail("ada@acme.example"))
    await desk.sort(came.id)
    assert await count(Ticket) == 1 and len(await talk(came.ticket_id)) == 1


# ---- into a ticket --------------------------------------------------------------------------------------------------


async def test_a_mail_to_the_signed_address_is_the_customers_answer(desk: Desk) -> None:
    async with db.unit() as session:
        ticket = await make.create_ticket(session, customer=desk.customer, status=TicketStatus.CLOSED)
    to = replies.reply_address(ticket_id=ticket.id)
    came = await desk.comes(mail("Ada <ADA@acme.example>", "Thank you.\r\n\r\n> Try now.", to=f'"Desk" <{to}>'))
    assert (came.state, came.ticket_id, came.reason) == (InboundState.TAKEN, ticket.id, "")
    said = (await talk(ticket.id))[-1]
    assert (said.text, said.from_customer, said.user_id) == ("Thank you.\n\n> Try now.", True, desk.user.id)
    assert said.staff_id is None and said.email_id == came.message_id
    async with db.reads() as session:
        assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.OPEN


async def test_a_stranger_at_a_signed_address_becomes_a_note(desk: Desk) -> None:
    async with db.unit() as session:
        ticket = await make.create_ticket(session, customer=desk.customer, status=TicketStatus.ANSWERED)
    to = replies.reply_address(ticket_id=ticket.id)
    for sender in ("other@example.org", '"office@acme.example" <eve@example.net>', "a@acme.example, ada@acme.example"):
        came = await desk.comes(mail(sender, "Send me the password.", to=to))
        assert came.state is InboundState.TAKEN and "not known" in came.reason
        note = (await talk(ticket.id))[-1]
        assert note.internal and not note.from_customer and note.sender and note.user_id is None
    async with db.reads() as session:
        assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.OPEN, "somebody has to look"


async def test_a_sender_whom_our_own_server_does_not_believe_is_a_stranger(desk: Desk) -> None:
    failed = "Authentication-Results: mx.example.com; spf=fail; dmarc=fail\r\n"
    came = await desk.comes(mail("ada@acme.example", headers=failed))
    assert came.state is InboundState.ASIDE and came.customer_id == desk.customer.id
    async with db.unit() as session:
        ticket = await make.create_ticket(session, customer=desk.customer)
    await desk.comes(mail("ada@acme.example", to=replies.reply_address(ticket_id=ticket.id), headers=failed))
    assert (await talk(ticket.id))[-1].internal


async def test_in_reply_to_finds_the_ticket_when_the_address_does_not(desk: Desk) -> None:
    async with db.unit() as session:
        ticket = await make.create_ticket(session, customer=desk.customer)
        session.add(TicketMessage(ticket_id=ticket.id, from_customer=False, text="Hm", email_id="ticket.1@example.com"))
    came = await desk.comes(mail("office@acme.example", headers="In-Reply-To: <ticket.1@example.com>\r\n"))
    assert came.ticket_id == ticket.id and (await talk(ticket.id))[-1].from_customer
    came = await desk.comes(mail("office@acme.example", headers="References: <x@y> <ticket.1@example.com>\r\n"))
    assert came.ticket_id == ticket.id
    came = await desk.comes(mail("other@example.org", headers="In-Reply-To: <ticket.1@example.com>\r\n"))
    assert came.ticket_id == ticket.id and (await talk(ticket.id))[-1].internal, "whoever it is, it is not the customer"


async def test_a_reply_to_a_campaign_makes_a_ticket_for_its_sender(desk: Desk) -> None:
    async with db.unit() as session:
        campaign = await make.create_campaign(session, staff_id=desk.staff.id, assign_replies=True)
        sent = await make.create_delivery(
            session, campaign=campaign, customer=desk.customer, channel="email", address="office@acme.example",
            state="leased", message_id="c1.abc",
        )  # fmt: skip
    to = replies.reply_address(campaign_id=campaign.id, customer_id=desk.customer.id)
    came = await desk.comes(mail("office@acme.example", "A question.", to=to))
    async with db.reads() as session:
        ticket = await session.get_one(Ticket, came.ticket_id)
    assert (ticket.assigned_id, ticket.campaign_id, ticket.customer_id) == (
        desk.staff.id,
        campaign.id,
        desk.customer.id,
    )
    again = await desk.comes(mail("ada@acme.example", headers=f"In-Reply-To: <{sent.message_id}@example.com>\r\n"))
    assert again.ticket_id == ticket.id, "the second answer goes into the same ticket"
    stranger = await desk.comes(mail("other@example.org", to=to))
    assert stranger.state is InboundState.ASIDE and await count(Ticket) == 1


async def test_a_known_sender_without_more_asks_something_new(desk: Desk) -> None:
    came = await desk.comes(mail("ada@acme.example", subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?="))
    async with db.reads() as session:
        ticket = await session.get_one(Ticket, came.ticket_id)
    assert (ticket.subject, ticket.customer_id) == ("Grüße", desk.customer.id)
    came = await desk.comes(mail("ada@acme.example", subject=""))
    async with db.reads() as session:
        assert (await session.get_one(Ticket, came.ticket_id)).subject == "(no subject)"


async def test_who_is_known_nowhere_or_twice_waits_for_staff(desk: Desk) -> None:
    assert (await desk.comes(mail("nobody@example.net"))).state is InboundState.ASIDE
    async with db.unit() as session:
        twin = await make.create_customer(session, email="office@acme.example")
    came = await desk.comes(mail("office@acme.example"))
    assert came.state is InboundState.ASIDE and "Several" in came.reason and came.customer_id is None
    async with db.unit() as session:
        row = await session.get_one(Customer, twin.id)
        row.status = "closed"
    assert (await desk.comes(mail("office@acme.example"))).state is InboundState.TAKEN, "closed ones do not count"


# ---- programs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["Auto-Submitted: auto-replied", "Auto-Submitted: auto-generated; x=y", "Precedence: bulk", "Precedence: list",
     "List-Id: <news.example.org>", "X-Autoreply: yes", "Return-Path: <>"],
)  # fmt: skip
async def test_programs_open_and_change_nothing(desk: Desk, header: str) -> None:
    async with db.unit() as session:
        ticket = await make.create_ticket(session, customer=desk.customer, status=TicketStatus.ANSWERED)
    to = replies.reply_address(ticket_id=ticket.id)
    came = await desk.comes(mail("ada@acme.example", "I am away.", to=to, headers=f"{header}\r\n"))
    assert came.state is InboundState.IGNORED and came.reason
    assert len(await talk(ticket.id)) == 1
    async with db.reads() as session:
        assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.ANSWERED


async def test_auto_submitted_no_is_a_person(desk: Desk) -> None:
    assert (await desk.comes(mail("ada@acme.example", headers="Auto-Submitted: no\r\n"))).state is InboundState.TAKEN


async def test_our_own_mails_that_come_back_are_no_news(desk: Desk) -> None:
    async with db.unit() as session:
        ticket = await make.create_ticket(session, customer=desk.customer)
        session.add(TicketMessage(ticket_id=ticket.id, from_customer=False, text="Hm", email_id="ticket.9@example.com"))
        campaign = await make.create_campaign(session)
        await make.create_delivery(session, campaign=campaign, customer=desk.customer, message_id="c9.abc")
        project = await make.create_project(session, sender_email="desk9@acme.example")
    for raw in (
        mail("ada@acme.example", headers="X-Loop: desk@example.com\r\n"),
        mail("ada@acme.example", headers="Message-ID: <ticket.9@example.com>\r\n"),
        mail("ada@acme.example", headers="Message-ID: <c9.abc@example.com>\r\n"),
        mail(project.sender_email),
        mail("desk@example.com"),
    ):
        assert (await desk.comes(raw)).state is InboundState.IGNORED
    assert await count(Ticket) == 1


async def test_bounces_are_handed_on_or_put_aside_and_never_become_tickets(desk: Desk) -> None:
    report = (
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
    )  # fmt: skip
    body = (
        "--b\r\nContent-Type: text/plain\r\n\r\nNo such user\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        "--b--"
    )
    came = await desk.comes(mail("mailer-daemon@example.net", body, headers=report))
    assert came.state is InboundState.ASIDE, "it is about nothing of ours"
    old = await desk.comes(mail("MAILER-DAEMON@example.net", "could not deliver", headers="Return-Path: <>\r\n"))
    assert old.state is InboundState.ASIDE
    assert await count(Ticket) == 0


async def test_complaints_are_handed_on_or_put_aside_and_never_become_tickets(desk: Desk) -> None:
    async with db.unit() as session:
        campaign = await make.create_campaign(session)
        await make.create_delivery(
            session, campaign=campaign, customer=desk.customer, channel="email", address="ada@acme.example",
            message_id="c9.abc", state="sent",
        )  # fmt: skip
    report = "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n"
    body = (
        "--b\r\nContent-Type: text/plain\r\n\r\nSpam\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
        "Feedback-Type: abuse\r\nVersion: 1\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        "X-Delivery-Ref: {}\r\n\r\n--b--"
    )
    came = await desk.comes(mail("fbl@mailbox.example", body.format("c9.abc.nonsense"), headers=report))
    assert came.state is InboundState.ASIDE and await count(Suppression) == 0
    known = body.format(marks.token_of("c9.abc"))
    came = await desk.comes(mail("fbl@mailbox.example", known, headers=report))
    assert came.state is InboundState.BOUNCE and came.customer_id == desk.customer.id
    assert await count(Suppression) == 1 and await count(Ticket) == 0


async def test_a_report_with_a_header_of_a_megabyte_is_sorted_at_once(desk: Desk) -> None:
    head = "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
    said = "550 5.1.1 (a <b@c.example>); =?utf-8?q?x?= " * 25_000
    body = (
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
        f"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nDiagnostic-Code: smtp; {said}\r\n\r\n--b--"
    )
    mail_id = await desk.take(mail("mailer-daemon@example.net", body, headers=head))
    assert mail_id is not None
    begin = time.thread_time()
    came = await desk.sort(mail_id)
    assert time.thread_time() - begin < 1
    assert came.state is InboundState.ASIDE


async def test_a_sender_who_does_not_stop_is_put_aside(desk: Desk) -> None:
    states = [(await desk.comes(mail("ada@acme.example", f"Again {n}"))).state for n in range(22)]
    assert states == [InboundState.TAKEN] * 20 + [InboundState.ASIDE] * 2


# ---- content --------------------------------------------------------------------------------------------------------


async def test_files_come_along_within_limits_and_what_stays_behind_is_told(desk: Desk) -> None:
    parts = "".join(
        f'--b\r\nContent-Type: application/pdf; name="f{n}.pdf"\r\nContent-Disposition: attachment\r\n\r\n{body}\r\n'
        for n, body in enumerate(["x" * 10, "y" * 2000])
    )
    body = f"--b\r\nContent-Type: text/plain\r\n\r\nSee files\r\n{parts}--b--"
    came = await desk.comes(
        mail("ada@acme.example", body, headers="MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n")
    )
    said, note = await talk(came.ticket_id)
    assert said.text == "See files" and note.internal and "f1.pdf" in note.text
    async with db.reads() as session:
        [file] = await session.scalars(select(Attachment))
    assert (file.name, file.size, file.customer_id) == ("f0.pdf", 10, desk.customer.id)


async def test_a_very_long_mail_is_shortened_and_says_so(desk: Desk) -> None:
    came = await desk.comes(mail("ada@acme.example", "word " * 10_000))
    [said] = await talk(came.ticket_id)
    assert len(said.text) <= 20_000 and said.text.endswith("(The mail is longer; its original is kept.)")


async def test_hostile_mails_never_break_the_sorting(desk: Desk) -> None:
    for raw in (
        mail("ada@acme.example", "a\0b", subject="x\0y"),
        mail("ada@acme.example", subject="=?utf-8?b?SGkNCkJjYzogYWxs?="),
        b"From: ada@acme.example\r\nSubject: \xff\xfe\xf0\r\nContent-Type: text/plain; charset=\xff\r\n\r\n\xff\xfe",
        b"From: ada@acme.example\r\nContent-Type: multipart/mixed\r\n\r\nno boundary",
        b"From: ada@acme.example\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"From: ada@acme.example\r\nReferences: " + b"<a@b> " * 5000 + b"\r\n\r\nx",
    ):
        came = await desk.comes(raw)
        assert came.state is InboundState.TAKEN, (raw[:60], came.reason)
        [said] = await talk(came.ticket_id)
        assert "\0" not in said.text


# ---- what staff decide ----------------------------------------------------------------------------------------------


async def test_staff_make_a_ticket_of_a_mail_that_was_put_aside(desk: Desk) -> None:
    came = await desk.comes(mail("nobody@example.net", "Who am I?"))
    letter = Incoming(await desk.storage.read(came.key))

    async def give(customer_id: int) -> Ticket:
        async with db.unit() as session:
            return await inbound.give_to(
                session, mail_id=came.id, customer_id=customer_id, letter=letter, storage=desk.storage, most_bytes=1000
            )

    with acting(Actor(Kind.STAFF, staff_id=desk.staff.id)):
        with pytest.raises(Invalid):
            await give(4711)
        ticket = await give(desk.other.id)
        with pytest.raises(Conflict):
            await give(desk.other.id)
        with pytest.raises(Conflict):
            async with db.unit() as session:
                await inbound.drop(session, mail_id=came.id)
    [said] = await talk(ticket.id)
    assert (said.text, said.sender, said.staff_id, said.from_customer) == (
        "Who am I?",
        "nobody@example.net",
        None,
        True,
    )


async def test_a_dropped_mail_can_be_sorted_again_once_its_sender_is_known(desk: Desk) -> None:
    came = await desk.comes(mail("new@example.net"))
    async with db.unit() as session:
        await inbound.drop(session, mail_id=came.id)
        await make.create_customer(session, email="new@example.net")
    async with db.unit() as session:
        await inbound.sort_again(session, mail_id=came.id)
    assert (await desk.sort(came.id)).state is InboundState.TAKEN
