"""Who may do what in the client area. What is not in these tables is closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.domain.sessions import SessionView
from app.errors import Forbidden, SignInNeeded
from app.i18n import _
from app.models.sessions import SessionKind
from app.models.users import UserRole
from app.web.guard import SAFE, visitor

OPEN = frozenset({"client.login", "client.login.post", "client.language", "client.logout", "client.leave"})
"""Routes that need nobody signed in."""

VISIT: Mapping[str, Literal["always", "act"]] = {
    "client.leave": "always",
    "client.answer": "act",
    "client.ticket.open": "act",
    "client.ticket.reply": "act",
    "client.ticket.close": "act",
    "client.profile.save": "act",
    "client.service.order": "act",
    "client.service.renew": "act",
    "client.service.cancel": "act",
    "client.invoice.pay": "act",
}
"""What staff may change while they are inside a customer's account: always, or only with leave to act. Everything else
that is not a GET is refused, so a new route is closed until somebody opens it here. Never to be opened: password,
e-mail, language of the user, consent, "read" marks (the customer has not read it)."""

READER = frozenset(
    {"client.login.post", "client.logout", "client.language", "client.password.save", "client.account.pick",
     "client.message.read", "client.ticket.read"}
)  # fmt: skip
"""What a user with the role "read-only" may change: what concerns only themselves."""

LOOKING = _("You are only looking at this account. To change something, enter it again with leave to act.")
NEVER = _("This is not open to staff, only to the customer.")
READS = _("Your role in this account is read-only.")


def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The Litestar guard of every route of the client area."""
    name, view = handler.name or "", visitor(connection.scope)
    if view is None or view.kind is SessionKind.STAFF:
        if name in OPEN and not connection.scope["state"].get("visit_ended"):
            return
        if name == "client.login":
            return
        raise SignInNeeded
    if connection.scope["method"] not in SAFE:  # type: ignore[typeddict-item]
        refuse(view, name)


def refuse(view: SessionView, name: str) -> None:
    """Raises Forbidden unless this person may use the changing route `name`."""
    if view.is_visit:
        needed = VISIT.get(name)
        if needed is None:
            raise Forbidden(NEVER if view.may_act else LOOKING)
        if needed == "act" and not view.may_act:
            raise Forbidden(LOOKING)
    elif view.role is UserRole.READ_ONLY and name not in READER:
        raise Forbidden(READS)


def why_not(view: SessionView, name: str) -> str | None:
    """The reason to show instead of a form; None when the route is open."""
    try:
        refuse(view, name)
    except Forbidden as error:
        return str(error)
    return None
