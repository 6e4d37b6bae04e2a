"""Mails that came back, and complaints about them (RFC 3464, RFC 5965): what follows for messages, single mails and
answers in tickets. Only what holds our signed reference counts."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import jobs, tickets
from app.domain.messaging import bounces, consent, tracking
from app.domain.messaging.suppression import suppress
from app.domain.tickets.mailing import not_sent
from app.errors import Conflict, NotFound
from app.i18n import _, gettext
from app.models.consent import EventKind, How, Why
from app.models.customers import Customer
from app.models.jobs import Job
from app.models.messaging import Channel
from app.models.tickets import Ticket, TicketMessage, TicketStatus

SINGLE = "mail."
"""How the reference of a mail begins that belongs to no campaign; behind it stands the id of its job."""
COMPLAINED = _("The recipient has complained about it as unwanted.")


@dataclass(frozen=True)
class Returned:
    """What a report was about, as far as it is known. reason: see `inbound.told`."""

    reason: str = ""
    ticket: Ticket | None = None
    customer_id: int | None = None


async def take_bounce(session: AsyncSession, message: Message) -> Returned | None:
    """Take in the report that a mail could not be delivered. None: it is no such report about a mail of ours."""
    reports = bounces.read(message)
    reference = bounces.reference(message) if reports is not None else None
    if reports is None or reference is None:
        return None
    if not reference.startswith(SINGLE):
        return Returned() if await bounces.take_bounce(session, message) else None
    job = await _job(session, reference)
    if job is None:
        return None
    address = str(job.args.get("to") or job.args["address"])
    report = bounces.about(reports, address)
    if report is None:  # delayed, relayed, delivered: nothing is lost
        return Returned()
    if report.hard:
        await suppress(session, address=address, why=Why.HARD, detail=report.reason)
    return await _tell(session, job, address, gettext("A single mail could not be delivered."), report.reason)


async def take_complaint(session: AsyncSession, message: Message) -> Returned | None:
    """Take in the report that a recipient calls a mail of ours unwanted: nothing is sent there any more, and consent
    ends. None: it is no such report about a mail of ours."""
    kind = bounces.complaint(message)
    reference = bounces.reference(message) if kind is not None else None
    if kind is None or reference is None:
        return None
    if kind == "not-spam":
        return Returned()
    if reference.startswith(SINGLE):
        job = await _job(session, reference)
        if job is None:
            return None
        address = str(job.args.get("to") or job.args["address"])
        await suppress(session, address=address, why=Why.COMPLAINT, detail=kind)
        return await _tell(session, job, address, str(COMPLAINED), kind)
    try:
        to = await consent.addressee(session, reference)
    except NotFound:
        return None
    detail = f"{kind}, campaign {to.campaign_id}"
    of = (to.campaign_id, to.customer.id)
    await tracking.note(session, kind=EventKind.COMPLAINT, message_id=reference, of=of, detail=kind)
    await suppress(session, address=to.address, why=Why.COMPLAINT, detail=detail)
    for user_id in to.same_address:
        try:
            await consent.choose(
                session, customer_id=to.customer.id, user_id=user_id, wanted={(to.category.id, Channel.EMAIL): False},
                how=How.COMPLAINT, note=detail,
            )  # fmt: skip
        except Conflict:  # what belongs to the service cannot be refused; the address gets nothing all the same
            break
    return Returned(f"{COMPLAINED!s}|{kind}", customer_id=to.customer.id)


async def _job(session: AsyncSession, reference: str) -> Job | None:
    number = reference.removeprefix(SINGLE)
    job = await session.get(Job, int(number)) if number.isdecimal() and len(number) < 19 else None
    return job if job is not None and job.name in ("messaging.mail", "tickets.mail") else None


async def _tell(session: AsyncSession, job: Job, address: str, sentence: str, detail: str) -> Returned:
    """Say what came back where staff see it: at the job, and in the ticket or at the customer."""
    await jobs.came_back(session, job=job, reason=f"{sentence} {detail}")
    if job.name == "tickets.mail":
        message_id = job.args["message_id"]
        ticket = await session.scalar(select(Ticket).join(TicketMessage).where(TicketMessage.id == message_id))
        if ticket is None:
            return Returned(f"{sentence}|{detail}")
        await not_sent(session, message_id=message_id, address=address, reason=detail)
        if ticket.status is TicketStatus.ANSWERED:  # nobody has read the answer
            tickets.move(ticket, TicketStatus.OPEN)
        return Returned(f"{sentence}|{detail}", ticket, ticket.customer_id)
    customer_id = await session.scalar(select(Customer.id).where(Customer.id == job.args.get("customer_id")))
    return Returned(f"{sentence}|{detail}", customer_id=customer_id)
