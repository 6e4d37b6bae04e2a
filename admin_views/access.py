"""Who may do what in the panel. The guard has put the staff session, with its grants, into the scope."""

from __future__ import annotations

from urllib.parse import urlencode

from sqladmin.authentication import AuthenticationBackend
from sqladmin.authorization import GrantsAuthorizationBackend, custom_action, matches_grant
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app import filters
from app.db import Base
from app.errors import Forbidden, SignInNeeded
from app.i18n import _


class Authentication(AuthenticationBackend):
    """SQLAdmin's own cookie session is not used: `middlewares` stays empty."""

    def __init__(self) -> None:
        self.middlewares = []

    async def authenticate(self, request: Request) -> Response | bool:
        if request.session.get("staff_id"):
            return True
        if request.method not in ("GET", "HEAD"):
            raise SignInNeeded(_("Your session has ended. Please sign in again."))
        where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': where})}", 303)


class Grants(GrantsAuthorizationBackend):
    async def get_grants(self, request: Request) -> set[tuple[str, str]]:
        grants: set[tuple[str, str]] = request.session.get("grants", set())
        return grants


def may(request: Request, screen: str, action: str) -> bool:
    """Whether the signed-in staff member may do `action` (``list``, ``edit``, ``action:message`` ...) on `screen`."""
    return matches_grant(request.session.get("grants", set()), screen, action)


def may_press(request: Request, screen: str, slug: str) -> bool:
    return may(request, screen, custom_action(slug))


def may_filter(request: Request) -> filters.Allowed:
    """A filter may look into the related rows of screens whose list the person may see, and into no others: counting
    what matches would answer any question about them."""

    def allowed(model: type[Base], name: str) -> bool:
        known = filters.fields(model)[name]
        if known.kind is not filters.Kind.RELATION or known.target is None:
            return True
        return may(request, known.target.__tablename__, "list")

    return allowed


def need(request: Request, screen: str, action: str) -> None:
    """Raises Forbidden when the grant is missing."""
    if not may(request, screen, action):
        raise Forbidden
