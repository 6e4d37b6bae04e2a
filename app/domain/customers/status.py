"""The status of a customer: it follows the services, unless staff suspended or closed the customer by hand."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.customers.grouping import follow_rules
from app.errors import Conflict, NotFound
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
    if running := await running_services(session, customer.id):
        raise Conflict(say_running(running))
    await _move(session, customer, CLOSED)
    await follow_rules(session, [customer.id])


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
    await session.flush()
    query = select(Customer).where(Customer.id == customer_id).execution_options(unscoped=True)
    customer = await session.scalar(query)
    if customer is None:
        raise NotFound()
    if customer.status not in BY_HAND:
        await _move(session, customer, await _by_services(session, customer_id))
    await follow_rules(session, [customer_id])
    return customer.status


async def running_services(session: AsyncSession, customer_id: int) -> int:
    """How many services of this customer are not closed."""
    query = select(func.count()).select_from(Service).where(
        Service.customer_id == customer_id, Service.status != ServiceStatus.CLOSED
    )  # fmt: skip
    return await session.scalar(query) or 0


def say_running(n: int) -> str:
    return ngettext(
        "%(n)d service is not closed. Close it first.", "%(n)d services are not closed. Close them first.", n
    ) % {"n": n}


async def _by_services(session: AsyncSession, customer_id: int) -> CustomerStatus:
    active = select(Service.id).where(Service.customer_id == customer_id, Service.status == ServiceStatus.ACTIVE)
    return ACTIVE if await session.scalar(active.limit(1)) is not None else NEW


async def _move(session: AsyncSession, customer: Customer, status: CustomerStatus) -> None:
    if status is customer.status:
        return
    if status not in CUSTOMER_MOVES[customer.status]:
        raise Conflict(
            gettext("A customer that is %(now)s cannot become %(then)s.")
            % {"now": customer.status.label, "then": status.label}
        )
    customer.status = status
    await session.flush()
