"""What the link of an invitation leads to, for people who are not signed in."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, EqualTo, InputRequired, Length

from app import db
from app.domain import confirmations, members
from app.domain.brands import sign_in_path
from app.domain.confirmations.telling import role_label
from app.errors import Invalid, NotFound
from app.flash import flash
from app.i18n import LANGUAGES, _, gettext, language
from app.models.confirmations import Confirmation, ConfirmationKind
from app.web import render
from app.web.auth import see_other
from app.web.client.area import HTML, Asked
from app.web.forms import REQUIRED, AppForm, only_text, posted, stripped
from app.web.guard import visitor


class JoinForm(AppForm):
    full_name = StringField(
        _("Your name"), [only_text, DataRequired(REQUIRED), Length(max=200, message=_("This is too long."))],
        filters=[stripped], render_kw={"autocomplete": "name"},
    )  # fmt: skip
    password = PasswordField(
        _("Choose a password"), [only_text, InputRequired(REQUIRED)], description=_("At least 8 characters."),
        render_kw={"autocomplete": "new-password"},
    )  # fmt: skip
    again = PasswordField(
        _("Once more"), [EqualTo("password", _("The two passwords differ."))],
        render_kw={"autocomplete": "new-password"},
    )  # fmt: skip


async def _row(session: AsyncSession, token: str, *, hold: bool = False) -> tuple[Confirmation, JoinForm | None]:
    """The invitation, and what it asks: nothing of somebody who has a password already."""
    row = await confirmations.by_token(session, token, hold=hold)
    if row.kind is not ConfirmationKind.JOIN:
        raise NotFound(confirmations.GONE)
    user = await members.asked(session, row)
    if user is not None and user.password_hash is not None:
        return row, None
    return row, JoinForm(full_name=user.full_name if user else "")


async def _page(session: AsyncSession, row: Confirmation, form: JoinForm | None, status: int = 200) -> Response[Any]:
    project = row.customer.project
    html = render.page(
        "client/join.html", brand={"name": project.name, "hue": project.hue}, home_url="/client/", email=row.value,
        customer=row.customer.name, role=await role_label(session, row), form=form,
    )  # fmt: skip
    return Response(html, status_code=status, media_type=HTML)


@get("/client/join/{token:str}", name="client.join")
async def page(request: Asked, token: FromPath[str]) -> Response[Any]:
    async with db.reads() as session:
        row, form = await _row(session, token)
        return await _page(session, row, form)


@post("/client/join/{token:str}", name="client.join.accept", status_code=200)
async def accept(request: Asked, token: FromPath[str]) -> Response[Any]:
    """The link is the proof that it is their address. They sign in themselves afterwards."""
    given = await posted(request)
    async with db.unit() as session:
        row, asks = await _row(session, token, hold=True)
        form = JoinForm(given) if asks is not None else None
        if form is not None and not form.validate():
            return await _page(session, row, form, 422)
        spoken = language() if language() in LANGUAGES else ""
        try:
            async with session.begin_nested():
                await members.accept(
                    session, row=row, language=spoken,
                    full_name=form.full_name.data or "" if form else "", password=form.password.data if form else None,
                )  # fmt: skip
        except Invalid as error:
            if form is None:
                raise
            form.place(error, "full_name")
            return await _page(session, row, form, 422)
    flash(request.scope, "ok", gettext("You are now a user of the account of %(name)s.") % {"name": row.customer.name})
    signed_in = visitor(request.scope) is not None
    return see_other("/client/accounts" if signed_in else await sign_in_path(row.customer.project_id))


HANDLERS = [page, accept]
