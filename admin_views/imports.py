"""Imports: a file of customers is chosen, its columns are looked at, it is checked, then taken in the background."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import BooleanField, StringField, validators

from admin_views.access import may, may_press
from admin_views.base import AppForm, AppView, Button, Done, LookupField, Press
from admin_views.base.cells import esc, ready, swatch
from admin_views.base.fields import plain
from admin_views.base.importing import SHEETS, UploadFlow, UploadForm, file_field
from admin_views.base.working import stop_button, work
from admin_views.import_columns import ColumnsFlow, LeftOutFlow, ValuesFlow, field_name
from app.db import utcnow
from app.domain.imports import consents, filed, runs, undoing
from app.i18n import _, gettext, ngettext, show_bytes, show_moment, show_number
from app.models.imports import CUSTOMER, ImportRow, ImportRun, ImportState
from app.models.projects import Project


class CustomersForm(UploadForm):
    files = file_field(
        _("XLSX or CSV with the names of the columns above the rows, as spreadsheets and other programs write it."),
        SHEETS,
    )
    project = LookupField(_("Project"), [validators.InputRequired()], target="project")
    source = StringField(
        _("Source"),
        [validators.InputRequired(), validators.Length(max=60), plain],
        default="csv",
        description=_("Where the IDs in the file come from. The same source and ID again change the same customer."),
    )


class CustomersFlow(UploadFlow):
    form = CustomersForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        """The only project needs no choosing."""
        form = await super().build(press, posted)
        projects = list(await press.session.scalars(select(Project.id).limit(2))) if posted is None else []
        if len(projects) == 1:
            form["project"].data = projects[0]
        return form

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        fields: Any = form
        run = await runs.add_import(
            session,
            stored=fields.stored,
            name=form.data["files"].filename or "",
            project_id=form.data["project"],
            source=form.data["source"],
        )
        said = gettext("The file is being read. Then you see its columns.")
        return Done(said, url=press.view.card_url(run.id))


class ConsentForm(UploadForm):
    files = file_field(
        _("CSV with the columns address, category, subscribed (yes or no), and, where known, channel, "
          "when and source."),
        ".csv,.txt,text/csv",
    )  # fmt: skip
    dry_run = BooleanField(_("Only check, change nothing"))


class ConsentFlow(UploadFlow):
    form = ConsentForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        fields: Any = form
        job_id = await filed.add_file(
            session, task=consents.TASK, stored=fields.stored, name=form.data["files"].filename or "",
            dry_run=bool(form.data["dry_run"]),
        )  # fmt: skip
        url = f"/admin/job/details/{job_id}" if may(press.request, "job", "details") else None
        return Done(gettext("The file is taken in, in the background."), url=url)


async def start(session: AsyncSession, chosen: list[ImportRun]) -> str:
    for run in chosen:
        await runs.start_import(session, import_id=run.id)
    return gettext("The import has started.")


async def stop(session: AsyncSession, chosen: list[ImportRun]) -> str:
    for run in chosen:
        await runs.stop_import(session, import_id=run.id)
    return gettext("Stopped. What was already taken stays.")


async def undo(session: AsyncSession, chosen: list[ImportRun]) -> str:
    for run in chosen:
        await undoing.undo_import(session, import_id=run.id)
    return gettext("The import is being undone.")


HIDDEN = frozenset[str]()
"""These stand in the progress, and go away with it."""


class Imports(AppView, model=ImportRun):
    name, name_plural, icon, category = _("Import"), _("Imports"), "file-import", "Configuration"
    help = _(
        "Customers, and rows of other screens, out of spreadsheets and CSV files. A file is checked first; a second "
        "import of the same file changes nothing."
    )
    purpose = _("What was imported, with its report and the way back.")
    readonly = True
    can_create = can_edit = can_delete = False
    buttons = (
        Button(
            "upload",
            _("Import customers"),
            "file-import",
            on=frozenset({"head"}),
            flow=CustomersFlow(),
            grant="create",
            primary=True,
            submit=_("Read the file"),
            lede=_("You say what its columns are, then it is checked: you see what would be taken and what is wrong."),
        ),
        Button(
            "columns",
            _("Columns"),
            "list-details",
            on=frozenset({"card"}),
            flow=ColumnsFlow(),
            grant="create",
            submit=_("Check the file"),
            lede=_("What each column is. The next file with the same columns is taken in the same way."),
            shown=runs.with_plan,
        ),
        Button(
            "values",
            _("Values"),
            "list",
            on=frozenset({"card"}),
            flow=ValuesFlow(),
            grant="create",
            submit=_("Check the file"),
            lede=_("What the values of the file mean here."),
            shown=runs.with_plan,
            more=True,
        ),
        Button(
            "consent",
            _("Import consent"),
            "mail-check",
            on=frozenset({"head"}),
            flow=ConsentFlow(),
            grant="create",
            submit=_("Take in the file"),
            lede=_(
                "Who wants which messages, as it was said elsewhere. What was said here later than the file says stays."
            ),
        ),
        Button(
            "start",
            _("Start the import"),
            "player-play",
            on=HIDDEN,
            verb=start,
            grant="create",
            lede=_("Rows without errors are taken, the others are left out. It runs in the background."),
        ),
        Button(
            "stop",
            _("Stop"),
            "player-stop",
            on=HIDDEN,
            verb=stop,
            grant="create",
            danger=True,
            lede=_("What was already taken stays. A stopped import cannot go on; the same file can be imported again."),
        ),
        Button(
            "discard",
            _("Discard"),
            "trash",
            on=frozenset({"card"}),
            verb=stop,
            grant="create",
            more=True,
            shown=lambda r: r.state in runs.BEFORE,
            lede=_("The file is deleted, and nothing is imported."),
        ),
        Button(
            "left_out",
            _("Rows that are left out"),
            "download",
            on=frozenset({"card"}),
            flow=LeftOutFlow(undo=False),
            grant="details",
            submit=_("Download"),
            lede=_("A CSV with these rows as they stand in the file, with the reason. Put right, it can be imported."),
            shown=lambda r: bool(r.failed and r.looked.get("columns")),
        ),
        Button(
            "not_undone",
            _("What is not undone"),
            "download",
            on=frozenset({"card"}),
            flow=LeftOutFlow(undo=True),
            grant="details",
            submit=_("Download"),
            lede=_("A CSV with what stays as it is, with the reason."),
            shown=lambda r: bool(r.kept and r.looked.get("columns")),
        ),
        Button(
            "undo",
            _("Undo the import"),
            "arrow-back-up",
            on=frozenset({"card"}),
            verb=undo,
            grant="create",
            danger=True,
            more=True,
            shown=undoing.undoable,
            lede=_(
                "What is new is deleted unless something has happened to it since. What was changed is put back where "
                "it still is as the import left it. The rest is listed."
            ),
        ),
    )

    def waiting(self) -> Select[Any]:
        return select(ImportRun.id).where(ImportRun.state.in_(runs.GOING))

    @staticmethod
    def cell_noun(row: ImportRun) -> str:
        return esc(_screen_of(row))

    detail_noun = cell_noun

    def facts(self, obj: ImportRun) -> list[Markup | str]:
        of = ready(swatch(obj.project.hue, obj.project.name)) if obj.project is not None else _screen_of(obj)
        return [f"#{obj.id}", of, show_bytes(obj.size)]

    async def card_context(self, session: AsyncSession, obj: ImportRun, request: Request) -> dict[str, Any]:
        going = obj.state in runs.GOING
        asked = gettext("Stop this import? What was already taken stays.")
        may = may_press(request, self.identity, "start")
        return {
            "progress": {
                **work_of(obj),
                "poll_url": f"/admin/import_run/details/{obj.id}/part/progress" if going else "",
                "stop": stop_button(f"/admin/import_run/action/stop?pks={obj.id}", asked)
                if going and may and obj.state is not ImportState.UNDOING
                else None,
                "next": _next(obj) if may else None,
            }
        }

    async def sections(self, session: AsyncSession, obj: ImportRun, request: Request) -> list[dict[str, Any]]:
        report, shown = obj.report, []
        if warnings := obj.looked.get("warnings"):
            shown.append({"label": gettext("About the file"), "kind": "words", "words": warnings})
        if obj.kept:
            shown.append(await _not_undone(session, obj))
        if errors := report.get("errors"):
            rest = obj.failed - len({line for line, _column, _reason in errors})
            shown.append(
                {
                    "label": gettext("Rows that are left out"),
                    "kind": "table",
                    "columns": [gettext("Line"), gettext("Column"), gettext("Reason")],
                    "rows": [[show_number(line), column, reason] for line, column, reason in errors],
                    "rest": gettext("and %(n)s more") % {"n": show_number(rest)} if rest > 0 else None,
                }
            )
        if notes := report.get("notes"):
            shown.append(
                {
                    "label": gettext("Remarks"),
                    "kind": "table",
                    "columns": [gettext("Line"), gettext("Remark")],
                    "rows": [[show_number(line), text] for line, text in notes],
                }
            )
        if mapping := report.get("mapping"):
            unused = [[column, gettext("not used")] for column in report.get("unused", ())]
            shown.append(
                {
                    "label": gettext("Columns"),
                    "kind": "table",
                    "columns": [gettext("In the file"), gettext("Is taken as")],
                    "rows": [[column, field_name(field, obj.noun)] for column, field in mapping.items()] + unused,
                }
            )
        return shown

    async def side(self, session: AsyncSession, obj: ImportRun, request: Request) -> list[dict[str, Any]]:
        items = [
            {"label": gettext("Of what"), "value": _screen_of(obj)},
            {"label": gettext("Project"), "value": str(obj.project or "")},
            {"label": gettext("Source"), "value": obj.source},
            {"label": gettext("Started by"), "value": str(obj.staff or "Bursar")},
            {"label": gettext("Started"), "value": show_moment(obj.started_at) if obj.started_at else ""},
            {"label": gettext("Finished"), "value": show_moment(obj.finished_at) if obj.finished_at else ""},
            {"label": gettext("Invitations"), "value": _invitations(obj)},
        ]
        return [{"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"]]}]


MOST_KEPT = 200


async def _not_undone(session: AsyncSession, run: ImportRun) -> dict[str, Any]:
    """The customers that stay as they are, with the reason."""
    query = select(ImportRow).where(ImportRow.import_id == run.id, ImportRow.undo)
    found = (await session.scalars(query.order_by(ImportRow.id).limit(MOST_KEPT))).all()
    rest = run.kept - len(found)
    return {
        "label": gettext("What is not undone"),
        "kind": "table",
        "columns": [gettext("Customer") if run.noun == CUSTOMER else gettext("Name"), gettext("Reason")],
        "rows": [[row.cells[0] or f"#{row.column}", row.reason] for row in found],
        "rest": gettext("and %(n)s more") % {"n": show_number(rest)} if rest > 0 else None,
    }


def _screen_of(run: ImportRun) -> str:
    """What its rows are."""
    from admin_views.screens import SCREENS

    return next((str(view.name_plural) for view in SCREENS if view.identity == run.noun), run.noun)


def _invitations(run: ImportRun) -> str:
    if not run.looked.get("invite"):
        return ""
    if run.state is ImportState.DONE or run.looked.get("invited"):
        return gettext("%(n)s so far") % {"n": show_number(run.looked.get("invited", 0))}
    return gettext("After the import") if run.state in runs.OPEN else ""


def _next(run: ImportRun) -> dict[str, str] | None:
    """What to press once the file is checked."""
    if run.state is ImportState.READ:
        url = f"/admin/import_run/action/columns?pks={run.id}"
        return {"label": gettext("Look at the columns"), "url": url, "icon": "list-details"}
    n = run.created + run.updated
    if run.state is not ImportState.CHECKED or not n:
        return None
    label = ngettext("Import %(n)s row", "Import %(n)s rows", n)
    if run.noun == CUSTOMER:
        label = ngettext("Import %(n)s customer", "Import %(n)s customers", n)
    label %= {"n": show_number(n)}
    return {"label": label, "url": f"/admin/import_run/action/start?pks={run.id}", "icon": "player-play"}


def work_of(run: ImportRun) -> dict[str, Any]:
    """An import as long work."""
    going = run.state in runs.GOING
    seconds = (utcnow() - run.started_at).total_seconds() if run.started_at else 0.0
    note = run.error
    if run.state is ImportState.CHECKED:
        note = gettext("Nothing is changed yet. These figures say what the import would do.")
    if run.state is ImportState.READ:
        note = gettext("Nothing is changed yet. Say what the columns are, then the file is checked.")
    words = {"created": _("New"), "updated": _("Changed"), "unchanged": _("Unchanged"), "failed": _("Left out"),
             "undone": _("Undone"), "kept": _("Not undone")}  # fmt: skip
    kinds = {"created": "ok", "updated": "info", "unchanged": "", "failed": "bad", "undone": "ok", "kept": "warn"}
    shown = ("undone", "kept") if run.state in (ImportState.UNDOING, ImportState.UNDONE) else runs.COUNTS
    return work(
        label=run.name,
        url=f"/admin/import_run/details/{run.id}",
        state=run.state,
        going=going,
        done=run.done,
        total=run.total,
        rate=run.done / seconds if going and seconds > 1 else 0.0,
        counts=[{"label": str(words[c]), "n": getattr(run, c), "kind": kinds[c]} for c in shown],
        note=note,
    )


async def running(session: AsyncSession, limit: int) -> list[dict[str, Any]]:
    """Imports that are being checked or taken."""
    found = (await session.scalars(select(ImportRun).where(ImportRun.state.in_(runs.GOING)).limit(limit))).all()
    return [{**work_of(run), "label": gettext("Import: %(name)s") % {"name": run.name}} for run in found]
