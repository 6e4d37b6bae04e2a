"""Signing in and out, of staff and of customers' users, and the choice of language."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.response import Redirect
from sqlalchemy import select

from app import cookies, db
from app.domain import impersonation, sessions
from app.domain.config import setup
from app.errors import AppError, Forbidden, Invalid, SignInNeeded, TooMany
from app.flash import flash, take_flashes
from app.i18n import LANGUAGES, gettext
from app.i18n import language as spoken
from app.models.staff import Staff
from app.models.users import User
from app.observe import actor
from app.web import second
from app.web.branding import at_brand, brand_asked, brand_of
from app.web.errors import in_client_area, local_path, path_of, sign_in_page
from app.web.forms import posted
from app.web.guard import visitor
from app.web.second import asks_passkey, by_passkey, enter, to_second_step

Asked = Request[Any, Any, Any]
HTML = "text/html"
YEAR = 365 * cookies.DAY


def see_other(path: str) -> Redirect:
    """After a POST: get this page."""
    return Redirect(path, status_code=303)


def _register_url(scope: Any) -> str | None:
    """Where to register, if that is open with this brand."""
    brand = brand_of(scope) if in_client_area(path_of(scope)) else None
    return at_brand(scope, "/client/register") if brand is not None and brand.signup.get("open") else None


async def _form(request: Asked, status: int = 200, **context: Any) -> Response[str]:
    """Notices are shown here too: whoever comes from a link in a mail is told what it has done."""
    told = {
        "passkey": asks_passkey(request.scope, next=context.get("next", "")), "flashes": take_flashes(request.scope),
        "register_url": _register_url(request.scope),
    }  # fmt: skip
    return Response(sign_in_page(request.scope, **told, **context), status_code=status, media_type=HTML)


async def _signed_in(request: Asked, name: str, sign_in: Any) -> Response[Any]:
    """What both sign-ins share: the form, its refusals, the cookie."""
    form = await posted(request)
    login, target = form.get("username", "")[:254], form.get("next", "")
    try:
        token = await sign_in(
            login, form.get("password", ""), ip=actor.get().ip, agent=request.headers.get("user-agent", ""),
            old_token=cookies.get(request.scope, name),
        )  # fmt: skip
    except sessions.SecondStep as step:
        return await to_second_step(request, step, next=local_path(target, ""), kept=form.get("kept", ""))
    except (Invalid, TooMany, Forbidden) as error:
        page = await _form(
            request, error.status, error=str(error), username=login, next=local_path(target, ""),
            kept=form.get("kept", ""),
        )  # fmt: skip
        return _refusal(error, page)
    return enter(request, token, next=target, kept=form.get("kept", ""))


def _refusal(error: AppError, page: Response[str]) -> Response[str]:
    if isinstance(error, TooMany):
        page.headers["Retry-After"] = str(error.seconds)
    return page


async def _by_passkey(request: Asked) -> Response[Any]:
    try:
        token, target = await by_passkey(request)
    except (Invalid, TooMany, Forbidden) as error:
        return _refusal(error, await _form(request, error.status, error=str(error)))
    return enter(request, token, next=target)


# ---- staff ----------------------------------------------------------------------------------------------------


@get("/login", name="login")
async def login_form(request: Asked) -> Response[Any]:
    target = request.query_params.get("next", "")
    if visitor(request.scope) is not None:
        return see_other(local_path(target, "/admin/"))
    return await _form(request, next=local_path(target, ""))


@post("/login", name="login.post", status_code=200)
async def login(request: Asked) -> Response[Any]:
    async def sign_in(name: str, password: str, **more: Any) -> str:
        token = await sessions.sign_in_staff(username=name, password=password, **more)
        await setup.greet(code=spoken())
        return token

    return await _signed_in(request, cookies.STAFF, sign_in)


@post("/login/passkey", name="passkey", status_code=200)
async def passkey(request: Asked) -> Response[Any]:
    return await _by_passkey(request)


@post("/logout", name="logout", status_code=200)
async def logout(request: Asked) -> Response[Any]:
    return await _signed_out(request, cookies.STAFF, "/login")


async def _signed_out(request: Asked, name: str, target: str) -> Response[Any]:
    view = visitor(request.scope)
    if view is not None:
        async with db.unit() as session:
            await sessions.sign_out(session, view=view)
    cookies.drop(request.scope, name)
    return see_other(target)


# ---- users of customers ---------------------------------------------------------------------------------------


@get("/client/login", name="client.login")
async def client_login_form(request: Asked) -> Response[Any]:
    target = request.query_params.get("next", "")
    if visitor(request.scope) is not None:
        return see_other(local_path(target, "/client/"))
    return await _form(request, next=local_path(target, ""))


@post("/client/login", name="client.login.post", status_code=200)
async def client_login(request: Asked) -> Response[Any]:
    async def sign_in(name: str, password: str, **more: Any) -> str:
        brand = brand_asked(request.scope)
        project_id = brand.id if brand is not None else None
        return await sessions.sign_in_user(login=name, password=password, project_id=project_id, **more)

    return await _signed_in(request, cookies.CLIENT, sign_in)


@post("/client/login/passkey", name="client.passkey", status_code=200)
async def client_passkey(request: Asked) -> Response[Any]:
    return await _by_passkey(request)


@post("/client/logout", name="client.logout", status_code=200)
async def client_logout(request: Asked) -> Response[Any]:
    return await _signed_out(request, cookies.CLIENT, "/client/login")


@post("/client/leave", name="client.leave", status_code=200)
async def leave(request: Asked) -> Response[Any]:
    """End the visit, and back to the customer's card in the panel."""
    view = visitor(request.scope)
    if view is None or not view.is_visit:
        return see_other("/client/")
    async with db.unit() as session:
        customer_id = await impersonation.leave(session, visit=view)
    cookies.drop(request.scope, cookies.VISIT)
    flash(request.scope, "ok", gettext("You have left the account of %(name)s.") % {"name": view.customer_name})
    return see_other(f"/admin/customer/details/{customer_id}")


# ---- language -------------------------------------------------------------------------------------------------


async def _choose_language(request: Asked, default: str) -> Response[Any]:
    form = await posted(request)
    code = form.get("language", "")
    if code not in request.scope["state"].get("languages", LANGUAGES):
        raise AppError(gettext("This language is not offered."), 422)
    view = visitor(request.scope)
    if view is not None:
        async with db.unit() as session:
            person: User | Staff | None
            if view.user_id is not None:
                person = await session.scalar(select(User).where(User.id == view.user_id))
            else:
                person = await session.scalar(select(Staff).where(Staff.id == view.staff_id))
            if person is None:
                raise SignInNeeded
            person.language = code
    cookies.put(request.scope, cookies.LANGUAGE, code, max_age=YEAR)
    return see_other(local_path(form.get("next", ""), default))


@post("/language", name="language", status_code=200)
async def language(request: Asked) -> Response[Any]:
    """Staff: kept with the person. Not signed in: a cookie."""
    return await _choose_language(request, "/login" if visitor(request.scope) is None else "/admin/")


@post("/client/language", name="client.language", status_code=200)
async def client_language(request: Asked) -> Response[Any]:
    login = at_brand(request.scope, "/client/login")
    return await _choose_language(request, login if visitor(request.scope) is None else "/client/")


STAFF_HANDLERS = [login_form, login, passkey, logout, language, *second.STAFF_HANDLERS]
CLIENT_HANDLERS = [
    client_login_form, client_login, client_passkey, client_logout, client_language, leave, *second.CLIENT_HANDLERS,
]  # fmt: skip
