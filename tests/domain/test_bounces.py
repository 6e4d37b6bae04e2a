"""Mails that come back, in the shapes in which mail servers write them, and in those of people who mean no good."""

from __future__ import annotations

import email
from datetime import timedelta
from email.message import Message

import pytest
from sqlalchemy import select, update

from app import db
from app.db import utcnow
from app.domain.messaging import bounces, headers
from app.models.consent import DeliveryEvent, EventKind, Suppression, Why
from app.models.customers import Customer
from app.models.messaging import Campaign, Delivery, DeliveryState
from tests import factories as make

ORIGINAL = """\
Received: from desk.example.com by mx.example.com; Sun, 22 Nov 2026 10:00:00 +0000
From: "Brand" <news@brand.example>
To: "Ada" <{address}>
Subject: =?utf-8?b?w4RuZGVydW5n?=
Message-ID: <c7.abcdef0123.12.e@brand.example>
{reference}
Auto-Submitted: auto-generated
"""

POSTFIX = """\
Return-Path: <>
Date: Sun, 22 Nov 2026 10:00:02 +0000 (UTC)
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: news@brand.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4Zk1B.1700000000/mx.example.com"
Message-Id: <20261122100002.4Zk1B@mx.example.com>

This is a MIME-encapsulated message.

--4Zk1B.1700000000/mx.example.com
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.com.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<{address}>: host mail.example.org[192.0.2.25] said: {said} (in reply to RCPT TO command)

--4Zk1B.1700000000/mx.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
X-Postfix-Queue-ID: 4Zk1B
X-Postfix-Sender: rfc822; news@brand.example
Arrival-Date: Sun, 22 Nov 2026 10:00:00 +0000 (UTC)

Final-Recipient: rfc822; {address}
Original-Recipient: rfc822;{address}
Action: {action}
Status: {status}
Remote-MTA: dns; mail.example.org
Diagnostic-Code: smtp; {said}

--4Zk1B.1700000000/mx.example.com
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

{original}
--4Zk1B.1700000000/mx.example.com--
"""

EXIM = """\
Return-path: <>
From: Mail Delivery System <Mailer-Daemon@mx.example.com>
To: news@brand.example
X-Failed-Recipients: {address}
Auto-Submitted: auto-replied
References: <c7.abcdef0123.12.e@brand.example>
Content-Type: multipart/report; report-type=delivery-status; boundary=1700000000-eximdsn-804289383
MIME-Version: 1.0
Subject: Mail delivery failed: returning message to sender
Message-Id: <E1abcde-000000-00@mx.example.com>

--1700000000-eximdsn-804289383
Content-type: text/plain; charset=us-ascii

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {address}
    host mail.example.org [192.0.2.25]
    SMTP error from remote mail server after RCPT TO:<{address}>:
    {said}

--1700000000-eximdsn-804289383
Content-type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Action: {action}
Final-Recipient: rfc822;{address}
Status: {status}
Remote-MTA: dns; mail.example.org
Diagnostic-Code: smtp; {said}

--1700000000-eximdsn-804289383
Content-type: message/rfc822

{original}
The body.

--1700000000-eximdsn-804289383--
"""

OLD_EXIM = """\
Return-path: <>
From: Mail Delivery System <Mailer-Daemon@mx.example.com>
To: news@brand.example
X-Failed-Recipients: {address}
Auto-Submitted: auto-replied
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {address}
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

{original}

The body.
"""

EXCHANGE = """\
MIME-Version: 1.0
From: <postmaster@tenant.example.com>
To: <news@brand.example>
Date: Sun, 22 Nov 2026 10:00:05 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="b6f1d3aa-0000-4000-8000-000000000000"
Content-Language: de-DE
Message-ID: <aa11@AM0PR01MB0000.eurprd01.prod.example.com>
In-Reply-To: <c7.abcdef0123.12.e@brand.example>
Subject: =?utf-8?B?VW56dXN0ZWxsYmFyOiDDhG5kZXJ1bmc=?=
Auto-Submitted: auto-replied

--b6f1d3aa-0000-4000-8000-000000000000
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary="c2d0ffbb-0000-4000-8000-000000000001"

--c2d0ffbb-0000-4000-8000-000000000001
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

Ihre Nachricht an {address} konnte nicht zugestellt werden.=0D=0A
--c2d0ffbb-0000-4000-8000-000000000001
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: base64

PHA+SWhyZSBOYWNocmljaHQ8L3A+

--c2d0ffbb-0000-4000-8000-000000000001--

--b6f1d3aa-0000-4000-8000-000000000000
Content-Type: message/delivery-status

Reporting-MTA: dns;AM0PR01MB0000.eurprd01.prod.example.com
Received-From-MTA: dns;desk.example.com
Arrival-Date: Sun, 22 Nov 2026 10:00:03 +0000

Final-Recipient: rfc822;{address}
Action: {action}
Status: {status}
Diagnostic-Code: smtp;{said}

--b6f1d3aa-0000-4000-8000-000000000000
Content-Type: message/rfc822

{original}
Content-Type: text/plain

The body.

--b6f1d3aa-0000-4000-8000-000000000000--
"""

GMAIL = """\
Return-Path: <>
Received: by 2002:a05:0000:000:b0:000:0000:0000 with SMTP id x; Sun, 22 Nov 2026 02:00:04 -0800 (PST)
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: news@brand.example
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
References: <c7.abcdef0123.12.e@brand.example>
In-Reply-To: <c7.abcdef0123.12.e@brand.example>
X-Failed-Recipients: {address}
Message-ID: <0000000000.mailer-daemon@google.com>
Content-Type: multipart/report; boundary="000000000000000000000000"; report-type=delivery-status

--000000000000000000000000
Content-Type: multipart/related; boundary="000000000000000000000001"

--000000000000000000000001
Content-Type: multipart/alternative; boundary="000000000000000000000002"

--000000000000000000000002
Content-Type: text/plain; charset="UTF-8"

** Address not found **

Your message wasn't delivered to {address}.

--000000000000000000000002--

--000000000000000000000001--

--000000000000000000000000
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Received-From-MTA: dns; news@brand.example
Arrival-Date: Sun, 22 Nov 2026 02:00:03 -0800 (PST)
X-Original-Message-ID: <c7.abcdef0123.12.e@brand.example>

Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Remote-MTA: dns; mail.example.org. (192.0.2.25, the server for the domain example.org.)
Diagnostic-Code: smtp; {said}
Last-Attempt-Date: Sun, 22 Nov 2026 02:00:04 -0800 (PST)

--000000000000000000000000
Content-Type: message/rfc822

{original}

----- Message truncated -----

--000000000000000000000000--
"""

SHAPES = {"postfix": POSTFIX, "exim": EXIM, "old exim": OLD_EXIM, "exchange": EXCHANGE, "gmail": GMAIL}
UNKNOWN = "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown in virtual mailbox table"
MESSAGE = "c7.abcdef0123.12.e"


def parsed(text: str) -> Message:
    return email.message_from_bytes(text.replace("\n", "\r\n").encode())


def bounce(
    shape: str = "postfix",
    *,
    address: str = "ada@example.org",
    status: str = "5.1.1",
    action: str = "failed",
    said: str = UNKNOWN,
    message_id: str = MESSAGE,
    reference: str | None = None,
    unsubscribe: bool = False,
) -> Message:
    """A bounce of one of our mails."""  # fmt: skip
    token = headers.token_of(message_id)
    if reference is None:
        link = f"List-Unsubscribe: <https://desk.example.com/unsubscribe/{token}>"
        reference = link if unsubscribe else f"X-Delivery-Ref: {token}"
    original = ORIGINAL.format(address=address, reference=reference).rstrip()
    return parsed(SHAPES[shape].format(address=address, status=status, action=action, said=said, original=original))


@pytest.fixture
async def ada(database: str) -> Customer:
    async with db.unit() as session:
        await make.create_project(session)
        customer = await make.create_customer(session, name="Ada", email="Ada@example.org")
        campaign = await make.create_campaign(session)
    await sent(campaign, customer)
    return customer


async def sent(campaign: Campaign, customer: Customer, message_id: str = MESSAGE) -> None:
    async with db.unit() as session:
        await make.create_delivery(
            session, campaign=campaign, customer=customer, channel="email", address=customer.email,
            message_id=message_id, state="sent", sent_at=utcnow(),
        )  # fmt: skip


async def take(message: Message) -> bool:
    async with db.unit() as session:
        return await bounces.take_bounce(session, message)


async def outcome(message_id: str = MESSAGE) -> tuple[DeliveryState, str, list[tuple[str, Why]]]:
    """State and reason of the delivery, and what is suppressed."""
    async with db.reads() as session:
        row = (await session.scalars(select(Delivery).where(Delivery.message_id == message_id))).one()
        gone = await session.execute(select(Suppression.address, Suppression.why))
        return row.state, row.error, [(address, why) for address, why in gone]


@pytest.mark.parametrize("unsubscribe", [False, True], ids=["service", "list"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_an_address_that_does_not_exist_is_suppressed_at_once(
    ada: Customer, shape: str, unsubscribe: bool
) -> None:
    assert await take(bounce(shape, unsubscribe=unsubscribe))
    state, reason, suppressed = await outcome()
    assert state is DeliveryState.FAILED and suppressed == [("ada@example.org", Why.HARD)]
    assert ("Unrouteable address" if shape == "old exim" else "User unknown") in reason
    assert await take(bounce(shape, unsubscribe=unsubscribe)), "the same again changes nothing"
    assert await outcome() == (state, reason, suppressed)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
        ("5.0.0", "550 5.1.1 The email account that you tried to reach does not exist."),
        ("5.0.0", "550 No such user here"),
        ("5.4.4", "Host or domain name not found. Name service error for name=example.org type=A: Host not found"),
        ("5.1.2", "unrouteable mail domain"),
        ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled."),
        ("5.0.0", ""),
    ],
)
async def test_gone_for_good(ada: Customer, status: str, said: str) -> None:
    assert await take(bounce(status=status, said=said))
    assert (await outcome())[2] == [("ada@example.org", Why.HARD)]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("4.4.1", "connect to mail.example.org[192.0.2.25]:25: Connection timed out"),
        ("5.2.2", "552 5.2.2 Mailbox full"),
        ("5.0.0", "552 mailbox over quota"),
        ("5.7.1", "550 5.7.1 Message rejected as spam"),
        ("5.0.0", "554 blocked by our policy, see https://example.org/"),
        ("5.7.26", "550-5.7.26 This mail has been blocked because the sender is unauthenticated."),
        ("5.3.4", "552 5.3.4 Message size exceeds fixed limit"),
    ],
)
async def test_not_this_time(ada: Customer, status: str, said: str) -> None:
    assert await take(bounce(status=status, said=said))
    state, reason, suppressed = await outcome()
    assert state is DeliveryState.FAILED and said[:40] in reason and suppressed == []


async def test_who_refuses_again_and_again_is_suppressed_too(ada: Customer) -> None:
    for n in range(bounces.SOFT_MOST):
        async with db.unit() as session:
            campaign = await make.create_campaign(session)
        await sent(campaign, ada, f"c{n}.aa.1.e")
        if n == 0:  # long ago
            assert await take(bounce(status="5.2.2", said="full", message_id="c0.aa.1.e"))
            async with db.unit() as session:
                await session.execute(update(DeliveryEvent).values(last_at=utcnow() - timedelta(days=40)))
        else:
            assert await take(bounce(status="5.2.2", said="full", message_id=f"c{n}.aa.1.e"))
    assert (await outcome())[2] == [], "one of five was too long ago"
    assert await take(bounce(status="5.2.2", said="full"))
    assert (await outcome())[2] == [("ada@example.org", Why.SOFT)]


async def test_a_delay_or_a_success_changes_nothing(ada: Customer) -> None:
    for action, status in (("delayed", "4.4.7"), ("relayed", "2.0.0"), ("delivered", "2.1.5"), ("expanded", "2.0.0")):
        assert await take(bounce(action=action, status=status))
    assert await outcome() == (DeliveryState.SENT, "", [])


async def test_a_forwarding_that_leads_nowhere_does_not_cost_the_address(ada: Customer) -> None:
    message = bounce(address="ada.old@elsewhere.example", said="550 5.1.1 user unknown")
    assert await take(message)
    state, _reason, suppressed = await outcome()
    assert state is DeliveryState.FAILED and suppressed == []
    async with db.reads() as session:
        assert (await session.scalars(select(DeliveryEvent.kind))).all() == [EventKind.SOFT_BOUNCE]


# ---- who means no good ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        "X-Other: 1",
        "X-Delivery-Ref: c7.abcdef0123.12.e",
        "X-Delivery-Ref: c7.abcdef0123.12.e." + "A" * 22,
        "List-Unsubscribe: <https://desk.example.com/unsubscribe/c7.abcdef0123.12.e.AAAAAAAAAAAAAAAAAAAAAA>",
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_nobody_has_an_address_suppressed_by_writing_a_bounce(ada: Customer, shape: str, reference: str) -> None:
    assert not await take(bounce(shape, reference=reference))
    assert await outcome() == (DeliveryState.SENT, "", [])


async def test_the_reference_of_ones_own_mail_does_not_serve_for_another(ada: Customer) -> None:
    """Whoever got a mail has one token; it stands for their own message only."""
    async with db.unit() as session:
        campaign = await make.create_campaign(session)
        eve = await make.create_customer(session, email="eve@example.org")
    await sent(campaign, eve, "c7.abcdef0123.13.e")
    token = headers.token_of("c7.abcdef0123.13.e")
    assert await take(bounce(address="ada@example.org", reference=f"X-Delivery-Ref: {token}"))
    assert await outcome() == (DeliveryState.SENT, "", [])
    swapped = token.replace(".13.", ".12.")
    assert not await take(bounce(reference=f"X-Delivery-Ref: {swapped}"))


async def test_other_mail_is_not_taken(ada: Customer) -> None:
    answer = f"From: ada@example.org\nTo: news@brand.example\n\nX-Delivery-Ref: {headers.token_of(MESSAGE)}\n"
    assert not await take(parsed(answer))
    assert not await take(parsed("Subject: Out of office\nAuto-Submitted: auto-replied\n\nBack on Monday.\n"))
    unknown = bounce(message_id="c999.abcdef0123.1.e")
    assert not await take(unknown)
    assert await outcome() == (DeliveryState.SENT, "", [])


async def test_broken_reports_break_nothing(ada: Customer) -> None:
    whole = bounce().as_bytes()
    for cut in range(0, len(whole), 97):
        mangled = email.message_from_bytes(whole[:cut] + b"\xff\x00" + whole[cut + 40 :])
        await take(mangled)
    empty = parsed("Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n"
                   "Content-Type: message/delivery-status\n\n\n--x--\n")  # fmt: skip
    assert not await take(empty)
