"""The recipients of a campaign, chosen in one statement: one row for each address that it goes to or leaves out."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import String, case, cast, func, insert, literal, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Json, choice, moment
from app.domain.messaging import plans
from app.domain.messaging.audience import REASONS, Audience, recipients
from app.models.messaging import Campaign, Channel, Delivery, DeliveryState


async def write_deliveries(session: AsyncSession, campaign: Campaign, audience: Audience) -> int:
    """Freeze who receives it, and say how many rows that are. A second run meets the same rows and changes nothing."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    chosen_from = recipients(audience)
    rows = chosen_from.c
    # the Message-ID without its domain, derived from the key of the row
    prefix = f"c{campaign.id}.{hashlib.sha256(campaign.key.encode()).hexdigest()[:10]}."
    channel: Any = case((rows.channel == Channel.EMAIL, literal("e")), else_=literal("i"))
    if len(audience.channels) == 1:
        channel = literal(audience.channels[0][0])
    message_id = (
        literal(prefix) + cast(rows.customer_id, String) + "." + channel
        + func.coalesce(literal(".") + cast(rows.user_id, String), "")
    )  # fmt: skip
    state = choice(DeliveryState)
    nothing: Any = literal({}, Json)
    if on_postgresql:  # SQLite would make a number of it
        nothing = cast(nothing, Json)
    chosen = {
        "campaign_id": literal(campaign.id), "customer_id": rows.customer_id, "channel": rows.channel,
        "address": rows.address, "user_id": rows.user_id, "language": rows.language,
        "state": case((rows.reason.is_(None), literal(DeliveryState.DUE, state)),
                      else_=literal(DeliveryState.SKIPPED, state)),
        # the short form looks at the reason once, not once per word
        "error": case({r: literal(str(why)) for r, why in REASONS.items()}, value=rows.reason, else_=literal("")),
        "values": nothing, "message_id": message_id, "attempt": literal(0),
        "next_at": select(moment()).scalar_subquery(),  # once: SQLite writes out the time for each row else
    }  # fmt: skip
    source: Any = chosen_from
    if plans.differs(campaign):
        chosen["next_at"] = await plans.turns(session, campaign)
        source = plans.with_zone(chosen_from, rows.customer_id)
    if on_postgresql:  # else it plans the check of each foreign key anew, for each row
        await session.execute(text("SET LOCAL plan_cache_mode = auto"))
    rows_of = Delivery.campaign_id == campaign.id
    again = await session.scalar(select(Delivery.campaign_id).where(rows_of).limit(1)) is not None
    # set-based on purpose: a million rows in seconds, from one snapshot; the scope stands in `recipients`
    found = select(*[what.label(name) for name, what in chosen.items()]).select_from(source)
    if not again:  # looking for rows that are there already takes PostgreSQL a sixth of the time
        written = await session.execute(insert(Delivery).from_select(list(chosen), found))
        return int(written.rowcount)  # type: ignore[attr-defined]
    dialect = postgresql if on_postgresql else sqlite
    # SQLite takes the ON of ON CONFLICT for a join's unless there is a WHERE before it
    found = found.where(rows.customer_id.is_not(None))
    await session.execute(dialect.insert(Delivery).from_select(list(chosen), found).on_conflict_do_nothing())
    return await session.scalar(select(func.count()).select_from(Delivery).where(rows_of)) or 0
