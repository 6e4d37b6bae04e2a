"""The forms of a screen, and what saving and deleting mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper
from wtforms import Form
from wtforms.fields.core import UnboundField

from admin_views.base import custom
from admin_views.base.fields import AppForm, LookupField
from admin_views.base.needed import still_used
from app.db import Base, Versioned
from app.domain.config import modules
from app.errors import Invalid

if TYPE_CHECKING:
    from admin_views.base.screen import AppView


class Writing:
    """Part of `AppView`; a screen with rules overrides `save`, which calls a verb."""

    if TYPE_CHECKING:
        model: Any
        identity: str
        form_columns: Any
        leave_out_new: ClassVar[tuple[str, ...]]

        @property
        def mapper(self) -> Mapper[Any]: ...

        async def scaffold_form(self, rules: list[str] | None = None) -> type[Form]: ...

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        """Fields beside those of the columns; `obj` is None on create."""
        return {}

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        """Values of the extra fields when editing, or defaults when creating."""
        return {}

    async def form_class(self, session: AsyncSession, obj: Any) -> type[AppForm]:
        """The form of this request. SQLAdmin makes the columns' fields through `Converter`."""
        generated = await self.scaffold_form()
        more: dict[str, Any] = {**custom.form_fields(self.model, obj), **await self.form_fields(session, obj)}
        if obj is None:
            more |= dict.fromkeys(self.leave_out_new)
        hidden = modules.hidden().columns
        more |= {str(name): None for name in self.form_columns if (self.identity, name) in hidden}
        return type(f"{self.model.__name__}Form", (generated,), more)

    def form_data(self, obj: Any) -> dict[str, Any]:
        """The row's values by field name; relations by their id."""
        data = {}
        for name in map(str, self.form_columns):
            if name in self.mapper.relationships:
                column = next(iter(self.mapper.relationships[name].local_columns))
                data[name] = getattr(obj, self.mapper.get_property_by_column(column).key)
            else:
                data[name] = getattr(obj, name)
        return data | custom.form_data(self.model, obj)

    def values(self, form: Form) -> dict[str, Any]:
        """What was entered, by column name; look-ups of relations become foreign keys. Extra fields keep their name."""
        values = {}
        for name, value in form.data.items():
            if name in self.mapper.relationships and isinstance(form[name], LookupField) and not form[name].multiple:  # type: ignore[attr-defined]
                column = next(iter(self.mapper.relationships[name].local_columns))
                values[self.mapper.get_property_by_column(column).key] = value
            else:
                values[name] = value
        return custom.gathered(self.model, values)

    async def save(self, session: AsyncSession, obj: Base | None, values: dict[str, Any]) -> Any:
        """What creating (obj is None) and editing mean; a screen with rules calls a verb. Returns the row."""
        if obj is None:
            obj = self.model(**values)
            session.add(obj)
        else:
            for name, value in values.items():
                setattr(obj, name, value)
        await session.flush()
        return obj

    async def form_context(self, session: AsyncSession, obj: Any, form: Form) -> dict[str, Any]:
        """More for the template of the form."""
        return {}

    async def attached(self, session: AsyncSession, obj: Any) -> list[Mapping[str, Any]]:
        """What is deleted along with it: [{label, n, url}]."""
        return []

    async def refusals(self, session: AsyncSession, obj: Any) -> list[str]:
        """Why it cannot be deleted; empty when it can. The usual: rows of other tables that need it."""
        return await still_used(session, cast("AppView", self), obj)

    async def remove(self, session: AsyncSession, obj: Any) -> None:
        if reasons := await self.refusals(session, obj):
            raise Invalid(" ".join(reasons))
        await session.delete(obj)
        await session.flush()

    def version_of(self, obj: Any) -> int | None:
        return obj.version if isinstance(obj, Versioned) else None
