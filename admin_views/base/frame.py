"""What stands round every page of the panel: menu, top bar, pinned customers, flashes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import may
from admin_views.base.listing import parse_ids
from admin_views.base.screen import AppView
from app import flash
from app.errors import AppError
from app.i18n import LANGUAGES, gettext, language, show_number
from app.models.customers import Customer

PIN_COOKIE = "bursar_pin"
GROUPS = ("Customers", "Money", "Messages", "Configuration")


def initials(name: str) -> str:
    words = [w for w in name.replace("@", " ").split() if w[:1].isalnum()]
    return ("".join(w[0] for w in words[:2]) or name[:1] or "?").upper()


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
        "menu": await _menu(request, session, views, current, pin),
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


async def _menu(
    request: Request, session: AsyncSession, views: list[AppView], current: str, pin: tuple[int, ...]
) -> list[dict[str, Any]]:
    home = {
        "label": gettext("Dashboard"),
        "url": "/admin/",
        "icon": "layout-dashboard",
        "current": current == "index",
        "count": None,
        "hot": False,
    }
    groups: dict[str, list[dict[str, Any]]] = {}
    for view in views:
        if not view.category or not may(request, view.identity, "list"):
            continue
        query = urlencode({"pin": ",".join(map(str, pin))}) if pin and view.of_customers(pin) is not None else ""
        count = await _count(session, view)
        groups.setdefault(str.__str__(view.category), []).append(
            {
                "label": view.name_plural,
                "url": view.list_url + (f"?{query}" if query else ""),
                "icon": view.icon,
                "current": view.identity == current,
                "count": count,
                "hot": False,
            }
        )
    menu: list[dict[str, Any]] = [{"label": None, "items": [home]}]
    menu += [{"label": gettext(g), "items": groups[g]} for g in GROUPS if g in groups]
    return menu


async def _count(session: AsyncSession, view: AppView) -> str | None:
    waiting = view.waiting()
    if waiting is None:
        return None
    n = await session.scalar(select(func.count()).select_from(waiting.limit(1000).subquery())) or 0
    return (show_number(n) if n < 1000 else "999+") if n else None


async def _pin(session: AsyncSession, ids: tuple[int, ...]) -> dict[str, Any] | None:
    if not ids:
        return None
    names = list(await session.scalars(select(Customer.name).where(Customer.id.in_(ids[:3])).order_by(Customer.id)))
    label = ", ".join(names) if names else gettext("nobody")
    if len(ids) > 3:
        label = gettext("%(names)s and %(n)s more") % {"names": label, "n": len(ids) - 3}
    url = f"/admin/customer/details/{ids[0]}" if len(ids) == 1 else "/admin/customer/list"
    return {"label": label, "url": url, "remove_url": "/admin/unpin"}
