"""Letting staff in: the code that opens the account once, where the project asks for one."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from app import db
from app.domain import door
from app.errors import NotFound
from app.flash import flash
from app.i18n import gettext
from app.web.auth import see_other
from app.web.branding import brand_of
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond

URL = "/client/door"


def asked_for(request: Asked) -> bool:
    """Whether staff need a code of the customer's here."""
    brand = brand_of(request.scope)
    return brand is not None and brand.visits_by_code


async def _page(request: Asked, code: str = "") -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        until = await door.open_until(session, customer_id=customer_id)
        return await respond(
            request, session, "client/door.html", code=code, until=until, minutes=door.MINUTES,
            make_url=f"{URL}/code", close_url=f"{URL}/close", read_only=why_not(view, "client.door.code"),
        )  # fmt: skip


@get(URL, name="client.door")
async def show(request: Asked) -> Response[Any]:
    if not asked_for(request):
        raise NotFound
    return await _page(request)


@post(f"{URL}/code", name="client.door.code", status_code=200)
async def make(request: Asked) -> Response[Any]:
    """The code stands in the answer alone: whoever loads the page again gets another one."""
    _view, customer_id = me(request)
    if not asked_for(request):
        raise NotFound
    async with db.unit() as session:
        code = await door.make(session, customer_id=customer_id)
    return await _page(request, code)


@post(f"{URL}/close", name="client.door.close", status_code=200)
async def close(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    if not asked_for(request):
        raise NotFound
    async with db.unit() as session:
        await door.close(session, customer_id=customer_id)
    flash(request.scope, "ok", gettext("The code is withdrawn."))
    return see_other(URL)


HANDLERS = [show, make, close]
