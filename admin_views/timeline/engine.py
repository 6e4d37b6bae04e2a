"""The newest events of all sources that the reader may see, merged, page by page."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_skeleton, format_time
from sqlalchemy import Select, cast, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.timeline import changes
from admin_views.timeline.sources import KINDS, SOURCES
from admin_views.timeline.telling import SHAPE, Reader, Source, Span
from app import db
from app.db import utcnow
from app.errors import AppError
from app.i18n import _, gettext, language, locale, show_ago, show_date, zone
from app.models import scope

SIZE = 25

Place = tuple[datetime, int, int]
"""The last event shown: its moment, the number of its source, its id."""


async def context(request: Request, session: AsyncSession, customer: Any, url: str) -> dict[str, Any]:
    """What timeline.html needs. The address says the kinds (``kind``, several) and where to go on (``before``)."""
    mine = [s for s in SOURCES if s.seen_by(request)]
    offered = [k for k in KINDS if any(s.kind == k for s in mine)]
    kinds = [k for k in offered if k in request.query_params.getlist("kind")]
    chosen = [s for s in mine if not kinds or s.kind in kinds]
    place = _place(request.query_params.get("before", ""))
    found = await _events(session, chosen, customer.id, place)
    more = len(found) > SIZE
    rows = found[:SIZE]
    edits = [r for r in rows if SOURCES[r.rank].key == "change" and r.state == "update"]
    reader = Reader(request, customer, await changes.names(session, edits))
    return {
        "chips": _chips(url, offered, kinds),
        "events": _shown(rows, reader),
        "newest_url": _address(url, kinds) if place else None,
        "more_url": _address(url, kinds, rows[-1]) if more else None,
    }


# ---- rows -----------------------------------------------------------------------------------------------------------


async def _events(session: AsyncSession, sources: list[Source], customer_id: int, place: Place | None) -> list[Any]:
    """One more than a page of the newest rows before `place`."""
    at = place[1] if place else None
    values: dict[str, Any] = {"customer": customer_id}
    if place:
        values |= {"before_at": place[0], "before_id": place[2]}
    keys = tuple(s.key for s in sources)

    async def make() -> Select[Any]:
        return scope.limited(_statement(keys, at))

    return await db.ask(session, ("timeline", keys, at, scope.whose()), make, **values)


def _statement(keys: tuple[str, ...], at: int | None) -> Select[Any]:
    """Each source gives its newest rows out of an index; the database merges these few."""
    parts = []
    for rank, source in enumerate(SOURCES):
        if source.key not in keys:
            continue
        span = Span(SIZE + 1, None if at is None else (rank > at) - (rank < at))
        rows = source.rows(span).subquery(source.key)
        columns = [(rows.c[n] if n in rows.c else cast(null(), kind)).label(n) for n, kind in SHAPE.items()]
        parts.append(select(literal(rank).label("rank"), *columns))
    every = union_all(*parts).subquery("every")
    return select(every).order_by(every.c.at.desc(), every.c.rank, every.c.id.desc()).limit(SIZE + 1)


# ---- addresses ------------------------------------------------------------------------------------------------------


def _address(url: str, kinds: list[str], last: Any = None) -> str:
    pairs = [("kind", k) for k in kinds]
    if last is not None:
        pairs.append(("before", f"{last.at.isoformat()},{SOURCES[last.rank].key},{last.id}"))
    return f"{url}?{urlencode(pairs)}" if pairs else url


def _place(text: str) -> Place | None:
    """Raises AppError 400 for what is no place."""
    if not text:
        return None
    moment, _comma, rest = text.partition(",")
    key, _comma, number = rest.partition(",")
    rank = next((i for i, s in enumerate(SOURCES) if s.key == key), None)
    try:
        at = datetime.fromisoformat(moment)
        if rank is None or at.tzinfo is None or not (number.isascii() and number.isdecimal() and len(number) < 19):
            raise ValueError
        return at, rank, int(number)
    except (ValueError, OverflowError):
        raise AppError(_("The address of this timeline is not valid."), 400) from None


def _chips(url: str, offered: list[str], chosen: list[str]) -> list[dict[str, Any]]:
    """All, then one chip per kind that adds it to those shown or takes it away."""
    if len(offered) < 2:
        return []
    shown = [{"label": gettext("All"), "url": url, "current": not chosen}]
    for kind in offered:
        kept = [k for k in offered if (k in chosen) is not (k == kind)]
        shown.append({"label": str(KINDS[kind]), "url": _address(url, kept), "current": kind in chosen})
    return shown


# ---- what the template shows ----------------------------------------------------------------------------------------


def _shown(rows: list[Any], reader: Reader) -> list[dict[str, Any]]:
    events, day, today = [], None, utcnow().astimezone(zone()).date()
    for row in rows:
        source, at = SOURCES[row.rank], row.at.astimezone(zone())
        told, clock = source.tell(row, reader), _clock(at.hour, at.minute, language())
        events.append(
            {
                "day": _day(at.date(), today, show_ago(row.at)) if at.date() != day else None,
                "icon": told.icon or source.icon,
                "tone": told.tone,
                "words": told.words,
                "more": [m for m in told.more if m],
                "quote": told.quote,
                "iso": row.at.isoformat(),
                "clock": clock,
                "exact": f"{_full(at.date(), language())}, {clock} ({show_ago(row.at)})",
            }
        )
        day = at.date()
    return events


def _day(day: date, today: date, ago: str) -> dict[str, str]:
    """The heading of a day: as people say it, the date in full on hover."""
    return {
        "iso": day.isoformat(),
        "label": _day_label(day, today, language()),
        "ago": ago if (today - day).days > 1 else "",
        "exact": _full(day, language()),
    }


@lru_cache(maxsize=4096)
def _full(day: date, _language: str) -> str:
    return show_date(day, "full")


@lru_cache(maxsize=4096)
def _clock(hour: int, minute: int, _language: str) -> str:
    return str(format_time(time(hour, minute), "short", locale=locale()))


@lru_cache(maxsize=4096)
def _day_label(day: date, today: date, _language: str) -> str:
    if day == today:
        return gettext("Today")
    if day == today - timedelta(days=1):
        return gettext("Yesterday")
    skeleton = "MMMMd" if day.year == today.year else "yMMMMd"
    return str(format_skeleton(skeleton, day, locale=locale()))
