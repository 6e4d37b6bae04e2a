"""Products: saving them with their prices and projects, and deleting what nobody uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.domain.catalog.prices import Price
from app.errors import Conflict, Forbidden, Invalid
from app.i18n import gettext, ngettext
from app.models.catalog import Period, Product, ProductGroup, ProductPrice, ProductProject, Service
from app.models.projects import Project
from app.models.scope import FOR_ALL
from app.observe import actor

_of = Product.__table__.c
FIELDS: dict[str, checks.Check] = {
    "name": checks.line(_of.name, required=True),
    "group_id": checks.row_id,
    "price": checks.whole(_of.price, least=0),
    "setup_fee": checks.whole(_of.setup_fee, least=0),
    "currency": checks.currency,
    "period": checks.one_of(Period),
    "enabled": checks.yes_no,
}
LARGEST = 10**15


async def save_product(
    session: AsyncSession, *, values: Mapping[str, Any], projects: Sequence[int] | None = None,
    prices: Sequence[Price] | None = None, product: Product | None = None,
) -> Product:  # fmt: skip
    """Make a product, or change one, loaded with its projects and prices. projects: where it is sold, none: everywhere;
    prices: those besides its own. None: they stay. Services that there are keep their price."""
    wanted = checks.clean(values, FIELDS)
    if (product is None and not wanted.get("name")) or not wanted.get("name", "x"):
        raise Invalid(name=gettext("Please fill this in."))
    for field in ("price", "setup_fee"):
        if wanted.get(field, 0) > LARGEST:
            raise Invalid(**{field: gettext("This amount is too large.")})
    await checks.known(session, "group_id", ProductGroup, wanted.get("group_id"))
    if product is not None and sold_elsewhere(product):
        raise Forbidden(FOR_ALL)
    if actor.get().projects is not None and not projects and (product is None or projects is not None):
        raise Invalid(projects=gettext("Choose one of your projects: it would be sold in all."))
    if product is None:
        product = Product(projects=[], prices=[])
        session.add(product)
    checks.change(product, wanted)
    if projects is not None:
        present = {p.project_id: p for p in product.projects}
        visible = set(await session.scalars(select(Project.id)))
        hidden = [row for row in product.projects if row.project_id not in visible]  # not for this person to take away
        chosen = await checks.all_known(session, "projects", Project, projects)
        product.projects = [*hidden, *(present.get(i) or ProductProject(project_id=i) for i in chosen)]
    if prices is not None:
        own = (product.period or Period.MONTH, product.currency or "EUR")
        _set_prices(product, [p for p in prices if (p.period, p.currency) != own])
    await session.flush()
    return product


def _set_prices(product: Product, prices: Sequence[Price]) -> None:
    if len({p[:2] for p in prices}) < len(prices):
        raise Invalid(prices=gettext("There is one price for each period and currency."))
    if any(not 0 <= amount <= LARGEST for p in prices for amount in (p.price, p.setup_fee)):
        raise Invalid(prices=gettext("A price cannot be negative."))
    present = {(p.period, p.currency): p for p in product.prices}
    rows = []
    for period, currency, price, fee in prices:
        row = present.get((period, currency)) or ProductPrice(period=period, currency=currency)
        if (row.price, row.setup_fee) != (price, fee):
            row.price, row.setup_fee = price, fee
        rows.append(row)
    product.prices = rows


def sold_elsewhere(product: Product) -> bool:
    """Whether the acting person is limited to projects, and the product, loaded with its own, is sold in others too."""
    mine, sold = actor.get().projects, {p.project_id for p in product.projects}
    return mine is not None and not (sold and sold <= mine)


async def used_by(session: AsyncSession, product: Product) -> int:
    """How many services there are of it, closed ones too."""
    query = select(func.count()).select_from(Service).where(Service.product_id == product.id)
    return await session.scalar(query.execution_options(unscoped=True)) or 0


def say_used(n: int) -> str:
    return ngettext(
        "%(n)d service is of this product. Take it off sale instead.",
        "%(n)d services are of this product. Take it off sale instead.", n,
    ) % {"n": n}  # fmt: skip


async def delete_product(session: AsyncSession, *, product: Product) -> None:
    """Raises Conflict while services are of it, Forbidden when it is sold in projects that the person does not see."""
    if sold_elsewhere(product):
        raise Forbidden(FOR_ALL)
    if n := await used_by(session, product):
        raise Conflict(say_used(n))
    await session.delete(product)
    await session.flush()
