"""What a form doubts without refusing it, asked while somebody types, for the fields that say `data-doubt`."""

from __future__ import annotations

from sqladmin.authentication import login_required
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from admin_views.base.panel import PanelBase, posted_form
from app.domain import customers

LONGEST = 200


class Doubts(PanelBase):
    @login_required
    async def doubts(self, request: Request) -> Response:
        """Field -> sentence, of what was sent and nothing else; a POST, so that no number stands in a log."""
        form = await posted_form(request)
        return JSONResponse(customers.doubts({name: str(value)[:LONGEST] for name, value in form.items()}))
