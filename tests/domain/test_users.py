"""Users: their names, whom they serve, and the owner who must stay."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db import reads, unit, utcnow
from app.domain import users
from app.domain.sessions import verify_password
from app.errors import Conflict, Invalid
from app.models.sessions import LoginSession, SessionKind
from app.models.users import User, UserCustomer, UserRole
from tests.factories import create_customer, create_project, create_user

pytestmark = pytest.mark.usefixtures("database")


async def test_a_new_user_has_a_folded_name_and_a_hash() -> None:
    async with unit() as session:
        project = await create_project(session)
        user = await users.create_user(
            session, project_id=project.id, email="Zoë@X.example", full_name="Zoë", password="long enough"
        )
        assert user.username == "zoë@x.example"
        assert await verify_password(user.password_hash, "long enough")


async def test_changing_the_password_or_disabling_ends_the_sessions() -> None:
    async with unit() as session:
        user = await create_user(session, customer=await create_customer(session))
    cases: list[tuple[dict[str, object], str | None]]
    cases = [({}, "a new password"), ({"enabled": False}, None)]
    for values, password in cases:
        async with unit() as session:
            session.add(LoginSession(
                token_hash=f"{password}", kind=SessionKind.CLIENT, user_id=user.id, last_seen_at=utcnow(),
                expires_at=utcnow() + timedelta(hours=1),
            ))  # fmt: skip
        async with unit() as session:
            row = await session.get_one(User, user.id)
            assert await users.change_user(session, user=row, values=values, password=password)
        async with reads() as session:
            open_ones = select(LoginSession.id).where(LoginSession.ended_at.is_(None))
            assert (await session.scalars(open_ones)).all() == []


async def test_a_name_that_is_taken_is_refused_and_an_empty_one_is_the_email() -> None:
    async with unit() as session:
        project = await create_project(session)
        await create_user(session, project=project, username="ann")
        user = await create_user(session, project=project, username="ben", email="Ben@x.example")
        with pytest.raises(Invalid) as refused:
            await users.change_user(session, user=user, values={"username": "ANN"})
        assert set(refused.value.fields) == {"username"} and user.username == "ben"
        await users.change_user(session, user=user, values={"username": ""})
        assert user.username == "ben@x.example"


@pytest.mark.parametrize(
    ("values", "field"),
    [({"email": "nothing"}, "email"), ({"full_name": "x" * 201}, "full_name"), ({"language": "??"}, "language"),
     ({"enabled": "maybe"}, "enabled"), ({"password_hash": "x"}, "password_hash")],
)  # fmt: skip
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_bad_values_are_named(values: dict[str, object], field: str) -> None:
    async with unit() as session:
        user = await create_user(session)
        with pytest.raises(Invalid) as refused:
            await users.change_user(session, user=user, values=values)
    assert set(refused.value.fields) == {field}


async def test_the_last_owner_stays() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        owner = await create_user(session, customer=customer)
        helper = await create_user(session, customer=customer, role=UserRole.TECHNICAL)
        with pytest.raises(Conflict, match="last owner"):
            await users.detach_user(session, user=owner, customer=customer)
        with pytest.raises(Conflict, match="last owner"):
            await users.attach_user(session, user=owner, customer=customer, role="finance")
        with pytest.raises(Conflict, match="last owner"):
            await users.delete_user(session, user=owner)
        link = await users.attach_user(session, user=helper, customer=customer, role="owner", receives=True)
        assert (link.role, link.receives) == (UserRole.OWNER, True)
        await users.detach_user(session, user=owner, customer=customer)
        await users.delete_user(session, user=owner)
        with pytest.raises(Conflict):
            await users.detach_user(session, user=helper, customer=customer)


async def test_two_owners_who_leave_at_once() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        owners = [await create_user(session, customer=customer) for _n in range(2)]

    async def leave(user: User) -> None:
        async with unit() as session:
            await users.detach_user(session, user=user, customer=customer)
            await asyncio.sleep(0.1)

    ends = await asyncio.gather(*map(leave, owners), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "NoneType"]
    async with reads() as session:
        assert len((await session.scalars(select(UserCustomer))).all()) == 1


async def test_users_serve_their_own_project_only() -> None:
    async with unit() as session:
        user = await create_user(session)
        stranger = await create_customer(session, project=await create_project(session))
        with pytest.raises(Invalid):
            await users.attach_user(session, user=user, customer=stranger, role=UserRole.OWNER)
