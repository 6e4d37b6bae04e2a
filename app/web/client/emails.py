"""Another e-mail address: asked for with the password, and taken by the link that goes to it."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import PasswordField, RadioField, StringField
from wtforms.validators import DataRequired, InputRequired, Length

from app import db
from app.domain import confirmations
from app.domain.brands import sign_in_path
from app.domain.sessions import SessionView
from app.domain.sessions.person import Person
from app.domain.sessions.proving import prove_password
from app.errors import Invalid, NotFound, SignInNeeded
from app.flash import flash
from app.i18n import _, gettext
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.users import Right, User
from app.web import render
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.area import HTML, Asked, me, respond
from app.web.client.profile import pending
from app.web.forms import REQUIRED, AppForm, choices, only_text, posted, stripped
from app.web.guard import visitor

URL = "/client/profile/email"
ADDRESSES = (ConfirmationKind.ACCOUNT_EMAIL, ConfirmationKind.LOGIN_EMAIL)


class EmailForm(AppForm):
    whose = RadioField(_("Which address"), validate_choice=True)
    email = StringField(
        _("New e-mail address"), [only_text, DataRequired(REQUIRED), Length(max=254, message=_("This is too long."))],
        filters=[stripped], render_kw={"type": "email", "autocomplete": "email", "inputmode": "email"},
        description=_("A link goes there. The address changes when it is pressed."),
    )  # fmt: skip
    password = PasswordField(_("Your password"), [only_text, InputRequired(REQUIRED)])


def _whose(view: SessionView) -> list[tuple[str, str]]:
    own = [("login", gettext("Of your sign-in"))]
    return (
        [("account", gettext("Of the account: messages and invoices go there")), *own]
        if (Right.PROFILE in view.rights)
        else own
    )


def _form(view: SessionView, data: Any = None) -> EmailForm:
    offered = _whose(view)
    form = EmailForm(data, data={"whose": offered[0][0]})
    form.whose.choices = choices(offered)
    return form


async def _page(request: Asked, form: EmailForm, status: int = 200) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        waits = []
        if Right.PROFILE in view.rights:
            waits.append(await pending(session, customer_id, ConfirmationKind.ACCOUNT_EMAIL, None))
        waits.append(await pending(session, customer_id, ConfirmationKind.LOGIN_EMAIL, view.user_id))
        return await respond(
            request, session, "client/email.html", status, form=form, waits=[w for w in waits if w], url=URL
        )


@get(URL, name="client.profile.email")
async def page(request: Asked) -> Response[Any]:
    view, _customer_id = me(request)
    return await _page(request, _form(view))


@post(URL, name="client.profile.email.save", status_code=200)
async def save(request: Asked) -> Response[Any]:
    """Guessing the password here is slowed down like signing in."""
    view, customer_id = me(request)
    form = _form(view, await posted(request))
    if not form.validate():
        return await _page(request, form, 422)
    if view.user_id is None:
        raise SignInNeeded
    try:
        await prove_password(Person(user_id=view.user_id), form.password.data or "")
        async with db.unit() as session:
            customer = await queries.customer(session, customer_id)
            row = await confirmations.ask_address(
                session, customer=customer, email=form.email.data or "",
                user=await session.get(User, view.user_id) if form.whose.data == "login" else None,
            )  # fmt: skip
    except Invalid as error:
        form.place(error, "email")
        return await _page(request, form, 422)
    flash(request.scope, "ok", gettext("A link was sent to %(email)s.") % {"email": row.value})
    return see_other("/client/profile")


@post(f"{URL}/cancel", name="client.profile.email.cancel", status_code=200)
async def cancel(request: Asked) -> Response[Any]:
    """The links that wait do not work any more."""
    view, customer_id = me(request)
    async with db.unit() as session:
        rows = list(await _open(session, customer_id, ConfirmationKind.LOGIN_EMAIL, view.user_id))
        if Right.PROFILE in view.rights:
            rows += await _open(session, customer_id, ConfirmationKind.ACCOUNT_EMAIL, None)
        for row in rows:
            await confirmations.end(session, row)
    flash(request.scope, "ok", gettext("Nothing changes. The link that was sent does not work any more."))
    return see_other("/client/profile")


async def _open(session: AsyncSession, customer_id: int, kind: ConfirmationKind, user_id: int | None) -> Any:
    mine = (Confirmation.user_id.is_not_distinct_from(user_id),)
    return await confirmations.open_ones(session, customer_id=customer_id, kind=kind, more=mine)


# ---- the link ---------------------------------------------------------------------------------------------------


async def _row(session: AsyncSession, token: str, *, hold: bool = False) -> Confirmation:
    row = await confirmations.by_token(session, token, hold=hold)
    if row.kind not in ADDRESSES:
        raise NotFound(confirmations.GONE)
    return row


@get("/client/confirm/{token:str}", name="client.profile.confirm")
async def confirm_page(request: Asked, token: FromPath[str]) -> Response[Any]:
    """Looking changes nothing: mail programs follow links."""
    async with db.reads() as session:
        row = await _row(session, token)
    project = row.customer.project
    html = render.page(
        "client/confirm.html", brand={"name": project.name, "hue": project.hue}, home_url="/client/", email=row.value,
        login=row.kind is ConfirmationKind.LOGIN_EMAIL,
    )  # fmt: skip
    return Response(html, media_type=HTML)


@post("/client/confirm/{token:str}", name="client.profile.confirm.save", status_code=200)
async def confirm(request: Asked, token: FromPath[str]) -> Response[Any]:
    async with db.unit() as session:
        row = await _row(session, token, hold=True)
        await confirmations.confirm_address(session, row)
    flash(request.scope, "ok", gettext("The address %(email)s is confirmed.") % {"email": row.value})
    signed_in = visitor(request.scope) is not None
    return see_other("/client/profile" if signed_in else await sign_in_path(row.customer.project_id))


HANDLERS = [page, save, cancel, confirm_page, confirm]
