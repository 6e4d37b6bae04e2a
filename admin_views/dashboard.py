"""The first page of the panel: what is new, what waits, what runs, and whether the workers are well.

Each block comes only with the grant for its screen, and in the scope of the person.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from babel.dates import format_skeleton
from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from starlette.requests import Request

from admin_views import imports, incomes, jobs, setup
from admin_views.access import may
from admin_views.base.figures import figure
from admin_views.base.frame import configures, hue_of
from admin_views.messaging import working as campaigns
from app.db import utcnow
from app.domain.ledger import invariants
from app.i18n import gettext, locale, ngettext, show_date, show_number, show_span, zone
from app.models import scope
from app.models.customers import Customer
from app.models.tickets import Ticket, TicketStatus
from app.render import initials

DAYS = 30
SHOWN = 6
MOST = 1000
"""What waits is counted up to here."""
LATE = 4 * 3600
"""Seconds after which a ticket has waited too long."""
EVERY = 3000
"""Milliseconds after which running work is asked for again."""


async def context(request: Request, session: AsyncSession) -> dict[str, Any]:
    """Figures and blocks of the whole page."""
    strip: list[dict[str, Any]] = []
    blocks: list[dict[str, Any]] = []
    if configures(request) and (left := await setup.block(session)) is not None:
        blocks.append(left)
    if may(request, "customer", "list"):
        await _customers(session, strip, blocks)
    if may(request, "ticket", "list"):
        await _tickets(request, session, strip, blocks)
    if may(request, "account", "list"):
        await _money(session, strip, blocks)
    if (work := await running(request, session)) is not None:
        blocks.append(work)
        if work["health"] is not None:
            strip.append(work["health"]["figure"])
    if may(request, "campaign", "list"):
        latest = {"kind": "works", "label": gettext("Latest campaigns"), "url": "/admin/campaign/list", "icon": "send"}
        rows = await campaigns.latest(session, SHOWN - 1)
        blocks.append({**latest, "rows": rows, "empty": gettext("Nothing here yet")})
    hello = gettext("Hello %(name)s") % {"name": request.session["name"]}
    return {"strip": strip, "blocks": blocks, "welcome": hello, "lede": show_date(utcnow(), "full")}


async def running(request: Request, session: AsyncSession) -> dict[str, Any] | None:
    """What runs now, and how the workers are; it is asked for again while something runs. None: nothing to see."""
    rows: list[dict[str, Any]] = []
    shown: tuple[str, ...] = ()
    if may(request, "campaign", "list"):
        rows, shown = rows + await campaigns.running(session, SHOWN), (*shown, "messaging.")
    if may(request, "import_run", "list"):
        rows, shown = rows + await imports.running(session, SHOWN), (*shown, "imports.")
    all_jobs = may(request, "job", "list")
    if all_jobs:
        rows += await jobs.running(session, shown, SHOWN)
    elif not shown:
        return None
    return {
        "kind": "running",
        "label": gettext("Running now"),
        "rows": rows[:SHOWN],
        "health": await jobs.health(session) if all_jobs else None,
        "url": "/admin/job/list" if all_jobs else None,
        "poll_url": "/admin/running" if rows else "",
        "every": EVERY,
    }


# ---- customers ------------------------------------------------------------------------------------------------------


async def _customers(session: AsyncSession, strip: list[dict[str, Any]], blocks: list[dict[str, Any]]) -> None:
    midnight = utcnow().astimezone(zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight - timedelta(days=DAYS - 1)
    days = await figure(f"new from {first.isoformat()}", partial(_by_day, session, first))
    before = await figure(
        f"new before {first.isoformat()}", partial(_between, session, first - timedelta(days=DAYS), first)
    )
    new = sum(days)
    all_of_them = await figure("customers", partial(_between, session))
    strip.append({"label": gettext("Customers"), "value": show_number(all_of_them), "note": None})
    strip.append(
        {
            "label": ngettext("New in %(n)s day", "New in %(n)s days", DAYS) % {"n": DAYS},
            "value": show_number(new),
            "note": gettext("%(n)s in the %(days)s days before") % {"n": show_number(before), "days": DAYS},
        }
    )
    dates = [first + timedelta(days=i) for i in range(DAYS)]
    most = max(range(DAYS), key=lambda i: days[i])
    sentence = gettext("%(n)s new customers in %(days)s days, most of them on %(day)s: %(most)s.") % {
        "n": show_number(new), "days": DAYS, "day": show_date(dates[most], "long"), "most": show_number(days[most]),
    }  # fmt: skip
    blocks.append(
        {
            "kind": "chart",
            "chart": {
                "id": "new-customers",
                "kind": "bars",
                "label": gettext("New customers by day"),
                "sentence": sentence if new else gettext("No new customers in %(days)s days.") % {"days": DAYS},
                "head": gettext("Day"),
                "series": [gettext("New customers")],
                "rows": [(show_date(d, "medium"), _short(d), [n]) for d, n in zip(dates, days, strict=True)],
                "url": "/admin/customer/list?sort=-registered_at",
            },
        }
    )


def _short(day: datetime) -> str:
    """Day and month, as the reader writes them: "14 Nov"."""
    return format_skeleton("MMMd", day, tzinfo=zone(), locale=locale())


async def _by_day(session: AsyncSession, first: datetime) -> list[int]:
    """New customers on each of the days from `first` on, in the reader's time zone: one range of the index."""
    ends = [(first + timedelta(days=i + 1)) for i in range(DAYS)]
    day = case(*((Customer.registered_at < end, i) for i, end in enumerate(ends)), else_=DAYS)
    counted = await session.execute(
        select(day.label("day"), func.count()).where(Customer.registered_at >= first).group_by("day")
    )
    found = {row[0]: row[1] for row in counted}
    return [found.get(i, 0) for i in range(DAYS)]


async def _between(session: AsyncSession, first: datetime | None = None, end: datetime | None = None) -> int:
    """How many customers were registered from `first` until before `end`; without both, all."""
    query = select(func.count()).select_from(Customer)
    if first is not None and end is not None:
        query = query.where(Customer.registered_at >= first, Customer.registered_at < end)
    return await session.scalar(query) or 0


# ---- money ----------------------------------------------------------------------------------------------------------


async def _money(session: AsyncSession, strip: list[dict[str, Any]], blocks: list[dict[str, Any]]) -> None:
    if scope.whose() is None:  # what is broken may be anybody's
        broken = invariants.breaches_of(await invariants.last(session))
        if broken:
            blocks.insert(0, {"kind": "breaches", "label": gettext("The books do not agree"),
                              "lines": [b.text for b in broken]})  # fmt: skip
    found = await figure("money by month", partial(incomes.figures, session))
    blocks += [{"kind": "income", "chart": chart} for chart in incomes.drawn(found)]


# ---- tickets --------------------------------------------------------------------------------------------------------


async def _tickets(
    request: Request, session: AsyncSession, strip: list[dict[str, Any]], blocks: list[dict[str, Any]]
) -> None:
    mine = Ticket.status == TicketStatus.OPEN
    n = await figure("tickets", partial(_waiting, session))
    query = select(Ticket).where(mine).options(joinedload(Ticket.customer), joinedload(Ticket.assigned))
    oldest = (await session.scalars(query.order_by(Ticket.updated_at).limit(SHOWN))).all()
    may_take = may(request, "ticket", "edit")
    rows = [_row(ticket, may_take) for ticket in oldest]
    text = show_number(n) if n < MOST else f"{MOST - 1}+"
    waits = gettext("longest wait: %(span)s") % {"span": rows[0]["waits"]} if rows else None
    strip.append({"label": gettext("Tickets that wait for us"), "value": text, "note": waits})
    url = "/admin/ticket/list?status.in=open&sort=updated_at"
    blocks.append({"kind": "tickets", "label": gettext("Waiting longest"), "count": text, "rows": rows, "url": url})


def _row(ticket: Ticket, may_take: bool) -> dict[str, Any]:
    seconds = (utcnow() - ticket.updated_at).total_seconds()
    who = str(ticket.assigned) if ticket.assigned is not None else ""
    return {
        "url": f"/admin/ticket/details/{ticket.id}",
        "subject": ticket.subject,
        "customer": ticket.customer.name,
        "since": ticket.updated_at,
        "waits": show_span(seconds),
        "late": seconds > LATE,
        "who": {"name": who, "initials": initials(who), "hue": hue_of(who)} if who else None,
        "take_url": f"/admin/ticket/action/take?pks={ticket.id}" if may_take and not who else None,
    }


async def _waiting(session: AsyncSession) -> int:
    open_ones = select(Ticket.id).where(Ticket.status == TicketStatus.OPEN).limit(MOST).subquery()
    return await session.scalar(select(func.count()).select_from(open_ones)) or 0
