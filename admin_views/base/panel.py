"""What every page of the panel needs: the screen in the address, the frame, the refusals."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from sqladmin import Admin
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from admin_views import access
from admin_views.base.frame import frame
from admin_views.base.plan import LOOKS, for_others
from admin_views.base.screen import AppView
from app import db
from app.db import Base
from app.errors import AppError, Forbidden, NotFound
from app.i18n import _, gettext
from app.models import scope
from app.observe import log, request_id
from app.render import page

Crumbs = list[dict[str, Any]]
STALE = _(
    "Somebody else has saved this meanwhile. Nothing of yours is lost: below is what differs. Save again to keep yours."
)


FILES = "files"
"""The name of every field that takes files. Elsewhere a text is expected, and a file would break what reads it."""


async def posted_form(request: Request) -> Any:
    """The posted form; a form that cannot be read is the sender's error."""
    try:
        form = await request.form(max_files=50, max_fields=2000, max_part_size=1024 * 1024)
    except HTTPException:
        raise AppError(_("The form could not be read. It may be too large."), 400) from None
    if any(isinstance(value, UploadFile) and name != FILES for name, value in form.multi_items()):
        raise AppError(_("There is a file in the place of a text."), 400)
    return form


LARGE = 20_000
"""Letters from which a page is worth packing: a list is, and a form with its countries and time zones."""


def packed(request: Request, html: str, status: int = 200, *, vary: str = "") -> Response:
    """The page; gzipped when it is large and the browser takes it. vary: another header that it depends on."""
    headers = {"Vary": f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"}
    if len(html) < LARGE or "gzip" not in request.headers.get("accept-encoding", ""):
        return HTMLResponse(html, status, headers)
    small = gzip.compress(html.encode(), 1, mtime=0)
    return HTMLResponse(small, status, {**headers, "Content-Encoding": "gzip"})


class PanelBase(Admin):
    @property
    def screens(self) -> list[AppView]:
        return cast("list[AppView]", self.views)

    def screen(self, request: Request, action: str) -> AppView:
        """The screen in the address. Raises NotFound, or Forbidden without the grant for `action`."""
        view = self.find(request.path_params["identity"])
        self.need(request, view, action)
        return view

    @staticmethod
    def need(request: Request, view: AppView, action: str) -> None:
        """Raises Forbidden without the grant, and where all projects share what would be changed."""
        access.need(request, view.identity, action)
        if action not in LOOKS and for_others(view):
            raise Forbidden(scope.FOR_ALL)

    def find(self, identity: str) -> AppView:
        """The screen of that name, before any grant is asked for. Raises NotFound."""
        for view in self.screens:
            if view.identity == identity:
                return view
        raise NotFound

    def names_are_known(self, request: Request, model: type[Base]) -> bool:
        """Whether the person may do something with rows that name rows of `model`, and so learns their names."""
        users = [v for v in self.screens if any(r.mapper.class_ is model for r in v.mapper.relationships)]
        return any(access.may(request, v.identity, a) for v in users for a in ("create", "edit", "list"))

    @asynccontextmanager
    async def frame(self, request: Request, **kwargs: Any) -> AsyncIterator[tuple[AsyncSession, dict[str, Any]]]:
        async with db.reads() as session:
            yield session, await frame(request, session, self.screens, **kwargs)

    async def respond(
        self,
        request: Request,
        template: str,
        status: int = 200,
        *,
        title: str,
        current: str = "",
        crumbs: Crumbs | None = None,
        **context: Any,
    ) -> Response:
        async with self.frame(request, title=title, current=current, crumbs=crumbs) as (_session, around):
            return packed(request, page(template, frame=around, **context), status)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Every refusal is a page with a sentence and the right status; the database's words are never shown."""
        if isinstance(error, HTTPException):
            status, message = (
                error.status_code,
                gettext("This page does not exist.") if error.status_code == 404 else str(error.detail),
            )
        elif isinstance(error, AppError):
            status, message = error.status, str(error)
        elif isinstance(error, DBAPIError) and db.took_too_long(error):
            status, message = 422, gettext("This would take too long. Please narrow the search or the filter.")
        else:
            log("panel").warning("refused as bad input: %s", type(error).__name__, exc_info=error)
            status, message = 400, gettext("The address or the form holds a value that cannot be used.")
        return await self._refusal(request, status, message)

    async def broken(self, request: Request, _error: Exception) -> Response:
        """What nobody foresaw: the guard logs it, the person gets the number under which it stands there."""
        message = gettext("Something went wrong here. It is noted under the number %(id)s.") % {"id": request_id.get()}
        return await self._refusal(request, 500, message)

    async def busy(self, request: Request, _error: Exception) -> Response:
        """Every connection to the database is in use; the page must not ask for one more."""
        message = gettext("Too many people are asking at once. Please try again in a moment.")
        html = page("sqladmin/error.html", frame=None, status_code=503, message=message, home_url="/admin/")
        return HTMLResponse(html, 503, {"Retry-After": "5"})

    async def _refusal(self, request: Request, status: int, message: str) -> Response:
        if status == 401 or not request.session.get("staff_id"):
            return HTMLResponse(
                page("sqladmin/error.html", frame=None, status_code=status, message=message, home_url="/login"), status
            )
        return await self.respond(
            request, "sqladmin/error.html", status, title=gettext("Not possible"), status_code=status, message=message,
            home_url="/admin/",
        )  # fmt: skip
