"""When a message is sent: at which time, in whose time zone, outside of whose quiet hours, and how fast."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, FromClause, case, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import i18n
from app.db import UtcDateTime, moment, utcnow
from app.models.customers import Customer
from app.models.messaging import Campaign, Delivery, DeliveryState
from app.models.projects import Project

FIRST_ZONE = timedelta(hours=14)
"""The clocks that are furthest ahead (Kiribati)."""


@dataclass(frozen=True)
class Plan:
    """send_at: None is now. local_time: at the time that `send_at` is on the sender's clock, on each recipient's clock;
    whose clock is past it gets it at once. quiet_from, quiet_until: hours of the recipient's day."""

    send_at: datetime | None = None
    local_time: bool = False
    grace_minutes: int = 60
    quiet_from: int | None = None
    quiet_until: int | None = None

    @property
    def local_at(self) -> str:
        if not self.local_time or self.send_at is None:
            return ""
        return self.send_at.astimezone(i18n.zone()).strftime("%Y-%m-%dT%H:%M")

    @property
    def starts_at(self) -> datetime | None:
        """When the work begins: for times of day of each recipient, when the first clocks on earth show it."""
        if self.send_at is None or self.send_at <= utcnow():
            return None
        if not self.local_time:
            return self.send_at
        first = datetime.fromisoformat(self.local_at).replace(tzinfo=UTC) - FIRST_ZONE
        return first if first > utcnow() else None


@dataclass(frozen=True)
class Pace:
    """How fast, and when to pause by itself; 0: no limit."""

    per_second: int = 0
    per_domain_second: int = 0
    stop_percent: int = 0


AT_ONCE, FULL_SPEED = Plan(), Pace()


def _place(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # an import brought it, or the tables of this machine are older
        return ZoneInfo("UTC")


def turn(zone: str, *, now: datetime, local_at: str = "", quiet: tuple[int, int] | None = None) -> datetime:
    """When it is the turn of a recipient in this time zone: `now`, or the time on their clock, after quiet hours."""
    place, at = _place(zone), now
    if local_at:
        at = max(now, datetime.fromisoformat(local_at).replace(tzinfo=place).astimezone(UTC))
    if quiet is not None:
        begin, end = quiet
        here = at.astimezone(place)
        if (begin <= here.hour < end) if begin < end else (here.hour >= begin or here.hour < end):
            day = here.date() + timedelta(days=1 if here.hour >= end else 0)
            at = datetime.combine(day, time(end), tzinfo=place).astimezone(UTC)
    return at


def quiet_of(campaign: Campaign) -> tuple[int, int] | None:
    if campaign.quiet_from is None or campaign.quiet_until is None:
        return None
    return campaign.quiet_from, campaign.quiet_until


def differs(campaign: Campaign) -> bool:
    """Whether recipients get their turn at different times."""
    return bool(campaign.local_at) or quiet_of(campaign) is not None


def zone_column() -> ColumnElement[str]:
    """The time zone of a customer, over Customer joined with Project."""
    return func.coalesce(func.nullif(Customer.timezone, ""), func.nullif(Project.timezone, ""), "UTC")


def with_zone(rows: FromClause, customer_id: Any) -> FromClause:
    """The rows with what `zone_column` needs."""
    customers = rows.join(Customer.__table__, Customer.id == customer_id)
    return customers.join(Project.__table__, Project.id == Customer.project_id)


async def clock(session: AsyncSession) -> datetime:
    """The database's time, by which jobs are due."""
    return (await session.execute(select(moment()))).scalar_one()


async def _zones(session: AsyncSession) -> list[str]:
    """All time zones that customers have."""
    pairs = select(Customer.timezone, Customer.project_id).distinct().subquery()
    zones = select(
        func.coalesce(func.nullif(pairs.c.timezone, ""), func.nullif(Project.timezone, ""), "UTC")
    ).select_from(pairs.join(Project.__table__, Project.id == pairs.c.project_id))
    return sorted(set(await session.scalars(zones, execution_options={"unscoped": True})))


def _by_moment(turns: Mapping[str, datetime]) -> Iterable[tuple[datetime, list[str]]]:
    found: dict[datetime, list[str]] = defaultdict(list)
    for zone, at in turns.items():
        found[at].append(zone)
    return found.items()


async def turns(session: AsyncSession, campaign: Campaign) -> ColumnElement[datetime]:
    """`next_at` of each recipient, as one expression over `with_zone`: a branch for each moment that occurs."""
    now = await clock(session)
    quiet, kind = quiet_of(campaign), UtcDateTime()
    each = {z: turn(z, now=now, local_at=campaign.local_at, quiet=quiet) for z in await _zones(session)}
    whens = [(zone_column().in_(zones), literal(at, kind)) for at, zones in _by_moment(each) if at > now]
    return case(*whens, else_=moment()) if whens else moment()


async def hush(session: AsyncSession, campaign: Campaign) -> None:
    """Put off what is due to people whose quiet hours have begun meanwhile."""
    if (quiet := quiet_of(campaign)) is None:
        return
    now = await clock(session)
    each = {zone: turn(zone, now=now, quiet=quiet) for zone in await _zones(session)}
    for at, zones in _by_moment(each):
        if at <= now:
            continue
        asleep = select(Customer.id).join(Project, Project.id == Customer.project_id).where(zone_column().in_(zones))
        await session.execute(
            update(Delivery)
            .where(
                Delivery.campaign_id == campaign.id, Delivery.state == DeliveryState.DUE, Delivery.next_at < at,
                Delivery.customer_id.in_(asleep),
            )
            .values(next_at=at)
            .execution_options(synchronize_session=False)
        )  # fmt: skip


def until_next_look(now: datetime) -> float:
    """Seconds until quiet hours can begin anywhere: clocks on earth differ by quarters of an hour."""
    return 900 - (now.minute % 15) * 60 - now.second - now.microsecond / 1e6 + 0.05
