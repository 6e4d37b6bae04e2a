"""The SQLAdmin application: its routes, made safe, with our pages in place of its own.

SQLAdmin as shipped serves any file that a text column names, exports unfiltered, acts on GET and knows no cross-site
protection. So its routes are replaced one by one; none of them stays that is not here. The guard stands in front.
"""

from __future__ import annotations

from typing import Any

from sqladmin.authentication import login_required
from sqlalchemy import Select, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from admin_views import access, dashboard, screens
from admin_views.base import pages
from admin_views.base.editing import Editing
from admin_views.base.frame import PIN_COOKIE, pinned
from admin_views.base.listing import fetch, read
from admin_views.base.panel import posted_form
from admin_views.base.plan import plan_of
from admin_views.base.pressing import Pressing
from admin_views.base.screen import AppView, Related
from admin_views.design import Design
from app import db
from app.errors import AppError, NotFound
from app.i18n import gettext
from app.render import TEMPLATES, page
from app.settings import Settings


class Panel(Editing, Pressing, Design):
    """SQLAdmin with our routes and pages. `settings` for what buttons need of it."""

    def __init__(self, host: Starlette, settings: Settings) -> None:
        super().__init__(
            host,
            session_maker=db.read_sessions(),
            base_url="/admin",
            title="Bursar",
            templates_dir=str(TEMPLATES),
            authentication_backend=access.Authentication(),
            authorization_backend=access.Authorization(),
        )
        self.settings = settings
        self.admin.state.settings = settings
        get, both, post = ["GET"], ["GET", "POST"], ["POST"]
        self.admin.router.routes[:] = [
            Route("/", self.index, methods=get, name="index"),
            Route("/unpin", self.unpin, methods=post, name="unpin"),
            Route("/design", self.design, methods=get, name="design"),
            Route("/{identity}/list", self.rows, methods=get, name="list"),
            Route("/{identity}/filter", self.filter, methods=get, name="filter"),
            Route("/{identity}/details/{pk}", self.details, methods=get, name="details"),
            Route("/{identity}/details/{pk}/part/{part}", self.part, methods=get, name="part"),
            Route("/{identity}/create", self.create, methods=both, name="create"),
            Route("/{identity}/edit/{pk}", self.edit, methods=both, name="edit"),
            Route("/{identity}/action/{slug}", self.press, methods=both, name="press"),
            Route("/{identity}/lookup", self.lookup, methods=get, name="ajax_lookup"),
            Route("/{identity}/data/{name}", self.data, methods=get, name="data"),
        ]
        self.admin.router.redirect_slashes = False
        self.admin.exception_handlers = {
            AppError: self.refuse,
            HTTPException: self.refuse,
            DBAPIError: self.refuse,
            OverflowError: self.refuse,
            ValueError: self.refuse,
            PoolTimeout: self.busy,
            Exception: self.broken,
        }
        for view in screens.SCREENS:
            self.add_view(view)
        for made in self.screens:
            _ = made.reaches_customers  # two equally short ways to the customer fail here, at the start

    # ---- pages ----------------------------------------------------------------------------------------------------

    @login_required
    async def index(self, request: Request) -> Response:
        async with self.frame(request, title=gettext("Dashboard"), current="index") as (session, around):
            context = await dashboard.context(request, session)
            return HTMLResponse(page("sqladmin/index.html", frame=around, **context))

    @login_required
    async def rows(self, request: Request) -> Response:
        view = self.screen(request, "list")
        pin = pinned(request)
        params = request.query_params.multi_items()
        plan = plan_of(request, view)
        asked = read(plan, params, pin if view.reaches_customers else ())
        async with self.frame(request, title=str(view.name_plural), current=view.identity) as (session, around):
            shown = await pages.listing(session, plan, await fetch(session, plan, asked))
            response = HTMLResponse(page("sqladmin/list.html", frame=around, listing=shown))
        if "pin" in request.query_params:
            _keep_pin(response, pin)
        return response

    @login_required
    async def filter(self, request: Request) -> Response:
        """The filter form of a list, as a fragment: it is long, and most visits to a list do not open it."""
        view = self.screen(request, "list")
        params = request.query_params.multi_items()
        asked = read(plan_of(request, view), params, pinned(request))
        form = pages.filter_form(view, asked)
        async with db.reads() as session:
            await pages.resolve_lookups(session, form)
        hidden = pages.kept(asked, {n: v for n, v in asked.filter_params if n not in form})
        if asked.search:
            hidden["search"] = asked.search
        return HTMLResponse(page("sqladmin/filter.html", form=form, hidden=hidden))

    @login_required
    async def details(self, request: Request) -> Response:
        view = self.screen(request, "details")
        title = str(view.name_plural)
        async with self.frame(request, title=title, current=view.identity) as (session, around):
            obj = await view.load(session, request.path_params["pk"], *view.card_options())
            around["title"] = view.title(obj)
            around["crumbs"] = [{"label": title, "url": view.list_url}, {"label": view.title(obj), "url": None}]
            tab = request.query_params.get("tab", "")
            related = next((r for r in view.related if r.identity == tab), None)
            if related is not None and access.may(request, related.identity, "list"):
                sections, side = [await self._related(request, session, view, related, obj)], []
            else:
                tab = ""
                sections = await view.sections(session, obj, request)
                side = await view.side(session, obj, request)
            context: dict[str, Any] = {
                "record": pages.record_of(view, obj),
                "buttons": pages.card_buttons(plan_of(request, view), obj),
                "strip": await view.strip(session, obj, request),
                "tabs": await self._tabs(request, session, view, obj, tab),
                "sections": sections,
                "side": side,
                **await view.card_context(session, obj, request),
            }
            return HTMLResponse(page("sqladmin/card.html", frame=around, **context))

    async def _tabs(
        self, request: Request, session: AsyncSession, view: AppView, obj: Any, current: str
    ) -> list[dict[str, Any]]:
        shown = [r for r in view.related if access.may(request, r.identity, "list")]
        if not shown:
            return []
        url = view.card_url(view.pk_of(obj))
        tabs = [{"label": gettext("Summary"), "url": url, "current": not current, "count": None}]
        for r in shown:
            other = self.find(r.identity)
            tabs.append(
                {
                    "label": r.label or other.name_plural,
                    "url": f"{url}?tab={r.identity}",
                    "current": r.identity == current,
                    "count": None,
                }
            )
        return tabs

    async def _related(
        self, request: Request, session: AsyncSession, view: AppView, related: Related, obj: Any
    ) -> dict[str, Any]:
        other = self.find(related.identity)
        params = [(n, v) for n, v in request.query_params.multi_items() if n != "tab"]
        plan = plan_of(request, other)
        asked = read(plan, params)
        rows = await fetch(session, plan, asked, only=pages.related_condition(view, other, related, obj))
        fixed = f"tab={related.identity}"
        shown = pages.embedded(plan, rows, view.card_url(view.pk_of(obj)), fixed)
        return {"label": related.label or other.name_plural, "kind": "listing", "listing": shown}

    @login_required
    async def part(self, request: Request) -> Response:
        """A fragment of a card that renews itself, such as the progress of a campaign."""
        view = self.screen(request, "details")
        async with db.reads() as session:
            obj = await view.load(session, request.path_params["pk"], *view.card_options())
            context = await view.card_context(session, obj, request)
        if request.path_params["part"] not in context:
            raise NotFound
        return HTMLResponse(page(f"sqladmin/{request.path_params['part']}.html", **context))

    # ---- small answers ---------------------------------------------------------------------------------------------

    @login_required
    async def lookup(self, request: Request) -> Response:
        """Up to 20 rows for a typed look-up, by label, within the scope of the staff member."""
        view = self.find(request.path_params["identity"])
        if len(view.pk_props) > 1:  # a row with a key of several columns is never chosen in a form
            raise NotFound
        users = [v for v in self.screens if any(r.mapper.class_ is view.model for r in v.mapper.relationships)]
        if not any(access.may(request, v.identity, a) for v in users for a in ("create", "edit", "list")):
            access.need(request, view.identity, "list")
        term = request.query_params.get("term", "")[:200].replace("\0", "")
        statement: Select[Any] = select(view.model).where(*view.always()).limit(20)
        if term.strip() and (found := view.search(term)) is not None:
            statement = statement.where(found)
        async with db.reads() as session:
            rows = (await session.scalars(statement.order_by(*view.lookup_order()))).unique().all()
            results = [{"id": str(o.id), "text": view.lookup_label(o)} for o in rows]
        return JSONResponse({"results": results})

    @login_required
    async def data(self, request: Request) -> Response:
        """JSON for the scripts of a form, by name: a screen offers it as ``data_<name>``."""
        view = self.find(request.path_params["identity"])
        source = getattr(view, f"data_{request.path_params['name']}", None)
        if source is None:
            raise NotFound
        access.need(request, view.identity, "list")
        async with db.reads() as session:
            return JSONResponse(await source(session, request))

    @login_required
    async def unpin(self, request: Request) -> Response:
        form = await posted_form(request)
        where = str(form.get("next", "/admin/"))
        path, _mark, query = where.partition("?")
        if not path.startswith("/admin/") or "//" in path or "\\" in path:
            path, query = "/admin/", ""
        kept = "&".join(p for p in query.split("&") if p and not p.startswith("pin="))
        response = RedirectResponse(f"{path}?{kept}" if kept else path, 303)
        _keep_pin(response, ())
        return response


def _keep_pin(response: Response, ids: tuple[int, ...]) -> None:
    if ids:
        response.set_cookie(PIN_COOKIE, ",".join(map(str, ids)), path="/admin", httponly=True, samesite="lax")
    else:
        response.delete_cookie(PIN_COOKIE, path="/admin")


def panel(settings: Settings) -> ASGIApp:
    """The panel as an ASGI application that expects paths under ``/admin``."""
    host = Starlette()
    host.router.redirect_slashes = False
    Panel(host, settings)
    return host
