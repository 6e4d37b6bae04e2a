"""Registering many customers at once leaves the same rows as registering one by one."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import db
from app.domain import custom, customers
from app.domain.config import live
from app.errors import Invalid
from app.models.audit import Audit
from app.models.customers import Customer, ExternalRef
from app.models.users import User, UserCustomer
from tests import factories

PEOPLE: list[dict[str, Any]] = [
    {"name": "Köhler & Söhne", "email": "office@koehler.example", "phone": "030 1234567", "country": "DE"},
    {"name": "Иван", "contact_person": "Иван Петров", "language": "ru", "custom": {"height": 3, "motto": "Größe"}},
    {"name": "No mail", "note": "two\nlines"},
]


def _columns(row: Any, *without: str) -> dict[str, Any]:
    left_out = {"id", "created_at", "registered_at", "project_id", *without}
    return {attr.key: getattr(row, attr.key) for attr in row.__mapper__.column_attrs if attr.key not in left_out}


async def _all(entity: type[Any], project_id: int) -> list[dict[str, Any]]:
    async with db.reads() as session:
        rows = await session.scalars(select(entity).where(entity.project_id == project_id).order_by(entity.id))
        return [_columns(row) for row in rows]


async def test_the_rows_are_the_same_as_one_by_one(database: None) -> None:
    async with db.unit() as session:
        one = await factories.create_project(session, name="One by one")
        many = await factories.create_project(session, name="Together")
        one_id, many_id = one.id, many.id
        for kind, label in (("number", "Height"), ("text", "Motto"), ("text", "Town")):
            await custom.create(session, target="customer", kind=kind, labels={"en": label}, default="7")
        await custom.create(session, target="user", labels={"en": "Desk"}, default="left")
    await live.keep_up(every=0)
    async with db.unit() as session:
        for n, values in enumerate(PEOPLE):
            given = {"email": "", **values}
            await customers.register_customer(session, project_id=one_id, username=f"user-{n}", **given)
    async with db.unit() as session:
        people = [
            customers.newcomer({**values, "project_id": many_id}, username=f"user-{n}", source="csv", ref=str(n))
            for n, values in enumerate(PEOPLE)
        ]
        ids = await customers.register_many(session, people)
    assert await _all(Customer, many_id) == await _all(Customer, one_id)
    assert await _all(User, many_id) == await _all(User, one_id)
    async with db.reads() as session:
        for n, customer_id in enumerate(ids):
            assert (await session.get_one(Customer, customer_id)).name == PEOPLE[n]["name"], "in order"
            tie = (await session.scalars(select(UserCustomer).where(UserCustomer.customer_id == customer_id))).one()
            assert (await session.get_one(User, tie.user_id)).username == f"user-{n}" and tie.role == "owner"
            refs = select(ExternalRef.ref).where(ExternalRef.noun == "customer", ExternalRef.noun_id == customer_id)
            assert (await session.scalars(refs)).all() == [str(n)]
            told = select(Audit.action).where(Audit.noun == "customer", Audit.noun_id == customer_id)
            assert (await session.scalars(told)).all() == ["create"]


async def test_what_is_wrong_is_named_and_a_taken_name_takes_nothing(database: None) -> None:
    async with db.unit() as session:
        project_id = (await factories.create_project(session)).id
    with pytest.raises(Invalid) as refused:
        customers.newcomer({"name": "", "email": "no", "project_id": project_id}, username="x", source="csv", ref="1")
    assert set(refused.value.fields) == {"name", "email"}
    same = [
        customers.newcomer({"name": f"N{n}", "project_id": project_id}, username="same", source="csv", ref=str(n))
        for n in range(2)
    ]
    with pytest.raises(IntegrityError):
        async with db.unit() as session:
            await customers.register_many(session, same)
    assert await _all(Customer, project_id) == []
