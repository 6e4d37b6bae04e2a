"""Entering and leaving a customer's account."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain import impersonation, sessions
from app.errors import AppError, Conflict, Invalid, NotFound, SignInNeeded
from app.models.audit import Audit
from app.models.customers import Customer, CustomerStatus
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff
from app.observe import SYSTEM, Actor, Kind, acting
from tests import factories

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
async def staff(database: str) -> Staff:
    async with db.unit() as session:
        return await factories.create_staff(session, full_name="Grace Hopper", grants=[("customer", "action:enter")])


@pytest.fixture
async def customer(staff: Staff) -> Customer:
    async with db.unit() as session:
        return await factories.create_customer(session, name="Ada Lovelace")


async def _staff_session(staff: Staff, *, life: timedelta = timedelta(days=7)) -> int:
    async with db.unit() as session:
        session_id, _token = await sessions.open_session(session, life=life, kind=SessionKind.STAFF, staff_id=staff.id)
    return session_id


async def _enter(staff: Staff, customer_id: int, parent: int, **more: object) -> str:
    given = {"reason": "Ticket 4711", "may_act": False} | more
    with acting(Actor(Kind.STAFF, staff_id=staff.id, session_id=parent)):
        async with db.unit() as session:
            return await impersonation.enter(session, staff_session_id=parent, customer_id=customer_id, **given)  # type: ignore[arg-type]


async def test_a_visit_names_staff_customer_and_reason(staff: Staff, customer: Customer) -> None:
    token = await _enter(staff, customer.id, await _staff_session(staff), reason="  Ticket \n 4711 ")
    view = await sessions.session_of(token)
    assert view is not None and view.is_visit
    assert (view.staff_name, view.customer_name, view.reason, view.user_id) == (
        "Grace Hopper",
        "Ada Lovelace",
        "Ticket 4711",
        None,
    )
    assert view.may_act is False


async def test_the_audit_bears_both_ids_and_the_reason(staff: Staff, customer: Customer) -> None:
    token = await _enter(staff, customer.id, await _staff_session(staff))
    view = await sessions.session_of(token)
    assert view is not None
    with acting(Actor(Kind.STAFF, staff_id=staff.id, customer_id=customer.id)):
        async with db.unit() as session:
            assert await impersonation.leave(session, visit=view) == customer.id
        async with db.unit() as session:
            assert await impersonation.leave(session, visit=view) == customer.id  # twice is no second row
    async with db.reads() as session:
        rows = (
            await session.scalars(select(Audit).where(Audit.action.in_(("enter", "return"))).order_by(Audit.id))
        ).all()
    assert [(r.action, r.staff_id, r.customer_id, r.note) for r in rows] == [
        ("enter", staff.id, customer.id, "Ticket 4711"),
        ("return", staff.id, customer.id, ""),
    ]
    assert await sessions.session_of(token) is None


async def test_a_visit_is_never_longer_than_the_staff_session(staff: Staff, customer: Customer) -> None:
    token = await _enter(staff, customer.id, await _staff_session(staff, life=timedelta(minutes=5)))
    view = await sessions.session_of(token)
    assert view is not None
    assert view.expires_at <= utcnow() + timedelta(minutes=5)


@pytest.mark.parametrize("reason", ["", "ab", "   a   ", "x" * 501])
async def test_a_reason_is_needed(staff: Staff, customer: Customer, reason: str) -> None:
    parent = await _staff_session(staff)
    with pytest.raises(Invalid) as refused:
        await _enter(staff, customer.id, parent, reason=reason)
    assert set(refused.value.fields) == {"reason"}


async def test_no_visit_from_inside_a_visit(staff: Staff, customer: Customer) -> None:
    parent = await _staff_session(staff)
    await _enter(staff, customer.id, parent)
    async with db.reads() as session:
        visit_id = (await session.scalars(select(LoginSession.id).where(LoginSession.kind == SessionKind.VISIT))).one()
    with pytest.raises(SignInNeeded):
        await _enter(staff, customer.id, visit_id)
    with acting(Actor(Kind.STAFF, staff_id=staff.id, customer_id=customer.id, session_id=parent)):
        with pytest.raises(Conflict):
            async with db.unit() as session:
                await impersonation.enter(
                    session, staff_session_id=parent, customer_id=customer.id, reason="Ticket 4711", may_act=False
                )


@pytest.mark.parametrize("what", ["unknown", "closed", "ended", "expired", "of somebody else"])
async def test_what_cannot_be_entered(staff: Staff, customer: Customer, what: str) -> None:
    expected: type[AppError] = AppError
    parent, wanted = await _staff_session(staff), customer.id
    async with db.unit() as session:
        row = await session.get_one(LoginSession, parent)
        if what == "unknown":
            wanted, expected = 999_999, NotFound
        elif what == "closed":
            (await session.get_one(Customer, customer.id)).status = CustomerStatus.CLOSED
            expected = Conflict
        elif what == "ended":
            row.ended_at, expected = utcnow(), SignInNeeded
        elif what == "expired":
            row.expires_at, expected = utcnow(), SignInNeeded
        else:
            colleague = await factories.create_staff(session)
            row.staff_id, expected = colleague.id, SignInNeeded
    with pytest.raises(expected):
        await _enter(staff, wanted, parent)


async def test_a_customer_outside_of_ones_projects_is_not_found(staff: Staff, customer: Customer) -> None:
    parent = await _staff_session(staff)
    async with db.unit() as session:
        elsewhere = await factories.create_project(session)
    with acting(Actor(Kind.STAFF, staff_id=staff.id, projects=frozenset({elsewhere.id}), session_id=parent)):
        with pytest.raises(NotFound):
            async with db.unit() as session:
                await impersonation.enter(
                    session, staff_session_id=parent, customer_id=customer.id, reason="Ticket 4711", may_act=False
                )


async def test_leaving_without_a_visit_is_a_conflict(staff: Staff) -> None:
    async with db.unit() as session:
        _id, token = await sessions.open_session(
            session, life=timedelta(days=1), kind=SessionKind.STAFF, staff_id=staff.id
        )
    view = await sessions.session_of(token)
    assert view is not None
    with acting(SYSTEM), pytest.raises(Conflict):
        async with db.unit() as session:
            await impersonation.leave(session, visit=view)
