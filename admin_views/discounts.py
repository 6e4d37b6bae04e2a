"""Discounts: for whom, on what, how much; how many customers they reach, and what a customer gets and why."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import DateField, validators
from wtforms.fields.core import UnboundField

from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press
from admin_views.base.cells import figure, money
from admin_views.base.conditions import told
from admin_views.base.fields import ChoiceField
from admin_views.whom import for_whom
from app import db
from app.db import utcnow
from app.domain import catalog, discounts
from app.domain.whom import entered
from app.errors import Forbidden, Invalid
from app.i18n import _, gettext, ngettext, show_amount, show_money, show_number, show_percent
from app.models import scope
from app.models.catalog import Period, Product
from app.models.customers import Customer
from app.models.discounts import Discount, DiscountKind
from app.models.projects import Project
from app.observe import actor


class ExplainForm(AppForm):
    customer = LookupField(_("Customer"), [validators.InputRequired()], target="customer")
    product = LookupField(_("Product"), [validators.InputRequired()], target="product")
    period = ChoiceField(
        label=_("Period"), kind=Period, blank=True, validators=[validators.Optional()],
        description=_("Empty: the product’s own."),
    )  # fmt: skip
    day = DateField(_("Day"), [validators.Optional()], description=_("Empty: today."))


class ExplainFlow(Flow):
    """Shows what a customer pays for a product and why; changes nothing."""

    template = "sqladmin/priced.html"
    look_template: ClassVar[str] = "sqladmin/priced_look.html"
    form = ExplainForm
    needs_rows: ClassVar[bool] = False

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        look, _said = await _look(press.session, form)
        return {"look": look}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        _look_at, said = await _look(session, form)
        if not said:
            raise Invalid(product=_("This product has no price for this period and currency."))
        return Done(said)


async def _look(session: AsyncSession, form: AppForm) -> tuple[dict[str, Any], str]:
    data = form.data
    return await priced(
        session, customer_id=data.get("customer"), product_id=data.get("product"), period=data.get("period"),
        day=data.get("day"), everything=True,
    )  # fmt: skip


async def priced(
    session: AsyncSession, *, customer_id: int | None, product_id: int | None, period: Any = None, day: Any = None,
    price: int | None = None, everything: bool = False,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """What a product costs a customer: for priced_look.html, and as a sentence; empty when there is no price."""
    label = gettext("What the customer pays")
    look: dict[str, Any] = {"label": label, "items": [], "explained": None, "note": None}
    customer = await session.scalar(select(Customer).where(Customer.id == customer_id)) if customer_id else None
    product = await session.scalar(select(Product).where(Product.id == product_id)) if product_id else None
    if customer is None or product is None:
        return {**look, "note": gettext("Choose a customer and a product.")}, ""
    usual = await session.scalar(select(Project.currency).where(Project.id == customer.project_id))
    wanted = Period(period) if period in {p.value for p in Period} else None
    found = await catalog.price_of(session, product, period=wanted, usual=usual)
    if found is None:
        return {**look, "note": gettext("This product has no price for this period and currency.")}, ""
    won = await discounts.find(
        session, customer_id=customer.id, product=product, period=found.period,
        price=found.price if price is None else price, currency=found.currency, day=day or utcnow().date(),
        everything=everything,
    )  # fmt: skip
    listed = found.price if price is None else price
    items = [
        {"label": gettext("Period"), "value": str(found.period.label)},
        {"label": gettext("Price"), "value": show_money(listed - won.amount_off, found.currency)},
    ]
    if found.setup_fee and price is None:
        items.append({"label": gettext("Set-up fee"), "value": show_money(found.setup_fee, found.currency)})
    said = gettext("%(name)s pays %(amount)s.") % {
        "name": customer.name, "amount": _bare(listed - won.amount_off, found.currency)
    }  # fmt: skip
    return {**look, "items": items, "explained": won.explained or {"considered": []}}, said


def _bare(minor: int, currency: str) -> str:
    return f"{show_amount(minor, currency)} {currency}"


class Discounts(AppView, model=Discount):
    name, name_plural, icon, category = _("Discount"), _("Discounts"), "discount", "Money"
    purpose = _("For whom, on what, how much, and until when.")
    summed = False
    needs = ("kind",)
    extra_groups = ((_("For whom"), ("segment", "condition")),)
    group_help: ClassVar[dict[str, str]] = {
        _("For whom"): _("All conditions hold together: the group or customer, and the filter.")
    }
    buttons = (
        Button(
            "explain", _("Explain a price"), "help-circle", on=frozenset({"head", "card"}), flow=ExplainFlow(),
            lede=_("What a customer pays for a product, which discounts were considered, and which one won."),
            submit=_("Explain"),
        ),
    )  # fmt: skip

    @staticmethod
    def cell_percent(discount: Discount) -> str:
        return figure(show_percent(discount.percent)) if discount.kind is DiscountKind.PERCENT else ""

    @staticmethod
    def cell_amount(discount: Discount) -> str:
        return "" if discount.kind is DiscountKind.PERCENT else money(discount.amount, discount.currency)

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        return for_whom(_("Its filter is copied; later changes of the segment do not change the discount."))

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {} if obj is None else {"condition": obj.condition}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Discount:
        return await discounts.save_discount(session, values=await entered(session, values, obj), discount=obj)

    async def sections(self, session: AsyncSession, obj: Discount, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        test, problem = discounts.reached(obj)
        words = []
        if problem is None:

            async def count() -> int:
                return await session.scalar(select(func.count()).select_from(Customer).where(test)) or 0

            n = await db.kept().of(("reached", obj.id, obj.version, scope.whose()), count, 30, share=20)
            reached = ngettext("It reaches %(n)s customer now.", "It reaches %(n)s customers now.", n)
            words.append(reached % {"n": show_number(n)})
        today = utcnow().date()
        if not obj.enabled:
            words.append(gettext("It is not in use."))
        elif not discounts.valid_on(obj, today):
            early = obj.valid_from is not None and today < obj.valid_from
            words.append(gettext("It is not valid yet.") if early else gettext("It is not valid any more."))
        label = gettext("Who gets it")
        if obj.condition is None:
            return [{"label": label, "kind": "words", "words": words}, *shown]
        return [await told(session, label, obj.condition, Customer, words), *shown]

    async def refusals(self, session: AsyncSession, obj: Discount) -> list[str]:
        """What was charged with it keeps its name; what is for all is not for staff of some projects to take away."""
        return [str(Forbidden())] if actor.get().projects is not None and discounts.for_all(obj) else []
