"""Mail that came in: taken once, kept whole, and sorted by one table.

Taking writes a row and a job in one transaction, after the mail lies in the store; only then the mailbox forgets it.
So a crash at any moment loses nothing, and the fingerprint keeps the same mail from being taken twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import fold, utcnow
from app.domain import tickets
from app.domain.attachments import add_attachment
from app.domain.config import modules
from app.domain.customers.merging import standing_for
from app.domain.messaging.replies import Answered, inbound_address, read_address
from app.domain.returned import take_bounce, take_complaint
from app.domain.tickets import MAX_FILES, MAX_TEXT, ByMail
from app.errors import Conflict, Invalid, NotFound, TooLarge
from app.i18n import _, gettext
from app.integrations.mail.reading import File, Incoming, Peek
from app.integrations.storage import Storage
from app.models.customers import Customer, CustomerStatus
from app.models.inbound import InboundMail, InboundState
from app.models.messaging import Delivery
from app.models.projects import Project
from app.models.tickets import Ticket, TicketMessage, TicketStatus
from app.models.users import User, UserCustomer
from app.observe import SYSTEM, acting
from app.queue import enqueue

MOST_AN_HOUR = 20
"""Mails of one sender that are taken within an hour; people do not write more, programs in a loop do."""

INBOUND_MOVES: dict[InboundState, frozenset[InboundState]] = {
    InboundState.NEW: frozenset(InboundState) - {InboundState.NEW, InboundState.DROPPED},
    InboundState.ASIDE: frozenset({InboundState.NEW, InboundState.TAKEN, InboundState.DROPPED}),
    InboundState.IGNORED: frozenset({InboundState.TAKEN}),
    InboundState.BOUNCE: frozenset({InboundState.TAKEN}),
    InboundState.DROPPED: frozenset({InboundState.NEW, InboundState.TAKEN}),
    InboundState.TAKEN: frozenset(),
}
"""The legal moves of a mail; anything else is a Conflict."""


async def take(
    session: AsyncSession, *, seen: Peek, key: str, size: int, source: str, problem: str = ""
) -> InboundMail | None:
    """Note a mail that lies in the store under `key`, and have it sorted. None: it was taken before.

    problem: why it is put aside at once instead.
    """
    known = await session.scalar(select(InboundMail.id).where(InboundMail.fingerprint == seen.fingerprint))
    if known is not None:
        return None
    mail = InboundMail(
        fingerprint=seen.fingerprint, message_id=seen.message_id, sender=seen.sender, recipient=seen.recipient,
        subject=seen.subject, key=key, size=size, source=source,
        state=InboundState.ASIDE if problem else InboundState.NEW, reason=problem[:500],
    )  # fmt: skip
    session.add(mail)
    await session.flush()
    if not problem:
        await enqueue(session, "inbound.sort", key=f"inbound:{mail.id}", mail_id=mail.id)
    return mail


# ---- sorting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A mail that is being sorted."""

    session: AsyncSession
    mail: InboundMail
    letter: Incoming
    storage: Storage
    most_bytes: int
    """Of one attached file."""


def told(reason: str) -> str:
    """A stored reason in the reader's language: a sentence, and a detail behind a bar."""
    sentence, _bar, detail = reason.partition("|")
    said = gettext(sentence) if sentence else ""
    return f"{said} ({detail})" if detail else said


@dataclass(frozen=True)
class End:
    """What becomes of a mail. reason: see `told`."""

    state: InboundState
    reason: str = ""
    ticket: Ticket | None = None
    customer_id: int | None = None


Rule = Callable[[Case], Awaitable[End | None]]


async def sort(session: AsyncSession, *, mail_id: int, letter: Incoming, storage: Storage, most_bytes: int) -> None:
    """Decide by RULES what becomes of a mail, and do it. A mail that is sorted already stays as it is."""
    mail = await _locked(session, mail_id)
    if mail.state is not InboundState.NEW:
        return
    case = Case(session, mail, letter, storage, most_bytes)
    with acting(SYSTEM):
        for rule in RULES:
            end = await rule(case)
            if end is not None:
                await _end(session, mail, end)
                return


async def put_aside(session: AsyncSession, *, mail_id: int, reason: str) -> None:
    """Leave a mail that cannot be sorted to staff."""
    mail = await _locked(session, mail_id)
    if mail.state is InboundState.NEW:
        await _end(session, mail, End(InboundState.ASIDE, reason))


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
            return await _answer(case, answered)
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
        return await _answer(case, Answered(ticket_id=near))
    sent = await case.session.execute(
        select(Delivery.campaign_id, Delivery.customer_id).where(
            Delivery.message_id.in_([ref.partition("@")[0] for ref in refs])
        )
    )
    row = sent.first()
    return await _answer(case, Answered(campaign_id=row[0], customer_id=row[1])) if row is not None else None


async def _known(case: Case) -> End | None:
    """A new question of somebody who is known at exactly one customer."""
    customers = await customers_of(case.session, case.letter.sender)
    if not customers:
        return End(InboundState.ASIDE, gettext("Nobody is known under this address."))
    if len(customers) > 1:
        return End(InboundState.ASIDE, gettext("Several customers are known under this address."))
    [customer_id] = customers
    if _forged(case.letter):
        reason = gettext("The mail server says that the sender is not who they claim to be.")
        return End(InboundState.ASIDE, reason, customer_id=customer_id)
    user_id = (await _who(case.session, customer_id, case.letter.sender))[1]
    return await _new_ticket(case, customer_id, user_id)


RULES: tuple[Rule, ...] = (_own, _bounce, _complaint, _automatic, _too_many, _no_tickets, _signed, _threaded, _known)
"""How mail is sorted: the first rule that has an answer decides; the last always has one."""


# ---- what a rule does -----------------------------------------------------------------------------------------------


async def _answer(case: Case, answered: Answered) -> End:
    """Into its ticket, as the customer's words when the sender belongs to them; else as a note to staff."""
    ticket_id = answered.ticket_id
    if ticket_id is None:
        assert answered.campaign_id is not None and answered.customer_id is not None
        customer_id = await standing_for(case.session, answered.customer_id)
        known, user_id = await _who(case.session, customer_id, case.letter.sender)
        if not known or _forged(case.letter):
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
    known, user_id = await _who(case.session, found.customer_id, case.letter.sender)
    text, files, left_out = await _content(case, found.customer_id)
    if known and not _forged(case.letter):
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


async def _new_ticket(case: Case, customer_id: int, user_id: int | None) -> End:
    text, files, left_out = await _content(case, customer_id)
    ticket = await tickets.open_ticket(
        case.session, customer_id=customer_id, subject=case.letter.subject or gettext("(no subject)"), text=text,
        from_customer=True, user_id=user_id, attachment_ids=files,
        mail=ByMail(case.letter.message_id, "" if user_id or await _is(case, customer_id) else case.letter.sender),
    )  # fmt: skip
    await _tell_left_out(case, ticket, left_out)
    return End(InboundState.TAKEN, ticket=ticket, customer_id=customer_id)


async def _is(case: Case, customer_id: int) -> bool:
    return (await _who(case.session, customer_id, case.letter.sender))[0]


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


def _forged(letter: Incoming) -> bool:
    """Our mail server's own check (RFC 8601), which it writes above all others. Who forges a failure only harms the
    own mail."""
    result = letter.value("authentication-results").lower().replace(" ", "")
    return "dmarc=fail" in result


async def _who(session: AsyncSession, customer_id: int, sender: str) -> tuple[bool, int | None]:
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


# ---- what staff decide ----------------------------------------------------------------------------------------------


async def give_to(
    session: AsyncSession, *, mail_id: int, customer_id: int, letter: Incoming, storage: Storage, most_bytes: int
) -> Ticket:
    """Make a ticket of this customer out of a mail that was put aside. Raises NotFound, Conflict, Invalid."""
    mail = await _locked(session, mail_id)
    _check(mail, InboundState.TAKEN)
    if await session.scalar(select(Customer.id).where(Customer.id == customer_id)) is None:
        raise Invalid(customer=_("Choose one from the list."))
    case = Case(session, mail, letter, storage, most_bytes)
    end = await _new_ticket(case, customer_id, (await _who(session, customer_id, letter.sender))[1])
    assert end.ticket is not None
    await _end(session, mail, end)
    return end.ticket


async def drop(session: AsyncSession, *, mail_id: int) -> None:
    """Nobody needs this mail. Raises NotFound, Conflict."""
    mail = await _locked(session, mail_id)
    _check(mail, InboundState.DROPPED)
    mail.state = InboundState.DROPPED
    await session.flush()


async def sort_again(session: AsyncSession, *, mail_id: int) -> None:
    """Look at a mail once more, now that something else has changed. Raises NotFound, Conflict."""
    mail = await _locked(session, mail_id)
    _check(mail, InboundState.NEW)
    if not mail.key:
        raise Conflict(_("The original of this mail is not kept any more."))
    mail.state, mail.reason = InboundState.NEW, ""
    await session.flush()
    await enqueue(session, "inbound.sort", mail_id=mail.id)


def _check(mail: InboundMail, to: InboundState) -> None:
    if to not in INBOUND_MOVES[mail.state]:
        raise Conflict(_("This mail is in the state “%(state)s”: this is not possible.") % {"state": mail.state.label})


async def _end(session: AsyncSession, mail: InboundMail, end: End) -> None:
    _check(mail, end.state)
    mail.state, mail.reason = end.state, end.reason[:500]
    mail.customer_id = end.customer_id if end.customer_id is not None else mail.customer_id
    mail.ticket_id = end.ticket.id if end.ticket is not None else mail.ticket_id
    await session.flush()


async def _locked(session: AsyncSession, mail_id: int) -> InboundMail:
    query = select(InboundMail).where(InboundMail.id == mail_id).with_for_update()
    mail = await session.scalar(query.execution_options(populate_existing=True))
    if mail is None:
        raise NotFound
    return mail
