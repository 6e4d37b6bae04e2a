"""The customer's services: what runs, what is offered, ordering, renewing and ending."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length

from app import db
from app.db import utcnow
from app.domain import catalog, discounts
from app.domain.catalog import Price
from app.domain.discounts import Case, Rules, Won
from app.errors import AppError, Invalid, NotFound
from app.flash import flash
from app.i18n import _, gettext, show_date, show_money
from app.models.catalog import Period, Product, Service, ServiceStatus
from app.models.customers import Customer
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.client.home import PER, service_line
from app.web.forms import NUMBER, REQUIRED, AppForm, choices, number, posted

LIST, NEW = "/client/services", "/client/services/new"


class OrderForm(AppForm):
    period = SelectField(_("How long"), validate_choice=True)
    name = StringField(
        _("Name"), [DataRequired(REQUIRED), Length(max=200, message=_("This is too long."))],
        description=_("What it is for: a domain, a host, an address."),
        filters=[lambda text: text.strip() if isinstance(text, str) else ""],
    )  # fmt: skip


async def _mine(session: AsyncSession, customer_id: int, key: str) -> Service:
    query = select(Service).where(Service.id == number(key), Service.customer_id == customer_id)
    found = await session.scalar(query.options(joinedload(Service.product)))
    if found is None:
        raise NotFound
    return found


@get(LIST, name="client.services")
async def listed(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        rows = await session.scalars(
            select(Service)
            .where(Service.customer_id == customer_id)
            .options(joinedload(Service.product))
            .order_by(Service.status == ServiceStatus.CLOSED, Service.id.desc())
            .limit(200)
        )
        shown = [{**service_line(s), "url": f"{LIST}/{s.id}"} for s in rows]
        return await respond(
            request, session, "client/services.html", services=shown,
            order_url=None if why_not(view, "client.service.order") else NEW,
        )  # fmt: skip


# ---- ordering -------------------------------------------------------------------------------------------------------


def _price(rules: Rules, customer: Customer, product: Product, price: Price) -> dict[str, Any]:
    """A price as the customer pays it now."""
    case = Case(
        customer.id, customer.project_id, product.id, product.group_id, price.period, price.price, price.currency
    )
    won: Won = rules.find(case, utcnow().date())
    told = won.explained["considered"] if won.explained is not None else ()
    return {
        "per": str(PER[price.period]), "pays": show_money(price.price - won.amount_off, price.currency),
        "listed": show_money(price.price, price.currency) if won.amount_off else None,
        "by": next((d["name"] for d in told if d["id"] == won.discount_id), None),
        "setup": show_money(price.setup_fee, price.currency) if price.setup_fee else None,
    }  # fmt: skip


async def _order_page(
    request: Asked, session: AsyncSession, asked: str, form: OrderForm | None = None, status: int = 200
) -> Response[Any]:
    """The catalogue; of one product, the form to order it."""
    view, customer_id = me(request)
    customer = await queries.customer(session, customer_id)
    offered = await catalog.offers(session, customer)
    rules = await discounts.rules(session, customers=Customer.id == customer.id)
    reason = why_not(view, "client.service.order")
    chosen = _chosen(offered, asked) if asked else None
    if chosen is None:
        groups = [
            {"label": str(group) if group else gettext("Other"), "products": [
                {"name": p.name, "url": f"{NEW}?product={p.id}",
                 "prices": [_price(rules, customer, p, price) for price in prices]} for p, prices in some
            ]} for group, some in groupby(offered, key=lambda pair: pair[0].group)
        ]  # fmt: skip
        return await respond(
            request, session, "client/order.html", status, groups=groups, product=None, read_only=reason, back_url=LIST
        )
    product, prices = chosen
    form = form or OrderForm()
    form.period.choices = choices([(p.period.value, str(p.period.label)) for p in prices])
    return await respond(
        request, session, "client/order.html", status, groups=[], form=form, read_only=reason, back_url=NEW,
        product={"id": product.id, "name": product.name,
                 "prices": [_price(rules, customer, product, price) for price in prices]},
    )  # fmt: skip


def _chosen(offered: list[tuple[Product, list[Price]]], asked: str) -> tuple[Product, list[Price]]:
    found = next((pair for pair in offered if NUMBER.fullmatch(asked) and pair[0].id == int(asked)), None)
    if found is None:
        raise NotFound
    return found


@get(NEW, name="client.service.new")
async def catalogue(request: Asked) -> Response[Any]:
    async with db.reads() as session:
        return await _order_page(request, session, request.query_params.get("product", ""))


@post(NEW, name="client.service.order", status_code=200)
async def order(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    given = await posted(request)
    asked, form = given.get("product"), OrderForm(given)
    async with db.reads() as session:
        if not asked:
            return await _order_page(request, session, "", status=422)
        customer = await queries.customer(session, customer_id)
        product, prices = _chosen(await catalog.offers(session, customer), asked)
    form.period.choices = choices([(p.period.value, str(p.period.label)) for p in prices])
    if form.validate():
        price = next(p for p in prices if p.period.value == form.period.data)
        try:
            async with db.unit() as session:
                await catalog.save_service(session, values={
                    "customer_id": customer_id, "product_id": product.id, "name": form.name.data,
                    "period": price.period, "currency": price.currency,
                })  # fmt: skip
        except AppError as error:
            form.place(error if isinstance(error, Invalid) else Invalid(name=str(error)), "name")
        else:
            flash(request.scope, "ok", gettext("Thank you. We set it up now."))
            return see_other(LIST)
    async with db.reads() as session:
        return await _order_page(request, session, asked, form, 422)


# ---- one service ----------------------------------------------------------------------------------------------------


@get(f"{LIST}/{{key:str}}", name="client.service")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        service = await _mine(session, customer_id, key)
        won = await discounts.find(
            session, customer_id=customer_id, product=service.product, period=service.period, price=service.price,
            currency=service.currency, day=max(service.next_charge_on or utcnow().date(), utcnow().date()),
        )  # fmt: skip
        items = [
            {"label": gettext("Product"), "value": service.product.name},
            {"label": gettext("Price"), "value": service_line(service)["price"]},
        ]
        if service.next_charge_on is not None and service.status is not ServiceStatus.CLOSED:
            label = gettext("Next payment") if service.auto_renew else gettext("Ends on")
            items.append({"label": label, "value": show_date(service.next_charge_on)})
        if service.unpaid_since is not None:
            items.append({"label": gettext("Unpaid since"), "value": show_date(service.unpaid_since)})
        open_ = service.status is not ServiceStatus.CLOSED
        waits = service.status in (ServiceStatus.ORDERED, ServiceStatus.IN_PROGRESS)
        return await respond(
            request, session, "client/service.html", service=service_line(service), items=items,
            explained=won.explained if open_ and won.discount_id is not None else None, base=f"{LIST}/{service.id}",
            renews=service.auto_renew, waits=waits,
            may_renew=open_ and not waits and service.period is not Period.ONCE,
            may_cancel=open_ and (waits or service.auto_renew) and (waits or service.period is not Period.ONCE),
            read_only=why_not(view, "client.service.renew"), list_url=LIST,
        )  # fmt: skip


@post(f"{LIST}/{{key:str}}/renew", name="client.service.renew", status_code=200)
async def renew(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    on = (await posted(request)).get("on") == "1"
    async with db.unit() as session:
        service = await _mine(session, customer_id, key)
        await catalog.renew(session, service=service, auto_renew=on)
    said = gettext("It renews by itself from now on.") if on else gettext("It ends with the period that is paid.")
    flash(request.scope, "ok", said)
    return see_other(f"{LIST}/{number(key)}")


@post(f"{LIST}/{{key:str}}/cancel", name="client.service.cancel", status_code=200)
async def cancel(request: Asked, key: FromPath[str]) -> Response[Any]:
    """What is only ordered is taken back at once; what runs ends with the period that is paid."""
    _view, customer_id = me(request)
    async with db.unit() as session:
        service = await _mine(session, customer_id, key)
        if service.status in (ServiceStatus.ORDERED, ServiceStatus.IN_PROGRESS):
            await catalog.move_service(session, service=service, status=ServiceStatus.CLOSED)
            said = gettext("The order is cancelled.")
        else:
            await catalog.renew(session, service=service, auto_renew=False)
            said = gettext("It ends with the period that is paid.")
    flash(request.scope, "ok", said)
    return see_other(f"{LIST}/{number(key)}")


HANDLERS = [listed, catalogue, order, show, renew, cancel]
