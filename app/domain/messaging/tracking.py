"""Opened and clicked: only for projects that have switched it on. A mail then holds a picture and links of ours.

Each is signed together with its message, so a click goes nowhere but to what that mail held. Nothing is noted once the
project has switched it off; the links of old mails still lead on. Programs that fetch ahead only make a figure larger.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Any
from urllib.parse import quote

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app import links
from app.db import utcnow
from app.models.consent import DeliveryEvent, EventKind
from app.models.customers import Customer
from app.models.messaging import Delivery
from app.models.projects import Project

OPENED, CLICKED = "/t/o/", "/t/c/"
MOST_LINKS = 50
LONGEST_URL = 2000

_opens, _clicks = links.Signer("open"), links.Signer("click")
_LINK = re.compile(r'(<a\s[^>]*?href=")(https?://[^"]{1,6000})(")', re.IGNORECASE)
_WEB = re.compile(r"https?://[^\s/?#@\\]+[^\s\\]*", re.IGNORECASE)


# ---- into the mail --------------------------------------------------------------------------------------------------


def tracked(message_id: str, html: str, *, host: str = "") -> str:
    """The HTML of one message with links that tell, and a picture. host: of the brand, see `links.url`."""
    left = MOST_LINKS

    def replaced(found: re.Match[str]) -> str:
        nonlocal left
        url = unescape(found[2])
        if left <= 0 or len(url) > LONGEST_URL or not _WEB.fullmatch(url):
            return found[0]
        left -= 1
        return found[1] + escape(click_url(message_id, url, host=host)) + found[3]

    shown = escape(links.url(OPENED + _opens.sign(message_id), host=host))
    picture = f'<img src="{shown}" width="1" height="1" alt="">'
    return _LINK.sub(replaced, html) + picture


def click_url(message_id: str, url: str, *, host: str = "") -> str:
    """A link that notes the click and leads to `url`, which is signed with it."""
    mac = _clicks.mac(f"{message_id} {url}")
    return links.url(f"{CLICKED}{message_id}.{mac}?to={quote(url, safe='')}", host=host)


# ---- and back -------------------------------------------------------------------------------------------------------


def opened(token: str) -> str | None:
    """The message of a picture's address; None when we have not signed it."""
    return _opens.read(token)


def clicked(token: str, url: str) -> str | None:
    """The message of a link, if it led exactly there; None when we have not signed that."""
    message_id, _dot, mac = token.rpartition(".")
    if not message_id or len(url) > LONGEST_URL or not _WEB.fullmatch(url):
        return None
    return message_id if _clicks.fits(f"{message_id} {url}", mac) else None


async def counts_now(session: AsyncSession, message_id: str) -> tuple[int, int] | None:
    """Campaign and customer of a message whose project counts now; None when nothing may be noted."""
    found = await session.execute(
        select(Delivery.campaign_id, Delivery.customer_id)
        .join(Customer, Customer.id == Delivery.customer_id)
        .join(Project, Project.id == Customer.project_id)
        .where(Delivery.message_id == message_id, Project.tracking),
        execution_options={"unscoped": True},
    )
    row = found.one_or_none()
    return None if row is None else (row.campaign_id, row.customer_id)


async def note(
    session: AsyncSession, *, kind: EventKind, message_id: str, of: tuple[int, int], url: str = "", detail: str = ""
) -> None:
    """Note that something came back of a message of (campaign, customer): one row, however often it happens."""
    at = utcnow()
    campaign_id, customer_id = of
    table: Any = DeliveryEvent.__table__
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    digest = hashlib.blake2b(url.encode(), digest_size=16).hexdigest() if url else ""
    made = dialect.insert(table).values(
        campaign_id=campaign_id, customer_id=customer_id, message_id=message_id, kind=kind, url=url[:LONGEST_URL],
        url_hash=digest, detail=detail[:500], times=1, first_at=at, last_at=at,
    )  # fmt: skip
    key = [table.c.message_id, table.c.kind, table.c.url_hash]
    again = {"times": table.c.times + 1, "last_at": at}
    connection = await session.connection()  # one statement for both, which the mapper does not offer
    await connection.execute(made.on_conflict_do_update(index_elements=key, set_=again))


# ---- the report -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """A link of a campaign: how many messages it was followed from, and how often."""

    url: str
    messages: int
    times: int


@dataclass(frozen=True)
class Tracked:
    """What came back of a campaign. opened, clicked: messages, each once; opens, clicks: how often in all.
    on: whether a project of its recipients counts now (else zeros say nothing)."""

    on: bool
    opened: int
    opens: int
    clicked: int
    clicks: int
    hard: int
    soft: int
    complaints: int
    links: Sequence[Link]


async def counts(session: AsyncSession, *, campaign_id: int, most: int = 20) -> Tracked:
    """The figures of a campaign, out of an index. Reads only."""
    mine = DeliveryEvent.campaign_id == campaign_id
    rows = await session.execute(
        select(
            DeliveryEvent.kind, func.count(DeliveryEvent.message_id.distinct()), func.sum(DeliveryEvent.times)
        )
        .where(mine)
        .group_by(DeliveryEvent.kind)
    )  # fmt: skip
    found = {kind: (int(messages), int(times)) for kind, messages, times in rows}
    followed = await session.execute(
        select(DeliveryEvent.url, func.count(), func.sum(DeliveryEvent.times))
        .where(mine, DeliveryEvent.kind == EventKind.CLICK)
        .group_by(DeliveryEvent.url)
        .order_by(func.count().desc(), DeliveryEvent.url)
        .limit(most)
    )
    on = await session.scalar(select(Project.id).where(Project.tracking).limit(1)) is not None
    opens, clicks = found.get(EventKind.OPEN, (0, 0)), found.get(EventKind.CLICK, (0, 0))
    back = (EventKind.HARD_BOUNCE, EventKind.SOFT_BOUNCE, EventKind.COMPLAINT)
    hard, soft, complaints = (found.get(kind, (0, 0))[0] for kind in back)
    return Tracked(
        on, *opens, *clicks, hard, soft, complaints,
        [Link(url, int(messages), int(times)) for url, messages, times in followed],
    )  # fmt: skip
