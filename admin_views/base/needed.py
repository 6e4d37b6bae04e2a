"""What keeps a row from being deleted: rows of other tables that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.i18n import gettext

if TYPE_CHECKING:
    from admin_views.base.screen import AppView


async def still_used(session: AsyncSession, view: AppView, obj: Any) -> list[str]:
    """A sentence for each table whose foreign keys refuse that the row goes."""
    reasons = []
    for mapper in sorted(Base.registry.mappers, key=lambda m: m.class_.__tablename__):
        for column in mapper.local_table.c:
            for key in column.foreign_keys:
                if key.column.table is view.mapper.local_table and key.ondelete == "RESTRICT":
                    attr = getattr(mapper.class_, mapper.get_property_by_column(column).key)
                    n = await session.scalar(select(func.count()).select_from(mapper.class_).where(attr == obj.id))
                    if n:
                        noun = _noun(view, mapper.class_.__tablename__)
                        reasons.append(gettext("Still used: %(noun)s (%(n)s).") % {"n": n, "noun": noun})
    return reasons


def _noun(view: AppView, table: str) -> str:
    """The rows of a table in words: the name of their screen where they have one."""
    screens = cast("list[AppView]", view._admin_ref.views)
    return next((str(v.name_plural) for v in screens if v.identity == table), table.replace("_", " "))
