"""The look of lists: which columns they show, and views that are saved under a name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qsl

from sqladmin.authentication import login_required
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from wtforms import RadioField, SelectField, StringField, validators

from admin_views.base import AppForm, AppView
from admin_views.base.asked import ALL, SIZES, Asked
from admin_views.base.cells import esc
from admin_views.base.fields import focus_of, plain
from admin_views.base.frame import pinned
from admin_views.base.lists import PART
from admin_views.base.pages import place_errors
from admin_views.base.panel import Crumbs, PanelBase, packed, posted_form
from admin_views.base.plan import Plan, plan_of
from admin_views.base.views import as_opened, counts, may_share, open_list
from app import db, filters
from app.domain import views
from app.domain.views import WIDTHS, Columns, Shape
from app.errors import AppError, Forbidden, Invalid, NotFound
from app.flash import flash
from app.i18n import _, gettext
from app.models.staff import Role
from app.models.views import SavedView, ViewKind
from app.render import page

WIDTH_NAMES = {"narrow": _("narrow"), "": _("usual"), "wide": _("wide")}


class ViewForm(AppForm):
    name = StringField(_("Name"), [validators.InputRequired(), validators.Length(max=80), plain])


def _form(roles: list[Role], share: bool, posted: Any = None, data: dict[str, Any] | None = None) -> AppForm:
    fields: dict[str, Any] = {}
    if share:
        kinds = [(k.value, k.label) for k in ViewKind if k is not ViewKind.LOOK]
        fields["kind"] = RadioField(_("Who sees it"), choices=kinds, default=ViewKind.PRIVATE.value)
        offered = [("", ""), *((str(r.id), r.name) for r in roles)]
        fields["role"] = SelectField(
            _("Role"), [validators.Optional()], choices=offered, render_kw={"data-when": "kind=role"}
        )
    return cast(AppForm, type("SavedViewForm", (ViewForm,), fields)(posted, data=data))


class Viewing(PanelBase):
    # ---- columns ----------------------------------------------------------------------------------------------------

    @login_required
    async def choose_columns(self, request: Request) -> Response:
        view = self.screen(request, "list")
        plan = plan_of(request, view)
        if request.method == "GET":
            params = request.query_params.multi_items()
            async with db.reads() as session:
                asked = await open_list(session, plan, params, pinned(request))
            return await self._columns_page(request, plan, asked.query(), asked.shape, _order(plan, asked.columns))
        posted = await posted_form(request)
        query, op = str(posted.get("query", "")), str(posted.get("op", ""))
        async with db.reads() as session:
            asked = await open_list(session, plan, parse_qsl(query), pinned(request))
        if op == "reset":
            return await self._apply(request, plan, asked, Shape())
        shape, order = _chosen(plan, posted)
        if op.startswith(("earlier:", "later:")):
            return await self._columns_page(request, plan, query, shape, _moved(order, op))
        if not posted.getlist("show"):
            error = gettext("A list needs at least one column.")
            return await self._columns_page(request, plan, query, shape, order, error)
        return await self._apply(request, plan, asked, shape)

    async def _apply(self, request: Request, plan: Plan, asked: Asked, shape: Shape) -> Response:
        """In a saved view it is a change of what is shown; else the person wants this list so from now on."""
        if asked.saved.view is None:
            async with db.unit() as session:
                await views.keep_look(session, screen=plan.view.identity, shape=shape)
            asked = replace(asked, saved=replace(asked.saved, look=shape))
        query = asked.query(
            columns=shape.columns, sort=shape.sort, descending=shape.descending, size=shape.size or SIZES[0]
        )
        url = f"{plan.view.list_url}?{query}" if query else plan.view.list_url
        if "x-fragment" in request.headers:
            return JSONResponse({"url": url, "query": query})
        return RedirectResponse(url, 303)

    async def _columns_page(
        self, request: Request, plan: Plan, query: str, shape: Shape, order: list[str], error: str | None = None
    ) -> Response:
        known, widths = {c.key: c for c in plan.offered}, dict(shape.columns or ((c.key, "") for c in plan.columns))
        view = plan.view
        context = {
            "error": error,
            "query": query,
            "url": f"/admin/{view.identity}/columns",
            "list_url": f"{view.list_url}?{query}" if query else view.list_url,
            "columns": [
                {"key": key, "label": str(known[key].label), "shown": key in widths, "width": widths.get(key, "")}
                for key in order
            ],
            "widths": [(w, str(WIDTH_NAMES[w])) for w in WIDTHS],
            "sorts": [(c.key, str(c.label)) for c in plan.offered if c.key in plan.sortable],
            "sort": shape.sort,
            "descending": shape.descending,
            "sizes": SIZES,
            "size": shape.size or SIZES[0],
        }
        if "x-fragment" in request.headers:
            return packed(request, page("sqladmin/columns_form.html", **context), 422 if error else 200, vary=PART)
        title = gettext("Columns and order")
        crumbs: Crumbs = [{"label": str(view.name_plural), "url": view.list_url}, {"label": title, "url": None}]
        return await self.respond(
            request, "sqladmin/columns.html", 422 if error else 200, title=title, current=view.identity, crumbs=crumbs,
            **context,
        )  # fmt: skip

    # ---- views ------------------------------------------------------------------------------------------------------

    @login_required
    async def view_counts(self, request: Request) -> Response:
        """How many rows each view has, for the script that puts the figures into the tabs."""
        view = self.screen(request, "list")
        plan = plan_of(request, view)
        async with db.reads() as session:
            asked = await open_list(session, plan, [("view", ALL)], pinned(request) if view.reaches_customers else ())
        return JSONResponse(await counts(plan, asked))

    @login_required
    async def keep_view(self, request: Request) -> Response:
        """The form of a new view of what the list shows, and of one that there is; what it posts."""
        view = self.screen(request, "list")
        plan, share = plan_of(request, view), may_share(request)
        posted = await posted_form(request) if request.method == "POST" else None
        source = posted if posted is not None else request.query_params
        edited = _number(str(source.get("edit", "")))
        query = str(posted.get("query", "")) if posted is not None else request.url.query
        async with db.reads() as session:
            row = await _editable(session, view, edited, share) if edited is not None else None
            params = parse_qsl(query) if row is None or (posted is not None and posted.get("op") == "update") else []
            asked = await open_list(session, plan, params, ())
            roles = list(await session.scalars(select(Role).order_by(Role.name))) if share else []
            said = await _in_words(session, plan, row, asked)
        data = {"name": row.name, "kind": row.kind.value, "role": str(row.role_id or "")} if row is not None else None
        form, error = _form(roles, share, posted, data), None
        op = str(posted.get("op", "")) if posted is not None else ""
        if posted is not None and (op or form.validate()):
            try:
                return await self._keep(request, view, edited, op, form, asked)
            except Invalid as problem:
                error = place_errors(form, problem)
            except AppError as problem:
                error = str(problem)
        title = gettext("Save as a view") if row is None else gettext("View: %(name)s") % {"name": row.name}
        groups = [{"label": None, "help": None, "fields": [f.name for f in cast(Any, form)], "more": False}]
        cancel = f"{view.list_url}?view={edited}" if edited else f"{view.list_url}{f'?{query}' if query else ''}"
        crumbs: Crumbs = [{"label": str(view.name_plural), "url": view.list_url}, {"label": title, "url": None}]
        return await self.respond(
            request, "sqladmin/view_form.html", 200 if posted is None else 422, title=title, current=view.identity,
            crumbs=crumbs, form=form, groups=groups, error=error, warnings=[],
            hidden={"edit": str(edited)} if edited else {"query": query}, edited=edited,
            page={"title": title, "lede": said, "submit_label": gettext("Save"), "submit_icon": "bookmark",
                  "danger": False, "wide": False, "cancel_url": cancel, "focus": focus_of(form, groups, new=True)},
        )  # fmt: skip

    async def _keep(
        self, request: Request, view: AppView, edited: int | None, op: str, form: AppForm, asked: Asked
    ) -> Response:
        if edited is None or op == "update":
            asked.sound()
        shown: dict[str, Any] = {
            "shape": Shape(asked.columns, asked.sort, asked.descending, asked.size),
            "search": asked.search,
            "condition": filters.to_json(asked.condition) if asked.condition is not None else None,
        }
        kind = ViewKind(form["kind"].data) if "kind" in form and form["kind"].data else ViewKind.PRIVATE
        called: dict[str, Any] = {
            "name": form["name"].data or "",
            "kind": kind,
            "role_id": _number(form.data.get("role") or ""),
        }
        message, url = gettext("The view is saved."), ""
        async with db.unit() as session:
            if edited is None:
                if op:
                    raise NotFound(views.GONE)
                row = await views.save_view(session, screen=view.identity, **called, **shown)
            else:
                row = await _editable(session, view, edited, may_share(request))
                if "kind" not in form:
                    called["kind"] = row.kind
            if op == "update":
                await views.change_view(session, view=row, **shown)
            elif op in ("earlier", "later"):
                await views.move_view(session, view=row, later=op == "later")
                message, url = "", f"/admin/{view.identity}/view?edit={row.id}"
            elif op == "delete":
                await views.delete_view(session, view=row)
                message, url = gettext("The view is deleted."), f"{view.list_url}?view={ALL}"
            elif edited is not None:
                await views.call_view(session, view=row, **called)
            url = url or f"{view.list_url}?view={row.id}"
        if message:
            flash(request.scope, "ok", message)
        return RedirectResponse(url, 303)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


async def _editable(session: AsyncSession, view: AppView, view_id: int, share: bool) -> SavedView:
    row = await views.own_view(session, screen=view.identity, view_id=view_id)
    if row.kind is not ViewKind.PRIVATE and not share:
        raise Forbidden
    return row


async def _in_words(session: AsyncSession, plan: Plan, row: SavedView | None, asked: Asked) -> str:
    """What the view will show, or shows."""
    condition = asked.condition
    if row is None and asked.problem:
        return asked.problem
    if row is not None:
        opened = as_opened(plan, views.as_view(row))
        if opened.problem:
            return opened.problem
        condition = opened.condition
    search = row.search if row is not None else asked.search
    said = [gettext("Search: %(text)s") % {"text": search}] if search else []
    if condition is not None:
        said.append(filters.say(condition, plan.view.model, {}))
    return ". ".join(said)


def _order(plan: Plan, columns: Columns) -> list[str]:
    """Every column: those that are shown in their order, then the others."""
    first = [key for key, _width in columns] or [c.key for c in plan.columns]
    return list(dict.fromkeys([*first, *(c.key for c in plan.offered)]))


def _chosen(plan: Plan, posted: Any) -> tuple[Shape, list[str]]:
    """What the form says. Raises AppError 400 for what it cannot have said."""
    known, shown = {c.key for c in plan.offered}, set(posted.getlist("show"))
    order = list(dict.fromkeys(posted.getlist("order")))
    sort, size = str(posted.get("sort", "")), str(posted.get("size", SIZES[0]))
    if not {*order, *shown} <= known or (sort and sort not in plan.sortable) or size not in map(str, SIZES):
        raise AppError(_("The form names a column that this list does not have."), 400)
    order += [c.key for c in plan.offered if c.key not in order]
    widths = {key: str(posted.get(f"width:{key}", "")) for key in order}
    columns = tuple((key, widths[key] if widths[key] in WIDTHS else "") for key in order if key in shown)
    if columns == tuple((c.key, "") for c in plan.columns):
        columns = ()
    descending = posted.get("direction") == "down" if sort else True
    return Shape(columns, sort, descending, int(size)), order


def _moved(order: list[str], op: str) -> list[str]:
    way, _colon, key = op.partition(":")
    if key in order:
        at = order.index(key)
        order.insert(max(at + (1 if way == "later" else -1), 0), order.pop(at))
    return order


class SavedViews(AppView, model=SavedView):
    name, name_plural, icon, category = _("Saved view"), _("Saved views"), "bookmark", "Configuration"
    purpose = _("Views of lists that everybody sees, or the people of a role. They are made above the list itself.")
    leave_out = ("screen", "kind", "role_id")
    needs = ("screen",)
    can_create = False

    def by_pk(self, pk: str) -> Select[Any]:
        return super().by_pk(pk).where(*self.always())

    @staticmethod
    def cell_screen(obj: Any) -> str:
        return esc(_screen(obj.screen))

    def links(self, plan: Plan, obj: Any) -> list[tuple[Any, ...]]:
        url = f"/admin/{obj.screen}/list?view={obj.id}"
        return [(gettext("Open"), url, "external-link")]

    async def refusals(self, session: AsyncSession, obj: Any) -> list[str]:
        return [] if views.may_share() else [str(Forbidden())]

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        await views.call_view(session, view=obj, name=values["name"] or "", kind=obj.kind, role_id=obj.role_id)
        return obj


def _screen(identity: str) -> str:
    from admin_views.screens import SCREENS

    found = next((s for s in SCREENS if s.identity == identity), None)
    return str(found.name_plural) if found is not None else identity
