"""The client area: what customers see, and staff who have entered their account."""

from litestar import Router

from app.web import auth, passwords
from app.web.client import (
    access,
    brand,
    data,
    door,
    emails,
    expenses,
    home,
    invoices,
    joining,
    kind,
    messages,
    ordering,
    payers,
    payments,
    phone,
    profile,
    register,
    roles,
    security,
    services,
    statement,
    subscriptions,
    tickets,
    users,
)

HANDLERS = [
    *auth.CLIENT_HANDLERS, *passwords.CLIENT_HANDLERS, *home.HANDLERS, *messages.HANDLERS, *tickets.HANDLERS,
    *profile.HANDLERS, *services.HANDLERS, *subscriptions.HANDLERS, *payments.HANDLERS, *invoices.HANDLERS,
    *brand.HANDLERS, *door.HANDLERS, *data.HANDLERS, *emails.HANDLERS, *phone.HANDLERS, *kind.HANDLERS,
    *users.HANDLERS, *roles.HANDLERS, *joining.HANDLERS, *payers.HANDLERS, *ordering.HANDLERS, *expenses.HANDLERS,
    *statement.HANDLERS, *security.HANDLERS, *register.HANDLERS,
]  # fmt: skip


def router() -> Router:
    """All routes under ``/client``, behind one guard. Raises at the start when one is not in its table."""
    unknown = {handler.name or str(handler) for handler in HANDLERS} ^ access.TABLE.keys()
    if unknown:
        raise AssertionError(f"app/web/client/access.py and the routes of the client area differ: {sorted(unknown)}")
    return Router(path="/", route_handlers=HANDLERS, guards=[access.check])
