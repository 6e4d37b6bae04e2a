"""Custom fields in the filter language, on both databases: what matches, by which index, and what is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text

from app import db, filters
from app.domain import custom, customers
from app.domain.config import live
from app.filters import FilterProblem
from app.models.customers import Customer
from tests.factories import create_project

pytestmark = pytest.mark.usefixtures("database")

FIELDS: list[dict[str, Any]] = [
    {"kind": "text", "labels": {"en": "Contract", "de": "Vertrag"}},
    {"kind": "number", "digits": 1, "labels": {"en": "Rating"}},
    {"kind": "money", "currency": "JPY", "labels": {"en": "Deposit"}},
    {"kind": "date", "labels": {"en": "Birthday"}},
    {"kind": "choice", "labels": {"en": "Level"}, "choices": [{"labels": {"en": "Gold"}}, {"labels": {"en": "Tin"}}]},
    {"kind": "choices", "labels": {"en": "Likes"}, "choices": [{"labels": {"en": "Mail"}}, {"labels": {"en": "Tea"}}]},
    {"kind": "yes_no", "labels": {"en": "Wholesale"}},
]
ROWS: dict[str, dict[str, Any]] = {
    "a": {"contract": "Köhler 7/2024", "rating": 95, "deposit": 900, "birthday": "1984-05-01", "level": "gold",
          "likes": ["mail", "tea"], "wholesale": True},
    "b": {"contract": "KOHLER", "rating": 1000, "deposit": 10_000, "birthday": "2001-12-31", "level": "tin",
          "likes": ["tea"], "wholesale": False},
    "c": {},
}  # fmt: skip


async def make(**more: Any) -> None:
    async with db.unit() as session:
        for given in FIELDS:
            await custom.create(session, target="customer", **given, **more)
    await live.keep_up(every=0)


async def found(*condition: Any) -> str:
    field, op, *value = condition
    data = {"field": f"custom_{field}", "op": op} | ({"value": value[0]} if value else {})
    async with db.reads() as session:
        test = filters.compile(filters.parse(data, Customer), Customer)
        return "".join(await session.scalars(select(Customer.name).where(test).order_by(Customer.name)))


async def test_every_kind_is_compared_in_its_own_way() -> None:
    await make()
    async with db.unit() as session:
        project = await create_project(session)
        for name, values in ROWS.items():
            await customers.register_customer(
                session, project_id=project.id, email=f"{name}@x.example", name=name, custom=values
            )
    for condition, names in (
        (("contract", "contains", "hler"), "ab"),
        (("contract", "is", "kohler"), "b"),
        (("contract", "is_not", "kohler"), "ac"),
        (("contract", "starts_with", "KOH"), "ab"),
        (("contract", "contains", "2024"), "a"),
        (("contract", "is_empty"), "c"),
        (("rating", "at_least", 96), "b"),
        (("rating", "is", 95), "a"),
        (("rating", "between", [90, 1000]), "ab"),
        (("rating", "is_empty"), "c"),
        (("deposit", "at_most", 9999), "a"),
        (("birthday", "before", "2000-01-01"), "a"),
        (("birthday", "on", "2001-12-31"), "b"),
        (("birthday", "is_not_empty"), "ab"),
        (("level", "in", ["gold"]), "a"),
        (("level", "not_in", ["gold"]), "bc"),
        (("level", "is_empty"), "c"),
        (("likes", "in", ["mail"]), "a"),
        (("likes", "in", ["mail", "tea"]), "ab"),
        (("likes", "not_in", ["mail"]), "bc"),
        (("likes", "is_empty"), "c"),
        (("wholesale", "is", True), "a"),
        (("wholesale", "is", False), "bc"),
    ):
        assert await found(*condition) == names, condition
    async with db.reads() as session:
        searched = filters.search(Customer, "köhler 7/2024")
        assert [c.name for c in await session.scalars(select(Customer).where(searched))] == ["a"]


async def test_an_index_serves_what_is_filtered_often() -> None:
    await make(indexed=True)
    for field_id in range(1, len(FIELDS) + 1):
        await custom.index(field_id=field_id)
    asked: list[dict[str, Any]] = [
        {"field": "custom_contract", "op": "is", "value": "x"},
        {"field": "custom_level", "op": "in", "value": ["gold"]},
        {"field": "custom_rating", "op": "is", "value": 7},
        {"field": "custom_rating", "op": "at_least", "value": 7},
        {"field": "custom_likes", "op": "in", "value": ["tea"]},
        {"field": "custom_wholesale", "op": "is", "value": True},
    ]
    served = [1, 1, 1, 1, 0, 1] if db.is_sqlite() else [1, 1, 1, 0, 1, 1]
    async with db.reads() as session:
        # a plan is made with the schema that the connection knows
        await session.execute(text("SELECT * FROM sqlite_master" if db.is_sqlite() else "SET enable_seqscan = off"))
        for data, wanted in zip(asked, served, strict=True):
            test = filters.compile(filters.parse(data, Customer), Customer)
            statement = db.Prepared(select(Customer.id).where(test), session.get_bind().dialect)
            explain = "EXPLAIN QUERY PLAN " if db.is_sqlite() else "EXPLAIN "
            connection = await session.connection()
            raw = await connection.exec_driver_sql(explain + statement.sql, statement.parameters({}))
            plan = " ".join(str(row) for row in raw)
            assert ("cf_customer_" in plan or "ix_customer_custom" in plan) is bool(wanted), (data, plan)


async def test_a_removed_field_is_unknown_and_matches_nobody() -> None:
    await make()
    data = {"not": {"field": "custom_level", "op": "in", "value": ["gold"]}}
    async with db.unit() as session:
        assert filters.compile_stored(data, Customer)[1] is None
        [field] = [f for f in await session.scalars(select(custom.CustomField)) if f.key == "level"]
        await custom.archive(session, field=field)
    await live.keep_up(every=0)
    test, problem = filters.compile_stored(data, Customer)
    assert isinstance(problem, FilterProblem) and "custom_level" in str(problem)
    async with db.reads() as session:
        assert not (await session.scalars(select(Customer).where(test))).all()


async def test_another_database_has_its_own_fields(tmp_path: Any, sqlite_template: Any) -> None:
    await make()
    assert "custom_level" in filters.fields(Customer)
    (tmp_path / "other.db").write_bytes(sqlite_template.read_bytes())
    await db.dispose()
    db.configure(f"sqlite+aiosqlite:///{tmp_path}/other.db")
    assert custom.fields(Customer) == ()
    await live.keep_up(every=0)
    assert "custom_level" not in filters.fields(Customer)
