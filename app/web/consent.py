"""What links in mails lead to, for people who are not signed in: being left alone, and links and pictures that count.

Looking at the page of an unsubscribe link changes nothing, so programs that follow every link do no harm.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get, post
from litestar.params import FromPath
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app import cookies, db
from app.domain.messaging import consent, headers, tracking
from app.domain.messaging.consent import Addressee
from app.errors import AppError, NotFound
from app.i18n import LANGUAGES, _, best, language, speaking
from app.models.consent import EventKind
from app.models.messaging import Channel
from app.models.projects import Project
from app.observe import log
from app.web import render
from app.web.auth import see_other
from app.web.forms import posted

Asked = Request[Any, Any, Any]
GONE = _("This link does not work any more. Sign in to choose which messages you get.")
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
    b"\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


# ---- unsubscribe ----------------------------------------------------------------------------------------------------


async def _reader(session: AsyncSession, token: str) -> Addressee:
    message_id = headers.message_of(token)
    if message_id is None:
        raise NotFound(GONE)
    try:
        return await consent.addressee(session, message_id)
    except NotFound:
        raise NotFound(GONE) from None


def _spoken(request: Asked, to: Addressee, project: Project) -> str:
    """The language of the page: what the reader has chosen here, else that in which they were written to."""
    offered = tuple(LANGUAGES)
    for wanted in (request.query_params.get("language", ""), cookies.get(request.scope, cookies.LANGUAGE)):
        if wanted in LANGUAGES:
            return wanted
    own = (to.user.language if to.user else "") or to.customer.language or to.language or project.default_language
    return best(own, offered) or language()


def masked(address: str) -> str:
    """Enough of an address to know one's own: whoever got the mail passed on learns nothing."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else address


@get("/unsubscribe/{token:str}", name="unsubscribe")
async def page(request: Asked, token: FromPath[str]) -> Response[Any]:
    """What the reader gets by e-mail, and the buttons to change it."""
    async with db.reads() as session:
        to = await _reader(session, token)
        project = await session.get_one(Project, to.customer.project_id)
        lines = await consent.chosen(session, customer_id=to.customer.id, user_id=to.same_address[0])
    with speaking(_spoken(request, to, project)):
        spoken = language()
        choices = [
            {"id": c.category.id, "name": c.category.name_in(spoken), "wanted": c.wanted}
            for c in lines
            if c.channel is Channel.EMAIL
        ]
        this = next((c for c in choices if c["id"] == to.category.id), None)
        html = render.page(
            "client/unsubscribe.html",
            brand={"name": project.name, "hue": project.hue}, home_url="/client/", address=masked(to.address),
            this=this, choices=choices, done="done" in request.query_params,
            tongues=[{"code": c, "name": n, "current": c == spoken} for c, n in LANGUAGES.items()],
        )  # fmt: skip
    return Response(html, media_type="text/html")


@post("/unsubscribe/{token:str}", name="unsubscribe.post", status_code=200)
async def unsubscribe(request: Asked, token: FromPath[str]) -> Response[Any]:
    """Pressed by a person, or posted by their mail program (RFC 8058). The link is the only proof: no cookie counts."""
    form = await posted(request)
    what = "one-click" if form.get("List-Unsubscribe") == "One-Click" else form.get("what")
    async with db.unit() as session:
        to = await _reader(session, token)
        if what in ("this", "one-click"):
            await consent.unsubscribe(session, to=to)
        elif what in ("all", "choose"):
            kept = set(form.getlist("category")) if what == "choose" else set()
            offered = await consent.offered(session)
            await consent.unsubscribe(session, to=to, wanted={c.id: str(c.id) in kept for c in offered})
        else:
            raise AppError(_("This form could not be read."), 400)
    if what == "one-click":  # a program asks, which follows no redirect
        return Response(b"", media_type="text/plain")
    spoken = request.query_params.get("language", "")
    return see_other(f"/unsubscribe/{quote(token)}?done=1{f'&language={spoken}' if spoken in LANGUAGES else ''}")


# ---- opened and clicked ---------------------------------------------------------------------------------------------


async def touch(kind: EventKind, message_id: str, url: str = "") -> None:
    """Count it, if its project wants that. One of the few writes that a GET may cause; nobody waits for its success."""
    try:
        async with db.reads() as session:
            of = await tracking.counts_now(session, message_id)
        if of is not None:
            async with db.unit() as session:
                await tracking.note(session, kind=kind, message_id=message_id, of=of, url=url)
    except (SQLAlchemyError, OSError) as error:
        log("web").warning("%s not counted: %s", kind, type(error).__name__)


@get("/t/o/{token:str}", name="track.open")
async def opened(token: FromPath[str]) -> Response[Any]:
    """The picture in a mail."""
    message_id = tracking.opened(token)
    if message_id is None:
        raise NotFound
    await touch(EventKind.OPEN, message_id)
    # other sites (mail programs in a browser) show it
    return Response(PIXEL, media_type="image/gif", headers={"cross-origin-resource-policy": "cross-origin"})


@get("/t/c/{token:str}", name="track.click")
async def clicked(request: Asked, token: FromPath[str]) -> Response[Any]:
    """A link in a mail: only to where that very mail linked."""
    url = request.query_params.get("to", "")
    message_id = tracking.clicked(token, url)
    if message_id is None:
        raise NotFound(_("This link does not work any more."))
    await touch(EventKind.CLICK, message_id, url)
    target = quote(url, safe="%/:=&?~#+!$,;'@()*[]-._")
    return Response(b"", status_code=303, headers={"location": target, "referrer-policy": "no-referrer"})


HANDLERS = [page, unsubscribe, opened, clicked]
