"""Custom fields. Those that were removed are no part of a configuration; what is pruned is removed, and kept with its
values until somebody purges it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import custom
from app.domain.config.section import Section, columns, language, text
from app.domain.config.shapes import Checked, ListOf, MapOf, OneOf, Record, Shape, YesNo
from app.domain.custom.defining import HELP, LABEL
from app.i18n import _
from app.models.custom import CustomField
from app.models.customers import CustomerKind

_LABELS = MapOf(Checked(text(LABEL, lines=False)), language)
_CHOICE = Record({"key": Checked(text(40)), "labels": _LABELS, "retired": YesNo()}, {"retired": False})


class CustomFields(Section):
    name, label, model, key = "custom_fields", _("Custom fields"), CustomField, ("key", "target")
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(CustomField, "key", "target", "kind"),
        "labels": _LABELS,
        "helps": MapOf(Checked(text(HELP, lines=False)), language),
        "choices": ListOf(_CHOICE),
        **columns(CustomField, "digits", "currency"),
        "default": Shape(),
        **columns(CustomField, "required", "access", "at_registration"),
        "account_types": ListOf(OneOf(CustomerKind)),
        **columns(CustomField, "listed", "indexed", "position"),
    }

    async def rows(self, session: AsyncSession) -> Sequence[Any]:
        query = select(CustomField).where(CustomField.archived_at.is_(None)).order_by(CustomField.id)
        return (await session.scalars(query.execution_options(populate_existing=True))).all()

    def held(self, row: Any) -> Mapping[str, Any]:
        return {
            "choices": [{"retired": False, **choice} for choice in row.choices],
            "account_types": [CustomerKind(kind) for kind in row.account_types],
        }

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        position = values.pop("position", None)
        if row is None:
            row = await custom.create(session, **values)
        else:
            await custom.change(session, field=row, **values)
        if position is not None:
            row.position = position
        await session.flush()
        await custom.see(session)  # filters that stand behind it in the file may use it
        return row

    async def remove(self, session: AsyncSession, row: Any) -> None:
        await custom.archive(session, field=row)
        await custom.see(session)
