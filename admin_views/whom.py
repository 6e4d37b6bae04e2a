"""The fields of a form that say for which customers something is."""

from __future__ import annotations

from typing import Any

from admin_views.base import LookupField
from admin_views.base.conditions import ConditionField
from app.i18n import _
from app.models.customers import Customer


def for_whom(copied: str) -> dict[str, Any]:
    """A condition over customers, or the segment that it is copied from; `app.domain.whom.entered` takes them. copied:
    says what later changes of the segment do not change."""
    return {
        "segment": LookupField(_("Only customers of this segment"), target="segment", description=copied),
        "condition": ConditionField(
            _("Condition"), model=Customer, description=_("Only customers of whom this is true. Empty: all.")
        ),
    }
