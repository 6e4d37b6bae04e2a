"""Settings: those that are declared (`app.domain.config.settings.declare`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.config import modules
from app.domain.config.refs import Refs
from app.domain.config.section import Section
from app.domain.config.settings import DECLARED, put
from app.domain.config.shapes import Shape, tidy
from app.i18n import _
from app.models.config import Setting


@dataclass
class Kept:
    """A declared setting: its row, or that there is none."""

    name: str
    value: Any
    id: int


def _number(name: str) -> int:
    return sorted(DECLARED).index(name) + 1


class Settings(Section):
    """One row per setting, which the file writes as name and value."""

    declared_by = (modules,)
    """They have declared theirs when this is imported."""
    name, label, model = "settings", _("Settings"), Setting
    rights: ClassVar[Mapping[str, str]] = {}
    """Whoever takes a file over may set modules."""
    fields: ClassVar[Mapping[str, Shape]] = {"name": Shape(), "value": Shape()}

    async def rows(self, session: AsyncSession) -> Sequence[Any]:
        found = [await session.get(Setting, name, populate_existing=True) for name in sorted(DECLARED)]
        return [Kept(row.name, row.value, _number(row.name)) for row in found if row is not None]

    async def read(self, session: AsyncSession, row: Any, refs: Refs) -> dict[str, Any]:
        return {"name": row.name, "value": tidy(row.value)}

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        await put(session, name=whole["name"], value=whole["value"])
        return Kept(whole["name"], whole["value"], _number(whole["name"]))

    async def remove(self, session: AsyncSession, row: Any) -> None:
        found = await session.get(Setting, row.name)
        if found is not None:
            await session.delete(found)
            await session.flush()
