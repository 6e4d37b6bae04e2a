"""Import of a screen's rows from a file: of every screen whose rows have no rules of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from wtforms import FileField, validators

from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.fields import AppForm
from app.db import Base
from app.domain.imports import records, runs
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
            chunks=chunks(upload),
            max_bytes=settings.max_upload_bytes,
        )


async def chunks(upload: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await upload.read(256 * 1024):
        yield chunk


def fields_of(view: AppView) -> list[str]:
    """The columns that a file can fill."""
    props = [view.prop_of(str(name)) for name in view.form_columns]
    return [prop.key for prop in props if records.importable(prop)]


SHEETS = ".xlsx,.csv,.txt,text/csv"


def file_field(description: str = "", accept: str = "") -> FileField:
    """The one file that a form is for."""
    needed = [validators.InputRequired(_("Choose a file."))]
    return FileField(_("File"), needed, description=description, render_kw={"accept": accept} if accept else {})


class UploadForm(AppForm):
    """What `UploadFlow` asks for; `stored` is there once the file is."""

    files = file_field()
    stored: StoredFile


class RowsForm(UploadForm):
    files = file_field(_("XLSX or CSV, with the labels of the fields above the rows, as an export has them."), SHEETS)


class RowsFlow(UploadFlow):
    form = RowsForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        fields: Any = form
        run = await runs.add_rows(
            session, stored=fields.stored, name=form.data["files"].filename or "",
            noun=cast("type[Base]", press.view.model).__tablename__, fields=fields_of(press.view),
        )  # fmt: skip
        said = gettext("The file is being checked. Nothing is changed until you start the import.")
        return Done(said, url=f"/admin/import_run/details/{run.id}")


IMPORT = Button(
    "import_rows",
    _("Import"),
    "file-import",
    on=frozenset({"head"}),
    flow=RowsFlow(),
    grant="create",
    also=("import_run", "create"),
    more=True,
    lede=_(
        "A row with the ID or the name of one that is there changes it; the others are new. The file is checked first: "
        "you see what would be taken and what is wrong."
    ),
    submit=_("Check the file"),
)
