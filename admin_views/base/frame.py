"""What stands round every page of the panel: menu, top bar, pinned customers, flashes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup, escape
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import granted, grants_of, may
from admin_views.base import news
from admin_views.base.listing import parse_ids
from admin_views.base.screen import AppView
from app import db, flash
from app.db import utcnow
from app.domain.config.planning import CONFIGURE
from app.domain.previews import Preview
from app.errors import AppError
from app.i18n import LANGUAGES, _, gettext, language, named, show_number
from app.models import scope
from app.models.customers import Customer
from app.observe import actor
from app.render import initials, page

PIN_COOKIE = "bursar_pin"
SITE = "Bursar"
MENU = "menu"
"""The screen under which the headings of the menu can be renamed."""
GROUPS = tuple(
    named(heading, MENU, str.__str__(heading))
    for heading in (_("Customers"), _("Money"), _("Messages"), _("Configuration"))
)
HOME = (named(_("Dashboard"), MENU, "Dashboard"), "/admin/", "layout-dashboard", "h")
"""The first page: label, address, icon, and its key after "g"."""


PAGES = (
    (_("Modules"), "/admin/modules", "adjustments-horizontal", "modules"),
    (_("Configuration"), "/admin/configuration", "settings", "configuration"),
)
"""Pages in the menu that are no screens: label, address, icon, name."""


def configures(request: Request) -> bool:
    """Whether the person may change the configuration as a whole: that of all projects."""
    return may(request, *CONFIGURE) and actor.get().projects is None


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
    name = request.session["name"]
    return {
        "title": title,
        "site": SITE,
        "side": side(language(), await _menu(request, session, views, current, pin)),
        "top": top(
            language(),
            (name, initials(name), hue_of(name)),
            await _pin(session, pin),
            may(request, "customer", "list"),
            await news.unseen(request, session, views),
        ).replace(HERE, escape(here(request))),
        "over": over(language(), request.session["staff_id"], places(request, views)),
        "look": look(*request.session["look"]),
        "locale": language(),
        "flashes": flash.take_flashes(request.scope),
        "crumbs": crumbs or [],
        "preview": preview_bar(request),
    }


def preview_bar(request: Request) -> dict[str, Any] | None:
    """What stands above every page while somebody sees the panel as a role (`admin_views/as_role.py`)."""
    now: Preview | None = request.scope["state"].get("preview")
    if now is None:
        return None
    left = max(1, round((now.until - utcnow()).total_seconds() / 60))
    return {"role": now.role, "project": now.project, "left": left, "less": now.less, "end_url": "/admin/preview/end"}


Item = tuple[str, str, str, bool, str | None]
"""Label, address, icon, whether it is this place, the figure beside it."""
Menu = tuple[tuple[str | None, tuple[Item, ...]], ...]


async def _menu(
    request: Request, session: AsyncSession, views: list[AppView], current: str, pin: tuple[int, ...]
) -> Menu:
    query = "?" + urlencode({"pin": ",".join(map(str, pin))}) if pin else ""
    groups: dict[str, list[Item]] = {}
    grants = grants_of(request)
    for view in views:
        if not view.category or not granted(grants, view.identity, "list"):
            continue
        url = view.list_url + (query if view.reaches_customers else "")
        count = await _count(session, view)
        item = (str(view.name_plural), url, view.icon, view.identity == current, count)
        groups.setdefault(str.__str__(view.category), []).append(item)
    for label, address, icon, name in PAGES if configures(request) else ():
        groups.setdefault("Configuration", []).append((gettext(label), address, icon, name == current, None))
    home = (str(HOME[0]), *HOME[1:3], current == "index", None)
    return ((None, (home,)), *((str(g), tuple(groups[g])) for g in GROUPS if g in groups))


@lru_cache(maxsize=256)
def side(_language: str, menu: Menu) -> Markup:
    """The side menu: it is the same on most pages, so it is rendered once per role, language and figures."""
    return Markup(page("panel_side.html", menu=menu, home_url="/admin/", site=SITE))  # noqa: S704


HERE = "\0here"


@lru_cache(maxsize=256)
def top(code: str, person: tuple[str, str, int], pin: tuple[str, str] | None, finds: bool, bell: str) -> Markup:
    """The top bar, with `HERE` in place of the page's address. person: name, initials, hue. pin: label and address.
    finds: with the search box for browsers without scripts. bell: how much is new."""
    context = {
        "person": dict(zip(("name", "initials", "hue"), person, strict=True)),
        "pin": {"label": pin[0], "url": pin[1], "remove_url": "/admin/unpin"} if pin else None,
        "languages": [{"code": c, "name": n, "current": c == code} for c, n in LANGUAGES.items()],
        "search_url": "/admin/customer/list" if finds else None,
        "here_url": HERE,
        "bell": bell,
        "notices_url": "/admin/notices",
        "profile_url": "/admin/profile",
        "language_url": "/language",
        "logout_url": "/logout",
    }
    return Markup(page("panel_top.html", **context))  # noqa: S704


Place = tuple[str, str, str]
"""Key after "g", label, address."""


def places(request: Request, views: list[AppView]) -> tuple[Place, ...]:
    """The screens with a key of their own that the person may open."""
    home, url, _icon, letter = HOME
    grants = grants_of(request)
    mine = [v for v in views if v.letter and granted(grants, v.identity, "list")]
    shown = [(v.letter, str(v.name_plural), v.list_url) for v in mine]
    return ((letter, str(home), url), *shown)


@lru_cache(maxsize=256)
def over(_language: str, person: int, targets: tuple[Place, ...]) -> Markup:
    """What scripts open over a page: the command palette and the sheet of the keys."""
    context = {"person": person, "targets": targets, "find_url": "/admin/find", "profile_url": "/admin/profile"}
    return Markup(page("panel_over.html", **context))  # noqa: S704


@lru_cache(maxsize=32)
def look(theme: str, density: str, shortcuts: bool) -> dict[str, str | None]:
    """How the person wants the panel: attributes of the page for the styles and the scripts."""
    return {
        "data-account": theme,
        "data-theme": None if theme == "system" else theme,
        "data-density": None if density == "normal" else density,
        "data-keys": None if shortcuts else "off",
    }


COUNTED_FOR = 3.0
"""Seconds that a figure beside a menu item may be old."""


async def _count(session: AsyncSession, view: AppView) -> str | None:
    if not view.counts:
        return None

    async def make() -> int:
        waiting = view.waiting()
        assert waiting is not None
        return await session.scalar(select(func.count()).select_from(waiting.limit(1000).subquery())) or 0

    n = await db.kept().of(("menu", view.identity, scope.whose()), make, COUNTED_FOR)
    return (show_number(n) if n < 1000 else "999+") if n else None


async def _pin(session: AsyncSession, ids: tuple[int, ...]) -> tuple[str, str] | None:
    """Who is pinned, and the address of the chip."""
    if not ids:
        return None
    names = list(await session.scalars(select(Customer.name).where(Customer.id.in_(ids[:3])).order_by(Customer.id)))
    label = ", ".join(names) if names else gettext("nobody")
    if len(ids) > 3:
        label = gettext("%(names)s and %(n)s more") % {"names": label, "n": len(ids) - 3}
    url = f"/admin/customer/details/{ids[0]}" if len(ids) == 1 else "/admin/customer/list"
    return label, url
