"""What follows from a report about a single mail or an answer, and from a complaint."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app import db
from app.domain import returned
from app.domain.messaging import headers
from app.domain.returned import Returned
from app.models.consent import DeliveryEvent, EventKind, How, Subscription, Suppression, Why
from app.models.jobs import Job
from app.models.tickets import Ticket, TicketMessage, TicketStatus
from app.queue import enqueue
from tests import factories as make
from tests.domain.test_bounces import SHAPES, bounce, parsed

pytestmark = pytest.mark.usefixtures("database", "redis")

COMPLAINT = """\
From: <feedback@mailbox.example>
Subject: FW: Hello
To: <news@brand.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1"

--part1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--part1
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: <ada@example.org>

--part1
Content-Type: message/rfc822
Content-Disposition: inline

From: <news@brand.example>
To: <redacted@mailbox.example>
Subject: Hello
X-Delivery-Ref: {token}

Spam.
--part1--
"""


def complaint(reference: str, kind: str = "abuse", *, token: str = "") -> Any:
    return parsed(COMPLAINT.format(kind=kind, token=token or headers.token_of(reference)))


async def suppressed() -> list[tuple[str, Why]]:
    async with db.reads() as session:
        return [(s.address, s.why) for s in await session.scalars(select(Suppression))]


async def an_answer() -> tuple[Ticket, Job]:
    """A ticket whose answer went to ada@example.org by the mail of this job."""
    async with db.unit() as session:
        customer = await make.create_customer(session, email="ada@example.org")
        ticket = await make.create_ticket(session, customer=customer, status=TicketStatus.ANSWERED)
        message = TicketMessage(ticket_id=ticket.id, from_customer=False, text="Try now.", email_id="t@desk.example")
        session.add(message)
        await session.flush()
        job = await enqueue(session, "tickets.mail", message_id=message.id, address="ada@example.org")
    return ticket, job


async def bounced(message: Any) -> Returned | None:
    async with db.unit() as session:
        return await returned.take_bounce(session, message)


async def complained(message: Any) -> Returned | None:
    async with db.unit() as session:
        return await returned.take_complaint(session, message)


async def notes(ticket: Ticket) -> list[str]:
    async with db.reads() as session:
        found = select(TicketMessage.text).where(TicketMessage.ticket_id == ticket.id, TicketMessage.internal)
        return list(await session.scalars(found))


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_that_comes_back_is_told_in_the_ticket_and_opens_it(shape: str) -> None:
    ticket, job = await an_answer()
    for _again in range(2):
        back = await bounced(bounce(shape, message_id=f"mail.{job.id}"))
        assert back is not None and back.ticket is not None and back.ticket.id == ticket.id
    [note] = await notes(ticket)
    assert "ada@example.org" in note and ("Unrouteable" if shape == "old exim" else "User unknown") in note
    assert await suppressed() == [("ada@example.org", Why.HARD)]
    async with db.reads() as session:
        assert (await session.get_one(Ticket, ticket.id)).status is TicketStatus.OPEN


async def test_a_full_mailbox_is_told_and_not_suppressed_and_a_delay_is_nothing() -> None:
    ticket, job = await an_answer()
    mail = f"mail.{job.id}"
    assert await bounced(bounce(message_id=mail, action="delayed", status="4.4.1", said="later")) == Returned()
    assert await notes(ticket) == []
    assert await bounced(bounce(message_id=mail, status="5.2.2", said="552 5.2.2 mailbox full")) is not None
    assert len(await notes(ticket)) == 1 and await suppressed() == []


async def test_a_single_mail_that_comes_back_is_told_at_its_customer() -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session, email="ada@example.org")
        job = await enqueue(session, "messaging.mail", to="ada@example.org", customer_id=customer.id)
    back = await bounced(bounce(message_id=f"mail.{job.id}"))
    assert back is not None and back.customer_id == customer.id and "User unknown" in back.reason
    async with db.reads() as session:
        assert "User unknown" in (await session.get_one(Job, job.id)).args["came_back"]
    assert await suppressed() == [("ada@example.org", Why.HARD)]


async def test_only_a_reference_of_ours_counts() -> None:
    ticket, job = await an_answer()
    assert await bounced(bounce(reference=f"X-Delivery-Ref: mail.{job.id}.{'A' * 22}")) is None
    assert await bounced(bounce(message_id="mail.4711")) is None
    assert await complained(complaint("", token=f"mail.{job.id}.{'A' * 22}")) is None
    async with db.unit() as session:
        other = await enqueue(session, "imports.check", import_id=1)
    assert await bounced(bounce(message_id=f"mail.{other.id}")) is None
    assert await notes(ticket) == [] and await suppressed() == []


@pytest.mark.parametrize("subscribable", [True, False])
async def test_a_complaint_ends_consent_and_suppresses(subscribable: bool) -> None:
    async with db.unit() as session:
        customer = await make.create_customer(session, email="Ada@example.org")
        category = await make.create_category(session, subscribable=subscribable, opt_in=False)
        campaign = await make.create_campaign(session, category=category)
        await make.create_delivery(
            session, campaign=campaign, customer=customer, channel="email", address="Ada@example.org",
            message_id="c7.x", state="sent",
        )  # fmt: skip
    assert await complained(complaint("c7.x", "not-spam")) == Returned()
    assert await suppressed() == []
    for _again in range(2):
        back = await complained(complaint("c7.x"))
        assert back is not None and back.customer_id == customer.id
    assert await suppressed() == [("ada@example.org", Why.COMPLAINT)]
    async with db.reads() as session:
        said = [(s.category_id, s.wanted, s.how) for s in await session.scalars(select(Subscription))]
        assert said == ([(category.id, False, How.COMPLAINT)] if subscribable else [])
        assert [e.kind for e in await session.scalars(select(DeliveryEvent))] == [EventKind.COMPLAINT]


async def test_a_complaint_about_an_answer_is_told_in_the_ticket() -> None:
    ticket, job = await an_answer()
    back = await complained(complaint(f"mail.{job.id}"))
    assert back is not None and back.ticket is not None and len(await notes(ticket)) == 1
    assert await suppressed() == [("ada@example.org", Why.COMPLAINT)]


async def test_what_is_no_complaint_is_left_alone() -> None:
    assert await complained(bounce(message_id="mail.1")) is None
