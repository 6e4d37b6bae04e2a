"""Pressing a button: GET shows the form or the confirmation, POST runs the verb in one unit and says what happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from sqladmin.authentication import login_required
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from admin_views.access import need
from admin_views.base import inplace, pages
from admin_views.base.buttons import MOST_OBJECTS, Button, Done, Press
from admin_views.base.fields import AppForm, ask_again, focus_of
from admin_views.base.frame import hue_of, pinned
from admin_views.base.listing import narrowed, parse_ids
from admin_views.base.lists import PART
from admin_views.base.panel import STALE, PanelBase, packed, posted_form
from admin_views.base.plan import plan_of
from admin_views.base.screen import AppView
from admin_views.base.views import open_list
from app import db
from app.errors import AppError, Invalid, NotFound, TooLarge
from app.flash import flash
from app.i18n import _, gettext, show_number
from app.render import initials, page

NAMED = 5
"""So many of the rows that a button is pressed for are named."""


class Pressing(PanelBase):
    @login_required
    async def press(self, request: Request) -> Response:
        slug = request.path_params["slug"]
        view = self.find(request.path_params["identity"])
        button = next((b for b in view.all_buttons() if b.slug == slug), None)
        if button is None:
            raise NotFound
        self.need(request, view, button.action)
        if button.also is not None:
            need(request, *button.also)
        posted = await posted_form(request) if request.method == "POST" else None
        async with db.reads() as session:
            press = await self._target(request, session, view, button, posted)
            press.look = str(posted.get("_look", "")) if posted is not None and button.flow.look_template else ""
            form = await button.flow.build(press, posted)
            sent = posted is not None and not press.look
            valid = sent and form.validate()
            sound = await pages.resolve_lookups(session, form, check=sent)
            error: str | None = None
            asking: dict[str, Any] | None = None
            if posted is not None and not posted.get("_back"):
                try:
                    await session.close()  # gives its connection back: `before` and the verb take one of their own
                    await button.flow.before(press, form)
                    if valid and sound:
                        asking = None if posted.get("_confirmed") else await button.flow.confirm(press, form)
                        if asking is None:
                            await session.close()
                            return await self._act(request, press, form)
                except Invalid as problem:
                    error = pages.place_errors(form, problem)
                    asking = None
                except AppError as problem:
                    error, asking = str(problem), None
                await pages.resolve_lookups(session, form)  # `before` may have chosen more
            context = await button.flow.context(press, form)
        if press.look and request.headers.get(PART) == "look":
            return packed(request, page(button.flow.look_template, **context), vary=PART)
        return await self._button_page(request, press, form, asking, error, context, posted)

    async def _target(
        self, request: Request, session: AsyncSession, view: AppView, button: Button, posted: Any
    ) -> Press:
        source = posted if posted is not None else request.query_params
        if source.get("all") == "1":
            params = parse_qsl(source.get("query", "")) if posted is not None else request.query_params.multi_items()
            pin = parse_ids(dict(params).get("pin", "")) or pinned(request)
            asked = (await open_list(session, plan_of(request, view), params, pin)).sound()
            press = Press(request, view, button, session, (), asked)
            statement: Select[Any] = narrowed(view, asked).limit(MOST_OBJECTS + 1)
        else:
            pks = parse_ids(source.get("pks", ""))
            if pks and len(view.pk_props) > 1:
                raise NotFound  # a row with a key of several columns cannot be named by one number
            press = Press(request, view, button, session, pks, None, query=source.get("query", ""))
            only = (*view.mine(), *view.always())
            statement = select(view.model).where(view.pk_column.in_(pks), *only)
        if (button.flow.needs_rows and "head" not in button.on) or press.pks:
            press.objects = await self._objects(session, view, statement, press)
        return press

    async def _objects(self, session: AsyncSession, view: AppView, statement: Select[Any], press: Press) -> list[Any]:
        if press.asked is not None and not press.button.flow.needs_rows:
            return []
        objects = list((await session.scalars(statement.options(*view.card_options()))).unique())
        if (press.asked is None and len(objects) < len(press.pks)) or not objects:
            raise NotFound(_("Nothing is chosen, or it does not exist any more."))
        if len(objects) > MOST_OBJECTS:
            raise TooLarge(_("This works on at most 1,000 rows at once. Narrow the list first."))
        return objects

    async def _act(self, request: Request, press: Press, form: AppForm) -> Response:
        try:
            async with db.unit() as session:
                writing = replace(press, session=session, objects=[])
                if press.objects:
                    ids = [o.id for o in press.objects]
                    statement: Select[Any] = select(press.view.model).where(press.view.pk_column.in_(ids))
                    writing.objects = list(
                        (await session.scalars(statement.options(*press.view.edit_options()))).unique()
                    )
                    if len(writing.objects) < len(ids):
                        raise NotFound
                outcome = await press.button.flow.act(session, writing, form)
        except (IntegrityError, StaleDataError):
            raise AppError(str(STALE), 409) from None
        done = outcome if isinstance(outcome, Done) else Done(outcome)
        if done.response is not None:
            return done.response
        back = press.view.card_url(press.pks[0]) if len(press.pks) == 1 and press.view.has_card else press.view.list_url
        response = RedirectResponse(done.url or back, 303)
        flash(request.scope, done.kind, str(done.message))
        return response

    async def _button_page(
        self,
        request: Request,
        press: Press,
        form: AppForm,
        asking: dict[str, Any] | None,
        error: str | None,
        context: dict[str, Any],
        posted: Any,
    ) -> Response:
        view, button = press.view, press.button
        hidden = press.hidden
        if asking is not None:
            hidden = {**hidden, **pages.carried(form), "_confirmed": "1"}
        one = press.objects[0] if len(press.objects) == 1 else None
        if posted is not None and asking is None and not posted.get("_back") and not press.look:
            ask_again(form)
        label, groups = str(button.label), button.flow.groups(press, form)
        if inplace.asked_for(request) and isinstance(button.flow, inplace.PlaceFlow):
            context = {"form": form, "url": button.url(view.identity), "hidden": hidden, "error": error,
                       "label": label, "submit": str(button.submit)}  # fmt: skip
            status = 200 if posted is None else 422
            return packed(request, page("sqladmin/place.html", **context), status, vary=PART)
        inplace.offer_new(request, self.find, form)
        crumbs = [{"label": str(view.name_plural), "url": view.list_url}]
        if one is not None and view.has_card:
            crumbs.append({"label": view.title(one), "url": view.card_url(view.pk_of(one))})
        merged = {
            "page": {
                "title": label,
                "lede": str(button.lede) or None,
                "submit_label": str(button.submit or button.label),
                "submit_icon": button.icon,
                "danger": button.danger,
                "wide": False,
                "cancel_url": crumbs[-1]["url"],
                "about": _about(press),
            },
            "form": form,
            "groups": groups,
            "hidden": hidden,
            "error": error,
            "warnings": [],
            "enctype": "multipart/form-data",
            "confirm": asking,
            **context,
        }
        merged["page"]["focus"] = focus_of(form, groups, new=True)
        merged["groups"] = pages.called(view, merged["groups"])
        if asking is not None and "submit" in asking:
            merged["page"]["submit_label"] = asking["submit"]
        return await self.respond(
            request,
            button.flow.template,
            200 if posted is None or asking is not None or press.look else 422,
            title=label,
            current=view.identity,
            crumbs=[*crumbs, {"label": label, "url": None}],
            **merged,
        )


def _about(press: Press) -> dict[str, Any] | None:
    """Whom it concerns, by name."""
    if not press.objects:
        return None
    named = [press.view.title(o) for o in press.objects[:NAMED]]
    rest = len(press.objects) - len(named)
    return {
        "people": [{"name": name, "initials": initials(name), "hue": hue_of(name)} for name in named],
        "rest": gettext("and %(n)s more") % {"n": show_number(rest)} if rest else "",
    }
