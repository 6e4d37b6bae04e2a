"""What a mail becomes: an answer, a note or a new ticket."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import fold
from app.domain import tickets
from app.domain.attachments import add_attachment
from app.domain.customers.merging import standing_for
from app.domain.messaging.replies import Answered
from app.domain.tickets import MAX_FILES, MAX_TEXT, ByMail
from app.errors import Invalid, NotFound, TooLarge
from app.i18n import gettext
from app.integrations.mail.reading import File, Incoming
from app.integrations.storage import Storage
from app.models.customers import Customer, CustomerStatus
from app.models.inbound import InboundMail, InboundState
from app.models.tickets import Ticket, TicketStatus
from app.models.users import User, UserCustomer


@dataclass(frozen=True)
class Case:
    """A mail that is being sorted."""

    session: AsyncSession
    mail: InboundMail
    letter: Incoming
    storage: Storage
    most_bytes: int
    """Of one attached file."""


@dataclass(frozen=True)
class End:
    """What becomes of a mail. reason: see `told`."""

    state: InboundState
    reason: str = ""
    ticket: Ticket | None = None
    customer_id: int | None = None


async def answer(case: Case, answered: Answered) -> End:
    """Into its ticket, as the customer's words when the sender belongs to them; else as a note to staff."""
    ticket_id = answered.ticket_id
    if ticket_id is None:
        assert answered.campaign_id is not None and answered.customer_id is not None
        customer_id = await standing_for(case.session, answered.customer_id)
        known, user_id = await who(case.session, customer_id, case.letter.sender)
        if not known or forged(case.letter):
            reason = gettext("An answer to a message, from an address that is not known at the customer it went to.")
            return End(InboundState.ASIDE, reason, customer_id=customer_id)
        text, files, left_out = await _content(case, customer_id)
        try:
            ticket = await tickets.answer_delivery(
                case.session, campaign_id=answered.campaign_id, customer_id=customer_id, user_id=user_id,
                text=text, attachment_ids=files, mail=ByMail(case.letter.message_id),
            )  # fmt: skip
        except NotFound:
            return End(InboundState.ASIDE, gettext("The message that it answers does not exist any more."))
        await _tell_left_out(case, ticket, left_out)
        return End(InboundState.TAKEN, ticket=ticket, customer_id=ticket.customer_id)
    found = await case.session.scalar(select(Ticket).where(Ticket.id == ticket_id))
    if found is None:
        return End(InboundState.ASIDE, gettext("The ticket that it answers does not exist any more."))
    known, user_id = await who(case.session, found.customer_id, case.letter.sender)
    text, files, left_out = await _content(case, found.customer_id)
    if known and not forged(case.letter):
        await tickets.reply(
            case.session, ticket_id=found.id, text=text, from_customer=True, customer_id=found.customer_id,
            user_id=user_id, attachment_ids=files, mail=ByMail(case.letter.message_id),
        )  # fmt: skip
        reason = ""
    else:
        sender = case.letter.sender or gettext("an unreadable address")
        await tickets.reply(
            case.session, ticket_id=found.id, text=text, from_customer=False, internal=True, attachment_ids=files,
            mail=ByMail(case.letter.message_id, sender),
        )  # fmt: skip
        tickets.move(found, TicketStatus.OPEN)
        reason = gettext("The sender is not known at this customer: it stands there as a note.")
    await _tell_left_out(case, found, left_out)
    return End(InboundState.TAKEN, reason, ticket=found, customer_id=found.customer_id)


async def new_ticket(case: Case, customer_id: int, user_id: int | None) -> End:
    text, files, left_out = await _content(case, customer_id)
    ticket = await tickets.open_ticket(
        case.session, customer_id=customer_id, subject=case.letter.subject or gettext("(no subject)"), text=text,
        from_customer=True, user_id=user_id, attachment_ids=files,
        mail=ByMail(case.letter.message_id, "" if user_id or await _is(case, customer_id) else case.letter.sender),
    )  # fmt: skip
    await _tell_left_out(case, ticket, left_out)
    return End(InboundState.TAKEN, ticket=ticket, customer_id=customer_id)


async def _is(case: Case, customer_id: int) -> bool:
    return (await who(case.session, customer_id, case.letter.sender))[0]


async def _content(case: Case, customer_id: int) -> tuple[str, list[int], list[str]]:
    """The text, the ids of the files, and the names of those that were left out."""
    text = case.letter.text or gettext("(The mail holds no text.)")
    if len(text) > MAX_TEXT:
        cut = gettext("(The mail is longer; its original is kept.)")
        text = f"{text[: MAX_TEXT - len(cut) - 10].rstrip()}\n\n{cut}"
    ids: list[int] = []
    left_out: list[str] = []
    for file in case.letter.files:
        if len(ids) >= MAX_FILES or not await _keep(case, file, customer_id, ids):
            left_out.append(file.name)
    return text, ids, left_out


async def _keep(case: Case, file: File, customer_id: int, ids: list[int]) -> bool:
    try:
        kept = await add_attachment(
            case.session, case.storage, name=file.name, chunks=file.content, max_bytes=case.most_bytes,
            customer_id=customer_id,
        )  # fmt: skip
    except (TooLarge, Invalid):
        return False
    ids.append(kept.id)
    return True


async def _tell_left_out(case: Case, ticket: Ticket, names: list[str]) -> None:
    if names:
        shown = ", ".join(names[:MAX_FILES])
        text = gettext("Files that were too many or too large are only in the original mail: %(names)s")
        await tickets.reply(
            case.session, ticket_id=ticket.id, text=text % {"names": shown}, from_customer=False, internal=True,
            mail=ByMail(),
        )  # fmt: skip


def forged(letter: Incoming) -> bool:
    """Our mail server's own check (RFC 8601), which it writes above all others. Who forges a failure only harms the
    own mail."""
    result = letter.value("authentication-results").lower().replace(" ", "")
    return "dmarc=fail" in result


async def who(session: AsyncSession, customer_id: int, sender: str) -> tuple[bool, int | None]:
    """Whether an address belongs to a customer, and the id of their user when it is one's."""
    if not sender:
        return False, None
    users = await session.execute(
        select(User.id, User.email)
        .join(UserCustomer, UserCustomer.user_id == User.id)
        .where(UserCustomer.customer_id == customer_id, User.enabled, User.email_folded == fold(sender))
        .order_by(User.id)
    )
    for user_id, email in users:
        if email.casefold() == sender.casefold():
            return True, user_id
    own = await session.scalar(select(Customer.email).where(Customer.id == customer_id))
    return bool(own) and str(own).casefold() == sender.casefold(), None


async def customers_of(session: AsyncSession, sender: str, limit: int = 20) -> list[int]:
    """The open customers that an address belongs to, as their own or as a user's."""
    if not sender:
        return []
    through = (
        select(UserCustomer.customer_id, User.email)
        .join(User, User.id == UserCustomer.user_id)
        .where(User.enabled, User.email_folded == fold(sender))
    )
    own = select(Customer.id, Customer.email).where(Customer.email_folded == fold(sender))
    found: dict[int, None] = {}
    for statement in (own, through):
        for customer_id, email in await session.execute(statement.limit(limit)):
            if email.casefold() == sender.casefold():
                found[customer_id] = None
    if not found:
        return []
    still = select(Customer.id).where(Customer.id.in_(found), Customer.status != CustomerStatus.CLOSED)
    return list((await session.scalars(still.order_by(Customer.id))).all())
