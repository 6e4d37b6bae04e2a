"""The overview: welcome line, services, unread messages, visits by staff; and the choice between several accounts."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from app import db
from app.domain import sessions
from app.errors import NotFound
from app.i18n import gettext
from app.models.users import Right
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.access import may
from app.web.client.area import Asked, me, respond
from app.web.client.dashboard import money_of
from app.web.client.invoices import open_ones
from app.web.client.showing import own_lines
from app.web.forms import AccountForm, choices, number, posted


def _visit(row: queries.VisitLine) -> dict[str, Any]:
    return {"text": row.staff or gettext("Our support"), "note": row.reason, "when": row.created_at}


@get("/client", name="client.home")
async def home(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    ask = {"label": gettext("Ask a question"), "url": "/client/tickets/new", "icon": "headset"}
    order = {"label": gettext("Order"), "url": "/client/services/new", "icon": "package"}
    may_pay, sees_money = may(view, "client.payment.add"), may(view, "client.invoices")
    sees_visits = view.is_visit or Right.DATA in view.rights
    async with db.reads() as session:
        customer = await queries.customer(session, customer_id)
        messages, _more = await queries.inbox(session, customer_id, view.project_name, size=5, unread_only=True)
        return await respond(
            request, session, "client/home.html",
            **await money_of(session, view, customer_id),
            services=await own_lines(session, customer, await queries.services(session, customer_id)),
            services_url="/client/services",
            messages=[m.shown() for m in messages],
            inbox_url="/client/messages",
            invoices=await open_ones(session, customer_id, may_pay=may_pay) if sees_money else [],
            visits=[_visit(v) for v in await queries.visits(session, customer_id)] if sees_visits else [],
            visits_url="/client/data#visits" if may(view, "client.data") else None,
            buttons=[*([ask] if may(view, "client.ticket.open") else []),
                     *([order] if may(view, "client.service.order") else [])],
        )  # fmt: skip


@get("/client/accounts", name="client.account")
async def accounts(request: Asked) -> Response[Any]:
    """For a user who serves several customers. Staff have entered one account, not a user."""
    view, customer_id = me(request)
    if view.user_id is None:
        raise NotFound
    async with db.reads() as session:
        served = await sessions.customers_of(session, user_id=view.user_id)
        form = AccountForm(customer=customer_id)
        form.customer.choices = choices([(c.id, c.name) for c in served])
        return await respond(
            request, session, "client/profile.html", form=form, page_title=gettext("Choose an account"),
            submit_label=gettext("Continue"),
        )  # fmt: skip


@post("/client/accounts", name="client.account.pick", status_code=200)
async def pick(request: Asked) -> Response[Any]:
    view, _customer_id = me(request)
    form = await posted(request)
    async with db.unit() as session:
        await sessions.pick_customer(session, view=view, customer_id=number(form.get("customer")))
    return see_other("/client/")


HANDLERS = [home, accounts, pick]
