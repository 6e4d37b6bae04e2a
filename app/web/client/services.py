"""The customer's services: what runs and what it costs, renewing, ending, and what was charged for it."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app import db
from app.domain import catalog, charging
from app.domain.custom import Spec
from app.errors import AppError, NotFound
from app.flash import flash
from app.i18n import gettext, show_date, show_money
from app.models.catalog import Period, Service, ServiceStatus
from app.web.auth import see_other
from app.web.client import custom as own
from app.web.client import queries
from app.web.client.access import may, why_not
from app.web.client.area import Asked, me, respond
from app.web.client.expenses import lines_of
from app.web.client.saving import saved
from app.web.client.showing import ends_by_itself, named, own_lines, price_of, service_line, told
from app.web.forms import VersionedForm, number, posted

LIST, NEW = "/client/services", "/client/services/new"
PAGE = 50
CHARGES = 12
"""Charges that the page of a service shows; the others stand with the expenses."""


async def find_mine(session: AsyncSession, customer_id: int, key: str) -> Service:
    """One of this customer's, with its product and payer. Raises NotFound."""
    query = select(Service).where(Service.id == number(key), Service.customer_id == customer_id)
    found = await session.scalar(query.options(joinedload(Service.product), joinedload(Service.payer)))
    if found is None:
        raise NotFound
    return found


@get(LIST, name="client.services")
async def listed(request: Asked) -> Response[Any]:
    """What runs or is to run, the newest first; what has ended stands on a page of its own."""
    view, customer_id = me(request)
    ended = request.query_params.get("show") == "ended"
    before = request.query_params.get("before", "")
    is_closed = Service.status == ServiceStatus.CLOSED
    query = select(Service).where(Service.customer_id == customer_id, is_closed if ended else ~is_closed)
    if before:
        query = query.where(Service.id < number(before))
    async with db.reads() as session:
        found = await session.scalars(
            query.options(joinedload(Service.product)).order_by(Service.id.desc()).limit(PAGE + 1)
        )
        rows = found.all()
        lines = await own_lines(session, await queries.customer(session, customer_id), rows[:PAGE])
        show = "show=ended&" if ended else ""
        tabs = [
            {"label": gettext("In use"), "url": LIST, "current": not ended},
            {"label": gettext("Ended"), "url": f"{LIST}?show=ended", "current": ended},
        ]
        return await respond(
            request, session, "client/services.html", services=lines, tabs=tabs,
            ended=ended, more_url=f"{LIST}?{show}before={rows[PAGE - 1].id}" if len(rows) > PAGE else None,
            order_url=NEW if may(view, "client.service.order") else None,
        )  # fmt: skip


@get(f"{LIST}/{{key:str}}", name="client.service")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        service = await find_mine(session, customer_id, key)
        return await _page(request, session, service)


class ServiceForm(VersionedForm):
    """What the customer may change of the custom fields."""


def _form(service: Service, data: Any = None) -> ServiceForm:
    asked = own.specs(Service)
    now = own.data_of(asked, service) | {"version": service.version}
    made: ServiceForm = own.form_of(ServiceForm, asked, service)(data, data=now)
    return made


async def _page(
    request: Asked, session: AsyncSession, service: Service, error: str = "", status: int = 200,
    form: ServiceForm | None = None, wrong: str = "",
) -> Response[Any]:  # fmt: skip
    """error: of a button; wrong: of the form."""
    view, customer_id = me(request)
    sees = may(view, "client.expenses")
    open_ = service.status is not ServiceStatus.CLOSED
    waits = service.status in (ServiceStatus.ORDERED, ServiceStatus.IN_PROGRESS)
    cost = await charging.next_cost(session, service) if open_ else None
    said = told(cost.explained, await named(session, [cost.explained])) if cost else None
    once = service.period is Period.ONCE
    charged = await lines_of(session, customer_id, service_id=service.id, limit=CHARGES + 1) if sees else []
    missing = await charging.missing_for(session, service) if waits and service.unpaid_since is not None else 0
    unpaid = service.unpaid_since is not None and open_
    target = f"/client/payments/new?service={service.id}" if missing else "/client/payments/new"
    asked = own.specs(Service) if open_ and may(view, "client.service.save") else []
    items = _items(service, cost, asked)
    return await respond(
        request, session, "client/service.html", status, service=service_line(service), items=items,
        explained=said, base=f"{LIST}/{service.id}", list_url=LIST, error=error,
        renews=service.auto_renew, waits=waits, ends=ends_by_itself(service) and open_,
        ends_on=show_date(service.next_charge_on) if service.next_charge_on else None,
        may_renew=open_ and not waits and not once,
        may_cancel=open_ and (waits or (service.auto_renew and not once)),
        ahead=_ahead(service, cost) if charging.may_renew_now(service) else None,
        pay_url=target if unpaid and may(view, "client.payment.add") else None,
        missing=show_money(missing, service.currency) if missing and sees else None,
        charged=charged[:CHARGES], sees=sees,
        charged_url=f"/client/expenses?service={service.id}" if len(charged) > CHARGES else None,
        read_only=why_not(view, "client.service.renew"), form=(form or _form(service)) if asked else None, wrong=wrong,
    )  # fmt: skip


def _items(service: Service, cost: Any, asked: list[Spec]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [{"label": gettext("Product"), "value": service.product.name}]
    off = cost.discount if cost else 0
    items.append({"label": gettext("Price"), "value": price_of(service.price - off, service.currency, service.period)})
    if service.payer is not None:
        items.append({"label": gettext("Payer"), "value": service.payer.name})
    if service.started_on is not None:
        items.append({"label": gettext("Running since"), "value": show_date(service.started_on)})
    if service.next_charge_on is not None and service.status is not ServiceStatus.CLOSED:
        if ends_by_itself(service):
            items.append({"label": gettext("Ends on"), "value": show_date(service.next_charge_on)})
        else:
            items.append({"label": gettext("Next payment"), "value": show_date(service.next_charge_on)})
            items.append({"label": gettext("Amount then"), "value": show_money(cost.gross, service.currency)})
    return items + own.items(Service, service, but=asked)


def _ahead(service: Service, cost: Any) -> dict[str, Any]:
    """What renewing now would pay for."""
    begins: date = service.next_charge_on  # type: ignore[assignment]
    until = catalog.next_period(begins, service.period, service.charge_day)
    return {
        "amount": show_money(cost.gross, service.currency), "begins": begins.isoformat(), "seen": cost.gross,
        "until": show_date(until) if until else "",
    }  # fmt: skip


@post(f"{LIST}/{{key:str}}", name="client.service.save", status_code=200)
async def save(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        service = await find_mine(session, customer_id, key)
        form, asked = _form(service, given), own.specs(Service)
        change = partial(catalog.fill_in, session, service=service, custom_values=own.given(form, asked))
        refused = await saved(session, form, change, at=asked[0].name if asked else "version", row=service)
    if refused is None:
        flash(request.scope, "ok", gettext("Saved."))
        return see_other(f"{LIST}/{number(key)}")
    async with db.reads() as session:
        service = await find_mine(session, customer_id, key)
        return await _page(request, session, service, "", refused.status, form, refused.said)


@post(f"{LIST}/{{key:str}}/renew", name="client.service.renew", status_code=200)
async def renew(request: Asked, key: FromPath[str]) -> Response[Any]:
    """Let it go on by itself from now on, or not any more."""
    _view, customer_id = me(request)
    on = (await posted(request)).get("on") == "1"
    async with db.unit() as session:
        service = await find_mine(session, customer_id, key)
        await catalog.renew(session, service=service, auto_renew=on)
    said = gettext("It renews by itself from now on.") if on else gettext("It ends with the period that is paid.")
    flash(request.scope, "ok", said)
    return see_other(f"{LIST}/{number(key)}")


@post(f"{LIST}/{{key:str}}/extend", name="client.service.extend", status_code=200)
async def extend(request: Asked, key: FromPath[str]) -> Response[Any]:
    """Pay the next period now. The form says which one, so that it is paid once however often it is pressed."""
    _view, customer_id = me(request)
    given = await posted(request)
    async with db.reads() as session:
        await find_mine(session, customer_id, key)
    try:
        begins, seen = date.fromisoformat(given.get("begins")), int(given.get("seen")[:19])
    except ValueError:
        return see_other(f"{LIST}/{number(key)}")
    try:
        async with db.unit() as session:
            service = await find_mine(session, customer_id, key)
            await charging.renew_now(session, service=service, begins=begins, seen=seen)
    except AppError as problem:
        async with db.reads() as session:
            fresh = await find_mine(session, customer_id, key)
            return await _page(request, session, fresh, str(problem), problem.status)
    flash(request.scope, "ok", gettext("The next period is paid."))
    return see_other(f"{LIST}/{number(key)}")


@post(f"{LIST}/{{key:str}}/cancel", name="client.service.cancel", status_code=200)
async def cancel(request: Asked, key: FromPath[str]) -> Response[Any]:
    """What is only ordered is taken back at once; what runs ends with the period that is paid."""
    _view, customer_id = me(request)
    async with db.unit() as session:
        service = await find_mine(session, customer_id, key)
        if service.status in (ServiceStatus.ORDERED, ServiceStatus.IN_PROGRESS):
            await catalog.move_service(session, service=service, status=ServiceStatus.CLOSED)
            said = gettext("The order is cancelled.")
        else:
            await catalog.renew(session, service=service, auto_renew=False)
            said = gettext("It ends with the period that is paid.")
    flash(request.scope, "ok", said)
    return see_other(f"{LIST}/{number(key)}")


HANDLERS = [listed, show, save, renew, extend, cancel]
