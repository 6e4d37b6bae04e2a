"""Tax and exchange rates, and the templates of finance documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.billing.documents import save_document_template
from app.domain.billing.taxes import save_tax_rate
from app.domain.config.section import Section, columns
from app.domain.ledger.exchange import save_rate
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.billing import DocumentTemplate, ExchangeRate, TaxRate


class TaxRates(Section):
    name, label, model = "tax_rates", _("Tax rates"), TaxRate
    key = ("name", "country", "payer_kind", "project", "valid_from")
    fields = columns(TaxRate, "name", "project", "country", "payer_kind", "valid_from", "rate")

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        return await save_tax_rate(session, values=values, rate=row)


class ExchangeRates(Section):
    name, label, model, key = "exchange_rates", _("Exchange rates"), ExchangeRate, ("base", "quote", "on_day")
    fields = columns(ExchangeRate, "base", "quote", "on_day", "rate")

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        if whole.get("on_day") is None:
            raise Invalid(on_day=gettext("Please fill this in."))
        return await save_rate(session, row=row, **{name: whole[name] for name in self.fields})


class DocumentTemplates(Section):
    name, label, model = "document_templates", _("Document templates"), DocumentTemplate
    key = ("kind", "language", "project")
    fields = columns(DocumentTemplate, "kind", "language", "project", "title", "body")

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        return await save_document_template(session, values=values, template=row)
