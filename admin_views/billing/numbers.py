"""How the invoices and documents of a project are numbered."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from sqlalchemy.ext.asyncio import AsyncSession
from wtforms import StringField, validators

from admin_views.base import AppForm, Flow, Press
from app.db import utcnow
from app.domain.billing import numbers
from app.errors import Invalid
from app.i18n import gettext


class NumbersFlow(Flow):
    """A pattern for each kind, and beside it the numbers that come next."""

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
