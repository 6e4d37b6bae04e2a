"""Who may do what in the client area: one table of its routes. A route that is not in it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.domain.config import modules
from app.domain.sessions import SessionView
from app.errors import Forbidden, NotFound, SignInNeeded
from app.i18n import _, gettext
from app.models.sessions import SessionKind
from app.models.users import Right
from app.web.guard import visitor


class Visit(Enum):
    """What staff may who have entered the account."""

    SEE = "see"
    ACT = "act"
    """Only with leave to act."""
    NEVER = "never"
    """Whatever the grant: password, e-mail, two-factor, tokens, payment methods, payer details, consent, deletion,
    language of the user, "read" marks (the customer has not read it)."""


@dataclass(frozen=True)
class Rule:
    right: Right | None = None
    """What the role of the user must hold; None: nothing, everybody who is signed in."""
    visit: Visit = Visit.SEE
    open: bool = False
    """Needs nobody signed in."""


_OWN = Rule(visit=Visit.NEVER)
"""What concerns the signed-in user alone."""
_OPEN = Rule(visit=Visit.NEVER, open=True)
_MONEY = Rule(Right.SEE_MONEY)
_USERS = Rule(Right.USERS)
_TEAM = Rule(Right.USERS, Visit.NEVER)
"""Staff who could invite would have an account of their own there."""
_PAYERS = Rule(Right.PAYERS)
_CHANGE_PAYERS = Rule(Right.PAYERS, Visit.NEVER)

TABLE: Mapping[str, Rule] = {
    # signing in
    "client.login": Rule(open=True),
    "client.login.post": _OPEN,
    "client.passkey": _OPEN,
    "client.second": _OPEN,
    "client.second.post": _OPEN,
    "client.logout": _OPEN,
    "client.language": _OPEN,
    "client.leave": Rule(open=True),
    "client.forgot": _OPEN,
    "client.forgot.post": _OPEN,
    "client.link": _OPEN,
    "client.link.post": _OPEN,
    "client.register": _OPEN,
    "client.register.post": _OPEN,
    "client.register.again": _OPEN,
    "client.register.confirm": _OPEN,
    "client.register.confirm.post": _OPEN,
    # the brand
    "client.logo": Rule(open=True),
    "client.terms": Rule(open=True),
    # the signed-in user
    "client.account": _OWN,
    "client.account.pick": _OWN,
    "client.password": _OWN,
    "client.password.save": _OWN,
    "client.security": _OWN,
    "client.security.app": _OWN,
    "client.security.save": _OWN,
    # the account
    "client.home": Rule(),
    "client.profile": Rule(),
    "client.profile.save": Rule(Right.PROFILE, Visit.ACT),
    "client.profile.email": _OWN,
    "client.profile.email.save": _OWN,  # the account's own address needs Right.PROFILE, see emails.py
    "client.profile.email.cancel": _OWN,
    "client.profile.confirm": _OPEN,
    "client.profile.confirm.save": _OPEN,
    "client.profile.type": Rule(Right.PROFILE),
    "client.profile.type.save": Rule(Right.PROFILE, Visit.NEVER),
    "client.profile.phone": Rule(Right.PROFILE, Visit.NEVER),
    "client.profile.phone.send": Rule(Right.PROFILE, Visit.NEVER),
    "client.profile.phone.check": Rule(Right.PROFILE, Visit.NEVER),
    # its users
    "client.users": _USERS,
    "client.user": _USERS,
    "client.user.save": _TEAM,
    "client.user.disable": _TEAM,
    "client.user.enable": _TEAM,
    "client.user.link": _TEAM,
    "client.user.remove": _TEAM,
    "client.user.new": _USERS,
    "client.user.invite": _TEAM,
    "client.invitation.resend": _TEAM,
    "client.invitation.withdraw": _TEAM,
    "client.role.new": _USERS,
    "client.role.add": _TEAM,
    "client.role": _USERS,
    "client.role.save": _TEAM,
    "client.role.delete": _TEAM,
    "client.join": _OPEN,
    "client.join.accept": _OPEN,
    # its payers
    "client.payers": _PAYERS,
    "client.payer": _PAYERS,
    "client.payer.new": _PAYERS,
    "client.payer.add": _CHANGE_PAYERS,
    "client.payer.save": _CHANGE_PAYERS,
    "client.payer.usual": _CHANGE_PAYERS,
    "client.payer.archive": _CHANGE_PAYERS,
    "client.payer.restore": _CHANGE_PAYERS,
    "client.payer.delete": _CHANGE_PAYERS,
    "client.subscriptions": Rule(),
    "client.subscriptions.save": _OWN,
    # letting staff in
    "client.door": Rule(Right.DATA),
    "client.door.code": Rule(Right.DATA, Visit.NEVER),
    "client.door.close": Rule(Right.DATA, Visit.NEVER),
    # services
    "client.services": Rule(),
    "client.service": Rule(),
    "client.service.save": Rule(Right.SERVICES, Visit.ACT),
    "client.service.new": Rule(),
    "client.service.order": Rule(Right.SERVICES, Visit.ACT),
    "client.service.ordered": Rule(),
    "client.service.extend": Rule(Right.SERVICES, Visit.ACT),
    "client.service.renew": Rule(Right.SERVICES, Visit.ACT),
    "client.service.cancel": Rule(Right.SERVICES, Visit.ACT),
    # money
    "client.invoices": _MONEY,
    "client.invoices.choose": _MONEY,
    "client.invoices.pay": Rule(Right.PAY, Visit.ACT),
    "client.invoice": _MONEY,
    "client.invoice.pdf": _MONEY,
    "client.invoice.pay": Rule(Right.PAY, Visit.ACT),
    "client.expenses": _MONEY,
    "client.statement": _MONEY,
    "client.statement.file": _MONEY,
    "client.payments": _MONEY,
    "client.payment": _MONEY,
    "client.payment.new": _MONEY,
    "client.payment.add": Rule(Right.PAY, Visit.NEVER),
    "client.payment.start": Rule(Right.PAY, Visit.NEVER),
    "client.payment.test": _MONEY,
    "client.payment.try": Rule(Right.PAY, Visit.NEVER),
    # messages
    "client.messages": Rule(),
    "client.message": Rule(),
    "client.message.body": Rule(),
    "client.message.file": Rule(),
    "client.message.read": _OWN,
    "client.answer": Rule(Right.WRITE, Visit.ACT),
    "client.ticket": Rule(),
    "client.ticket.file": Rule(),
    "client.ticket.read": _OWN,
    "client.ticket.reply": Rule(Right.WRITE, Visit.ACT),
    "client.ticket.close": Rule(Right.WRITE, Visit.ACT),
    "client.ticket.new": Rule(),
    "client.ticket.open": Rule(Right.WRITE, Visit.ACT),
    # the data
    "client.data": Rule(Right.DATA),
    "client.data.export": Rule(Right.DATA, Visit.NEVER),
    "client.data.file": Rule(Right.DATA, Visit.NEVER),
    "client.data.delete": Rule(Right.DATA, Visit.NEVER),
    "client.data.withdraw": Rule(Right.DATA, Visit.NEVER),
}  # fmt: skip
"""Name of a route -> what it needs."""

LOOKING = _("You are only looking at this account. To change something, enter it again with leave to act.")
NEVER = _("This is not open to staff, only to the customer.")
ROLE = _("Your role in this account does not allow this.")


def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The Litestar guard of every route of the client area."""
    name, view = handler.name or "", visitor(connection.scope)
    rule = TABLE.get(name)
    if modules.hidden().page(name):
        raise NotFound(gettext(modules.CLOSED))
    if rule is None:  # what Litestar adds by itself to answer OPTIONS
        raise NotFound
    if view is None or view.kind is SessionKind.STAFF:
        ended = connection.scope["state"].get("visit_ended")
        if not rule.open or (ended and rule.visit is Visit.NEVER):
            raise SignInNeeded
    else:
        refuse(view, name)


def refuse(view: SessionView, name: str) -> None:
    """Raises Forbidden unless this person may use the route `name`."""
    rule = TABLE[name]
    if view.is_visit:
        if rule.visit is Visit.NEVER:
            raise Forbidden(NEVER)
        if rule.visit is Visit.ACT and not view.may_act:
            raise Forbidden(LOOKING)
    elif rule.right is not None and rule.right not in view.rights:
        raise Forbidden(ROLE)


def why_not(view: SessionView, name: str) -> str | None:
    """The reason to show instead of a form or a button; None when the route is open."""
    if modules.hidden().page(name):
        return gettext(modules.CLOSED)
    try:
        refuse(view, name)
    except Forbidden as error:
        return str(error)
    return None


def may(view: SessionView, name: str) -> bool:
    """Whether a link to the route `name` is to be shown."""
    return why_not(view, name) is None
