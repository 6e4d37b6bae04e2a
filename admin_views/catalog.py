"""Products and services."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from wtforms.fields.core import UnboundField

from admin_views.base import AppView, LookupField, Related
from app.domain import catalog
from app.errors import Invalid
from app.i18n import _
from app.models.catalog import Product, ProductGroup, ProductProject, Service
from app.models.projects import Project


class ProductGroups(AppView, model=ProductGroup):
    name, name_plural, icon, category = _("Product group"), _("Product groups"), "stack-2", "Configuration"
    purpose = _("Groups keep a long list of products in order.")
    related = (Related("product"),)


class Products(AppView, model=Product):
    name, name_plural, icon, category = _("Product"), _("Products"), "package", "Money"
    letter = "p"
    purpose = _("What you sell, with its price and how often it is charged.")
    related = (Related("service"),)

    def card_options(self) -> list[Any]:
        return [*super().card_options(), selectinload(Product.projects)]

    def edit_options(self) -> list[Any]:
        return [selectinload(Product.projects)]

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        field = LookupField(
            _("Sold in these projects"), target="project", multiple=True, description=_("None chosen: in all.")
        )
        return {"projects": cast("UnboundField[Any]", field)}

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {"projects": [p.project_id for p in obj.projects]} if obj is not None else {}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Product:
        chosen = values.pop("projects")
        if values["price"] < 0 or values["setup_fee"] < 0:
            raise Invalid(price=_("A price cannot be negative."))
        if obj is None:
            obj = Product(projects=[])
            session.add(obj)
        present = {p.project_id: p for p in obj.projects}
        for name, value in values.items():
            setattr(obj, name, value)
        visible = set(await session.scalars(select(Project.id)))
        hidden = [row for row in obj.projects if row.project_id not in visible]  # not for this person to take away
        obj.projects = [*hidden, *(present.get(i) or ProductProject(project_id=i) for i in chosen)]
        await session.flush()
        return cast(Product, obj)


class Services(AppView, model=Service):
    name, name_plural, icon, category = _("Service"), _("Services"), "server-2", "Money"
    letter = "s"
    purpose = _("What customers have ordered: hosting, domains, connections.")
    create_label = _("Order a service")
    leave_out = ("unpaid_since",)

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Service:
        return await catalog.save_service(session, values=values, service=obj)

    async def refusals(self, session: AsyncSession, obj: Service) -> list[str]:
        return []

    async def remove(self, session: AsyncSession, obj: Service) -> None:
        await catalog.delete_service(session, service=obj)
