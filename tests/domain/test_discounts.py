"""Discounts: who gets which, what it takes off, and the words for why the others lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.db import reads, unit
from app.domain import discounts
from app.domain.discounts import Case, Rules, amount_off
from app.errors import Invalid
from app.i18n import speaking
from app.models.catalog import Period
from app.models.customers import CustomerProject, Membership
from app.models.discounts import Discount, DiscountKind, DiscountScope, DiscountTarget
from app.observe import SYSTEM, Actor, Kind, acting
from tests.factories import create_customer, create_discount, create_group, create_product, create_project

DAY = date(2026, 5, 10)
TARGETS, SCOPES = list(DiscountTarget), list(DiscountScope)
some = st.builds(
    Discount,
    id=st.integers(1, 10**6), name=st.just("D"), enabled=st.booleans(), priority=st.integers(0, 1),
    target=st.sampled_from(TARGETS), group_id=st.sampled_from([1, 2, 3]), customer_id=st.sampled_from([7, 8]),
    condition=st.none(), scope=st.sampled_from(SCOPES), project_id=st.sampled_from([1, 2]),
    product_group_id=st.sampled_from([1, 2]), product_id=st.sampled_from([1, 2]), period=st.sampled_from(list(Period)),
    kind=st.sampled_from(list(DiscountKind)), percent=st.integers(0, 10_000), amount=st.integers(0, 2000),
    currency=st.sampled_from(["EUR", "USD"]),
    valid_from=st.sampled_from([None, DAY - timedelta(1), DAY, DAY + timedelta(1)]),
    valid_until=st.sampled_from([None, DAY - timedelta(1), DAY, DAY + timedelta(1)]),
)  # fmt: skip


@given(st.lists(some, max_size=12, unique_by=lambda d: d.id), st.integers(0, 1500), st.sampled_from([(), (1,), (1, 2)]))
@settings(max_examples=300, deadline=None)
def test_the_winner_is_the_first_of_a_plain_ordering(
    found: list[Discount], price: int, groups: tuple[int, ...]
) -> None:
    case = Case(7, 1, 1, 1, Period.MONTH, price, "EUR")
    priority = {1: 5, 2: 9, 3: 0}
    rules = Rules(found, {7: frozenset(groups)}, priority, {}, {})

    def fits(d: Discount) -> bool:
        meant = {"all": True, "group": d.group_id in groups, "customer": d.customer_id == 7}[d.target]
        scoped = {
            "everything": True, "project": d.project_id == 1, "product_group": d.product_group_id == 1,
            "product": d.product_id == 1, "period": d.product_id == 1 and d.period is Period.MONTH,
        }[d.scope]  # fmt: skip
        valid = (d.valid_from or DAY) <= DAY <= (d.valid_until or DAY)
        return d.enabled and meant and scoped and valid and (d.kind == "percent" or d.currency == "EUR")

    def off(d: Discount) -> int:
        if d.kind == "percent":
            return int(price * d.percent / 10_000 + 0.5)
        return min(price, d.amount) if d.kind == "amount" else max(price - d.amount, 0)

    able = sorted(
        (d for d in found if fits(d) and off(d) > 0),
        key=lambda d: (
            -d.priority, -TARGETS.index(d.target), -priority[d.group_id or 0] if d.target == "group" else 0,
            -SCOPES.index(d.scope), -off(d), d.id,
        ),
    )  # fmt: skip
    won = rules.find(case, DAY)
    assert won.discount_id == (able[0].id if able else None)
    assert won.amount_off == (off(able[0]) if able else 0)
    assert 0 <= won.amount_off <= price
    if won.explained is not None:
        assert [t["id"] for t in won.explained["considered"] if t["why"] == "won"] == ([able[0].id] if able else [])
        assert all(t["why"] for t in won.explained["considered"])
        words = {t["id"]: t["why"] for t in won.explained["considered"]}
        for loser in able[1:]:
            assert words[loser.id] in ("priority", "target", "group", "scope", "smaller", "older")


@pytest.mark.parametrize(
    ("kind", "percent", "amount", "price", "off"),
    [("percent", 1250, 0, 1000, 125), ("percent", 1, 0, 5000, 1), ("percent", 1, 0, 4999, 0),
     ("percent", 10_000, 0, 999, 999), ("amount", 0, 300, 1000, 300), ("amount", 0, 3000, 1000, 1000),
     ("price", 0, 300, 1000, 700), ("price", 0, 3000, 1000, 0), ("price", 0, 0, 1000, 1000)],
)  # fmt: skip
def test_what_is_taken_off(kind: str, percent: int, amount: int, price: int, off: int) -> None:
    discount = Discount(kind=DiscountKind(kind), percent=percent, amount=amount, currency="EUR")
    assert amount_off(discount, price, "EUR") == off
    if kind != "percent":
        assert amount_off(discount, price, "USD") == 0


@pytest.mark.usefixtures("database")
async def test_conditions_and_groups_are_asked_of_the_customer() -> None:
    async with unit() as session:
        german = await create_customer(session, country="DE")
        other = await create_customer(session, country="AT", project_id=german.project_id)
        product, group = await create_product(session), await create_group(session)
        session.add(Membership(customer_id=other.id, group_id=group.id))
        await session.flush()
        in_germany = await create_discount(
            session, percent=1000, condition={"field": "country", "op": "in", "value": ["DE"]}
        )
        members = await create_discount(session, percent=500, target=DiscountTarget.GROUP, group_id=group.id)
        broken = await create_discount(session, percent=9000, priority=9, condition={"field": "nothing", "op": "is"})
        off = await create_discount(session, percent=9000, priority=9, enabled=False)

        async def won(customer: Any, **kw: Any) -> discounts.Won:
            return await discounts.find(
                session, customer_id=customer.id, product=product, period=Period.MONTH, price=1000, currency="EUR",
                day=DAY, **kw,
            )  # fmt: skip

        first, second = await won(german), await won(other, everything=True)
        assert (first.discount_id, first.amount_off) == (in_germany.id, 100)
        assert (second.discount_id, second.amount_off) == (members.id, 50)
        assert first.explained is not None and second.explained is not None
        told = {t["id"]: t["why"] for t in first.explained["considered"]}
        assert told == {in_germany.id: "won", broken.id: "broken"}
        told = {t["id"]: t["why"] for t in second.explained["considered"]}
        assert told == {members.id: "won", in_germany.id: "condition", broken.id: "broken", off.id: "off"}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("condition", [
    {"field": "registered_at", "op": "on", "value": "2026-03-01"},
    {"field": "available_project", "op": "in", "value": [2]},
], ids=["in another time zone", "limited to projects"])  # fmt: skip
async def test_a_price_is_the_same_whoever_asks(condition: dict[str, Any]) -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    async with unit() as session:
        customer, product = await create_customer(session, registered_at=late), await create_product(session)
        other = await create_project(session)
        condition["value"] = [other.id] if isinstance(condition["value"], list) else condition["value"]
        session.add(CustomerProject(customer_id=customer.id, project_id=other.id))
        discount = await create_discount(session, condition=condition)
    async with reads() as session:
        for who in (SYSTEM, Actor(Kind.STAFF, 1, projects=frozenset({customer.project_id}))):
            with acting(who), speaking("en", "Asia/Tokyo"):
                won = await discounts.find(
                    session, customer_id=customer.id, product=product, period=Period.MONTH, price=1000, currency="EUR",
                    day=DAY,
                )  # fmt: skip
            assert won.discount_id == discount.id


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_saving_a_discount() -> None:
    async with unit() as session:
        project, group = await create_project(session), await create_group(session)
        good: dict[str, Any] = {"name": "Loyal", "target": "group", "group_id": group.id, "percent": 500}
        made = await discounts.save_discount(session, values=good)
        assert (made.target, made.kind, made.percent) == (DiscountTarget.GROUP, DiscountKind.PERCENT, 500)
        await discounts.save_discount(session, discount=made, values={"target": "all", "scope": "project",
                                                                      "project_id": project.id})  # fmt: skip
        assert (made.group_id, made.project_id) == (None, project.id)
        bad: tuple[tuple[dict[str, Any], set[str]], ...] = (
            ({}, {"name", "percent"}), ({"name": "X", "target": "customer", "percent": 1}, {"customer_id"}),
            ({"name": "X", "percent": 10_001}, {"percent"}), ({"name": "X", "kind": "amount"}, {"amount"}),
            ({**good, "scope": "period"}, {"product_id", "period"}), ({**good, "percent": -1}, {"percent"}),
            ({**good, "condition": {"field": "nothing", "op": "is"}}, {"condition"}),
            ({**good, "group_id": 999}, {"group_id"}), ({**good, "currency": "XXZ"}, {"currency"}),
            ({**good, "valid_from": DAY, "valid_until": DAY - timedelta(1)}, {"valid_until"}),
        )  # fmt: skip
        for values, fields in bad:
            with pytest.raises(Invalid) as refused:
                await discounts.save_discount(session, values=values)
            assert set(refused.value.fields) == fields, values
        limited = Actor(Kind.STAFF, staff_id=None, projects=frozenset({project.id}))
        with acting(limited), pytest.raises(Invalid) as refused:
            await discounts.save_discount(session, values=good)
        assert set(refused.value.fields) == {"scope"}
        assert len((await session.scalars(select(Discount))).all()) == 1
