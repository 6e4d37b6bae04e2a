"""Who answers a ticket just now. The lock is a courtesy with an end: it runs out by the database's clock, and whoever
needs the ticket takes it over. What keeps two answers from crossing is the check of what their writers have seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import moment
from app.domain.tickets.moves import locked
from app.errors import Conflict
from app.i18n import _, show_ago
from app.models import audit
from app.models.staff import Staff
from app.models.tickets import Ticket
from app.observe import actor

SECONDS = 120
"""How long a lock holds; the page renews it every third of that while somebody writes."""


@dataclass(frozen=True)
class Lock:
    """Who answers, and since when."""

    staff_id: int
    name: str
    since: datetime

    @property
    def mine(self) -> bool:
        return self.staff_id == actor.get().staff_id


async def lock_of(session: AsyncSession, ticket_id: int) -> Lock | None:
    """Who answers this ticket now; None: nobody."""
    query = (
        select(Ticket.lock_staff_id, Ticket.locked_at, Staff.full_name, Staff.username)
        .join(Staff, Staff.id == Ticket.lock_staff_id)
        .where(Ticket.id == ticket_id, Ticket.lock_until > moment())
    )
    row = (await session.execute(query)).one_or_none()
    if row is None or row[0] is None or row[1] is None:
        return None
    return Lock(row[0], row[2] or row[3], row[1])


async def lock(session: AsyncSession, *, ticket_id: int, take_over: bool = False) -> Lock:
    """The acting person answers this ticket from now on, or goes on doing so. take_over: also while somebody else does.

    Raises NotFound, Conflict that names the other.
    """
    me = actor.get().staff_id
    ticket = await locked(session, ticket_id)
    before = await lock_of(session, ticket.id)
    mine = and_(Ticket.lock_staff_id == me, Ticket.lock_until > moment())
    free = or_(Ticket.lock_staff_id.is_(None), Ticket.lock_until <= moment(), mine)
    found = await session.scalar(
        update(Ticket)
        .where(Ticket.id == ticket.id, *([] if take_over else [free]))
        .values(lock_staff_id=me, locked_at=case((mine, Ticket.locked_at), else_=moment()), lock_until=moment(SECONDS))
        .returning(Ticket.id)
        .execution_options(audited=True, synchronize_session=False)
    )
    if found is None:
        raise _taken(before)
    if take_over and before is not None and not before.mine:
        change = {"answering": [before.name, None]}
        await session.run_sync(lambda s: audit.write(s, "take_over", "ticket", ticket_id, change))
    held = await lock_of(session, ticket_id)
    assert held is not None
    return held


async def check_lock(session: AsyncSession, ticket: Ticket, *, take_over: bool) -> None:
    """Raises Conflict while somebody else answers, unless they are passed over."""
    held = await lock_of(session, ticket.id)
    if held is not None and not held.mine and not take_over:
        raise _taken(held)


async def let_go(session: AsyncSession, *, ticket_id: int) -> None:
    """The acting person does not answer this ticket any more. Somebody else's lock stays."""
    await session.execute(
        update(Ticket)
        .where(Ticket.id == ticket_id, Ticket.lock_staff_id == actor.get().staff_id)
        .values(lock_staff_id=None, locked_at=None, lock_until=None)
        .execution_options(audited=True, synchronize_session=False)
    )


def _taken(held: Lock | None) -> Conflict:
    if held is None:
        return Conflict(_("Somebody else answers this ticket just now."))
    return Conflict(
        _("%(who)s answers this ticket, since %(when)s. Your text is kept; you can take the ticket over.")
        % {"who": held.name, "when": show_ago(held.since)}
    )
