"""Import of a screen's rows from a file: of every screen whose rows have no rules of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from wtforms import BooleanField, FileField, validators

from admin_views.access import may
from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.fields import AppForm
from app.db import Base
from app.domain.imports import filed, records, runs
from app.errors import Invalid
from app.i18n import _, gettext
from app.integrations.storage import DirectoryStorage, StoredFile

if TYPE_CHECKING:
    from admin_views.base.screen import AppView


class UploadFlow(Flow):
    """A flow whose form has a field `files`; what was uploaded is stored before the transaction begins."""

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


async def _chunks(upload: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await upload.read(256 * 1024):
        yield chunk


def job_url(press: Press, job_id: int) -> str | None:
    """Where a job shows how far it is, for whoever may look."""
    return f"/admin/job/details/{job_id}" if may(press.request, "job", "details") else None


def fields_of(view: AppView) -> list[str]:
    """The columns that a file can fill."""
    props = [view.prop_of(str(name)) for name in view.form_columns]
    return [prop.key for prop in props if records.importable(prop)]


class RowsForm(AppForm):
    files = FileField(
        _("File"),
        [validators.InputRequired(_("Choose a file."))],
        description=_("XLSX or CSV, with the labels of the fields above the rows, as an export has them."),
        render_kw={"accept": ".xlsx,.csv,.txt,text/csv"},
    )
    dry_run = BooleanField(_("Only check, change nothing"))
    stored: StoredFile


class RowsFlow(UploadFlow):
    form = RowsForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        fields: Any = form
        job_id = await filed.add_file(
            session, task=records.TASK, stored=fields.stored, name=form.data["files"].filename or "",
            dry_run=bool(form.data["dry_run"]), table=cast("type[Base]", press.view.model).__tablename__,
            fields=fields_of(press.view), change=may(press.request, press.view.identity, "edit"),
        )  # fmt: skip
        return Done(gettext("The file is taken in, in the background."), url=job_url(press, job_id))


IMPORT = Button(
    "import_rows",
    _("Import"),
    "file-import",
    on=frozenset({"head"}),
    flow=RowsFlow(),
    grant="create",
    more=True,
    lede=_("A row with the ID or the name of one that is there changes it, if you may; the others are new."),
    submit=_("Take in the file"),
)
