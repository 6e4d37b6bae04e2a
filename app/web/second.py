"""The end of signing in: the second step where one is asked, passkeys, and the cookie of the session."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get, post
from litestar.response import Redirect

from app import cookies, db
from app.domain import sessions
from app.domain.sessions import Came, Place, SecondStep, passkeys, totp
from app.domain.sessions.links import LIFE, Gone
from app.errors import AppError, TooMany
from app.flash import flash
from app.i18n import gettext
from app.models.sessions import OneUseKind
from app.observe import actor
from app.settings import Settings
from app.web import recovery, render
from app.web.branding import at_brand, brand_asked
from app.web.errors import gate, in_client_area, local_path, path_of
from app.web.forms import posted
from app.web.guard import visitor

Asked = Request[Any, Any, Any]
HTML = "text/html"


def door(scope: Any, path: str) -> str:
    """The address of an open page of the area that is asked for: `/login` is `/client/login` there."""
    return at_brand(scope, f"/client{path}") if in_client_area(path_of(scope)) else path


def around(scope: Any, here: str) -> dict[str, Any]:
    """What an open page needs (auth/frame.html), of the panel or of a brand."""
    if in_client_area(path_of(scope)):
        return gate(scope, f"/client{here}")
    return {"languages": render.languages(), "language_url": "/language", "here_url": here, "home_url": "/login"}


def came(request: Asked) -> Came:
    """From where somebody signs in."""
    name = cookies.CLIENT if in_client_area(path_of(request.scope)) else cookies.STAFF
    agent = request.headers.get("user-agent", "")
    return Came(actor.get().ip, agent, cookies.get(request.scope, name))


def place(request: Asked) -> Place:
    return Place(cookies.origin(request.scope))


def asks_passkey(scope: Any, *, next: str = "") -> dict[str, Any] | None:
    """For a sign-in form: the question to any passkey, and where its answer goes."""
    question = passkeys.to_sign_in(Place(cookies.origin(scope)))
    if question is None:
        return None
    return {"url": door(scope, "/login/passkey"), "question": json.dumps(question), "next": next}


def enter(request: Asked, token: str, *, next: str = "", kept: str = "") -> Response[Any]:
    """Signed in: the cookie, and on to where the person wanted to go."""
    client = in_client_area(path_of(request.scope))
    name, days, default = (cookies.CLIENT, 30, "/client/") if client else (cookies.STAFF, 7, "/admin/")
    cookies.put(request.scope, name, token, max_age=days * cookies.DAY)
    if cookies.get(request.scope, cookies.STEP):
        cookies.drop(request.scope, cookies.STEP)
    if not client and (form := recovery.open_kept(kept)) is not None:
        return Response(render.page("auth/resume.html", url=form.url, fields=form.fields), media_type=HTML)
    return Redirect(local_path(next, default), status_code=303)


async def to_second_step(request: Asked, step: SecondStep, *, next: str, kept: str) -> Response[Any]:
    """The password was right: on to the second step. A form that waits to be sent travels in the page."""
    cookies.put(request.scope, cookies.STEP, step.token, max_age=int(LIFE[OneUseKind.STEP].total_seconds()))
    if kept:
        return await _page(request, step.token, next=next, kept=kept)
    where = local_path(next, "")
    path = door(request.scope, "/login/second") + (f"?{urlencode({'next': where})}" if where else "")
    return Redirect(path, status_code=303)


async def _page(request: Asked, token: str, status: int = 200, **context: Any) -> Response[Any]:
    person = await sessions.step_of(token)
    async with db.reads() as session:
        question = await passkeys.to_second_step(session, person, place(request))
    html = render.page(
        "auth/second.html", around(request.scope, "/login/second"), action_url=door(request.scope, "/login/second"),
        back_url=door(request.scope, "/login"), question=json.dumps(question) if question else None, **context,
    )  # fmt: skip
    return Response(html, status_code=status, media_type=HTML)


def _too_late(request: Asked) -> Response[Any]:
    cookies.drop(request.scope, cookies.STEP)
    flash(request.scope, "warn", gettext("That took too long. Please sign in again."))
    return Redirect(door(request.scope, "/login"), status_code=303)


def _fits(request: Asked, person: sessions.Person) -> bool:
    """The way to the panel is not the way to the client area."""
    return (person.user_id is not None) == in_client_area(path_of(request.scope))


async def _show(request: Asked) -> Response[Any]:
    try:
        token = cookies.get(request.scope, cookies.STEP)
        if not _fits(request, await sessions.step_of(token)):
            return _too_late(request)
        return await _page(request, token, next=local_path(request.query_params.get("next", ""), ""))
    except Gone:
        return _too_late(request)


async def _check(request: Asked) -> Response[Any]:
    form = await posted(request)
    token = cookies.get(request.scope, cookies.STEP)
    next, kept, answer = local_path(form.get("next"), ""), form.get("kept"), form.get("credential")
    try:
        if not _fits(request, await sessions.step_of(token)):
            return _too_late(request)
        if answer:
            made = await sessions.second_step_by_passkey(token, answer, place(request), came(request))
        else:
            made = await sessions.second_step(token, form.get("code")[:100], came(request))
    except Gone:
        return _too_late(request)
    except AppError as error:
        try:
            page = await _page(request, token, error.status, error=str(error), next=next, kept=kept)
        except Gone:
            return _too_late(request)
        if isinstance(error, TooMany):
            page.headers["Retry-After"] = str(error.seconds)
        return page
    return enter(request, made, next=next, kept=kept)


SET_UP = "/admin/profile/security"


async def must_set_up(scope: Any, settings: Settings) -> bool:
    """Whether this member of staff has to set up two-factor sign-in before anything else."""
    view = visitor(scope)
    if not settings.staff_two_factor or view is None or view.staff_id is None:
        return False
    async with db.reads() as session:
        return not await totp.is_on(session, sessions.Person(staff_id=view.staff_id))


async def by_passkey(request: Asked) -> tuple[str, str]:
    """The token of a new session, and where to go. Raises Invalid, TooMany, Forbidden."""
    form = await posted(request)
    brand, client = brand_asked(request.scope), in_client_area(path_of(request.scope))
    token = await sessions.sign_in_by_passkey(
        answer=form.get("credential"), place=place(request), staff=not client, came=came(request),
        project_id=brand.id if client and brand is not None else None,
    )  # fmt: skip
    return token, form.get("next")


@get("/login/second", name="second")
async def second(request: Asked) -> Response[Any]:
    return await _show(request)


@post("/login/second", name="second.post", status_code=200)
async def second_post(request: Asked) -> Response[Any]:
    return await _check(request)


@get("/client/login/second", name="client.second")
async def client_second(request: Asked) -> Response[Any]:
    return await _show(request)


@post("/client/login/second", name="client.second.post", status_code=200)
async def client_second_post(request: Asked) -> Response[Any]:
    return await _check(request)


STAFF_HANDLERS = [second, second_post]
CLIENT_HANDLERS = [client_second, client_second_post]
