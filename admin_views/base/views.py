"""Saved views above a list: which one is open, how it differs from what is shown, the tabs and their figures."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import granted, may
from admin_views.base.asked import ALL, NOBODY, SIZES, Asked, Opened, Saved
from admin_views.base.listing import count, read, total_text
from admin_views.base.plan import Plan
from app import db, filters
from app.domain import views
from app.domain.views import Shape, View
from app.errors import NotFound
from app.i18n import _, gettext
from app.models import scope

COUNTED_FOR = 20.0
"""Seconds that the figure of a tab may be old."""
MANY = "…"
"""The figure of a tab that takes too long to count."""
PARTS = {
    "columns": _("columns"), "sort": _("order"), "size": _("rows per page"), "search": _("search"),
    "filter": _("filter"),
}  # fmt: skip


def may_share(request: Request) -> bool:
    """Whether this person may make views that others see."""
    return may(request, "saved_view", "edit") and views.may_share()


async def open_list(
    session: AsyncSession, plan: Plan, params: Sequence[tuple[str, str]], pin: tuple[int, ...] = ()
) -> Asked:
    """What the address of a list asks for, with the saved view that it names or that opens by itself. Raises AppError
    400 with a sentence, NotFound for a view that is not there for this person."""
    look, known = await views.of(session, plan.view.identity)
    named = any(v.default for v in known)
    wanted = dict(params).get("view", "")
    opened = None
    if wanted and wanted != ALL:
        opened = next((v for v in known if str(v.id) == wanted), None)
        if opened is None:
            raise NotFound(views.GONE)
    elif not wanted and not any(name not in ("pin", "all", "pks", "query") for name, _value in params):
        opened = next((v for v in known if v.default), None)
    tabs = tuple(v for v in known if v.listed or v is opened)
    view = as_opened(plan, opened) if opened is not None else None
    return read(plan, params, pin, Saved(fitting(plan, look), view, named, tabs))


def fitting(plan: Plan, shape: Shape) -> Shape:
    """What of a stored shape there still is for this person."""
    known = {c.key for c in plan.offered}
    columns = tuple(c for c in shape.columns if c[0] in known)
    ordered = shape if shape.sort in plan.sortable else replace(shape, sort="", descending=True)
    return replace(ordered, columns=columns, size=shape.size if shape.size in SIZES else 0)


def as_opened(plan: Plan, view: View) -> Opened:
    shape, problem, model = fitting(plan, view.shape), "", plan.view.model
    mine = view.mine or (granted(plan.grants, "saved_view", "edit") and views.may_share())
    params: tuple[tuple[str, str], ...] = ()
    condition: filters.Condition | None = None
    if view.condition:
        try:
            condition = filters.parse(view.condition, model, plan.may_filter)
            params = tuple(filters.to_query(condition, model))
        except filters.FilterProblem as found:
            condition, problem = NOBODY, _why(plan, view, found)
            # shown to those who can mend it; nobody else learns what it asks
            told = view.condition if mine else filters.to_json(NOBODY)
            params = ((filters.WHOLE, json.dumps(told, ensure_ascii=False)),)
    gone = len(view.shape.columns) - len(shape.columns)
    return Opened(view.id, view.name, shape, view.search, params, condition, problem, gone, mine)


def _why(plan: Plan, view: View, problem: filters.FilterProblem) -> str:
    try:
        filters.parse(view.condition, plan.view.model)
    except filters.FilterProblem:
        return gettext("The filter of this view cannot be used any more, so it finds nothing. %(why)s") % {
            "why": problem.reason
        }
    return gettext("The filter of this view asks for rows that you may not see, so it finds nothing for you.")


# ---- what stands above the list -----------------------------------------------------------------------------------


def bar(plan: Plan, asked: Asked, own: Sequence[Mapping[str, Any]], share: bool) -> dict[str, Any]:
    """The tabs, and what is different from the view that is open. own: the tabs of the screen itself."""
    saved, url = asked.saved, plan.view.list_url
    tabs = [_own(tab, asked) for tab in own]
    if saved.tabs and not tabs:
        plain = saved.view is None and not asked.query(pin=()).removeprefix(f"view={ALL}")
        tabs = [_own({"label": gettext("All"), "url": url, "current": plain, "count": None}, asked)]
    counts_url = None
    for view in saved.tabs:
        figure = db.kept().get(_key(plan, asked, view))
        current = saved.view is not None and saved.view.id == view.id
        if figure is None:
            counts_url = f"/admin/{plan.view.identity}/views"
        tabs.append({"id": view.id, "label": view.name, "url": f"{url}?view={view.id}", "current": current,
                     "count": figure})  # fmt: skip
    return {
        "tabs": tabs,
        "counts_url": counts_url,
        "open": None if saved.view is None else _open(plan, asked, saved.view, share),
    }


def _own(tab: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """A tab of the screen itself; that of all rows has to say so where a view opens by itself."""
    url = str(tab["url"])
    return {**tab, "id": None, "url": url if "?" in url or not asked.saved.named else f"{url}?view={ALL}"}


def _open(plan: Plan, asked: Asked, view: Opened, share: bool) -> dict[str, Any]:
    me, changeable = plan.view.identity, view.mine or share
    query = asked.query()
    gone = gettext("%(n)s of its columns are gone, or not for you.") % {"n": view.gone} if view.gone else ""
    return {
        "id": view.id,
        "name": view.name,
        "gone": gone,
        "changed": [str(PARTS[part]) for part in asked.differences],
        "query": query,
        "save_url": f"/admin/{me}/view" if changeable else None,
        "edit_url": f"/admin/{me}/view?edit={view.id}" if changeable else None,
        "undo_url": f"{plan.view.list_url}?view={view.id}",
    }


# ---- figures --------------------------------------------------------------------------------------------------------


def _key(plan: Plan, asked: Asked, view: View) -> tuple[Any, ...]:
    told = json.dumps(view.condition, sort_keys=True)
    return ("view", plan.view.identity, view.search, told, asked.pin, scope.whose(), plan.grants)


async def counts(plan: Plan, asked: Asked) -> dict[str, str]:
    """How many rows each view has, by its id; empty for one that is broken. Each is asked for by itself, so that one
    that takes too long costs the others nothing."""
    found = {}
    for view in asked.saved.tabs:
        key, opened = _key(plan, asked, view), as_opened(plan, view)
        figure: str | None = db.kept().get(key)
        if figure is None:
            begin = time.monotonic()
            figure = "" if opened.problem else await _figure(plan, opened, asked.pin)
            db.kept().put(key, figure, max(COUNTED_FOR, 20 * (time.monotonic() - begin)))
        found[str(view.id)] = figure
    return found


async def _figure(plan: Plan, view: Opened, pin: tuple[int, ...]) -> str:
    narrow = Asked(search=view.search, filter_params=view.params, condition=view.condition, pin=pin)
    try:
        async with db.reads() as session:
            return total_text(*await count(session, plan, narrow))
    except DBAPIError as problem:
        if not db.took_too_long(problem):
            raise
        return MANY
