"""Tickets: the staff inbox, the thread, the answer."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from starlette.datastructures import UploadFile
from starlette.requests import Request
from wtforms import BooleanField, MultipleFileField, TextAreaField, validators

from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press
from admin_views.base.cells import size
from admin_views.base.fields import plain
from admin_views.messaging.compose import chunks_of
from app import db
from app.domain import attachments, tickets
from app.i18n import _, gettext
from app.integrations.storage import DirectoryStorage
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus
from app.observe import actor


class AnswerForm(AppForm):
    text = TextAreaField(_("Answer"), [validators.InputRequired(), validators.Length(max=20_000), plain], render_kw={"rows": 10, "autofocus": True})  # fmt: skip
    internal = BooleanField(_("Internal note"), description=_("Only staff see it; the ticket keeps its state."))
    files = MultipleFileField(_("Attachments"))
    stored = LookupField(_("Files used before"), target="attachment", multiple=True)


class AnswerFlow(Flow):
    form = AnswerForm

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        """The thread above the answer would be better still; the card shows it."""
        return {}

    async def before(self, press: Press, form: AppForm) -> None:
        fields: Any = form
        settings = press.request.app.state.settings
        storage = DirectoryStorage(settings.data_dir / "attachments")
        for upload in fields.files.data or []:
            if isinstance(upload, UploadFile) and upload.filename:
                async with db.unit() as session:
                    stored = await attachments.add_attachment(
                        session, storage, name=upload.filename, content_type=upload.content_type or "",
                        chunks=chunks_of(upload), max_bytes=settings.max_upload_bytes, staff_id=actor.get().staff_id,
                    )  # fmt: skip
                fields.stored.data = [*fields.stored.ids, stored.id]
        fields.files.data = []

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        ticket, data = press.one, form.data
        await tickets.reply(
            session, ticket=ticket, text=data["text"], internal=data["internal"], staff_id=actor.get().staff_id,
            attachment_ids=data["stored"],
        )  # fmt: skip
        said = gettext("The note is written.") if data["internal"] else gettext("The answer is on its way.")
        return Done(said, url=f"/admin/ticket/details/{ticket.id}")


class AssignForm(AppForm):
    to = LookupField(_("Assign to"), target="staff")


async def assign(session: AsyncSession, chosen: list[Ticket], *, to: int | None) -> str:
    for ticket in chosen:
        await tickets.assign(session, ticket=ticket, staff_id=to)
    return gettext("Assigned.")


async def take(session: AsyncSession, chosen: list[Ticket]) -> str:
    for ticket in chosen:
        await tickets.assign(session, ticket=ticket, staff_id=actor.get().staff_id)
    return gettext("It is yours now.")


async def close(session: AsyncSession, chosen: list[Ticket]) -> str:
    for ticket in chosen:
        await tickets.close(session, ticket=ticket)
    return gettext("Closed.")


CARD = frozenset({"card"})


class Tickets(AppView, model=Ticket):
    name, name_plural, icon, category = _("Ticket"), _("Tickets"), "ticket", "Messages"
    can_create = can_delete = False
    leave_out = ("customer_id", "campaign_id", "status", "updated_at")
    search_hint = _("Number or subject")
    buttons = (
        Button("answer", _("Answer"), "message-2", on=frozenset({"row", "card"}), flow=AnswerFlow(), primary=True, grant="edit", submit=_("Send the answer")),
        Button("take", _("Take it"), "user", on=CARD, verb=take, grant="edit", shown=lambda t: t.assigned_id != actor.get().staff_id),
        Button("assign", _("Assign"), "users", on=frozenset({"card", "selection"}), verb=assign, form=AssignForm, grant="edit", more=True),
        Button("close", _("Close"), "check", on=frozenset({"card", "selection"}), verb=close, grant="edit", shown=lambda t: t.status is not TicketStatus.CLOSED),
    )  # fmt: skip

    @staticmethod
    def menu_count() -> Any:  # type: ignore[override]
        return select(Ticket.id).where(Ticket.status == TicketStatus.OPEN)

    def facts(self, obj: Ticket) -> list[Markup | str]:
        customer = Markup('<a href="/admin/customer/details/{}"><bdi>{}</bdi></a>').format(obj.customer_id, obj.customer.name)
        return [f"#{obj.id}", customer, *([obj.category.name] if obj.category else [])]

    def responsible(self, obj: Ticket) -> str | None:
        return str(obj.assigned) if obj.assigned else None

    async def sections(self, session: AsyncSession, obj: Ticket, request: Request) -> list[dict[str, Any]]:
        query = (
            select(TicketMessage)
            .where(TicketMessage.ticket_id == obj.id)
            .options(
                joinedload(TicketMessage.staff), joinedload(TicketMessage.user),
                selectinload(TicketMessage.attachments).joinedload(TicketAttachment.attachment),
            )
            .order_by(TicketMessage.id)
        )  # fmt: skip
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
            "author": author, "when": message.created_at, "mine": not message.from_customer, "internal": message.internal,
            "html": Markup('<p class="prewrap">{}</p>').format(message.text),
            "attachments": [
                {"name": a.attachment.name, "size": size(a.attachment.size), "url": f"/files/{a.attachment_id}"}
                for a in message.attachments
            ],
        }  # fmt: skip

    async def side(self, session: AsyncSession, obj: Ticket, request: Request) -> list[dict[str, Any]]:
        items = [{"label": c.label, "value": c.cell(obj)} for _g, columns in self.plan.details for c in columns if c.key != "subject"]  # fmt: skip
        return [{"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"] not in ("", None)]}]


__all__ = ["Tickets"]
