"""Entering a customer's client area as staff, and returning.

A visit is a short session row of its own that names staff, customer and reason; the staff session is never touched.
It lives at most 30 minutes and never longer than that session. Staff enter the account, not one of its users, and may
only read unless `may_act`. Both ids stand in every audit row of the visit, since the guard sets the actor from it.

Whoever signed in long ago gives the password again (`prove`). A project may ask for a code of the customer's (`door`)
and may have the customer told by mail.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app import db
from app.db import utcnow
from app.domain import door, sessions
from app.domain.messaging import system
from app.domain.sessions import SessionView, proving
from app.domain.sessions.person import Person
from app.errors import Conflict, Invalid, NotFound, SignInNeeded
from app.i18n import LANGUAGES, SOURCE, _, best, gettext, show_moment, speaking
from app.models import audit
from app.models.customers import Customer, CustomerStatus
from app.models.messaging import MailKind
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff
from app.observe import Kind, acting, actor, log

ENTER = ("customer", "action:enter")
ACT = ("customer", "action:act")
"""The grants: to look, and to act. They are looked up again at each request of the visit."""

MINUTES = 30
FRESH_MINUTES = 120
"""For so long a sign-in is enough (`BURSAR_ENTER_MINUTES`)."""
UNCHANGING = ("enter", "return", "door_opened")
"""What the audit says of the visit itself; everything else was changed in it."""
SHORTEST_REASON, LONGEST_REASON = 3, 500


async def enter(
    session: AsyncSession, *, staff_session_id: int, customer_id: int, reason: str, may_act: bool, code: str = "",
    fresh_minutes: int = FRESH_MINUTES,
) -> str:  # fmt: skip
    """Begin a visit; another visit of this staff session ends. Returns the token for `cookies.visit_cookie`.

    The caller has checked the grant ENTER, and ACT for `may_act`. Raises Invalid (reason; password: the sign-in is
    older than `fresh_minutes`; code), NotFound (unknown, or of a project that this person does not see), Conflict
    (already inside an account, or it or its project is closed), SignInNeeded.
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
    if not _fresh(parent, fresh_minutes):
        raise Invalid(password=gettext("You signed in long ago. Please give your password."))
    customer = await session.scalar(
        select(Customer).where(Customer.id == customer_id).options(joinedload(Customer.project))
    )
    if customer is None:
        raise NotFound
    project = customer.project
    if customer.status is CustomerStatus.CLOSED:
        raise Conflict(_("This account is closed. Open it before you enter it."))
    if not project.enabled:
        raise Conflict(_("The project of this customer is switched off: its client area is closed."))
    if project.visits_by_code:
        await door.use(session, customer_id=customer_id, code=code)
    quiet = {"audited": True, "synchronize_session": False, "unscoped": True}
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
    if project.visits_told:
        await _tell(session, customer, visit_id=visit_id, reason=reason, staff_id=parent.staff_id)
    with acting(replace(who, customer_id=customer_id)):
        log("visits").info("entered", extra={"facts": {"visit": visit_id, "may_act": may_act}})
    return token


async def _tell(session: AsyncSession, customer: Customer, *, visit_id: int, reason: str, staff_id: int | None) -> None:
    """Write to the customer, once the visit is committed."""
    staff = await session.scalar(select(Staff).where(Staff.id == staff_id))
    language = customer.language or customer.project.default_language
    with speaking(best(language, tuple(LANGUAGES)) or SOURCE, customer.timezone or customer.project.timezone):
        begin = show_moment(utcnow())
    macros = {"visit.staff": str(staff or ""), "visit.reason": reason, "visit.begin": begin}
    await system.send(session, kind=MailKind.VISIT, customer_id=customer.id, macros=macros, key=f"visit:{visit_id}")


def _fresh(parent: LoginSession, minutes: int) -> bool:
    return max(parent.created_at, parent.proved_at or parent.created_at) > utcnow() - timedelta(minutes=minutes)


async def needs_password(session: AsyncSession, *, staff_session_id: int, fresh_minutes: int = FRESH_MINUTES) -> bool:
    """Whether this sign-in is too old to enter an account without the password."""
    parent = await session.scalar(select(LoginSession).where(LoginSession.id == staff_session_id))
    return parent is None or not _fresh(parent, fresh_minutes)


async def prove(*, staff_id: int, staff_session_id: int, password: str) -> None:
    """Take the password of the signed-in person once more, or a code of their second factor.

    Raises as `proving.prove`. Opens its own units: no hash is computed inside a transaction.
    """
    await proving.prove(Person(staff_id=staff_id), password, field="password")
    async with db.unit() as session:
        await session.execute(
            update(LoginSession)
            .where(
                LoginSession.id == staff_session_id, LoginSession.staff_id == staff_id,
                LoginSession.kind == SessionKind.STAFF, LoginSession.ended_at.is_(None),
            )
            .values(proved_at=utcnow())
            .execution_options(audited=True, synchronize_session=False)
        )  # fmt: skip
        changes = {"session": [None, staff_session_id]}
        await session.run_sync(lambda s: audit.write(s, "proved", "staff", staff_id, changes))


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
