"""The status of a customer: it follows the services, unless staff suspended or closed the customer by hand."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.customers.grouping import follow_rules
from app.errors import AppError, Conflict, NotFound, only
from app.i18n import gettext, ngettext
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus

NEW, ACTIVE, SUSPENDED, CLOSED = (
    CustomerStatus.NEW, CustomerStatus.ACTIVE, CustomerStatus.SUSPENDED, CustomerStatus.CLOSED,
)  # fmt: skip
CUSTOMER_MOVES: dict[CustomerStatus, frozenset[CustomerStatus]] = {
    NEW: frozenset({ACTIVE, SUSPENDED, CLOSED}),
    ACTIVE: frozenset({NEW, SUSPENDED, CLOSED}),
    SUSPENDED: frozenset({NEW, ACTIVE, CLOSED}),
    CLOSED: frozenset({NEW, ACTIVE}),
}
"""The legal moves of a customer; anything else is a Conflict. NEW <-> ACTIVE happens by the services alone."""
BY_HAND = frozenset({SUSPENDED, CLOSED})


async def suspend_customer(session: AsyncSession, *, customer: Customer) -> None:
    """Stop a customer for now; the services stay as they are. Raises Conflict from CLOSED."""
    await _move(session, customer, SUSPENDED)
    await follow_rules(session, [customer.id])


async def close_customer(session: AsyncSession, *, customer: Customer) -> None:
    """End the relation with a customer; everything is kept. Raises Conflict while services are not closed."""
    only(await close_customers(session, [customer]))


async def close_customers(session: AsyncSession, customers: Sequence[Customer]) -> list[AppError | None]:
    """`close_customer` for many. Gives for each why they stay as they are, or None."""
    running = await _running(session, [c.id for c in customers])
    found: list[AppError | None] = []
    for customer in customers:
        try:
            if n := running.get(customer.id):
                raise Conflict(say_running(n))
            _set(customer, CLOSED)
        except AppError as refusal:
            found.append(refusal)
        else:
            found.append(None)
    await session.flush()
    await follow_rules(session, [c.id for c, refusal in zip(customers, found, strict=True) if refusal is None])
    return found


async def reopen_customer(session: AsyncSession, *, customer: Customer) -> None:
    """Undo suspending or closing: the status follows the services again. Raises Conflict when it already does."""
    if customer.status not in BY_HAND:
        raise Conflict(gettext("This customer is neither suspended nor closed."))
    if customer.merged_into_id is not None:
        raise Conflict(gettext("This customer was merged into another one. Undo the merge instead."))
    if customer.cleared_at is not None:
        raise Conflict(gettext("The personal data of this customer was cleared."))
    await _move(session, customer, await _by_services(session, customer.id))
    await follow_rules(session, [customer.id])


async def refresh_status(session: AsyncSession, customer_id: int) -> CustomerStatus:
    """Let the status follow the services: ACTIVE with an active one, else NEW. What was set by hand stays.

    Raises NotFound. Pending changes of services are flushed first.
    """
    return (await refresh_statuses(session, [customer_id]))[customer_id]


async def refresh_statuses(session: AsyncSession, ids: Sequence[int]) -> dict[int, CustomerStatus]:
    """`refresh_status` for many: customer -> status. Raises NotFound when one of them is gone."""
    await session.flush()
    query = select(Customer).where(Customer.id.in_(ids)).execution_options(unscoped=True)
    customers = {c.id: c for c in await session.scalars(query)}
    if customers.keys() != set(ids):
        raise NotFound()
    active = await _active(session, ids)
    for customer in customers.values():
        if customer.status not in BY_HAND:
            _set(customer, ACTIVE if customer.id in active else NEW)
    await session.flush()
    await follow_rules(session, list(customers))
    return {c.id: c.status for c in customers.values()}


async def running_services(session: AsyncSession, customer_id: int) -> int:
    """How many services of this customer are not closed."""
    return (await _running(session, [customer_id])).get(customer_id, 0)


async def _running(session: AsyncSession, ids: Sequence[int]) -> dict[int, int]:
    """Customer -> how many of their services are not closed, where there is one."""
    query = select(Service.customer_id, func.count()).where(
        Service.customer_id.in_(ids), Service.status != ServiceStatus.CLOSED
    )  # fmt: skip
    return {row[0]: row[1] for row in await session.execute(query.group_by(Service.customer_id))}


def say_running(n: int) -> str:
    return ngettext(
        "%(n)d service is not closed. Close it first.", "%(n)d services are not closed. Close them first.", n
    ) % {"n": n}


async def _by_services(session: AsyncSession, customer_id: int) -> CustomerStatus:
    return ACTIVE if await _active(session, [customer_id]) else NEW


async def _active(session: AsyncSession, ids: Sequence[int]) -> set[int]:
    """Which of these customers have an active service."""
    active = select(Service.customer_id).where(Service.customer_id.in_(ids), Service.status == ServiceStatus.ACTIVE)
    return set(await session.scalars(active.distinct()))


async def _move(session: AsyncSession, customer: Customer, status: CustomerStatus) -> None:
    _set(customer, status)
    await session.flush()


def _set(customer: Customer, status: CustomerStatus) -> None:
    if status is customer.status:
        return
    if status not in CUSTOMER_MOVES[customer.status]:
        raise Conflict(
            gettext("A customer that is %(now)s cannot become %(then)s.")
            % {"now": customer.status.label, "then": status.label}
        )
    customer.status = status
