"""Services of customers: ordering, changing, their states. Each step lets the customer's status follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.domain.customers.status import refresh_status
from app.errors import Conflict, Invalid
from app.i18n import gettext
from app.models.catalog import Period, Product, ProductProject, Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus

_ORDERED, _IN_PROGRESS, _ACTIVE, _SUSPENDED, _CLOSED = ServiceStatus
SERVICE_MOVES: dict[ServiceStatus, frozenset[ServiceStatus]] = {
    _ORDERED: frozenset({_IN_PROGRESS, _ACTIVE, _CLOSED}),
    _IN_PROGRESS: frozenset({_ACTIVE, _CLOSED}),
    _ACTIVE: frozenset({_SUSPENDED, _CLOSED}),
    _SUSPENDED: frozenset({_ACTIVE, _CLOSED}),
    _CLOSED: frozenset(),
}
"""The legal moves of a service; anything else is a Conflict. A closed one stays closed: order it anew."""
FIRST = frozenset({_ORDERED, _IN_PROGRESS, _ACTIVE})
"""States in which a service may begin: staff also enter what has long been running."""

_of = Service.__table__.c
FIELDS: dict[str, checks.Check] = {
    "name": checks.line(_of.name, required=True),
    "customer_id": checks.required_row_id,
    "product_id": checks.required_row_id,
    "status": checks.one_of(ServiceStatus),
    "price": checks.whole(_of.price, least=0),
    "setup_fee": checks.whole(_of.setup_fee, least=0),
    "currency": checks.currency,
    "period": checks.one_of(Period),
    "next_charge_on": checks.day,
    "auto_renew": checks.yes_no,
    "custom": checks.mapping,
}
"""What may be entered for a service, and its shape; `price` in minor units of `currency`."""


async def save_service(session: AsyncSession, *, values: Mapping[str, Any], service: Service | None = None) -> Service:
    """Order a service (needs name, customer_id, product_id), or change one; the customer's status follows.

    Price, currency and period of a new one are the product's unless given. Raises Invalid with the bad fields,
    Conflict for a status that cannot follow the present one, or a customer who is closed.
    """
    wanted = checks.clean(values, FIELDS)
    if service is None:
        service = await _order(session, wanted)
    else:
        if wanted.get("customer_id", service.customer_id) != service.customer_id:
            raise Invalid(customer_id=gettext("A service stays with its customer."))
        if wanted.get("product_id", service.product_id) != service.product_id:
            await checks.known(session, "product_id", Product, wanted["product_id"])
        _check_move(service, wanted.get("status", service.status))
        checks.change(service, wanted)
    await session.flush()
    await refresh_status(session, service.customer_id)
    return service


async def move_service(session: AsyncSession, *, service: Service, status: ServiceStatus) -> None:
    """Bring a service into another state. Raises Conflict when SERVICE_MOVES does not know the move."""
    await save_service(session, service=service, values={"status": status})


async def delete_service(session: AsyncSession, *, service: Service) -> None:
    """Delete a service that never ran or is closed; else Conflict."""
    if service.status not in (ServiceStatus.ORDERED, ServiceStatus.CLOSED):
        raise Conflict(gettext("This service is %(state)s. Close it first.") % {"state": service.status.label})
    await session.delete(service)
    await refresh_status(session, service.customer_id)


async def _order(session: AsyncSession, wanted: dict[str, Any]) -> Service:
    if missing := [field for field in ("name", "customer_id", "product_id") if field not in wanted]:
        raise Invalid(**{field: gettext("Please fill this in.") for field in missing})
    customer = await session.scalar(select(Customer).where(Customer.id == wanted["customer_id"]))
    product = await session.scalar(select(Product).where(Product.id == wanted["product_id"]))
    if customer is None:
        raise Invalid(customer_id=gettext("This choice does not exist, or not any more."))
    if product is None:
        raise Invalid(product_id=gettext("This choice does not exist, or not any more."))
    if customer.status is CustomerStatus.CLOSED:
        raise Conflict(gettext("This customer is closed. Reopen the customer first."))
    if not product.enabled:
        raise Invalid(product_id=gettext("This product is not on sale."))
    query = select(ProductProject.project_id).where(ProductProject.product_id == product.id)
    sold_in = set(await session.scalars(query))
    if sold_in and customer.project_id not in sold_in:
        raise Invalid(product_id=gettext("This product is not sold in the customer's project."))
    if wanted.get("status", ServiceStatus.ORDERED) not in FIRST:
        raise Conflict(gettext("A new service is ordered, in progress or active."))
    terms = {"price": product.price, "currency": product.currency, "period": product.period}
    service = Service(**{**terms, **wanted})
    session.add(service)
    return service


def _check_move(service: Service, status: ServiceStatus) -> None:
    if status is not service.status and status not in SERVICE_MOVES[service.status]:
        raise Conflict(
            gettext("A service that is %(now)s cannot become %(then)s.")
            % {"now": service.status.label, "then": status.label}
        )
