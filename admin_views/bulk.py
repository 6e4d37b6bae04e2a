"""Bulk changes and exports: what a person has begun, what it would do, how far it is, and what came of it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from admin_views.access import may
from admin_views.base import AppView, Button
from admin_views.base.news import News, lately
from admin_views.base.working import stop_button, work
from app import db
from app.db import utcnow
from app.domain.bulk import exporting, runs, undoing
from app.domain.bulk.files import FILES
from app.domain.bulk.kinds import EDITABLE, Editable, grant_of
from app.domain.sheets import neutral
from app.errors import NotFound
from app.i18n import _, gettext, ngettext, show_bytes, show_date, show_moment, show_number
from app.integrations.storage import DirectoryStorage, FileMissing
from app.models.bulk import BulkKind, BulkRow, BulkRun, BulkState
from app.observe import actor

HIDDEN = frozenset[str]()
"""These stand in the progress, and go away with it."""
CHUNK = 1000


async def start(session: AsyncSession, chosen: list[BulkRun]) -> str:
    for run in chosen:
        await runs.start(session, run_id=run.id, grant=grant_of(run))
    return gettext("The change has started.")


async def stop(session: AsyncSession, chosen: list[BulkRun]) -> str:
    for run in chosen:
        await runs.stop(session, run_id=run.id)
    return gettext("Stopped. What was already done stays.")


async def undo(session: AsyncSession, chosen: list[BulkRun]) -> str:
    for run in chosen:
        await undoing.undo(session, run_id=run.id)
    return gettext("The change is being undone.")


class BulkRuns(AppView, model=BulkRun):
    name, name_plural, icon, category = _("Bulk change"), _("Bulk changes"), "checklist", "Configuration"
    purpose = _("Changes of many rows at once and exports in the background, as far as you have begun them.")
    own = True
    readonly = True
    can_create = can_edit = can_delete = False
    buttons = (
        Button(
            "start",
            _("Start"),
            "player-play",
            on=HIDDEN,
            verb=start,
            grant="details",
            lede=_("It runs in the background, can be stopped, and can be undone afterwards."),
        ),
        Button(
            "stop",
            _("Stop"),
            "player-stop",
            on=HIDDEN,
            verb=stop,
            grant="details",
            danger=True,
            lede=_("What was already done stays. What is stopped cannot go on."),
        ),
        Button(
            "undo",
            _("Undo"),
            "arrow-back-up",
            on=HIDDEN,
            verb=undo,
            grant="details",
            danger=True,
            lede=_("Each row becomes what it was, where nobody has changed it since. The rest is listed."),
        ),
    )

    def news(self, staff_id: int) -> tuple[News, ...]:
        mine = (BulkRun.staff_id == staff_id, BulkRun.finished_at > lately())
        ready = (*mine, BulkRun.kind == BulkKind.EXPORT, BulkRun.state == BulkState.DONE)
        checked = (*mine, BulkRun.state == BulkState.CHECKED)
        over = (*mine, BulkRun.kind == BulkKind.EDIT, BulkRun.state.in_((BulkState.DONE, BulkState.UNDONE)))
        failed = (*mine, BulkRun.state == BulkState.FAILED)
        at = BulkRun.finished_at
        return (
            News(_("Exports to download"), "download", ready, at, "ok"),
            News(_("Changes to be started"), "checklist", checked, at),
            News(_("Bulk changes that are done"), "check", over, at, "ok"),
            News(_("Bulk changes that have failed"), "alert-triangle", failed, at, "bad"),
        )

    def facts(self, obj: BulkRun) -> list[Markup | str]:
        facts: list[Markup | str] = [f"#{obj.id}", str(obj.kind.label)]
        if obj.key:
            facts += [obj.wanted["ending"].upper(), show_bytes(obj.size)]
        return facts

    def badge(self, obj: Any) -> Markup | None:
        return None

    async def card_context(self, session: AsyncSession, obj: BulkRun, request: Request) -> dict[str, Any]:
        going = obj.state in runs.GOING
        return {
            "progress": {
                **work_of(obj),
                "poll_url": f"/admin/bulk_run/details/{obj.id}/part/progress" if going else "",
                "stop": _stop(obj),
                "acts": _acts(obj),
                "next": _next(obj),
                "found": _found(obj, request),
            }
        }

    async def sections(self, session: AsyncSession, obj: BulkRun, request: Request) -> list[dict[str, Any]]:
        url = f"/admin/{obj.noun}/list?{obj.query}".rstrip("?")
        items = [
            {"label": gettext("Rows"), "value": show_number(obj.total)},
            {"label": gettext("List"), "value": Markup('<a href="{}">{}</a>').format(url, gettext("Show"))},
            {"label": gettext("Started"), "value": show_moment(obj.started_at) if obj.started_at else ""},
            {"label": gettext("Finished"), "value": show_moment(obj.finished_at) if obj.finished_at else ""},
            {"label": gettext("Kept until"), "value": show_date(obj.expires_at) if obj.expires_at else ""},
        ]
        return [{"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"]]}]

    async def file_download(self, session: AsyncSession, obj: BulkRun, request: Request) -> Response:
        """The file of an export."""
        run = await exporting.file_of(session, run_id=obj.id, staff_id=actor.get().staff_id or 0)
        storage = DirectoryStorage(request.app.state.settings.data_dir / "attachments")
        ending = run.wanted["ending"]
        media, _kind = FILES[ending]
        name = f"{run.noun}-{run.finished_at or run.created_at:%Y-%m-%d}.{ending}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(run.size)}
        try:
            content = await storage.open(run.key)
        except FileMissing:
            raise NotFound(gettext("This file is not there any more.")) from None
        return StreamingResponse(content, media_type=media, headers=headers)

    async def file_reasons(self, session: AsyncSession, obj: BulkRun, request: Request) -> Response:
        """All rows that were refused or could not be put back, with the reason."""
        if obj.noun not in EDITABLE or not may(request, obj.noun, "list"):
            raise NotFound
        headers = {"Content-Disposition": f'attachment; filename="{obj.noun}-{obj.id}.csv"'}
        return StreamingResponse(_reasons(obj), media_type="text/csv; charset=utf-8", headers=headers)


async def _reasons(run: BulkRun) -> AsyncIterator[str]:
    model: Any = EDITABLE[run.noun].model
    out, at = io.StringIO(), 0
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(map(neutral, ["id", gettext("Name"), gettext("Refused"), gettext("Not undone")]))
    while True:
        async with db.reads() as session:
            some = (BulkRow.reason != "") | (BulkRow.kept != "")
            query = select(BulkRow).where(BulkRow.run_id == run.id, BulkRow.position > at, some)
            rows = (await session.scalars(query.order_by(BulkRow.position).limit(CHUNK))).all()
            named = select(model).where(model.id.in_([row.row_id for row in rows]))
            names = {found.id: str(found) for found in await session.scalars(named)}
        for row in rows:
            writer.writerow([row.row_id, *map(neutral, (names.get(row.row_id, ""), row.reason, row.kept))])
        yield out.getvalue()
        if len(rows) < CHUNK:
            return
        at = rows[-1].position
        out.seek(0)
        out.truncate()


# ---- the progress ---------------------------------------------------------------------------------------------------


def _stop(run: BulkRun) -> dict[str, str] | None:
    if run.state not in (BulkState.CHOOSING, BulkState.CHECKING, BulkState.RUNNING):
        return None
    return stop_button(f"/admin/bulk_run/action/stop?pks={run.id}", gettext("Stop this? What was already done stays."))


def _acts(run: BulkRun) -> list[dict[str, str]]:
    if run.state is BulkState.CHECKED:
        asked = gettext("Discard this change? Nothing was changed yet.")
        discard = stop_button(f"/admin/bulk_run/action/stop?pks={run.id}", asked)
        return [{**discard, "label": gettext("Discard the change"), "icon": "trash"}]
    if undoing.undoable(run):
        asked = gettext("Undo this change? Each row becomes what it was, where nobody has changed it since.")
        back = stop_button(f"/admin/bulk_run/action/undo?pks={run.id}", asked)
        return [{**back, "label": gettext("Undo"), "icon": "arrow-back-up"}]
    return []


def _next(run: BulkRun) -> dict[str, str] | None:
    if run.state is BulkState.CHECKED and run.changed:
        label = ngettext("Change %(n)s row", "Change %(n)s rows", run.changed) % {"n": show_number(run.changed)}
        return {"label": label, "url": f"/admin/bulk_run/action/start?pks={run.id}", "icon": "player-play"}
    if run.kind is BulkKind.EXPORT and run.key:
        return {"label": gettext("Download"), "url": f"/admin/bulk_run/file/{run.id}/download", "icon": "download"}
    return None


def _found(run: BulkRun, request: Request) -> list[dict[str, Any]]:
    """What the check has found, or what came of it: per field, some rows before and after, and what was refused."""
    if run.kind is BulkKind.EXPORT or run.noun not in EDITABLE or not may(request, run.noun, "list"):
        return []
    kind, looked, shown = EDITABLE[run.noun], run.looked, []
    if fields := looked.get("fields"):
        shown.append(
            {
                "label": gettext("What changes"),
                "kind": "kv",
                "items": [{"label": kind.label(name), "value": show_number(n)} for name, n in fields.items()],
            }
        )
    if sample := looked.get("sample"):
        shown.append(
            {
                "label": gettext("For example"),
                "kind": "table",
                "columns": [gettext("Name"), gettext("What changes")],
                "rows": [[_link(run, row["id"], row["name"]), _changes(kind, row["changes"])] for row in sample],
            }
        )
    for key, n, label in (
        ("refused", run.refused, gettext("Refused")),
        ("not_undone", run.kept, gettext("What is not undone")),
    ):
        if not (rows_of := looked.get(key)):
            continue
        rest = n - len(rows_of)
        more = gettext("and %(n)s more") % {"n": show_number(rest)} if rest > 0 else ""
        shown.append(
            {
                "label": label,
                "kind": "table",
                "columns": [gettext("Name"), gettext("Reason")],
                "rows": [[_link(run, row_id, name), why] for row_id, name, why in rows_of],
                "rest": more,
                "url": f"/admin/bulk_run/file/{run.id}/reasons",
            }
        )
    return shown


def _changes(kind: Editable, changes: list[list[str]]) -> Markup:
    """One line for each field of a row."""
    line = Markup('<span class="soft">{}:</span> <bdi>{}</bdi> → <bdi>{}</bdi>')
    lines = [line.format(kind.label(name), before or "–", after or "–") for name, before, after in changes]
    return Markup("<br>").join(lines)


def _link(run: BulkRun, row_id: int, name: str) -> Markup:
    return Markup('<a class="ink" href="/admin/{}/details/{}"><bdi>{}</bdi></a>').format(
        run.noun, row_id, name or f"#{row_id}"
    )


def work_of(run: BulkRun) -> dict[str, Any]:
    """A run as long work."""
    going = run.state in runs.GOING
    undone = run.state in (BulkState.UNDOING, BulkState.UNDONE)
    seconds = (utcnow() - run.started_at).total_seconds() if run.started_at else 0.0
    note = run.error
    if run.state is BulkState.CHECKED:
        note = gettext("Nothing is changed yet. These figures say what the change would do.")
        if not run.changed:
            note = gettext("Nothing would change.")
    words = {"changed": _("Changed"), "unchanged": _("Unchanged"), "refused": _("Refused"), "undone": _("Undone"),
             "kept": _("Not undone")}  # fmt: skip
    kinds = {"changed": "ok", "unchanged": "", "refused": "bad", "undone": "ok", "kept": "warn"}
    counted: tuple[str, ...] = ("undone", "kept") if undone else runs.COUNTS
    if run.kind is BulkKind.EXPORT:
        counted = ()
    return work(
        label=run.name,
        url=f"/admin/bulk_run/details/{run.id}",
        state=run.state,
        going=going,
        done=run.done,
        total=run.changed if undone else run.total,
        rate=run.done / seconds if going and seconds > 1 else 0.0,
        counts=[{"label": str(words[c]), "n": getattr(run, c), "kind": kinds[c]} for c in counted],
        note=note,
    )
