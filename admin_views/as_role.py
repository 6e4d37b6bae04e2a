"""The button "See the panel as this role" and the way back; the bar above every page is part of its frame."""

from __future__ import annotations

from sqladmin.authentication import login_required
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from admin_views.base import AppForm, Button, LookupField
from admin_views.base.buttons import Done, Flow, Press
from admin_views.base.panel import PanelBase
from app import cookies, db
from app.domain import previews
from app.i18n import _, gettext


class LimitForm(AppForm):
    project = LookupField(
        _("As limited to project"), target="project", description=_("Empty: the projects that you see yourself.")
    )


class PreviewFlow(Flow):
    form = LimitForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        token = await previews.begin(session, role=press.one, project_id=form.data["project"])
        cookies.put(press.request.scope, cookies.PREVIEW, token)
        return Done(gettext("You now see the panel as %(role)s.") % {"role": press.one.name}, url="/admin/")


PREVIEW = Button(
    "preview", _("See the panel as this role"), "eye", on=frozenset({"card"}), flow=PreviewFlow(), submit=_("Begin"),
    lede=_("You see what somebody with this role alone sees. Nothing can be changed meanwhile; it ends by itself "
           "after 30 minutes, and what you do not hold yourself stays hidden."),
)  # fmt: skip


class AsRole(PanelBase):
    @login_required
    async def preview_end(self, request: Request) -> Response:
        now: previews.Preview | None = request.scope["state"].get("preview")
        cookies.drop(request.scope, cookies.PREVIEW)
        if now is None:
            return RedirectResponse("/admin/", 303)
        async with db.unit() as session:
            await previews.end(session, role_id=now.role_id)
        return RedirectResponse(f"/admin/role/details/{now.role_id}", 303)
