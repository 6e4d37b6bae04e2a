"""The one table by which mail is sorted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import func, select

from app.db import utcnow
from app.domain.config import modules
from app.domain.inbound.taking import Case, End, answer, customers_of, forged, new_ticket, who
from app.domain.messaging.replies import Answered, inbound_address, read_address
from app.domain.returned import take_bounce, take_complaint
from app.i18n import gettext
from app.models.inbound import InboundMail, InboundState
from app.models.messaging import Delivery
from app.models.projects import Project
from app.models.tickets import TicketMessage

MOST_AN_HOUR = 20
"""Mails of one sender that are taken within an hour; people do not write more, programs in a loop do."""
Rule = Callable[[Case], Awaitable[End | None]]


async def _own(case: Case) -> End | None:
    """A mail of ours that came back: answering would go on for ever."""
    letter, session = case.letter, case.session
    local = letter.message_id.partition("@")[0]
    ours = bool(inbound_address()) and any(v.lower() == inbound_address() for v in letter.values("x-loop"))
    if not ours and letter.message_id:
        sent = select(TicketMessage.id).where(
            TicketMessage.email_id == letter.message_id, TicketMessage.from_customer.is_(False),
            TicketMessage.internal.is_(False),
        )  # fmt: skip
        ours = await session.scalar(sent.limit(1)) is not None
    if not ours and local:
        ours = await session.scalar(select(Delivery.message_id).where(Delivery.message_id == local)) is not None
    if not ours and letter.sender:
        senders = await session.scalars(select(Project.sender_email))
        ours = letter.sender in {*(s.lower() for s in senders), inbound_address()}
    return End(InboundState.IGNORED, gettext("A mail of ours that came back.")) if ours else None


async def _bounce(case: Case) -> End | None:
    """A report that a mail could not be delivered (RFC 3464), or what old servers write instead."""
    letter = case.letter
    kind = letter.value("content-type").lower()
    report = "report-type" in kind and "delivery-status" in kind
    local = letter.sender.partition("@")[0]
    old = local == "mailer-daemon" or (local == "postmaster" and letter.value("return-path") == "<>")
    if not report and not old and all(p.get_content_type() != "message/delivery-status" for p in letter.parts):
        return None
    if (back := await take_bounce(case.session, letter.parsed)) is not None:
        return End(InboundState.BOUNCE, back.reason, back.ticket, back.customer_id)
    return End(InboundState.ASIDE, gettext("A bounce of which it is not known what it is about."))


async def _complaint(case: Case) -> End | None:
    """A report that a recipient calls a mail of ours unwanted (RFC 5965)."""
    kind = case.letter.value("content-type").lower()
    feedback = "report-type" in kind and "feedback-report" in kind
    if not feedback and all(p.get_content_type() != "message/feedback-report" for p in case.letter.parts):
        return None
    if (back := await take_complaint(case.session, case.letter.parsed)) is not None:
        return End(InboundState.BOUNCE, back.reason, back.ticket, back.customer_id)
    return End(InboundState.ASIDE, gettext("A complaint of which it is not known what it is about."))


AUTOMATIC = ("bulk", "junk", "list", "auto_reply")


async def _automatic(case: Case) -> End | None:
    """Written by a program (RFC 3834): it is answered by nobody and opens nothing."""
    letter = case.letter
    submitted = letter.value("auto-submitted").partition(";")[0].strip().lower()
    why = ""
    if submitted not in ("", "no"):
        why = f"Auto-Submitted: {submitted}"
    elif (precedence := letter.value("precedence").strip().lower()) in AUTOMATIC:
        why = f"Precedence: {precedence}"
    elif letter.values("list-id") or letter.values("list-unsubscribe"):
        why = "List-Id"
    elif letter.values("x-autoreply") or letter.values("x-autorespond"):
        why = "X-Autoreply"
    elif letter.value("return-path") == "<>":
        why = "Return-Path: <>"
    return End(InboundState.IGNORED, gettext("Written by a program.") + f"|{why[:200]}") if why else None


async def _too_many(case: Case) -> End | None:
    if not case.letter.sender:
        return None
    lately = select(InboundMail.id).where(
        InboundMail.sender == case.letter.sender, InboundMail.received_at > utcnow() - timedelta(hours=1),
        InboundMail.id <= case.mail.id,
    )  # fmt: skip
    n = await case.session.scalar(select(func.count()).select_from(lately.limit(MOST_AN_HOUR + 1).subquery())) or 0
    if n <= MOST_AN_HOUR:
        return None
    return End(InboundState.ASIDE, gettext("Too many mails of this sender in an hour."))


async def _no_tickets(case: Case) -> End | None:
    """Nobody reads tickets at present: people look at it here."""
    return None if modules.on("tickets") else End(InboundState.ASIDE, gettext("Tickets are switched off."))


async def _signed(case: Case) -> End | None:
    """It came to an address that we have made for answers."""
    for address in case.letter.recipients:
        if (answered := read_address(address)) is not None:
            return await answer(case, answered)
    return None


async def _threaded(case: Case) -> End | None:
    """It says that it answers a mail of ours, or one that is in a ticket."""
    refs = case.letter.refers_to
    if not refs:
        return None
    rows = await case.session.execute(
        select(TicketMessage.email_id, TicketMessage.ticket_id)
        .where(TicketMessage.email_id.in_(refs))
        .order_by(TicketMessage.from_customer.desc(), TicketMessage.id)  # of one name, what we have written counts
    )
    known: dict[str, int] = {}
    for email_id, ticket_id in rows:
        known[email_id] = ticket_id
    near = next((known[ref] for ref in refs if ref in known), None)
    if near is not None:
        return await answer(case, Answered(ticket_id=near))
    sent = await case.session.execute(
        select(Delivery.campaign_id, Delivery.customer_id).where(
            Delivery.message_id.in_([ref.partition("@")[0] for ref in refs])
        )
    )
    row = sent.first()
    return await answer(case, Answered(campaign_id=row[0], customer_id=row[1])) if row is not None else None


async def _known(case: Case) -> End | None:
    """A new question of somebody who is known at exactly one customer."""
    customers = await customers_of(case.session, case.letter.sender)
    if not customers:
        return End(InboundState.ASIDE, gettext("Nobody is known under this address."))
    if len(customers) > 1:
        return End(InboundState.ASIDE, gettext("Several customers are known under this address."))
    [customer_id] = customers
    if forged(case.letter):
        reason = gettext("The mail server says that the sender is not who they claim to be.")
        return End(InboundState.ASIDE, reason, customer_id=customer_id)
    user_id = (await who(case.session, customer_id, case.letter.sender))[1]
    return await new_ticket(case, customer_id, user_id)


RULES: tuple[Rule, ...] = (_own, _bounce, _complaint, _automatic, _too_many, _no_tickets, _signed, _threaded, _known)
"""How mail is sorted: the first rule that has an answer decides; the last always has one."""
