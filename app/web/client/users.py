"""The users of the account: who they are, what they may, inviting and taking out."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import BooleanField, HiddenField, RadioField, StringField
from wtforms.validators import DataRequired, Length

from app import db
from app.domain import custom, members, users
from app.domain.custom import Spec
from app.domain.members import By
from app.domain.sessions import SessionView
from app.errors import AppError, Conflict, TooMany
from app.flash import flash
from app.i18n import _, gettext
from app.models.confirmations import Confirmation
from app.models.users import Right, User, UserCustomer
from app.web.auth import see_other
from app.web.client import custom as own
from app.web.client import queries
from app.web.client.access import may, why_not
from app.web.client.area import Asked, me, respond
from app.web.client.saving import saved
from app.web.forms import REQUIRED, AppForm, choices, number, only_text, posted, stripped

URL = "/client/users"
RECEIVES = _("Receives messages")


class UserForm(AppForm):
    role = RadioField(_("Role"), validate_choice=True)
    seen = HiddenField()
    receives = BooleanField(RECEIVES, description=_("Besides the address of the account."))


class InviteForm(AppForm):
    email = StringField(
        _("E-mail"), [only_text, DataRequired(REQUIRED), Length(max=254, message=_("This is too long."))],
        filters=[stripped], render_kw={"type": "email", "inputmode": "email"},
        description=_("They get a link there, and choose a password of their own."),
    )  # fmt: skip
    role = RadioField(_("Role"), validate_choice=True)
    receives = BooleanField(RECEIVES, description=_("Besides the address of the account."))


def by_of(view: SessionView) -> By:
    """Who decides. Staff who have entered the account only look."""
    return By(view.rights, view.user_id)


def say_rights(rights: frozenset[Right]) -> str:
    """What a role allows, in words."""
    if rights == frozenset(Right):
        return gettext("Everything")
    return ", ".join(str(r.label) for r in Right if r in rights) or gettext("Only look at services and messages")


def role_choices(offers: list[members.Offer]) -> list[tuple[Any, str]]:
    return choices([(o.word, f"{o.label}: {say_rights(o.rights)}") for o in offers])


def _line(link: UserCustomer, view: SessionView) -> dict[str, Any]:
    user = link.user
    state = ("", gettext("Disabled")) if not user.enabled else ("ok", gettext("Active"))
    if user.enabled and user.password_hash is None:
        state = ("open", gettext("Without a password yet"))
    return {
        "name": str(user), "email": user.email, "url": f"{URL}/{user.id}", "role": members.offer_of(link).label,
        "kind": state[0], "state": state[1], "receives": link.receives, "seen": user.last_sign_in_at,
        "mine": link.user_id == view.user_id,
    }  # fmt: skip


def _invited(row: Confirmation, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "email": row.value, "role": labels.get(row.args["word"], ""), "until": row.expires_at,
        "url": f"{URL}/invitations/{row.id}",
    }  # fmt: skip


@get(URL, name="client.users")
async def listed(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        everything = await members.offers(session, customer_id, members.STAFF)
        labels = {offer.word: offer.label for offer in everything}
        roles = [offer.own for offer in everything if offer.own is not None]
        team = await members.team(session, customer_id)
        return await respond(
            request, session, "client/users.html",
            users=[_line(link, view) for link in team],
            invitations=[_invited(row, labels) for row in await members.invitations(session, customer_id)],
            roles=[
                {"name": r.name, "rights": say_rights(members.rights_in(r)), "url": f"{URL}/roles/{r.id}",
                 "users": sum(link.own_role_id == r.id for link in team)}
                for r in roles
            ],
            may_change=may(view, "client.user.invite"), url=URL,
        )  # fmt: skip


# ---- one of them ------------------------------------------------------------------------------------------------


async def _page(
    request: Asked, session: AsyncSession, key: str, form: UserForm | None = None, status: int = 200, error: str = ""
) -> Response[Any]:
    view, customer_id = me(request)
    link = await members.member(session, customer_id, number(key))
    by = by_of(view)
    fixed = why_not(view, "client.user.save") or members.why_not(link, by)
    elsewhere = await members.serves_others(session, link)
    return await respond(
        request, session, "client/user.html", status, form=form or await _form(session, link, by), error=error,
        user=_line(link, view), fixed=fixed, read_only=why_not(view, "client.user.save"), elsewhere=elsewhere,
        enabled=link.user.enabled, without=link.user.enabled and link.user.password_hash is None,
        rights=say_rights(link.rights), items=own.items(User, link.user, but=await _custom(session, link)),
        base=f"{URL}/{link.user_id}", list_url=URL,
    )  # fmt: skip


async def _custom(session: AsyncSession, link: UserCustomer) -> list[Spec]:
    """The custom fields that may be changed: of one who serves other accounts too, none."""
    return [] if await members.serves_others(session, link) else own.specs(User)


async def _form(session: AsyncSession, link: UserCustomer, by: By, data: Any = None) -> UserForm:
    now = members.offer_of(link)
    asked = await _custom(session, link)
    kept = own.data_of(asked, link.user)
    form: UserForm = own.form_of(UserForm, asked, link.user)(
        data, data={"role": now.word, "receives": link.receives, "seen": now.word, **kept}
    )
    offered = await members.offers(session, link.customer_id, by)
    if members.why_not(link, by) is not None:
        del form.role
    else:
        form.role.choices = role_choices(offered)
    return form


@get(f"{URL}/{{key:str}}", name="client.user")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    async with db.reads() as session:
        return await _page(request, session, key)


@post(f"{URL}/{{key:str}}", name="client.user.save", status_code=200)
async def save(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        link = await members.member(session, customer_id, number(key))
        form = await _form(session, link, by_of(view), given)

        async def change() -> None:
            await members.change_member(
                session, link=link, by=by_of(view), role=form.role.data if "role" in form else None,
                receives=form.receives.data, seen=form.seen.data or None,
            )  # fmt: skip
            if asked := await _custom(session, link):
                values = {"custom": own.given(form, asked)}
                await users.change_user(session, user=link.user, values=values, custom_of=custom.CUSTOMER)

        refused = await saved(session, form, change, at="receives", refusals=(Conflict,))
        if refused is not None and refused.said:
            form.seen.data = members.offer_of(link).word
    if refused is None:
        flash(request.scope, "ok", gettext("Saved."))
        return see_other(URL)
    async with db.reads() as session:
        return await _page(request, session, key, form, refused.status, refused.said)


async def _do(request: Asked, key: str, what: Any, done: str) -> Response[Any]:
    """A button of a user; what is refused stands on the page. what: a verb of `members` on a link."""
    view, customer_id = me(request)
    try:
        async with db.unit() as session:
            link = await members.member(session, customer_id, number(key))
            name = str(link.user)
            await what(session, link=link, by=by_of(view))
    except (Conflict, TooMany) as error:
        async with db.reads() as session:
            return await _page(request, session, key, None, error.status, str(error))
    flash(request.scope, "ok", gettext(done) % {"name": name})
    return see_other(URL)


@post(f"{URL}/{{key:str}}/disable", name="client.user.disable", status_code=200)
async def disable(request: Asked, key: FromPath[str]) -> Response[Any]:
    off = partial(members.set_enabled, enabled=False)
    return await _do(request, key, off, _("%(name)s cannot sign in any more."))


@post(f"{URL}/{{key:str}}/enable", name="client.user.enable", status_code=200)
async def enable(request: Asked, key: FromPath[str]) -> Response[Any]:
    on = partial(members.set_enabled, enabled=True)
    return await _do(request, key, on, _("%(name)s can sign in again."))


@post(f"{URL}/{{key:str}}/link", name="client.user.link", status_code=200)
async def send_link(request: Asked, key: FromPath[str]) -> Response[Any]:
    said = _("A link to choose a password is on its way to %(name)s.")
    return await _do(request, key, members.send_link, said)


@post(f"{URL}/{{key:str}}/remove", name="client.user.remove", status_code=200)
async def remove(request: Asked, key: FromPath[str]) -> Response[Any]:
    return await _do(request, key, members.remove_member, _("%(name)s is no user of this account any more."))


# ---- inviting ---------------------------------------------------------------------------------------------------


async def _invite_form(session: AsyncSession, customer_id: int, by: By, data: Any = None) -> InviteForm:
    offered = await members.offers(session, customer_id, by)
    least = min(offered, key=lambda o: len(o.rights), default=None)
    form = InviteForm(data, data={"role": least.word if least else None})
    form.role.choices = role_choices(offered)
    return form


async def _invite_page(
    request: Asked, session: AsyncSession, form: InviteForm, status: int = 200, error: str = ""
) -> Response[Any]:
    view, _customer_id = me(request)
    return await respond(
        request, session, "client/invite.html", status, form=form, error=error, list_url=URL,
        read_only=why_not(view, "client.user.invite"),
    )  # fmt: skip


@get(f"{URL}/new", name="client.user.new")
async def new(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    async with db.reads() as session:
        return await _invite_page(request, session, await _invite_form(session, customer_id, by_of(view)))


@post(f"{URL}/new", name="client.user.invite", status_code=200)
async def invite(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        form = await _invite_form(session, customer_id, by_of(view), given)

        async def ask() -> None:
            await members.invite(
                session, customer=await queries.customer(session, customer_id), email=form.email.data or "",
                role=form.role.data, by=by_of(view), receives=form.receives.data,
            )  # fmt: skip

        refused = await saved(session, form, ask, at="email", refusals=(AppError,))
    if refused is None:
        said = gettext("The invitation is on its way to %(email)s.") % {"email": form.email.data}
        flash(request.scope, "ok", said)
        return see_other(URL)
    async with db.reads() as session:
        return await _invite_page(request, session, form, refused.status, refused.said)


@post(f"{URL}/invitations/{{key:str}}/resend", name="client.invitation.resend", status_code=200)
async def resend(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, customer_id = me(request)
    async with db.unit() as session:
        row = await members.invitation(session, customer_id, number(key))
        await members.resend(
            session, row=row, customer=await queries.customer(session, customer_id), by=by_of(view)
        )  # fmt: skip
    flash(request.scope, "ok", gettext("The invitation is on its way to %(email)s.") % {"email": row.value})
    return see_other(URL)


@post(f"{URL}/invitations/{{key:str}}/withdraw", name="client.invitation.withdraw", status_code=200)
async def withdraw(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.unit() as session:
        row = await members.invitation(session, customer_id, number(key))
        await members.withdraw(session, row=row)
    flash(request.scope, "ok", gettext("The invitation of %(email)s is withdrawn.") % {"email": row.value})
    return see_other(URL)


HANDLERS = [listed, new, invite, show, save, disable, enable, send_link, remove, resend, withdraw]
