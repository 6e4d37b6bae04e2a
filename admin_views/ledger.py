"""Accounts of customers."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.ledger import Account


class Accounts(AppView, model=Account):
    name, name_plural, icon, category = _("Account"), _("Accounts"), "wallet", "Money"
    purpose = _("The money of customers with each brand: balance, credit and what comes next.")
    readonly = True
