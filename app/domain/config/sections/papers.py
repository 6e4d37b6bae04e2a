"""Tax rates and the templates of finance documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.billing.documents import save_document_template
from app.domain.billing.taxes import save_tax_rate
from app.domain.config.section import Section, columns
from app.i18n import _
from app.models.billing import DocumentTemplate, TaxRate


class TaxRates(Section):
    name, label, model = "tax_rates", _("Tax rates"), TaxRate
    key = ("name", "country", "payer_kind", "project", "valid_from")
    fields = columns(TaxRate, "name", "project", "country", "payer_kind", "valid_from", "rate")

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        return await save_tax_rate(session, values=values, rate=row)


class DocumentTemplates(Section):
    name, label, model = "document_templates", _("Document templates"), DocumentTemplate
    key = ("kind", "language", "project")
    fields = columns(DocumentTemplate, "kind", "language", "project", "title", "body")

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        return await save_document_template(session, values=values, template=row)
