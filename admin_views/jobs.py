"""Jobs: what the workers have done, do, and will do."""

from __future__ import annotations

from admin_views.base import AppView
from app.i18n import _
from app.models.jobs import Job


class Jobs(AppView, model=Job):
    name, name_plural, icon, category = _("Job"), _("Jobs"), "bolt", "Configuration"
    purpose = _("Work that goes on in the background, such as sending and importing.")
    readonly = True
    can_create = can_edit = can_delete = False
