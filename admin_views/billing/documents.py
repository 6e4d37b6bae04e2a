"""Finance documents and their templates."""

from __future__ import annotations

import asyncio
from typing import Any

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from wtforms import DateField, StringField, validators

from admin_views.base import AppForm, AppView, Button, Done, Flow, Press
from admin_views.base.fields import ChoiceField, plain
from admin_views.base.importing import chunks, file_field
from admin_views.base.plan import Plan
from app.domain.billing import documents
from app.domain.billing.documents import attach_document, document_pdf, make_document, save_document_template
from app.domain.checks import kept_for_all
from app.domain.messaging.macros import MACROS
from app.errors import Invalid, NotFound
from app.i18n import _, gettext
from app.integrations.storage import DirectoryStorage
from app.models.billing import Document, DocumentKind, DocumentTemplate
from app.observe import actor


def _storage(request: Request) -> DirectoryStorage:
    return DirectoryStorage(request.app.state.settings.data_dir / "attachments")


class MakeForm(AppForm):
    kind = ChoiceField(_("Kind"), [validators.InputRequired()], kind=DocumentKind)
    first = DateField(_("Period from"), [validators.Optional()], render_kw={"max": "9999-12-31"})
    until = DateField(_("Period to"), [validators.Optional()], render_kw={"max": "9999-12-31"})


async def make(session: AsyncSession, chosen: list[Any], *, kind: str, first: Any, until: Any) -> Done:
    document: Any = None
    for customer in chosen:
        document = await make_document(
            session, customer_id=customer.id, kind=DocumentKind(kind), first=first, until=until
        )
    return Done(gettext("The document is made."), url=f"/admin/finance_document/details/{document.id}")


class AttachForm(AppForm):
    kind = ChoiceField(_("Kind"), [validators.InputRequired()], kind=DocumentKind)
    title = StringField(_("Title"), [validators.Length(max=200), plain], description=_("Empty: the name of the file."))
    files = file_field()


class AttachFlow(Flow):
    form = AttachForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        upload = form.data["files"]
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise Invalid(files=gettext("Choose a file."))
        document = await attach_document(
            session, _storage(press.request), customer_id=press.one.id, kind=DocumentKind(form.data["kind"]),
            title=form.data["title"] or "", name=upload.filename, chunks=chunks(upload),
            max_bytes=press.request.app.state.settings.max_upload_bytes, staff_id=actor.get().staff_id,
        )  # fmt: skip
        return Done(gettext("The file is kept."), url=f"/admin/finance_document/details/{document.id}")


OF_CUSTOMER = (
    Button(
        "document", _("Make a document"), "file-text", on=frozenset({"card"}), verb=make, form=MakeForm, more=True,
        lede=_("From the template of its kind, with the values of today. It then stays as it is."),
    ),
    Button(
        "attach", _("Attach a document"), "paperclip", on=frozenset({"card"}), flow=AttachFlow(), more=True,
        submit=_("Keep"), lede=_("A file that is kept as a document, such as a signed contract."),
    ),
)  # fmt: skip
"""Buttons on the card of a customer."""


class Documents(AppView, model=Document):
    name, name_plural, icon, category = _("Finance document"), _("Finance documents"), "file-text", "Money"
    purpose = _("Acts, contracts and reconciliation reports.")
    readonly = True

    @staticmethod
    def detail_body(document: Any) -> str:
        return str(Markup('<span class="prewrap">{}</span>').format(document.body)) if document.body else ""

    def links(self, plan: Plan, obj: Any) -> list[tuple[Any, ...]]:
        label = gettext("Download the file") if obj.attachment_id else gettext("PDF")
        icon = "download" if obj.attachment_id else "file-type-pdf"
        return [(label, f"/admin/finance_document/file/{obj.id}/pdf", icon, False, False, False)]

    async def file_pdf(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        """The document as PDF, or the file that was attached."""
        headers = {"X-Content-Type-Options": "nosniff"}
        if obj.attachment_id is not None:
            if obj.attachment is None:
                raise NotFound
            content = await _storage(request).read(obj.attachment.key)
            name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in obj.attachment.name)
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
            return Response(content, media_type="application/octet-stream", headers=headers)
        made = await document_pdf(session, _storage(request), obj)
        number = "".join(c if c.isascii() and c.isalnum() else "-" for c in obj.number)
        headers["Content-Disposition"] = f'attachment; filename="{obj.kind.value}-{number}.pdf"'
        return Response(await asyncio.to_thread(made.bytes), media_type="application/pdf", headers=headers)


class DocumentTemplates(AppView, model=DocumentTemplate):
    name, name_plural, icon, category = _("Document template"), _("Document templates"), "template", "Configuration"
    purpose = _("What acts, contracts and reports are made from.")

    async def form_context(self, session: AsyncSession, obj: Any, form: Any) -> dict[str, Any]:
        names = ", ".join(f"{{{{ {spec.name} }}}}" for spec in (*documents.macros(), *MACROS.values()))
        said = gettext("A line that begins with | is a row of a table. Fields: %(list)s")
        form.body.description = said % {"list": names}
        form.body.render_kw = {"rows": 16}
        return {}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> DocumentTemplate:
        return await save_document_template(session, values=values, template=obj)

    async def refusals(self, session: AsyncSession, obj: DocumentTemplate) -> list[str]:
        return kept_for_all(obj) or await super().refusals(session, obj)
