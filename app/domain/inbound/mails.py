"""From the mailbox to the ticket: a mail is taken, sorted, and decided about by staff."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.inbound.rules import RULES
from app.domain.inbound.taking import Case, End, new_ticket, who
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _, gettext
from app.integrations.mail.reading import Incoming, Peek
from app.integrations.storage import Storage
from app.models.customers import Customer
from app.models.inbound import InboundMail, InboundState
from app.models.tickets import Ticket
from app.observe import SYSTEM, acting
from app.queue import enqueue

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


def told(reason: str) -> str:
    """A stored reason in the reader's language: a sentence, and a detail behind a bar."""
    sentence, _bar, detail = reason.partition("|")
    said = gettext(sentence) if sentence else ""
    return f"{said} ({detail})" if detail else said


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
    end = await new_ticket(case, customer_id, (await who(session, customer_id, letter.sender))[1])
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
