"""The payers of the account: to whom invoices are made out."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, Field, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from app import db
from app.domain import custom
from app.domain.billing import payers
from app.errors import Conflict, NotFound
from app.flash import flash
from app.i18n import _, gettext
from app.models.billing import Payer, PayerKind
from app.web.auth import see_other
from app.web.client import custom as own
from app.web.client.access import may, why_not
from app.web.client.area import Asked, me, respond
from app.web.client.profile import country_choices
from app.web.client.saving import saved
from app.web.forms import REQUIRED, VersionedForm, choices, number, only_text, posted, stripped

URL = "/client/payers"
FIELDS = (
    "kind", "name", "contact", "email", "phone", "country", "postal_address", "legal_address", "vat_number",
    "director", "position", "grounds",
)  # fmt: skip


def _line(label: str, most: int = 200, *, kind: type[Field] = StringField, needed: bool = False, **more: Any) -> Any:
    checks = [only_text, Length(max=most, message=_("This is too long."))]
    return kind(label, [*checks, DataRequired(REQUIRED)] if needed else checks, filters=[stripped], **more)


_COMPANY = {"data-when": "kind=company"}


class PayerForm(VersionedForm):
    kind = RadioField(_("Type"), validate_choice=True)
    name = _line(_("Name"), needed=True, description=_("As it is to stand on invoices."))
    country = SelectField(_("Country"))
    legal_address = _line(_("Legal address"), 500, kind=TextAreaField, render_kw={"rows": 3})
    postal_address = _line(
        _("Postal address"), 500, kind=TextAreaField, render_kw={"rows": 3}, description=_("Where it is another one.")
    )
    vat_number = _line(
        _("VAT number"), 40, description=_("With its country code; the check digits are verified."),
        render_kw={"data-when": "kind=company|sole_proprietor"},
    )  # fmt: skip
    contact = _line(_("Contact person"))
    email = _line(_("E-mail"), 254, render_kw={"type": "email", "inputmode": "email"})
    phone = _line(_("Phone"), 40, render_kw={"type": "tel", "inputmode": "tel"})
    director = _line(_("Director"), render_kw=_COMPANY)
    position = _line(_("Position"), render_kw=_COMPANY)
    grounds = _line(_("Acts on the grounds of"), render_kw=_COMPANY, description=_("Statute, power of attorney."))
    usual = BooleanField(_("Usual payer"), description=_("Invoices are made out to it where no other is named."))


def _form(payer: Payer | None = None, data: Any = None) -> PayerForm:
    now = (
        {name: getattr(payer, name) for name in (*FIELDS, "version")}
        if payer
        else {"kind": PayerKind.INDIVIDUAL, "country": ""}
    )
    asked = own.specs(Payer)
    if payer is not None:
        now |= own.data_of(asked, payer)
    form: PayerForm = own.form_of(PayerForm, asked, payer)(data, data=now)
    form.kind.choices = choices([(kind.value, kind.label) for kind in PayerKind])
    form.country.choices = country_choices(payer.country if payer else "")
    if payer is not None:
        del form.usual  # a button of its own
    return form


async def _own(session: AsyncSession, customer_id: int, key: str) -> Payer:
    query = select(Payer).where(Payer.id == number(key), Payer.customer_id == customer_id)
    if (found := await session.scalar(query)) is None:
        raise NotFound
    return found


def _shown(payer: Payer) -> dict[str, Any]:
    return {
        "name": payer.name, "kind": payer.kind.label, "vat": payer.vat_number, "url": f"{URL}/{payer.id}",
        "usual": payer.usual, "archived": payer.archived,
    }  # fmt: skip


@get(URL, name="client.payers")
async def listed(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    query = select(Payer).where(Payer.customer_id == customer_id)
    async with db.reads() as session:
        rows = await session.scalars(
            query.order_by(Payer.archived, Payer.usual.desc(), Payer.name_folded, Payer.id).limit(200)
        )
        return await respond(
            request, session, "client/payers.html", payers=[_shown(p) for p in rows],
            add_url=f"{URL}/new" if may(view, "client.payer.add") else None,
        )  # fmt: skip


async def _page(
    request: Asked, session: AsyncSession, form: PayerForm, payer: Payer | None = None, status: int = 200,
    error: str = "",
) -> Response[Any]:  # fmt: skip
    view, _customer_id = me(request)
    return await respond(
        request, session, "client/payer.html", status, form=form, payer=_shown(payer) if payer else None, error=error,
        base=f"{URL}/{payer.id}" if payer else None, list_url=URL, read_only=why_not(view, "client.payer.save"),
        kept=await payers.refusals(session, payer) if payer else [],
        items=own.items(Payer, payer, but=own.specs(Payer), account=payer.kind) if payer else [],
    )  # fmt: skip


async def _saved(request: Asked, key: str | None) -> Response[Any]:
    _view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        payer = await _own(session, customer_id, key) if key is not None else None
        form = _form(payer, given)

        async def save() -> None:
            values = {name: form.data[name] for name in FIELDS}
            if asked := own.specs(Payer):
                values["custom"] = own.given(form, asked)
            if payer is None:
                await payers.add_own(session, customer_id=customer_id, values=values | {"usual": form.usual.data})
            else:
                await payers.save_payer(session, values=values, payer=payer, custom_of=custom.CUSTOMER)

        refused = await saved(session, form, save, at="name", row=payer)
    if refused is None:
        flash(request.scope, "ok", gettext("Saved."))
        return see_other(URL)
    async with db.reads() as session:
        payer = await _own(session, customer_id, key) if key is not None else None
        return await _page(request, session, form, payer, refused.status, refused.said)


@get(f"{URL}/new", name="client.payer.new")
async def new(request: Asked) -> Response[Any]:
    async with db.reads() as session:
        return await _page(request, session, _form())


@post(f"{URL}/new", name="client.payer.add", status_code=200)
async def add(request: Asked) -> Response[Any]:
    return await _saved(request, None)


@get(f"{URL}/{{key:str}}", name="client.payer")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        payer = await _own(session, customer_id, key)
        return await _page(request, session, _form(payer), payer)


@post(f"{URL}/{{key:str}}", name="client.payer.save", status_code=200)
async def save(request: Asked, key: FromPath[str]) -> Response[Any]:
    return await _saved(request, key)


async def _do(request: Asked, key: str, what: Any, done: str) -> Response[Any]:
    """A button of a payer; what is refused stands on its page."""
    _view, customer_id = me(request)
    try:
        async with db.unit() as session:
            await what(session, payer=await _own(session, customer_id, key))
    except Conflict as error:
        async with db.reads() as session:
            payer = await _own(session, customer_id, key)
            return await _page(request, session, _form(payer), payer, error.status, str(error))
    flash(request.scope, "ok", done)
    return see_other(URL)


@post(f"{URL}/{{key:str}}/usual", name="client.payer.usual", status_code=200)
async def usual(request: Asked, key: FromPath[str]) -> Response[Any]:
    return await _do(request, key, payers.make_usual, gettext("Invoices are made out to this payer from now on."))


@post(f"{URL}/{{key:str}}/archive", name="client.payer.archive", status_code=200)
async def archive(request: Asked, key: FromPath[str]) -> Response[Any]:
    return await _do(request, key, payers.archive, gettext("Archived. It is not offered any more."))


@post(f"{URL}/{{key:str}}/restore", name="client.payer.restore", status_code=200)
async def restore(request: Asked, key: FromPath[str]) -> Response[Any]:
    async def back(session: AsyncSession, *, payer: Payer) -> None:
        await payers.save_payer(session, payer=payer, values={"archived": False})

    return await _do(request, key, back, gettext("It is offered again."))


@post(f"{URL}/{{key:str}}/delete", name="client.payer.delete", status_code=200)
async def delete(request: Asked, key: FromPath[str]) -> Response[Any]:
    return await _do(request, key, payers.delete_payer, gettext("Deleted."))


HANDLERS = [listed, new, add, show, save, usual, archive, restore, delete]
