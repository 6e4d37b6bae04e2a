"""What became of a campaign, on its card: totals by language and channel, and when they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from babel.dates import format_time
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import may
from admin_views.base.figures import figure
from app.domain.messaging import report, tracking
from app.i18n import gettext, language_name, locale, ngettext, show_date, show_number, show_span, zone
from app.models.consent import EventKind
from app.models.messaging import Campaign, Channel, DeliveryState
from app.render import page

COLUMNS = (
    (DeliveryState.SENT,), (DeliveryState.FAILED,), (DeliveryState.REVIEW,), (DeliveryState.SKIPPED,),
    (DeliveryState.DUE, DeliveryState.LEASED),
)  # fmt: skip


async def sections(session: AsyncSession, campaign: Campaign, request: Request) -> list[dict[str, Any]]:
    """The report; nothing while nothing is chosen, or for who may not look at deliveries."""
    if campaign.started_at is None or not may(request, "delivery", "list"):
        return []
    name = f"campaign {campaign.id} {campaign.version}"
    totals = await figure(f"{name} totals", partial(report.totals, session, campaign_id=campaign.id))
    if not totals:
        return []
    line = await figure(f"{name} timeline", partial(report.timeline, session, campaign_id=campaign.id))
    export = f"/admin/delivery/action/export?all=1&campaign.in={campaign.id}"
    made: list[dict[str, Any]] = [
        {
            "label": gettext("By language"),
            "kind": "html",
            "html": Markup(  # noqa: S704 - a template of ours
                page("sqladmin/campaign_report.html", report=_table(campaign, totals),
                     export_url=export if may(request, "delivery", "export") else None)
            ),
        }
    ]  # fmt: skip
    tracked = await figure(f"{name} events", partial(tracking.counts, session, campaign_id=campaign.id))
    if tracked.on:
        made.append(_answers(tracked))
    if tracked.hard or tracked.soft or tracked.complaints:
        made.append(_came_back(tracked))
    if len(line.columns) > 1:
        made.insert(0, {"label": "", "kind": "chart", "chart": _chart(line)})
    return made


def _answers(tracked: tracking.Tracked) -> dict[str, Any]:
    """What recipients did with it, where a project counts that."""
    rows = [
        (gettext("Opened"), show_number(tracked.opened), show_number(tracked.opens)),
        (gettext("Clicked"), show_number(tracked.clicked), show_number(tracked.clicks)),
        *((link.url, show_number(link.messages), show_number(link.times)) for link in tracked.links),
    ]
    columns = [gettext("What"), gettext("Messages"), gettext("Times")]
    return {"label": gettext("Opened and clicked"), "kind": "table", "columns": columns, "rows": rows}


def _came_back(tracked: tracking.Tracked) -> dict[str, Any]:
    """Messages that mail servers sent back, and those that recipients have called unwanted."""
    found = {
        EventKind.HARD_BOUNCE: tracked.hard, EventKind.SOFT_BOUNCE: tracked.soft,
        EventKind.COMPLAINT: tracked.complaints,
    }  # fmt: skip
    rows = [(str(kind.label), show_number(n)) for kind, n in found.items() if n]
    return {
        "label": gettext("Came back"), "kind": "table", "columns": [gettext("What"), gettext("Messages")], "rows": rows,
    }  # fmt: skip


def _table(campaign: Campaign, totals: Mapping[tuple[str, Channel], Mapping[DeliveryState, int]]) -> dict[str, Any]:
    url = f"/admin/campaign/details/{campaign.id}?tab=delivery"
    shown = [states for states in COLUMNS if any(n.get(s) for n in totals.values() for s in states)]

    def cells(by_state: Mapping[DeliveryState, int], extra: str) -> list[dict[str, Any]]:
        made = []
        for states in shown:
            n = sum(by_state.get(s, 0) for s in states)
            asked = f"&state.in={','.join(s.value for s in states)}"
            made.append({"n": n, "url": f"{url}{asked}{extra}" if n else None})
        return made

    whole: dict[DeliveryState, int] = {}
    for by_state in totals.values():
        for state, n in by_state.items():
            whole[state] = whole.get(state, 0) + n
    return {
        "columns": [str(states[0].label) for states in shown],
        "rows": [
            {
                "language": language_name(language),
                "channel": str(channel.label),
                "cells": cells(by_state, f"&language.in={language}&channel.in={channel.value}"),
            }
            for (language, channel), by_state in totals.items()
        ],
        "all": cells(whole, "") if len(totals) > 1 else [],
    }


def _chart(line: report.Timeline) -> dict[str, Any]:
    rows = [
        (_when(begin, line.step), _short(begin, line.step), [n.get(c, 0) for c in (Channel.EMAIL, Channel.INBOX)])
        for begin, n in line.columns.items()
    ]
    total = sum(sum(numbers) for _label, _short_label, numbers in rows)
    most = max(rows, key=lambda row: sum(row[2]))
    sentence = ngettext("%(n)s message sent, most of them at %(at)s: %(most)s.",
                        "%(n)s messages sent, most of them at %(at)s: %(most)s.", total)  # fmt: skip
    return {
        "id": "timeline",
        "label": gettext("Sent in %(span)s") % {"span": show_span(line.step)},
        "kind": "bars",
        "sentence": sentence % {"n": show_number(total), "at": most[0], "most": show_number(sum(most[2]))},
        "head": gettext("From"),
        "series": [str(Channel.EMAIL.label), str(Channel.INBOX.label)],
        "rows": rows,
    }


def _when(begin: datetime, step: int) -> str:
    return show_date(begin) if step >= 86_400 else f"{show_date(begin, 'short')} {_clock(begin, step)}"


def _short(begin: datetime, step: int) -> str:
    return show_date(begin, "short") if step >= 86_400 else _clock(begin, step)


def _clock(begin: datetime, step: int) -> str:
    return format_time(begin, "medium" if step < 60 else "short", tzinfo=zone(), locale=locale())
