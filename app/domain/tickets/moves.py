"""Status, assignment and priority of a ticket. Every legal move stands in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.errors import AppError, Conflict, Invalid, NotFound, only
from app.i18n import _
from app.models.messaging import Category
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
    only(await change_tickets(session, [(ticket, {"assigned_id": staff_id})]))
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
    only(await change_tickets(session, [(ticket, {"priority": priority})]))
    return ticket


async def change_tickets(
    session: AsyncSession, changes: Sequence[tuple[Ticket, Mapping[str, Any]]]
) -> list[list[str] | AppError]:
    """Set `assigned_id`, `priority`, `category_id` of locked tickets: for each the names of the changed columns, or why
    it stays as it is."""
    known = await checks.those_known(session, Category, (v["category_id"] for _t, v in changes if "category_id" in v))
    found: list[list[str] | AppError] = []
    for ticket, values in changes:
        try:
            if "assigned_id" in values:
                await check_assigned(session, values["assigned_id"])
            if "category_id" in values and values["category_id"] not in known:
                raise checks.unknown("category_id")
        except AppError as refusal:
            found.append(refusal)
        else:
            found.append(checks.change(ticket, values))
    await session.flush()
    return found


def move(ticket: Ticket, to: TicketStatus) -> None:
    """Change the status. Raises Conflict for a move that is not in TICKET_MOVES."""
    if ticket.status is not to:
        if to not in TICKET_MOVES[ticket.status]:
            raise Conflict(
                _("A ticket in the state “%(now)s” cannot go to “%(to)s”.")
                % {"now": ticket.status.label, "to": to.label}
            )
        ticket.status = to
