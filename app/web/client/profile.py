"""The customer's own data, and the own password of a user."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain import customers, sessions
from app.domain.sessions.throttle import admit, forgive, key_of
from app.errors import Invalid, NotFound, SignInNeeded
from app.flash import flash
from app.i18n import gettext, language_name, timezones
from app.models.customers import Customer
from app.models.users import User
from app.web.auth import see_other
from app.web.client import queries
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.forms import PasswordForm, ProfileForm, choices, posted

FIELDS = ("name", "contact_person", "phone", "language", "timezone")


def _form(customer: Customer, data: Any = None) -> ProfileForm:
    form = ProfileForm(data, **{name: getattr(customer, name) for name in FIELDS})
    own = [customer.language] if customer.language else []
    codes = sorted({*customer.project.languages, *own}, key=lambda code: language_name(code))
    default = gettext("As usual here (%(name)s)") % {"name": language_name(customer.project.default_language)}
    form.language.choices = choices([("", default), *((code, language_name(code)) for code in codes)])
    zones = timezones()
    kept = [] if customer.timezone in ("", *dict(zones)) else [(customer.timezone, customer.timezone)]
    form.timezone.choices = choices([("", "UTC"), *zones, *kept])
    return form


async def _page(
    request: Asked, session: AsyncSession, customer: Customer, form: ProfileForm, status: int = 200
) -> Response[Any]:
    view, _customer_id = me(request)
    known = [{"label": gettext("E-mail"), "value": customer.email or "–"}]
    sections: list[dict[str, Any]] = []
    if view.user_id is not None:
        user = await session.scalar(select(User).where(User.id == view.user_id))
        known.insert(0, {"label": gettext("User name"), "value": user.username if user else ""})
        link = Markup('<p><a class="btn" href="/client/profile/password">{}</a></p>').format(gettext("Change password"))
        served = await sessions.customers_of(session, user_id=view.user_id)
        if len(served) > 1:
            link += Markup('<p><a class="btn" href="/client/accounts">{}</a></p>').format(gettext("Choose an account"))
        sections.append({"label": gettext("Password"), "kind": "html", "html": link})
    sections.insert(0, {"label": gettext("Sign-in"), "kind": "kv", "items": known})
    choose = Markup('<p><a class="btn" href="/client/profile/subscriptions">{}</a></p>').format(
        gettext("Choose which messages you get")
    )
    sections.append({"label": gettext("Messages to you"), "kind": "html", "html": choose})
    return await respond(
        request, session, "client/profile.html", status, form=form, sections=sections,
        read_only=why_not(view, "client.profile.save"),
    )  # fmt: skip


@get("/client/profile", name="client.profile")
async def profile(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        customer = await queries.customer(session, customer_id)
        return await _page(request, session, customer, _form(customer))


@post("/client/profile", name="client.profile.save", status_code=200)
async def save(request: Asked) -> Response[Any]:
    _view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        customer = await queries.customer(session, customer_id)
        form = _form(customer, given)
        if form.validate():
            try:
                values = {name: form.data[name] for name in FIELDS}
                async with session.begin_nested():
                    await customers.change_customer(session, customer=customer, values=values)
            except Invalid as error:
                form.place(error, "name")
            else:
                flash(request.scope, "ok", gettext("Saved."))
                return see_other("/client/profile")
    async with db.reads() as session:
        return await _page(request, session, await queries.customer(session, customer_id), form, 422)


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
    account = key_of("password", str(user_id))
    await admit(account, None)
    async with db.reads() as session:
        user = await session.scalar(select(User).where(User.id == user_id))
    if user is None:
        raise SignInNeeded
    if not await sessions.verify_password(user.password_hash, form.old.data or ""):
        form.place(Invalid(old=gettext("This is not your password.")), "old")
        return await _password_page(request, form, 422)
    try:
        async with db.unit() as session:
            await forgive(session, account, None)
            changing = await session.scalar(select(User).where(User.id == user_id))
            await sessions.set_password(
                session, user=changing, password=form.new.data or "", keep_session=view.id, field="new"
            )
    except Invalid as error:
        form.place(error, "new")
        return await _password_page(request, form, 422)
    flash(request.scope, "ok", gettext("Your password is changed. Other devices are signed out."))
    return see_other("/client/profile")


HANDLERS = [profile, save, password, save_password]
