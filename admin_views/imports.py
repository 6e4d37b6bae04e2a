"""Imports: a file of customers is chosen, checked, looked at, and then taken in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from markupsafe import Markup
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request
from wtforms import BooleanField, FileField, StringField, validators

from admin_views.access import may, may_press
from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press
from admin_views.base.cells import ready, swatch
from admin_views.base.fields import plain
from admin_views.base.working import stop_button, work
from app.db import utcnow
from app.domain.imports import runs
from app.domain.imports.consents import add_consent_import
from app.errors import Invalid
from app.i18n import _, gettext, ngettext, show_bytes, show_moment, show_number
from app.integrations.storage import DirectoryStorage, StoredFile
from app.models.customers import Customer
from app.models.imports import ImportRun, ImportState


class UploadForm(AppForm):
    files = FileField(
        _("File"),
        [validators.InputRequired(_("Choose a file."))],
        description=_(
            "CSV with the names of the columns in the first line, as spreadsheets and other panels write it."
        ),
        render_kw={"accept": ".csv,.txt,text/csv"},
    )
    project = LookupField(_("Project"), [validators.InputRequired()], target="project")
    source = StringField(
        _("Source"),
        [validators.InputRequired(), validators.Length(max=60), plain],
        default="csv",
        description=_("Where the IDs in the file come from. The same source and ID again change the same customer."),
    )
    stored: StoredFile


class UploadFlow(Flow):
    form: type[AppForm] = UploadForm
    needs_rows = False

    async def before(self, press: Press, form: AppForm) -> None:
        upload = form.data["files"]
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise Invalid(files=gettext("Choose a file."))
        settings = press.request.app.state.settings
        fields: Any = form
        fields.stored = await runs.store(
            DirectoryStorage(settings.data_dir / "attachments"),
            name=upload.filename,
            chunks=_chunks(upload),
            max_bytes=settings.max_upload_bytes,
        )

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        fields: Any = form
        run = await runs.add_import(
            session,
            stored=fields.stored,
            name=form.data["files"].filename or "",
            project_id=form.data["project"],
            source=form.data["source"],
        )
        said = gettext("The file is being checked. Nothing is changed until you start the import.")
        return Done(said, url=press.view.card_url(run.id))


class ConsentForm(AppForm):
    files = FileField(
        _("File"),
        [validators.InputRequired(_("Choose a file."))],
        description=_("CSV with the columns address, category, subscribed (yes or no), and, where known, channel, "
                      "when and source."),
        render_kw={"accept": ".csv,.txt,text/csv"},
    )  # fmt: skip
    dry_run = BooleanField(_("Only check, change nothing"))
    stored: StoredFile


class ConsentFlow(UploadFlow):
    form = ConsentForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        fields: Any = form
        job_id = await add_consent_import(
            session, stored=fields.stored, name=form.data["files"].filename or "", dry_run=bool(form.data["dry_run"])
        )
        said = gettext("The file is taken in, in the background.")
        return Done(said, url=f"/admin/job/details/{job_id}" if may(press.request, "job", "details") else None)


async def _chunks(upload: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await upload.read(256 * 1024):
        yield chunk


async def start(session: AsyncSession, chosen: list[ImportRun]) -> str:
    for run in chosen:
        await runs.start_import(session, import_id=run.id)
    return gettext("The import has started.")


async def stop(session: AsyncSession, chosen: list[ImportRun]) -> str:
    for run in chosen:
        await runs.stop_import(session, import_id=run.id)
    return gettext("Stopped. What was already taken stays.")


HIDDEN = frozenset[str]()
"""These stand in the progress, and go away with it."""


class Imports(AppView, model=ImportRun):
    name, name_plural, icon, category = _("Import"), _("Imports"), "file-import", "Configuration"
    help = _("Customers out of CSV files. A file is checked first; a second import of the same file changes nothing.")
    readonly = True
    can_create = can_edit = can_delete = False
    buttons = (
        Button(
            "upload",
            _("Import customers"),
            "file-import",
            on=frozenset({"head"}),
            flow=UploadFlow(),
            grant="create",
            primary=True,
            submit=_("Check the file"),
            lede=_(
                "The file is checked first: you see what would be taken and what is wrong, before anything changes."
            ),
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
            shown=lambda r: r.state is ImportState.CHECKED,
            lede=_("The file is deleted, and nothing is imported."),
        ),
    )

    def waiting(self) -> Select[Any]:
        return select(ImportRun.id).where(ImportRun.state.in_(runs.GOING))

    def facts(self, obj: ImportRun) -> list[Markup | str]:
        return [f"#{obj.id}", ready(swatch(obj.project.hue, obj.project.name)), show_bytes(obj.size)]

    async def card_context(self, session: AsyncSession, obj: ImportRun, request: Request) -> dict[str, Any]:
        going = obj.state in runs.GOING
        asked = gettext("Stop this import? What was already taken stays.")
        may = may_press(request, self.identity, "start")
        return {
            "progress": {
                **work_of(obj),
                "poll_url": f"/admin/import_run/details/{obj.id}/part/progress" if going else "",
                "stop": stop_button(f"/admin/import_run/action/stop?pks={obj.id}", asked) if going and may else None,
                "next": _next(obj) if may else None,
            }
        }

    async def sections(self, session: AsyncSession, obj: ImportRun, request: Request) -> list[dict[str, Any]]:
        report, shown = obj.report, []
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
                    "rows": [[column, field_name(field)] for column, field in mapping.items()] + unused,
                }
            )
        return shown

    async def side(self, session: AsyncSession, obj: ImportRun, request: Request) -> list[dict[str, Any]]:
        items = [
            {"label": gettext("Project"), "value": str(obj.project)},
            {"label": gettext("Source"), "value": obj.source},
            {"label": gettext("Started by"), "value": str(obj.staff or "Bursar")},
            {"label": gettext("Started"), "value": show_moment(obj.started_at) if obj.started_at else ""},
            {"label": gettext("Finished"), "value": show_moment(obj.finished_at) if obj.finished_at else ""},
        ]
        return [{"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"]]}]


FIELDS = {
    "ref": _("ID"), "company": _("Company"), "first_name": _("First name"), "last_name": _("Last name"),
    "street": _("Street"), "city": _("City"), "state": _("State or province"), "postal_code": _("Postal code"),
    "username": _("User name"),
}  # fmt: skip
"""What the fields of an import are called that a customer has not under the same name."""


def field_name(field: str) -> str:
    if field in FIELDS:
        return str(FIELDS[field])
    return str(Customer.__table__.c[field].info["label"])


def _next(run: ImportRun) -> dict[str, str] | None:
    """What to press once the file is checked."""
    n = run.created + run.updated
    if run.state is not ImportState.CHECKED or not n:
        return None
    label = ngettext("Import %(n)s customer", "Import %(n)s customers", n) % {"n": show_number(n)}
    return {"label": label, "url": f"/admin/import_run/action/start?pks={run.id}", "icon": "player-play"}


def work_of(run: ImportRun) -> dict[str, Any]:
    """An import as long work."""
    going = run.state in runs.GOING
    seconds = (utcnow() - run.started_at).total_seconds() if run.started_at else 0.0
    note = run.error
    if run.state is ImportState.CHECKED:
        note = gettext("Nothing is changed yet. These figures say what the import would do.")
    words = {"created": _("New"), "updated": _("Changed"), "unchanged": _("Unchanged"), "failed": _("Left out")}
    kinds = {"created": "ok", "updated": "info", "unchanged": "", "failed": "bad"}
    return work(
        label=run.name,
        url=f"/admin/import_run/details/{run.id}",
        state=run.state,
        going=going,
        done=run.done,
        total=run.total,
        rate=run.done / seconds if going and seconds > 1 else 0.0,
        counts=[{"label": str(words[c]), "n": getattr(run, c), "kind": kinds[c]} for c in runs.COUNTS],
        note=note,
    )


async def running(session: AsyncSession, limit: int) -> list[dict[str, Any]]:
    """Imports that are being checked or taken."""
    found = (await session.scalars(select(ImportRun).where(ImportRun.state.in_(runs.GOING)).limit(limit))).all()
    return [{**work_of(run), "label": gettext("Import: %(name)s") % {"name": run.name}} for run in found]
