"""What staff look at before they send: languages without a text, fields without a value, the message as one recipient
gets it, and a test mail to themselves. Nothing here is sent to a customer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import case, distinct, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import i18n
from app.domain.messaging.audience import Audience, recipients, unserved
from app.domain.messaging.macros import examples
from app.domain.messaging.render import RenderedMessage, compile_message
from app.domain.messaging.shell import HUES, wrap_html
from app.domain.messaging.system import values_of
from app.domain.messaging.values import SOURCES, of_project
from app.errors import Invalid, NotFound
from app.i18n import _
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff
from app.models.users import User
from app.observe import actor
from app.queue import enqueue

Texts = Mapping[str, tuple[str, str]]
"""Language -> (subject, text)."""


@dataclass(frozen=True)
class Seen:
    """A message as somebody gets it. to: their address. sender: name and address."""

    language: str
    message: RenderedMessage
    to: str
    sender_name: str
    sender_email: str
    project: str
    site: str
    hue: str


async def missing_languages(session: AsyncSession, audience: Audience) -> list[tuple[str, int]]:
    """(language, customers) for each language that addressed customers read and that has no text, most first."""
    rows = await session.execute(unserved(audience), execution_options={"unscoped": True})
    return sorted(((str(code), n) for code, n in rows), key=lambda p: (-p[1], p[0]))


def printed_fields(texts: Texts) -> dict[str, list[str]]:
    """Language -> the fields that its text prints as they are, without `default(...)` and outside of conditions."""
    return {code: sorted(_bare(*text)) for code, text in sorted(texts.items())}


async def empty_fields(
    session: AsyncSession, audience: Audience, printed: Mapping[str, Sequence[str]]
) -> list[tuple[str, int]]:
    """(field, customers) for each of `printed_fields` that is empty for some who receive that text."""
    used = {code: printed[code] for code in audience.languages if code in printed}
    wanted = sorted({field for fields in used.values() for field in fields} & SOURCES.keys())
    if not wanted:
        return []
    found = recipients(audience).c
    columns = []
    for field in wanted:
        codes = [code for code, fields in used.items() if field in fields]
        empty = (found.language.in_(codes)) & (func.coalesce(SOURCES[field], "") == "")
        columns.append(func.count(distinct(case((empty, found.customer_id)))))
    counts = await session.execute(
        select(*columns)
        .select_from(Customer)
        .join(found.customer_id.table, found.customer_id == Customer.id)
        .join(Project, Project.id == Customer.project_id)
        .outerjoin(User, User.id == found.user_id)
        .where(found.reason.is_(None)),
        execution_options={"unscoped": True},
    )
    return [(field, n) for field, n in zip(wanted, counts.one(), strict=True) if n]


def _bare(subject: str, body: str) -> set[str]:
    compiled = compile_message(subject, body)
    words = f"{subject}\n{body}"
    if "{%" in words:  # what stands inside of a condition is thought about
        words = re.sub(r"\{%-?\s*if\b.*?\{%-?\s*endif\s*-?%\}", "", words, flags=re.DOTALL)
    printed = re.findall(r"\{\{-?\s*([\w.]+)\s*(?:\|\s*(?:upper|lower|title|trim)\s*)*-?\}\}", words)
    return set(printed) & compiled.macros


async def as_recipients(
    session: AsyncSession,
    *,
    texts: Texts,
    default_language: str,
    customer_id: int | None = None,
    sender_name: str = "",
    sender_email: str = "",
) -> list[Seen]:
    """The message as this customer gets it, in their language; without one, each language with made-up values.

    A customer outside the scope of the acting person is nobody. Raises TemplateProblem.
    """
    staff = (
        await session.execute(select(Staff.full_name, Staff.username).where(Staff.id == actor.get().staff_id))
    ).first()
    own = {"staff.name": (staff[0] or staff[1]) if staff else ""}
    try:
        found = await values_of(session, customer_id) if customer_id is not None else None
    except NotFound:
        raise Invalid(as_customer=_("Choose one from the list.")) from None
    values = (found or await _examples(session)) | own
    codes: Sequence[str] = list(texts)
    if found is not None:
        code = i18n.best(found["customer.language"], tuple(texts)) or i18n.best(found["default"], tuple(texts))
        codes = [code or (default_language if default_language in texts else codes[0])]
    return [
        Seen(
            language=code, message=compile_message(*texts[code]).render(values), to=values["customer.email"],
            sender_name=sender_name or values["project.sender_name"],
            sender_email=sender_email or values["project.sender_email"], project=values["project.name"],
            site=values["project.site"], hue=values.get("project.hue", ""),
        )
        for code in codes
    ]  # fmt: skip


async def _examples(session: AsyncSession) -> dict[str, str]:
    """Made-up values, but a project that there is: a test mail needs a sender that may send."""
    values = examples()
    project = await session.scalar(select(Project).where(Project.enabled).order_by(Project.id).limit(1))
    if project is not None:
        values |= of_project(project)
    return values


async def send_test(session: AsyncSession, *, seen: Sequence[Seen]) -> str:
    """Send these to the acting person, and to nobody else. Returns the address. Raises Invalid."""
    address = await session.scalar(select(Staff.email).where(Staff.id == actor.get().staff_id))
    if not address:
        raise Invalid(_("You have no e-mail address in your profile."))
    for one in seen:
        page = wrap_html(
            one.message.html, project_name=one.project, site=one.site, language=one.language,
            title=one.message.subject, color=HUES.get(one.hue, ""),
        )  # fmt: skip
        await enqueue(
            session, "messaging.mail", to=address, sender=one.sender_email, sender_name=one.sender_name,
            subject=one.message.subject, text=one.message.text, html=page,
        )  # fmt: skip
    return address
