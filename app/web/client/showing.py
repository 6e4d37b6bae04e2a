"""Services and discounts in the words of customers: the labels of the panel are written for staff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import discounts
from app.domain.discounts import Case
from app.i18n import _, gettext, show_date, show_money, show_percent
from app.models.catalog import Period, Service, ServiceStatus
from app.models.customers import Customer
from app.models.discounts import Discount, DiscountKind, DiscountScope, DiscountTarget

PER = {
    Period.MONTH: _("a month"), Period.QUARTER: _("a quarter"), Period.HALF_YEAR: _("a half-year"),
    Period.YEAR: _("a year"), Period.ONCE: _("once"),
}  # fmt: skip
"""How often a price is to be paid, behind the amount."""
WHY = {
    "won": _("This one counts."),
    "priority": _("The one that counts comes before it."),
    "target": _("The one that counts is meant for you more closely."),
    "group": _("The one that counts comes before it."),
    "scope": _("The one that counts is meant for this product more closely."),
    "smaller": _("The one that counts saves you more."),
    "older": _("The one that counts saves you as much."),
}  # fmt: skip
"""Why a discount counts or does not; what could not count for this customer anyway is not told."""
FOR_WHOM = {
    DiscountTarget.ALL: _("for all customers"), DiscountTarget.GROUP: _("for some customers, and you are one of them"),
    DiscountTarget.CUSTOMER: _("for you"),
}  # fmt: skip
ON_WHAT = {
    DiscountScope.EVERYTHING: _("on everything"), DiscountScope.PROJECT: _("on everything"),
    DiscountScope.PRODUCT_GROUP: _("on products of this kind"), DiscountScope.PRODUCT: _("on this product"),
    DiscountScope.PERIOD: _("on this product, paid for this period"),
}  # fmt: skip


def state_of(service: Service) -> tuple[str, str, str]:
    """(kind of badge, words, a sentence that explains them)"""
    match service.status:
        case ServiceStatus.ORDERED if service.unpaid_since is not None:
            return "warn", gettext("Waits for payment"), gettext("It starts by itself as soon as the money is there.")
        case ServiceStatus.ORDERED:
            return "info", gettext("Ordered"), gettext("We have your order and set it up.")
        case ServiceStatus.IN_PROGRESS:
            return "info", gettext("Being set up"), gettext("We are setting it up.")
        case ServiceStatus.ACTIVE if service.unpaid_since is not None:
            said = gettext("The balance did not cover it on %(day)s. Please add funds, so that it goes on.")
            return "bad", gettext("Unpaid"), said % {"day": show_date(service.unpaid_since)}
        case ServiceStatus.ACTIVE if ends_by_itself(service):
            said = gettext("It is cancelled and runs until %(day)s.")
            return "warn", gettext("Ends soon"), said % {"day": show_date(service.next_charge_on)}  # type: ignore[arg-type]
        case ServiceStatus.ACTIVE:
            return "ok", gettext("Active"), gettext("Everything is in order.")
        case ServiceStatus.SUSPENDED if service.unpaid_since is not None:
            said = gettext("It was not paid and is stopped. It goes on as soon as the money is there.")
            return "bad", gettext("Stopped, unpaid"), said
        case ServiceStatus.SUSPENDED:
            return "warn", gettext("Stopped"), gettext("We have stopped it. Please ask us if you do not know why.")
        case _:
            return "", gettext("Ended"), gettext("It has ended.")


def ends_by_itself(service: Service) -> bool:
    """Whether it is cancelled for the end of its period."""
    return not service.auto_renew and service.period is not Period.ONCE and service.next_charge_on is not None


def price_of(minor: int, currency: str, period: Period) -> Markup:
    return Markup('{} <span class="per small faint">{}</span>').format(show_money(minor, currency), str(PER[period]))


async def own_lines(session: AsyncSession, customer: Customer, services: Sequence[Service]) -> list[dict[str, Any]]:
    """Services as lines, each at the price that this customer pays now."""
    rules = await discounts.rules(session, customers=Customer.id == customer.id)
    today = utcnow().date()

    def off(s: Service) -> int:
        case = Case(customer.id, customer.project_id, s.product_id, s.product.group_id, s.period, s.price, s.currency)
        return rules.find(case, max(s.next_charge_on or today, today)).amount_off

    return [service_line(s, off(s) if s.status is not ServiceStatus.CLOSED else 0) for s in services]


def service_line(service: Service, off: int = 0) -> dict[str, Any]:
    """off: what a discount takes off its price."""
    kind, status, about = state_of(service)
    once = service.period is Period.ONCE
    return {
        "name": service.name, "detail": service.product.name, "url": f"/client/services/{service.id}",
        "kind": kind, "status": status, "about": about,
        "price": price_of(service.price - off, service.currency, service.period),
        "next": show_date(service.next_charge_on) if service.next_charge_on else None,
        "renewal": "–" if once else gettext("by itself") if service.auto_renew else gettext("not renewed"),
    }  # fmt: skip


# ---- discounts ------------------------------------------------------------------------------------------------------


async def named(session: AsyncSession, explained: Sequence[dict[str, Any] | None]) -> dict[int, Discount]:
    """The discounts that these explanations speak of, whoever may see them."""
    ids = {d["id"] for e in explained if e for d in e["considered"] if d["why"] in WHY}
    if not ids:
        return {}
    rows = await session.scalars(select(Discount).where(Discount.id.in_(ids)).execution_options(unscoped=True))
    return {d.id: d for d in rows}


def told(explained: dict[str, Any] | None, known: dict[int, Discount]) -> dict[str, Any] | None:
    """An explanation for a customer: what was considered, what counts and why. Not by the names that staff gave: they
    are for staff. None where no discount had a say."""
    if not explained:
        return None
    price, currency, won = explained["list_price"], explained["currency"], explained["won"]
    lines = [
        {
            "text": _described(known.get(d["id"]), price, currency, d["off"]), "why": str(WHY[d["why"]]),
            "off": d["off"], "won": d["id"] == won,
        }
        for d in explained["considered"] if d["why"] in WHY
    ]  # fmt: skip
    if not lines:
        return None
    off = next((line["off"] for line in lines if line["won"]), 0)
    return {"lines": lines, "currency": currency, "list_price": price, "pays": price - off, "off": off}


def _described(discount: Discount | None, price: int, currency: str, off: int) -> str:
    """ "10 % off, for you, on everything"; of one that is gone or was changed since only that it was one."""
    if discount is None or discounts.amount_off(discount, price, currency) != off:
        return gettext("A discount")
    match discount.kind:
        case DiscountKind.PERCENT:
            what = gettext("%(percent)s off") % {"percent": show_percent(discount.percent)}
        case DiscountKind.AMOUNT:
            what = gettext("A fixed amount off")
        case _:
            what = gettext("A special price")
    return f"{what}, {FOR_WHOM[discount.target]}, {ON_WHAT[discount.scope]}"
