"""Users and the accounts that they serve: their role in each, and the roles that a customer has made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from wtforms import BooleanField, HiddenField, SelectField, StringField, validators

from admin_views.access import may
from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.cells import esc, ready
from admin_views.base.fields import ListField, plain
from app.domain import members
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _, gettext
from app.models.customers import Customer
from app.models.users import CustomerRole, Right, User, UserCustomer

OUT = "out"


async def _served(session: AsyncSession, user: User) -> Sequence[UserCustomer]:
    """Those that the acting person may see, by id."""
    rows = await session.scalars(
        select(UserCustomer)
        .join(Customer, Customer.id == UserCustomer.customer_id)
        .where(UserCustomer.user_id == user.id)
        .options(
            joinedload(UserCustomer.customer), joinedload(UserCustomer.own_role), joinedload(UserCustomer.user)
        )
        .order_by(UserCustomer.customer_id)
        .limit(50)
    )  # fmt: skip
    return rows.all()


class ServeForm(AppForm):
    customer = SelectField(_("Customer"))
    role = SelectField(_("Role"))
    receives = BooleanField(_("Receives messages"), description=_("Besides the customer's own address."))


class ServeFlow(Flow):
    """The role of a user in an account; also taking them out of it."""

    form = ServeForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        served = await _served(press.session, press.one)
        first = served[0] if served else None
        now = {"role": members.offer_of(first).word, "receives": first.receives} if first else {}
        form: Any = ServeForm(posted, data=now)
        form.customer.choices = [(str(link.customer_id), f"{link.customer} (#{link.customer_id})") for link in served]
        form.role.choices = [(OUT, gettext("None: out of the account"))]
        for n, link in enumerate(served):
            for offer in await members.offers(press.session, link.customer_id, members.STAFF):
                if offer.own is None and n:
                    continue
                of = f" ({link.customer})" if offer.own is not None and len(served) > 1 else ""
                form.role.choices.insert(-1, (offer.word, f"{offer.label}{of}"))
        return cast(AppForm, form)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        served = {str(link.customer_id): link for link in await _served(session, press.one)}
        link = served.get(form.data["customer"])
        if link is None:
            raise Invalid(customer=gettext("Choose one from the list."))
        if form.data["role"] == OUT:
            if len(served) == 1 and not await members.serves_others(session, link):
                raise Conflict(gettext("It is the only account of this login. Delete the login instead."))
            await members.remove_member(session, link=link, by=members.STAFF)
        else:
            await members.change_member(
                session, link=link, by=members.STAFF, role=form.data["role"], receives=form.data["receives"]
            )
        return Done(gettext("Saved."))


SERVE = Button(
    "serve",
    _("Role in an account"),
    "id-badge-2",
    on=frozenset({"card"}),
    flow=ServeFlow(),
    grant="edit",
    submit=_("Save"),
)


# ---- the roles of a customer ------------------------------------------------------------------------------------


class OwnRoleForm(AppForm):
    role = HiddenField()
    name = StringField(_("Name"), [validators.InputRequired(), validators.Length(max=60), plain])
    rights = ListField(_("What it allows"))
    remove = BooleanField(_("Delete this role"), description=_("Only while nobody has it."))


async def _role(press: Press, posted: Any) -> CustomerRole | None:
    word = posted.get("role") if posted is not None else press.request.query_params.get("role")
    if not word:
        return None
    if not (str(word).isascii() and str(word).isdecimal() and len(str(word)) < 19):
        raise NotFound
    return await members.own_role(press.session, press.one.id, int(word))


class OwnRoleFlow(Flow):
    """A new role of the customer's own, or one that ``role=`` names."""

    form = OwnRoleForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        role = await _role(press, posted)
        now = {"role": role.id, "name": role.name, "rights": role.rights} if role else {}
        form: Any = OwnRoleForm(posted, data=now)
        form.rights.choices = [(right.value, str(right.label)) for right in Right]
        if role is None:
            del form.remove
        return cast(AppForm, form)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        word = form.data.get("role")
        role = await members.own_role(session, press.one.id, int(word)) if word else None
        if role is not None and form.data.get("remove"):
            await members.delete_role(session, role=role, by=members.STAFF)
            return Done(gettext("Deleted."))
        await members.save_role(
            session, customer_id=press.one.id, role=role, name=form.data["name"], rights=form.data["rights"] or [],
            by=members.STAFF,
        )  # fmt: skip
        return Done(gettext("Saved."))


OWN_ROLE = Button(
    "own_role",
    _("Make a role"),
    "user-check",
    on=frozenset({"card"}),
    flow=OwnRoleFlow(),
    grant="edit",
    submit=_("Save"),
    more=True,
    lede=_("A role for the users of this customer alone, beside owner, finance, technical and read-only."),
)


async def user_tab(session: AsyncSession, request: Any, customer: Any) -> list[dict[str, Any]]:
    """The customer's own roles and open invitations, below the users."""
    change = may(request, "customer", "edit")
    words = []
    for role in await members.own_roles(session, customer.id):
        rights = ", ".join(str(right.label) for right in Right if right.value in role.rights)
        name = f"<bdi>{esc(role.name)}</bdi>"
        if change:
            name = f'<a class="ink" href="{OWN_ROLE.url("customer", customer.id)}&amp;role={role.id}">{name}</a>'
        words.append(ready(f'<span class="grow cut">{name} <span class="faint">{esc(rights)}</span></span>'))
    sections = [{"label": gettext("Roles of their own"), "kind": "words", "words": words}] if words else []
    invited = [str(row.value) for row in await members.invitations(session, customer.id)]
    if invited:
        sections.append({"label": gettext("Invited, not answered yet"), "kind": "words", "words": invited})
    return sections
