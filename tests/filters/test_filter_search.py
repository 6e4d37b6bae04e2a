"""Searching for parts of texts: with the trigram indexes, without them and in plain Python the same rows are found."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.orm import aliased
from sqlalchemy.sql.visitors import iterate

import app.models  # noqa: F401
from app import db, filters
from app.db import Narrowed, fold, sessions, trigrams
from app.migrations.connect import on_database
from app.migrations.drift import create_extras, differences, drop_extras, metadata
from app.models.customers import Customer
from app.models.users import User
from app.observe import SYSTEM, acting
from tests import factories
from tests.conftest import LONG
from tests.filters.plain import ids, leaf

WORDS = [
    "Anna", "ANNE", "Köhler", "kohler", "Straße", "STRASSE", "İstanbul", "istanbul", "ılık", "e\u0301te\u0301", "été",
    "Петров", "Ольга", "йод", "山田", "太郎", "山", "東京都", "😀", "👩\u200d👩\u200d👧", "x😀y", "ﬁne", "①", "ﷺ", "ö",
    "ß", "100%", "a_b", "a\\b", "%", "_", "\\", "'", '"', '""', "O'Neil", 'say"so', "AND", "OR", "NOT", "NEAR", "*",
    "^", "(", ")", "{a}", "a:b", "-x", "+49", "a*", "^a", "col:", "search_text", ";--", "a", "ab", "li", "lin", "linda",
    "a.b@c.de", "x-y-z", "¼", "l" * 40, "q\u0308\u0323",
]  # fmt: skip
SEPARATORS = [" ", "  ", "\u00a0", "\t", "-", ".", ""]


def _text(rnd: random.Random, most: int = 5) -> str:
    parts = [rnd.choice(WORDS) for _ in range(rnd.randint(1, most))]
    return "".join(p + rnd.choice(SEPARATORS) for p in parts).strip() or "x"


def _term(rnd: random.Random, texts: list[str]) -> str:
    """Part of a text that is there, or something that may be nowhere; up to 200 characters."""
    kind = rnd.random()
    if kind < 0.5:
        whole = rnd.choice(texts)
        start = rnd.randrange(len(whole))
        return whole[start : start + rnd.choice((1, 2, 3, 4, 6, 200))]
    if kind < 0.9:
        return _text(rnd, 3)[:200]
    return "".join(rnd.choice("abcкл山%_\\\"'*() ") for _ in range(rnd.choice((2, 3, 5, 200))))


def _narrowed(test: Any) -> list[Narrowed]:
    return [element for element in iterate(test) if isinstance(element, Narrowed)]


async def _found(test: ColumnElement[bool], model: Any = Customer) -> set[int]:
    async with db.reads() as session:
        return set((await session.scalars(select(model.id).where(test))).all())


async def _both_ways(make: Callable[[], ColumnElement[bool] | None], model: Any = Customer) -> set[int]:
    """What is found with the index; without it the same must be found."""
    with_index, without = make(), make()
    assert with_index is not None and without is not None
    for element in _narrowed(without):
        element.common = True
    found = await _found(with_index, model)
    assert await _found(without, model) == found
    return found


def _wanted(search_text: str, term: str) -> bool:
    words = list(dict.fromkeys(fold(term.strip()).split()))[:8]
    return bool(words) and all((f"  {w}" if len(w) < 3 else w) in search_text for w in words)


async def _people(rnd: random.Random, n: int) -> list[Customer]:
    async with db.unit() as session:
        project = await factories.create_project(session)
        made = []
        for _ in range(n):
            name, phone = _text(rnd)[:200], rnd.choice(["", "+49 30 12345", "a_b 100%", "x(y)", "Ä1 ab"])
            made.append(await factories.create_customer(session, project=project, name=name, phone=phone, email=""))
    return made


async def test_random_searches_find_the_same_with_and_without_the_index(database: str) -> None:
    rnd = random.Random(4)
    people = await _people(rnd, 80)
    texts = [c.name for c in people]
    used = 0
    for _ in range(250):
        term = _term(rnd, texts)
        if not term.strip():
            continue
        expected = {c.id for c in people if _wanted(c.search_text, term)}
        used += bool(expected)
        assert await _both_ways(lambda term=term: filters.search(Customer, term)) == expected, term  # type: ignore[misc]
    assert used > 100


@pytest.mark.parametrize("engine_name", ["sqlite", LONG], indirect=True)
async def test_random_text_filters_find_the_same_with_and_without_the_index(database: str) -> None:
    rnd = random.Random(5)
    people = await _people(rnd, 80)
    texts = [c.name for c in people] + [c.phone for c in people if c.phone]
    narrowed = 0
    for _ in range(100):
        term, op = _term(rnd, texts), rnd.choice(("contains", "starts_with"))
        words = fold(term).split()
        if not words or len(words) > 20:
            continue
        for field in ("name", "phone", "account_name", "search"):
            if op == "starts_with" and field == "search":
                continue
            condition = filters.parse(leaf(field, op, term), Customer)
            narrowed += len(_narrowed(filters.compile(condition, Customer)))
            found = await _both_ways(lambda condition=condition: filters.compile(condition, Customer))  # type: ignore[misc]
            negated = filters.Not(condition)
            rest = await _both_ways(lambda negated=negated: filters.compile(negated, Customer))  # type: ignore[misc]
            assert found | rest == {c.id for c in people} and not found & rest
            if field == "name":
                starts = op == "starts_with"
                expected = {c.id for c in people if (c.name_folded.startswith(fold(term)) if starts
                            else all(w in c.name_folded for w in words))}  # fmt: skip
                assert found == expected, (op, term)
    assert narrowed > 200


async def test_what_is_changed_or_deleted_is_found_under_its_new_text_only(database: str) -> None:
    async with db.unit() as session:
        anna = await factories.create_customer(session, name="Anna Köhler")
        other = await factories.create_customer(session, name="Linda Straße")
        user = await factories.create_user(session, customer=anna, username="quitte")

    def search(term: str, model: Any = Customer) -> Callable[[], ColumnElement[bool] | None]:
        return lambda: filters.search(model, term)

    assert await _both_ways(search("ohle")) == {anna.id}
    async with db.unit() as session:
        (await session.get_one(Customer, anna.id)).name = "Berta Quitte"
    assert await _both_ways(search("ohle")) == set()
    assert await _both_ways(search("uitt")) == {anna.id}
    assert await _both_ways(search("uitt", User), User) == {user.id}
    async with db.unit() as session:
        (await session.get_one(Customer, anna.id)).phone = "+49 30 5550100"
        await session.delete(await session.get_one(Customer, other.id))
    assert await _both_ways(search("5550100 berta")) == {anna.id}
    assert await _both_ways(search("strasse")) == set()
    async with db.unit() as session:
        try:
            async with session.begin_nested():
                session.add(Customer(name="Undone", project_id=anna.project_id))
                await session.flush()
                raise InterruptedError
        except InterruptedError:
            pass
        again = await factories.create_customer(session, name="Undone again")
    assert await _both_ways(search("undone")) == {again.id}
    if db.is_sqlite():  # the index holds what the table holds, and nothing else
        async with db.unit() as session:
            for table in ("customer_fts", "user_fts"):
                await session.execute(text(f"INSERT INTO {table}({table}) VALUES ('integrity-check')"))


async def test_an_alias_and_a_related_row_are_searched_by_the_index_too(database: str) -> None:
    async with db.unit() as session:
        anna = await factories.create_customer(session, name="Anna")
        berta = await factories.create_customer(session, name="Berta")
        await factories.create_user(session, customer=berta, username="annabel", full_name="")
    other = aliased(Customer)
    test = filters.search(Customer, "anna", entity=other)
    assert test is not None and len(_narrowed(test)) == 1
    async with db.reads() as session:
        assert (await session.scalars(select(other.id).where(test))).all() == [anna.id]
    assert await ids(leaf("account_name", "contains", "nna")) == {anna.id, berta.id}
    assert await ids(leaf("users", "has", where=leaf("username", "contains", "nnab"))) == {berta.id}


async def _plan(test: ColumnElement[bool]) -> str:
    async with db.reads() as session:
        await session.connection()  # which looks for the indexes
        statement = select(Customer.id).where(test)
        compiled = statement.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        rows = await session.execute(text("EXPLAIN QUERY PLAN " + str(compiled).replace(":", "\\:")))
        return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_sqlite_looks_into_the_index(database: str) -> None:
    for test in (
        filters.search(Customer, "kohler"), filters.search(Customer, "li"),
        filters.compile(filters.parse(leaf("name", "contains", "kohler"), Customer), Customer),
        filters.compile(filters.parse(leaf("email", "starts_with", "kohler"), Customer), Customer),
    ):  # fmt: skip
        assert test is not None
        plan = await _plan(test)
        assert "customer_fts VIRTUAL TABLE" in plan and "SEARCH customer USING INTEGER PRIMARY KEY" in plan, plan


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_common_text_is_found_without_the_index(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigrams, "FEW", 3)
    async with db.unit() as session:
        people = [await factories.create_customer(session, name=f"Common {n}" if n else "Rare") for n in range(9)]
    for term, common, expected in (("common", True, people[1:]), ("rare", False, people[:1])):
        test = filters.search(Customer, term)
        assert test is not None
        statement = select(Customer.id).where(test)
        async with db.reads() as session:
            await db.weigh(session, [test])
            assert [n.common for n in _narrowed(test)] == [common]
            assert set((await session.scalars(statement)).all()) == {c.id for c in expected}
        assert ("customer_fts" in await _plan(test)) is not common


def _extras(url: str, *steps: Callable[[Any], None]) -> None:
    def work(connection: Any) -> None:
        metadata()
        for step in steps:
            step(connection)
        connection.commit()

    on_database(url, work)


async def test_it_works_where_there_is_no_index(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(_extras, database_url, drop_extras)
    db.configure(database_url)
    try:
        with acting(SYSTEM):
            async with db.unit() as session:
                anna = await factories.create_customer(session, name="Anna Köhler")
            assert await _both_ways(lambda: filters.search(Customer, "ohle")) == {anna.id}
    finally:
        await db.dispose()
        await asyncio.to_thread(_extras, database_url, create_extras)  # other tests may get this database
    monkeypatch.setattr(trigrams, "_sqlite_has_trigrams", lambda: False)
    assert trigrams._create("sqlite") == []


async def test_models_and_extras_agree_with_the_database(database: str) -> None:
    assert await asyncio.to_thread(on_database, database, differences) == []


async def test_large_tables_are_estimated_and_small_ones_counted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        for _ in range(5):
            await factories.create_customer(session, project=project)
        await session.execute(text("ANALYZE"))
        await factories.create_customer(session, project=project)
        table = metadata().tables["customer"]
        assert await db.estimated_rows(session, table) == 6
        monkeypatch.setattr(sessions, "LARGE", 3)
        assert await db.estimated_rows(session, table) == (6 if db.is_sqlite() else 5)
        await session.execute(delete(Customer).execution_options(audited=True))


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_sqlite_reads_newest_first_instead_of_sorting_everybody(database: str) -> None:
    indexes = {index.name for index in metadata().tables["customer"].indexes}
    async with db.reads() as session:
        assert set(await session.scalars(text("SELECT idx FROM sqlite_stat1 WHERE tbl = 'customer'"))) == indexes
        for asked in ("status IN ('new', 'active')", "project_id IN (1, 2)", "language IN ('de', 'en', 'fr')"):
            rows = await session.execute(
                text(f"EXPLAIN QUERY PLAN SELECT * FROM customer WHERE {asked} ORDER BY id DESC LIMIT 26")
            )
            assert [row[3] for row in rows] == ["SCAN customer"], asked
