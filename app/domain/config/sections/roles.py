"""Roles with what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.domain.config.section import Section, columns, text
from app.domain.config.shapes import Checked, ListOf, MapOf, Shape
from app.domain.staff import delete_role, save_role
from app.i18n import _
from app.models.staff import Role


class Roles(Section):
    name, label, model = "roles", _("Roles"), Role
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Role, "name", "description"),
        "grants": MapOf(ListOf(Checked(text(60, lines=False)), ordered=False)),
    }
    grows = (selectinload(Role.grants),)

    def held(self, row: Any) -> Mapping[str, Any]:
        grants: dict[str, list[str]] = {}
        for grant in row.grants:
            grants.setdefault(grant.screen, []).append(grant.action)
        return {"grants": grants}

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        given = values.get("grants")
        grants = None if given is None else [(screen, action) for screen, many in given.items() for action in many]
        return await save_role(
            session, role=row, name=whole["name"], description=whole.get("description", ""), grants=grants
        )

    async def remove(self, session: AsyncSession, row: Any) -> None:
        await delete_role(session, role=row)
