"""What products cost: by period and currency, and what of it a customer may order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.models.catalog import Period, Product, ProductPrice, ProductProject
from app.models.customers import Customer, GroupProduct, Membership
from app.models.projects import Project


class Price(NamedTuple):
    """In minor units; the set-up fee is asked for once."""

    period: Period
    currency: str
    price: int
    setup_fee: int


async def prices_of(session: AsyncSession, product: Product) -> list[Price]:
    """All prices of a product, its own first."""
    rows = await session.scalars(
        select(ProductPrice)
        .where(ProductPrice.product_id == product.id)
        .order_by(ProductPrice.currency, ProductPrice.price)
    )
    return list(_listed(product, rows.all()))


def _listed(product: Product, more: Sequence[ProductPrice]) -> dict[Price, None]:
    own = Price(product.period, product.currency, product.price, product.setup_fee)
    others = (Price(p.period, p.currency, p.price, p.setup_fee) for p in more)
    return dict.fromkeys((own, *(p for p in others if p[:2] != own[:2])))


async def price_of(
    session: AsyncSession, product: Product, *, period: Period | None = None, currency: str | None = None,
    usual: str | None = None,
) -> Price | None:  # fmt: skip
    """The price for a period and currency, None: it has none. What is not asked for is the product's own; `usual` is
    the currency that is taken where there is a choice."""
    fits = [
        p for p in await prices_of(session, product)
        if (period is None or p.period is period) and (currency is None or p.currency == currency)
    ]  # fmt: skip
    fits.sort(key=lambda p: (p.currency != usual, p.period is not product.period))
    return fits[0] if fits else None


async def offers(session: AsyncSession, customer: Customer) -> list[tuple[Product, list[Price]]]:
    """What a customer may order, with its prices in the currency of the project: products on sale that are sold in the
    project and seen by the customer's groups, by group and name."""
    currency = await session.scalar(select(Project.currency).where(Project.id == customer.project_id))
    somewhere = exists().where(ProductProject.product_id == Product.id)
    here = exists().where(ProductProject.product_id == Product.id, ProductProject.project_id == customer.project_id)
    rows = select(Product).where(Product.enabled, or_(~somewhere, here))
    groups = set(await session.scalars(select(Membership.group_id).where(Membership.customer_id == customer.id)))
    if groups:
        shown = select(GroupProduct.group_id, GroupProduct.product_id).where(GroupProduct.group_id.in_(groups))
        seen = [(g, p) for g, p in await session.execute(shown)]
        if {g for g, _p in seen} == groups:  # a group without such rows sees all
            rows = rows.where(Product.id.in_({p for _g, p in seen}))
    found = await session.scalars(
        rows.options(selectinload(Product.prices), joinedload(Product.group)).order_by(Product.name).limit(500)
    )
    listed = [(p, [x for x in _listed(p, p.prices) if x.currency == currency]) for p in found]
    listed.sort(key=lambda pair: (pair[0].group is None, pair[0].group.name if pair[0].group else "", pair[0].name))
    return [(product, prices) for product, prices in listed if prices]
