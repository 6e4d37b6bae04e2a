"""The customer's own data, and the own password of a user."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import confirmations, custom, customers, sessions
from app.domain.custom import Spec
from app.domain.sessions.person import Person
from app.domain.sessions.proving import prove_password
from app.errors import Invalid, NotFound
from app.flash import flash
from app.i18n import countries, country_name, gettext, language, language_name, timezones
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.customers import Customer, CustomerKind
from app.models.users import User
from app.web.auth import see_other
from app.web.client import custom as own
from app.web.client import queries
from app.web.client.access import may, why_not
from app.web.client.area import Asked, me, respond
from app.web.client.saving import saved
from app.web.forms import PasswordForm, ProfileForm, choices, posted

URL = "/client/profile"
FIELDS = ("name", "contact_person", "phone", "country", "address", "language", "timezone")


def country_choices(kept: str = "") -> list[tuple[Any, str]]:
    found = countries(language())
    more = [] if kept in ("", *dict(found)) else [(kept, country_name(kept))]
    return choices([("", "–"), *found, *more])


def _custom(customer: Customer) -> list[Spec]:
    return own.specs(Customer, account=customer.kind)


def _form(customer: Customer, data: Any = None) -> ProfileForm:
    asked = _custom(customer)
    now = {name: getattr(customer, name) for name in (*FIELDS, "version")} | own.data_of(asked, customer)
    form: ProfileForm = own.form_of(ProfileForm, asked, customer)(data, **now)
    form.country.choices = country_choices(customer.country)
    mine = [customer.language] if customer.language else []
    codes = sorted({*customer.project.languages, *mine}, key=lambda code: language_name(code))
    default = gettext("As usual here (%(name)s)") % {"name": language_name(customer.project.default_language)}
    form.language.choices = choices([("", default), *((code, language_name(code)) for code in codes)])
    zones = timezones()
    kept = [] if customer.timezone in ("", *dict(zones)) else [(customer.timezone, customer.timezone)]
    form.timezone.choices = choices([("", "UTC"), *zones, *kept])
    return form


def verified(customer: Customer) -> bool:
    """Whether the number that stands there now is."""
    return customer.phone_verified_at is not None and customer.verified_phone == customer.phone != ""


def kind_items(customer: Customer) -> list[dict[str, Any]]:
    """What is known of the account by its type."""
    items = [{"label": gettext("Account type"), "value": customer.kind.label}]
    if customer.kind is CustomerKind.COMPANY:
        items += [{"label": gettext("Legal name"), "value": customer.legal_name}]
    if customer.kind is not CustomerKind.INDIVIDUAL:
        items += [
            {"label": gettext("VAT number"), "value": customer.vat_number},
            {"label": gettext("Registration number"), "value": customer.registration_number},
        ]
    if customer.kind is CustomerKind.COMPANY:
        items += [{"label": gettext("Director"), "value": customer.director}]
    return items + own.items(Customer, customer, but=_custom(customer), account=customer.kind)


async def pending(session: AsyncSession, customer_id: int, kind: ConfirmationKind, user_id: int | None) -> str:
    """The address that waits to be confirmed."""
    mine = (Confirmation.user_id.is_not_distinct_from(user_id),)
    rows = await confirmations.open_ones(session, customer_id=customer_id, kind=kind, more=mine)
    return rows[0].value if rows else ""


async def _page(
    request: Asked, session: AsyncSession, customer: Customer, form: ProfileForm, status: int = 200, error: str = ""
) -> Response[Any]:
    view, customer_id = me(request)
    login = None
    if view.user_id is not None and (user := await session.scalar(select(User).where(User.id == view.user_id))):
        waits = await pending(session, customer_id, ConfirmationKind.LOGIN_EMAIL, user.id)
        several = len(await sessions.customers_of(session, user_id=user.id)) > 1
        login = {"username": user.username, "email": user.email, "waits": waits, "several": several}
    return await respond(
        request, session, "client/account.html", status, form=form, login=login, customer=customer,
        error=error, read_only=why_not(view, "client.profile.save"), custom=[s.name for s in _custom(customer)],
        kind_items=kind_items(customer),
        waits=await pending(session, customer_id, ConfirmationKind.ACCOUNT_EMAIL, None),
        verified=verified(customer), may_verify=may(view, "client.profile.phone"),
        may_type=may(view, "client.profile.type.save"), may_email=may(view, "client.profile.email"),
    )  # fmt: skip


@get(URL, name="client.profile")
async def profile(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        customer = await queries.customer(session, customer_id)
        return await _page(request, session, customer, _form(customer))


@post(URL, name="client.profile.save", status_code=200)
async def save(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        customer = await queries.customer(session, customer_id)
        form = _form(customer, given)

        async def change() -> None:
            values = {name: form.data[name] for name in FIELDS}
            if asked := _custom(customer):
                values["custom"] = own.given(form, asked)
            try:
                await customers.change_customer(session, customer=customer, values=values, custom_of=custom.CUSTOMER)
            except Invalid as problem:  # the number is not on this page: what does not fit it is the country
                raise Invalid(**{"country" if f == "vat_number" else f: t for f, t in problem.fields.items()}) from None

        refused = await saved(session, form, change, at="name", row=customer)
    if refused is None:
        flash(request.scope, "ok", gettext("Saved."))
        return see_other(URL)
    async with db.reads() as session:
        customer = await queries.customer(session, customer_id)
        return await _page(request, session, customer, form, refused.status, refused.said)


# ---- password -------------------------------------------------------------------------------------------------


async def _password_page(request: Asked, form: PasswordForm, status: int = 200) -> Response[Any]:
    async with db.reads() as session:
        return await respond(
            request, session, "client/profile.html", status, form=form, page_title=gettext("Change password")
        )


def _user_id(request: Asked) -> int:
    view, _customer_id = me(request)
    if view.user_id is None:  # staff have entered the account, not one of its users
        raise NotFound
    return view.user_id


@get("/client/profile/password", name="client.password")
async def password(request: Asked) -> Response[Any]:
    _user_id(request)
    return await _password_page(request, PasswordForm())


@post("/client/profile/password", name="client.password.save", status_code=200)
async def save_password(request: Asked) -> Response[Any]:
    """Asks the old password; guessing it is slowed down like signing in. Other sessions of the user end."""
    view, _customer_id = me(request)
    user_id = _user_id(request)
    form = PasswordForm(await posted(request))
    if not form.validate():
        return await _password_page(request, form, 422)
    try:
        await prove_password(Person(user_id=user_id), form.old.data or "", field="old")
        async with db.unit() as session:
            changing = await session.get_one(User, user_id)
            await sessions.set_password(
                session, user=changing, password=form.new.data or "", keep_session=view.id, field="new"
            )
    except Invalid as error:
        form.place(error, "new")
        return await _password_page(request, form, 422)
    flash(request.scope, "ok", gettext("Your password is changed. Other devices are signed out."))
    return see_other("/client/profile")


HANDLERS = [profile, save, password, save_password]
