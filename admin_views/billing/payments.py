"""Payments."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.billing import Payment


class Payments(AppView, model=Payment):
    name, name_plural, icon, category = _("Payment"), _("Payments"), "cash", "Money"
    purpose = _("What customers paid, and what became of it.")
    readonly = True
