"""The statements of the sender, one for a whole batch each, as the drivers take them.

Made by SQLAlchemy anew for each batch they would take as long as the messages of the batch. Times are the DATABASE's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Integer, Select, String, exists, literal, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import BigId, Prepared, UtcDateTime, given, kept, moment
from app.domain.messaging.values import Reader
from app.models.customers import Customer
from app.models.messaging import Campaign, CampaignState, Delivery, DeliveryState
from app.models.projects import Project
from app.models.users import User

_SQLITE_NOW = "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


def _for_sqlite(sql: str) -> str:
    """NOW and IN(n) in the way that moments are stored there; n: seconds as text, with their sign."""
    sql = re.sub(r"IN\((\?\d)\)", r"(strftime('%Y-%m-%d %H:%M:%f', 'now', \1 || ' seconds') || '000')", sql)
    return sql.replace("NOW", _SQLITE_NOW)


def _dialect(session: AsyncSession) -> str:
    return session.get_bind().dialect.name


async def _run(session: AsyncSession, sql: str, parameters: tuple[Any, ...]) -> Any:
    connection = await session.connection()
    return await connection.exec_driver_sql(sql, parameters)


# ---- what is due ----------------------------------------------------------------------------------------------------


def _due(reader: Reader, *, in_turn: bool) -> Select[Any]:
    """Due rows with all that their messages are made from, locked for this transaction.

    in_turn: along the primary key from `after` on, so that no claim walks over what others have left behind (in the
    index of due rows PostgreSQL keeps an entry for each row that was due, until the next vacuum). Else by the moment
    when they became due, from `after` on.
    """
    d = Delivery
    # an expression, so that no planner without statistics takes the index of due rows and sorts a million of them
    state = type_coerce(d.state, String) + "" if in_turn else type_coerce(d.state, String)
    due = literal(DeliveryState.DUE.value, String, literal_execute=True)  # so that SQLite knows the index of due rows
    runs = exists().where(Campaign.id == d.campaign_id, Campaign.state == CampaignState.RUNNING)
    after = d.customer_id >= given("after", BigId) if in_turn else d.next_at > given("after", UtcDateTime())
    order = (d.campaign_id, d.customer_id, d.channel, d.address) if in_turn else (d.next_at,)
    return (
        select(
            d.message_id, type_coerce(d.channel, String).label("channel"), d.address, d.language, d.attempt,
            d.customer_id, *reader.columns(),
        )
        .join(Customer, Customer.id == d.customer_id)
        .join(Project, Project.id == Customer.project_id)
        .outerjoin(User, User.id == d.user_id)
        .where(
            d.campaign_id == given("campaign_id", BigInteger()), state == due,
            d.next_at <= moment(), after, runs,
        )
        .order_by(*order)
        .limit(given("n", Integer()))
        .with_for_update(skip_locked=True, of=d)
    )  # fmt: skip


async def due(
    session: AsyncSession, *, campaign_id: int, reader: Reader, n: int, after: Any, in_turn: bool
) -> Sequence[Any]:
    """Up to `n` rows: message_id, channel, address, language, attempt, customer_id, and the columns of the reader."""
    key = ("messaging.due", reader.fields, in_turn)
    prepared: Prepared | None = kept().get(key)
    if prepared is None:
        connection = await session.connection()
        prepared = Prepared(_due(reader, in_turn=in_turn), connection.dialect)
        kept().put(key, prepared, 3600)
    if _dialect(session) == "postgresql":
        await _run(session, "SET LOCAL enable_sort = off", ())
    return await prepared.run(session, {"campaign_id": campaign_id, "n": n, "after": after})


# ---- claim, fence, finish -------------------------------------------------------------------------------------------

_CLAIM = {
    "postgresql": """
        UPDATE delivery SET state = 'leased', lease_token = $1, attempt = attempt + 1,
            lease_until = clock_timestamp() + $2::float8 * interval '1 second', started_at = clock_timestamp()
        WHERE message_id = ANY(string_to_array($3::text, E'\\n'))""",
    "sqlite": _for_sqlite("""
        UPDATE delivery SET state = 'leased', lease_token = ?1, attempt = attempt + 1,
            lease_until = IN(?2), started_at = NOW
        WHERE message_id IN (SELECT value FROM json_each(?3))"""),
}
_FENCE = {
    "postgresql": """
        UPDATE delivery SET lease_until = clock_timestamp() + $2::float8 * interval '1 second',
            started_at = clock_timestamp()
        WHERE message_id = ANY(string_to_array($3::text, E'\\n'))
            AND lease_token = $1 AND state = 'leased' AND lease_until > clock_timestamp() AND EXISTS
            (SELECT 1 FROM campaign WHERE campaign.id = delivery.campaign_id AND campaign.state = 'running')
        RETURNING message_id""",
    "sqlite": _for_sqlite("""
        UPDATE delivery SET lease_until = IN(?2), started_at = NOW
        WHERE message_id IN (SELECT value FROM json_each(?3))
            AND lease_token = ?1 AND state = 'leased' AND lease_until > NOW AND EXISTS
            (SELECT 1 FROM campaign WHERE campaign.id = delivery.campaign_id AND campaign.state = 'running')
        RETURNING message_id"""),
}


def _many(session: AsyncSession, ids: Sequence[str]) -> str:
    """One text: asyncpg takes its time over an array."""
    return "\n".join(ids) if _dialect(session) == "postgresql" else json.dumps(list(ids))


def _seconds(session: AsyncSession, seconds: float) -> Any:
    return seconds if _dialect(session) == "postgresql" else f"{seconds:+.3f}"


async def lease(session: AsyncSession, *, ids: Sequence[str], token: str, seconds: float) -> None:
    """Take rows that this transaction has locked as due, and say that they go out."""
    await _run(session, _CLAIM[_dialect(session)], (token, _seconds(session, seconds), _many(session, ids)))


async def fence(session: AsyncSession, *, ids: Sequence[str], token: str, seconds: float) -> set[str]:
    """Those that are still ours, of a campaign that still runs."""
    given = (token, _seconds(session, seconds), _many(session, ids))
    return {row[0] for row in await _run(session, _FENCE[_dialect(session)], given)}


class Mark(NamedTuple):
    """What becomes of one row. error, delay, frozen: None leaves what is there. delay: seconds until the next try.
    back: tries that do not count. fresh: it has not been started."""

    message_id: str
    state: str
    error: str | None = None
    delay: float | None = None
    back: int = 0
    fresh: bool = False
    frozen: str | None = None


_MARK = {
    "postgresql": """
        UPDATE delivery SET state = m.state, error = coalesce(m.error, delivery.error),
            attempt = delivery.attempt - m.back, lease_token = NULL, lease_until = NULL,
            next_at = CASE WHEN m.delay IS NULL THEN next_at
                ELSE clock_timestamp() + m.delay * interval '1 second' END,
            sent_at = CASE WHEN m.state = 'sent' THEN clock_timestamp() ELSE sent_at END,
            started_at = CASE WHEN m.fresh THEN NULL ELSE started_at END,
            "values" = coalesce(m.frozen::jsonb, delivery."values")
        FROM unnest($2::varchar[], $3::varchar[], $4::varchar[], $5::float8[], $6::int[], $7::bool[], $8::text[])
            AS m(id, state, error, delay, back, fresh, frozen)
        WHERE delivery.message_id = m.id AND delivery.lease_token = $1 AND delivery.state = 'leased'""",
    "sqlite": _for_sqlite("""
        UPDATE delivery SET state = ?2, error = coalesce(?3, error), attempt = attempt - ?5,
            lease_token = NULL, lease_until = NULL,
            next_at = CASE WHEN ?4 IS NULL THEN next_at ELSE IN(?4) END,
            sent_at = CASE WHEN ?2 = 'sent' THEN NOW ELSE sent_at END,
            started_at = CASE WHEN ?6 THEN NULL ELSE started_at END,
            "values" = coalesce(?7, "values")
        WHERE message_id = ?1 AND lease_token = ?8 AND state = 'leased'"""),
}
_MARK_SENT = {
    "postgresql": """
        UPDATE delivery SET state = 'sent', error = '', lease_token = NULL, lease_until = NULL,
            sent_at = clock_timestamp(), "values" = m.frozen
        FROM ROWS FROM (unnest(string_to_array($2::text, E'\\n')), jsonb_array_elements($3::text::jsonb))
            AS m(id, frozen)
        WHERE delivery.message_id = m.id AND delivery.lease_token = $1 AND delivery.state = 'leased'""",
    "sqlite": _for_sqlite("""
        UPDATE delivery SET state = 'sent', error = '', lease_token = NULL, lease_until = NULL,
            sent_at = NOW, "values" = ?2
        WHERE message_id = ?1 AND lease_token = ?3 AND state = 'leased'"""),
}


async def mark_sent(session: AsyncSession, token: str, ids: list[str], frozen: list[str]) -> None:
    """These were taken. Rows whose lease was lost are left alone, here and below."""
    if not ids:
        return
    dialect = _dialect(session)
    if dialect == "postgresql":
        await _run(session, _MARK_SENT[dialect], (token, _many(session, ids), f"[{','.join(frozen)}]"))
    else:
        connection = await session.connection()
        rows = [(i, f, token) for i, f in zip(ids, frozen, strict=True)]
        await connection.exec_driver_sql(_MARK_SENT[dialect], rows)


async def mark(session: AsyncSession, token: str, marks: Sequence[Mark]) -> None:
    """Write down what becomes of these."""
    if not marks:
        return
    dialect = _dialect(session)
    if dialect == "postgresql":
        await _run(session, _MARK[dialect], (token, *map(list, zip(*marks, strict=True))))
    else:
        connection = await session.connection()
        rows = [
            (m.message_id, m.state, m.error, None if m.delay is None else f"{m.delay:+.3f}", m.back, m.fresh, m.frozen,
             token)
            for m in marks
        ]  # fmt: skip
        await connection.exec_driver_sql(_MARK[dialect], rows)
