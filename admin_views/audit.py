"""The audit: read-only, with before and after."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.base import AppView
from app.i18n import _, gettext
from app.models.audit import Audit, AuditDetail


class AuditRows(AppView, model=Audit):
    name, name_plural, icon, category = _("Audit"), _("Audit"), "history", "Configuration"
    readonly = True
    can_create = can_edit = can_delete = False

    async def sections(self, session: AsyncSession, obj: Audit, request: Request) -> list[dict[str, Any]]:
        detail = await session.get(AuditDetail, obj.id)
        changes = json.loads(detail.payload) if detail is not None else {}
        rows = Markup("").join(
            Markup("<tr><th scope='row'>{}</th><td>{}</td><td>{}</td></tr>").format(name, *(_shown(v) for v in pair))
            for name, pair in sorted(changes.items()) if isinstance(pair, list) and len(pair) == 2
        )  # fmt: skip
        table = Markup('<table class="table"><thead><tr><th>{}</th><th>{}</th><th>{}</th></tr></thead><tbody>{}</tbody></table>').format(
            gettext("Field"), gettext("Before"), gettext("After"), rows
        )  # fmt: skip
        html = table if rows else Markup('<p class="faint">{}</p>').format(gettext("Nothing changed, or it was cleared."))
        return [*await super().sections(session, obj, request), {"label": gettext("Changes"), "kind": "html", "html": html}]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 500 else text[:499] + "…"
