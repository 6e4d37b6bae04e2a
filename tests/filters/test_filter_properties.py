"""The compiled SQL answers what a plain evaluation answers, on both databases; JSON and URL give back what they got."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

import app.models  # noqa: F401
from app import db, filters, i18n
from app.db import Base
from app.models.catalog import Product, Service, ServiceStatus
from app.models.customers import Attitude, Customer, CustomerKind, CustomerProject, CustomerStatus, Group, Membership
from app.models.projects import Project
from app.models.tickets import Ticket
from app.models.users import User, UserCustomer
from tests.filters.plain import NOW, OWN, PIECES, Data, conditions, holds, ids, leaf, leaves, one_leaf, try_many


@pytest.fixture
async def rows(database: str) -> AsyncIterator[list[Data]]:
    """Forty customers with all that can be awkward in a name, in the database and as plain dictionaries."""
    luck = random.Random(7)
    found: list[Data] = []

    def name(least: int = 1) -> str:
        return "".join(luck.choices(PIECES, k=luck.randint(least, 6)))

    def around() -> datetime:
        edges = [
            NOW,
            datetime(2024, 3, 30, 23, tzinfo=UTC),
            datetime(2024, 3, 31, 22, tzinfo=UTC),
            datetime(2024, 3, 29, 23, tzinfo=UTC),
        ]
        return luck.choice(edges) + luck.choice(
            [timedelta(0), timedelta(microseconds=-1), timedelta(hours=luck.randint(-60, 60))]
        )

    async with db.unit() as session:
        for n in (1, 2, 3):
            session.add(Project(id=n, name=f"P{n}", sender_email="a@example.com"))
            session.add_all([Attitude(id=n, name=f"A{n}"), Group(id=n, name=f"G{n}")])
        session.add(Product(id=1, name="Hosting"))
        await session.flush()
        for n in range(1, 41):
            row: Data = {
                "id": n, "name": name(), "contact_person": name(0) if luck.random() < 0.7 else "", "email": name(),
                "legal_name": name(0), "project": luck.randint(1, 3), "kind": luck.choice(list(CustomerKind)),
                "status": luck.choice(list(CustomerStatus)), "country": luck.choice(["", "DE", "de", "AT"]),
                "attitude": luck.choice([None, 1, 2, 3]), "registered_at": around(),
                "phone_verified_at": luck.choice([None, around()]),
                "registration_ip": luck.choice([None, "", "1.2.3.4", "A%_1"]),
            }  # fmt: skip
            plain = {k: v for k, v in row.items() if k not in {"project", "attitude"}}
            session.add(Customer(project_id=row["project"], attitude_id=row["attitude"], **plain))
            await session.flush()
            row["group"], row["available_project"] = (set(luck.sample([1, 2, 3], luck.randint(0, 2))) for _ in "12")
            session.add_all(Membership(customer_id=n, group_id=g) for g in row["group"])
            session.add_all(CustomerProject(customer_id=n, project_id=p) for p in row["available_project"])
            row["services"] = [
                {"name": name(), "status": luck.choice(list(ServiceStatus)), "price": luck.randint(0, 40) * 50,
                 "next_charge_on": luck.choice([None, around().date()]), "auto_renew": luck.random() < 0.5}
                for _ in range(luck.randint(0, 3))
            ]  # fmt: skip
            session.add_all(Service(customer_id=n, product_id=1, **s) for s in row["services"])
            row["users"] = [
                {"username": f"{name()}{n}{i}", "full_name": name(0), "enabled": luck.random() < 0.7}
                for i in range(luck.randint(0, 2))
            ]
            for u in row["users"]:
                user = User(project_id=row["project"], email="u@example.com", **u)
                session.add(user)
                await session.flush()
                session.add(UserCustomer(user_id=user.id, customer_id=n))
            row["active_items"] = any(s["status"] == "active" for s in row["services"])
            found.append(row)
    yield found


async def test_sql_says_what_a_plain_evaluation_says(rows: list[Data]) -> None:
    told_apart = 0

    async def check(data: Data) -> None:
        nonlocal told_apart
        expected = {row["id"] for row in rows if holds(data, row)}
        assert await ids(data) == expected
        told_apart += 0 < len(expected) < len(rows)

    with i18n.speaking("en", "Europe/Berlin"):
        await try_many(check, conditions(Customer, OWN, True), 200)
    assert told_apart > 30


async def test_each_operator_alone_says_what_a_plain_evaluation_says(rows: list[Data]) -> None:
    seen: set[tuple[str, str]] = set()

    async def check(data: Data) -> None:
        expected = {row["id"] for row in rows if holds(data, row)}
        assert await ids(data) == expected
        assert await ids({"not": data}) == {row["id"] for row in rows} - expected
        seen.update((d["field"], d["op"]) for d in (data, data.get("where", {})) if "field" in d)

    wanted: list[tuple[Any, str, str]] = [
        (Customer, name, op) for name in sorted(OWN) for op in filters.fields(Customer)[name].allows
    ]
    of_services = ("price", "next_charge_on", "auto_renew")
    wanted += [(Service, name, op) for name in of_services for op in filters.fields(Service)[name].allows]
    with i18n.speaking("en", "Europe/Berlin"):
        for model, name, op in wanted:
            strategy = one_leaf(model, name, op, True, 1)
            if model is Service:
                strategy = strategy.map(lambda where: leaf("services", "has", where=where))
            await try_many(check, strategy, 3)
    assert seen >= {(name, op) for _model, name, op in wanted if name != "services"}


async def test_every_field_of_every_model_compiles_and_runs(database: str) -> None:
    for mapper in Base.registry.mappers:
        model: Any = mapper.class_
        if filters.fields(model):
            key = next(iter(mapper.primary_key))

            async def check(data: Data, model: Any = model, key: Any = key) -> None:
                async with db.reads() as session:
                    test = filters.compile(filters.parse(data, model), model)
                    assert (await session.scalars(select(key).select_from(model).where(test))).all() == []

            await try_many(check, leaves(model, None, False, 1), 12)


# ---- round trips ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the strategy, in which every field stands
@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([Customer, Ticket, Service, User]).flatmap(
        lambda m: st.tuples(st.just(m), conditions(m, None, False))
    )
)
def test_json_and_url_round_trip(pair: tuple[type[Base], Data]) -> None:
    model, data = pair
    condition = filters.parse(data, model)
    assert filters.to_json(condition) == data
    assert filters.parse(json.loads(json.dumps(filters.to_json(condition))), model) == condition
    noise = [("page", "2"), ("sort", "-name"), ("search", "x.y")]
    assert filters.from_query([*noise, *filters.to_query(condition, model)], model) == condition
    assert filters.say(condition, model)


@settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(leaves(Customer, None, False, 0), min_size=1, max_size=5))
def test_a_flat_filter_round_trips_readably(found: list[Data]) -> None:
    condition = filters.parse({"all": found}, Customer)
    pairs = filters.to_query(condition, Customer)
    assert filters.from_query(pairs, Customer) == condition
    if len({(d["field"], d["op"]) for d in found}) == len(found):
        assert [key for key, _value in pairs] == [f"{d['field']}.{d['op']}" for d in found]
