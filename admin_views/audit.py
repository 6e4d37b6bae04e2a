"""The audit: read-only, with before and after."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.base import AppView
from app.i18n import _, gettext
from app.models.audit import Audit, AuditDetail


class AuditRows(AppView, model=Audit):
    name, name_plural, icon, category = _("Audit"), _("Audit"), "history", "Configuration"
    readonly = True
    can_create = can_edit = can_delete = False

    def of_customers(self, ids: tuple[int, ...]) -> ColumnElement[bool]:
        """Done for them, or to them. The audit has no foreign keys: it outlives what it tells of."""
        return Audit.customer_id.in_(ids) | (Audit.noun == "customer") & Audit.noun_id.in_(ids)

    async def sections(self, session: AsyncSession, obj: Audit, request: Request) -> list[dict[str, Any]]:
        detail = await session.get(AuditDetail, obj.id)
        changes = json.loads(detail.payload) if detail is not None else {}
        rows = [
            (name, *map(_shown, pair))
            for name, pair in sorted(changes.items())
            if isinstance(pair, list) and len(pair) == 2
        ]
        return [
            *await super().sections(session, obj, request),
            {"label": gettext("Changes"), "kind": "changes", "changes": rows},
        ]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 500 else text[:499] + "…"
