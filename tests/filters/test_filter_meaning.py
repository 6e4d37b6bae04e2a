"""What filters mean: NULL, days, words, scope, stored filters, explanations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, literal, select

import app.models  # noqa: F401
from app import db, filters, i18n
from app.errors import NotFound
from app.filters import FilterProblem
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Attitude, Customer, Group
from app.models.projects import Project
from app.models.tickets import Ticket, TicketStatus
from app.models.users import User
from app.observe import Actor, acting
from app.observe import Kind as ActorKind
from tests import factories
from tests.filters.plain import Data, ids, leaf

# ---- what a filter means --------------------------------------------------------------------------------------------


async def test_the_largest_filter_runs(database: str) -> None:
    lists = [leaf("id", "in", list(range(1000))) for _ in range(9)]
    words_ = " ".join(f"w{i}" for i in range(20))
    rest = [leaf("account_name", "contains", words_) for _ in range(189)]
    assert await ids({"any": [*lists, *rest]}) == set()
    assert await ids(leaf("name", "starts_with", "ﷺ" * 1000)) == set()
    assert await ids(leaf("id", "in", [2**63 - 1, -(2**63) + 1])) == set()


async def test_what_is_unknown_counts_as_false_before_not(database: str) -> None:
    async with db.unit() as session:
        project = await factories.create_project(session)
        liked = await factories.create_attitude(session)
        none, some = [
            await factories.create_customer(session, project=project, attitude_id=a) for a in (None, liked.id)
        ]
    assert await ids(leaf("attitude", "in", [liked.id])) == {some.id}
    assert await ids({"not": leaf("attitude", "in", [liked.id])}) == {none.id}
    assert await ids(leaf("attitude", "not_in", [liked.id])) == {none.id}
    assert await ids(leaf("attitude", "is_empty")) == {none.id}
    assert await ids({"not": {"any": [leaf("attitude", "in", [liked.id]), leaf("id", "is", 0)]}}) == {none.id}
    assert await ids({"not": {"not": leaf("phone_verified_at", "before", "today")}}) == set()


async def test_all_of_nothing_is_everything_and_any_of_nothing_nothing(database: str) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    assert await ids({"all": []}) == {customer.id}
    assert await ids({"any": []}) == set()
    assert await ids({"not": {"any": []}}) == {customer.id}
    empty: Data
    for empty in ({"all": []}, {"any": []}, {"not": {"any": [{"all": []}]}}):
        assert filters.is_empty(filters.parse(empty, Customer))
    assert filters.is_empty(None)
    assert not filters.is_empty(filters.parse({"not": leaf("id", "is", 1)}, Customer))


async def test_one_broken_condition_makes_a_stored_filter_match_nobody(database: str) -> None:
    filters.computed(Customer, "shoe_size", "Shoe size", "number", lambda c: func.length(c.name))
    stored = {"any": [leaf("shoe_size", "at_least", 1), leaf("id", "at_least", 1)]}
    async with db.unit() as session:
        customer = await factories.create_customer(session)
    try:
        assert await ids(stored) == {customer.id}
        with pytest.raises(ValueError, match="twice"):
            filters.computed(Customer, "shoe_size", "Shoe size", "number", lambda c: func.length(c.name))
    finally:
        filters.withdraw(Customer, "shoe_size")
    for broken in (stored, {"not": stored}, {"not": leaf("kind", "in", ["gone"])}, None, 7):
        test, problem = filters.compile_stored(broken, Customer)
        assert problem is not None
        async with db.reads() as session:
            assert (await session.scalars(select(Customer.id).where(test))).all() == []
    test, problem = filters.compile_stored(leaf("id", "is", customer.id), Customer)
    assert problem is None
    async with db.reads() as session:
        assert (await session.scalars(select(Customer.id).where(test))).all() == [customer.id]


async def test_relations_and_memberships_show_staff_nothing_of_other_projects(database: str) -> None:
    async with db.unit() as session:
        ours, theirs = await factories.create_project(session), await factories.create_project(session)
        mine = await factories.create_customer(session, project=ours, name="Mine")
        secret = await factories.create_customer(session, project=theirs, name="Secret")
        user = await factories.create_user(session, customers=[mine, secret], username="shared")
        foreign = await factories.create_user(session, customer=mine, project=theirs, username="foreign")
        await factories.create_available_project(session, customer=mine, project=theirs)
        group = await factories.create_group(session)
        await factories.create_membership(session, customer=secret, group=group)
        await factories.create_ticket(session, customer=secret, subject="Hidden")
        await factories.create_service(session, customer=mine, status=ServiceStatus.ACTIVE)
    hidden = leaf("subject", "is", "Hidden")
    sees_all: list[tuple[Any, Data, set[int]]] = [
        (User, leaf("customers", "has", where=leaf("name", "is", "Secret")), {user.id}),
        (User, leaf("customer", "in", [secret.id]), {user.id}),
        (User, leaf("customers", "count_at_least", n=2), {user.id}),
        (Customer, leaf("users", "has", where=leaf("username", "is", "foreign")), {mine.id}),
        (Customer, leaf("account_name", "contains", "foreign"), {mine.id}),
        (Customer, leaf("available_project", "in", [theirs.id]), {mine.id}),
        (Group, leaf("members", "has"), {group.id}),
        (Group, {"not": leaf("members", "has_none", where={"not": leaf("name", "is", "x")})}, {group.id}),
        (Project, leaf("customers", "has", where=leaf("tickets", "has", where=hidden)), {theirs.id}),
    ]  # fmt: skip
    for model, data, expected in sees_all:
        assert await ids(data, model) == expected, data
    assert foreign.id
    with acting(Actor(ActorKind.STAFF, staff_id=1, projects=frozenset({ours.id}))):
        for model, data, _expected in sees_all:
            assert await ids(data, model) == set(), data
        assert await ids(leaf("active_items", "is", True)) == {mine.id}
        assert await ids(leaf("users", "has", where=leaf("customers", "has", where=leaf("name", "is", "mine")))) == {
            mine.id
        }
        condition = filters.parse(leaf("customers", "has", where=leaf("name", "is", "Secret")), User)
        async with db.reads() as session:
            assert [h for _p, _t, h in await filters.explain(session, condition, User, user.id)] == [False]
            counted = select(func.count()).select_from(User).where(filters.compile(condition, User))
            assert await session.scalar(counted) == 0
            with pytest.raises(NotFound):
                await filters.explain(session, filters.parse(leaf("id", "is", 1), Customer), Customer, secret.id)


async def test_a_day_is_a_day_of_the_reader_even_when_the_clocks_change(database: str) -> None:
    async with db.unit() as session:
        times = [datetime(2024, 3, 30, 22, 59, 59, 999999, UTC), datetime(2024, 3, 30, 23, tzinfo=UTC),
                 datetime(2024, 3, 31, 21, 59, 59, 999999, UTC), datetime(2024, 3, 31, 22, tzinfo=UTC)]  # fmt: skip
        a, b, c, d = [(await factories.create_customer(session, registered_at=at)).id for at in times]
    with i18n.speaking("en", "Europe/Berlin"):
        assert await ids(leaf("registered_at", "on", "2024-03-31")) == {b, c}
        assert await ids(leaf("registered_at", "on", "today")) == {b, c}
        assert await ids(leaf("registered_at", "after", "2024-03-31")) == {d}
        assert await ids(leaf("registered_at", "before", "2024-03-31")) == {a}
        assert await ids(leaf("registered_at", "between", ["2024-03-31", "2024-03-31"])) == {b, c}
        assert await ids(leaf("registered_at", "from", "2024-03-31")) == {b, c, d}
        assert await ids(leaf("registered_at", "until", "2024-03-31")) == {a, b, c}
    assert await ids(leaf("registered_at", "on", "2024-03-31")) == {c, d}


async def test_names_are_found_however_they_are_written(database: str) -> None:
    async with db.unit() as session:
        street = (await factories.create_customer(session, name="Große Straße 100%_a\\b")).id
        await factories.create_customer(session, name="Other")
    for written in ("STRASSE gross", "Gro\u00dfe", "100%_a\\b", "%_", "\\b", "ße 100"):
        assert await ids(leaf("name", "contains", written)) == {street}, written
    for other in ("stra_e", "100%a", "100\\", "strasse x"):
        assert await ids(leaf("name", "contains", other)) == set(), other
    assert await ids(leaf("name", "starts_with", "grosse str")) == {street}
    assert await ids(leaf("name", "starts_with", "strasse")) == set()
    assert await ids(leaf("name", "is", " GROSSE  strasse 100%_A\\B ")) == {street}


async def test_quick_search_wants_every_word(database: str) -> None:
    async with db.unit() as session:
        anna = (await factories.create_customer(session, name="Anna Köhler", email="ak@example.org")).id
        linda = (await factories.create_customer(session, name="Linda Öl_%", email="l@example.org")).id
        await factories.create_ticket(session, subject="Anna asks", customer=await session.get_one(Customer, anna))

    async def found(text: str, model: Any = Customer) -> set[int]:
        test = filters.search(model, text)
        assert test is not None
        async with db.reads() as session:
            return set((await session.scalars(select(model.id).where(test))).all())

    assert await found("OHLER") == {anna}
    assert await found("li") == {linda}  # starts a word
    assert await found("nd") == set()
    assert await found("öl_%") == {linda}
    assert await found("k_hler") == set()
    assert await found("kohler example ann") == {anna}
    assert await found("kohler linda") == set()
    assert await found("a b c d e f g h i " * 5000) == set()
    assert await found("\u0301") == set()
    assert len(await found("asks", Ticket)) == 1
    assert filters.search(Customer, " \n ") is None
    for model, text in ((Customer, "a\0"), (Customer, "\ud800"), (Service, "x")):
        with pytest.raises(FilterProblem, match="search"):
            filters.search(model, text)


async def test_explain_says_which_leaves_hold(database: str) -> None:
    async with db.unit() as session:
        group = await factories.create_group(session, name="VIP")
        customer = await factories.create_customer(session, name="Köhler", groups=[group])
    member = leaf("group", "in", [group.id])
    active = leaf("services", "has", where=leaf("status", "in", ["active"]))
    data = {"all": [leaf("name", "contains", "koh"), {"not": leaf("attitude", "in", [4])}, {"any": [member]}, active]}
    condition = filters.parse(data, Customer)
    async with db.reads() as session:
        told = await filters.explain(session, condition, Customer, customer.id, names={Group: {group.id: "VIP"}})
    assert told == [
        ("all[0]", "Name contains koh", True), ("all[1].not", "Attitude is #4", False),
        ("all[2].any[0]", "Group member is VIP", True), ("all[3]", "Services has any where Status is Active", False),
    ]  # fmt: skip
    assert filters.refs(condition, Customer) == {Attitude: {4}, Group: {group.id}}


async def test_waiting_tickets_and_the_project_of_what_belongs_to_a_customer(database: str) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session)
        open_ = await factories.create_ticket(session, customer=customer)
        await factories.create_ticket(session, customer=customer, status=TicketStatus.CLOSED)
    assert await ids(leaf("waiting", "is", True), Ticket) == {open_.id}
    assert open_.id in await ids(leaf("project", "in", [customer.project_id]), Ticket)
    assert await ids(leaf("project", "not_in", [customer.project_id]), Ticket) == set()


async def test_a_filter_works_over_an_alias_and_in_a_negation_of_exists(database: str) -> None:
    from sqlalchemy.orm import aliased

    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Anna")
    other = aliased(Customer)
    test = filters.compile(filters.parse(leaf("account_name", "is", "anna"), Customer), Customer, entity=other)
    async with db.reads() as session:
        assert await session.scalar(select(literal(7)).select_from(other).where(test, other.id == customer.id)) == 7
