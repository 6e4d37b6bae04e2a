"""Invoices and credit notes."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.billing import Invoice


class Invoices(AppView, model=Invoice):
    name, name_plural, icon, category = _("Invoice"), _("Invoices"), "file-invoice", "Money"
    purpose = _("What customers are asked to pay. What is issued stays as it is.")
    readonly = True
