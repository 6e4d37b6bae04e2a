"""``POST /inbound/mail``: a mail server hands over each mail as it came (RFC 5322), with a shared secret."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

from litestar import Request, Response, post
from sqlalchemy.exc import IntegrityError

from app import db
from app.domain import inbound
from app.errors import Forbidden, Invalid, NotFound
from app.i18n import _
from app.integrations.mail.reading import peek
from app.observe import SYSTEM, acting
from app.settings import Settings


@post("/inbound/mail", name="inbound.mail", status_code=202)
async def take_mail(request: Request[Any, Any, Any]) -> Response[dict[str, bool]]:
    """202 once the mail is kept, also when it was taken before: posting it again does no harm."""
    settings: Settings = request.app.state.settings
    if not settings.inbound_secret:
        raise NotFound
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not hmac.compare_digest(given.encode(), settings.inbound_secret.encode()):
        raise Forbidden(_("The secret is not right."))
    raw = await request.body()  # the guard counts
    if not raw.strip():
        raise Invalid(_("There is no mail in this request."))
    seen = await asyncio.to_thread(peek, raw)
    stored = await request.app.state.storage.save(raw)
    taken = False
    with acting(SYSTEM):
        try:
            async with db.unit() as session:
                mail = await inbound.take(session, seen=seen, key=stored.key, size=len(raw), source="webhook")
                taken = mail is not None
        except IntegrityError:  # somebody else took the same one in this moment
            pass
    return Response({"taken": taken}, status_code=202)
