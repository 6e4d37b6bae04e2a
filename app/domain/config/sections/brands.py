"""Projects, how their customers register, how their papers are numbered; attitudes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import brands, signup
from app.domain.billing.logos import logo_of, set_logo
from app.domain.billing.numbers import KINDS, LONGEST, patterns_of, set_patterns
from app.domain.config.pictures import Picture, place, written
from app.domain.config.refs import Refs
from app.domain.config.section import Section, columns, text
from app.domain.config.shapes import Checked, ListOf, OneOf, Ref, Shape, YesNo
from app.errors import Conflict, Invalid
from app.i18n import _, gettext
from app.models.customers import Attitude, CustomerKind
from app.models.projects import Project


class Attitudes(Section):
    name, label, model = "attitudes", _("Attitudes"), Attitude
    fields = columns(Attitude, "name", "hue", "icon")


class Projects(Section):
    name, label, model = "projects", _("Projects"), Project
    fields = columns(
        Project, "name", "enabled", "site", "hue", "host", "slug", "currency", "languages", "default_language",
        "timezone", "sender_name", "sender_email", "tracking", "credit_limit", "prices_with_tax", "grace_days",
        "due_days", "legal_name", "legal_address", "country", "vat_number", "bank_account", "terms", "visits_shown",
        "visits_told", "visits_by_code",
    )  # fmt: skip
    owned = ("number_series",)

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        if not whole.get("sender_email"):
            raise Invalid(sender_email=gettext("Please fill this in."))
        brands.check(values)
        for name in ("host", "slug"):
            if values.get(name):
                same = select(Project.id).where(getattr(Project, name) == values[name]).limit(1)
                other = await session.scalar(same.execution_options(unscoped=True))
                if other is not None and (row is None or other != row.id):
                    raise Invalid(**{name: gettext("Another project has it already.")})
        return await super().save(session, row, values, whole)


class OfProject(Section):
    """What is set up for each project, and comes and goes with it."""

    model, key, removes = Project, ("project",), False
    rights: ClassVar[Mapping[str, str]] = {**Section.rights, "create": "edit"}

    async def read(self, session: AsyncSession, row: Any, refs: Refs) -> dict[str, Any]:
        return {"project": row.name, **await self.of(session, row, refs)}

    async def of(self, session: AsyncSession, project: Project, refs: Refs) -> dict[str, Any]:
        raise NotImplementedError

    @staticmethod
    async def project(session: AsyncSession, values: Mapping[str, Any]) -> Project:
        """That of a row which is new."""
        return (await session.scalars(select(Project).where(Project.id == values["project_id"]))).one()


@dataclass
class Drawn:
    """A project with the content of its logo."""

    id: int
    name: str
    project: Project
    picture: bytes


class Logos(OfProject):
    """Where the store of files is at hand (`pictures`)."""

    name, label, removes = "logos", _("Logos"), True
    fields: ClassVar[Mapping[str, Shape]] = {"project": Ref("projects", optional=False), "picture": Picture()}

    async def rows(self, session: AsyncSession) -> Sequence[Any]:
        found, storage = [], place().storage
        for project in await super().rows(session) if storage is not None else ():
            if storage is not None and (picture := await logo_of(session, storage, project.id)) is not None:
                found.append(Drawn(project.id, project.name, project, picture))
        return found

    async def read(self, session: AsyncSession, row: Any, refs: Refs) -> dict[str, Any]:
        return {"project": row.name, "picture": written(row.picture)}

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        if "picture" not in whole:
            raise Invalid(picture=gettext("Please fill this in."))
        here = place()
        if here.storage is None:
            raise Conflict(gettext("There is no place for files here."))
        project = await self.project(session, values) if row is None else row.project
        await set_logo(session, here.storage, project=project, data=whole["picture"])
        here.made.append(project.logo)
        return project

    async def remove(self, session: AsyncSession, row: Any) -> None:
        row.project.logo = ""
        await session.flush()


class Numbers(OfProject):
    name, label = "numbers", _("Numbers")
    fields: ClassVar[Mapping[str, Shape]] = {
        "project": Ref("projects", optional=False),
        **{kind: Checked(text(LONGEST, lines=False, required=True)) for kind in KINDS},
    }

    async def of(self, session: AsyncSession, project: Project, refs: Refs) -> dict[str, Any]:
        return {**await patterns_of(session, project.id)}

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        row = row or await self.project(session, values)
        patterns = {kind: pattern for kind, pattern in values.items() if kind in KINDS}
        await set_patterns(session, project_id=row.id, patterns=patterns, day=utcnow().date())
        return row


class SignUps(OfProject):
    name, label = "sign_up", _("Registration")
    fields: ClassVar[Mapping[str, Shape]] = {
        "project": Ref("projects", optional=False),
        "open": YesNo(),
        "kinds": ListOf(OneOf(CustomerKind)),
        "asked": ListOf(Checked(text(60, lines=False))),
        "required": ListOf(Checked(text(60, lines=False))),
        "groups": ListOf(Ref("groups", optional=False), ordered=False),
    }

    async def of(self, session: AsyncSession, project: Project, refs: Refs) -> dict[str, Any]:
        how = signup.settings_of(project.signup or {})
        groups = [name for g in how.groups if (name := refs.label("groups", g)) is not None]
        return {
            "open": how.open, "kinds": [kind.value for kind in how.kinds], "asked": list(how.asked),
            "required": list(how.required), "groups": sorted(groups),
        }  # fmt: skip

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        row = row or await self.project(session, values)
        for name in ("asked", "required"):
            if unknown := [field for field in whole[name] if field not in signup.FIELDS]:
                said = gettext("One of these, please: %(names)s.") % {"names": ", ".join(signup.FIELDS)}
                raise Invalid(**{name: f"{unknown[0]}: {said}"})
        given = {name: whole[name] for name in ("open", "kinds", "asked", "required", "groups")}
        await signup.configure(session, project=row, **given)
        return row
