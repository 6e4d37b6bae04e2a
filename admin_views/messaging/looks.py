"""What the composer shows beside the text: how many get it, who is left out, what to look at, and the message."""

from __future__ import annotations

import hashlib
from typing import Any, cast

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from admin_views.base import AppForm
from admin_views.base.figures import figure
from admin_views.messaging.message_form import texts_of
from app import db
from app.domain.messaging import audience as audiences
from app.domain.messaging import looking
from app.domain.messaging.audience import Audience, AudienceCount
from app.domain.messaging.looking import Seen, Texts
from app.domain.messaging.render import TemplateProblem, check_message
from app.errors import AppError, Invalid
from app.i18n import gettext, language_name, ngettext, show_moment, show_number

NAMED = 4
"""Languages and fields that are named one by one."""


async def look(
    session: AsyncSession, form: AppForm, audience: Audience, *, customers: int, note: str = ""
) -> dict[str, Any]:
    """Context of send_look.html. customers: how many would get it if there was a text for everybody."""
    texts = texts_of(form, cast(Any, form).codes)
    found = await counted(session, audience)
    left_out = [{"n": r.count, "why": str(r.label)} for r in found.left_out]
    seen, problem = await _seen(session, form, texts)
    return {
        "n": found.customers,
        "of": max(customers, found.customers),
        "left_out": left_out,
        "sample": list(found.sample),
        "checks": [
            *([{"kind": "bad", "text": problem}] if problem else []),
            *(await checks(session, audience, texts) if texts and not problem else []),
        ],
        "mails": [
            {
                "language": one.language,
                "name": language_name(one.language),
                "subject": one.message.subject,
                "from": f"{one.sender_name} <{one.sender_email}>",
                "to": one.to,
                "html": Markup(one.message.html),  # noqa: S704 - render.py lets nothing through that is not on its list
                "text": one.message.text,
                "project": one.project,
                "hue": one.hue or "1",
            }
            for one in seen
        ],
        "note": note,
    }


async def counted(session: AsyncSession, audience: Audience) -> AudienceCount:
    """How many get it; of a large audience, how many it was a moment ago."""
    return await figure(_key("count", audience), lambda: audiences.count(session, audience))


def _key(*parts: Any) -> str:
    """The name of a figure that depends on whole texts."""
    return "audience " + hashlib.sha256(repr(parts).encode()).hexdigest()


async def _seen(session: AsyncSession, form: AppForm, texts: Texts) -> tuple[list[Seen], str]:
    """The mails, and what is wrong with a text."""
    whole = {}
    for code, (subject, body) in texts.items():
        try:
            check_message(subject, body)
        except TemplateProblem as problem:
            said = gettext("%(language)s: %(what)s")
            return [], said % {"language": language_name(code), "what": str(problem)}
        whole[code] = (subject, body)
    if not whole:
        return [], ""
    data = form.data
    try:
        seen = await looking.as_recipients(
            session, texts=whole, default_language=data["default_language"] or "", customer_id=data["as_customer"],
            sender_name=data["sender_name"] or "", sender_email=data["sender_email"] or "",
        )  # fmt: skip
    except Invalid as problem:
        return [], " ".join(str(p) for p in problem.fields.values()) or str(problem)
    return seen, ""


async def checks(session: AsyncSession, audience: Audience, texts: Texts) -> list[dict[str, str]]:
    """What to look at before sending: [{kind: ok|warn, text}]."""
    made = []
    missing = await figure(_key("missing", audience), lambda: looking.missing_languages(session, audience))
    for code, n in missing[:NAMED]:
        if audience.matching_only:
            said = ngettext(
                "No text in %(language)s: %(n)s customer is left out.",
                "No text in %(language)s: %(n)s customers are left out.",
                n,
            )
        else:
            said = ngettext(
                "No text in %(language)s: %(n)s customer gets another language.",
                "No text in %(language)s: %(n)s customers get another language.",
                n,
            )
        made.append({"kind": "warn", "text": said % {"language": language_name(code), "n": show_number(n)}})
    if len(missing) > NAMED:
        rest = sum(n for _code, n in missing[NAMED:])
        made.append({"kind": "warn", "text": gettext("No text in other languages: %(n)s") % {"n": show_number(rest)}})
    printed = looking.printed_fields(texts)  # and not the texts, so that not every letter counts anew
    empty = await figure(_key("empty", audience, printed), lambda: looking.empty_fields(session, audience, printed))
    for field, n in empty:
        said = ngettext("%(field)s is empty for %(n)s recipient.", "%(field)s is empty for %(n)s recipients.", n) % {
            "field": field,
            "n": show_number(n),
        }
        made.append({"kind": "warn", "text": said})
    if not missing:
        made.append({"kind": "ok", "text": gettext("Everybody has a text in their language.")})
    if not empty:
        made.append({"kind": "ok", "text": gettext("Every field has a value for everybody.")})
    return made


async def test(form: AppForm) -> str:
    """Send what the preview shows to the one who writes; gives what to say about it."""
    texts = texts_of(form, cast(Any, form).codes)
    if not texts:
        return gettext("Write something first.")
    try:
        async with db.unit() as session:
            seen, problem = await _seen(session, form, texts)
            if problem:
                return problem
            address = await looking.send_test(session, seen=seen)
    except AppError as problem:
        return str(problem)
    return gettext("A test mail is on its way to %(address)s.") % {"address": address}


def said_of_plan(data: dict[str, Any]) -> list[str]:
    """When it is sent, in words, for the confirmation."""
    lines = []
    if data["send_at"] is not None:
        said = (
            gettext("On %(when)s, by the clock of each recipient.") if data["local_time"] else gettext("On %(when)s.")
        )
        lines.append(said % {"when": show_moment(data["send_at"])})
    if data["quiet_from"] and data["quiet_until"]:
        said = gettext("Not between %(begin)s:00 and %(end)s:00 by the recipient's clock.")
        lines.append(said % {"begin": data["quiet_from"], "end": data["quiet_until"]})
    return lines
