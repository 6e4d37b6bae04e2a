"""The answer box, with the talk above it: on the card of a ticket, and as a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload
from starlette.requests import Request
from starlette.responses import JSONResponse
from wtforms import BooleanField, HiddenField, MultipleFileField, RadioField, TextAreaField, validators

from admin_views.attachments import store_uploads
from admin_views.base import AppForm, Done, Flow, LookupField, Press
from admin_views.base.fields import plain
from app.domain import tickets
from app.errors import Conflict, NotFound
from app.i18n import _, gettext, show_ago, show_bytes
from app.models.tickets import Ticket, TicketAttachment, TicketMessage, TicketStatus

THEN = {
    TicketStatus.ANSWERED.value: _("waits for the customer"),
    TicketStatus.CLOSED.value: _("is closed"),
    TicketStatus.OPEN.value: _("still waits for us"),
}


class AnswerForm(AppForm):
    text = TextAreaField(
        _("Answer"), [validators.InputRequired(), validators.Length(max=20_000), plain], render_kw={"rows": 8}
    )
    internal = BooleanField(_("Internal note"), description=_("Only staff see it; the ticket keeps its state."))
    then = RadioField(
        _("Then the ticket"),
        choices=list(THEN.items()),
        default=TicketStatus.ANSWERED.value,
        validate_choice=False,
        render_kw={"data-seg": "1"},
    )
    files = MultipleFileField(_("Attachments"))
    used_files = LookupField(_("Files used before"), target="attachment", multiple=True)
    take_over = BooleanField(_("Take the ticket over"), description=_("You answer it; your colleague is told."))
    seen = HiddenField()


class AnswerFlow(Flow):
    template = "sqladmin/ticket.html"
    form = AnswerForm

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        if posted is not None:
            return AnswerForm(posted)
        text = ""
        wanted = press.request.query_params.get("canned", "")
        if wanted.isascii() and wanted.isdecimal() and len(press.objects) == 1:
            ready = await tickets.canned_replies(press.session, ticket_id=press.one.id)
            text = next((c.text for c in ready if c.id == int(wanted)), "")
        return AnswerForm(data={"text": text})

    async def before(self, press: Press, form: AppForm) -> None:
        fields: Any = form
        await store_uploads(press, fields.files, fields.used_files)

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        ticket = press.one
        shown = await talk(press.session, ticket, cast(AnswerForm, form))
        side = await press.view.side(press.session, ticket, press.request)
        return {"talk": shown, "ticket": ticket, "side": side}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        ticket, data = press.one, form.data
        seen = data["seen"] or ""
        await tickets.reply(
            session,
            ticket_id=ticket.id,
            text=data["text"],
            from_customer=False,
            internal=data["internal"],
            attachment_ids=data["used_files"],
            then=TicketStatus(data["then"]) if data["then"] in THEN else None,
            seen=int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 19 else None,
            take_over=data["take_over"],
        )
        said = gettext("The note is written.") if data["internal"] else gettext("The answer is on its way.")
        return Done(said, url=f"/admin/ticket/details/{ticket.id}")


class LockForm(AppForm):
    take_over = BooleanField(
        _("Take the ticket over"), description=_("Also while a colleague answers it; they are told.")
    )


class LockFlow(Flow):
    """The page says so as soon as somebody writes; without scripts it is a button."""

    form = LockForm

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        script = press.request.headers.get("x-fragment") == "lock"
        try:
            await tickets.lock(session, ticket_id=press.one.id, take_over=form.data["take_over"])
        except Conflict as taken:
            if not script:
                raise
            return Done("", response=JSONResponse({"held": False, "said": str(taken)}))
        said = gettext("Others now see that you answer this ticket.")
        url = f"/admin/ticket/action/answer?pks={press.one.id}"
        return Done(said, url=url, response=JSONResponse({"held": True, "said": ""}) if script else None)


class UnlockFlow(Flow):
    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        await tickets.let_go(session, ticket_id=press.one.id)
        script = press.request.headers.get("x-fragment") == "lock"
        return Done(gettext("Others may answer it now."), response=JSONResponse({"held": False}) if script else None)


# ---- the talk -------------------------------------------------------------------------------------------------------


async def messages_of(session: AsyncSession, ticket: Ticket) -> Sequence[TicketMessage]:
    """All that was written, internal notes too, in order."""
    query = (
        select(TicketMessage)
        .where(TicketMessage.ticket_id == ticket.id)
        .options(
            joinedload(TicketMessage.staff),
            joinedload(TicketMessage.user),
            selectinload(TicketMessage.attachments).joinedload(TicketAttachment.attachment),
        )
        .order_by(TicketMessage.id)
    )
    return (await session.scalars(query)).all()


async def talk(session: AsyncSession, ticket: Ticket, form: AnswerForm | None) -> dict[str, Any]:
    """The context of ticket_talk.html. form: None for those who may only read."""
    messages = await messages_of(session, ticket)
    held = await tickets.lock_of(session, ticket.id)
    if form is not None:
        form.seen.data = str(messages[-1].id if messages else 0)
        if held is None or held.mine:
            del form.take_over
    return {
        "messages": [_message(m, ticket) for m in messages],
        "form": form,
        "pks": ticket.id,
        "lock": None
        if held is None or held.mine
        else gettext("%(who)s answers this ticket, since %(when)s.") % {"who": held.name, "when": show_ago(held.since)},
        "mine": held is not None and held.mine,
        "canned": await tickets.canned_replies(session, ticket_id=ticket.id) if form is not None else [],
    }


async def state(session: AsyncSession, request: Request) -> dict[str, Any]:
    """What a page that stands open asks for: who answers, and whether somebody has written since."""
    wanted, seen = (request.query_params.get(name, "") for name in ("id", "seen"))
    ticket = await session.scalar(select(Ticket).where(Ticket.id == _number(wanted)))
    if ticket is None:
        raise NotFound
    newer = select(TicketMessage.id).where(TicketMessage.ticket_id == ticket.id, TicketMessage.id > _number(seen))
    held = await tickets.lock_of(session, ticket.id)
    said = gettext("%(who)s answers this ticket just now.") % {"who": held.name} if held and not held.mine else ""
    return {"lock": said, "newer": await session.scalar(newer.limit(1)) is not None}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _message(message: TicketMessage, ticket: Ticket) -> dict[str, Any]:
    if message.from_customer:
        author = str(message.user or ticket.customer)
        if message.staff_id:
            author = gettext("%(staff)s for %(customer)s") % {"staff": message.staff, "customer": ticket.customer}
    elif message.sender:
        author = gettext("Mail of %(sender)s") % {"sender": message.sender}
    else:
        author = str(message.staff or (gettext("Bursar") if message.internal else gettext("Staff")))
    return {
        "author": author,
        "when": message.created_at,
        "mine": not message.from_customer,
        "internal": message.internal,
        "by_mail": message.from_customer and bool(message.email_id),
        "read": message.read_at is not None and not message.from_customer,
        "pieces": tickets.folded(message.text),
        "attachments": [
            {"name": a.attachment.name, "size": show_bytes(a.attachment.size), "url": f"/files/{a.attachment_id}"}
            for a in message.attachments
        ],
    }
