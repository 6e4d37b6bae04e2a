"""What the customer was charged, with the reason of each price."""

from __future__ import annotations

from datetime import date
from typing import Any

from litestar import Response, get
from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain.customers.merging import family
from app.errors import NotFound
from app.i18n import gettext, show_date, show_money, show_percent
from app.models.billing import Cover, Expense
from app.models.catalog import Service
from app.web.client.area import Asked, me, respond
from app.web.client.showing import named, told
from app.web.forms import number

URL = "/client/expenses"
PAGE = 50


async def lines_of(
    session: AsyncSession, customer_id: int, *, service_id: int | None = None, limit: int = PAGE,
    before: tuple[date, int] | None = None, year: int | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Expenses as lines, the newest first. before: (day, id) of the last line of the page before this one."""
    query = select(Expense).where(Expense.customer_id.in_(family(customer_id)))
    if service_id is not None:
        query = query.where(Expense.service_id == service_id)
    if year is not None:
        query = query.where(Expense.on_day >= date(year, 1, 1), Expense.on_day <= date(year, 12, 31))
    if before is not None:
        day, last = before
        query = query.where(or_(Expense.on_day < day, and_(Expense.on_day == day, Expense.id < last)))
    rows = (await session.scalars(query.order_by(Expense.on_day.desc(), Expense.id.desc()).limit(limit))).all()
    known = await named(session, [e.explained for e in rows])
    return [
        {
            "id": e.id, "mark": f"{e.on_day.isoformat()}_{e.id}", "day": show_date(e.on_day), "text": e.description,
            "amount": show_money(e.amount, e.currency), "period": _period(e), "items": _items(e),
            "explained": told(e.explained, known), "back": e.reversed_by_id is not None,
            "service_url": f"/client/services/{e.service_id}" if e.service_id else None,
        }
        for e in rows
    ]  # fmt: skip


def _period(expense: Expense) -> str:
    if expense.period_from is None or expense.period_to is None:
        return ""
    last = date.fromordinal(expense.period_to.toordinal() - 1)
    return gettext("%(first)s to %(last)s") % {"first": show_date(expense.period_from), "last": show_date(last)}


def _items(expense: Expense) -> list[dict[str, Any]]:
    """How the amount came about."""
    items: list[dict[str, Any]] = []
    if expense.discount:
        items.append({"label": gettext("Discount"), "value": show_money(-expense.discount, expense.currency)})
    if expense.tax:
        items += [
            {"label": gettext("Without tax"), "value": show_money(expense.net, expense.currency)},
            {"label": gettext("Tax") + (f" {show_percent(expense.tax_rate)}" if expense.tax_rate else ""),
             "value": show_money(expense.tax, expense.currency)},
        ]  # fmt: skip
    if expense.covered_by is Cover.CREDIT:
        items.append({"label": gettext("Paid by"), "value": gettext("Credit: it is still to be paid")})
    return items


def _before(text: str) -> tuple[date, int] | None:
    day, _mark, last = text.partition("_")
    if not text:
        return None
    try:
        return date.fromisoformat(day), number(last)
    except ValueError:
        raise NotFound from None


def year_of(text: str) -> int | None:
    """A year from an address; None for all of them. Raises NotFound for what is none."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) == 4 and int(text) >= 1900):
        raise NotFound
    return int(text)


def years(first: date | None, chosen: int | None, url: str, more: str = "") -> list[dict[str, Any]]:
    """Links to the years from the first one on, the newest first; none where there is one year only."""
    now = utcnow().year
    begin = first.year if first else now
    if begin >= now and chosen is None:
        return []
    rest = f"&{more}" if more else ""
    shown = [{"label": gettext("All years"), "url": f"{url}?{more}" if more else url, "current": chosen is None}]
    shown += [
        {"label": str(y), "url": f"{url}?year={y}{rest}", "current": y == chosen}
        for y in range(now, max(begin, now - 9) - 1, -1)
    ]
    return shown


@get(URL, name="client.expenses")
async def index(request: Asked) -> Response[Any]:
    """The list, of all services or of one."""
    _view, customer_id = me(request)
    asked = request.query_params
    year, service_id = year_of(asked.get("year", "")), asked.get("service", "")
    async with db.reads() as session:
        service = None
        if service_id:
            query = select(Service).where(Service.id == number(service_id), Service.customer_id == customer_id)
            if (service := await session.scalar(query)) is None:
                raise NotFound
        lines = await lines_of(
            session, customer_id, service_id=service.id if service else None, limit=PAGE + 1,
            before=_before(asked.get("before", "")), year=year,
        )  # fmt: skip
        first = await session.scalar(
            select(Expense.on_day).where(Expense.customer_id.in_(family(customer_id))).order_by(Expense.on_day).limit(1)
        )
        rest = "&".join(
            f"{name}={value}" for name, value in (("year", year), ("service", service and service.id)) if value
        )
        more = f"{URL}?{rest + '&' if rest else ''}before={lines[PAGE - 1]['mark']}" if len(lines) > PAGE else None
        return await respond(
            request, session, "client/expenses.html", lines=lines[:PAGE], more_url=more,
            service={"name": service.name, "url": URL} if service else None,
            years=years(first, year, URL, f"service={service.id}" if service else ""),
        )  # fmt: skip


HANDLERS = [index]
