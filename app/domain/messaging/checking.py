"""What a campaign must be before it can be sent. Each check puts what is wrong at its field in `problems`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import i18n
from app.db import utcnow
from app.domain.messaging import audience as audiences
from app.domain.messaging import render
from app.domain.messaging.plans import Pace, Plan
from app.errors import Invalid
from app.i18n import _
from app.models.attachments import Attachment

MAX_SUBJECT = 300
MAX_BODY = 200_000
MAX_FILES = 20
MAX_FILE_BYTES = 25 * 1024 * 1024


def check_texts(texts: Mapping[str, tuple[str, str]]) -> None:
    """Refuse texts that could not be sent: raises Invalid with subject_<language> and body_<language>."""
    problems: dict[str, str] = {}
    collect_texts(texts, problems)
    if problems:
        raise Invalid(**problems)


def collect_texts(texts: Mapping[str, tuple[str, str]], problems: dict[str, str]) -> dict[str, tuple[str, str]]:
    written: dict[str, tuple[str, str]] = {}
    for given, (subject, body) in texts.items():
        subject, body = subject.strip(), body.strip()
        if not subject and not body:
            continue
        try:
            language = audiences.language_code(given)
        except ValueError:
            problems["texts"] = _("%(code)s is not a language.") % {"code": given[:20]}
            continue
        written[language] = subject, body
        if not subject:
            problems[f"subject_{given}"] = _("Write a subject.")
        elif len(subject) > MAX_SUBJECT:
            problems[f"subject_{given}"] = _("At most %(n)s characters.") % {"n": MAX_SUBJECT}
        if not body:
            problems[f"body_{given}"] = _("Write a text.")
        elif len(body.encode(errors="replace")) > MAX_BODY:
            problems[f"body_{given}"] = _("At most 200 kB.")
        if f"subject_{given}" in problems or f"body_{given}" in problems:
            continue
        for field, compiled in (
            (f"subject_{given}", (subject, "")), (f"body_{given}", ("", body)), (f"body_{given}", (subject, body)),
        ):  # fmt: skip
            try:
                render.check_message(*compiled)
            except render.TemplateProblem as problem:
                problems[field] = str(problem)
                break
    if not written and "texts" not in problems:
        problems["texts"] = _("Write the message in at least one language.")
    return written


def default_of(
    default_language: str, written: Mapping[str, object], matching_only: bool, problems: dict[str, str]
) -> str:
    """The language for those whose own has no text; without need of one, any that there is."""
    found = i18n.best(default_language, tuple(written)) if default_language else None
    if found is None and written:
        if matching_only or len(written) == 1:
            return next(iter(written))
        problems["default_language"] = _("Choose the language for those whose own has no text.")
    return found or ""


async def files_of(session: AsyncSession, ids: Sequence[int], problems: dict[str, str]) -> list[int]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return []
    # what a customer has sent to us is for their ticket only
    ours = (Attachment.id.in_(wanted), Attachment.customer_id.is_(None))
    sizes = await session.execute(select(Attachment.id, Attachment.size).where(*ours))
    found = {row.id: row.size for row in sizes}
    if len(wanted) > MAX_FILES:
        problems["attachments"] = _("At most %(n)s files.") % {"n": MAX_FILES}
    elif len(found) != len(wanted):
        problems["attachments"] = _("One of the files does not exist any more: choose again.")
    elif sum(found.values()) > MAX_FILE_BYTES:
        problems["attachments"] = _("All files together may have 25 MB.")
    return wanted


def check_pace(pace: Pace, problems: dict[str, str]) -> None:
    for name, most in (("per_second", 10_000), ("per_domain_second", 10_000), ("stop_percent", 100)):
        if not 0 <= getattr(pace, name) <= most:
            problems[name] = _("A number from 0 to %(n)s.") % {"n": most}


def check_plan(plan: Plan, problems: dict[str, str]) -> None:
    if not 1 <= plan.grace_minutes <= 7 * 24 * 60:
        problems["grace_minutes"] = _("A number from 1 to %(n)s.") % {"n": 7 * 24 * 60}
    if (plan.quiet_from is None) != (plan.quiet_until is None):
        missing = "quiet_until" if plan.quiet_until is None else "quiet_from"
        problems[missing] = _("Say when the quiet hours begin and when they end.")
    elif plan.quiet_from is not None and plan.quiet_from == plan.quiet_until:
        problems["quiet_until"] = _("The quiet hours cannot last the whole day.")
    if any(hour is not None and not 0 <= hour < 24 for hour in (plan.quiet_from, plan.quiet_until)):
        problems["quiet_from"] = _("An hour from 0 to 23.")
    if plan.send_at is not None and plan.send_at <= utcnow() and not plan.local_time:
        problems["send_at"] = _("This lies in the past.")
    if plan.local_time and plan.send_at is None:
        problems["send_at"] = _("Say at what time it arrives.")
