"""The pages below "Profile": their sub-menu."""

from __future__ import annotations

from typing import Any

from app.domain.sessions import SessionView
from app.i18n import _
from app.web.client.access import TABLE, may

PAGES = (
    ("client.profile", _("Profile"), "/client/profile"),
    ("client.security", _("Sign-in and security"), "/client/security"),
    ("client.users", _("Users"), "/client/users"),
    ("client.payers", _("Payers"), "/client/payers"),
    ("client.subscriptions", _("Notifications"), "/client/profile/subscriptions"),
    ("client.data", _("My data"), "/client/data"),
)
"""Route, label, address."""


def _below(path: str) -> str:
    """The address of the page that this one belongs to; empty: it is none of these."""
    found = [url for _route, _label, url in PAGES if path == url or path.startswith(f"{url}/")]
    return max(found, key=len, default="")


def inside(path: str) -> bool:
    """Whether this is one of these pages, or below one."""
    return bool(_below(path))


def tabs(view: SessionView, path: str) -> list[dict[str, Any]]:
    """The sub-menu for this person, for `parts.sub_menu`. Each page only where it exists and may be seen."""
    here = _below(path)
    return [
        {"label": str(label), "url": url, "current": url == here}
        for route, label, url in PAGES if route in TABLE and may(view, route)
    ]  # fmt: skip
