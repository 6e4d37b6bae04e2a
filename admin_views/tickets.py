"""Tickets: the staff inbox, the thread, the answer."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from starlette.requests import Request
from wtforms import BooleanField, MultipleFileField, TextAreaField, validators

from admin_views.attachments import store_uploads
from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press, plan_of
from admin_views.base.cells import ready
from admin_views.base.fields import plain
from admin_views.base.news import News
from app.domain import tickets
from app.i18n import _, gettext, show_bytes
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus
from app.observe import actor


class AnswerForm(AppForm):
    text = TextAreaField(
        _("Answer"),
        [validators.InputRequired(), validators.Length(max=20_000), plain],
        render_kw={"rows": 10, "autofocus": True},
    )
    internal = BooleanField(_("Internal note"), description=_("Only staff see it; the ticket keeps its state."))
    files = MultipleFileField(_("Attachments"))
    used_files = LookupField(_("Files used before"), target="attachment", multiple=True)


class AnswerFlow(Flow):
    form = AnswerForm

    async def before(self, press: Press, form: AppForm) -> None:
        fields: Any = form
        await store_uploads(press, fields.files, fields.used_files)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        ticket, data = press.one, form.data
        await tickets.reply(
            session,
            ticket_id=ticket.id,
            text=data["text"],
            from_customer=False,
            internal=data["internal"],
            attachment_ids=data["used_files"],
        )
        said = gettext("The note is written.") if data["internal"] else gettext("The answer is on its way.")
        return Done(said, url=f"/admin/ticket/details/{ticket.id}")


class AssignForm(AppForm):
    to = LookupField(_("Assign to"), target="staff")


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


CARD = frozenset({"card"})


class Tickets(AppView, model=Ticket):
    name, name_plural, icon, category = _("Ticket"), _("Tickets"), "ticket", "Messages"
    purpose = _("Conversations with customers. A ticket begins when a customer asks or answers.")
    can_create = can_delete = False
    leave_out = ("customer_id", "campaign_id", "status", "updated_at")
    search_hint = _("Number or subject")
    letter, in_palette, palette_hints = "t", True, ("customer_id", "status")
    buttons = (
        Button(
            "answer",
            _("Answer"),
            "message-2",
            on=frozenset({"row", "card"}),
            flow=AnswerFlow(),
            primary=True,
            grant="edit",
            submit=_("Send the answer"),
        ),
        Button(
            "take",
            _("Take it"),
            "user",
            on=CARD,
            verb=take,
            grant="edit",
            shown=lambda t: t.assigned_id != actor.get().staff_id,
        ),
        Button(
            "assign",
            _("Assign"),
            "users",
            on=frozenset({"card", "selection"}),
            verb=assign,
            form=AssignForm,
            grant="edit",
            more=True,
        ),
        Button(
            "close",
            _("Close"),
            "check",
            on=frozenset({"card", "selection"}),
            verb=close,
            grant="edit",
            shown=lambda t: t.status is not TicketStatus.CLOSED,
        ),
    )

    def waiting(self) -> Select[Any]:
        return select(Ticket.id).where(Ticket.status == TicketStatus.OPEN)

    def news(self, staff_id: int) -> tuple[News, ...]:
        mine = (Ticket.assigned_id == staff_id, Ticket.status == TicketStatus.OPEN)
        free = (Ticket.assigned_id.is_(None), Ticket.status == TicketStatus.OPEN)
        return (
            News(_("Wait for your answer"), "ticket", mine, Ticket.updated_at, "warn", "customer_id"),
            News(_("Wait for somebody to take them"), "inbox", free, Ticket.updated_at, hint="customer_id"),
        )

    def facts(self, obj: Ticket) -> list[Markup | str]:
        customer = Markup('<a href="/admin/customer/details/{}"><bdi>{}</bdi></a>').format(
            obj.customer_id, obj.customer.name
        )
        return [self.shown_id(obj), customer, *([obj.category.name] if obj.category else [])]

    def responsible(self, obj: Ticket) -> str | None:
        return str(obj.assigned) if obj.assigned else None

    async def sections(self, session: AsyncSession, obj: Ticket, request: Request) -> list[dict[str, Any]]:
        query = (
            select(TicketMessage)
            .where(TicketMessage.ticket_id == obj.id)
            .options(
                joinedload(TicketMessage.staff),
                joinedload(TicketMessage.user),
                selectinload(TicketMessage.attachments).joinedload(TicketAttachment.attachment),
            )
            .order_by(TicketMessage.id)
        )
        messages = [self._message(m, obj) for m in (await session.scalars(query)).all()]
        return [{"label": gettext("Conversation"), "kind": "thread", "messages": messages}]

    @staticmethod
    def _message(message: TicketMessage, ticket: Ticket) -> dict[str, Any]:
        if message.from_customer:
            author = str(message.user or ticket.customer)
            if message.staff_id:
                author = gettext("%(staff)s for %(customer)s") % {"staff": message.staff, "customer": ticket.customer}
        else:
            author = str(message.staff or gettext("Staff"))
        return {
            "author": author,
            "when": message.created_at,
            "mine": not message.from_customer,
            "internal": message.internal,
            "html": Markup('<p class="prewrap">{}</p>').format(message.text),
            "attachments": [
                {"name": a.attachment.name, "size": show_bytes(a.attachment.size), "url": f"/files/{a.attachment_id}"}
                for a in message.attachments
            ],
        }

    async def side(self, session: AsyncSession, obj: Ticket, request: Request) -> list[dict[str, Any]]:
        items = [
            {"label": c.label, "value": ready(c.cell(obj))}
            for _g, columns in plan_of(request, self).details
            for c in columns
            if c.key != "subject"
        ]
        return [
            {"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"] not in ("", None)]}
        ]


__all__ = ["Tickets"]
