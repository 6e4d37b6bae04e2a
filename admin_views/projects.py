"""Projects: the brands, with the logo that stands on their invoices."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from wtforms import FileField, StringField, validators

from admin_views.base import AppForm, AppView, Button, Flow, Press, Related
from app.db import utcnow
from app.domain.billing import numbers
from app.domain.billing.logos import MOST_BYTES, logo_of, set_logo
from app.errors import Invalid, NotFound
from app.i18n import _, gettext
from app.integrations.pdf import picture_kind
from app.integrations.storage import DirectoryStorage
from app.models.projects import Project


def _storage(request: Request) -> DirectoryStorage:
    return DirectoryStorage(request.app.state.settings.data_dir / "attachments")


class LogoForm(AppForm):
    files = FileField(
        _("Logo"), [validators.Optional()],
        description=_("PNG or JPEG, at most 500 kB. Without a file, the logo is taken away."),
        render_kw={"accept": "image/png,image/jpeg"},
    )  # fmt: skip


class LogoFlow(Flow):
    form = LogoForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str:
        upload = form.data["files"]
        data = b""
        if isinstance(upload, UploadFile) and upload.filename:
            data = await upload.read(MOST_BYTES + 1)
            if not data:
                raise Invalid(files=gettext("This file is empty."))
        await set_logo(session, _storage(press.request), project=press.one, data=data)
        return gettext("The logo is kept.") if data else gettext("There is no logo any more.")


class NumbersFlow(Flow):
    """How invoices and documents of a project are numbered; beside it the numbers that come next."""

    template = "sqladmin/priced.html"
    look_template: ClassVar[str] = "sqladmin/priced_look.html"

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        kinds: dict[str, Any] = {
            kind: StringField(label, [validators.InputRequired(), validators.Length(max=numbers.LONGEST)])
            for kind, label in numbers.KINDS.items()
        }
        start = None if posted is not None else await numbers.patterns_of(press.session, press.one.id)
        return cast(AppForm, type("NumbersForm", (AppForm,), kinds)(posted, data=start))

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        items = []
        for field in form:
            try:
                following = await numbers.preview(
                    press.session, project_id=press.one.id, kind=field.name, pattern=field.data or "",
                    day=utcnow().date(),
                )  # fmt: skip
            except Invalid as problem:
                following = next(iter(problem.fields.values()))
            items.append({"label": gettext(numbers.KINDS[field.name]), "value": following})
        note = gettext("Counting goes on where it is. With {year} it begins with 1 in each year.")
        return {"look": {"label": gettext("The next numbers"), "items": items, "explained": None, "note": note}}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str:
        changed = await numbers.set_patterns(
            session, project_id=press.one.id, patterns=form.data, day=utcnow().date()
        )  # fmt: skip
        return gettext("The numbers are changed.") if changed else gettext("Nothing was changed.")


class Projects(AppView, model=Project):
    name, name_plural, icon, category = _("Project"), _("Projects"), "building-store", "Configuration"
    purpose = _("The brands that you serve customers under, each with its sender, currency and languages.")
    related = (Related("customer"), Related("user"))
    buttons = (
        Button(
            "logo", _("Logo"), "photo", on=frozenset({"card"}), flow=LogoFlow(), grant="edit", submit=_("Keep"),
            lede=_("It stands on invoices and documents."),
        ),
        Button(
            "numbers", _("Numbers"), "braces", on=frozenset({"card"}), flow=NumbersFlow(), grant="edit",
            submit=_("Keep"), more=True,
            lede=_("How invoices and documents are numbered: {year}, and {number} or {number:05} with zeros in front."),
        ),
    )  # fmt: skip

    async def file_logo(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        logo = await logo_of(session, _storage(request), obj.id)
        if logo is None:
            raise NotFound
        return Response(logo, media_type=picture_kind(logo), headers={"X-Content-Type-Options": "nosniff"})
