"""Projects: the brands."""

from __future__ import annotations

from admin_views.base import AppView, Related
from app.i18n import _
from app.models.projects import Project


class Projects(AppView, model=Project):
    name, name_plural, icon, category = _("Project"), _("Projects"), "building-store", "Configuration"
    purpose = _("The brands that you serve customers under, each with its sender, currency and languages.")
    related = (Related("customer"), Related("user"))
