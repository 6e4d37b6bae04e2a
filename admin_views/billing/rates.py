"""Tax rates and exchange rates."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from admin_views.base import AppView
from app.db import utcnow
from app.domain import ledger
from app.domain.billing.taxes import save_tax_rate
from app.domain.checks import kept_for_all
from app.i18n import _
from app.models.billing import ExchangeRate, TaxRate


class TaxRates(AppView, model=TaxRate):
    name, name_plural, icon, category = _("Tax rate"), _("Tax rates"), "percentage", "Configuration"
    in_place = ("name", "project", "country", "rate", "valid_from")
    purpose = _("The tax for payers of a country and type.")
    help = _("The narrowest rate that is valid on the day counts: project, then country, then payer type.")

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {"valid_from": utcnow().date(), "country": ""} if obj is None else {}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> TaxRate:
        return await save_tax_rate(session, values=values, rate=obj)

    async def refusals(self, session: AsyncSession, obj: TaxRate) -> list[str]:
        return kept_for_all(obj) or await super().refusals(session, obj)


class ExchangeRates(AppView, model=ExchangeRate):
    name, name_plural, icon, category = _("Exchange rate"), _("Exchange rates"), "arrows-exchange", "Configuration"
    in_place = ("base", "quote", "on_day", "rate")
    purpose = _("What one currency is worth in another, from a day on.")
    help = _("The latest rate of a day counts, also the other way round. What was converted keeps its rate.")

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {"on_day": utcnow().date()} if obj is None else {}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> ExchangeRate:
        return await ledger.save_rate(session, row=obj, **values)
