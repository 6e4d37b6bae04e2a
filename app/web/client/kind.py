"""The type of the account, with the data that invoices then need."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import Length

from app import db
from app.domain import customers
from app.domain.sessions import SessionView
from app.flash import flash
from app.i18n import _, gettext
from app.models.customers import Customer, CustomerKind
from app.models.users import Right
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.client.profile import country_choices
from app.web.client.saving import saved
from app.web.forms import VersionedForm, choices, only_text, posted, stripped

URL = "/client/profile/type"
FIELDS = ("kind", "legal_name", "vat_number", "registration_number", "director", "country", "address")
_FIRM = "kind=company|sole_proprietor"


def _line(label: str, most: int, when: str, **more: Any) -> StringField:
    checks = [only_text, Length(max=most, message=_("This is too long."))]
    return StringField(label, checks, filters=[stripped], render_kw={"data-when": when}, **more)


class KindForm(VersionedForm):
    kind = RadioField(_("Account type"), validate_choice=True)
    legal_name = _line(
        _("Legal name"), 200, "kind=company", description=_("Of a company: as it stands in the register.")
    )
    registration_number = _line(_("Registration number"), 60, _FIRM)
    vat_number = _line(
        _("VAT number"), 40, _FIRM, description=_("With its country code; the check digits are verified.")
    )
    director = _line(_("Director"), 200, "kind=company", description=_("Of a company."))
    country = SelectField(_("Country"))
    address = TextAreaField(
        _("Address"), [only_text, Length(max=500, message=_("This is too long."))], filters=[stripped],
        render_kw={"rows": 3},
    )  # fmt: skip
    payer = BooleanField(
        _("Make out invoices to it from now on"), description=_("It is kept as the usual payer of your account.")
    )


def _form(customer: Customer, view: SessionView, data: Any = None) -> KindForm:
    form = KindForm(data, **{name: getattr(customer, name) for name in (*FIELDS, "version")}, payer=True)
    form.kind.choices = choices([(kind.value, kind.label) for kind in CustomerKind])
    form.country.choices = country_choices(customer.country)
    if Right.PAYERS not in view.rights:
        del form.payer
    return form


async def _page(
    request: Asked, session: AsyncSession, form: KindForm, status: int = 200, error: str = ""
) -> Response[Any]:
    view, _customer_id = me(request)
    return await respond(
        request, session, "client/kind.html", status, form=form, error=error,
        read_only=why_not(view, "client.profile.type.save"),
    )  # fmt: skip


@get(URL, name="client.profile.type")
async def page(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        return await _page(request, session, _form(await queries.customer(session, customer_id), view))


@post(URL, name="client.profile.type.save", status_code=200)
async def save(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        customer = await queries.customer(session, customer_id)
        form = _form(customer, view, given)

        async def change() -> None:
            values = {name: form.data[name] for name in FIELDS}
            payer = "payer" in form and form.payer.data
            await customers.change_kind(session, customer=customer, values=values, payer=payer)

        refused = await saved(session, form, change, at="kind", row=customer)
    if refused is None:
        flash(request.scope, "ok", gettext("Saved."))
        return see_other("/client/profile")
    async with db.reads() as session:
        return await _page(request, session, form, refused.status, refused.said)


HANDLERS = [page, save]
