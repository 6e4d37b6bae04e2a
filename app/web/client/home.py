"""The overview: welcome line, services, unread messages, visits by staff; and the choice between several accounts."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import sessions
from app.errors import NotFound
from app.i18n import _, gettext, show_amount, show_date, show_money
from app.models.catalog import Period, Service, ServiceStatus
from app.models.ledger import Account
from app.models.users import Right
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.access import may
from app.web.client.area import Asked, me, respond
from app.web.client.invoices import open_ones
from app.web.forms import AccountForm, choices, number, posted

BADGES = {
    ServiceStatus.ACTIVE: "ok", ServiceStatus.SUSPENDED: "warn", ServiceStatus.ORDERED: "info",
    ServiceStatus.IN_PROGRESS: "info", ServiceStatus.CLOSED: "",
}  # fmt: skip
PER = {
    Period.MONTH: _("a month"), Period.QUARTER: _("a quarter"), Period.HALF_YEAR: _("a half-year"),
    Period.YEAR: _("a year"), Period.ONCE: _("once"),
}  # fmt: skip
"""How often a price is to be paid, behind the amount."""


def service_line(service: Service) -> dict[str, Any]:
    price = Markup('{} <span class="per small faint">{}</span>').format(
        show_money(service.price, service.currency), str(PER[service.period])
    )
    return {
        "name": service.name, "detail": service.product.name, "url": f"/client/services/{service.id}",
        "kind": BADGES[service.status], "status": service.status.label, "price": price,
        "next": show_date(service.next_charge_on) if service.next_charge_on else None,
        "renewal": gettext("by itself") if service.auto_renew else gettext("by you"),
    }  # fmt: skip


def _visit(row: queries.VisitLine) -> dict[str, Any]:
    return {"text": row.staff or gettext("Our support"), "note": row.reason, "when": row.created_at}


async def _balance(session: AsyncSession, customer_id: int, add_url: str | None) -> dict[str, Any] | None:
    """Of the account that was opened first; the others stand with the payments."""
    query = select(Account).where(Account.customer_id == customer_id).order_by(Account.id).limit(1)
    account = await session.scalar(query)
    if account is None:
        return None
    return {
        "value": show_amount(account.balance, account.currency), "currency": account.currency, "note": None,
        "add_url": add_url,
    }  # fmt: skip


@get("/client", name="client.home")
async def home(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    ask = {"label": gettext("Ask a question"), "url": "/client/tickets/new", "icon": "headset"}
    may_pay, sees_money = may(view, "client.payment.add"), may(view, "client.invoices")
    sees_visits = view.is_visit or Right.DATA in view.rights
    async with db.reads() as session:
        messages, _more = await queries.inbox(session, customer_id, view.project_name, size=5, unread_only=True)
        balance = await _balance(session, customer_id, "/client/payments/new" if may_pay else None)
        return await respond(
            request, session, "client/home.html",
            balance=balance if sees_money else None,
            services=[service_line(s) for s in await queries.services(session, customer_id)],
            services_url="/client/services",
            messages=[m.shown() for m in messages],
            inbox_url="/client/messages",
            invoices=await open_ones(session, customer_id, may_pay=may_pay) if sees_money else [],
            visits=[_visit(v) for v in await queries.visits(session, customer_id)] if sees_visits else [],
            buttons=[ask] if may(view, "client.ticket.open") else [],
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
