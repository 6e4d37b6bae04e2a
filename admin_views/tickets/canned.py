"""Canned replies: the screen where they are written."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from wtforms import Form, TextAreaField, validators
from wtforms.fields.core import UnboundField

from admin_views.base import AppView
from admin_views.base.cells import esc
from admin_views.base.fields import plain
from admin_views.messaging.message_form import languages, macro_list
from app.domain import tickets
from app.domain.checks import kept_for_all
from app.i18n import _, gettext, language_name
from app.models.tickets import CannedReply

START = "text_"


class CannedReplies(AppView, model=CannedReply):
    name, name_plural, icon, category = _("Canned reply"), _("Canned replies"), "message-plus", "Messages"
    purpose = _("Answers that you give again and again. In the answer box, type / and their name.")
    form_template = "sqladmin/canned.html"
    needs = ("texts",)

    @staticmethod
    def cell_name(canned: CannedReply) -> str:
        """With the languages that it has."""
        codes = ", ".join(sorted(canned.texts))
        url = f"/admin/canned_reply/details/{canned.id}"
        return f'<a href="{url}"><bdi>{esc(canned.name)}</bdi></a> <span class="faint">{esc(codes)}</span>'

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        codes = await languages(session)
        codes += [c for c in (obj.texts if obj is not None else ()) if c not in codes]
        made = {}
        for code in codes:
            label = gettext("Text (%(language)s)") % {"language": language_name(code)}
            rules = [validators.Length(max=20_000), plain]
            made[START + code] = cast("UnboundField[Any]", TextAreaField(label, rules, render_kw={"lang": code}))
        return made

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {START + code: text for code, text in obj.texts.items()} if obj is not None else {}

    async def form_context(self, session: AsyncSession, obj: Any, form: Form) -> dict[str, Any]:
        names = [f.name for f in cast("Any", form)]
        texts = [n for n in names if n.startswith(START)]
        first = {"label": None, "help": None, "fields": [n for n in names if n not in texts], "more": False}
        return {"groups": [first], "texts": texts, "macros": macro_list()}

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        texts = {n.removeprefix(START): values.pop(n) or "" for n in list(values) if n.startswith(START)}
        return await tickets.save_canned(session, canned=obj, values=values, texts=texts)

    async def refusals(self, session: AsyncSession, obj: Any) -> list[str]:
        return kept_for_all(obj) or await super().refusals(session, obj)

    async def sections(self, session: AsyncSession, obj: CannedReply, request: Request) -> list[dict[str, Any]]:
        shown = await super().sections(session, obj, request)
        for code, text in sorted(obj.texts.items()):
            body = {"language": code, "title": "", "body": text}
            shown.append({"label": language_name(code), "kind": "text", "text": body})
        return shown
