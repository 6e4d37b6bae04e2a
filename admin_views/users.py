"""Users: the logins of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from starlette.requests import Request
from wtforms import BooleanField, validators
from wtforms.fields.core import UnboundField

from admin_views.access import may
from admin_views.base import AppView, LookupField, Related
from admin_views.base.fields import ChoiceField, password_fields
from admin_views.base.frame import hue_of
from admin_views.members import SERVE
from app.domain import users
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.customers import Customer
from app.models.users import User, UserCustomer, UserRole
from app.render import initials


class Users(AppView, model=User):
    name, name_plural, icon, category = _("User"), _("Users"), "user-circle", "Customers"
    purpose = _("The logins with which customers enter their panel.")
    create_label, create_icon = _("Add a user"), "user-plus"
    search_hint = _("Name or e-mail")
    letter, in_palette, palette_hints = "u", True, ("email", "project_id")
    leave_out = ("last_sign_in_at",)
    buttons = (SERVE,)
    bulk = ("language", "enabled")
    related = (Related("customer", of=lambda u: Customer.logins.any(UserCustomer.user_id == u.id)),)

    def card_options(self) -> list[Any]:
        return [
            joinedload(User.project),
            selectinload(User.customers).options(joinedload(UserCustomer.customer), joinedload(UserCustomer.own_role)),
        ]

    async def side(self, session: AsyncSession, obj: User, request: Request) -> list[dict[str, Any]]:
        if not may(request, "customer", "list"):
            return []
        served = [
            {
                "url": f"/admin/customer/details/{s.customer_id}" if may(request, "customer", "details") else None,
                "name": s.customer.name,
                "hint": f"#{s.customer_id}",
                "note": s.own_role.name if s.own_role else str(s.role.label),
                "initials": initials(s.customer.name),
                "hue": hue_of(s.customer.name),
            }
            for s in obj.customers
            if s.customer is not None  # one outside the scope
        ]
        return [{"label": gettext("Customers"), "kind": "people", "people": served[:10]}]

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = password_fields()
        if obj is not None:
            fields["project"] = None  # a login stays in its project
        else:
            fields |= {
                "customer": LookupField(_("Customer"), [validators.InputRequired()], target="customer"),
                "role": ChoiceField(_("Role"), kind=UserRole, default=UserRole.READ_ONLY.value),
                "receives": BooleanField(_("Receives messages"), description=_("Besides the customer's own address.")),
            }
        return cast("dict[str, UnboundField[Any]]", fields)

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        values.pop("password_again")
        password = values.pop("password") or None
        if obj is not None:
            await users.change_user(session, user=obj, values=values, password=password)
            return obj
        customer_id, role, receives = values.pop("customer"), values.pop("role"), values.pop("receives")
        customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
        if customer is None:
            raise Invalid(customer=gettext("Choose one from the list."))
        made = await users.create_user(session, password=password, **values)
        await users.attach_user(session, user=made, customer=customer, role=role, receives=receives)
        return made

    async def attached(self, session: AsyncSession, obj: User) -> list[Mapping[str, Any]]:
        links = await session.scalars(
            select(UserCustomer).where(UserCustomer.user_id == obj.id).options(joinedload(UserCustomer.customer))
        )
        return [
            {
                "label": gettext("Serves %(name)s") % {"name": link.customer},
                "n": 1,
                "url": f"/admin/customer/details/{link.customer_id}",
            }
            for link in links
        ]

    async def refusals(self, session: AsyncSession, obj: User) -> list[str]:
        return []

    async def remove(self, session: AsyncSession, obj: User) -> None:
        await users.delete_user(session, user=obj)
