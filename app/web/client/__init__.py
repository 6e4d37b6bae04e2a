"""The client area: what customers see, and staff who have entered their account."""

from litestar import Router

from app.web import auth
from app.web.client import access, home, invoices, messages, payments, profile, services, subscriptions, tickets

HANDLERS = [
    *auth.CLIENT_HANDLERS, *home.HANDLERS, *messages.HANDLERS, *tickets.HANDLERS, *profile.HANDLERS,
    *services.HANDLERS, *subscriptions.HANDLERS, *payments.HANDLERS, *invoices.HANDLERS,
]  # fmt: skip


def router() -> Router:
    """All routes under ``/client``, behind one guard."""
    return Router(path="/", route_handlers=HANDLERS, guards=[access.check])
