"""Passwords, throttling, and what a token stands for."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from app import db
from app.db import utcnow
from app.domain import sessions
from app.domain.sessions import throttle
from app.errors import AppError, Forbidden, Invalid, NotFound, TooMany
from app.models.audit import Audit
from app.models.customers import CustomerStatus
from app.models.sessions import LoginSession, SessionKind, Throttle
from app.models.staff import Staff
from app.models.users import User
from tests import factories

PASSWORD = "correct horse battery"


@pytest.fixture
async def ready(database: str) -> str:
    return await sessions.hash_password(PASSWORD)


async def test_a_hash_is_argon2id_and_salted() -> None:
    one, two = await sessions.hash_password("x" * 12), await sessions.hash_password("x" * 12)
    assert one.startswith("$argon2id$") and one != two
    assert await sessions.verify_password(one, "x" * 12)
    assert not await sessions.verify_password(one, "y" * 12)


@pytest.mark.parametrize("hashed", [None, "", "not a hash", "$argon2id$broken"])
async def test_without_a_usable_hash_the_answer_is_no(hashed: str | None) -> None:
    assert not await sessions.verify_password(hashed, "")
    assert not await sessions.verify_password(hashed, PASSWORD)


async def test_a_password_of_a_megabyte_is_only_wrong() -> None:
    assert not await sessions.verify_password(await sessions.hash_password("x" * 1000), "x" * 1_000_000)


async def test_old_parameters_are_renewed_at_the_next_sign_in(ready: str) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with db.unit() as session:
        staff = await factories.create_staff(session, username="grace", password_hash=old)
    await sessions.sign_in_staff(username="grace", password=PASSWORD, ip=None)
    async with db.reads() as session:
        fresh = (await session.get_one(Staff, staff.id)).password_hash
    assert fresh is not None and "t=1" in fresh
    assert await sessions.verify_password(fresh, PASSWORD)


async def test_signing_in_is_audited_without_the_secret(ready: str) -> None:
    async with db.unit() as session:
        staff = await factories.create_staff(session, username="grace", password_hash=ready)
        before = staff.version
    token = await sessions.sign_in_staff(username="grace", password=PASSWORD, ip="192.0.2.1", agent="A" * 500)
    async with db.reads() as session:
        row = (await session.scalars(select(Audit).where(Audit.action == "sign_in"))).one()
        assert (row.staff_id, row.noun, row.noun_id, row.kind.value) == (staff.id, "staff", staff.id, "staff")
        kept = (await session.scalars(select(LoginSession))).one()
        assert (kept.ip, len(kept.agent), kept.token_hash) == ("192.0.2.1", 200, sessions.token_hash(token))
        again = await session.get_one(Staff, staff.id)
        assert again.last_sign_in_at is not None
        assert again.version == before  # else an open form of this person could not be saved any more


async def test_disabled_and_invited_people_are_refused_like_unknown_ones(ready: str) -> None:
    async with db.unit() as session:
        await factories.create_staff(session, username="off", password_hash=ready, enabled=False)
        await factories.create_staff(session, username="invited", password_hash=None)
    for name in ("off", "invited", "nobody"):
        with pytest.raises(Invalid, match="wrong"):
            await sessions.sign_in_staff(username=name, password=PASSWORD, ip=None)


async def test_one_login_in_several_projects_is_told_apart_by_the_password(ready: str) -> None:
    async with db.unit() as session:
        made = []
        for n in range(3):
            project = await factories.create_project(session)
            customer = await factories.create_customer(session, project=project)
            hashed = await sessions.hash_password(f"password number {n}")
            made.append(await factories.create_user(session, customer=customer, username="ada", password_hash=hashed))
    for n, user in enumerate(made):
        view = await sessions.session_of(
            await sessions.sign_in_user(login="Ada ", password=f"password number {n}", ip=None)
        )
        assert view is not None and view.user_id == user.id
    with pytest.raises(Invalid):
        await sessions.sign_in_user(login="ada", password="password number 1", ip=None, project_id=made[0].project_id)


async def test_users_sign_in_by_email_but_not_by_one_that_only_folds_alike(ready: str) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        await factories.create_user(
            session, customer=customer, username="x1", email="jörg@example.net", password_hash=ready
        )
    assert await sessions.sign_in_user(login="JÖRG@example.net", password=PASSWORD, ip=None)
    with pytest.raises(Invalid):
        await sessions.sign_in_user(login="jorg@example.net", password=PASSWORD, ip=None)


async def test_a_user_whose_accounts_are_all_closed_hears_so(ready: str) -> None:
    async with db.unit() as session:
        closed = await factories.create_customer(session, name="A closed one", status=CustomerStatus.CLOSED)
        user = await factories.create_user(session, customer=closed, username="ada", password_hash=ready)
    with pytest.raises(Forbidden, match="closed"):
        await sessions.sign_in_user(login="ada", password=PASSWORD, ip=None)
    with pytest.raises(Invalid):
        await sessions.sign_in_user(login="ada", password="wrong", ip=None)
    async with db.unit() as session:
        still = await factories.create_customer(session, name="Open")
        from app.models.users import UserCustomer

        session.add(UserCustomer(user_id=user.id, customer_id=still.id))
    view = await sessions.session_of(await sessions.sign_in_user(login="ada", password=PASSWORD, ip=None))
    assert view is not None and view.customer_id == still.id


# ---- throttling ------------------------------------------------------------------------------------------------------


async def test_many_guesses_at_once_gain_nothing(ready: str) -> None:
    async with db.unit() as session:
        await factories.create_staff(session, username="grace", password_hash=ready)
    tries = await asyncio.gather(
        *(sessions.sign_in_staff(username="grace", password=f"guess {n}", ip="192.0.2.1") for n in range(12)),
        return_exceptions=True,
    )
    assert sum(isinstance(t, Invalid) for t in tries) == throttle.PER_ACCOUNT
    assert sum(isinstance(t, TooMany) for t in tries) == 12 - throttle.PER_ACCOUNT


async def test_after_the_window_one_may_try_again(ready: str) -> None:
    async with db.unit() as session:
        await factories.create_staff(session, username="grace", password_hash=ready)
    for _n in range(6):
        with pytest.raises(AppError):
            await sessions.sign_in_staff(username="grace", password="wrong", ip="192.0.2.1")
    with pytest.raises(TooMany) as refused:
        await sessions.sign_in_staff(username="grace", password=PASSWORD, ip="192.0.2.1")
    assert 0 < refused.value.seconds <= 900
    async with db.unit() as session:
        for row in (await session.scalars(select(Throttle))).all():
            row.since = utcnow() - throttle.THROTTLE_WINDOW - timedelta(seconds=1)
    assert await sessions.sign_in_staff(username="grace", password=PASSWORD, ip="192.0.2.1")


async def test_what_was_typed_is_not_kept(ready: str) -> None:
    with pytest.raises(Invalid):
        await sessions.sign_in_staff(username="my secret password", password="x", ip="192.0.2.1")
    async with db.reads() as session:
        kept = [row.key for row in (await session.scalars(select(Throttle))).all()]
        rows = (await session.scalars(select(Audit))).all()
    assert len(kept) == 2 and not any("secret" in key for key in kept)
    assert not any("secret" in row.note for row in rows)


# ---- what a token stands for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "x", "x" * 40, "x" * 1000, "\0" * 40, "ü" * 40])
async def test_a_token_that_is_none_stands_for_nobody(ready: str, token: str) -> None:
    assert await sessions.session_of(token) is None


async def test_staff_sessions_idle_out_and_use_keeps_them(ready: str) -> None:
    async with db.unit() as session:
        staff = await factories.create_staff(
            session, username="grace", password_hash=ready, grants=[("customer", "list")]
        )
    token = await sessions.sign_in_staff(username="grace", password=PASSWORD, ip=None)

    async def last_seen(ago: timedelta) -> None:
        async with db.unit() as session:
            row = (await session.scalars(select(LoginSession))).one()
            row.last_seen_at = utcnow() - ago

    await last_seen(timedelta(hours=11, minutes=59))
    view = await sessions.session_of(token)
    assert view is not None
    assert (view.staff_id, view.grants, view.projects) == (staff.id, frozenset({("customer", "list")}), None)
    await sessions.touch(view)
    touched = await sessions.session_of(token)
    assert touched is not None and touched.last_seen_at > utcnow() - timedelta(seconds=30)
    await last_seen(timedelta(seconds=50))
    view = await sessions.session_of(token)
    assert view is not None
    await sessions.touch(view)  # less than a minute: no write
    again = await sessions.session_of(token)
    assert again is not None and again.last_seen_at == view.last_seen_at
    await last_seen(timedelta(hours=12, seconds=1))
    assert await sessions.session_of(token) is None


async def test_the_projects_of_limited_staff_come_with_the_session(ready: str) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        await factories.create_staff(session, username="grace", password_hash=ready, projects=[project])
    view = await sessions.session_of(await sessions.sign_in_staff(username="grace", password=PASSWORD, ip=None))
    assert view is not None and view.projects == frozenset({project.id})


async def test_a_new_password_ends_the_other_sessions(ready: str) -> None:
    async with db.unit() as session:
        staff = await factories.create_staff(session, username="grace", password_hash=ready)
    first = await sessions.sign_in_staff(username="grace", password=PASSWORD, ip=None)
    second = await sessions.sign_in_staff(username="grace", password=PASSWORD, ip=None)
    kept = await sessions.session_of(second)
    assert kept is not None
    async with db.unit() as session:
        person = await session.get_one(Staff, staff.id)
        await sessions.set_password(session, staff=person, password="an other password", keep_session=kept.id)
    assert await sessions.session_of(first) is None
    assert await sessions.session_of(second) is not None
    with pytest.raises(Invalid):
        await sessions.sign_in_staff(username="grace", password=PASSWORD, ip=None)
    assert await sessions.sign_in_staff(username="grace", password="an other password", ip=None)
    async with db.reads() as session:
        assert "sessions_ended" in (await session.scalars(select(Audit.action))).all()


@pytest.mark.parametrize(("who", "least"), [("staff", 10), ("user", 8)])
async def test_short_passwords_are_refused(ready: str, who: str, least: int) -> None:
    async with db.unit() as session:
        person = await (factories.create_staff(session) if who == "staff" else factories.create_user(session))
        with pytest.raises(Invalid) as refused:
            await sessions.set_password(session, password="x" * (least - 1), **{who: person})  # type: ignore[arg-type]
        assert set(refused.value.fields) == {"password"}
        await sessions.set_password(session, password="x" * least, **{who: person})  # type: ignore[arg-type]


async def test_ending_one_persons_sessions_leaves_the_others(ready: str) -> None:
    async with db.unit() as session:
        for name in ("grace", "alan"):
            await factories.create_staff(session, username=name, password_hash=ready)
    grace = await sessions.sign_in_staff(username="grace", password=PASSWORD, ip=None)
    alan = await sessions.sign_in_staff(username="alan", password=PASSWORD, ip=None)
    view = await sessions.session_of(grace)
    assert view is not None
    async with db.unit() as session:
        assert await sessions.end_sessions_of(session, staff_id=view.staff_id) == 1
        assert await sessions.end_sessions_of(session, staff_id=view.staff_id) == 0
    assert await sessions.session_of(grace) is None
    assert await sessions.session_of(alan) is not None


async def test_only_served_customers_can_be_picked(ready: str) -> None:
    async with db.unit() as session:
        first = await factories.create_customer(session, name="A")
        second = await factories.create_customer(session, name="B")
        foreign = await factories.create_customer(session, name="C")
        user = await factories.create_user(session, customers=[second, first], username="ada", password_hash=ready)
    token = await sessions.sign_in_user(login="ada", password=PASSWORD, ip=None)
    view = await sessions.session_of(token)
    assert view is not None and (view.user_id, view.customer_id, view.kind) == (user.id, first.id, SessionKind.CLIENT)
    async with db.unit() as session:
        await sessions.pick_customer(session, view=view, customer_id=second.id)
    moved = await sessions.session_of(token)
    assert moved is not None and moved.customer_name == "B"
    with pytest.raises(NotFound):
        async with db.unit() as session:
            await sessions.pick_customer(session, view=view, customer_id=foreign.id)
    async with db.reads() as session:
        assert (await session.get_one(User, user.id)).last_sign_in_at is not None


@pytest.mark.parametrize(
    ("grants", "allowed"),
    [
        ({("*", "*")}, True),
        ({("customer", "*")}, True),
        ({("*", "action:enter")}, True),
        ({("customer", "action:enter")}, True),
        ({("customer", "list")}, False),
        ({("user", "*")}, False),
        (set(), False),
    ],
)
def test_a_star_stands_for_every_screen_and_action(grants: set[tuple[str, str]], allowed: bool) -> None:
    assert sessions.granted(grants, "customer", "action:enter") is allowed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("unknown", "unknown", True),
    ],
)
def test_an_ipv6_visitor_is_counted_by_network(one: str, other: str, same: bool) -> None:
    """Every home has 2^64 IPv6 addresses: counted one by one, each guess could come from a fresh one."""
    assert (throttle.key_of_address(one) == throttle.key_of_address(other)) is same


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_guesses_from_one_ipv6_network_are_slowed_down(ready: str) -> None:
    for n in range(throttle.PER_ADDRESS):
        with pytest.raises(Invalid):
            await sessions.sign_in_staff(username=f"nobody{n}", password="x", ip=f"2001:db8::{n + 1:x}")
    with pytest.raises(TooMany):
        await sessions.sign_in_staff(username="somebody", password="x", ip="2001:db8::ffff")
    with pytest.raises(TooMany):
        await sessions.sign_in_user(login="somebody", password="x", ip="2001:db8::fffe")
