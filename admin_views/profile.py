"""The profile: what staff change of themselves, their password, and where they are signed in."""

from __future__ import annotations

from typing import Any, cast

from sqladmin.authentication import login_required
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from wtforms import BooleanField, PasswordField, RadioField, validators

from admin_views.base import AppForm
from admin_views.base.fields import field_of, password_fields
from admin_views.base.pages import place_errors
from admin_views.base.panel import PanelBase, posted_form
from app import cookies, db
from app.domain import sessions
from app.domain import staff as people
from app.domain.sessions import STAFF_PASSWORD
from app.domain.sessions.devices import device
from app.errors import AppError, Invalid, SignInNeeded
from app.flash import flash
from app.i18n import _, gettext, ngettext, speaking
from app.models.staff import Density, Staff, StaffProject, Theme
from app.render import page

URL = "/admin/profile"
YEAR = 365 * cookies.DAY
GROUPS = (
    (_("About you"), ("full_name", "email", "language", "timezone")),
    (_("How the panel looks"), ("theme", "density", "shortcuts")),
)
COMPLETE = {"full_name": "name", "email": "email"}
"""Field -> what the browser may fill in."""


def _choice(label: str, kind: type[Theme] | type[Density]) -> RadioField:
    offered = [(m.value, m.label) for m in kind]
    return RadioField(label, [validators.InputRequired()], choices=offered, render_kw={"data-seg": "1"})


class LookForm(AppForm):
    theme = _choice(_("Theme"), Theme)
    density = _choice(_("Rows of lists"), Density)
    shortcuts = BooleanField(
        _("Keyboard shortcuts of a single key"), description=_("The question mark shows them. Ctrl+K works always.")
    )


class PasswordForm(AppForm):
    old = PasswordField(
        _("Your password now"), [validators.InputRequired()], render_kw={"autocomplete": "current-password"}
    )


def _own_form(person: Staff, posted: Any = None) -> AppForm:
    columns = inspect(Staff).column_attrs
    fields = {name: field_of(columns[name]) for name in GROUPS[0][1]}
    form = type("OwnForm", (LookForm,), fields)(posted, **{n: getattr(person, n) for n in people.OWN})
    for name, what in COMPLETE.items():
        form[name].render_kw = {**(form[name].render_kw or {}), "autocomplete": what}
    return cast(AppForm, form)


def _password_form(posted: Any = None) -> AppForm:
    new = password_fields(_("New password"), required=True, least=STAFF_PASSWORD)
    return cast(AppForm, type("OwnPasswordForm", (PasswordForm,), new)(posted))


class Profile(PanelBase):
    @login_required
    async def profile(self, request: Request) -> Response:
        if request.method == "GET":
            return await self._profile_page(request)
        posted = await posted_form(request)
        async with db.reads() as session:
            form = _own_form(await _me(request, session), posted)
        if form.validate():
            try:
                async with db.unit() as session:
                    person = await people.change_self(session, values=form.data)
            except Invalid as problem:
                return await self._profile_page(request, form, error=place_errors(form, problem))
            cookies.put(request.scope, cookies.LANGUAGE, person.language, max_age=YEAR)
            with speaking(person.language):
                flash(request.scope, "ok", gettext("Saved."))
            return RedirectResponse(URL, 303)
        return await self._profile_page(request, form)

    @login_required
    async def password(self, request: Request) -> Response:
        form = _password_form(await posted_form(request))
        if not form.validate():
            return await self._profile_page(request, password=form)
        who = request.session
        try:
            await sessions.change_own_password(
                staff_id=who["staff_id"], session_id=who["session_id"], old=form["old"].data, new=form["password"].data
            )
        except Invalid as problem:
            return await self._profile_page(request, password=form, error=place_errors(form, problem))
        except AppError as problem:
            return await self._profile_page(request, password=form, error=str(problem), status=problem.status)
        flash(request.scope, "ok", gettext("Your password is changed. Other devices are signed out."))
        return RedirectResponse(URL, 303)

    @login_required
    async def sign_out_others(self, request: Request) -> Response:
        await posted_form(request)
        who = request.session
        async with db.unit() as session:
            n = await sessions.end_sessions_of(session, staff_id=who["staff_id"], keep=who["session_id"])
        said = ngettext("%(n)s other device is signed out.", "%(n)s other devices are signed out.", n) % {"n": n}
        flash(request.scope, "ok", said if n else gettext("No other device was signed in."))
        return RedirectResponse(URL, 303)

    async def _profile_page(
        self,
        request: Request,
        form: AppForm | None = None,
        password: AppForm | None = None,
        error: str | None = None,
        status: int = 422,
    ) -> Response:
        async with self.frame(request, title=gettext("My profile")) as (session, around):
            person = await _me(request, session, selectinload(Staff.projects).joinedload(StaffProject.project))
            roles = await people.roles_of(session, person.id)
            living = await sessions.living_of_staff(session, staff_id=person.id)
            context = {
                "person": person,
                "facts": [
                    {"label": gettext("User name"), "value": person.username},
                    {"label": gettext("Roles"), "value": ", ".join(r.name for r in roles)},
                    {
                        "label": gettext("Projects"),
                        "value": ", ".join(p.project.name for p in person.projects) or gettext("All projects"),
                    },
                ],
                "form": form or _own_form(person),
                "groups": [{"label": label, "help": None, "fields": names, "more": False} for label, names in GROUPS],
                "password": password or _password_form(),
                "error": error,
                "sessions": [
                    {"device": device(s.agent), "ip": s.ip, "at": s.last_seen_at, "since": s.created_at,
                     "own": s.id == request.session["session_id"]}
                    for s in living
                ],
            }  # fmt: skip
            html = page("sqladmin/profile.html", frame=around, **context)
        return HTMLResponse(html, 200 if form is None and password is None else status)


async def _me(request: Request, session: AsyncSession, *options: Any) -> Staff:
    mine = select(Staff).where(Staff.id == request.session["staff_id"]).options(*options)
    person = (await session.scalars(mine)).one_or_none()
    if person is None:
        raise SignInNeeded
    return person
