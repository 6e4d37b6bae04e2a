"""The panel as a role sees it: what the guard does with the browser's preview."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from app import cookies
from app.domain import previews
from app.domain.sessions import SessionView
from app.i18n import gettext

Scope = MutableMapping[str, Any]

END = "/admin/preview/end"
STILL_DONE = (END, "/logout")
"""What can be done all the same."""


async def look(scope: Scope, view: SessionView) -> SessionView:
    """The staff session of this request: while a preview lasts, what the role would see."""
    token = cookies.get(scope, cookies.PREVIEW)
    if not token:
        return view
    found = await previews.seen(token, view)
    if found is None:
        cookies.drop(scope, cookies.PREVIEW)
        scope["state"]["preview_over"] = True
        return view
    scope["state"]["preview"] = found[1]
    return found[0]


def refusal(scope: Scope, safe: frozenset[str]) -> str | None:
    """Why nothing is done now; None when it may be. A page that was opened in a preview cannot act after it either."""
    if scope["method"] in safe or scope["path"] in STILL_DONE:
        return None
    if scope["state"].get("preview") is not None:
        return gettext("You are looking at the panel as a role: nothing can be changed. Go back first.")
    if scope["state"].get("preview_over"):
        return gettext("The preview is over, and nothing was changed. Open the page again to work.")
    return None
