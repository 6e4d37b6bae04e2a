"""Status, assignment and priority of a ticket. Every legal move stands in one table."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Conflict, Invalid, NotFound
from app.i18n import _
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketPriority, TicketStatus

TICKET_MOVES: dict[TicketStatus, frozenset[TicketStatus]] = {
    TicketStatus.OPEN: frozenset({TicketStatus.ANSWERED, TicketStatus.CLOSED}),
    TicketStatus.ANSWERED: frozenset({TicketStatus.OPEN, TicketStatus.CLOSED}),
    TicketStatus.CLOSED: frozenset({TicketStatus.OPEN, TicketStatus.ANSWERED}),
}
"""The legal moves of a ticket. A message leaves a ticket where it is as well; pressing a button does not."""


async def locked(session: AsyncSession, ticket_id: int, customer_id: int | None = None) -> Ticket:
    """The ticket, for changing. customer_id: it must be theirs. Raises NotFound."""
    statement = select(Ticket).where(Ticket.id == ticket_id).with_for_update()
    if customer_id is not None:
        statement = statement.where(Ticket.customer_id == customer_id)
    ticket = await session.scalar(statement.execution_options(populate_existing=True))
    if ticket is None:
        raise NotFound
    return ticket


async def check_assigned(session: AsyncSession, staff_id: int | None) -> None:
    """Raises Invalid with the field assigned for somebody who may not sign in."""
    if staff_id is not None:
        staff = await session.get(Staff, staff_id)
        if staff is None or not staff.enabled:
            raise Invalid(assigned=_("Choose somebody who may sign in."))


async def assign(session: AsyncSession, *, ticket_id: int, staff_id: int | None) -> Ticket:
    """Give a ticket to a staff member, or to nobody. Raises NotFound, Invalid with the field assigned."""
    ticket = await locked(session, ticket_id)
    await check_assigned(session, staff_id)
    ticket.assigned_id = staff_id
    await session.flush()
    return ticket


async def set_status(
    session: AsyncSession, *, ticket_id: int, to: TicketStatus, customer_id: int | None = None
) -> Ticket:
    """Move a ticket; `customer_id`, when the customer does it, who may only close. Raises NotFound, Conflict with the
    reason for a move that is not in TICKET_MOVES."""  # fmt: skip
    ticket = await locked(session, ticket_id, customer_id)
    if ticket.status is to:
        raise Conflict(_("This ticket is in the state “%(state)s” already.") % {"state": to.label})
    if customer_id is not None and to is not TicketStatus.CLOSED:
        raise Conflict(_("Customers can only close a ticket."))
    move(ticket, to)
    await session.flush()
    return ticket


async def close(session: AsyncSession, *, ticket_id: int, customer_id: int | None = None) -> Ticket:
    """Close a ticket; `customer_id`, when the customer does it. Raises NotFound, Conflict when it is closed already."""
    return await set_status(session, ticket_id=ticket_id, to=TicketStatus.CLOSED, customer_id=customer_id)


async def reopen(session: AsyncSession, *, ticket_id: int) -> Ticket:
    """A ticket waits for us again. Raises NotFound, Conflict."""
    return await set_status(session, ticket_id=ticket_id, to=TicketStatus.OPEN)


async def set_priority(session: AsyncSession, *, ticket_id: int, priority: TicketPriority) -> Ticket:
    """Raises NotFound."""
    ticket = await locked(session, ticket_id)
    ticket.priority = priority
    await session.flush()
    return ticket


def move(ticket: Ticket, to: TicketStatus) -> None:
    """Change the status. Raises Conflict for a move that is not in TICKET_MOVES."""
    if ticket.status is not to:
        if to not in TICKET_MOVES[ticket.status]:
            raise Conflict(
                _("A ticket in the state “%(now)s” cannot go to “%(to)s”.")
                % {"now": ticket.status.label, "to": to.label}
            )
        ticket.status = to
