"""The customer's own questions, and the talk that follows an answer."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain import tickets
from app.errors import Conflict, Invalid, TooLarge
from app.flash import flash
from app.i18n import gettext, language
from app.models import audit
from app.models.tickets import Ticket, TicketMessage, TicketStatus
from app.web.auth import see_other
from app.web.client import files, queries
from app.web.client.access import why_not
from app.web.client.area import Asked, me, respond
from app.web.files import download
from app.web.forms import QuestionForm, ReplyForm, choices, number, posted


def _message(message: TicketMessage, ticket_id: int, project: str) -> dict[str, Any]:
    if message.from_customer:
        author = str(message.user) if message.user else gettext("You")
        if message.staff is not None:
            author = gettext("%(name)s, on your behalf") % {"name": str(message.staff)}
    else:
        author = str(message.staff) if message.staff else project
    attached = sorted((a.attachment for a in message.attachments), key=lambda file: file.id)
    return {
        "author": author, "when": message.created_at, "mine": message.from_customer, "internal": False,
        "pieces": tickets.folded(message.text),
        "attachments": files.listed(attached, f"/client/tickets/{ticket_id}/files"),
    }  # fmt: skip


async def _page(
    request: Asked, session: AsyncSession, ticket_id: int, form: ReplyForm, status: int = 200
) -> Response[Any]:
    view, customer_id = me(request)
    ticket = await queries.ticket(session, customer_id, ticket_id)
    thread = await queries.thread(session, ticket.id)
    kind, words = queries.status_of(ticket)
    reason = why_not(view, "client.ticket.reply")
    base = f"/client/tickets/{ticket.id}"
    closable = ticket.status is not TicketStatus.CLOSED and not why_not(view, "client.ticket.close")
    unread = any(m.read_at is None and not m.from_customer for m in thread)
    return await respond(
        request, session, "client/ticket.html", status,
        ticket={
            "subject": ticket.subject, "number": ticket.id, "status": words, "status_kind": kind, "read_only": reason,
        },
        messages=[_message(m, ticket.id, view.project_name) for m in thread],
        form=None if reason else form, inbox_url="/client/messages", reply_url=f"{base}/reply",
        seen=thread[-1].id if thread else None, limits=files.limits(request),
        close_url=f"{base}/close" if closable else None,
        read_url=f"{base}/read" if unread and not why_not(view, "client.ticket.read") else None,
    )  # fmt: skip


@get("/client/tickets/{key:str}", name="client.ticket")
async def show(request: Asked, key: FromPath[str]) -> Response[Any]:
    async with db.reads() as session:
        return await _page(request, session, number(key), ReplyForm())


@get("/client/tickets/{key:str}/files/{file:str}", name="client.ticket.file")
async def ticket_file(request: Asked, key: FromPath[str], file: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        attachment = await queries.file_of_ticket(session, customer_id, number(key), number(file))
    return await download(request.app.state.storage, attachment)


async def _mark_read(session: AsyncSession, ticket: Ticket) -> None:
    rows = await session.scalars(
        update(TicketMessage)
        .where(
            TicketMessage.ticket_id == ticket.id, TicketMessage.from_customer.is_(False),
            TicketMessage.internal.is_(False), TicketMessage.read_at.is_(None),
        )
        .values(read_at=utcnow())
        .returning(TicketMessage.id)
        .execution_options(audited=True, synchronize_session=False)
    )  # fmt: skip
    if ids := list(rows.all()):
        await session.run_sync(lambda s: audit.write(s, "read", "ticket", ticket.id, {"messages": [None, ids]}))


@post("/client/tickets/{key:str}/read", name="client.ticket.read", status_code=200)
async def mark_read(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.unit() as session:
        await _mark_read(session, await queries.ticket(session, customer_id, number(key)))
    return see_other(f"/client/tickets/{number(key)}")


@post("/client/tickets/{key:str}/reply", name="client.ticket.reply", status_code=200)
async def reply(request: Asked, key: FromPath[str]) -> Response[Any]:
    view, customer_id = me(request)
    given = await posted(request)
    form = ReplyForm(given)
    async with db.reads() as session:
        ticket = await queries.ticket(session, customer_id, number(key))
    fits, seen = form.validate(), given.get("seen")
    attached = await files.take(request, form, given)
    if fits and not form.errors:
        try:
            async with db.unit() as session:
                await tickets.reply(
                    session, ticket_id=ticket.id, text=form.text.data or "", from_customer=True,
                    customer_id=customer_id, user_id=view.user_id, attachment_ids=attached,
                    seen=number(seen) if seen else None,
                )  # fmt: skip
                if not view.is_visit:
                    await _mark_read(session, ticket)
        except (Invalid, TooLarge, Conflict) as error:
            form.place(error, "text")
        else:
            flash(request.scope, "ok", gettext("Your answer is sent."))
            return see_other(f"/client/tickets/{number(key)}")
    async with db.reads() as session:
        return await _page(request, session, number(key), form, 422)


@post("/client/tickets/{key:str}/close", name="client.ticket.close", status_code=200)
async def close(request: Asked, key: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.unit() as session:
        ticket = await queries.ticket(session, customer_id, number(key))
        await tickets.close(session, ticket_id=ticket.id, customer_id=customer_id)
    flash(request.scope, "ok", gettext("The question is closed."))
    return see_other(f"/client/tickets/{number(key)}")


# ---- a new question -------------------------------------------------------------------------------------------


async def _form(session: AsyncSession, data: Any = None) -> QuestionForm:
    form = QuestionForm(data)
    offered = await queries.categories(session)
    form.category.choices = choices([(str(c.id), c.name_in(language())) for c in offered])
    if not offered:
        del form.category
    return form


async def _new(request: Asked, session: AsyncSession, form: QuestionForm, status: int = 200) -> Response[Any]:
    view, _customer_id = me(request)
    reason = why_not(view, "client.ticket.open")
    return await respond(
        request, session, "client/ticket.html", status,
        ticket={"subject": gettext("Ask a question"), "number": None, "status": None, "read_only": reason},
        messages=[], form=None if reason else form, inbox_url="/client/messages", reply_url="/client/tickets/new",
        limits=files.limits(request),
    )  # fmt: skip


@get("/client/tickets/new", name="client.ticket.new")
async def new(request: Asked) -> Response[Any]:
    async with db.reads() as session:
        return await _new(request, session, await _form(session))


@post("/client/tickets/new", name="client.ticket.open", status_code=200)
async def open_ticket(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    given = await posted(request)
    async with db.reads() as session:
        form = await _form(session, given)
    fits = form.validate()
    attached = await files.take(request, form, given)
    if fits and not form.errors:
        try:
            async with db.unit() as session:
                ticket = await tickets.open_ticket(
                    session, customer_id=customer_id, subject=form.subject.data or "", text=form.text.data or "",
                    from_customer=True, user_id=view.user_id, attachment_ids=attached,
                    category_id=number(form.category.data) if "category" in form else None,
                )  # fmt: skip
        except (Invalid, TooLarge) as error:
            form.place(error, "text")
        else:
            flash(request.scope, "ok", gettext("Your question is sent."))
            return see_other(f"/client/tickets/{ticket.id}")
    async with db.reads() as session:
        return await _new(request, session, form, 422)


HANDLERS = [new, open_ticket, show, ticket_file, mark_read, reply, close]
