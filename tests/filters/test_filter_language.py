"""The filter language: its URL form, what it refuses and where, and how it reads."""

from __future__ import annotations

from typing import Any

import pytest

import app.models  # noqa: F401
from app import filters
from app.db import Base
from app.filters import FilterProblem, Kind
from app.models.catalog import Service
from app.models.customers import Customer
from app.models.projects import Project
from tests.filters.plain import Data, leaf


def test_the_url_form_is_the_documented_one() -> None:
    data = [leaf("name", "contains", "koh, a"), leaf("project", "in", [1, 2]), leaf("registered_at", "after", "-30d"),
            leaf("country", "in", ["a,b", "c\\"]), leaf("active_items", "is", True), leaf("phone", "is_empty"),
            leaf("services", "has"), leaf("services", "count_at_least", n=2)]  # fmt: skip
    pairs = filters.to_query(filters.parse({"all": data}, Customer), Customer)
    assert dict(pairs) == {
        "name.contains": "koh, a", "project.in": "1,2", "registered_at.after": "-30d", "country.in": "a\\,b,c\\\\",
        "active_items.is": "yes", "phone.is_empty": "yes", "services.has": "yes", "services.count_at_least": "2",
    }  # fmt: skip
    assert filters.to_query(filters.All(), Customer) == [("filter", '{"all":[]}')]


def test_a_form_may_leave_fields_empty_and_repeat_a_list() -> None:
    assert filters.from_query([("name.contains", ""), ("page", "1"), ("filter", "")], Customer) is None
    found = filters.from_query(
        [("project.in", "1"), ("project.in", "2"), ("filter", '{"field":"id","op":"is","value":3}')], Customer
    )
    assert found == filters.All((filters.Leaf("project", "in", (1, 2)), filters.Leaf("id", "is", 3)))


# ---- what is refused ------------------------------------------------------------------------------------------------


def nested(levels: int) -> Data:
    return {"not": nested(levels - 1)} if levels > 1 else leaf("id", "is", 1)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([], ""),
        ({}, ""),
        ("x", ""),
        (None, ""),
        ({"all": {}}, "all"),
        ({"all": [1]}, "all[0]"),
        ({"all": [], "any": []}, ""),
        ({"not": []}, "not"),
        (leaf("nonsense", "is", 1), "field"),
        (leaf("search_text", "contains", "x"), "field"),
        ({"field": ["name"], "op": "is"}, "field"),
        ({"field": "name", "value": "x"}, "op"),
        (leaf("name", "at_least", 1), "op"),
        ({"field": "name", "op": []}, "op"),
        (leaf("name", "is", "x", extra=1), ""),
        (leaf("name", "is_empty", "x"), ""),
        (leaf("name", "contains"), "value"),
        (leaf("name", "contains", ""), "value"),
        (leaf("name", "contains", "  \u0301"), "value"),
        (leaf("name", "contains", 5), "value"),
        (leaf("name", "is", "a\0b"), "value"),
        (leaf("name", "is", "\ud800"), "value"),
        (leaf("name\0", "is", "x"), "field"),
        (leaf("name", "is", "x" * 1001), "value"),
        (leaf("name", "contains", "a " * 21), "value"),
        (leaf("id", "is", True), "value"),
        (leaf("id", "is", 1.5), "value"),
        (leaf("id", "is", "1"), "value"),
        (leaf("id", "is", 2**63), "value"),
        (leaf("id", "between", [1]), "value"),
        (leaf("id", "in", [1] * 1001), "value"),
        (leaf("project", "in", []), "value"),
        (leaf("project", "in", 1), "value"),
        (leaf("project", "in", [1, "x"]), "value[1]"),
        (leaf("project", "is_empty"), "op"),
        (leaf("kind", "in", ["robot"]), "value[0]"),
        (leaf("active_items", "is", 1), "value"),
        (leaf("registered_at", "after", "soon"), "value"),
        (leaf("registered_at", "after", "2024-02-30"), "value"),
        (leaf("registered_at", "after", "0001-01-01"), "value"),
        (leaf("registered_at", "after", "-99999y"), "value"),
        (leaf("registered_at", "on", "2024-02-03T10:00"), "value"),
        (leaf("registered_at", "in_last", "today"), "value"),
        (leaf("registered_at", "in_last", "-3d"), "value"),
        (leaf("registered_at", "after", "２d"), "value"),
        (leaf("services", "has", where=leaf("price", "is", "x")), "where.value"),
        (leaf("services", "has", n=1), ""),
        (leaf("services", "count_at_least"), "n"),
        (leaf("services", "count_at_least", n=-1), "n"),
        (leaf("services", "count_at_least", n=True), "n"),
        (leaf("services", "has", where=leaf("email", "is", "x")), "where.field"),
    ],
)
def test_a_broken_condition_is_refused_at_its_place(data: Any, path: str) -> None:
    with pytest.raises(FilterProblem) as alone:
        filters.parse(data, Customer)
    assert (alone.value.path, alone.value.status) == (path, 400)
    with pytest.raises(FilterProblem) as inside:
        filters.parse({"all": [leaf("id", "is", 1), {"any": [data]}]}, Customer)
    assert str(inside.value).startswith("all[1].any[0]" + (f".{path}: " if path else ": "))


def test_depth_conditions_and_values_are_limited() -> None:
    filters.parse(nested(8), Customer)
    with pytest.raises(FilterProblem, match=r"not\.not\.not\.not\.not\.not\.not\.not: .*8 levels"):
        filters.parse(nested(9), Customer)
    one = leaf("id", "is", 1)
    filters.parse({"all": [one] * 199}, Customer)
    with pytest.raises(FilterProblem, match=r"all\[199\]: .*200"):
        filters.parse({"all": [one] * 10_000}, Customer)
    with pytest.raises(FilterProblem, match="Too many values"):
        filters.parse({"all": [leaf("id", "in", [1] * 1000)] * 11}, Customer)
    deep = leaf("services", "has", where=leaf("customer", "in", [1]))
    assert filters.parse(deep, Customer)
    with pytest.raises(FilterProblem):  # a relation counts as a level
        filters.parse({"not": {"not": {"not": {"not": {"not": {"not": {"not": deep}}}}}}}, Customer)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("nonsense.is", "1"),
        ("name.at_least", "1"),
        ("name.", "x"),
        (".is", "x"),
        ("name.is.not", "x"),
        ("project.in", "1,x"),
        ("project.in", "1,,2"),
        ("id.is", "9" * 19),
        ("id.is", "9" * 5000),
        ("id.is", "1.0"),
        ("id.is", "١"),
        ("active_items.is", "maybe"),
        ("phone.is_empty", "no"),
        ("services.count_at_least", "x"),
        ("registered_at.between", "today"),
        ("name.is", "a\0"),
        ("name\0.is", "x"),
        ("filter", "{"),
        ("filter", "[" * 100_000),
        ("filter", "1" * 5_000),
        ("filter", " " * 300_000),
        ("filter", '{"field":"id","op":"is","value":NaN}'),
        ("filter", '{"field":"name","op":"is","value":"\\ud800"}'),
        ("filter", "\0"),
        ("project.in", "1," * 200_000),
        ("x" * 60_000 + ".is", "1"),
        ("name.contains", "x" * 60_000),
    ],
)
def test_a_broken_parameter_is_refused_shortly(key: str, text: str) -> None:
    with pytest.raises(FilterProblem) as problem:
        filters.from_query([("page", "1"), (key, text)], Customer)
    assert len(str(problem.value)) < 400


def test_too_many_parameters_are_refused() -> None:
    assert filters.from_query([("id.is", "1")] * 199, Customer)
    with pytest.raises(FilterProblem):
        filters.from_query([("id.is", "1")] * 200, Customer)


def test_fields_that_a_person_may_not_filter_by_do_not_exist_for_them() -> None:
    def allowed(model: type[Base], name: str) -> bool:
        return (model, name) not in {(Customer, "email"), (Service, "price")}

    with pytest.raises(FilterProblem, match="no field"):
        filters.parse(leaf("email", "is", "x"), Customer, allowed)
    with pytest.raises(FilterProblem, match="no field"):
        filters.from_query([("email.is", "x")], Customer, allowed)
    with pytest.raises(FilterProblem, match="no field"):
        filters.parse(leaf("services", "has", where=leaf("price", "is", 1)), Customer, allowed)
    assert filters.parse(leaf("services", "has", where=leaf("name", "is", "x")), Customer, allowed)


def test_sensitive_and_hidden_columns_are_never_offered() -> None:
    for mapper in Base.registry.mappers:
        offered = {f.column for f in filters.fields(mapper.class_).values()}
        for attr in mapper.column_attrs:
            info = attr.columns[0].info
            assert not (
                attr.key in offered and (info.get("sensitive") or info.get("hidden") or not info.get("filtered"))
            )


def chip(model: type[Base], data: Data, names: Any = None) -> tuple[str, str, str]:
    condition = filters.parse(data, model)
    assert isinstance(condition, filters.Leaf)
    return filters.field(model, condition.field).describe(condition, names)


def test_chips_are_written_for_people() -> None:
    many = list(range(1, 9))
    assert chip(Customer, leaf("project", "in", many), {Project: {1: "Nord"}}) == (
        "Project",
        "any of",
        "Nord, #2, #3, #4, #5 and 3 more",
    )
    assert chip(Customer, leaf("kind", "not_in", ["company"])) == ("Account type", "is not", "Company")
    assert chip(Customer, leaf("country", "in", ["DE", "xx"])) == ("Country", "any of", "Germany, xx")
    assert chip(Customer, leaf("registered_at", "after", "-30d")) == ("Registered", "after", "30 days ago")
    assert chip(Customer, leaf("registered_at", "in_last", "1m")) == ("Registered", "in the last", "1 month")
    assert chip(Customer, leaf("registered_at", "between", ["2024-05-31", "today"]))[2] == "May 31, 2024 and today"
    assert chip(Customer, leaf("active_items", "is", True)) == ("With active items", "is", "yes")
    assert chip(Customer, leaf("phone", "is_empty")) == ("Phone", "is empty", "")
    assert chip(Customer, leaf("id", "is", 12345))[2] == "12345"
    assert chip(Service, leaf("price", "between", [100, 128450]))[2] == "1.00 and 1,284.50"
    where = {
        "all": [
            leaf("status", "in", ["active"]),
            {"any": [leaf("price", "at_least", 5), {"not": leaf("auto_renew", "is", False)}]},
        ]
    }
    said = chip(Customer, leaf("services", "count_at_least", n=2, where=where))
    assert said == (
        "Services",
        "at least",
        "2 where Status is Active and (Price at least 0.05 or not (Renews by itself is no))",
    )


def test_every_field_has_labels_and_the_choices_that_it_takes() -> None:
    for mapper in Base.registry.mappers:
        for name, field in filters.fields(mapper.class_).items():
            assert str(field.label) and field.ops and all(label for _op, label in field.ops), name
            assert (field.target is not None) == (field.kind in {Kind.REF, Kind.RELATION}), name
            assert all(label for _value, label in field.choices), name
    assert [op for op, _label in filters.fields(Customer)["project"].ops] == ["in", "not_in", "is"]
    assert dict(filters.fields(Customer)["kind"].choices)["company"] == "Company"
