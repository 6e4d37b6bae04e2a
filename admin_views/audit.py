"""The audit: read-only, with before and after."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.base import AppView
from admin_views.base.cells import esc, link
from app.i18n import _, gettext
from app.models.audit import Audit, AuditDetail

ACTIONS = {
    "create": _("registered"),
    "update": _("changed"),
    "delete": _("deleted"),
    "sign_in": _("signed in"),
    "sign_out": _("signed out"),
    "sign_in_refused": _("sign-in refused"),
    "enter": _("entered the panel of"),
    "return": _("returned from"),
    "export": _("exported"),
    "take_over": _("took over"),
}
"""What was done, in words; other actions are shown as they are."""


class AuditRows(AppView, model=Audit):
    name, name_plural, icon, category = _("Audit"), _("Audit"), "history", "Configuration"
    letter = "a"
    purpose = _("Who did what, and when. Nothing here can be changed.")
    readonly = True
    needs = ("noun_id",)
    can_create = can_edit = can_delete = False

    def of_customers(self, ids: tuple[int, ...]) -> ColumnElement[bool]:
        """Done for them, or to them. The audit has no foreign keys: it outlives what it tells of."""
        return Audit.customer_id.in_(ids) | (Audit.noun == "customer") & Audit.noun_id.in_(ids)

    @staticmethod
    def cell_action(row: Audit) -> str:
        word = ACTIONS.get(row.action)
        return esc(word if word else row.action.replace("_", " "))

    @staticmethod
    def cell_noun(row: Audit) -> str:
        from admin_views.screens import SCREENS

        view = next((v for v in SCREENS if v.identity == row.noun), None)
        name = esc(view.name if view is not None else row.noun.replace("_", " "))
        if view is None or row.noun_id is None or row.action == "delete" or not view.can_view_details:
            return name
        return link(row.noun, row.noun_id, f"{view.name} #{row.noun_id}")

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
