"""From a record to the context of card.html: who it is, its tabs, and what stands inside the one that is open."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views import access
from admin_views.base import pages
from admin_views.base.cells import relation_of
from admin_views.base.frame import hue_of
from admin_views.base.listing import Page, fetch, read
from admin_views.base.lists import Offer, offer, pager, table_of
from admin_views.base.plan import Plan, plan_of
from admin_views.base.screen import AppView, Related
from app import db
from app.db import BigId
from app.i18n import gettext, heading
from app.models import scope
from app.render import initials

Find = Callable[[str], AppView]
"""Gives the screen of that name."""

COUNTED = 99
"""A tab counts no further: "99+" says enough, and the database reads no more than that."""


def record_of(view: AppView, obj: Any) -> dict[str, Any]:
    responsible = view.responsible(obj)
    title = view.title(obj)
    return {
        "title": title,
        "initials": initials(title),
        "hue": view.hue(obj) or hue_of(title),
        "badge": view.badge(obj),
        "facts": view.facts(obj),
        "tags": view.tags(obj),
        "responsible": {"name": responsible, "initials": initials(responsible), "hue": hue_of(responsible)}
        if responsible
        else None,
    }


def card_buttons(plan: Plan, obj: Any) -> list[Offer]:
    view = plan.view
    pk = view.pk_of(obj)
    shown = [offer(b, b.url(view.identity, pk)) for b in plan.buttons["card"] if b.shown is None or b.shown(obj)]
    shown += [Offer(*link) for link in view.links(plan, obj)]
    if plan.may_edit and view.editable(obj):
        shown.insert(0, Offer(gettext("Edit"), f"/admin/{view.identity}/edit/{pk}", "pencil"))
    return sorted(shown, key=lambda b: b.primary)


def _key_to(view: AppView, other: AppView) -> str | None:
    """The column of the other screen that names this record."""
    for column in other.mapper.local_table.c:
        if any(k.column.table is view.mapper.local_table for k in column.foreign_keys):
            return str(other.mapper.get_property_by_column(column).key)
    return None


def related_condition(view: AppView, other: AppView, related: Related, obj: Any) -> ColumnElement[bool] | None:
    """Which rows of the other screen belong to this record."""
    if related.of is not None:
        return related.of(obj)
    if (key := _key_to(view, other)) is not None:
        condition: ColumnElement[bool] = getattr(other.model, key) == obj.id
        return condition
    return other.of_customers((obj.id,)) if view.identity == "customer" else None


def embedded(plan: Plan, page: Page, url: str, fixed: str) -> dict[str, Any]:
    """A list inside a card: the same screen, without boxes."""
    columns: list[dict[str, Any]] = [
        {"key": c.key, "label": c.label, "css": c.css, "sort_url": None, "sorted": None} for c in plan.columns
    ]
    view = plan.view
    return {
        "identity": view.identity,
        "rows": page.rows,
        "table": table_of(plan, page.rows, columns),
        "page": pager(url, page, fixed) if page.rows else None,
        "totals": [],
        "empty": {"icon": view.icon, "line": gettext("Nothing here yet"), "action_label": None, "action_url": None},
    }


# ---- tabs -----------------------------------------------------------------------------------------------------------


def open_tab(request: Request, view: AppView) -> Related | None:
    """The tab that the address names and the person may see; None is the summary."""
    wanted = request.query_params.get("tab", "")
    found = next((r for r in view.related if r.identity == wanted), None)
    return found if found is not None and access.may(request, found.identity, "list") else None


async def tabs(
    request: Request, session: AsyncSession, view: AppView, obj: Any, current: Related | None, find: Find
) -> list[dict[str, Any]]:
    shown = [r for r in view.related if access.may(request, r.identity, "list")]
    if not shown:
        return []
    url = view.card_url(view.pk_of(obj))
    counts = await _counts(session, view, [r for r in shown if r.counts], obj, find)
    made = [{"label": gettext("Summary"), "url": url, "current": current is None, "count": None}]
    for r in shown:
        made.append(
            {
                "label": heading(r.label, view.identity) if r.label else find(r.identity).name_plural,
                "url": f"{url}?tab={r.identity}",
                "current": r is current,
                "count": counts.get(r.identity),
            }
        )
    return made


async def _counts(
    session: AsyncSession, view: AppView, counted: list[Related], obj: Any, find: Find
) -> dict[str, str | None]:
    """How many rows each tab has, in one statement; None for none."""
    if not counted:
        return {}

    async def make() -> Select[Any]:
        record = SimpleNamespace(id=db.given("record", BigId))
        figures = []
        for r in counted:
            other = find(r.identity)
            condition = related_condition(view, other, r, record)
            assert condition is not None
            few = select(literal(1).label("one")).select_from(other.model).where(condition, *other.always())
            n = select(func.count()).select_from(few.limit(COUNTED + 1).subquery())
            figures.append(n.scalar_subquery().label(r.identity))
        return scope.limited(select(*figures))

    key = ("tabs", view.identity, tuple(r.identity for r in counted), scope.whose())
    [found] = await db.ask(session, key, make, record=obj.id)
    return {r.identity: _few(n) for r, n in zip(counted, found, strict=True)}


def _few(n: int) -> str | None:
    return f"{COUNTED}+" if n > COUNTED else str(n) if n else None


async def inside(
    request: Request, session: AsyncSession, view: AppView, obj: Any, tab: Related | None, find: Find
) -> dict[str, Any]:
    """What stands below the tabs. A script that shows another page of the main column asks for that alone."""
    if tab is not None:
        below = await view.tab_sections(session, obj, request, tab)
        below = [await _related(request, session, view, tab, obj, find), *below]
        return {"sections": pages.called(view, below), "side": []}
    sections = await view.sections(session, obj, request)
    alone = request.headers.get("x-fragment") == "main"
    side = [] if alone else await view.side(session, obj, request)
    return {"sections": pages.called(view, sections), "side": pages.called(view, side)}


async def _related(
    request: Request, session: AsyncSession, view: AppView, related: Related, obj: Any, find: Find
) -> dict[str, Any]:
    other = find(related.identity)
    params = [(n, v) for n, v in request.query_params.multi_items() if n != "tab"]
    key = _key_to(view, other)
    plan = plan_of(request, other).without(key)
    asked = read(plan, params).sound()
    rows = await fetch(session, plan, asked, only=related_condition(view, other, related, obj))
    fixed = f"tab={related.identity}"
    shown = embedded(plan, rows, view.card_url(view.pk_of(obj)), fixed)
    section = {"label": related.label or other.name_plural, "kind": "listing", "listing": shown}
    if key is not None and plan.may_create and (relation := relation_of(other.mapper, other.mapper.columns[key])):
        section["add_url"] = f"/admin/{other.identity}/create?{relation.key}={view.pk_of(obj)}"
    return section
