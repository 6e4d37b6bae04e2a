"""Expenses."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.billing import Expense


class Expenses(AppView, model=Expense):
    name, name_plural, icon, category = _("Expense"), _("Expenses"), "receipt", "Money"
    purpose = _("What customers were charged, and for which period.")
    readonly = True
