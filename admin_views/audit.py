"""The audit: read-only, with before and after."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.base import AppView, custom
from admin_views.base.cells import esc, link
from app.db import model_of
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
    "door_opened": _("was let in with a code by"),
    "proved": _("gave the password again:"),
    "export": _("exported"),
    "take_over": _("took over"),
    "read": _("read"),
    "pick_customer": _("chose an account"),
    "preview": _("saw the panel as"),
    "dashboard": _("gave a dashboard to"),
    "preview_end": _("stopped seeing the panel as"),
    "demo_loaded": _("loaded"),
    "merge": _("merged"),
    "unmerge": _("undid the merge of"),
    "clear": _("cleared the personal data of"),
}
"""What was done, in words; other actions are shown as they are."""
NOUNS = {
    "user_customer": _("Access of a user"),
    "staff_role": _("Role of a staff member"),
    "staff_project": _("Project of a staff member"),
    "role_grant": _("Right of a role"),
    "membership": _("Membership in a group"),
    "group_product": _("Product of a group"),
    "group_payment_method": _("Payment method of a group"),
    "product_project": _("Project of a product"),
    "customer_project": _("Project of a customer"),
    "external_ref": _("ID in another system"),
    "message_template_text": _("Text of a template"),
    "campaign_text": _("Text of a campaign"),
    "campaign_attachment": _("File of a campaign"),
    "ticket_message": _("Ticket message"),
    "ticket_attachment": _("File of a ticket"),
    "door_code": _("Code that opens an account"),
    "throttle": _("Sign-in attempts"),
    "data_request": _("Request about data"),
    "demo": _("Demo data"),
}
"""What has no screen of its own."""


def word_of(noun: str) -> str:
    """The name of a table, in the reader's language where it has one."""
    from admin_views.screens import SCREENS

    view = next((v for v in SCREENS if v.identity == noun), None)
    return str(view.name if view is not None else NOUNS.get(noun, noun.replace("_", " ")))


def done(action: str) -> str:
    return str(ACTIONS.get(action, action.replace("_", " ")))


class AuditRows(AppView, model=Audit):
    name, name_plural, icon, category = _("Audit"), _("Audit"), "history", "Configuration"
    letter = "a"
    purpose = _("Who did what, and when. Nothing here can be changed.")
    readonly = True
    needs = ("noun_id",)
    can_create = can_edit = can_delete = False

    def title(self, obj: Audit) -> str:
        return f"{word_of(obj.noun)}{f' #{obj.noun_id}' if obj.noun_id else ''}: {done(obj.action)}"

    @staticmethod
    def cell_action(row: Audit) -> str:
        return esc(done(row.action))

    @staticmethod
    def cell_noun(row: Audit) -> str:
        from admin_views.screens import SCREENS

        view = next((v for v in SCREENS if v.identity == row.noun), None)
        name = esc(word_of(row.noun))
        if view is None or row.noun_id is None or row.action == "delete" or not view.can_view_details:
            return name
        return link(row.noun, row.noun_id, f"{view.name} #{row.noun_id}")

    detail_action, detail_noun = cell_action, cell_noun

    async def sections(self, session: AsyncSession, obj: Audit, request: Request) -> list[dict[str, Any]]:
        detail = await session.get(AuditDetail, obj.id)
        changes = json.loads(detail.payload) if detail is not None else {}
        columns = columns_of(obj.noun)
        rows = [
            (str(columns[name].info["label"]) if name in columns else name, *map(_shown, pair))
            for name, pair in sorted(changes.items())
            if isinstance(pair, list) and len(pair) == 2 and name != "custom"
        ]
        rows += custom.changes(model_of(obj.noun), *changes.get("custom", (None, None)))
        return [
            *await super().sections(session, obj, request),
            {"label": gettext("Changes"), "kind": "changes", "changes": rows},
        ]


@lru_cache
def columns_of(noun: str) -> dict[str, Any]:
    """Name -> column of a table, for those that say what they are called."""
    model = model_of(noun)
    columns = inspect(model).column_attrs if model is not None else ()
    return {a.key: a.columns[0] for a in columns if a.columns[0].info.get("label")}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 500 else text[:499] + "…"
