"""Groups, attitudes and notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from wtforms.fields.core import UnboundField

from admin_views.access import may
from admin_views.base import AppView, LookupField, Related
from admin_views.base.conditions import ConditionField, told
from app.domain import customers
from app.domain.customers import grouping
from app.errors import Invalid
from app.i18n import _, gettext, ngettext, show_number
from app.models.customers import Attitude, Customer, Group, GroupPaymentMethod, GroupProduct, Membership, Note


class Groups(AppView, model=Group):
    name, name_plural, icon, category = _("Group"), _("Groups"), "users-group", "Customers"
    in_place = ("name", "hue", "priority")
    purpose = _("Groups say what their members may do and which products they see.")
    related = (Related("customer", _("Members"), of=lambda g: Customer.memberships.any(Membership.group_id == g.id)),)
    extra_groups = ((_("What members may do"), ("products", "payment_methods")), (_("Members by rule"), ("condition",)))

    def card_options(self) -> list[Any]:
        return [selectinload(Group.products), selectinload(Group.payment_methods)]

    edit_options = card_options

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {
            "condition": ConditionField(
                _("Who is a member"),
                model=Customer,
                description=_(
                    "Whoever fits is a member, as long as they do. Members by hand stay. Empty: only by hand. "
                    "Changes count within seconds; days that pass, and messages sent to them, by night."
                ),
            ),
            "products": LookupField(
                _("Products they see"), target="product", multiple=True, description=_("None chosen: all.")
            ),
            "payment_methods": LookupField(
                _("Payment methods they see"),
                target="payment_method",
                multiple=True,
                description=_("None chosen: all."),
            ),
        }
        return fields

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        return {
            "condition": obj.condition,
            "products": [p.product_id for p in obj.products],
            "payment_methods": [m.payment_method_id for m in obj.payment_methods],
        }

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        products, methods, condition = (values.pop(name) for name in ("products", "payment_methods", "condition"))
        if obj is None:
            obj = Group(products=[], payment_methods=[])
        kept_products = {p.product_id: p for p in obj.products}
        kept_methods = {m.payment_method_id: m for m in obj.payment_methods}
        session.add(obj)
        for name, value in values.items():
            setattr(obj, name, value)
        obj.products = [kept_products.get(i) or GroupProduct(product_id=i) for i in products]
        obj.payment_methods = [kept_methods.get(i) or GroupPaymentMethod(payment_method_id=i) for i in methods]
        await session.flush()
        await grouping.set_rule(session, group=obj, condition=condition)
        return obj

    async def sections(self, session: AsyncSession, obj: Group, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        if obj.condition is None or not may(request, "customer", "list"):
            return shown
        counted = select(Membership.by_rule, func.count()).where(Membership.group_id == obj.id)
        found = await session.execute(counted.group_by(Membership.by_rule))
        n = {row[0]: row[1] for row in found}
        words = [
            ngettext("%(n)s member by this rule", "%(n)s members by this rule", n.get(True, 0)),
            ngettext("%(n)s member by hand", "%(n)s members by hand", n.get(False, 0)),
        ]
        words = [text % {"n": show_number(n.get(rule, 0))} for text, rule in zip(words, (True, False), strict=True)]
        if await grouping.following(session, obj.id):
            words.append(gettext("The rule is being followed just now; the numbers still change."))
        return [await told(session, gettext("Members by rule"), obj.condition, Customer, words), *shown]

    async def attached(self, session: AsyncSession, obj: Group) -> list[Mapping[str, Any]]:
        n = await session.scalar(select(func.count()).select_from(Membership).where(Membership.group_id == obj.id))
        return (
            [
                {
                    "label": gettext("Members (they stay customers)"),
                    "n": n,
                    "url": f"{self.card_url(obj.id)}?tab=customer",
                }
            ]
            if n
            else []
        )


class Attitudes(AppView, model=Attitude):
    name, name_plural, icon, category = _("Attitude"), _("Attitudes"), "star", "Configuration"
    in_place = ("name", "hue")
    purpose = _("What you think of a customer, as a coloured mark that only staff see.")
    related = (Related("customer"),)


class Notes(AppView, model=Note):
    name, name_plural, icon, category = _("Note"), _("Notes"), "note", ""
    purpose = _("What colleagues should know about a customer. Customers never see it.")
    leave_out = ("staff_id",)

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        if obj is not None:
            return await super().save(session, obj, values)
        customer = await session.get(Customer, values["customer_id"])
        if customer is None:
            raise Invalid(customer=gettext("Choose one from the list."))
        return await customers.add_note(session, customer=customer, text=values["text"], sticky=values["sticky"])
