"""The bell: what waits for the person, or has ended. Screens say what that is (`AppView.news`)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqladmin.authentication import login_required
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from admin_views.base import news
from admin_views.base.panel import PanelBase, posted_form
from app import db
from app.db import utcnow
from app.domain import staff
from app.errors import AppError
from app.i18n import _, gettext
from app.render import page

URL = "/admin/notices"


class Notices(PanelBase):
    @login_required
    async def notices(self, request: Request) -> Response:
        """The list as a page; for the scripts, which show it under the bell, as a fragment."""
        now = utcnow()
        if "x-fragment" in request.headers:
            async with db.reads() as session:
                groups = await news.latest(request, session, self.screens)
            return HTMLResponse(page("panel_notices.html", groups=groups, until=now, next=URL))
        async with self.frame(request, title=gettext("Notifications")) as (session, around):
            groups = await news.latest(request, session, self.screens)
            return HTMLResponse(page("sqladmin/notices.html", frame=around, groups=groups, until=now, next=URL))

    @login_required
    async def seen(self, request: Request) -> Response:
        """What was shown is seen; what came between the showing and this stays new."""
        form = await posted_form(request)
        async with db.unit() as session:
            await staff.see_news(session, until=min(_moment(form.get("until", "")), utcnow()))
        return Response(status_code=204) if "x-fragment" in request.headers else RedirectResponse(URL, 303)


def _moment(text: str) -> datetime:
    """Raises AppError 400."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else utcnow()
    except (ValueError, OverflowError):
        raise AppError(_("This is not a moment."), 400) from None
