"""Registering: the form of a brand, the page to look into the mailbox, and what the link in the mail leads to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from markupsafe import Markup
from wtforms import BooleanField, PasswordField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import EqualTo, InputRequired

from app import db
from app.domain import brands, custom, signup
from app.domain.brands import Brand
from app.domain.custom import Spec
from app.domain.sessions import USER_PASSWORD
from app.domain.sessions.links import Gone
from app.domain.signup import OF_COMPANY, SignUp, Wish, settings_of
from app.errors import AppError, Conflict, Invalid, NotFound, TooMany
from app.flash import flash
from app.i18n import _, best, countries, gettext, language, language_name
from app.models.customers import Customer, CustomerKind
from app.observe import actor
from app.web.branding import brand_of
from app.web.client import custom as own
from app.web.forms import REQUIRED, AppForm, choices, only_text, posted, stripped
from app.web.passwords import gone, step_page
from app.web.second import door

Asked = Request[Any, Any, Any]
TRAP = "website"
"""A field that people do not see; programs fill it in."""
COMPLETE = {
    "contact_person": "name", "legal_name": "organization", "phone": "tel", "address": "street-address",
    "country": "country",
}  # fmt: skip
COMPANY = "|".join(k.value for k in CustomerKind if k is not CustomerKind.INDIVIDUAL)


def _brand(request: Asked) -> tuple[Brand, SignUp]:
    """Whose form it is. NotFound where nobody may register, or where several brands share the address."""
    brand = brand_of(request.scope)
    how = settings_of(brand.signup) if brand is not None and brand.enabled else SignUp()
    if brand is None or not how.open:
        raise NotFound(gettext("Nobody can register here. Please write to us."))
    return brand, how


def _custom(how: SignUp) -> list[Spec]:
    """The custom fields that are asked of those who may register here."""
    return [s for s in own.specs(Customer, asked=custom.SIGNING_UP) if any(s.applies(kind) for kind in how.kinds)]


def _form(request: Asked, brand: Brand, how: SignUp, given: Any = None) -> AppForm:
    """The fields that the project asks. What is missing is said by the verb, all at once."""
    fields: dict[str, Any] = {}
    if len(how.kinds) > 1:
        kinds = choices([(k.value, k.label) for k in how.kinds])
        fields["kind"] = RadioField(
            _("You are"), choices=kinds, default=how.kinds[0].value, render_kw={"data-seg": "1"}
        )
    for name in how.fields():
        kw: dict[str, Any] = {"autocomplete": COMPLETE.get(name, "off")}
        checks: list[Any] = [only_text]
        more: dict[str, Any] = {}
        if name in OF_COMPANY and len(how.kinds) > 1:
            kw["data-when"] = f"kind={COMPANY}"
            more = {"description": _("Required of companies.")} if name in how.required else {}
        elif name in how.required:
            checks.append(InputRequired(REQUIRED))
        label = signup.FIELDS[name]
        if name == "country":
            fields[name] = SelectField(label, checks, choices=[("", ""), *countries(language())], render_kw=kw)
        elif name == "address":
            fields[name] = TextAreaField(label, checks, filters=[stripped], render_kw={**kw, "rows": 3})
        else:
            kw |= {"type": "tel", "inputmode": "tel"} if name == "phone" else {}
            fields[name] = StringField(label, checks, filters=[stripped], render_kw=kw, **more)
    for spec in _custom(how):
        fields[spec.name] = own.field_of(spec)
        if len(how.kinds) == 1:
            fields[spec.name].kwargs["render_kw"].pop("data-when", None)
    fields["email"] = StringField(
        _("E-mail"), [only_text, InputRequired(REQUIRED)], filters=[stripped],
        description=_("You sign in with it. We send a link there to confirm it."),
        render_kw={"type": "email", "autocomplete": "email", "spellcheck": "false"},
    )  # fmt: skip
    fields["password"] = PasswordField(
        _("Password"), [only_text, InputRequired(REQUIRED)],
        description=gettext("At least %(n)d characters.") % {"n": USER_PASSWORD},
        render_kw={"autocomplete": "new-password"},
    )  # fmt: skip
    fields["again"] = PasswordField(
        _("Once more"), [InputRequired(REQUIRED), EqualTo("password", _("The two passwords differ."))],
        render_kw={"autocomplete": "new-password"},
    )  # fmt: skip
    if len(brand.languages) > 1:
        usual = best(language(), brand.languages) or brand.language
        tongues = choices([(code, language_name(code)) for code in brand.languages])
        fields["language"] = SelectField(_("Language"), choices=tongues, default=usual)
    if brand.terms.strip():
        link = Markup('<a href="{}" target="_blank">{}</a>').format(
            door(request.scope, "/terms"), gettext("Read the terms")
        )
        fields["terms"] = BooleanField(_("I accept the terms"), description=link)
    made: AppForm = type("RegisterForm", (AppForm,), fields)(given)
    return made


def _page(request: Asked, form: AppForm, came_from: str, status: int = 200, error: str = "") -> Response[Any]:
    return step_page(
        request, "/register", status, heading=gettext("Register"), form=form, error=error, submit=gettext("Register"),
        hidden={"came_from": came_from}, trap_name=TRAP, back_url=door(request.scope, "/login"),
        back=gettext("I have an account: sign in"),
    )  # fmt: skip


def _referrer(request: Asked) -> str:
    """The page of another site that led here, without what is behind its question mark."""
    parts = urlsplit(request.headers.get("referer", "")[:500])
    own = request.headers.get("host", "")
    return f"{parts.netloc}{parts.path}"[:150] if parts.netloc and parts.netloc != own else ""


@get("/client/register", name="client.register")
async def register(request: Asked) -> Response[Any]:
    brand, how = _brand(request)
    if (sent := request.query_params.get("sent", "")) != "":
        return step_page(
            request, "/register", heading=gettext("Look into your mailbox"), icon="mail",
            lede=gettext("We have sent a link to the address that you gave. Your account is ready when you have "
                         "confirmed it. Nothing there after some minutes? Look among the spam."),
            again={"url": door(request.scope, "/register/again"), "label": gettext("Send it once more"),
                   "hidden": {"for": sent[:200]}},
            back_url=door(request.scope, "/login"), back=gettext("Back to the sign-in"),
        )  # fmt: skip
    return _page(request, _form(request, brand, how), _referrer(request))


@post("/client/register", name="client.register.post", status_code=200)
async def save(request: Asked) -> Response[Any]:
    brand, how = _brand(request)
    given = await posted(request)
    form, came_from = _form(request, brand, how, given), given.get("came_from")[:150]
    if given.get(TRAP):
        return _sent(request, signup.kept_out(brand))
    fine = form.validate()
    data = form.data
    wish = Wish(
        email=str(data["email"] or ""), password=str(data["password"] or ""),
        kind=str(data.get("kind") or how.kinds[0].value), language=str(data.get("language") or ""),
        values={name: str(data.get(name) or "") for name in how.fields()},
        custom=own.given(form, _custom(how)), terms=bool(data.get("terms")),
        came_from=" – ".join(filter(None, (request.headers.get("host", "")[:100], came_from))),
    )  # fmt: skip
    try:
        if not fine:
            signup.check(brand, wish)  # so that everything is said at once
            return _page(request, form, came_from, 422)
        token = await signup.register(brand=brand, wish=wish, ip=actor.get().ip)
    except Invalid as error:
        more = {name: text for name, text in error.fields.items() if name not in form or not form[name].errors}
        if more:
            form.place(Invalid(**more), "email")
        return _page(request, form, came_from, 422)
    except TooMany as error:
        page = _page(request, form, came_from, error.status, str(error))
        page.headers["Retry-After"] = str(error.seconds)
        return page
    return _sent(request, token)


def _sent(request: Asked, token: str) -> Response[Any]:
    return Redirect(f"{door(request.scope, '/register')}?sent={quote(token)}", status_code=303)


@post("/client/register/again", name="client.register.again", status_code=200)
async def again(request: Asked) -> Response[Any]:
    """The same answer whatever stands behind it."""
    form = await posted(request)
    token = form.get("for")[:200]
    await signup.mail_again(token=token, ip=actor.get().ip)
    flash(request.scope, "ok", gettext("It is sent once more."))
    return _sent(request, token or "x")


# ---- the link -------------------------------------------------------------------------------------------------------


def _gone(request: Asked, error: Gone) -> Response[Any]:
    return gone(request, error, door(request.scope, "/register"), gettext("Register again"))


@get("/client/register/confirm/{token:str}", name="client.register.confirm")
async def confirm_page(request: Asked, token: FromPath[str]) -> Response[Any]:
    """Looking changes nothing: mail programs follow links."""
    try:
        async with db.reads() as session:
            row = await signup.waiting(session, token)
    except Gone as error:
        return _gone(request, error)
    request.scope["state"]["brand"] = await brands.brand(row.project_id)
    return step_page(
        request, "/login", heading=gettext("Confirm your registration"), icon="mail-check",
        lede=gettext("The account for %(email)s is made when you confirm it. Was it not you who registered? Then close "
                     "this page.") % {"email": row.email},
        submit=gettext("Confirm"),
    )  # fmt: skip


@post("/client/register/confirm/{token:str}", name="client.register.confirm.post", status_code=200)
async def confirm(request: Asked, token: FromPath[str]) -> Response[Any]:
    try:
        async with db.unit() as session:
            row = await signup.waiting(session, token)
            brand = await brands.brand(row.project_id)
            request.scope["state"]["brand"] = brand
            await signup.confirm(session, token=token)
    except Gone as error:
        return _gone(request, error)
    except Invalid:
        raise Conflict(_("This cannot be confirmed any more. Please register again, or write to us.")) from None
    except AppError as error:
        return step_page(
            request, "/login", error.status, heading=gettext("Confirm your registration"), error=str(error),
            onward=door(request.scope, "/login"), onward_label=gettext("Sign in"),
        )  # fmt: skip
    flash(request.scope, "ok", gettext("Your account is ready. Sign in with your e-mail address and your password."))
    return Redirect(signup.path_at(brand, "/login") if brand else "/client/login", status_code=303)


HANDLERS = [register, save, again, confirm_page, confirm]
