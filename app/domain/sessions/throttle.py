"""Slowing down those who guess passwords: a counter per account and one per address."""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import datetime, timedelta

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain.sessions.rows import note
from app.errors import TooMany
from app.i18n import gettext
from app.models.sessions import Throttle

THROTTLE_WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 5
PER_ADDRESS = 20
"""Higher than per account: a whole office, or everybody behind a proxy, may share one address."""


def key_of(what: str, value: str) -> str:
    # hashed: people type passwords into the wrong field
    return f"{what}:{hashlib.sha256(value.casefold().encode('utf-8', 'replace')).hexdigest()[:40]}"


def key_of_address(ip: str) -> str:
    """The key of a visitor's address; of IPv6 the network (/64), which is what one home or office has."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return key_of("ip", ip)
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped
        ip = str(inside) if inside else str(ipaddress.ip_network((int(address), 64), strict=False))
    return key_of("ip", ip)


async def _count(session: AsyncSession, key: str, now: datetime) -> tuple[int, datetime]:
    """Count one try. Returns the tries within the window, this one included, and when the window began."""
    start = now - THROTTLE_WINDOW
    for _attempt in range(2):
        counted = await session.execute(
            update(Throttle)
            .where(Throttle.key == key, Throttle.since > start)
            .values(failures=Throttle.failures + 1)
            .returning(Throttle.failures, Throttle.since)
            .execution_options(synchronize_session=False)
        )
        if (row := counted.first()) is not None:
            return row[0], row[1]
        renewed = await session.execute(
            update(Throttle)
            .where(Throttle.key == key, Throttle.since <= start)
            .values(failures=1, since=now)
            .returning(Throttle.key)
            .execution_options(synchronize_session=False)
        )
        if renewed.first() is not None:
            return 1, now
        try:
            async with session.begin_nested():
                await session.execute(insert(Throttle).values(key=key, failures=1, since=now))
            return 1, now
        except IntegrityError:
            continue  # somebody else was faster: count on theirs
    return 1, now


async def admit(account: str, address: str | None) -> None:
    """Count this try before the password is looked at, so that many at once gain nothing. Raises TooMany."""
    now = utcnow()
    limits = {account: PER_ACCOUNT} | ({address: PER_ADDRESS} if address else {})
    wait = 0.0
    async with db.unit() as session:
        for key, limit in sorted(limits.items()):  # one order for all, or two sign-ins could wait for each other
            tries, since = await _count(session, key, now)
            if tries > limit:
                wait = max(wait, (since + THROTTLE_WINDOW - now).total_seconds())
                if tries == limit + 1:  # one audit row per window: a flood of tries must not flood the audit
                    await note(session, "sign_in_refused", "throttle", None, {"key": key}, reason="throttled")
    if wait:
        minutes = max(1, round(wait / 60 + 0.5))
        message = gettext("Too many tries. Please wait %(minutes)s minutes and try again.") % {"minutes": minutes}
        raise TooMany(message, seconds=max(1, int(wait)))


async def forgive(session: AsyncSession, account: str, address: str | None) -> None:
    """A right password: the account starts afresh, and this try does not count for the address."""
    quiet = {"synchronize_session": False}
    await session.execute(update(Throttle).where(Throttle.key == account).values(failures=0).execution_options(**quiet))
    if address:
        await session.execute(
            update(Throttle)
            .where(Throttle.key == address, Throttle.failures > 0)
            .values(failures=Throttle.failures - 1)
            .execution_options(**quiet)
        )
