"""Canned replies: answers that are given again and again, with the fields of message templates filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.checks import refuse_for_all
from app.domain.messaging.template import TemplateProblem, parse
from app.domain.messaging.values import of_customer
from app.errors import Invalid, NotFound
from app.i18n import SOURCE, _
from app.models.customers import Customer
from app.models.projects import Project
from app.models.staff import Staff
from app.models.tickets import CannedReply, Ticket, TicketMessage
from app.models.users import User
from app.observe import actor

MOST = 200
LONGEST = 20_000


@dataclass(frozen=True)
class Ready:
    """A canned reply for one ticket: its text in the customer's language, with their values."""

    id: int
    name: str
    language: str
    text: str


async def canned_replies(session: AsyncSession, *, ticket_id: int) -> list[Ready]:
    """Those that fit a ticket: of its category and project or of all, by name. Raises NotFound."""
    ticket = await session.scalar(select(Ticket).where(Ticket.id == ticket_id))
    if ticket is None:
        raise NotFound
    values, languages, project_id = await _values(session, ticket)
    query = (
        select(CannedReply)
        .where(
            CannedReply.enabled,
            or_(CannedReply.project_id.is_(None), CannedReply.project_id == project_id),
            or_(CannedReply.category_id.is_(None), CannedReply.category_id == ticket.category_id),
        )
        .order_by(CannedReply.name_folded, CannedReply.id)
        .limit(MOST)
    )
    made = []
    for canned in await session.scalars(query):
        language = next((code for code in languages if code in canned.texts), next(iter(canned.texts), ""))
        try:
            text = fill(canned.texts.get(language, ""), values)
        except TemplateProblem:  # a field that was known when it was written
            continue
        made.append(Ready(canned.id, canned.name, language, text))
    return made


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with plain values in the places of its fields. Raises TemplateProblem."""
    return parse(text).render(values).strip()


async def save_canned(
    session: AsyncSession, *, canned: CannedReply | None, values: Mapping[str, Any], texts: Mapping[str, str]
) -> CannedReply:
    """A new canned reply, or another text of one. texts: language -> text; empty ones are left out.

    Raises Invalid with the fields text_<language>, project (staff who are limited to projects write for no others).
    """
    refuse_for_all(canned, values)
    kept = {code: text.strip() for code, text in texts.items() if text and text.strip()}
    if not kept:
        raise Invalid(**{f"text_{next(iter(texts), SOURCE)}": _("Please write a text in at least one language.")})
    wrong = {}
    for code, text in kept.items():
        if len(text) > LONGEST:
            wrong[f"text_{code}"] = _("Write a text of at most %(n)s characters.") % {"n": LONGEST}
            continue
        try:
            parse(text)
        except TemplateProblem as problem:
            wrong[f"text_{code}"] = str(problem)
    if wrong:
        raise Invalid(**wrong)
    if canned is None:
        canned = CannedReply()
        session.add(canned)
    for name, value in values.items():
        setattr(canned, name, value)
    canned.texts = kept
    await session.flush()
    return canned


async def _values(session: AsyncSession, ticket: Ticket) -> tuple[dict[str, str], list[str], int]:
    """The values of the fields for this ticket; the languages to try, the best first; the project."""
    user_id = await session.scalar(
        select(TicketMessage.user_id)
        .where(TicketMessage.ticket_id == ticket.id, TicketMessage.user_id.is_not(None))
        .order_by(TicketMessage.id.desc())
        .limit(1)
    )
    asked = (Project.id, User.language, Customer.language, Project.default_language)
    (project_id, *spoken), values = await of_customer(session, ticket.customer_id, *asked, user_id=user_id)
    staff = await session.get(Staff, actor.get().staff_id) if actor.get().staff_id else None
    wanted = [code for code in (*spoken, SOURCE) if code]
    codes = [c for code in wanted for c in (code, code.partition("-")[0])]
    return values | {"staff.name": str(staff) if staff else ""}, list(dict.fromkeys(codes)), project_id
