"""Custom fields, and the own names of columns and screens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import custom, labels
from app.domain.config import live
from app.domain.config.section import Section, columns, language, text
from app.domain.config.shapes import Checked, ListOf, MapOf, OneOf, Shape
from app.errors import Conflict
from app.i18n import _, gettext
from app.models.custom import CustomField
from app.models.customers import CustomerKind
from app.models.labels import Label


class CustomFields(Section):
    """But for those that were removed."""

    name, label, model, key = "custom_fields", _("Custom fields"), CustomField, ("key", "target")
    rights: ClassVar[Mapping[str, str]] = {**Section.rights, "remove": "action:remove"}
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(CustomField, "key", "target", "position", "kind"),
        "labels": MapOf(Checked(text(80, lines=False)), language),
        "helps": MapOf(Checked(text(300)), language),
        **columns(CustomField, "digits", "currency"),
        "choices": Shape(),
        "default": Shape(),
        **columns(CustomField, "required", "access", "at_registration"),
        "account_types": ListOf(OneOf(CustomerKind)),
        **columns(CustomField, "listed", "indexed"),
    }

    async def rows(self, session: AsyncSession) -> Sequence[Any]:
        rows = select(CustomField).where(CustomField.archived_at.is_(None)).order_by(CustomField.id)
        return (await session.scalars(rows.execution_options(populate_existing=True))).all()

    def held(self, row: Any) -> Mapping[str, Any]:
        return {"account_types": [CustomerKind(kind) for kind in row.account_types]}

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        position = values.pop("position", None)
        if row is None:
            same = CustomField.target == values["target"], CustomField.key == values["key"]
            row = await session.scalar(select(CustomField).where(*same))
            if row is not None:  # it was removed, and its values are still there
                await custom.restore(session, field=row)
        if row is None:
            row = await custom.create(session, **values)
        else:
            await custom.change(session, field=row, **values)
        if position is not None:
            row.position = position
        await session.flush()
        await live.show(session)  # filters further down may ask for it
        return row

    async def remove(self, session: AsyncSession, row: Any) -> None:
        """Its values stay until somebody purges it."""
        await custom.archive(session, field=row)


class Labels(Section):
    name, label, model, key = "labels", _("Own names"), Label, ("screen", "item", "language")
    rights: ClassVar[Mapping[str, str]] = {**Section.rights, "create": "edit"}
    fields = columns(Label, "screen", "item", "language", "text")

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        at = (whole["item"], whole["language"])
        await labels.rename_screen(session, screen=whole["screen"], texts={at: whole["text"]})
        same = Label.screen == whole["screen"], Label.item == at[0], Label.language == at[1]
        found = await session.scalar(select(Label).where(*same))
        if found is None:
            raise Conflict(gettext("Please fill this in."))
        return found
