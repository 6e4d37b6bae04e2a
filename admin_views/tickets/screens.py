"""The staff inbox and the card of a ticket."""

from __future__ import annotations

import json
from datetime import timedelta
from statistics import median
from typing import Any

from markupsafe import Markup
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload
from starlette.requests import Request

from admin_views.access import may
from admin_views.base import AppForm, AppView, Button, LookupField, plan_of
from admin_views.base.cells import badge, ready, swatch
from admin_views.base.fields import ChoiceField
from admin_views.base.figures import figure
from admin_views.base.news import News
from admin_views.base.reading import names_of
from admin_views.customers.clearing import of_ticket
from admin_views.tickets.answering import AnswerFlow, AnswerForm, LockFlow, UnlockFlow, state, talk
from app import db
from app.db import utcnow
from app.domain import tickets
from app.i18n import _, gettext, language_name, show_ago, show_number, show_span
from app.models import scope
from app.models.audit import Audit, AuditDetail
from app.models.customers import Customer
from app.models.staff import Staff
from app.models.tickets import Ticket, TicketPriority, TicketStatus
from app.observe import actor
from app.render import page


class AssignForm(AppForm):
    to = LookupField(_("Assign to"), target="staff", description=_("Empty: nobody, it waits in the common inbox."))


class PriorityForm(AppForm):
    priority = ChoiceField(_("Priority"), kind=TicketPriority, default=TicketPriority.NORMAL.value)


async def assign(session: AsyncSession, chosen: list[Ticket], *, to: int | None) -> str:
    for ticket in chosen:
        await tickets.assign(session, ticket_id=ticket.id, staff_id=to)
    return gettext("Assigned.")


async def take(session: AsyncSession, chosen: list[Ticket]) -> str:
    for ticket in chosen:
        await tickets.assign(session, ticket_id=ticket.id, staff_id=actor.get().staff_id)
    return gettext("It is yours now.")


async def close(session: AsyncSession, chosen: list[Ticket]) -> str:
    for ticket in chosen:
        await tickets.close(session, ticket_id=ticket.id)
    return gettext("Closed.")


async def reopen(session: AsyncSession, chosen: list[Ticket]) -> str:
    for ticket in chosen:
        await tickets.reopen(session, ticket_id=ticket.id)
    return gettext("It waits for us again.")


async def prioritise(session: AsyncSession, chosen: list[Ticket], *, priority: str) -> str:
    for ticket in chosen:
        await tickets.set_priority(session, ticket_id=ticket.id, priority=TicketPriority(priority))
    return gettext("The priority is set.")


CARD = frozenset({"card"})
MANY = frozenset({"card", "selection"})
COUNTED_FOR = 3.0
"""Seconds that a figure of a tab may be old."""
COUNTED = 999
DAYS = 30
"""Of how many days the usual time to the first answer is."""
SAMPLE = 500
HISTORY = 30


class Tickets(AppView, model=Ticket):
    name, name_plural, icon, category = _("Ticket"), _("Tickets"), "ticket", "Messages"
    purpose = _("Conversations with customers. A ticket begins when a customer asks or answers.")
    can_create = can_delete = False
    leave_out = ("customer_id", "campaign_id", "status", "updated_at", "first_answered_at")
    search_hint = _("Number or subject")
    bulk = ("assigned", "priority", "category")
    letter, in_palette, palette_hints = "t", True, ("customer_id", "status")
    buttons = (
        Button("answer", _("Answer"), "message-2", on=frozenset({"row"}), flow=AnswerFlow(), primary=True, grant="edit",
               submit=_("Send the answer")),
        Button("take", _("Take it"), "user", on=MANY, verb=take, grant="edit",
               shown=lambda t: t.assigned_id != actor.get().staff_id),
        Button("assign", _("Assign"), "users", on=MANY, verb=assign, form=AssignForm, grant="edit"),
        Button("close", _("Close"), "check", on=MANY, verb=close, grant="edit",
               shown=lambda t: t.status is not TicketStatus.CLOSED),
        Button("reopen", _("Waits for us"), "inbox", on=CARD, verb=reopen, grant="edit", more=True,
               shown=lambda t: t.status is not TicketStatus.OPEN,
               lede=_("The ticket goes back among those that wait for an answer.")),
        Button("priority", _("Priority"), "flag", on=MANY, verb=prioritise, form=PriorityForm, grant="edit", more=True),
        Button("lock", _("I am answering"), "lock", on=frozenset(), flow=LockFlow(), grant="edit",
               lede=_("Others see it, for two minutes or as long as you write.")),
        Button("unlock", _("Leave it to others"), "lock-open", on=frozenset(), flow=UnlockFlow(), grant="edit"),
    )  # fmt: skip

    # ---- the inbox ------------------------------------------------------------------------------------------------

    def waiting(self) -> Select[Any]:
        return select(Ticket.id).where(Ticket.status == TicketStatus.OPEN)

    def news(self, staff_id: int) -> tuple[News, ...]:
        mine = (Ticket.assigned_id == staff_id, Ticket.status == TicketStatus.OPEN)
        free = (Ticket.assigned_id.is_(None), Ticket.status == TicketStatus.OPEN)
        return (
            News(_("Wait for your answer"), "ticket", mine, Ticket.updated_at, "warn", "customer_id"),
            News(_("Wait for somebody to take them"), "inbox", free, Ticket.updated_at, hint="customer_id"),
        )

    async def above(self, session: AsyncSession, query: str) -> dict[str, Any]:
        me = actor.get().staff_id
        opened = Ticket.status == TicketStatus.OPEN
        tabs: tuple[tuple[str, str, tuple[ColumnElement[bool], ...] | None], ...] = (
            (_("Mine"), f"assigned.in={me}&status.in=open&sort=updated_at", (Ticket.assigned_id == me, opened)),
            (_("Nobody's"), "assigned.is_empty=yes&status.in=open&sort=updated_at",
             (Ticket.assigned_id.is_(None), opened)),
            (_("Wait for us"), "status.in=open&sort=updated_at", (opened,)),
            (_("Wait for customers"), "status.in=answered&sort=-updated_at", None),
            (_("All"), "", None),
        )  # fmt: skip
        views = [
            {
                "label": gettext(label),
                "url": f"{self.list_url}?{params}" if params else self.list_url,
                "current": query == params,
                "count": await _counted(session, params, where) if where else None,
            }
            for label, params, where in tabs
        ]
        usual = await figure("first answer", lambda: _usual(session))
        said = gettext("First answer usually after %(span)s (last %(days)s days)") % {
            "span": show_span(usual), "days": DAYS,
        }  # fmt: skip
        return {"views": views, "help": said if usual else ""}

    # ---- the card -------------------------------------------------------------------------------------------------

    def card_options(self) -> list[Any]:
        of_customer = joinedload(Ticket.customer)
        return [
            *super().card_options(),
            of_customer.joinedload(Customer.project),
            of_customer.joinedload(Customer.attitude),
            of_customer.joinedload(Customer.responsible),
        ]

    def facts(self, obj: Ticket) -> list[Markup | str]:
        customer = Markup('<a href="/admin/customer/details/{}"><bdi>{}</bdi></a>').format(
            obj.customer_id, obj.customer.name
        )
        shown: list[Markup | str] = [self.shown_id(obj), customer]
        if obj.category:
            shown.append(obj.category.name)
        if obj.priority is not TicketPriority.NORMAL:
            shown.append(ready(badge(obj.priority)))
        return shown

    def responsible(self, obj: Ticket) -> str | None:
        return str(obj.assigned) if obj.assigned else None

    async def sections(self, session: AsyncSession, obj: Ticket, request: Request) -> list[dict[str, Any]]:
        form = AnswerForm() if plan_of(request, self).may("edit") else None
        html = page("sqladmin/ticket_talk.html", talk=await talk(session, obj, form))
        shown: list[dict[str, Any]] = [
            {"label": gettext("Conversation"), "kind": "html", "html": Markup(html)}  # noqa: S704
        ]
        if events := await _history(session, obj):
            shown.append({"label": gettext("History"), "kind": "words", "words": events})
        return shown

    async def side(self, session: AsyncSession, obj: Ticket, request: Request) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = await of_ticket(request, session, obj)
        if may(request, "customer", "details"):
            shown.append({"label": gettext("Customer"), "kind": "kv", "items": _customer(obj.customer)})
        items = [
            {"label": c.label, "value": ready(c.cell(obj))}
            for _g, columns in plan_of(request, self).details
            for c in columns
            if c.key not in ("subject", "customer_id", "first_answered_at")
        ]
        items.append({"label": gettext("First answer"), "value": _first_answer(obj)})
        shown.append(
            {"label": gettext("Ticket"), "kind": "kv", "items": [i for i in items if i["value"] not in ("", None)]}
        )
        if others := await _others(session, obj):
            url = f"/admin/ticket/list?pin={obj.customer_id}"
            shown.append({"label": gettext("Other tickets"), "kind": "words", "words": others, "url": url})
        return shown

    # ---- for the scripts of the page --------------------------------------------------------------------------------

    async def data_canned(self, session: AsyncSession, request: Request) -> dict[str, Any]:
        """The canned replies that fit a ticket, filled in."""
        ticket = await self.load(session, request.query_params.get("id", ""))
        found = await tickets.canned_replies(session, ticket_id=ticket.id)
        return {"replies": [{"id": c.id, "name": c.name, "language": c.language, "text": c.text} for c in found]}

    async def data_state(self, session: AsyncSession, request: Request) -> dict[str, Any]:
        """Who answers a ticket, and whether somebody has written since the message `seen`."""
        return await state(session, request)


async def _counted(session: AsyncSession, tab: str, where: tuple[ColumnElement[bool], ...]) -> str | None:
    """How many tickets a tab holds, a few seconds old; None for none."""

    async def make() -> int:
        few = select(Ticket.id).where(*where).limit(COUNTED + 1).subquery()
        return await session.scalar(select(func.count()).select_from(few)) or 0

    n = await db.kept().of(("ticket tab", tab, actor.get().staff_id, scope.whose()), make, COUNTED_FOR)
    return (show_number(n) if n <= COUNTED else f"{COUNTED}+") if n else None


async def _usual(session: AsyncSession) -> float:
    """Seconds until half of the tickets had their first answer, of the latest; 0 when there are none."""
    rows = await session.execute(
        select(Ticket.created_at, Ticket.first_answered_at)
        .where(Ticket.first_answered_at > utcnow() - timedelta(days=DAYS))
        .order_by(Ticket.first_answered_at.desc())
        .limit(SAMPLE)
    )
    spans = [(answered - created).total_seconds() for created, answered in rows if answered is not None]
    return max(median(spans), 1.0) if spans else 0.0


def _first_answer(ticket: Ticket) -> str:
    if ticket.first_answered_at is not None:
        after = (ticket.first_answered_at - ticket.created_at).total_seconds()
        return gettext("after %(span)s") % {"span": show_span(max(after, 1))}
    if ticket.status is not TicketStatus.OPEN:
        return ""
    waits = (utcnow() - ticket.created_at).total_seconds()
    return gettext("waits for %(span)s") % {"span": show_span(max(waits, 1))}


def _customer(customer: Customer) -> list[dict[str, Any]]:
    name = Markup('<a href="/admin/customer/details/{}"><bdi>{}</bdi></a>').format(customer.id, customer.name)
    items = [
        (_("Name"), name),
        (_("Contact person"), customer.contact_person),
        (_("Project"), ready(swatch(customer.project.hue, customer.project.name))),
        (_("Status"), ready(badge(customer.status))),
        (_("Attitude"), ready(swatch(customer.attitude.hue, customer.attitude.name, round=True))
         if customer.attitude else ""),
        (_("E-mail"), Markup('<a href="mailto:{0}"><bdi>{0}</bdi></a>').format(customer.email) if customer.email
         else ""),
        (_("Phone"), customer.phone),
        (_("Language"), language_name(customer.language) if customer.language else ""),
        (_("Responsible"), str(customer.responsible) if customer.responsible else ""),
    ]  # fmt: skip
    return [{"label": gettext(label), "value": value} for label, value in items if value]


async def _others(session: AsyncSession, ticket: Ticket) -> list[Markup]:
    found = await session.scalars(
        select(Ticket)
        .where(Ticket.customer_id == ticket.customer_id, Ticket.id != ticket.id)
        .order_by(Ticket.updated_at.desc())
        .limit(5)
    )
    return [
        Markup('<a class="grow cut" href="/admin/ticket/details/{}"><bdi>{}</bdi></a> {}').format(
            t.id, t.subject, ready(badge(t.status))
        )
        for t in found
    ]


TOLD = {"status": TicketStatus, "priority": TicketPriority}


async def _history(session: AsyncSession, ticket: Ticket) -> list[Markup]:
    """What was done to the ticket, the newest first: out of the audit, for everybody who may see the ticket."""
    rows = (
        await session.execute(
            select(Audit.at, Audit.action, Audit.staff_id, AuditDetail.payload)
            .outerjoin(AuditDetail, AuditDetail.audit_id == Audit.id)
            .where(Audit.noun == "ticket", Audit.noun_id == ticket.id, Audit.action.in_(("update", "take_over")))
            .order_by(Audit.id.desc())
            .limit(HISTORY)
            .execution_options(unscoped=True)
        )
    ).all()
    changes = [(row, json.loads(row.payload) if row.payload else {}) for row in rows]
    ids = {row.staff_id for row in rows} | {i for _row, c in changes for i in c.get("assigned_id", ())}
    names = await names_of(session, Staff, [i for i in ids if isinstance(i, int)])
    shown = []
    for row, change in changes:
        who = names.get(row.staff_id, gettext("Bursar") if row.staff_id is None else f"#{row.staff_id}")
        shown += [
            Markup('<span class="grow"><bdi>{}</bdi> {}</span> <span class="faint small">{}</span>').format(
                who, what, show_ago(row.at)
            )
            for what in _done(row.action, change, names)
        ]
    return shown


def _done(action: str, change: dict[str, Any], names: dict[int, str]) -> list[str]:
    """A change in words."""
    if action == "take_over":
        before = str(change.get("answering", [""])[0])
        return [gettext("took the answer over from %(name)s") % {"name": before}]
    said = []
    for name, kind in TOLD.items():
        if name in change and change[name][1] in {m.value for m in kind}:
            said.append(gettext("set “%(value)s”") % {"value": kind(change[name][1]).label})
    if "assigned_id" in change:
        to = change["assigned_id"][1]
        said.append(
            gettext("assigned it to %(name)s") % {"name": names.get(to, f"#{to}")} if to else gettext("gave it back")
        )
    return said


__all__ = ["Tickets"]
