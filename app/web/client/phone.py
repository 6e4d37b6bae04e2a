"""Verifying the phone number of the account by a code."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from app import db
from app.domain import confirmations
from app.errors import Conflict, Invalid, TooMany
from app.flash import flash
from app.i18n import _, gettext
from app.integrations.codes import Way, sms_of
from app.models.confirmations import ConfirmationKind
from app.models.customers import Customer
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.area import Asked, me, respond
from app.web.client.profile import verified
from app.web.forms import REQUIRED, AppForm, only_text, posted, stripped

URL = "/client/profile/phone"


class CodeForm(AppForm):
    code = StringField(
        _("The code"), [only_text, DataRequired(REQUIRED), Length(max=20, message=_("This is too long."))],
        filters=[stripped],
        render_kw={"inputmode": "numeric", "autocomplete": "one-time-code", "class": "num", "placeholder": "123456"},
    )  # fmt: skip


def _way(request: Asked) -> Way:
    return Way.SMS if sms_of(request.app.state.settings) is not None else Way.EMAIL


async def _page(
    request: Asked, session: AsyncSession, customer: Customer, form: CodeForm, status: int = 200, error: str = ""
) -> Response[Any]:
    sent = await confirmations.open_ones(session, customer_id=customer.id, kind=ConfirmationKind.PHONE)
    way = _way(request)
    return await respond(
        request, session, "client/phone.html", status, form=form, error=error, url=URL, phone=customer.phone,
        verified=verified(customer), sent=bool(sent) and sent[0].value == customer.phone, by_sms=way is Way.SMS,
        to=customer.phone if way is Way.SMS else customer.email,
    )  # fmt: skip


@get(URL, name="client.profile.phone")
async def page(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        return await _page(request, session, await queries.customer(session, customer_id), CodeForm())


@post(URL, name="client.profile.phone.send", status_code=200)
async def send(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    try:
        async with db.unit() as session:
            customer = await queries.customer(session, customer_id)
            await confirmations.send_code(session, customer=customer, way=_way(request))
    except (Conflict, TooMany) as error:
        async with db.reads() as session:
            customer = await queries.customer(session, customer_id)
            return await _page(request, session, customer, CodeForm(), error.status, str(error))
    flash(request.scope, "ok", gettext("The code is on its way."))
    return see_other(URL)


@post(f"{URL}/check", name="client.profile.phone.check", status_code=200)
async def check(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    form = CodeForm(await posted(request))
    if form.validate():
        try:
            await confirmations.check_code(customer_id=customer_id, code=form.code.data or "")
        except Invalid as error:
            form.place(error, "code")
        else:
            flash(request.scope, "ok", gettext("Your phone number is verified."))
            return see_other("/client/profile")
    async with db.reads() as session:
        return await _page(request, session, await queries.customer(session, customer_id), form, 422)


HANDLERS = [page, send, check]
