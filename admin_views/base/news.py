"""What the bell tells: rows of a screen that wait for a person, or that end what they have started.

Nothing is stored for it but the moment up to which somebody has looked (`Staff.seen_at`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import grants_of
from admin_views.base.plan import plan_of
from admin_views.base.reading import Reading
from app import db
from app.db import utcnow
from app.models import scope

if TYPE_CHECKING:
    from admin_views.base.screen import AppView

LATELY = timedelta(days=14)
"""What has ended longer ago is no news."""
COUNTED_FOR = 10.0
"""Seconds that the figure at the bell may be old."""
MOST = 100
SHOWN = 8
"""Rows of each kind in the list."""


@dataclass(frozen=True)
class News:
    """Rows of which the bell tells. say: what is the matter with them; at: the column that says since when; hint: one
    that tells two of one name apart."""

    say: str
    icon: str
    where: tuple[ColumnElement[bool], ...]
    at: Any
    tone: str = ""
    hint: str = ""


def _told(request: Request, views: Sequence[AppView]) -> Iterator[tuple[AppView, News]]:
    for view in views:
        told = view.news(request.session["staff_id"])  # few screens have any; a plan is a lot to make for the others
        if told and (plan := plan_of(request, view)).may("list") and plan.linked:
            for news in told:
                yield view, news


async def unseen(request: Request, session: AsyncSession, views: Sequence[AppView]) -> str:
    """How much is new since the person last looked, as it stands at the bell; empty: nothing."""
    seen: datetime | None = request.session.get("seen_at")
    key = ("bell", request.session["staff_id"], grants_of(request), scope.whose(), seen)

    async def make() -> int:
        n = 0
        for view, news in _told(request, views):
            where = [*news.where, news.at > seen] if seen else news.where
            few = select(view.pk_column).where(*where).limit(MOST)
            n += await session.scalar(select(func.count()).select_from(few.subquery())) or 0
        return n

    n = await db.kept().of(key, make, COUNTED_FOR)
    return f"{MOST - 1}+" if n >= MOST else str(n or "")


async def latest(request: Request, session: AsyncSession, views: Sequence[AppView]) -> list[dict[str, Any]]:
    """By kind: [{say, icon, tone, rows: [{label, hint, url, at, new}]}]."""
    seen: datetime | None = request.session.get("seen_at")
    groups = []
    for view, news in _told(request, views):
        reading = Reading(view, (news.at.key, *filter(None, [news.hint])), computed=False)
        found = await session.execute(reading.select(*news.where).order_by(news.at.desc()).limit(SHOWN))
        rows = [
            {
                "label": view.row_label(row),
                "hint": reading.text(row, news.hint) if news.hint else "",
                "url": view.card_url(view.pk_of(row)),
                "at": (at := getattr(row, news.at.key)),
                "new": seen is None or at > seen,
            }
            for row in reading.records(found)
        ]
        if rows:
            groups.append({"say": str(news.say), "icon": news.icon, "tone": news.tone, "rows": rows})
    return groups


def lately() -> datetime:
    """Where "lately" begins, for the conditions of `News`."""
    return utcnow() - LATELY
