"""Create and edit: one form, one transaction, every error at its field, nothing typed is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from sqladmin.authentication import login_required
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from wtforms import HiddenField

from admin_views.base import custom, inplace, pages
from admin_views.base.cells import ready
from admin_views.base.conditions import keep_stored
from admin_views.base.fields import SAFE_INTEGER, AppForm, ChoiceField, LookupField, ask_again, focus_of, set_currencies
from admin_views.base.lists import PART
from admin_views.base.panel import STALE, PanelBase, packed, posted_form
from admin_views.base.plan import plan_of
from admin_views.base.screen import AppView
from app import db
from app.errors import AppError, Forbidden, Invalid
from app.flash import flash
from app.i18n import gettext
from app.render import page


class Stale(AppError):
    """Somebody else has saved the row since this form was made."""

    status = 409


def changed_meanwhile(view: AppView, obj: Any, form: AppForm) -> list[Any]:
    """One line per column in which the saved row differs from what was typed: the person then decides."""
    now, fields = view.form_data(obj), cast(Any, form)
    lines = []
    for name in map(str, view.form_columns):
        if name not in fields or plain_value(now[name]) == plain_value(fields[name].data):
            continue
        prop = view.prop_of(name)
        shown = ready(view.cell(prop)(obj)) or "–"
        lines.append(ready("<b>{}</b>: {}").format(str(fields[name].label.text), shown))
    return lines + custom.changed_meanwhile(view.model, obj, fields)


def plain_value(value: Any) -> str:
    """A value as far as a form can show it: a moment to the minute."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    return "" if value is None else str(value)


class Editing(PanelBase):
    @login_required
    async def create(self, request: Request) -> Response:
        view = self.screen(request, "create")
        if not plan_of(request, view).may_create:
            raise Forbidden
        return await self._form(request, view, None)

    @login_required
    async def edit(self, request: Request) -> Response:
        view = self.screen(request, "edit")
        if not plan_of(request, view).may_edit:
            raise Forbidden
        return await self._form(request, view, request.path_params["pk"])

    async def _form(self, request: Request, view: AppView, pk: str | None) -> Response:
        posted = await posted_form(request) if request.method == "POST" else None
        seen = posted.get("version") if posted is not None else None
        error: str | None = None
        warnings: list[Any] = []
        async with db.reads() as session:
            obj = await view.load(session, pk, *view.card_options()) if pk is not None else None
            kind = await view.form_class(session, obj)
            start = {**(view.form_data(obj) if obj is not None else {}), **await view.initial(session, obj)}
            form = kind(posted) if posted is not None else kind(data=start)
            if posted is None and pk is None:
                _begin_with(form, request)
            set_currencies(form, getattr(obj, "currency", None))
            keep_stored(form, start)
            look = posted is not None and bool(posted.get("_look")) and bool(view.look_template)
            sent = posted is not None and not look
            valid = sent and form.validate()
            sound = await pages.resolve_lookups(session, form, check=sent)
        if look and request.headers.get(PART) == "look":
            return packed(request, page(view.look_template, **await self._form_extras(view, obj, form)), vary=PART)
        if valid and sound and posted is not None:
            try:
                saved = await self._save(view, pk, view.values(form), posted.get("version"))
            except Invalid as problem:
                error = pages.place_errors(form, problem)
            except IntegrityError as problem:
                columns = db.violated(problem)
                taken = Invalid(**{columns[-1] if columns else "": gettext("This is already in use.")})
                error = pages.place_errors(form, taken)
            except (Stale, StaleDataError):
                error = str(STALE)
                async with db.reads() as session:
                    obj = await view.load(session, pk or "", *view.card_options())
                    warnings = changed_meanwhile(view, obj, form)
                seen = view.version_of(obj)
            except AppError as problem:
                error = str(problem)
            else:
                target = view.card_url(view.pk_of(saved)) if view.has_card else view.list_url
                response = RedirectResponse(target, 303)
                said = gettext("Saved.") if pk else gettext("%(name)s is registered.") % {"name": view.row_label(saved)}
                flash(request.scope, "ok", said)
                for warning in getattr(saved, "warnings", ()):
                    flash(request.scope, "warn", str(warning))
                return response
        title = (
            gettext("Edit: %(name)s") % {"name": view.title(obj)}
            if obj is not None
            else (view.creating or gettext("New: %(noun)s") % {"noun": view.name})
        )
        hidden = {}
        if obj is not None and (version := view.version_of(obj)) is not None:
            hidden["version"] = seen if seen is not None else version
        if sent:
            ask_again(form)
        groups = pages.groups_of(plan_of(request, view), form)
        custom.offer(groups, view.model, plan_of(request, view).grants)
        inplace.offer_new(request, self.find, form)
        context = {
            "page": {
                "title": title,
                "lede": None,
                "submit_label": gettext("Save") if obj is not None else (view.creating or gettext("Create")),
                "submit_icon": None,
                "danger": False,
                "cancel_url": view.card_url(pk) if pk and view.has_card else view.list_url,
                "wide": False,
                "focus": focus_of(form, groups, new=obj is None),
            },
            "form": form,
            "groups": groups,
            "hidden": hidden,
            "error": error,
            "warnings": warnings,
            "enctype": "multipart/form-data",
            "confirm": None,
            **await self._form_extras(view, obj, form),
        }
        context["groups"] = pages.called(view, cast("list[dict[str, Any]]", context["groups"]))
        crumbs = [{"label": str(view.name_plural), "url": view.list_url}]
        if obj is not None:
            crumbs.append({"label": view.title(obj), "url": view.card_url(pk)})
        return await self.respond(
            request,
            view.form_template,
            422 if sent else 200,
            title=title,
            current=view.identity,
            crumbs=[*crumbs, {"label": title, "url": None}],
            **context,
        )

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
                    raise Stale(str(STALE))
                for name, value in values.items():  # the form knows no seconds: what was not touched stays
                    if isinstance(value, datetime) and plain_value(getattr(obj, name, None)) == plain_value(value):
                        values[name] = getattr(obj, name)
            return await view.save(session, obj, values)


def _begin_with(form: Any, request: Request) -> None:
    """A new row for something: the address names it (``?customer=7``), as the buttons of a card do. A hidden field
    takes a word."""
    for field in form:
        given = request.query_params.get(field.name, "")
        if isinstance(field, LookupField) and not field.multiple and given.isascii() and given.isdecimal():
            field.data = min(int(given[:19]), SAFE_INTEGER)
        elif isinstance(field, HiddenField) and given.isascii() and given.isidentifier():
            field.data = given[:40]
        elif isinstance(field, ChoiceField) and given in [kind.value for kind in field.kind]:
            field.data = given
