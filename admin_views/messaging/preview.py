"""What a template looks like: asked for while it is written, and shown on its card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from markupsafe import Markup
from sqladmin.authentication import login_required
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from admin_views import access
from admin_views.base.fields import SAFE_INTEGER
from admin_views.base.panel import PanelBase, posted_form
from app import db
from app.domain.messaging import templates
from app.domain.messaging.macros import MACROS
from app.domain.messaging.render import TemplateProblem
from app.domain.messaging.system import Texts, macros_of
from app.errors import NotFound
from app.i18n import gettext, language_name
from app.models.messaging import MailKind
from app.models.projects import Project
from app.render import page

FRAGMENT = "x-fragment"


def macro_rows(kind: MailKind | None) -> list[dict[str, str]]:
    """The fields that a text may use: those of its kind first."""
    specs = [*macros_of(kind), *MACROS.values()]
    return [{"name": m.name, "help": str(m.label), "example": m.example} for m in specs]


def kind_of(text: str) -> MailKind | None:
    """The system mail of this name; None for any other word."""
    return MailKind(text) if text in set(MailKind) else None


async def seen(
    session: AsyncSession,
    pair: tuple[str, str],
    *,
    language: str,
    kind: MailKind | None,
    project_id: int | None,
    customer_id: int | None = None,
) -> dict[str, Any]:
    """One text as a mail, as template_mail.html takes it."""
    shown: dict[str, Any] = {"language": language, "name": language_name(language), "problem": "", "empty": []}
    try:
        look = await templates.look(
            session, subject=pair[0], body=pair[1], kind=kind, project_id=project_id, customer_id=customer_id
        )
    except TemplateProblem as problem:
        return {**shown, "problem": str(problem)}
    except NotFound:
        return {**shown, "problem": gettext("This customer does not exist, or not any more.")}
    values = look.values
    return {
        **shown,
        "subject": look.message.subject,
        "html": Markup(look.message.html),  # noqa: S704 - render.py lets nothing through that is not on its list
        "text": look.message.text,
        "from": f"{values['project.sender_name']} <{values['project.sender_email']}>",
        "hue": values.get("project.hue") or "2",
        "empty": look.empty,
    }


def missing(
    texts: Texts, wanted: list[str], kind: MailKind | None, *, written: Collection[str] = ()
) -> list[dict[str, str]]:
    """written: languages that have a text which is not looked at."""
    found = templates.lacks(texts, [code for code in wanted if code not in written], kind) if texts else []
    return [{"language": code, "name": language_name(code), "what": what} for code, what in found]


def _number(text: Any) -> int | None:
    given = str(text or "")
    return int(given) if given.isascii() and given.isdecimal() and int(given[:19]) <= SAFE_INTEGER else None


def posted_texts(posted: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Language -> (subject, text), as typed; a language with both empty is not there."""
    names = (str(name).partition("_") for name in posted)
    codes = dict.fromkeys(code for part, _sep, code in names if part in ("subject", "body") and len(code) < 13)
    pairs = {c: (str(posted.get(f"subject_{c}", "")), str(posted.get(f"body_{c}", ""))) for c in codes if c}
    return {code: pair for code, pair in pairs.items() if any(part.strip() for part in pair)}


class Previewing(PanelBase):
    @login_required
    async def template_preview(self, request: Request) -> Response:
        """The form of a template as it stands, looked at. Nothing is stored."""
        access.need(request, "message_template", "details")
        posted = await posted_form(request)
        texts, kind = posted_texts(posted), kind_of(str(posted.get("kind", "")))
        language = str(posted.get("language", ""))
        customer_id = _number(posted.get("preview_as"))
        if customer_id is not None:
            access.need(request, "customer", "details")
        async with db.reads() as session:
            chosen = _number(posted.get("project"))
            project_id = await session.scalar(select(Project.id).where(Project.id == chosen)) if chosen else None
            mail = None
            if language in texts or texts:
                code = language if language in texts else next(iter(texts))
                mail = await seen(
                    session, texts[code], language=code, kind=kind, project_id=project_id, customer_id=customer_id
                )
            wanted = await templates.languages_of(session, project_id)
        wrong = templates.problems(texts, kind)
        sound = {code: pair for code, pair in texts.items() if all(one.language != code for one in wrong)}
        look = {"mail": mail, "missing": missing(sound, wanted, kind, written=texts), "mistakes": wrong}
        if FRAGMENT in request.headers:
            return HTMLResponse(page("sqladmin/template_look.html", look=look))
        return await self.respond(
            request, "sqladmin/template_preview.html", title=gettext("Preview"), current="message_template", look=look
        )
