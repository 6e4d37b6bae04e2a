"""The inbox, and a message exactly as it was sent: text in a frame of its own, files, an answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from markupsafe import Markup
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain import tickets
from app.domain.messaging.content import message_as_sent
from app.errors import Invalid, TooLarge
from app.flash import flash
from app.i18n import gettext, show_number
from app.models.messaging import Channel, Delivery
from app.web.auth import see_other
from app.web.client import files, finding, queries
from app.web.client.access import why_not
from app.web.client.area import HTML, Asked, me, respond
from app.web.files import download
from app.web.forms import ReplyForm, number, posted

LAST_PAGE = 1000
LETTER_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'"
)
"""For the HTML of a message: nothing runs, nothing is fetched from elsewhere, links open in a new tab."""
LETTER = Markup(
    '<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><meta name="color-scheme" content="light">'
    '<base target="_blank"><title>{title}</title><style>body{{margin:16px;font:15px/1.55 system-ui,sans-serif;'
    "color:#1b1f24;background:#fff;overflow-wrap:anywhere}}img{{max-width:100%}}a{{color:#0c667c}}"
    "pre{{overflow:auto}}blockquote{{margin:0;padding-inline-start:12px;border-inline-start:3px solid #d5dade}}"
    '</style></head><body dir="auto">{body}</body></html>'
)


SHOWN: dict[str, dict[str, Any]] = {
    "": {},
    "unread": {"unread_only": True},
    "messages": {"kind": "message"},
    "questions": {"kind": "ticket"},
}
"""Tab of the inbox -> what it is limited to."""


def _url(**asked: Any) -> str:
    query = urlencode({name: value for name, value in asked.items() if value})
    return "/client/messages" + (f"?{query}" if query else "")


@get("/client/messages", name="client.messages")
async def inbox(request: Asked) -> Response[Any]:
    view, customer_id = me(request)
    asked = request.query_params.get("page", "1")
    page = min(int(asked), LAST_PAGE) if asked.isascii() and asked.isdecimal() and 0 < len(asked) < 6 else 1
    page = max(page, 1)
    show = request.query_params.get("show", "")
    show = show if show in SHOWN else ""
    text = request.query_params.get("q", "").strip()[: finding.LONGEST]
    async with db.reads() as session:
        entries, more = await queries.inbox(
            session, customer_id, view.project_name, page=page, text=text, **SHOWN[show]
        )
        pager = None
        if page > 1 or more:
            pager = {
                "text": gettext("Page %(n)s") % {"n": page},
                "previous_url": _url(show=show, q=text, page=page - 1) if page > 1 else None,
                "next_url": _url(show=show, q=text, page=page + 1) if more else None,
            }
        unread = await queries.unread(session, customer_id)
        labels = {
            "": gettext("All"), "unread": gettext("Unread"), "messages": gettext("Messages"),
            "questions": gettext("Questions"),
        }  # fmt: skip
        counts = {"unread": sum(unread.values()), "messages": unread["messages"], "questions": unread["tickets"]}
        return await respond(
            request, session, "client/inbox.html", items=[e.shown() for e in entries], page=pager, show=show, q=text,
            tabs=[
                {"label": label, "url": _url(show=name, q=text), "current": name == show,
                 "count": show_number(counts[name]) if counts.get(name) else None}
                for name, label in labels.items()
            ],
            all_url=_url(show=show),
            new_url=None if why_not(view, "client.ticket.open") else "/client/tickets/new",
        )  # fmt: skip


async def _page(request: Asked, session: AsyncSession, key: int, form: ReplyForm, status: int = 200) -> Response[Any]:
    view, customer_id = me(request)
    delivery = await queries.delivery(session, customer_id, key)
    sent = await message_as_sent(session, delivery)
    base = f"/client/messages/{key}"
    read_url = f"{base}/read" if delivery.read_at is None and not why_not(view, "client.message.read") else None
    reason = why_not(view, "client.answer")
    message = {
        "subject": sent.message.subject, "from": sent.sender_name or view.project_name, "when": delivery.sent_at,
        "frame_url": f"{base}/body", "body_url": f"{base}/body", "lang": delivery.language,
        "attachments": files.listed(sent.attachments, f"{base}/files"), "read_only": reason, "read_url": read_url,
    }  # fmt: skip
    return await respond(
        request, session, "client/message.html", status, message=message, form=None if reason else form,
        inbox_url="/client/messages", reply_url=f"{base}/answer", read_url=read_url, limits=files.limits(request),
    )  # fmt: skip


@get("/client/messages/{key:str}", name="client.message")
async def message(request: Asked, key: FromPath[str]) -> Response[Any]:
    async with db.reads() as session:
        return await _page(request, session, number(key), ReplyForm())


@get("/client/messages/{key:str}/body", name="client.message.body")
async def body(request: Asked, key: FromPath[str]) -> Response[Any]:
    """The HTML of the message alone, for the frame; in a visit only there, where the banner stands around it."""
    view, customer_id = me(request)
    if view.is_visit and request.headers.get("sec-fetch-dest") == "document":
        return see_other(f"/client/messages/{number(key)}")
    async with db.reads() as session:
        delivery = await queries.delivery(session, customer_id, number(key))
        sent = await message_as_sent(session, delivery)
    # the HTML has passed nh3 when it was rendered
    html = LETTER.format(lang=delivery.language, title=sent.message.subject, body=Markup(sent.message.html))  # noqa: S704
    return Response(html, media_type=HTML, headers={"Content-Security-Policy": LETTER_CSP})


@get("/client/messages/{key:str}/files/{file:str}", name="client.message.file")
async def message_file(request: Asked, key: FromPath[str], file: FromPath[str]) -> Response[Any]:
    _view, customer_id = me(request)
    async with db.reads() as session:
        attachment = await queries.file_of_message(session, customer_id, number(key), number(file))
    return await download(request.app.state.storage, attachment)


async def _mark_read(session: AsyncSession, delivery: Delivery) -> None:
    await session.execute(
        update(Delivery)
        .where(
            Delivery.campaign_id == delivery.campaign_id, Delivery.customer_id == delivery.customer_id,
            Delivery.channel == Channel.INBOX, Delivery.read_at.is_(None),
        )
        .values(read_at=utcnow())
        .execution_options(synchronize_session=False)
    )  # fmt: skip


@post("/client/messages/{key:str}/read", name="client.message.read", status_code=200)
async def mark_read(request: Asked, key: FromPath[str]) -> Response[Any]:
    """Pressed by the reader, or posted by the script when the message has been looked at."""
    _view, customer_id = me(request)
    async with db.unit() as session:
        await _mark_read(session, await queries.delivery(session, customer_id, number(key)))
    return see_other(f"/client/messages/{number(key)}")


@post("/client/messages/{key:str}/answer", name="client.answer", status_code=200)
async def answer(request: Asked, key: FromPath[str]) -> Response[Any]:
    """An answer becomes a ticket."""
    view, customer_id = me(request)
    given = await posted(request)
    form = ReplyForm(given)
    async with db.reads() as session:
        delivery = await queries.delivery(session, customer_id, number(key))
    fits = form.validate()
    attached = await files.take(request, form, given)
    if fits and not form.errors:
        try:
            async with db.unit() as session:
                ticket = await tickets.answer_delivery(
                    session, campaign_id=delivery.campaign_id, customer_id=customer_id, user_id=view.user_id,
                    text=form.text.data or "", attachment_ids=attached,
                )  # fmt: skip
                if not view.is_visit:
                    await _mark_read(session, delivery)
        except (Invalid, TooLarge) as error:
            form.place(error, "text")
        else:
            flash(request.scope, "ok", gettext("Your answer is sent."))
            return see_other(f"/client/tickets/{ticket.id}")
    async with db.reads() as session:
        return await _page(request, session, number(key), form, 422)


HANDLERS = [inbox, message, body, message_file, mark_read, answer]
