"""The SQLAdmin application: its routes, made safe, with our pages in place of its own.

SQLAdmin as shipped serves any file that a text column names, exports unfiltered, acts on GET and knows no cross-site
protection. So its routes are replaced one by one; none of them stays that is not here. The guard stands in front.
"""

from __future__ import annotations

from typing import Any

from sqladmin.authentication import login_required
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from admin_views import access, dashboard, screens, widgets
from admin_views.as_role import AsRole
from admin_views.base import card, lists, pages
from admin_views.base.editing import Editing
from admin_views.base.filterform import filter_form, sections
from admin_views.base.frame import PIN_COOKIE, configures, pinned
from admin_views.base.listing import fetch
from admin_views.base.panel import packed, posted_form
from admin_views.base.plan import Plan, plan_of
from admin_views.base.pressing import Pressing
from admin_views.base.views import may_share, open_list
from admin_views.conditions import Conditions
from admin_views.configuration import Configuring
from admin_views.design import Design
from admin_views.doubts import Doubts
from admin_views.messaging.preview import Previewing
from admin_views.notices import Notices
from admin_views.palette import Finding
from admin_views.profile import Profile
from admin_views.security import Security
from admin_views.setup import Setup
from admin_views.views import Viewing
from admin_views.widgets import Widgets
from app import db
from app.domain.config import setup
from app.errors import AppError, NotFound
from app.i18n import gettext
from app.render import TEMPLATES, page
from app.settings import Settings

Params = list[tuple[str, str]]


class Panel(
    Editing,
    Pressing,
    Finding,
    Notices,
    Profile,
    Security,
    Previewing,
    Doubts,
    Design,
    AsRole,
    Conditions,
    Widgets,
    Viewing,
    Configuring,
    Setup,
):
    """SQLAdmin with our routes and pages."""

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
        self.under(settings)
        get, both, post = ["GET"], ["GET", "POST"], ["POST"]
        self.admin.router.routes[:] = [
            Route("/", self.index, methods=get, name="index"),
            Route("/running", self.running, methods=get, name="running"),
            Route("/unpin", self.unpin, methods=post, name="unpin"),
            Route("/find", self.find_anything, methods=get, name="find"),
            Route("/notices", self.notices, methods=get, name="notices"),
            Route("/notices/seen", self.seen, methods=post, name="notices_seen"),
            Route("/profile", self.profile, methods=both, name="profile"),
            Route("/profile/password", self.password, methods=post, name="profile_password"),
            Route("/profile/sessions", self.sign_out_others, methods=post, name="profile_sessions"),
            Route("/profile/security", self.own_security, methods=both, name="profile_security"),
            Route("/profile/security/app", self.security_app, methods=["GET"], name="profile_security_app"),
            Route("/preview/end", self.preview_end, methods=post, name="preview_end"),
            Route("/widget", self.widget, methods=both, name="widget"),
            Route("/widgets", self.arrange, methods=post, name="widgets"),
            Route("/doubts", self.doubts, methods=post, name="doubts"),
            Route("/configuration", self.configuration, methods=get, name="configuration"),
            Route("/configuration/file", self.configuration_file, methods=get, name="configuration_file"),
            Route("/configuration/look", self.configuration_look, methods=post, name="configuration_look"),
            Route("/configuration/take", self.configuration_take, methods=post, name="configuration_take"),
            Route("/configuration/demo", self.demo_removal, methods=both, name="demo_removal"),
            Route("/configuration/demo/progress", self.demo_progress, methods=get, name="demo_progress"),
            Route("/modules", self.modules, methods=both, name="modules"),
            Route("/setup", self.setup, methods=both, name="setup"),
            Route("/setup/hide", self.setup_hide, methods=post, name="setup_hide"),
            Route("/design", self.design, methods=get, name="design"),
            Route("/message_template/preview", self.template_preview, methods=post, name="template_preview"),
            Route("/{identity}/list", self.rows, methods=get, name="list"),
            Route("/{identity}/filter", self.filter, methods=get, name="filter"),
            Route("/{identity}/fields", self.fields, methods=get, name="fields"),
            Route("/{identity}/condition", self.condition, methods=post, name="condition"),
            Route("/{identity}/columns", self.choose_columns, methods=both, name="columns"),
            Route("/{identity}/view", self.keep_view, methods=both, name="view"),
            Route("/{identity}/views", self.view_counts, methods=get, name="views"),
            Route("/{identity}/details/{pk}", self.details, methods=get, name="details"),
            Route("/{identity}/details/{pk}/part/{part}", self.part, methods=get, name="part"),
            Route("/{identity}/file/{pk}/{name}", self.file, methods=get, name="file"),
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

    def under(self, settings: Settings) -> None:
        """Serve with these settings and the database that is configured now."""
        self.admin.state.settings = settings
        self.session_maker.configure(bind=db.database().reader)

    # ---- pages ----------------------------------------------------------------------------------------------------

    @login_required
    async def index(self, request: Request) -> Response:
        if configures(request) and await setup.needed():
            return RedirectResponse("/admin/setup", 303)
        async with self.frame(request, title=gettext("Dashboard"), current="index") as (session, around):
            context = await dashboard.context(request, session)
            mine = await widgets.arranged(session, context)
            return packed(request, page("sqladmin/index.html", frame=around, **context, **mine))

    @login_required
    async def running(self, request: Request) -> Response:
        """What runs now, as a fragment of the first page that renews itself."""
        async with db.reads() as session:
            block = await dashboard.running(request, session)
        return HTMLResponse(page("sqladmin/running.html", block=block) if block is not None else "")

    @login_required
    async def rows(self, request: Request) -> Response:
        view = self.screen(request, "list")
        pin = pinned(request)
        params = request.query_params.multi_items()
        plan = plan_of(request, view)
        pins = pin if view.reaches_customers else ()
        if part := request.headers.get(lists.PART):
            response = await self._part_of_list(request, plan, params, pins, part)
        else:
            around_page = self.frame(request, title=str(view.name_plural), current=view.identity)
            async with around_page as (session, around):
                asked = await open_list(session, plan, params, pins)
                plan = plan.shown(asked.columns)
                page_of = await fetch(session, plan, asked)
                shown = await lists.listing(session, plan, page_of, share=may_share(request))
                html = page("sqladmin/list.html", frame=around, listing=shown)
            # programs learn by the status that the filter is broken, people by the page
            response = packed(request, html, 400 if asked.at_fault else 200, vary=lists.PART)
        if "pin" in request.query_params:
            _keep_pin(response, pin)
        return response

    @staticmethod
    async def _part_of_list(request: Request, plan: Plan, params: Params, pin: tuple[int, ...], part: str) -> Response:
        """What a script asks for instead of the page: what changes with the address, or only how many rows match."""
        async with db.reads() as session:
            asked = await open_list(session, plan, params, pin)
            plan = plan.shown(asked.columns)
            if part == "count":
                return JSONResponse(await lists.matching(session, plan, asked), headers=lists.VARY)
            shown = await lists.listing(session, plan, await fetch(session, plan, asked), share=may_share(request))
        status = 400 if asked.at_fault else 200
        return packed(request, page("sqladmin/list_part.html", listing=shown), status, vary=lists.PART)

    @login_required
    async def filter(self, request: Request) -> Response:
        """The filter form of a list, as a fragment: it is long, and most visits to a list do not open it."""
        view = self.screen(request, "list")
        params = request.query_params.multi_items()
        async with db.reads() as session:
            asked = await open_list(session, plan_of(request, view), params, pinned(request))
            form = filter_form(view, asked)
            await pages.resolve_lookups(session, form)
        hidden = lists.kept(asked, ())
        if asked.search:
            hidden["search"] = asked.search
        groups = sections(view, form, asked)
        return HTMLResponse(
            page("sqladmin/filter.html", form=form, groups=groups, hidden=hidden, problem=asked.problem)
        )

    @login_required
    async def details(self, request: Request) -> Response:
        """A card; for a script that has opened another tab, only what stands below the tabs."""
        view = self.screen(request, "details")
        tab = card.open_tab(request, view)
        if "x-fragment" in request.headers:
            async with db.reads() as session:
                obj = await view.card(session, request.path_params["pk"])
                inside = await card.inside(request, session, view, obj, tab, self.find)
            return HTMLResponse(page("sqladmin/card_tab.html", **inside))
        title = str(view.name_plural)
        async with self.frame(request, title=title, current=view.identity) as (session, around):
            obj = await view.card(session, request.path_params["pk"])
            if (elsewhere := view.elsewhere(obj)) is not None:
                return RedirectResponse(elsewhere, 303)
            around["title"] = view.title(obj)
            around["crumbs"] = [{"label": title, "url": view.list_url}, {"label": view.title(obj), "url": None}]
            context: dict[str, Any] = {
                "record": card.record_of(view, obj),
                "buttons": card.card_buttons(plan_of(request, view), obj),
                "strip": await view.strip(session, obj, request),
                "tabs": await card.tabs(request, session, view, obj, tab, self.find),
                **await card.inside(request, session, view, obj, tab, self.find),
                **await view.card_context(session, obj, request),
            }
            return packed(request, page("sqladmin/card.html", frame=around, **context))

    @login_required
    async def part(self, request: Request) -> Response:
        """A fragment of a card that renews itself, such as the progress of a campaign."""
        view = self.screen(request, "details")
        async with db.reads() as session:
            obj = await view.card(session, request.path_params["pk"])
            context = await view.card_context(session, obj, request)
        if request.path_params["part"] not in context:
            raise NotFound
        return HTMLResponse(page(f"sqladmin/{request.path_params['part']}.html", **context))

    @login_required
    async def file(self, request: Request) -> Response:
        """What is made of one row, to be kept or printed: a screen offers it as ``file_<name>``."""
        view = self.screen(request, "details")
        source = getattr(view, f"file_{request.path_params['name']}", None)
        if source is None:
            raise NotFound
        async with db.reads() as session:
            response: Response = await source(session, await view.card(session, request.path_params["pk"]), request)
        return response

    # ---- small answers ---------------------------------------------------------------------------------------------

    @login_required
    async def lookup(self, request: Request) -> Response:
        """Up to 20 rows for a typed look-up, by label, within the scope of the staff member."""
        view = self.find(request.path_params["identity"])
        if len(view.pk_props) > 1:  # a row with a key of several columns is never chosen in a form
            raise NotFound
        if not self.names_are_known(request, view.model):
            access.need(request, view.identity, "list")
        term = request.query_params.get("term", "")[:200].replace("\0", "")
        statement = view.offered(select(view.model).where(*view.always()).limit(20), request.query_params)
        if term.strip() and (found := view.search(term)) is not None:
            statement = statement.where(found)
        async with db.reads() as session:
            rows = (await session.scalars(statement)).unique().all()
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


def panel(settings: Settings) -> Starlette:
    """The panel as an ASGI application that expects paths under ``/admin``."""
    host = Starlette()
    host.router.redirect_slashes = False
    host.state.panel = Panel(host, settings)
    return host
