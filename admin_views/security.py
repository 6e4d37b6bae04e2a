"""Sign-in and security of a staff member: two-factor sign-in, passkeys, devices."""

from __future__ import annotations

from typing import Any

from sqladmin.authentication import login_required
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from admin_views.base.panel import PanelBase, posted_form
from app import cookies, db
from app.domain.sessions import Person, Place, security
from app.domain.sessions.letters import PANEL
from app.errors import AppError, SignInNeeded
from app.flash import flash
from app.i18n import gettext
from app.models.staff import Staff
from app.render import page

URL = "/admin/profile/security"
APP = f"{URL}/app"


class Security(PanelBase):
    @login_required
    async def own_security(self, request: Request) -> Response:
        """GET: the page. POST: every button of it; recovery codes stand in the answer alone."""
        who = await _who(request)
        if request.method == "GET":
            return await self._security_page(request, who)
        form = await posted_form(request)
        given = {name: str(form.get(name) or "") for name in security.FIELDS}
        what = str(form.get("what") or "")
        try:
            done = await security.press(who, what, given)
        except AppError as error:
            if error.status == 404:
                raise
            async with db.reads() as session:
                waits = await security.set_up(session, who) if what == "confirm" else None
            wrong, typed = security.refusals(what, error), {"name": given["name"]}
            return await self._security_page(request, who, error.status, wrong=wrong, typed=typed, s=waits)
        if done.codes:
            return await self._security_page(request, who, done=done)
        if done.set_up:
            return RedirectResponse(APP, 303)
        flash(request.scope, "ok", done.text)
        return RedirectResponse(URL, 303)

    @login_required
    async def security_app(self, request: Request) -> Response:
        """The app that waits to be confirmed."""
        who = await _who(request)
        async with db.reads() as session:
            waits = await security.set_up(session, who)
        return RedirectResponse(URL, 303) if waits is None else await self._security_page(request, who, s=waits)

    async def _security_page(
        self, request: Request, who: security.Who, status: int = 200, *, wrong: dict[str, str] | None = None,
        typed: dict[str, str] | None = None, **context: Any,
    ) -> Response:  # fmt: skip
        async with self.frame(request, title=gettext("Sign-in and security")) as (session, around):
            o = await security.overview(session, who, wrong=wrong, typed=typed)
            needed = request.app.state.settings.staff_two_factor and not o.two_factor.on
            html = page(
                "sqladmin/security.html", frame=around, o=o, host=who.place.host, url=URL, needed=needed, **context
            )
        return HTMLResponse(html, status)


async def _who(request: Request) -> security.Who:
    async with db.reads() as session:
        staff = await session.scalar(select(Staff).where(Staff.id == request.session["staff_id"]))
    if staff is None:
        raise SignInNeeded
    place = Place(cookies.origin(request.scope))
    return security.Who(Person(staff_id=staff.id), request.session["session_id"], place, staff.username, PANEL)
