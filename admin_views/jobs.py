"""Jobs: what the workers have done, do, and will do."""

from __future__ import annotations

from admin_views.base import AppView
from admin_views.base.cells import esc
from app.i18n import _
from app.models.jobs import Job

TASKS = {
    "customers.welcome": _("Welcome message"),
    "messaging.deliver": _("Sending messages"),
    "messaging.materialise": _("Choosing recipients"),
    "messaging.wind_up": _("Finishing a campaign"),
}
"""What a task does, in words; other tasks are shown by their names."""


class Jobs(AppView, model=Job):
    name, name_plural, icon, category = _("Job"), _("Jobs"), "bolt", "Configuration"
    purpose = _("Work that goes on in the background, such as sending and importing.")
    readonly = True
    can_create = can_edit = can_delete = False

    @staticmethod
    def cell_name(job: Job) -> str:
        word = TASKS.get(job.name)
        return f'<span title="{esc(job.name)}">{esc(word)}</span>' if word else esc(job.name)

    detail_name = cell_name
