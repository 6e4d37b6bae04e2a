"""What stands round every page of the client area: the customer, the menu, the banner of a visit."""

from __future__ import annotations

import math
from typing import Any

from litestar import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import sessions
from app.domain.sessions import SessionView
from app.errors import SignInNeeded
from app.flash import take_flashes
from app.i18n import LANGUAGES, gettext, language
from app.render import initials
from app.web import branding, render
from app.web.client import queries, settings
from app.web.client.access import may
from app.web.errors import path_of
from app.web.guard import visitor

Asked = Request[Any, Any, Any]
HTML = "text/html"


def me(request: Asked) -> tuple[SessionView, int]:
    """The signed-in person and the id of the customer that every query starts from."""
    view = visitor(request.scope)
    if view is None or view.customer_id is None:
        raise SignInNeeded
    return view, view.customer_id


def _nav(view: SessionView, path: str, unread: int) -> list[dict[str, Any]]:
    inside = path.startswith(("/client/messages", "/client/tickets"))
    funds = path.startswith(("/client/payments", "/client/expenses", "/client/statement"))
    items = [
        ("client.home", gettext("Overview"), "/client/", "home", path in ("/client", "/client/"), 0),
        ("client.services", gettext("Services"), "/client/services", "server-2", None, 0),
        ("client.messages", gettext("Messages"), "/client/messages", "inbox", inside, unread),
        ("client.invoices", gettext("Invoices"), "/client/invoices", "file-invoice", None, 0),
        ("client.payments", gettext("Payments"), "/client/payments", "credit-card", funds, 0),
        ("client.profile", gettext("Profile"), "/client/profile", "user-circle", settings.inside(path), 0),
    ]  # fmt: skip
    return [
        {"label": label, "url": url, "icon": icon, "count": count or None,
         "current": path.startswith(url) if here is None else here}
        for route, label, url, icon, here, count in items if may(view, route)
    ]  # fmt: skip


def _visit(view: SessionView) -> dict[str, Any] | None:
    if not view.is_visit:
        return None
    left = (view.expires_at - utcnow()).total_seconds()
    return {
        "staff": view.staff_name, "customer": view.customer_name, "reason": view.reason,
        "minutes": max(0, math.ceil(left / 60)), "return_url": "/client/leave",
        "mode_label": gettext("May act here") if view.may_act else gettext("Only looking"),
    }  # fmt: skip


def _here(path: str, query: str) -> str:
    """The address of this page for coming back to it; a refused answer stands on the page that it answers."""
    page, _slash, last = path.rpartition("/")
    return (page if last in ("answer", "reply") else path) + (f"?{query}" if query else "")


def frame_of(scope: Any, unread: int = 0) -> dict[str, Any] | None:
    """What client/frame.html needs and no database has to be asked for; None: nobody is inside an account."""
    view = visitor(scope)
    if view is None or view.customer_id is None:
        return None
    path, brand = path_of(scope), branding.shown(scope)
    query = scope.get("query_string", b"").decode("latin-1")
    person = view.user_name or view.customer_name
    return {
        "project": (brand or {"name": view.project_name, "hue": view.project_hue}) | {"url": "/client/"},
        "welcome": gettext("Welcome, %(name)s") % {"name": person},
        "customer": view.customer_name,
        "person": {"name": person, "initials": initials(person)},
        "profile_url": "/client/profile",
        "nav": _nav(view, path, unread),
        "tabs": settings.tabs(view, path) if settings.inside(path) else [],
        "visit": _visit(view),
        # the person's own choice: staff do not make it
        "languages": [] if view.is_visit else render.languages(scope["state"].get("languages", LANGUAGES)),
        "language_url": "/client/language",
        "logout_url": "/client/logout",
        "flashes": [],
        "accounts": [],
        "locale": language(),
        "here_url": _here(path, query if scope["method"] == "GET" else ""),
    }


async def _other_accounts(session: AsyncSession, view: SessionView) -> list[dict[str, Any]]:
    """The other customers whom the user serves, for the menu of the person."""
    if view.user_id is None:
        return []
    served = await sessions.customers_of(session, user_id=view.user_id)
    return [{"id": c.id, "name": c.name} for c in served if c.id != view.customer_id]


async def area(request: Asked, session: AsyncSession) -> dict[str, Any]:
    """The context `area` of client/frame.html."""
    view, customer_id = me(request)
    frame = frame_of(request.scope, await queries.count_unread(session, customer_id))
    if frame is None:
        raise SignInNeeded
    others = await _other_accounts(session, view)
    return frame | {"flashes": take_flashes(request.scope), "accounts": others}


async def respond(
    request: Asked, session: AsyncSession, template: str, status: int = 200, /, **context: Any
) -> Response[str]:
    """A page of the client area."""
    html = render.page(template, {"area": await area(request, session)}, **context)
    return Response(html, status_code=status, media_type=HTML)
