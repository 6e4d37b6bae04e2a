"""The widgets of the first page: what each shows, asked for by itself so that a slow one holds nothing up, and how the
person arranges them. Grants and scope are those of the moment in which it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl

from babel.dates import format_skeleton
from sqladmin.authentication import login_required
from sqlalchemy import Date, case, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from admin_views.access import may
from admin_views.base import AppView, plan_of
from admin_views.base.asked import Asked
from admin_views.base.cells import money, ready
from admin_views.base.figures import figure
from admin_views.base.listing import conditions, fetch, narrowed, parse_ids, read
from admin_views.base.panel import PanelBase, posted_form
from admin_views.base.pinning import moments, sums
from app import db
from app.domain import widgets
from app.errors import AppError, Invalid, NotFound
from app.flash import flash
from app.i18n import _, gettext, locale, show_date, show_number, zone
from app.models import scope
from app.models.widgets import Pace, Widget, WidgetKind
from app.render import page

ROWS = 6
CELLS = 2
"""Columns shown beside the name of a row."""
DAYS, MONTHS = 30, 12
MOST = 1_000_000
"""Counted up to here."""
BLOCKS = {
    "figures": _("At a glance"),
    "customers": _("New customers by day"),
    "money": _("Income and expenses"),
    "tickets": _("Waiting longest"),
    "running": _("Running now"),
    "campaigns": _("Latest campaigns"),
}
"""The blocks of the usual page, by name; see `app.domain.widgets.USUAL`."""
OF_KIND = {"chart": "customers", "income": "money", "works": "campaigns"}
"""Kind of a block of the dashboard -> its name, where they differ."""


async def arranged(session: AsyncSession, context: dict[str, Any]) -> dict[str, Any]:
    """What index.html needs to show the widgets of the person in their order; `cells` is None for the usual page."""
    rows = await widgets.mine(session)
    own = bool(rows)
    rows = rows or await widgets.of_roles(session)
    if not rows:
        return {"cells": None, "missing": [], "own": False}
    present: dict[str, list[dict[str, Any]]] = {"figures": [{"kind": "figures"}]} if context["strip"] else {}
    for block in context["blocks"]:
        present.setdefault(OF_KIND.get(block["kind"], block["kind"]), []).append(block)
    cells = []
    for row in rows:
        block = row.kind is WidgetKind.BLOCK
        if block and row.screen not in present:
            continue  # nothing to see, or not for this person
        title = str(BLOCKS.get(row.screen, row.screen)) if block else row.title
        cells.append({"id": row.id, "title": title, "wide": row.wide, "blocks": present.get(row.screen, []) if block
                      else [], "saved": not block, "chart": row.kind is WidgetKind.CHART})  # fmt: skip
    shown = {row.screen for row in rows if row.kind is WidgetKind.BLOCK}
    missing = [(name, str(label)) for name, label in BLOCKS.items() if name in present and name not in shown]
    return {"cells": cells, "missing": missing, "breaches": present.get("breaches", []), "own": own}


# ---- what a widget shows --------------------------------------------------------------------------------------------


async def shown(request: Request, session: AsyncSession, find: Callable[[str], AppView], row: Widget) -> dict[str, Any]:
    """The context of widget.html. What cannot be shown (any more) says why."""
    told = {"title": row.title, "kind": row.kind.value, "id": row.id, "url": None, "broken": None}
    try:
        view = find(row.screen)
    except NotFound:
        return {**told, "broken": gettext("Its screen does not exist any more.")}
    if not may(request, view.identity, "list"):
        return {**told, "broken": gettext("Your role does not let you see this any more: %(screen)s.") %
                {"screen": view.name_plural}}  # fmt: skip
    plan = plan_of(request, view)
    try:
        asked = read(plan, parse_qsl(row.query)).sound()
        told["url"] = f"{view.list_url}?{row.query}" if row.query else view.list_url
        made: dict[str, Any]
        match row.kind:
            case WidgetKind.SUM:
                made = await _sum(session, view, asked, row)
            case WidgetKind.CHART:
                made = await _chart(session, view, asked, row)
            case WidgetKind.ROWS:
                found = await fetch(session, plan, replace(asked, size=ROWS))
                cells = [c for c in plan.columns if c.css != "id" and "lead" not in c.css.split()][:CELLS]
                made = {"rows": [{
                    "url": view.card_url(view.pk_of(obj)) if plan.linked else None,
                    "label": view.row_label(obj),
                    "cells": [ready(html) for c in cells if (html := c.cell(obj))],
                } for obj in found.rows]}  # fmt: skip
            case _:
                n = await _kept(row, partial(_count, session, view, asked))
                made = {"figure": show_number(n) if n <= MOST else f"{show_number(MOST)}+"}
    except AppError as problem:
        return {**told, "broken": gettext("This filter cannot be used any more. %(why)s") % {"why": problem}}
    except DBAPIError as problem:
        if not db.took_too_long(problem):
            raise
        return {**told, "broken": gettext("Counting this takes too long. Narrow the list and pin it again.")}
    return {**told, **made}


async def _kept(row: Widget, make: Callable[[], Any]) -> Any:
    name = f"widget {row.kind.value} {row.screen}?{row.query} {row.column} {row.pace.value}"
    return await figure(name, make)


async def _count(session: AsyncSession, view: AppView, asked: Asked) -> int:
    where = conditions(view, asked)
    await db.weigh(session, where)
    if not where and scope.whose() is None:
        return await db.estimated_rows(session, view.mapper.persist_selectable)
    inner = select(literal(1).label("one")).select_from(view.model).where(*where).limit(MOST + 1)
    return await session.scalar(select(func.count()).select_from(inner.subquery())) or 0


async def _sum(session: AsyncSession, view: AppView, asked: Asked, row: Widget) -> dict[str, Any]:
    if row.column not in dict(sums(view)):
        raise Invalid(gettext("The column is gone."))
    info = view.mapper.column_attrs[row.column].columns[0].info
    currency, amount = getattr(view.model, info["currency"]), getattr(view.model, row.column)

    async def make() -> list[tuple[str, int]]:
        statement = narrowed(view, asked).with_only_columns(currency, func.sum(amount), maintain_column_froms=True)
        found = await session.execute(statement.group_by(currency).order_by(currency))
        return [(code, int(total)) for code, total in found if total is not None]

    return {"sums": [ready(money(total, code)) for code, total in await _kept(row, make)], "of": info["label"]}


def _starts(pace: Pace) -> list[datetime]:
    """The beginnings of the days or months that a chart shows, and of the one after them, in the reader's zone."""
    today = db.utcnow().astimezone(zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    if pace is Pace.DAY:
        first = today.date() - timedelta(days=DAYS - 1)
        days = [first + timedelta(days=n) for n in range(DAYS + 1)]
    else:
        months = [today.year * 12 + today.month - MONTHS + n for n in range(MONTHS + 1)]
        days = [date(m // 12, m % 12 + 1, 1) for m in months]
    return [datetime(d.year, d.month, d.day, tzinfo=zone()) for d in days]


async def _chart(session: AsyncSession, view: AppView, asked: Asked, row: Widget) -> dict[str, Any]:
    if row.column not in dict(moments(view)):
        raise Invalid(gettext("The column is gone."))
    column, starts = getattr(view.model, row.column), _starts(row.pace)
    plain_days = isinstance(view.mapper.column_attrs[row.column].columns[0].type, Date)
    edges: list[Any] = [s.date() for s in starts] if plain_days else starts
    n = len(edges) - 1

    async def make() -> list[int]:
        where = [*conditions(view, asked), column >= edges[0], column < edges[-1]]
        await db.weigh(session, where)
        at = case(*((column < edge, i) for i, edge in enumerate(edges[1:])), else_=n)
        counted = select(at.label("at"), func.count()).select_from(view.model).where(*where).group_by("at")
        found: dict[int, int] = {row[0]: row[1] for row in await session.execute(counted)}
        return [found.get(i, 0) for i in range(n)]

    numbers = await _kept(row, make)
    words = [_word(s, row.pace) for s in starts[:-1]]
    most = max(range(n), key=lambda i: numbers[i])
    sentence = gettext("%(n)s in all, most of them %(when)s: %(most)s.") % {
        "n": show_number(sum(numbers)), "when": words[most][0], "most": show_number(numbers[most]),
    }  # fmt: skip
    return {
        "chart": {
            "id": f"widget-{row.id}", "kind": "bars", "label": row.title,
            "sentence": sentence if sum(numbers) else gettext("Nothing in this time."),
            "head": gettext("Day") if row.pace is Pace.DAY else gettext("Month"), "series": [str(view.name_plural)],
            "rows": [(long, short, [many]) for (long, short), many in zip(words, numbers, strict=True)],
            "url": f"{view.list_url}?{row.query}" if row.query else view.list_url,
        }
    }  # fmt: skip


def _word(start: datetime, pace: Pace) -> tuple[str, str]:
    if pace is Pace.DAY:
        return show_date(start, "medium"), format_skeleton("MMMd", start, tzinfo=zone(), locale=locale())
    long, short = (format_skeleton(s, start, tzinfo=zone(), locale=locale()) for s in ("yMMMM", "MMM"))
    return long, short


# ---- arranging ------------------------------------------------------------------------------------------------------


def _number(text: object) -> int:
    """Raises NotFound for what is no id."""
    given = str(text or "")
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise NotFound
    return int(given)


class Widgets(PanelBase):
    @login_required
    async def widget(self, request: Request) -> Response:
        """GET: what one widget shows, as a fragment. POST: one of the things that its menu offers."""
        if request.method == "GET":
            async with db.reads() as session:
                row = await widgets.one(session, _number(request.query_params.get("id")), to_see=True)
                return HTMLResponse(page("sqladmin/widget.html", widget=await shown(request, session, self.find, row)))
        form = await posted_form(request)
        what, at = str(form.get("do", "")), _number(form.get("id"))
        async with db.unit() as session:
            row = await widgets.one(session, at)
            match what:
                case "earlier" | "later":
                    await widgets.move(session, widget=row, step=-1 if what == "earlier" else 1)
                case "wide" | "narrow":
                    await widgets.resize(session, widget=row, wide=what == "wide")
                case "rename":
                    await widgets.rename(session, widget=row, title=str(form.get("title", "")))
                case "remove":
                    await widgets.remove(session, widget=row)
                    flash(request.scope, "ok", gettext("Taken off your dashboard."))
                case _:
                    raise Invalid(gettext("This cannot be done with a widget."))
        return RedirectResponse("/admin/" if what == "remove" else f"/admin/#w-{at}", 303)

    @login_required
    async def arrange(self, request: Request) -> Response:
        """The whole page: begin to arrange it, another order, a block of the usual page again, or all as usual."""
        form = await posted_form(request)
        async with db.unit() as session:
            match str(form.get("do", "")):
                case "begin":
                    await widgets.begin(session)
                case "reset":
                    await widgets.reset(session)
                    flash(request.scope, "ok", gettext("Your dashboard is arranged as usual again."))
                case "block" if form.get("name") in BLOCKS:
                    await widgets.put_back(session, name=cast(str, form["name"]))
                case "order":
                    await widgets.order(session, ids=parse_ids(str(form.get("ids", ""))))
                case _:
                    raise Invalid(gettext("This cannot be done with the dashboard."))
        return RedirectResponse("/admin/", 303)
