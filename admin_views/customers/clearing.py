"""Clearing personal data in the panel: what goes, what stays and why, before; and the report, afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from admin_views.access import may, may_press
from admin_views.base import AppForm, Button, Done, Flow, Press
from admin_views.base.cells import esc, ready
from app.domain import customers
from app.domain.customers.clearing import KEPT, WHY
from app.i18n import _, gettext, show_date, show_number
from app.models.audit import Audit, AuditDetail
from app.models.privacy import DataKind, DataRequest, DataState

GOES = (
    _("Name, contact, addresses, company data, notes, and what was entered when they registered."),
    _("Logins: nobody signs in any more, and all sessions end. Consent ends."),
    _("Tickets, mails and notes: what was written, and their files."),
    _("Messages: to which address they went, and what stood in their fields. They cannot be read again."),
    _("Payers who stand on no invoice; of the others phone, e-mail and contact person. Drafts of invoices."),
    _("In the audit: all values before and after."),
)


class ClearFlow(Flow):
    template = "sqladmin/clear.html"

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        refused = await customers.refusals_to_clear(press.session, press.one)
        kept = [] if refused else _said(await customers.kept_of(press.session, press.one))
        goes = [gettext(line) for line in GOES]
        return {"record_label": press.one.name, "refused": refused, "goes": goes, "kept": kept}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        await customers.clear(session, customer=press.one)
        return Done(gettext("The personal data is cleared. What is kept stands on the card."))


CLEAR = Button(
    "clear",
    _("Clear personal data"),
    "eraser",
    on=frozenset({"card"}),
    flow=ClearFlow(),
    danger=True,
    more=True,
    submit=_("Clear personal data"),
    shown=lambda c: c.cleared_at is None,
)


def _said(kept: Mapping[str, int]) -> list[dict[str, str]]:
    return [
        {"label": gettext(label), "n": show_number(kept[noun]), "why": gettext(WHY[why])}
        for noun, label, why in KEPT
        if kept.get(noun)
    ]


def instead(request: Request, customer_id: int) -> dict[str, str] | None:
    """What is offered where deleting is refused."""
    if not may_press(request, "customer", "clear"):
        return None
    return {"label": gettext("Clear personal data"), "url": CLEAR.url("customer", customer_id)}


async def report(session: AsyncSession, customer: Any) -> list[dict[str, Any]]:
    """What was kept of a customer whose data was cleared, and why."""
    if customer.cleared_at is None:
        return []
    payload = await session.scalar(
        select(AuditDetail.payload)
        .join(Audit, Audit.id == AuditDetail.audit_id)
        .where(Audit.noun == "customer", Audit.noun_id == customer.id, Audit.action == "clear")
        .order_by(Audit.id.desc())
        .limit(1)
        .execution_options(unscoped=True)
    )
    kept = json.loads(payload)["report"]["kept"] if payload else {}
    words = [esc(gettext("Cleared on %(day)s. Kept:") % {"day": show_date(customer.cleared_at)})] if kept else []
    for line in _said(kept):
        words.append(f'<span class="grow">{esc(line["label"])} <span class="faint">{esc(line["why"])}</span></span>'
                     f'<span class="num">{esc(line["n"])}</span>')  # fmt: skip
    return [{"label": gettext("Personal data cleared"), "kind": "words", "words": [ready(w) for w in words]}]


async def of_ticket(request: Request, session: AsyncSession, ticket: Any) -> list[dict[str, Any]]:
    """The way from a request for deletion to what answers it."""
    asked = select(DataRequest.id).where(
        DataRequest.ticket_id == ticket.id, DataRequest.kind == DataKind.DELETION,
        DataRequest.state == DataState.WAITING,
    )  # fmt: skip
    if await session.scalar(asked.limit(1)) is None:
        return []
    ways = [instead(request, ticket.customer_id)]
    if may(request, "customer", "delete"):
        ways.insert(0, {"label": gettext("Delete"), "url": f"/admin/customer/action/delete?pks={ticket.customer_id}"})
    words = [ready(f'<a href="{esc(way["url"])}">{esc(way["label"])}</a>') for way in ways if way is not None]
    return [{"label": gettext("They ask for deletion"), "kind": "words", "words": words}] if words else []
