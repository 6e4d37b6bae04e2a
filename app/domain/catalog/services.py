"""Services of customers: ordering, changing, their states. Each step lets the customer's status follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import checks, custom
from app.domain.catalog.prices import price_of
from app.domain.customers.status import refresh_status, refresh_statuses
from app.errors import AppError, Conflict, Invalid, only
from app.i18n import gettext
from app.models.billing import Expense, Payer
from app.models.catalog import Period, Product, ProductProject, Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus
from app.models.projects import Project

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
    "payer_id": checks.row_id,
    "custom": checks.mapping,
}
"""What may be entered for a service, and its shape; `price` in minor units of `currency`."""


async def save_service(
    session: AsyncSession, *, values: Mapping[str, Any], service: Service | None = None, on: date | None = None,
    custom_of: custom.Asked = custom.STAFF,
) -> Service:  # fmt: skip
    """Order a service (needs name, customer_id, product_id), or change one; the customer's status follows.

    Price, set-up fee, currency and period of a new one are the product's unless given, in the currency of the
    customer's project where the product has such a price. on: the day on which it happens, today unless given.
    custom_of: who fills in the custom fields. Raises Invalid with the bad fields, Conflict for a status that cannot
    follow the present one, or a customer who is closed.
    """
    if service is not None:
        return only(await change_services(session, [(service, values)], on=on, custom_of=custom_of))
    wanted = checks.clean(values, FIELDS)
    wanted["custom"] = custom.clean(Service, wanted.get("custom", {}), asked=custom_of)
    service = await _order(session, wanted)
    _begin(service, None, on or utcnow().date())
    await session.flush()
    await refresh_status(session, service.customer_id)
    return service


async def change_services(
    session: AsyncSession, changes: Sequence[tuple[Service, Mapping[str, Any]]], *, on: date | None = None,
    custom_of: custom.Asked = custom.STAFF,
) -> list[Service | AppError]:  # fmt: skip
    """What `save_service` does to one that is there, for many, each one time: for each the service, or why it stays as
    it is."""
    found: list[Service | AppError] = []
    for service, values in changes:
        try:
            await _change(session, service, values, on or utcnow().date(), custom_of)
        except AppError as refusal:
            found.append(refusal)
        else:
            found.append(service)
    await session.flush()
    await refresh_statuses(session, sorted({s.customer_id for s in found if not isinstance(s, AppError)}))
    return found


async def _change(
    session: AsyncSession, service: Service, values: Mapping[str, Any], day: date, custom_of: custom.Asked
) -> None:
    """Refuses before it changes anything."""
    wanted = checks.clean(values, FIELDS)
    if "custom" in wanted:
        wanted["custom"] = custom.clean(Service, wanted["custom"], before=service.custom, asked=custom_of)
    if wanted.get("customer_id", service.customer_id) != service.customer_id:
        raise Invalid(customer_id=gettext("A service stays with its customer."))
    if wanted.get("product_id", service.product_id) != service.product_id:
        await checks.known(session, "product_id", Product, wanted["product_id"])
    was = service.status
    _check_move(service, wanted.get("status", was))
    await _check_payer(session, wanted.get("payer_id"), service.customer_id)
    changed = checks.change(service, wanted)
    if "next_charge_on" in changed:
        service.charge_day = service.next_charge_on.day if service.next_charge_on else None
    _begin(service, was, day)


def _begin(service: Service, before: ServiceStatus | None, day: date) -> None:
    """What a service that runs from now on needs: the day of its next charge.

    Activated for the first time, its first period begins. One that staff had suspended by hand goes on with a period
    that begins today if its paid one is over; one that was suspended because nobody paid gets its days of grace again.
    """
    if service.status is not ServiceStatus.ACTIVE or before is ServiceStatus.ACTIVE:
        return
    if service.unpaid_since is not None:
        service.unpaid_since = None
        if before is ServiceStatus.SUSPENDED:
            return
    once_paid = service.period is Period.ONCE and service.started_on is not None
    if service.next_charge_on is None and not once_paid:
        service.next_charge_on = day
        if service.started_on is None:
            service.started_on = day
    elif before is ServiceStatus.SUSPENDED and service.next_charge_on is not None and service.next_charge_on < day:
        service.next_charge_on, service.charge_day = day, day.day
    if service.started_on is None:
        service.started_on = service.created_at.date() if service.created_at is not None else day
        service.started_on = min(service.started_on, day)
    if service.charge_day is None and service.next_charge_on is not None:
        service.charge_day = service.next_charge_on.day


async def fill_in(session: AsyncSession, *, service: Service, custom_values: Mapping[str, Any]) -> None:
    """The customer changes custom fields that are theirs to change. Raises Invalid, Conflict for a closed service."""
    if service.status is ServiceStatus.CLOSED:
        raise Conflict(gettext("This service is closed."))
    await save_service(session, service=service, values={"custom": custom_values}, custom_of=custom.CUSTOMER)


async def move_service(
    session: AsyncSession, *, service: Service, status: ServiceStatus, on: date | None = None
) -> None:
    """Bring a service into another state. Raises Conflict when SERVICE_MOVES does not know the move."""
    await save_service(session, service=service, values={"status": status}, on=on)


async def renew(session: AsyncSession, *, service: Service, auto_renew: bool) -> None:
    """Let a service go on by itself after its period, or end with it. Raises Conflict for one that is closed."""
    if service.status is ServiceStatus.CLOSED:
        raise Conflict(gettext("This service is closed."))
    service.auto_renew = auto_renew
    await session.flush()


async def delete_service(session: AsyncSession, *, service: Service) -> None:
    """Delete a service that never ran or is closed, and was never charged; else Conflict."""
    if service.status not in (ServiceStatus.ORDERED, ServiceStatus.CLOSED):
        raise Conflict(gettext("This service is %(state)s. Close it first.") % {"state": service.status.label})
    if await session.scalar(select(exists().where(Expense.service_id == service.id))):
        raise Conflict(gettext("This service was charged: it stays in the books."))
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
    await _check_payer(session, wanted.get("payer_id"), customer.id)
    usual = await session.scalar(select(Project.currency).where(Project.id == customer.project_id))
    found = await price_of(
        session, product, period=wanted.get("period"), currency=wanted.get("currency"), usual=usual
    )  # fmt: skip
    if found is None and "price" not in wanted:
        raise Invalid(period=gettext("This product has no price for this period and currency."))
    terms: dict[str, Any] = {"status": ServiceStatus.ORDERED, "auto_renew": True}
    terms |= found._asdict() if found is not None else {"currency": product.currency, "period": product.period}
    if "price" in wanted:
        terms["setup_fee"] = 0
    service = Service(**{**terms, **wanted})
    if service.next_charge_on is not None:
        service.charge_day = service.next_charge_on.day
    session.add(service)
    return service


async def _check_payer(session: AsyncSession, payer_id: int | None, customer_id: int) -> None:
    if payer_id is not None:
        owner = await session.scalar(select(Payer.customer_id).where(Payer.id == payer_id))
        if owner != customer_id:
            raise Invalid(payer_id=gettext("This is not a payer of the customer."))


def _check_move(service: Service, status: ServiceStatus) -> None:
    if status is not service.status and status not in SERVICE_MOVES[service.status]:
        raise Conflict(
            gettext("A service that is %(now)s cannot become %(then)s.")
            % {"now": service.status.label, "then": status.label}
        )
