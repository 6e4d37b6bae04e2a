"""What became of a campaign: totals by language and state, and how many were sent when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Integer, cast, extract, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.messaging import Channel, Delivery, DeliveryState

STEPS = (1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400)
"""Lengths of one column of the timeline, in seconds."""
MOST_COLUMNS = 40


@dataclass(frozen=True)
class Timeline:
    """step: seconds of one column. columns: its begin -> how many were sent by each channel, without gaps."""

    step: int
    columns: Mapping[datetime, Mapping[Channel, int]]


async def totals(session: AsyncSession, *, campaign_id: int) -> dict[tuple[str, Channel], dict[DeliveryState, int]]:
    """(language, channel) -> deliveries by state. Reads only; one look at each row."""
    rows = await session.execute(
        select(Delivery.language, Delivery.channel, Delivery.state, func.count())
        .where(Delivery.campaign_id == campaign_id)
        .group_by(Delivery.language, Delivery.channel, Delivery.state)
    )
    found: dict[tuple[str, Channel], dict[DeliveryState, int]] = {}
    for language, channel, state, n in rows:
        found.setdefault((language, channel), {})[state] = n
    return dict(sorted(found.items()))


async def timeline(session: AsyncSession, *, campaign_id: int) -> Timeline:
    """How many were sent when, in at most MOST_COLUMNS columns of equal length."""
    sent = (Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.SENT, Delivery.sent_at.is_not(None))
    first, last = (
        await session.execute(select(func.min(Delivery.sent_at), func.max(Delivery.sent_at)).where(*sent))
    ).one()
    if first is None or last is None:
        return Timeline(STEPS[0], {})
    span = (last - first).total_seconds()
    step = next((s for s in STEPS if span / s < MOST_COLUMNS - 1), STEPS[-1])
    second = cast(extract("epoch", Delivery.sent_at), Integer)
    column = (second - second % step).label("column")
    rows = await session.execute(
        select(column, Delivery.channel, func.count()).where(*sent).group_by(column, Delivery.channel)
    )
    counted = {(begin, channel): n for begin, channel, n in rows}
    begins = [begin for begin, _channel in counted]
    every = range(min(begins), max(begins) + 1, step)
    if len(every) > 4 * MOST_COLUMNS:  # sent again much later: years of nothing are not worth drawing
        every = range(min(begins), min(begins) + 4 * MOST_COLUMNS * step, step)
    return Timeline(
        step, {datetime.fromtimestamp(begin, UTC): {c: counted.get((begin, c), 0) for c in Channel} for begin in every}
    )
