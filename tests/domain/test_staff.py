"""Staff: roles by name, grants, and the two rules that keep the house safe: nobody gives more than they have, and
somebody who may do everything always stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from admin_views.screens import SCREENS
from app.db import reads, unit
from app.domain import staff
from app.domain.demo.dictionaries import ROLES
from app.domain.sessions import granted, verify_password
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.models.audit import AuditDetail
from app.models.staff import Role, Staff, StaffProject, StaffRole
from app.observe import Actor, Kind, acting
from tests.factories import create_project, create_role, create_staff

pytestmark = pytest.mark.usefixtures("database")
WORD = "a long enough one"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def by(person: Staff, projects: frozenset[int] | None = None) -> Actor:
    return Actor(Kind.STAFF, staff_id=person.id, projects=projects)


async def test_adding_makes_the_owner_role_once_and_hashes_the_password() -> None:
    async with unit() as session:
        for name in ("Ann", "ben"):
            person = await staff.add_staff(
                session, username=name, full_name=name, email="a@x.example", password=WORD, role="Owner"
            )
            assert person.username == name.lower() and await verify_password(person.password_hash, WORD)
            assert await staff.grants_of(session, person.id) == {("*", "*")}
        assert (await session.scalars(select(Role.name))).all() == ["Owner"]
    async with reads() as session:
        assert not [p for p in await session.scalars(select(AuditDetail.payload)) if "argon2" in p or WORD in p]


@on_sqlite
@pytest.mark.parametrize(
    ("values", "field"),
    [({"role": "King"}, "role"), ({"password": "short"}, "password"), ({"email": ""}, "email"),
     ({"username": ""}, "username"),
     ({"username": "x" * 65}, "username"), ({"full_name": "a\0"}, "full_name"),
     ({"language": "fr"}, "language"),
     ({"username": "TAKEN"}, "username"), ({"timezone": "Mars"}, "timezone")],
)  # fmt: skip
async def test_bad_values_are_named(values: dict[str, str], field: str) -> None:
    async with unit() as session:
        await create_staff(session, username="taken")
        given = {"username": "ann", "full_name": "Ann", "email": "a@x.example", "password": WORD, "role": "Owner"}
        with pytest.raises(Invalid) as refused:
            await staff.add_staff(session, **{**given, **values})
    assert set(refused.value.fields) == {field}


async def test_the_last_owner_stays() -> None:
    async with unit() as session:
        owner = await staff.add_staff(session, username="ann", full_name="Ann", email="a@x.example", password=WORD)
        small = await create_role(session, grants=[("customer", "list")])
        asleep = await create_staff(session, role=await staff.owner_role(session))  # without a password: does not count
        role = await staff.owner_role(session)
        for attempt in (
            staff.change_staff(session, staff=owner, values={"enabled": False}),
            staff.set_roles(session, staff=owner, roles=[small.id]),
            staff.set_roles(session, staff=owner, roles=[]),
            staff.delete_staff(session, staff=owner),
            staff.save_role(session, role=role, name="Owner", grants=[("customer", "list")]),
        ):
            with pytest.raises(Conflict, match="Nobody would be left"):
                await attempt
        assert owner.enabled and await staff.grants_of(session, owner.id) == {("*", "*")}
        await staff.set_password(session, username=asleep.username, password=WORD)
        await staff.change_staff(session, staff=owner, values={"enabled": False})
        assert await staff.grants_of(session, owner.id) == set()
        await staff.delete_staff(session, staff=owner)
    async with reads() as session:
        assert (await session.scalars(select(Staff.id))).all() == [asleep.id]


async def test_two_owners_who_disable_each_other_at_once() -> None:
    async with unit() as session:
        pair = [
            await staff.add_staff(session, username=name, full_name=name, email="a@x.example", password=WORD)
            for name in ("ann", "ben")
        ]

    async def disable(person: Staff) -> None:
        async with unit() as session:
            row = await session.get_one(Staff, person.id)
            await staff.change_staff(session, staff=row, values={"enabled": False})
            await asyncio.sleep(0.1)

    ends = await asyncio.gather(*map(disable, pair), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "NoneType"]


async def test_nobody_gives_more_than_they_have() -> None:
    async with unit() as session:
        owner = await staff.add_staff(session, username="ann", full_name="Ann", email="a@x.example", password=WORD)
        manager = await create_staff(session, grants=[("staff", "*"), ("role", "*"), ("customer", "list")])
        helper = await create_staff(session, grants=[("customer", "list")])
        small = await create_role(session, name="Small", grants=[("customer", "list")])
        everything = await staff.owner_role(session)
    with acting(by(manager)):
        async with unit() as session:
            new = {"username": "ben", "full_name": "Ben", "email": "b@x.example", "password": WORD}
            for attempt in (
                staff.set_roles(session, staff=manager, roles=[everything.id]),
                staff.set_roles(session, staff=helper, roles=[everything.id]),
                staff.change_staff(session, staff=owner, values={}, password="taking it over"),
                staff.delete_staff(session, staff=owner),
                staff.add_staff(session, **new, role="Owner"),
                staff.save_role(session, name="Mine", grants=[("payer", "list")]),
                staff.save_role(session, role=everything, name="Mine"),
            ):
                with pytest.raises(Forbidden):
                    await attempt
            await staff.add_staff(session, **new, role="Small")
            await staff.set_roles(session, staff=helper, roles=[small.id])
            await staff.save_role(session, name="Mine", grants=[("customer", "list"), ("staff", "action:invite")])
            with pytest.raises(Conflict):
                await staff.delete_staff(session, staff=manager)


async def test_staff_of_a_project_stay_within_it() -> None:
    async with unit() as session:
        mine, other = await create_project(session), await create_project(session)
        manager = await create_staff(session, projects=[mine], grants=[("*", "*")])
        unlimited = await create_staff(session, grants=[("customer", "list")])
        colleague = await create_staff(session, projects=[mine])
    with acting(by(manager, frozenset({mine.id}))):
        async with unit() as session:
            with pytest.raises(Forbidden):
                await staff.change_staff(session, staff=unlimited, values={"full_name": "X"})
            with pytest.raises(Forbidden):
                await staff.set_projects(session, staff=colleague, projects=[])
            with pytest.raises(Invalid):
                await staff.set_projects(session, staff=colleague, projects=[other.id])
            new = await staff.add_staff(session, username="ben", full_name="Ben", email="b@x.example", password=WORD)
            limits = select(StaffProject.project_id).where(StaffProject.staff_id == new.id)
            assert (await session.scalars(limits)).all() == [mine.id]


async def test_roles_are_saved_as_a_whole() -> None:
    async with unit() as session:
        role = await staff.save_role(session, name="Desk", grants=[("customer", "list"), ("customer", "action:enter")])
        person = await create_staff(session, role=role)
        await staff.save_role(session, role=role, name="Desk 2", grants=[("customer", "list"), ("ticket", "edit")])
        assert await staff.grants_of(session, person.id) == {("customer", "list"), ("ticket", "edit")}
        assert [r.name for r in await staff.roles_of(session, person.id)] == ["Desk 2"]
        for name, grants, field in (("Desk 2", [], "name"), ("", [], "name"), ("X", [("moon", "list")], "grants"),
                                    ("X", [("customer", "fly")], "grants")):  # fmt: skip
            with pytest.raises(Invalid) as refused:
                await staff.save_role(session, name=name, grants=grants)
            assert set(refused.value.fields) == {field}
        with pytest.raises(Conflict):
            await staff.delete_role(session, role=role)
        await staff.set_roles(session, staff=person, roles=[])
        await staff.delete_role(session, role=role)
        assert (await session.scalars(select(StaffRole))).all() == []


async def test_the_first_staff_member_is_made_once() -> None:
    async with unit() as session:
        await create_staff(session, username="admin")  # a name without a password is nobody who can sign in
        first = await staff.ensure_first_staff(session)
        assert first is not None
        person, password = first
        assert person.username == "admin2" and await verify_password(person.password_hash, password)
        assert await staff.grants_of(session, person.id) == {("*", "*")}
        assert await staff.ensure_first_staff(session) is None


@on_sqlite
async def test_a_password_for_nobody() -> None:
    async with unit() as session:
        with pytest.raises(NotFound):
            await staff.set_password(session, username="nobody", password=WORD)


def demo_grants() -> Iterator[tuple[str, str]]:
    for _about, grants in ROLES.values():
        yield from ((screen, action) for screen, actions in grants for action in actions)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_the_roles_of_the_demo_are_well_formed_and_limited() -> None:
    known = {(view.identity, action) for view in SCREENS for action in staff.ACTIONS}
    known |= {(view.identity, button.action) for view in SCREENS for button in view.buttons}
    known |= {(view.identity, button.grant_all) for view in SCREENS for button in view.buttons}
    assert {(screen, action) for screen, action in demo_grants() if screen != "*"} <= known
    support = {(screen, a) for screen, actions in ROLES["Support"][1] for a in actions}
    assert granted(support, "customer", "action:enter") and not granted(support, "customer", "action:message_all")
    reader = {(screen, a) for screen, actions in ROLES["Read-only"][1] for a in actions}
    assert granted(reader, "payer", "details") and not granted(reader, "payer", "edit")
