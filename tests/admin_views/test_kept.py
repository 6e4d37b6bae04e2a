"""What lists keep between two requests: statements and capped counts. Nobody may get what was kept for another."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import delete, literal_column, select, text
from sqlalchemy.exc import DBAPIError

from admin_views.automation import Standing
from admin_views.base import listing
from admin_views.base.cells import badge
from app import db
from app.db import sessions, sqlite
from app.domain import lists
from app.models.customers import Customer, CustomerStatus
from app.observe import SYSTEM, Actor, Kind, acting
from app.web.guard import Guard
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff

LIST = "/admin/customer/list"


def names(page: httpx.Response) -> list[str]:
    assert page.status_code == 200
    return re.findall(r'value="\d+" aria-label="Select ([^"]+)"', page.text)


def test_a_state_is_not_shown_as_one_of_another_kind_with_the_same_value() -> None:
    assert str(CustomerStatus.CLOSED) == str(Standing.OFF)
    for _time in range(2):
        assert "Closed" in badge(CustomerStatus.CLOSED) and "Not in use" in badge(Standing.OFF)


async def test_a_kept_list_belongs_to_one_scope(sign_in: SignIn, database: str) -> None:
    async with db.unit() as session:
        projects = [await factories.create_project(session, name=f"Brand {n}") for n in range(2)]
        for n, project in enumerate(projects):
            customer = await factories.create_customer(session, project=project, name=f"Köhler {n}")
            await factories.create_user(session, customer=customer, username=f"login{n}")
    owner = await sign_in(await create_staff([("*", "*")]))
    limited = [await sign_in(await create_staff([("*", "*")], projects=(p,))) for p in projects]
    for query in (
        "",
        "?search=kohler",
        "?name.contains=kohler",
        "?sort=name",
        "?last=1",
        f"?project.in={projects[0].id}",
    ):
        for _again in range(2):
            everything = names(await owner.get(LIST + query))
            assert everything == (
                ["Köhler 0"] if "project" in query else sorted(everything, reverse="sort" not in query)
            )
            for n, browser in enumerate(limited):
                page = await browser.get(LIST + query)
                assert names(page) == ([] if n and "project" in query else [f"Köhler {n}"]), query
                assert f"login{1 - n}" not in page.text


async def test_what_was_saved_is_seen_at_once(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        one = await factories.create_customer(session, name="One")
    assert names(await desk.get(LIST)) == ["One"]
    async with db.unit() as session:
        await factories.create_customer(session, name="Two")
        (await session.get_one(Customer, one.id)).name = "Uno"
    assert names(await desk.get(LIST)) == ["Two", "Uno"]
    async with db.unit() as session:
        await session.execute(delete(Customer).execution_options(audited=True))
    assert "Nothing here yet" in (await desk.get(LIST)).text


async def test_only_a_count_that_was_capped_is_kept(desk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "COUNTED", 3)
    async with db.unit() as session:
        for n in range(3):
            await factories.create_customer(session, name=f"Customer {n}", language="de")
    url = f"{LIST}?language.in=de"
    assert "of 3<" in (await desk.get(url)).text.replace("\n", "<")
    async with db.unit() as session:
        await factories.create_customer(session, name="One more", language="de")
    assert "of 3+" in (await desk.get(url)).text
    async with db.unit() as session:
        await session.execute(delete(Customer).execution_options(audited=True))
    assert "Nothing matches" in (await desk.get(url)).text


async def test_reading_cannot_write(database: str) -> None:
    with acting(SYSTEM):
        async with db.unit() as session:
            await factories.create_customer(session, name="Stays")
        for statement in ("DELETE FROM customer", "UPDATE customer SET name = 'x'", "CREATE TABLE t (x int)"):
            async with db.reads() as session:
                with pytest.raises(DBAPIError, match=r"read-?only"):
                    await session.execute(text(statement))
        async with db.reads() as session:
            assert (await session.scalars(select(Customer.name))).all() == ["Stays"]


@pytest.mark.parametrize("engine_name", ["postgres"], indirect=True)
async def test_a_connection_that_died_idle_is_replaced(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE", 0.0)
    with acting(Actor(Kind.SYSTEM)):
        async with db.reads() as session:
            await session.scalar(text("SELECT 1"))
        async with db.unit() as session:
            kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            assert await session.scalar(text(f"{kill} AND datname = current_database()"))
        async with db.reads() as session:
            assert await session.scalar(text("SELECT 1")) == 1


async def test_what_takes_too_long_is_broken_off_with_a_sentence(
    app: Guard, sign_in: SignIn, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.unit() as session:
        await factories.create_customer(session, name="One")
    await db.dispose()
    monkeypatch.setattr(sqlite, "LONGEST", 0.3)
    db.configure(database)
    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    slow = select(literal_column(f"({forever})") > 0).scalar_subquery()
    monkeypatch.setattr(lists, "ALWAYS", {Customer: lambda: slow})
    browser = await sign_in(await create_staff([("*", "*")]))
    page = await browser.get(LIST)
    assert page.status_code == 422 and "narrow the search" in page.text
    monkeypatch.undo()
    assert (await browser.get(LIST)).status_code == 200
