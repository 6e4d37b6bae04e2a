"""Payers and payment methods."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from admin_views.base import AppView
from app.domain import billing
from app.i18n import _
from app.models.billing import Payer, PaymentMethod


class Payers(AppView, model=Payer):
    name, name_plural, icon, category = _("Payer"), _("Payers"), "id-badge-2", "Customers"
    purpose = _("Who pays: the people and companies that invoices are made out to.")
    search_hint = _("Name, e-mail or VAT number")

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Payer:
        return await billing.save_payer(session, values=values, payer=obj)

    async def refusals(self, session: AsyncSession, obj: Payer) -> list[str]:
        return await billing.payers.refusals(session, obj)

    async def remove(self, session: AsyncSession, obj: Payer) -> None:
        await billing.delete_payer(session, payer=obj)


class PaymentMethods(AppView, model=PaymentMethod):
    name, name_plural, icon, category = _("Payment method"), _("Payment methods"), "credit-card", "Configuration"
    in_place = ("name", "gateway", "enabled")
    purpose = _("The ways in which customers can pay.")
