"""The SQLAdmin application: its routes, made safe, with our pages in place of its own.

SQLAdmin as shipped serves any file that a text column names, exports unfiltered, acts on GET and knows no cross-site
protection. So its routes are replaced one by one; none of them stays that is not here. The guard stands in front.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import parse_qsl

from sqladmin import Admin
from sqladmin.authentication import login_required
from sqlalchemy import Select, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from admin_views import access, dashboard, screens
from admin_views.base import pages
from admin_views.base.buttons import MOST_OBJECTS, Button, Done, Press
from admin_views.base.fields import AppForm, set_currencies
from admin_views.base.frame import PIN_COOKIE, frame, here, pinned
from admin_views.base.listing import fetch, narrowed, parse_ids, read
from admin_views.base.screen import AppView, Related
from app import db, flash
from app.errors import AppError, Forbidden, Invalid, NotFound, TooLarge
from app.i18n import _, gettext
from app.observe import log
from app.render import TEMPLATES, page
from app.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]
STALE = _("Somebody else has saved this meanwhile. Your entries are still here; open it in a new tab to compare.")


class Panel(Admin):
    """SQLAdmin with our routes and pages. `settings` for what buttons need of it."""

    def __init__(self, host: Starlette, settings: Settings) -> None:
        super().__init__(
            host, session_maker=db.read_sessions(), base_url="/admin", title="Bursar", templates_dir=str(TEMPLATES),
            authentication_backend=access.Authentication(), authorization_backend=access.Grants(),
        )  # fmt: skip
        self.settings = settings
        self.admin.state.settings = settings
        get, both, post = ["GET"], ["GET", "POST"], ["POST"]
        self.admin.router.routes[:] = [
            Route("/", self.index, methods=get, name="index"),
            Route("/unpin", self.unpin, methods=post, name="unpin"),
            Route("/{identity}/list", self.list, methods=get, name="list"),
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
            AppError: self.refuse, HTTPException: self.refuse, DBAPIError: self.refuse, OverflowError: self.refuse,
            ValueError: self.refuse,
        }  # fmt: skip
        for view in screens.SCREENS:
            self.add_view(view)

    # ---- helpers ---------------------------------------------------------------------------------------------------

    @property
    def screens(self) -> list[AppView]:
        return cast("list[AppView]", self.views)

    def screen(self, request: Request, action: str) -> AppView:
        """The screen in the address. Raises NotFound, or Forbidden without the grant for `action`."""
        for view in self.screens:
            if view.identity == request.path_params["identity"]:
                access.need(request, view.identity, action)
                return view
        raise NotFound

    def other(self, identity: str) -> AppView:
        return next(v for v in self.screens if v.identity == identity)

    @asynccontextmanager
    async def frame(self, request: Request, **kwargs: Any) -> AsyncIterator[tuple[AsyncSession, dict[str, Any]]]:
        async with db.reads() as session:
            yield session, await frame(request, session, self.screens, **kwargs)

    async def respond(
        self, request: Request, template: str, status: int = 200, *, title: str, current: str = "",
        crumbs: list[dict[str, Any]] | None = None, **context: Any,
    ) -> Response:
        async with self.frame(request, title=title, current=current, crumbs=crumbs) as (_session, around):
            return HTMLResponse(page(template, frame=around, **context), status)  # fmt: skip

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Every refusal is a page with a sentence and the right status; the database's words are never shown."""
        if isinstance(error, HTTPException):
            status, message = error.status_code, gettext("This page does not exist.") if error.status_code == 404 else str(error.detail)  # fmt: skip
        elif isinstance(error, AppError):
            status, message = error.status, str(error)
        else:
            log("panel").warning("refused as bad input: %s", type(error).__name__, exc_info=error)
            status, message = 400, gettext("The address or the form holds a value that cannot be used.")
        if status == 401 or not request.session.get("staff_id"):
            return HTMLResponse(page("sqladmin/error.html", frame=None, status_code=status, message=message, home_url="/login"), status)  # fmt: skip
        return await self.respond(request, "sqladmin/error.html", status, title=gettext("Not possible"), status_code=status, message=message)  # fmt: skip

    # ---- pages ----------------------------------------------------------------------------------------------------

    @login_required
    async def index(self, request: Request) -> Response:
        async with self.frame(request, title=gettext("Dashboard"), current="index") as (session, around):
            context = await dashboard.context(request, session)
            return HTMLResponse(page("sqladmin/index.html", frame=around, **context))

    @login_required
    async def list(self, request: Request) -> Response:
        view = self.screen(request, "list")
        pin = pinned(request)
        asked = read(view, request.query_params.multi_items(), pin if view.of_customers(pin or (0,)) is not None else ())
        async with self.frame(request, title=str(view.name_plural), current=view.identity) as (session, around):
            shown = await pages.listing(request, session, view, await fetch(session, view, asked))
            response = HTMLResponse(page("sqladmin/list.html", frame=around, listing=shown))
        if "pin" in request.query_params:
            _keep_pin(response, pin)
        return response

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
                "record": pages.record_of(view, obj), "buttons": pages.card_buttons(request, view, obj),
                "strip": await view.strip(session, obj, request), "tabs": await self._tabs(request, session, view, obj, tab),
                "sections": sections, "side": side, **await view.card_context(session, obj, request),
            }  # fmt: skip
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
            other = self.other(r.identity)
            tabs.append({"label": r.label or other.name_plural, "url": f"{url}?tab={r.identity}", "current": r.identity == current, "count": None})  # fmt: skip
        return tabs

    async def _related(
        self, request: Request, session: AsyncSession, view: AppView, related: Related, obj: Any
    ) -> dict[str, Any]:
        other = self.other(related.identity)
        params = [(n, v) for n, v in request.query_params.multi_items() if n != "tab"]
        asked = read(other, params)
        rows = await fetch(session, other, asked, only=pages.related_condition(view, other, related, obj))
        fixed = f"tab={related.identity}"
        shown = pages.embedded(request, other, rows, view.card_url(view.pk_of(obj)), fixed)
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

    @login_required
    async def create(self, request: Request) -> Response:
        view = self.screen(request, "create")
        if not view.can_create or view.readonly:
            raise Forbidden
        return await self._form(request, view, None)

    @login_required
    async def edit(self, request: Request) -> Response:
        view = self.screen(request, "edit")
        if not view.can_edit or view.readonly:
            raise Forbidden
        return await self._form(request, view, request.path_params["pk"])

    async def _form(self, request: Request, view: AppView, pk: str | None) -> Response:
        posted = await _posted(request) if request.method == "POST" else None
        error: str | None = None
        warnings: list[Any] = []
        async with db.reads() as session:
            obj = await view.load(session, pk, *view.card_options()) if pk is not None else None
            kind = await view.form_class(session, obj)
            start = {**(view.form_data(obj) if obj is not None else {}), **await view.initial(session, obj)}
            form = kind(posted) if posted is not None else kind(data=start)
            set_currencies(form, getattr(obj, "currency", None))
            valid = posted is not None and form.validate()
            sound = await pages.resolve_lookups(session, form, check=posted is not None)
        if valid and sound and posted is not None:
            try:
                saved = await self._save(view, pk, view.values(form), posted.get("version"))
            except Invalid as problem:
                error = pages.place_errors(form, problem)
            except IntegrityError as problem:
                columns = db.violated(problem)
                taken = Invalid(**{columns[-1] if columns else "": gettext("This is already in use.")})
                error = pages.place_errors(form, taken)
            except StaleDataError:
                error = str(STALE)
            except AppError as problem:
                error = str(problem)
            else:
                target = view.card_url(view.pk_of(saved)) if view.has_card else view.list_url
                response = RedirectResponse(target, 303)
                said = gettext("Saved.") if pk else gettext("%(name)s is registered.") % {"name": view.row_label(saved)}
                flash.flash(request.scope, "ok", said)
                for warning in getattr(saved, "warnings", ()):
                    flash.flash(request.scope, "warn", str(warning))
                return response
        title = gettext("Edit: %(name)s") % {"name": view.title(obj)} if obj is not None else (view.create_label or gettext("New: %(noun)s") % {"noun": view.name})  # fmt: skip
        hidden = {}
        if obj is not None and (version := view.version_of(obj)) is not None:
            hidden["version"] = posted.get("version", version) if posted is not None else version
        context = {
            "page": {
                "title": title, "lede": None, "submit_label": gettext("Save") if obj is not None else (view.create_label or gettext("Create")),
                "submit_icon": None, "danger": False, "cancel_url": view.card_url(pk) if pk and view.has_card else view.list_url, "wide": False,
            },
            "form": form, "groups": pages.groups_of(view, form), "hidden": hidden, "error": error, "warnings": warnings,
            "enctype": "multipart/form-data", "confirm": None,
            **await self._form_extras(view, obj, form),
        }  # fmt: skip
        crumbs = [{"label": str(view.name_plural), "url": view.list_url}]
        if obj is not None:
            crumbs.append({"label": view.title(obj), "url": view.card_url(pk)})
        return await self.respond(
            request, view.form_template, 200 if posted is None else 422, title=title, current=view.identity,
            crumbs=[*crumbs, {"label": title, "url": None}], **context,
        )  # fmt: skip

    async def _form_extras(self, view: AppView, obj: Any, form: AppForm) -> dict[str, Any]:
        async with db.reads() as session:
            return await view.form_context(session, obj, form)

    async def _save(self, view: AppView, pk: str | None, values: dict[str, Any], seen: Any) -> Any:
        async with db.unit() as session:
            obj = None
            if pk is not None:
                obj = await view.load(session, pk, *view.edit_options())
                version = view.version_of(obj)
                if version is not None and seen is not None and str(version) != str(seen):
                    raise Invalid(str(STALE))
            return await view.save(session, obj, values)

    # ---- buttons ---------------------------------------------------------------------------------------------------

    @login_required
    async def press(self, request: Request) -> Response:
        slug = request.path_params["slug"]
        view = next((v for v in self.screens if v.identity == request.path_params["identity"]), None)
        button = next((b for b in view.all_buttons() if b.slug == slug), None) if view is not None else None
        if view is None or button is None:
            raise NotFound
        access.need(request, view.identity, button.action)
        posted = await _posted(request) if request.method == "POST" else None
        async with db.reads() as session:
            press = await self._target(request, session, view, button, posted)
            form = await button.flow.build(press, posted)
            valid = posted is not None and form.validate()
            sound = await pages.resolve_lookups(session, form, check=posted is not None)
            error: str | None = None
            asking: dict[str, Any] | None = None
            if posted is not None and valid and sound and not posted.get("_back"):
                try:
                    await button.flow.before(press, form)
                    asking = None if posted.get("_confirmed") else await button.flow.confirm(press, form)
                    await pages.resolve_lookups(session, form)
                    if asking is None:
                        return await self._act(request, press, form)
                except Invalid as problem:
                    error = pages.place_errors(form, problem)
                    asking = None
                except AppError as problem:
                    error, asking = str(problem), None
            context = await button.flow.context(press, form)
        return await self._button_page(request, press, form, asking, error, context, posted)

    async def _target(
        self, request: Request, session: AsyncSession, view: AppView, button: Button, posted: Any
    ) -> Press:
        source = posted if posted is not None else request.query_params
        if source.get("all") == "1":
            params = parse_qsl(source.get("query", "")) if posted is not None else request.query_params.multi_items()
            pin = parse_ids(dict(params).get("pin", "")) or pinned(request)
            asked = read(view, params, pin)
            press = Press(request, view, button, session, (), asked)
            statement = narrowed(view, asked).limit(MOST_OBJECTS + 1)
        else:
            pks = parse_ids(source.get("pks", ""))
            press = Press(request, view, button, session, pks, None)
            statement = select(view.model).where(view.pk_column.in_(pks))
        if button.flow.needs_rows and "head" not in button.on:
            press.objects = await self._objects(session, view, statement, press)
        elif press.pks:
            press.objects = await self._objects(session, view, statement, press)
        return press

    async def _objects(self, session: AsyncSession, view: AppView, statement: Select[Any], press: Press) -> list[Any]:
        if press.asked is not None and not press.button.flow.needs_rows:
            return []
        objects = list((await session.scalars(statement.options(*view.card_options()))).unique())
        if press.asked is None and len(objects) < len(press.pks) or not objects:
            raise NotFound(_("Nothing is chosen, or it does not exist any more."))
        if len(objects) > MOST_OBJECTS:
            raise TooLarge(_("This works on at most 1,000 rows at once. Narrow the list first."))
        return objects

    async def _act(self, request: Request, press: Press, form: AppForm) -> Response:
        try:
            async with db.unit() as session:
                writing = Press(press.request, press.view, press.button, session, press.pks, press.asked)
                if press.objects:
                    ids = [o.id for o in press.objects]
                    statement = select(press.view.model).where(press.view.pk_column.in_(ids))
                    writing.objects = list((await session.scalars(statement.options(*press.view.edit_options()))).unique())
                    if len(writing.objects) < len(ids):
                        raise NotFound
                outcome = await press.button.flow.act(session, writing, form)
        except (IntegrityError, StaleDataError):
            raise AppError(str(STALE), 409) from None
        done = outcome if isinstance(outcome, Done) else Done(outcome)
        back = press.view.card_url(press.pks[0]) if len(press.pks) == 1 and press.view.has_card else press.view.list_url
        response = RedirectResponse(done.url or back, 303)
        flash.flash(request.scope, done.kind, str(done.message))
        for cookie in done.cookies:
            response.headers.append("set-cookie", cookie)
        return response

    async def _button_page(
        self, request: Request, press: Press, form: AppForm, asking: dict[str, Any] | None, error: str | None,
        context: dict[str, Any], posted: Any,
    ) -> Response:
        view, button = press.view, press.button
        hidden = press.hidden
        if asking is not None:
            hidden = {**hidden, **pages.carried(form), "_confirmed": "1"}
        one = press.objects[0] if len(press.objects) == 1 else None
        label = str(button.label)
        crumbs = [{"label": str(view.name_plural), "url": view.list_url}]
        if one is not None and view.has_card:
            crumbs.append({"label": view.title(one), "url": view.card_url(view.pk_of(one))})
        merged = {
            "page": {
                "title": label, "lede": str(button.lede) or None, "submit_label": str(button.submit or button.label),
                "submit_icon": button.icon, "danger": button.danger, "wide": False,
                "cancel_url": crumbs[-1]["url"],
            },
            "form": form, "groups": button.flow.groups(press, form), "hidden": hidden, "error": error, "warnings": [],
            "enctype": "multipart/form-data", "confirm": asking, **context,
        }  # fmt: skip
        if asking is not None and "submit" in asking:
            merged["page"]["submit_label"] = asking["submit"]
        return await self.respond(
            request, button.flow.template, 200 if posted is None or asking is not None else 422, title=label,
            current=view.identity, crumbs=[*crumbs, {"label": label, "url": None}], **merged,
        )  # fmt: skip

    # ---- small answers ---------------------------------------------------------------------------------------------

    @login_required
    async def lookup(self, request: Request) -> Response:
        """Up to 20 rows for a typed look-up, by label, within the scope of the staff member."""
        view = next((v for v in self.screens if v.identity == request.path_params["identity"]), None)
        if view is None:
            raise NotFound
        users = [v for v in self.screens if any(r.mapper.class_ is view.model for r in v.mapper.relationships)]
        if not any(access.may(request, v.identity, a) for v in users for a in ("create", "edit", "list")):
            access.need(request, view.identity, "list")
        term = request.query_params.get("term", "")[:200].replace("\0", "")
        statement = select(view.model).limit(20)
        if term.strip() and (found := view.search(term)) is not None:
            statement = statement.where(found)
        async with db.reads() as session:
            rows = (await session.scalars(statement.order_by(*view.lookup_order()))).unique().all()
            results = [{"id": str(o.id), "text": view.lookup_label(o)} for o in rows]
        return JSONResponse({"results": results})

    @login_required
    async def data(self, request: Request) -> Response:
        """JSON for the scripts of a form, by name: a screen offers it as ``data_<name>``."""
        view = next((v for v in self.screens if v.identity == request.path_params["identity"]), None)
        source = getattr(view, f"data_{request.path_params['name']}", None)
        if view is None or source is None:
            raise NotFound
        async with db.reads() as session:
            return JSONResponse(await source(session, request))

    @login_required
    async def unpin(self, request: Request) -> Response:
        form = await _posted(request)
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


async def _posted(request: Request) -> Any:
    """The posted form; a form that cannot be read is the sender's error."""
    try:
        return await request.form(max_files=50, max_fields=2000, max_part_size=1024 * 1024)
    except HTTPException:
        raise AppError(_("The form could not be read. It may be too large."), 400) from None


def panel(settings: Settings) -> ASGIApp:
    """The panel as an ASGI application that expects paths under ``/admin``."""
    host = Starlette()
    host.router.redirect_slashes = False
    Panel(host, settings)
    return host


__all__ = ["Panel", "here", "panel"]
