"""Message categories, templates per language, canned replies, segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.domain.config.conditions import Condition
from app.domain.config.section import Section, columns, language, text
from app.domain.config.shapes import Checked, MapOf, Record, Shape
from app.domain.messaging import audience, templates
from app.domain.tickets.canned import save_canned
from app.errors import Invalid
from app.i18n import _
from app.models.customers import Customer
from app.models.messaging import Category, Segment, Template
from app.models.tickets import CannedReply


class Categories(Section):
    name, label, model = "message_categories", _("Message categories"), Category
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Category, "name", "enabled"),
        "names": MapOf(Checked(text(200, lines=False)), language),
        **columns(Category, "department", "subscribable", "opt_in", "priority", "approval_above"),
    }


class Templates(Section):
    name, label, model = "message_templates", _("Message templates"), Template
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Template, "name", "enabled", "category", "project", "kind"),
        "texts": MapOf(
            Record({"subject": Checked(text(templates.MAX_SUBJECT, lines=False)), "body": Checked(text())}), language
        ),
    }
    grows = (selectinload(Template.texts),)
    owned = ("message_template_text", "message_template_version")

    def held(self, row: Any) -> Mapping[str, Any]:
        return {"texts": {one.language: {"subject": one.subject, "body": one.body} for one in row.texts}}

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        values.pop("texts", None)
        texts = {code: (one["subject"], one["body"]) for code, one in whole.get("texts", {}).items()}
        return await templates.save_template(session, template=row, texts=texts, values=values)


class CannedReplies(Section):
    name, label, model = "canned_replies", _("Canned replies"), CannedReply
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(CannedReply, "name", "enabled", "category", "project"),
        "texts": MapOf(Checked(text()), language),
    }

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        values.pop("texts", None)
        return await save_canned(session, canned=row, values=values, texts=whole.get("texts", {}))


class Segments(Section):
    """Without their owners: staff are no configuration."""

    name, label, model = "segments", _("Segments"), Segment
    unique = False
    fields: ClassVar[Mapping[str, Shape]] = {
        **columns(Segment, "name", "description"),
        "condition": Condition(Customer, optional=False),
    }

    async def save(self, session: AsyncSession, row: Any, values: dict[str, Any], whole: Mapping[str, Any]) -> Any:
        if "condition" in values:
            try:
                values["condition"] = audience.check_who({"filter": values["condition"]})["filter"]
            except Invalid as problem:  # the verb calls the condition an audience
                raise Invalid(condition=str(problem)) from None
        return await super().save(session, row, values, whole)
