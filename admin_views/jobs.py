"""Jobs: what the workers have done, do, and will do."""

from __future__ import annotations

from admin_views.base import AppView
from admin_views.base.news import News, lately
from app.i18n import _
from app.models.jobs import Job, JobState


class Jobs(AppView, model=Job):
    name, name_plural, icon, category = _("Job"), _("Jobs"), "bolt", "Configuration"
    readonly = True
    can_create = can_edit = can_delete = False
    letter = "j"

    def news(self, staff_id: int) -> tuple[News, ...]:
        failed = (Job.state == JobState.FAILED, Job.due_at > lately())
        return (News(_("Failed jobs"), "bolt", failed, Job.due_at, "bad"),)
