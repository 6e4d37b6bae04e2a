"""Discounts."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.discounts import Discount


class Discounts(AppView, model=Discount):
    name, name_plural, icon, category = _("Discount"), _("Discounts"), "discount", "Money"
    purpose = _("For whom, on what, how much, and until when.")
    readonly = True
