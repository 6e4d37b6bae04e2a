"""Entering a customer's client area as staff, and returning.

A visit is a short session row of its own that names staff, customer and reason; the staff session is never touched.
It lives at most 30 minutes and never longer than that session. Staff enter the account, not one of its users, and may
only read unless `may_act`. Both ids stand in every audit row of the visit, since the guard sets the actor from it.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain import sessions
from app.domain.sessions import SessionView
from app.errors import Conflict, Invalid, NotFound, SignInNeeded
from app.i18n import _, gettext
from app.models import audit
from app.models.customers import Customer, CustomerStatus
from app.models.sessions import LoginSession, SessionKind
from app.observe import Kind, actor

ENTER = ("customer", "action:enter")
ACT = ("customer", "action:act")
"""The grants: to look, and to act. They are looked up again at each request of the visit."""

MINUTES = 30
SHORTEST_REASON, LONGEST_REASON = 3, 500


async def enter(session: AsyncSession, *, staff_session_id: int, customer_id: int, reason: str, may_act: bool) -> str:
    """Begin a visit; another visit of this staff session ends. Returns the token for `cookies.visit_cookie`.

    The caller has checked the grant ENTER, and ACT for `may_act`. Raises Invalid (reason), NotFound (unknown, or of a
    project that this person does not see), Conflict (already inside an account, or it is closed), SignInNeeded.
    """
    who = actor.get()
    if who.customer_id is not None:
        raise Conflict(_("Return from this customer's account first."))
    reason = " ".join(reason.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise Invalid(reason=gettext("Say why, in 3 to 500 characters."))
    now = utcnow()
    parent = await session.scalar(
        select(LoginSession).where(
            LoginSession.id == staff_session_id,
            LoginSession.kind == SessionKind.STAFF,
            LoginSession.ended_at.is_(None),
            LoginSession.expires_at > now,
        )
    )
    if parent is None or (who.kind is Kind.STAFF and who.staff_id != parent.staff_id):
        raise SignInNeeded
    customer = await session.scalar(select(Customer).where(Customer.id == customer_id))
    if customer is None:
        raise NotFound
    if customer.status is CustomerStatus.CLOSED:
        raise Conflict(_("This account is closed. Open it before you enter it."))
    quiet = {"audited": True, "synchronize_session": False}
    await session.execute(
        update(LoginSession)
        .where(LoginSession.parent_id == parent.id, LoginSession.ended_at.is_(None))
        .values(ended_at=now)
        .execution_options(**quiet)
    )
    visit_id, token = await sessions.open_session(
        session, life=timedelta(minutes=MINUTES), kind=SessionKind.VISIT, staff_id=parent.staff_id,
        customer_id=customer.id, parent_id=parent.id, reason=reason, may_act=may_act, ip=who.ip or parent.ip,
        agent=parent.agent, expires_at=min(now + timedelta(minutes=MINUTES), parent.expires_at),
    )  # fmt: skip
    changes = {"visit": [None, visit_id], "may_act": [None, may_act], "staff_id": [None, parent.staff_id]}
    await session.run_sync(
        lambda s: audit.write(s, "enter", "customer", customer_id, changes, customer_id=customer_id, note=reason)
    )
    return token


async def leave(session: AsyncSession, *, visit: SessionView) -> int:
    """End a visit. Returns the customer's id, for the way back to the card. A visit that has ended stays so."""
    if not visit.is_visit or visit.customer_id is None:
        raise Conflict(_("You are not inside a customer's account."))
    done = await session.execute(
        update(LoginSession)
        .where(LoginSession.id == visit.id, LoginSession.ended_at.is_(None))
        .values(ended_at=utcnow())
        .returning(LoginSession.id)
        .execution_options(audited=True, synchronize_session=False)
    )
    if done.first() is not None:
        changes = {"visit": [visit.id, None], "staff_id": [visit.staff_id, None]}
        customer_id = visit.customer_id
        await session.run_sync(
            lambda s: audit.write(s, "return", "customer", customer_id, changes, customer_id=customer_id)
        )
    return visit.customer_id
