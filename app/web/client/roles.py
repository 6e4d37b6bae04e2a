"""The roles that a customer makes for the own users."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length

from app import db
from app.domain import members
from app.errors import AppError, Conflict, Forbidden
from app.flash import flash
from app.i18n import _, gettext
from app.models.users import CustomerRole, Right
from app.web.auth import see_other
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.client.saving import saved
from app.web.client.users import URL as USERS
from app.web.client.users import by_of
from app.web.forms import REQUIRED, VersionedForm, choices, number, only_text, posted, stripped

URL = f"{USERS}/roles"


class RoleForm(VersionedForm):
    name = StringField(
        _("Name"), [only_text, DataRequired(REQUIRED), Length(max=60, message=_("This is too long."))],
        filters=[stripped],
    )  # fmt: skip
    rights = SelectMultipleField(
        _("What it allows"), description=_("Services and messages may be looked at in any case.")
    )


def _form(request: Asked, role: CustomerRole | None = None, data: Any = None) -> RoleForm:
    view, _customer_id = me(request)
    now = {"name": role.name, "rights": role.rights, "version": role.version} if role else {}
    form = RoleForm(data, data=now)
    kept = members.rights_in(role) if role else frozenset()
    shown = [right for right in Right if right in view.rights or right in kept]
    form.rights.choices = choices([(right.value, right.label) for right in shown])
    return form


async def _page(
    request: Asked, session: AsyncSession, form: RoleForm, role: CustomerRole | None = None, status: int = 200,
    error: str = "",
) -> Response[Any]:  # fmt: skip
    view, _customer_id = me(request)
    base = f"{URL}/{role.id}" if role else None
    return await respond(
        request, session, "client/role.html", status, form=form, role=role, error=error, base=base, list_url=USERS,
        read_only=why_not(view, "client.role.save"), users=await members.holders(session, role) if role else 0,
    )  # fmt: skip


async def _saved(request: Asked, key: str | None) -> Response[Any]:
    view, customer_id = me(request)
    given = await posted(request)
    async with db.unit() as session:
        role = await members.own_role(session, customer_id, number(key)) if key is not None else None
        form = _form(request, role, given)

        async def save() -> None:
            await members.save_role(
                session, customer_id=customer_id, role=role, name=form.name.data or "",
                rights=form.rights.data or [], by=by_of(view),
            )  # fmt: skip

        refused = await saved(session, form, save, at="name", row=role)
    if refused is None:
        flash(request.scope, "ok", gettext("Saved."))
        return see_other(USERS)
    async with db.reads() as session:
        role = await members.own_role(session, customer_id, number(key)) if key is not None else None
        return await _page(request, session, form, role, refused.status, refused.said)


@get(f"{URL}/new", name="client.role.new")
async def new(request: Asked) -> Response[Any]:
    async with db.reads() as session:
        return await _page(request, session, _form(request))


@post(f"{URL}/new", name="client.role.add", status_code=200)
async def add(request: Asked) -> Response[Any]:
    """A double click finds the name taken."""
    return await _saved(request, None)


@get(f"{URL}/{{key:str}}", name="client.role")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        role = await members.own_role(session, customer_id, number(key))
        return await _page(request, session, _form(request, role), role)


@post(f"{URL}/{{key:str}}", name="client.role.save", status_code=200)
async def save(request: Asked, key: FromPath[str]) -> Response[Any]:
    return await _saved(request, key)


@post(f"{URL}/{{key:str}}/delete", name="client.role.delete", status_code=200)
async def delete(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, customer_id = me(request)
    try:
        async with db.unit() as session:
            role = await members.own_role(session, customer_id, number(key))
            await members.delete_role(session, role=role, by=by_of(view))
    except (Conflict, Forbidden) as error:
        return await _refused(request, key, error)
    flash(request.scope, "ok", gettext("Deleted."))
    return see_other(USERS)


async def _refused(request: Asked, key: str, error: AppError) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        role = await members.own_role(session, customer_id, number(key))
        return await _page(request, session, _form(request, role), role, error.status, str(error))


HANDLERS = [new, add, show, save, delete]
