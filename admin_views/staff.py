"""Staff and roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from wtforms import Form
from wtforms.fields.core import UnboundField

from admin_views.access import grants_of
from admin_views.as_role import PREVIEW
from admin_views.base import AppView, Button, LookupField, Related
from admin_views.base.cells import ready
from admin_views.base.fields import password_fields
from admin_views.grants import GrantsField, matrix, trusted
from admin_views.widgets import BLOCKS
from app.domain import staff as people
from app.domain import widgets
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.customers import Customer
from app.models.sessions import LoginSession
from app.models.staff import Grant, Role, Staff, StaffProject, StaffRole
from app.models.widgets import WidgetKind
from app.render import page


class StaffMembers(AppView, model=Staff):
    name, name_plural, icon, category = _("Staff member"), _("Staff"), "users", "Configuration"
    purpose = _("The colleagues who may sign in here, each with their roles.")
    create_label, create_icon = _("Add a staff member"), "user-plus"
    leave_out = ("last_sign_in_at",)
    related = (
        Related("customer", _("Responsible for"), of=lambda s: Customer.responsible_id == s.id),
        Related("ticket"),
        Related("campaign"),
        Related("login_session", _("Visits"), of=lambda s: LoginSession.staff_id == s.id),
        Related("audit"),
    )

    def card_options(self) -> list[Any]:
        return [
            selectinload(Staff.roles).joinedload(StaffRole.role),
            selectinload(Staff.projects).joinedload(StaffProject.project),
        ]

    def edit_options(self) -> list[Any]:
        return [selectinload(Staff.roles), selectinload(Staff.projects)]

    def tags(self, obj: Staff) -> list[dict[str, Any]]:
        roles = [{"hue": 8, "label": r.role.name} for r in obj.roles]
        return roles + [{"hue": p.project.hue, "label": p.project.name} for p in obj.projects]

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        fields: dict[str, Any] = {
            "roles": LookupField(_("Roles"), target="role", multiple=True),
            "projects": LookupField(
                _("Only these projects"),
                target="project",
                multiple=True,
                description=_(
                    "None chosen: all projects. Else: customers of these and what belongs to them; what all "
                    "projects share, such as attitudes and groups, can be looked at and not changed."
                ),
            ),
            **password_fields(least=10),
        }
        return cast("dict[str, UnboundField[Any]]", fields)

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        if obj is None:
            return {}
        return {"roles": [r.role_id for r in obj.roles], "projects": [p.project_id for p in obj.projects]}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Staff:
        roles, projects = values.pop("roles"), values.pop("projects")
        values.pop("password_again")
        password = values.pop("password") or None
        if not roles:
            raise Invalid(roles=gettext("Choose at least one role."))
        if obj is None:
            first = await session.get(Role, roles[0])
            if first is None:
                raise Invalid(roles=gettext("Choose one from the list."))
            enabled = values.pop("enabled")
            obj = await people.add_staff(session, password=password, role=first.name, **values)
            obj.enabled = enabled
        else:
            await people.change_staff(session, staff=obj, values=values, password=password)
        await people.set_roles(session, staff=obj, roles=roles)
        await people.set_projects(session, staff=obj, projects=projects)
        return cast(Staff, obj)

    async def sections(self, session: AsyncSession, obj: Staff, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        names = [p.project.name for p in obj.projects]
        words = [gettext("All projects, also those that come later.")]
        if names:
            words = [
                gettext("Only %(projects)s: their customers, with services, money, messages and tickets.")
                % {"projects": ", ".join(names)},
                gettext("Of campaigns, segments, files and the audit: only their own."),
                gettext("What all projects share (attitudes, groups, rates, roles): to look at, not to change."),
            ]
        return [*shown, {"label": gettext("Sees"), "kind": "words", "words": words}]

    async def refusals(self, session: AsyncSession, obj: Staff) -> list[str]:
        return []

    async def remove(self, session: AsyncSession, obj: Staff) -> None:
        await people.delete_staff(session, staff=obj)


async def _start_with_mine(session: AsyncSession, chosen: list[Role]) -> str:
    for role in chosen:
        await widgets.give(session, role=role)
    return gettext("Saved.")


class Roles(AppView, model=Role):
    name, name_plural, icon, category = _("Role"), _("Roles"), "shield-lock", "Configuration"
    purpose = _("What colleagues may see and do; each of them has one role or several.")
    form_template = "sqladmin/role_form.html"
    buttons = (
        PREVIEW,
        Button(
            "dashboard", _("Start with my dashboard"), "layout-dashboard", on=frozenset({"card"}), more=True,
            verb=_start_with_mine, grant="edit", submit=_("Give it to the role"),
            lede=_("Colleagues with this role who have not arranged their dashboard see yours as it is now, each with "
                   "their own grants and projects. If yours is the usual one, so is theirs."),
        ),
    )  # fmt: skip

    def card_options(self) -> list[Any]:
        return [selectinload(Role.grants)]

    edit_options = card_options

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        held = [(g.screen, g.action) for g in obj.grants] if obj is not None else []
        own = await people.own_grants(session)
        return {"grants": cast("UnboundField[Any]", GrantsField(_("May"), own=own, held=held))}

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {"grants": [f"{g.screen} {g.action}" for g in obj.grants]} if obj is not None else {}

    async def form_context(self, session: AsyncSession, obj: Any, form: Form) -> dict[str, Any]:
        return {"matrix": cast(GrantsField, form["grants"]).matrix}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Role:
        pairs = [tuple(text.split(" ", 1)) for text in values.pop("grants") or []]
        return await people.save_role(
            session,
            role=obj,
            grants=cast("list[tuple[str, str]]", pairs),
            name=values["name"],
            description=values["description"],
        )

    def tags(self, obj: Role) -> list[dict[str, Any]]:
        held = frozenset((g.screen, g.action) for g in obj.grants)
        return [{"hue": 6, "label": t.label} for t in trusted(held)]

    async def sections(self, session: AsyncSession, obj: Role, request: Request) -> list[dict[str, Any]]:
        shown = matrix([(g.screen, g.action) for g in obj.grants], grants_of(request))
        html = ready(page("sqladmin/role_grants.html", matrix=shown))
        started = await widgets.of_role(session, obj.id)
        words = [str(BLOCKS.get(w.screen, w.screen)) if w.kind is WidgetKind.BLOCK else w.title for w in started]
        return [
            *await super().sections(session, obj, request),
            *([{"label": gettext("Dashboard to start with"), "kind": "words", "words": words}] if words else []),
            {"label": gettext("May"), "kind": "html", "html": html},
        ]

    async def attached(self, session: AsyncSession, obj: Role) -> list[Mapping[str, Any]]:
        n = await session.scalar(select(func.count()).select_from(Grant).where(Grant.role_id == obj.id))
        return [{"label": gettext("Grants"), "n": n, "url": None}] if n else []

    async def refusals(self, session: AsyncSession, obj: Role) -> list[str]:
        n = await session.scalar(select(func.count()).select_from(StaffRole).where(StaffRole.role_id == obj.id))
        return [gettext("%(n)s staff members have it.") % {"n": n}] if n else []

    async def remove(self, session: AsyncSession, obj: Role) -> None:
        await people.delete_role(session, role=obj)
