"""What is sold and to whom: products with their prices, groups, discounts, payment methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.domain import catalog, checks, discounts
from app.domain.catalog import Price
from app.domain.config.conditions import Condition
from app.domain.config.section import Section, columns
from app.domain.config.shapes import Checked, ListOf, Money, OneOf, Record, Ref, Shape
from app.domain.customers import grouping
from app.i18n import _
from app.models.billing import PaymentMethod
from app.models.catalog import Period, Product, ProductGroup
from app.models.customers import Customer, Group, GroupPaymentMethod, GroupProduct
from app.models.discounts import Discount, DiscountTarget


class PaymentMethods(Section):
    name, label, model = "payment_methods", _("Payment methods"), PaymentMethod
    fields = columns(PaymentMethod, "name", "enabled", "gateway", "instructions")


class ProductGroups(Section):
    name, label, model = "product_groups", _("Product groups"), ProductGroup
    fields = columns(ProductGroup, "name")


class Products(Section):
    name, label, model, key = "products", _("Products"), Product, ("name", "currency")
    unique = False
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Product, "name", "enabled", "group", "period", "currency", "price", "setup_fee"),
        "prices": ListOf(
            Record(
                {"period": OneOf(Period), "currency": Checked(checks.currency), "price": Money(), "setup_fee": Money()},
                {"setup_fee": Decimal(0)},
            )
        ),
        "projects": ListOf(Ref("projects", optional=False), ordered=False),
    }
    grows = (selectinload(Product.prices), selectinload(Product.projects))
    owned = ("product_price", "product_project")

    def held(self, row: Any) -> Mapping[str, Any]:
        rows = sorted(row.prices, key=lambda p: (p.currency, list(Period).index(p.period)))
        prices = [{n: getattr(p, n) for n in ("period", "currency", "price", "setup_fee")} for p in rows]
        return {"prices": prices, "projects": [p.project_id for p in row.projects]}

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        projects, prices = values.pop("projects", None), values.pop("prices", None)
        made = [Price(p["period"], p["currency"], p["price"], p["setup_fee"]) for p in prices] if prices else prices
        return await catalog.save_product(session, values=values, projects=projects, prices=made, product=row)


class Groups(Section):
    name, label, model = "groups", _("Groups"), Group
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Group, "name", "hue", "priority", "may_suspend", "may_delete"),
        "products": ListOf(Ref("products", optional=False), ordered=False),
        "payment_methods": ListOf(Ref("payment_methods", optional=False), ordered=False),
        "condition": Condition(Customer),
    }
    grows = (selectinload(Group.products), selectinload(Group.payment_methods))
    owned = ("group_product", "group_payment_method")

    def held(self, row: Any) -> Mapping[str, Any]:
        return {
            "products": [p.product_id for p in row.products],
            "payment_methods": [m.payment_method_id for m in row.payment_methods],
        }

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        products, methods = values.pop("products", None), values.pop("payment_methods", None)
        rule = values.pop("condition", False)
        if row is None:
            row = Group(products=[], payment_methods=[])
            session.add(row)
        checks.change(row, values)
        if products is not None:
            kept = {p.product_id: p for p in row.products}
            row.products = [kept.get(i) or GroupProduct(product_id=i) for i in products]
        if methods is not None:
            there = {m.payment_method_id: m for m in row.payment_methods}
            row.payment_methods = [there.get(i) or GroupPaymentMethod(payment_method_id=i) for i in methods]
        await session.flush()
        if rule is not False:
            await grouping.set_rule(session, group=row, condition=rule)
        return row


class Discounts(Section):
    """But for those of a single customer."""

    name, label, model = "discounts", _("Discounts"), Discount
    unique = False
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Discount, "name", "enabled", "priority", "target", "group"),
        "condition": Condition(Customer),
        **columns(Discount, "scope", "project", "product_group", "product", "period", "kind", "percent", "currency",
                  "amount", "valid_from", "valid_until"),
    }  # fmt: skip

    async def rows(self, session: AsyncSession) -> Sequence[Any]:
        rows = select(Discount).where(Discount.target != DiscountTarget.CUSTOMER).order_by(Discount.id)
        return (await session.scalars(rows.execution_options(populate_existing=True))).all()

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        return await discounts.save_discount(session, values=values, discount=row)
