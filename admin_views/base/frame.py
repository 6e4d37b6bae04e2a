"""What stands round every page of the panel: menu, top bar, pinned customers, flashes."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import may
from admin_views.base.listing import parse_ids
from admin_views.base.screen import AppView
from app import flash
from app.errors import AppError
from app.i18n import LANGUAGES, _, gettext, language, show_number
from app.models.customers import Customer
from app.observe import actor
from app.render import initials, page

PIN_COOKIE = "bursar_pin"
GROUPS = (_("Customers"), _("Money"), _("Messages"), _("Configuration"))


def hue_of(name: str) -> int:
    """The same name has the same colour everywhere."""
    return sum(map(ord, name)) % 8 + 1


def here(request: Request) -> str:
    """The address of this page, as a path of ours."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def pinned(request: Request, *, strict: bool = True) -> tuple[int, ...]:
    """The customers that the whole panel is filtered by: the address says so, else the cookie.

    strict: an address that cannot be read raises AppError 400 instead of counting as none.
    """
    text = request.query_params.get("pin")
    try:
        return parse_ids(request.cookies.get(PIN_COOKIE, "") if text is None else text)
    except AppError:
        if text is not None and strict:
            raise
        return ()


async def frame(
    request: Request,
    session: AsyncSession,
    views: list[AppView],
    *,
    title: str,
    current: str = "",
    crumbs: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The context that panel.html needs."""
    pin = pinned(request, strict=False)
    me = request.session
    return {
        "title": title,
        "site": "Bursar",
        "home_url": "/admin/",
        "side": side(language(), await _menu(request, session, views, current, pin)),
        "person": {"name": me["name"], "initials": initials(me["name"]), "hue": hue_of(me["name"]), "url": None},
        "pin": await _pin(session, pin),
        "locale": language(),
        "languages": [{"code": c, "name": n, "current": c == language()} for c, n in LANGUAGES.items()],
        "language_url": "/language",
        "logout_url": "/logout",
        "search_url": "/admin/customer/list" if may(request, "customer", "list") else None,
        "search": request.query_params.get("search", "")[:200] if current == "customer" else "",
        "flashes": flash.take_flashes(request.scope),
        "crumbs": crumbs or [],
        "here_url": here(request),
    }


Item = tuple[str, str, str, bool, str | None]
"""Label, address, icon, whether it is this place, the figure beside it."""
Menu = tuple[tuple[str | None, tuple[Item, ...]], ...]


async def _menu(
    request: Request, session: AsyncSession, views: list[AppView], current: str, pin: tuple[int, ...]
) -> Menu:
    query = "?" + urlencode({"pin": ",".join(map(str, pin))}) if pin else ""
    groups: dict[str, list[Item]] = {}
    for view in views:
        if not view.category or not may(request, view.identity, "list"):
            continue
        url = view.list_url + (query if pin and view.of_customers(pin) is not None else "")
        count = await _count(session, view)
        item = (str(view.name_plural), url, view.icon, view.identity == current, count)
        groups.setdefault(str.__str__(view.category), []).append(item)
    home = (gettext("Dashboard"), "/admin/", "layout-dashboard", current == "index", None)
    return ((None, (home,)), *((gettext(g), tuple(groups[g])) for g in GROUPS if g in groups))


@lru_cache(maxsize=1024)
def side(_language: str, menu: Menu) -> Markup:
    """The side menu: it is the same on most pages, so it is rendered once per role, language and figures."""
    return Markup(page("panel_side.html", menu=menu, home_url="/admin/", site="Bursar"))  # noqa: S704


COUNTED_FOR = 3.0
"""Seconds that a figure beside a menu item may be old."""
_counted: dict[tuple[str, frozenset[int] | None, int | None], tuple[float, str | None]] = {}


async def _count(session: AsyncSession, view: AppView) -> str | None:
    waiting = view.waiting()
    if waiting is None:
        return None
    who = actor.get()
    key = (view.identity, who.projects, who.staff_id if who.projects is not None else None)
    kept = _counted.get(key)
    if kept is not None and kept[0] > time.monotonic():
        return kept[1]
    n = await session.scalar(select(func.count()).select_from(waiting.limit(1000).subquery())) or 0
    text = (show_number(n) if n < 1000 else "999+") if n else None
    if len(_counted) > 1000:
        _counted.clear()
    _counted[key] = (time.monotonic() + COUNTED_FOR, text)
    return text


async def _pin(session: AsyncSession, ids: tuple[int, ...]) -> dict[str, Any] | None:
    if not ids:
        return None
    names = list(await session.scalars(select(Customer.name).where(Customer.id.in_(ids[:3])).order_by(Customer.id)))
    label = ", ".join(names) if names else gettext("nobody")
    if len(ids) > 3:
        label = gettext("%(names)s and %(n)s more") % {"names": label, "n": len(ids) - 3}
    url = f"/admin/customer/details/{ids[0]}" if len(ids) == 1 else "/admin/customer/list"
    return {"label": label, "url": url, "remove_url": "/admin/unpin"}
