"""The first page of the panel: what is new and what waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from starlette.requests import Request

from admin_views.access import may
from admin_views.base.cells import badge, moment, ready
from app.db import utcnow
from app.i18n import gettext, show_number
from app.models.customers import Customer, CustomerStatus
from app.models.jobs import Job, JobState
from app.models.messaging import Campaign
from app.models.tickets import Ticket, TicketStatus


def _listing(identity: str, icon: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "identity": identity,
        "columns": [],
        "rows": rows,
        "page": None,
        "totals": [],
        "empty": {"icon": icon, "line": gettext("Nothing here yet"), "action_label": None, "action_url": None},
    }


async def context(request: Request, session: AsyncSession) -> dict[str, Any]:
    """Figures and short lists; each only with the grant to see its screen."""
    strip: list[dict[str, Any]] = []
    sections: list[dict[str, Any]] = []
    if may(request, "customer", "list"):
        await _customers(session, strip, sections)
    if may(request, "ticket", "list"):
        await _tickets(session, strip, sections)
    if may(request, "campaign", "list"):
        await _campaigns(session, strip, sections)
    if may(request, "job", "list"):
        failed = await session.scalar(select(func.count()).select_from(Job).where(Job.state == JobState.FAILED)) or 0
        waiting = (
            await session.scalar(
                select(func.count()).select_from(Job).where(Job.state.in_([JobState.DUE, JobState.RUNNING]))
            )
            or 0
        )
        note = (
            Markup('<a class="t-bad" href="/admin/job/list?state.in=failed">{}</a>').format(
                gettext("%(n)s failed") % {"n": show_number(failed)}
            )
            if failed
            else None
        )
        strip.append({"label": gettext("Jobs waiting"), "value": show_number(waiting), "note": note})
    hello = gettext("Hello %(name)s") % {"name": request.session["name"]}
    return {"strip": strip, "sections": sections, "welcome": hello}


async def _customers(session: AsyncSession, strip: list[dict[str, Any]], sections: list[dict[str, Any]]) -> None:
    by_status = select(Customer.status, func.count()).group_by(Customer.status)
    counts = dict((await session.execute(by_status)).all())
    week = (
        await session.scalar(
            select(func.count()).select_from(Customer).where(Customer.registered_at > utcnow() - timedelta(days=7))
        )
        or 0
    )
    note = gettext("%(n)s new this week") % {"n": show_number(week)}
    strip.append({"label": gettext("Customers"), "value": show_number(sum(counts.values())), "note": note})
    strip.append(
        {
            "label": gettext("With active services"),
            "value": show_number(counts.get(CustomerStatus.ACTIVE, 0)),
            "note": None,
        }
    )
    newest = (
        await session.scalars(
            select(Customer).options(joinedload(Customer.project)).order_by(Customer.registered_at.desc()).limit(6)
        )
    ).all()
    rows = [
        {
            "pk": c.id,
            "label": c.name,
            "url": f"/admin/customer/details/{c.id}",
            "actions": [],
            "cells": [
                {"css": "meta", "html": c.project.name},
                {"css": "state", "html": ready(moment(c.registered_at))},
            ],
        }
        for c in newest
    ]
    sections.append(
        {
            "label": gettext("New customers"),
            "kind": "listing",
            "listing": _listing("customer", "users", rows),
            "url": "/admin/customer/list?sort=-registered_at",
        }
    )


async def _tickets(session: AsyncSession, strip: list[dict[str, Any]], sections: list[dict[str, Any]]) -> None:
    mine = Ticket.status == TicketStatus.OPEN
    n = await session.scalar(select(func.count()).select_from(Ticket).where(mine)) or 0
    strip.append({"label": gettext("Tickets that wait for us"), "value": show_number(n), "note": None})
    oldest = (
        await session.scalars(
            select(Ticket).where(mine).options(joinedload(Ticket.customer)).order_by(Ticket.updated_at).limit(6)
        )
    ).all()
    rows = [
        {
            "pk": t.id,
            "label": t.subject,
            "url": f"/admin/ticket/details/{t.id}",
            "actions": [],
            "cells": [{"css": "meta", "html": t.customer.name}, {"css": "state", "html": ready(moment(t.updated_at))}],
        }
        for t in oldest
    ]
    sections.append(
        {
            "label": gettext("Waiting longest"),
            "kind": "listing",
            "listing": _listing("ticket", "ticket", rows),
            "url": "/admin/ticket/list?status.in=open",
        }
    )


async def _campaigns(session: AsyncSession, strip: list[dict[str, Any]], sections: list[dict[str, Any]]) -> None:
    latest = (await session.scalars(select(Campaign).order_by(Campaign.id.desc()).limit(6))).all()
    rows = [
        {
            "pk": c.id,
            "label": c.subject,
            "url": f"/admin/campaign/details/{c.id}",
            "actions": [],
            "cells": [{"css": "meta", "html": show_number(c.total)}, {"css": "state", "html": ready(badge(c.state))}],
        }
        for c in latest
    ]
    sections.append(
        {
            "label": gettext("Latest campaigns"),
            "kind": "listing",
            "listing": _listing("campaign", "send", rows),
            "url": "/admin/campaign/list",
        }
    )
