"""A form that was sent after the session had ended: what was typed travels, signed, through the sign-in and back.

Nothing is stored on the server. Passwords and files do not travel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.flash import signer
from app.web.errors import local_path

LONGEST = 200_000
"""Characters of a form that is kept; a longer one is not."""
HOURS = 12
WITHHELD = "password"


@dataclass(frozen=True)
class Kept:
    url: str
    fields: tuple[tuple[str, str], ...]


async def keep(scope: Any, receive: Any, path: str) -> str:
    """The posted fields with their address as one signed text; empty when there is nothing to keep."""
    request = Request(scope, receive)  # Starlette's: Litestar's cannot read a body at a mount
    try:
        async with request.form(max_fields=2000) as form:
            fields = [(n, v) for n, v in form.multi_items() if isinstance(v, str) and WITHHELD not in n]
    except HTTPException:
        return ""
    if not fields or sum(len(n) + len(v) for n, v in fields) > LONGEST:
        return ""
    query = request.url.query
    return str(signer().dumps([path + (f"?{query}" if query else ""), fields]))


def open_kept(text: str) -> Kept | None:
    """What `keep` has written; None for anything else, or after `HOURS`."""
    if not text:
        return None
    try:
        url, fields = signer().loads(text, max_age=HOURS * 3600)
        kept = Kept(local_path(str(url), ""), tuple((str(n), str(v)) for n, v in fields))
    except (BadData, TypeError, ValueError):
        return None
    return kept if kept.url.startswith("/admin/") else None
