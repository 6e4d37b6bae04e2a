"""Who may do what in the panel. The guard has put the staff session, with its grants, into the scope."""

from __future__ import annotations

from contextvars import ContextVar
from urllib.parse import urlencode

from sqladmin.authentication import AuthenticationBackend
from sqladmin.authorization import GrantsAuthorizationBackend, custom_action
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app import filters
from app.db import Base
from app.domain import sessions
from app.domain.config import modules
from app.domain.sessions import Grants
from app.errors import Forbidden, NotFound, SignInNeeded
from app.i18n import _, gettext

asking: ContextVar[Grants | None] = ContextVar("asking", default=None)
"""The grants of whoever asks, for what knows no request, such as a field of a form; None outside of requests."""


class Authentication(AuthenticationBackend):
    """SQLAdmin's own cookie session is not used: `middlewares` stays empty."""

    def __init__(self) -> None:
        self.middlewares = []

    async def authenticate(self, request: Request) -> Response | bool:
        if request.session.get("staff_id"):
            asking.set(grants_of(request))
            return True
        if request.method not in ("GET", "HEAD"):
            raise SignInNeeded(_("Your session has ended. Please sign in again."))
        where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': where})}", 303)


class Authorization(GrantsAuthorizationBackend):
    async def get_grants(self, request: Request) -> set[tuple[str, str]]:
        return set(grants_of(request))


def granted(grants: Grants, screen: str, action: str) -> bool:
    """Whether these grants allow `action` on `screen`, and its module is in use."""
    return sessions.granted(grants, screen, action) and not modules.hidden().action(screen, action)


def grants_of(request: Request) -> Grants:
    """What the signed-in staff member may do; nothing for anybody else."""
    grants: Grants = request.session.get("grants", frozenset())
    return grants


def may(request: Request, screen: str, action: str) -> bool:
    """Whether the signed-in staff member may do `action` (``list``, ``edit``, ``action:message`` ...) on `screen`."""
    return granted(grants_of(request), screen, action)


def may_press(request: Request, screen: str, slug: str) -> bool:
    return may(request, screen, custom_action(slug))


def need(request: Request, screen: str, action: str) -> None:
    """Raises Forbidden when the grant is missing, NotFound for what belongs to a module that is switched off."""
    if modules.hidden().action(screen, action) and sessions.granted(grants_of(request), screen, action):
        raise NotFound(gettext(modules.OFF))
    if not may(request, screen, action):
        raise Forbidden


def may_filter(grants: Grants, model: type[Base], name: str) -> bool:
    """A filter may look into the related rows of screens whose list the person may see, and into no others:
    counting what matches would answer any question about them."""
    looked = filters.fields(model)[name].looks_into
    return looked is None or granted(grants, looked.__tablename__, "list")


def filterable(model: type[Base], name: str) -> bool:
    """`may_filter` for whoever asks now."""
    grants = asking.get()
    return grants is None or may_filter(grants, model, name)
