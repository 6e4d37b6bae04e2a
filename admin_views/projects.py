"""Projects: the brands, with the logo that stands on their invoices."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from wtforms import BooleanField, FileField, SelectMultipleField, validators

from admin_views.base import AppForm, AppView, Button, Flow, LookupField, Press, Related
from admin_views.billing.numbers import NumbersFlow
from app.db import Base
from app.domain import brands
from app.domain.billing.logos import MOST_BYTES, logo_of, set_logo
from app.domain.config.planning import CONFIGURE
from app.domain.signup import FIELDS, configure, settings_of
from app.errors import Invalid, NotFound
from app.i18n import _, gettext
from app.integrations.pdf import picture_kind
from app.integrations.storage import DirectoryStorage
from app.models.customers import CustomerKind
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


class SignUpForm(AppForm):
    open = BooleanField(_("Customers can register"), description=_("The form stands beside the sign-in."))
    kinds = SelectMultipleField(_("Account types"), choices=[(k.value, k.label) for k in CustomerKind])
    asked = SelectMultipleField(
        _("Asked"), choices=list(FIELDS.items()),
        description=_("Besides e-mail, password and language. The terms of the project, if any, have to be accepted."),
    )  # fmt: skip
    required = SelectMultipleField(
        _("Required"), choices=list(FIELDS.items()), description=_("Those of a company only of companies.")
    )
    groups = LookupField(_("Groups of new customers"), target="customer_group", multiple=True)


class SignUpFlow(Flow):
    form = SignUpForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        how = settings_of(press.one.signup)
        return SignUpForm(
            posted, open=how.open, kinds=[k.value for k in how.kinds], asked=how.asked, required=how.required,
            groups=list(how.groups),
        )  # fmt: skip

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str:
        values = {**form.data, "groups": form.data["groups"] or ()}
        await configure(session, project=press.one, **values)
        return gettext("Saved.")


class Projects(AppView, model=Project):
    name, name_plural, icon, category = _("Project"), _("Projects"), "building-store", "Configuration"
    purpose = _("The brands that you serve customers under, each with its sender, currency and languages.")
    related = (Related("customer"), Related("user"))
    more_grants = {CONFIGURE[1]: _("Configuration as a file, modules, demo data")}
    buttons = (
        Button(
            "logo", _("Logo"), "photo", on=frozenset({"card"}), flow=LogoFlow(), grant="edit", submit=_("Keep"),
            lede=_("It stands on invoices and documents and in the client area."),
        ),
        Button(
            "signup", _("Registration"), "user-plus", on=frozenset({"card"}), flow=SignUpFlow(), grant="edit",
            submit=_("Save"), lede=_("How customers of this project register by themselves."),
        ),
        Button(
            "numbers", _("Numbers"), "braces", on=frozenset({"card"}), flow=NumbersFlow(), grant="edit",
            submit=_("Keep"), more=True,
            lede=_("How invoices and documents are numbered: {year}, and {number} or {number:05} with zeros in front."),
        ),
    )  # fmt: skip

    async def save(self, session: AsyncSession, obj: Base | None, values: dict[str, Any]) -> Any:
        brands.check(values)
        for name in ("host", "slug"):
            taken = select(Project.id).where(getattr(Project, name) == values.get(name)).limit(1)
            other = await session.scalar(taken.execution_options(unscoped=True)) if values.get(name) else None
            if other is not None and (obj is None or other != getattr(obj, "id", None)):
                raise Invalid(**{name: gettext("Another project has it already.")})
        return await super().save(session, obj, values)

    async def file_logo(self, session: AsyncSession, obj: Any, request: Request) -> Response:
        logo = await logo_of(session, _storage(request), obj.id)
        if logo is None:
            raise NotFound
        return Response(logo, media_type=picture_kind(logo), headers={"X-Content-Type-Options": "nosniff"})
