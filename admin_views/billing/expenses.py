"""Expenses."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.base import AppView
from admin_views.base.cells import esc, link, ready
from admin_views.moves import TAKE_BACK
from app.i18n import _, gettext
from app.models.billing import Expense


class Expenses(AppView, model=Expense):
    name, name_plural, icon, category = _("Expense"), _("Expenses"), "receipt", "Money"
    purpose = _("What customers were charged, and for which period.")
    filter_first = ("customer", "project", "on_day", "service", "covered_by", "amount", "taken_back")
    readonly = True
    needs = ("reversed_by_id",)
    buttons = (TAKE_BACK,)

    @staticmethod
    def cell_description(expense: Any) -> str:
        text = f"<bdi>{esc(expense.description)}</bdi>"
        if expense.reversed_by_id is None:
            return text
        return f'<s>{text}</s> <span class="badge">{esc(gettext("taken back"))}</span>'

    def badge(self, obj: Any) -> Markup | None:
        if obj.reversed_by_id is None:
            return None
        return Markup('<span class="badge warn">{}</span>').format(gettext("taken back"))

    def facts(self, obj: Any) -> list[Markup | str]:
        return [self.shown_id(obj), ready(link("customer", obj.customer_id, str(obj.customer)))]

    async def sections(self, session: AsyncSession, obj: Expense, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        if obj.service_id is None:
            return shown
        return [*shown, {"label": gettext("Discounts"), "kind": "explain", "explained": obj.explained}]
