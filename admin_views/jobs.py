"""Jobs: what the workers have done, do, and will do; whether the workers are well."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import may_press
from admin_views.base import AppView, Button
from admin_views.base.cells import esc
from admin_views.base.figures import figure
from admin_views.base.news import News, lately
from admin_views.base.working import stop_button, work
from app import queue
from app.db import utcnow
from app.domain import jobs
from app.domain.customers import merge_work, merging
from app.i18n import _, gettext, ngettext, show_number, show_span
from app.models.jobs import Job, JobState
from app.observe import actor, log

WORDS = {
    "automation.call": _("Call of a webhook"),
    "automation.changes": _("Changes that rules wait for"),
    "automation.day": _("Rule of every day"),
    "custom.index": _("Index of a custom field"),
    "custom.indexes": _("Indexes of custom fields"),
    "custom.purge": _("Deleting the values of a custom field"),
    "automation.forget": _("Deleting old entries of the log of rules"),
    "automation.watch": _("Rules by the clock"),
    "automation.work": _("Doing what rules say"),
    "bulk.choose": _("Choosing the rows"),
    "bulk.check": _("Check of a bulk change"),
    "bulk.clear": _("Clearing up after a bulk change"),
    "bulk.day": _("Deleting old exports"),
    "bulk.edit": _("Bulk change"),
    "bulk.export": _("Export"),
    "bulk.undo": _("Undoing a bulk change"),
    "customers.welcome": _("Welcome message"),
    "customers.merge": _("Merging two customers"),
    "customers.unmerge": _("Undoing a merge"),
    "customers.clear_trail": _("Clearing personal data"),
    "messaging.mail": _("Single mail"),
    "imports.check": _("Check of an import"),
    "imports.consent": _("Import of consent"),
    "imports.read": _("Import"),
    "imports.take": _("Import"),
    "imports.forget": _("Deleting the file of an import"),
    "inbound.poll": _("Looking into the mailbox"),
    "inbound.forget": _("Deleting originals of old mails"),
    "inbound.sort": _("Sorting a mail"),
    "messaging.materialise": _("Choosing recipients"),
    "messaging.hush": _("Quiet hours"),
    "messaging.deliver": _("Sending a campaign"),
    "messaging.wind_up": _("Stopping a campaign"),
    "tickets.mail": _("Answer by e-mail"),
}
"""What a task is called by people."""
SILENT = 20.0
"""Seconds after which a worker that says nothing counts as gone: four rounds."""
SLOW = 60.0
"""Seconds after which a due job has waited too long."""
WAIT = 1.0
"""Seconds that Redis has to answer."""


def words(name: str) -> str:
    return str(WORDS.get(name, name))


async def try_again(session: AsyncSession, chosen: list[Job]) -> str:
    for job in chosen:
        await jobs.retry(session, job_id=job.id)
    return gettext("It is tried again.")


async def stop_merge(session: AsyncSession, chosen: list[Job]) -> str:
    for job in chosen:
        await merge_work.stop_merge(session, job_id=job.id)
    return gettext("It is being stopped. Both customers become what they were before.")


class Jobs(AppView, model=Job):
    name, name_plural, icon, category = _("Job"), _("Jobs"), "bolt", "Configuration"
    purpose = _("Work that goes on in the background, such as sending and importing.")
    readonly = True
    can_create = can_edit = can_delete = False
    letter = "j"

    def news(self, staff_id: int) -> tuple[News, ...]:
        failed = (Job.state == JobState.FAILED, Job.due_at > lately())
        return (News(_("Failed jobs"), "bolt", failed, Job.due_at, "bad"),)

    buttons = (
        Button(
            "retry",
            _("Try again"),
            "refresh",
            on=frozenset({"card", "selection"}),
            verb=try_again,
            grant="edit",
            shown=lambda j: j.state is JobState.FAILED,
        ),
        Button(
            "stop_merge",
            _("Stop"),
            "player-stop",
            on=frozenset(),
            verb=stop_merge,
            grant="details",
            also=("customer", "action:merge"),
            danger=True,
            lede=_("What was merged so far is taken back: both customers become what they were before."),
        ),
    )

    @staticmethod
    def cell_name(job: Job) -> str:
        return f'<a href="/admin/job/details/{job.id}">{esc(words(job.name))}</a>'

    @staticmethod
    def detail_name(job: Job) -> str:
        return f'{esc(words(job.name))} <code class="mono">{esc(job.name)}</code>'

    def title(self, obj: Job) -> str:
        return words(obj.name)

    async def card_context(self, session: AsyncSession, obj: Job, request: Request) -> dict[str, Any]:
        return {
            "progress": {
                **work_of(obj),
                "poll_url": f"/admin/job/details/{obj.id}/part/progress" if _going(obj) else "",
                "stop": _stop(obj, request),
            }
        }

    async def sections(self, session: AsyncSession, obj: Job, request: Request) -> list[dict[str, Any]]:
        """What was wrong with the rows of a file, for who has sent it."""
        problems = obj.args.get("report", {}).get("problems") if obj.owner_id == actor.get().staff_id else None
        made: list[dict[str, Any]] = []
        if problems:
            rest = obj.args["report"]["wrong"] - len(problems)
            made.append({
                "label": gettext("Rows that are left out"), "kind": "table",
                "columns": [gettext("Line"), gettext("Reason")],
                "rows": [[show_number(line), why] for line, why in problems],
                "rest": gettext("and %(n)s more") % {"n": show_number(rest)} if rest > 0 else None,
            })  # fmt: skip
        return made


def _going(job: Job) -> bool:
    soon = job.state is JobState.DUE and job.due_at < utcnow() + timedelta(minutes=1)
    return soon or job.state is JobState.RUNNING


def _stop(job: Job, request: Request) -> dict[str, str] | None:
    """What the job is for can be stopped, not the job alone: half a campaign would stay behind."""
    if not _going(job):
        return None
    if "campaign_id" in job.args and may_press(request, "campaign", "stop"):
        said = gettext("Stop this campaign? What was already sent stays sent.")
        return stop_button(f"/admin/campaign/action/stop?pks={job.args['campaign_id']}", said)
    if job.name in ("bulk.choose", "bulk.check", "bulk.edit", "bulk.export") and job.owner_id == actor.get().staff_id:
        said = gettext("Stop this? What was already done stays.")
        return stop_button(f"/admin/bulk_run/action/stop?pks={job.args['bulk_id']}", said)
    if job.name == merging.TASK and not job.args.get("over") and may_press(request, "customer", "merge"):
        said = gettext("Stop this merge? Both customers become what they were before.")
        return stop_button(f"/admin/job/action/stop_merge?pks={job.id}", said)
    if "import_id" in job.args and may_press(request, "import_run", "stop"):
        said = gettext("Stop this import? What was already taken stays.")
        return stop_button(f"/admin/import_run/action/stop?pks={job.args['import_id']}", said)
    return None


def work_of(job: Job) -> dict[str, Any]:
    """A job as long work."""
    seconds = (utcnow() - job.started_at).total_seconds() if job.started_at else 0.0
    note = job.error
    if job.state is JobState.DONE and job.started_at and job.finished_at:
        took = (job.finished_at - job.started_at).total_seconds()
        note = gettext("It took %(span)s.") % {"span": show_span(took)}
    note = job.args.get("came_back") or note
    if job.args.get("taken_back"):
        note = gettext("Stopped. Both customers are what they were before.")
    counts = []
    if report := job.args.get("report"):
        words_of = {
            "created": (_("New"), "ok"),
            "changed": (_("Changed"), "info"),
            "same": (_("Unchanged"), ""),
            "wrong": (_("Left out"), "bad"),
        }
        counts = [{"label": str(word), "n": report.get(c, 0), "kind": kind} for c, (word, kind) in words_of.items()]
        if job.args.get("dry_run"):
            note = gettext("Only checked, nothing is changed. These figures say what the import would do.")
    return work(
        label=words(job.name),
        url=f"/admin/job/details/{job.id}",
        state=job.state,
        going=_going(job),
        done=job.done,
        total=job.total,
        rate=job.done / seconds if seconds > 1 and job.state is JobState.RUNNING else 0.0,
        counts=counts,
        note=note,
    )


async def running(session: AsyncSession, without: tuple[str, ...], limit: int) -> list[dict[str, Any]]:
    """Jobs that run now, but for those of the nouns in `without`, which show their work themselves."""
    query = select(Job).where(Job.state == JobState.RUNNING).order_by(Job.due_at).limit(10 * limit)
    found = [job for job in await session.scalars(query) if not job.name.startswith(without)]
    return [work_of(job) for job in found[:limit]]


# ---- the workers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Beats:
    """When each worker last said that it is alive; `known` is False while Redis does not answer."""

    known: bool
    at: tuple[datetime, ...] = ()


async def _beats() -> Beats:
    try:
        return Beats(True, tuple((await asyncio.wait_for(queue.beats(), WAIT)).values()))
    except Exception as error:
        log("jobs").warning("the workers cannot be asked for: %s", type(error).__name__)
        return Beats(False)


async def health(session: AsyncSession) -> dict[str, Any]:
    """How the workers are, as lines {kind, text, url}, and how many jobs wait, for the strip."""
    q: jobs.Queue = await figure("queue", lambda: jobs.queue(session))
    beats: Beats = await figure("workers", _beats)
    now = utcnow()
    waits = (now - q.oldest).total_seconds() if q.oldest is not None else 0.0
    lines = [_workers(beats, now)]
    if q.due and waits > SLOW:
        said = gettext("The oldest job that is due has waited for %(span)s.") % {"span": show_span(waits)}
        lines.append({"kind": "warn", "text": said, "url": "/admin/job/list?state.in=due&sort=due_at"})
    if q.failed:
        said = ngettext("%(n)s job has failed.", "%(n)s jobs have failed.", q.failed)
        lines.append({"kind": "bad", "text": said % {"n": _count(q.failed)}, "url": "/admin/job/list?state.in=failed"})
    note = gettext("longest wait: %(span)s") % {"span": show_span(waits)} if waits >= 1 else None
    return {"lines": lines, "figure": {"label": gettext("Jobs due"), "value": _count(q.due), "note": note}}


def _workers(beats: Beats, now: datetime) -> dict[str, Any]:
    alive = [at for at in beats.at if now - at < timedelta(seconds=SILENT)]
    if not beats.known:
        return {"kind": "bad", "text": gettext("Redis does not answer. Work waits until it does."), "url": None}
    if not alive:
        text = gettext("No worker runs. Work waits until one is started.")
        if beats.at:
            span = show_span((now - max(beats.at)).total_seconds())
            text = gettext("No worker has been heard of for %(span)s. Work waits.") % {"span": span}
        return {"kind": "bad", "text": text, "url": None}
    said = ngettext("%(n)s worker runs", "%(n)s workers run", len(alive)) % {"n": show_number(len(alive))}
    heard = gettext("last heard of %(span)s ago") % {"span": show_span((now - max(alive)).total_seconds())}
    if silent := len(beats.at) - len(alive):
        gone = ngettext("%(n)s has fallen silent", "%(n)s have fallen silent", silent) % {"n": show_number(silent)}
        return {"kind": "warn", "text": f"{said}, {gone}", "url": None}
    return {"kind": "ok", "text": f"{said}, {heard}", "url": None}


def _count(n: int) -> str:
    return show_number(n) if n < jobs.MOST else f"{show_number(jobs.MOST - 1)}+"
