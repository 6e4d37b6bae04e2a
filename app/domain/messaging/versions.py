"""Versions of message templates: what each said when, by whom, and what has changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.db import utcnow
from app.domain.messaging.system import Texts
from app.errors import NotFound
from app.models.messaging import Template
from app.models.templates import TemplateVersion
from app.observe import actor

MAX_COMPARED = 2_000_000
"""Lines times lines that are compared one by one; larger texts count as replaced."""

Line = tuple[str, str]
"""What became of a line ("+", "-" or " "), and the line."""


def texts_of(template: Template) -> dict[str, tuple[str, str]]:
    return {text.language: (text.subject, text.body) for text in template.texts}


async def remember(session: AsyncSession, template: Template, before: Texts, *, restored: int | None = None) -> None:
    """Keep what a template says now, when that is not what it said before. restored: the version it comes from."""
    now = texts_of(template)
    last = await session.scalar(
        select(func.max(TemplateVersion.number)).where(TemplateVersion.template_id == template.id)
    )
    if last is None and before:  # it is older than its first version
        session.add(TemplateVersion(template_id=template.id, number=1, at=None, texts=_stored(before), changed={}))
        last = 1
    if last is not None and now == before:
        return
    session.add(
        TemplateVersion(
            template_id=template.id, number=(last or 0) + 1, at=utcnow(), staff_id=actor.get().staff_id,
            restored=restored, texts=_stored(now), changed=_summary(before, now),
        )
    )  # fmt: skip
    await session.flush()


def _stored(texts: Texts) -> dict[str, list[str]]:
    return {code: list(pair) for code, pair in sorted(texts.items())}


async def latest(session: AsyncSession, template_id: int, *, most: int = 20) -> list[TemplateVersion]:
    """The latest first, with who made them."""
    query = select(TemplateVersion).where(TemplateVersion.template_id == template_id)
    query = query.options(joinedload(TemplateVersion.staff)).order_by(TemplateVersion.number.desc()).limit(most)
    return list(await session.scalars(query))


async def one(session: AsyncSession, template_id: int, number: int) -> TemplateVersion:
    """Raises NotFound."""
    query = select(TemplateVersion).where(TemplateVersion.template_id == template_id, TemplateVersion.number == number)
    version = await session.scalar(query.options(joinedload(TemplateVersion.staff)))
    if version is None:
        raise NotFound
    return version


def read(version: TemplateVersion) -> dict[str, tuple[str, str]]:
    return {code: (str(subject), str(body)) for code, (subject, body) in version.texts.items()}


@dataclass(frozen=True)
class Difference:
    """What changed in one language."""

    language: str
    lines: list[Line]


def differences(before: Texts, after: Texts) -> list[Difference]:
    """Line by line, with the subject as the first line; languages in which nothing changed are left out."""
    found = []
    for code in sorted({*before, *after}):
        old, new = _lines(before.get(code)), _lines(after.get(code))
        if old != new:
            found.append(Difference(code, list(_compared(old, new))))
    return found


def _lines(pair: tuple[str, str] | None) -> list[str]:
    return [pair[0], *pair[1].split("\n")] if pair is not None else []


def _compared(old: list[str], new: list[str]) -> Iterable[Line]:
    if len(old) * len(new) > MAX_COMPARED:
        yield from (("-", line) for line in old)
        yield from (("+", line) for line in new)
        return
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            kept = old[a:b]
            yield from ((" ", line) for line in kept[:2])
            if len(kept) > 4:
                yield " ", "…"
            yield from ((" ", line) for line in kept[max(len(kept) - 2, 2) :])
            continue
        yield from (("-", line) for line in old[a:b])
        yield from (("+", line) for line in new[c:d])


def _summary(before: Texts, after: Texts) -> dict[str, list[int]]:
    """Language -> how many lines were added and removed."""
    return {
        found.language: [sum(sign == mark for sign, _line in found.lines) for mark in "+-"]
        for found in differences(before, after)
    }
