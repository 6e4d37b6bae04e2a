"""Sign-in and security of the signed-in user: two-factor sign-in, passkeys, devices."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from sqlalchemy import select

from app import cookies, db
from app.domain.sessions import Person, Place, security
from app.errors import AppError, NotFound, SignInNeeded
from app.flash import flash
from app.models.users import User
from app.web.auth import see_other
from app.web.client.area import Asked, me, respond
from app.web.forms import posted

URL = "/client/security"
APP = f"{URL}/app"


async def _who(request: Asked) -> security.Who:
    view, _customer_id = me(request)
    if view.user_id is None:  # staff have entered the account, not one of its users
        raise NotFound
    async with db.reads() as session:
        user = await session.scalar(select(User).where(User.id == view.user_id))
    if user is None:
        raise SignInNeeded
    place = Place(cookies.origin(request.scope))
    return security.Who(Person(user_id=user.id), view.id, place, user.username, view.project_name)


async def _page(
    request: Asked, who: security.Who, status: int = 200, *, wrong: dict[str, str] | None = None,
    typed: dict[str, str] | None = None, **context: Any,
) -> Response[Any]:  # fmt: skip
    async with db.reads() as session:
        o = await security.overview(session, who, wrong=wrong, typed=typed)
        return await respond(
            request, session, "client/security.html", status, o=o, host=who.place.host, url=URL, **context
        )


@get(URL, name="client.security")
async def show(request: Asked) -> Response[Any]:
    return await _page(request, await _who(request))


@get(APP, name="client.security.app")
async def set_up(request: Asked) -> Response[Any]:
    """The app that waits to be confirmed."""
    who = await _who(request)
    async with db.reads() as session:
        waits = await security.set_up(session, who)
    return see_other(URL) if waits is None else await _page(request, who, s=waits)


@post(URL, name="client.security.save", status_code=200)
async def save(request: Asked) -> Response[Any]:
    """Every button of the page. Recovery codes stand in the answer alone: they are kept nowhere in clear."""
    who, form = await _who(request), await posted(request)
    what, given = form.get("what"), {name: form.get(name) for name in security.FIELDS}
    try:
        done = await security.press(who, what, given)
    except NotFound:
        raise
    except AppError as error:
        async with db.reads() as session:
            waits = await security.set_up(session, who) if what == "confirm" else None
        wrong, typed = security.refusals(what, error), {"name": given["name"]}
        return await _page(request, who, error.status, wrong=wrong, typed=typed, s=waits)
    if done.codes:
        return await _page(request, who, done=done)
    if done.set_up:
        return see_other(APP)
    flash(request.scope, "ok", done.text)
    return see_other(URL)


HANDLERS = [show, set_up, save]
