"""Tax rates and exchange rates."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.billing import ExchangeRate, TaxRate


class TaxRates(AppView, model=TaxRate):
    name, name_plural, icon, category = _("Tax rate"), _("Tax rates"), "percentage", "Configuration"
    purpose = _("The tax for payers of a country and type.")
    readonly = True


class ExchangeRates(AppView, model=ExchangeRate):
    name, name_plural, icon, category = _("Exchange rate"), _("Exchange rates"), "arrows-exchange", "Configuration"
    purpose = _("What one currency is worth in another, from a day on.")
    readonly = True
