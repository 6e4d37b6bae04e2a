"""A forgotten password: asking for a link, and what the link leads to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired

from app import db
from app.domain import brands
from app.domain.sessions import STAFF_PASSWORD, USER_PASSWORD, links, reset
from app.domain.sessions.links import Gone, Link
from app.errors import Invalid, TooMany
from app.flash import flash, take_flashes
from app.i18n import _, gettext
from app.models.sessions import OneUseKind
from app.models.users import User
from app.observe import actor
from app.web import render
from app.web.branding import brand_asked
from app.web.errors import in_client_area, path_of
from app.web.forms import REQUIRED, AppForm, only_text, posted, stripped
from app.web.second import HTML, around, door

Asked = Request[Any, Any, Any]


class ForgotForm(AppForm):
    login = StringField(
        _("User name or e-mail"), [only_text, InputRequired(REQUIRED)], filters=[stripped],
        render_kw={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"},
    )  # fmt: skip


class NewPasswordForm(AppForm):
    password = PasswordField(
        _("New password"), [only_text, InputRequired(REQUIRED)], render_kw={"autocomplete": "new-password"}
    )
    again = PasswordField(
        _("New password, once more"), [EqualTo("password", _("The two new passwords differ."))],
        render_kw={"autocomplete": "new-password"},
    )  # fmt: skip


def step_page(request: Asked, here: str, status: int = 200, /, **context: Any) -> Response[Any]:
    """An open page with one step (auth/step.html)."""
    html = render.page("auth/step.html", around(request.scope, here), flashes=take_flashes(request.scope), **context)
    return Response(html, status_code=status, media_type=HTML)


# ---- asking ---------------------------------------------------------------------------------------------------------


def _asking(request: Asked, form: ForgotForm, status: int = 200, error: str = "") -> Response[Any]:
    return step_page(
        request, "/forgot", status, heading=gettext("Forgot the password?"), form=form, error=error,
        lede=gettext("Say who you are. We send a link to a new password to the e-mail address that we know."),
        submit=gettext("Send the link"), back_url=door(request.scope, "/login"), back=gettext("Back to the sign-in"),
    )  # fmt: skip


async def _ask(request: Asked) -> Response[Any]:
    form = ForgotForm(await posted(request))
    if not form.validate():
        return _asking(request, form, 422)
    brand, client = brand_asked(request.scope), in_client_area(path_of(request.scope))
    try:
        await reset.ask(
            login=form.login.data or "", ip=actor.get().ip, staff=not client,
            project_id=brand.id if client and brand is not None else None,
        )  # fmt: skip
    except TooMany as error:
        page = _asking(request, form, error.status, str(error))
        page.headers["Retry-After"] = str(error.seconds)
        return page
    return Redirect(f"{door(request.scope, '/forgot')}?sent=1", status_code=303)


def _forgot(request: Asked) -> Response[Any]:
    if "sent" not in request.query_params:
        return _asking(request, ForgotForm())
    return step_page(
        request, "/forgot", heading=gettext("Look into your mailbox"), icon="mail",
        lede=gettext("If there is an account of this name, a mail with a link to a new password is on its way to its "
                     "address. The link works for an hour. Nothing there after some minutes? Look among the spam."),
        back_url=door(request.scope, "/login"), back=gettext("Back to the sign-in"),
    )  # fmt: skip


# ---- choosing -------------------------------------------------------------------------------------------------------


async def show_brand(request: Asked, link: Link) -> None:
    """Show the brand whose user the link was made for, whatever host it was opened at."""
    if link.user_id is not None:
        async with db.reads() as session:
            user = await session.get(User, link.user_id, execution_options={"unscoped": True})
        if user is not None:
            request.scope["state"]["brand"] = await brands.brand(user.project_id)


async def opened(request: Asked, token: str, *kinds: OneUseKind) -> Link:
    """The link of an address, with its brand shown. Raises Gone, also for the other area's links."""
    async with db.reads() as session:
        link = await links.look(session, token, *kinds)
    if link.kind is OneUseKind.RESET and (link.user_id is not None) != in_client_area(path_of(request.scope)):
        raise Gone
    await show_brand(request, link)
    return link


def gone(request: Asked, error: Gone, again: str, says: str) -> Response[Any]:
    """The page of a link that does not work any more, and where to get another."""
    return step_page(
        request, "/login", error.status, heading=gettext("This link is used up"), icon="clock", lede=str(error),
        onward=again, onward_label=says, back_url=door(request.scope, "/login"), back=gettext("Back to the sign-in"),
    )  # fmt: skip


def _choosing(request: Asked, link: Link, token: str, form: NewPasswordForm, status: int = 200) -> Response[Any]:
    least = STAFF_PASSWORD if link.staff_id is not None else USER_PASSWORD
    form.password.description = gettext("At least %(n)d characters.") % {"n": least}
    return step_page(
        request, f"/link/{quote(token)}", status, heading=gettext("Choose a new password"), form=form,
        lede=gettext("With it you are signed out everywhere else."), submit=gettext("Keep the password"),
        back_url=door(request.scope, "/login"), back=gettext("Leave it as it is"),
    )  # fmt: skip


async def _link(request: Asked, token: str) -> Response[Any]:
    try:
        link = await opened(request, token, OneUseKind.RESET)
        if request.method != "POST":
            return _choosing(request, link, token, NewPasswordForm())
        form = NewPasswordForm(await posted(request))
        if not form.validate():
            return _choosing(request, link, token, form, 422)
        try:
            await reset.choose(token=token, password=form.password.data or "")
        except Invalid as error:
            form.place(error, "password")
            return _choosing(request, link, token, form, 422)
    except Gone as error:
        return gone(request, error, door(request.scope, "/forgot"), gettext("Ask for another link"))
    flash(request.scope, "ok", gettext("Your password is changed. Sign in with it."))
    return Redirect(door(request.scope, "/login"), status_code=303)


@get("/forgot", name="forgot", sync_to_thread=False)
def forgot(request: Asked) -> Response[Any]:
    return _forgot(request)


@post("/forgot", name="forgot.post", status_code=200)
async def forgot_post(request: Asked) -> Response[Any]:
    return await _ask(request)


@get("/link/{token:str}", name="link")
async def link_page(request: Asked, token: FromPath[str]) -> Response[Any]:
    return await _link(request, token)


@post("/link/{token:str}", name="link.post", status_code=200)
async def link_post(request: Asked, token: FromPath[str]) -> Response[Any]:
    return await _link(request, token)


@get("/client/forgot", name="client.forgot", sync_to_thread=False)
def client_forgot(request: Asked) -> Response[Any]:
    return _forgot(request)


@post("/client/forgot", name="client.forgot.post", status_code=200)
async def client_forgot_post(request: Asked) -> Response[Any]:
    return await _ask(request)


@get("/client/link/{token:str}", name="client.link")
async def client_link(request: Asked, token: FromPath[str]) -> Response[Any]:
    return await _link(request, token)


@post("/client/link/{token:str}", name="client.link.post", status_code=200)
async def client_link_post(request: Asked, token: FromPath[str]) -> Response[Any]:
    return await _link(request, token)


STAFF_HANDLERS = [forgot, forgot_post, link_page, link_post]
CLIENT_HANDLERS = [client_forgot, client_forgot_post, client_link, client_link_post]
