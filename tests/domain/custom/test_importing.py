"""Custom fields in files: found by their key and their names in every language, read as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import reads, unit
from app.domain import custom
from app.domain.config import live
from app.domain.imports import import_customers
from app.models.customers import Customer
from tests.factories import create_project

pytestmark = [pytest.mark.usefixtures("database"), pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)]
FILE = (
    "id,name,Stufe,DEPOSIT,hobbies,custom_since,Newsletter\n"
    "1,Anna,goldstufe,\"1.250,50 EUR\",Tea; mail,31.05.2024,ja\n"
    "2,Bea,tin,7,,2024-06-01,no\n"
    "3,Cem,lead,x,Beer,31.02.2024,perhaps\n"
    "4,Dora,,,,,\n"
)  # fmt: skip


async def test_columns_are_found_by_name_and_values_are_read(tmp_path: Path) -> None:
    async with unit() as session:
        await create_project(session, name="Nordhost")
        choices = [{"labels": {"en": "Gold", "de": "Goldstufe"}}, {"labels": {"en": "Tin"}}]
        for given in (
            {"kind": "choice", "labels": {"en": "Level", "de": "Stufe"}, "choices": choices},
            {"kind": "money", "labels": {"en": "Deposit"}},
            {"kind": "choices", "key": "hobbies", "labels": {"en": "What they like"},
             "choices": [{"labels": {"en": "Mail"}}, {"labels": {"en": "Tea"}}]},
            {"kind": "date", "key": "since", "labels": {"en": "Begun"}},
            {"kind": "yes_no", "labels": {"en": "Newsletter"}},
        ):  # fmt: skip
            await custom.create(session, target="customer", **given)
    await live.keep_up(every=0)
    path = tmp_path / "people.csv"
    path.write_text(FILE, "utf-8")
    report = await import_customers(path)
    assert (report.created, report.failed) == (3, 1)
    assert {error.column for error in report.errors} == {"Stufe", "DEPOSIT", "hobbies", "custom_since", "Newsletter"}
    async with reads() as session:
        found = (await session.scalars(select(Customer.custom).order_by(Customer.id))).all()
    assert found == [
        {"level": "gold", "deposit": 125_050, "hobbies": ["mail", "tea"], "since": "2024-05-31", "newsletter": True},
        {"level": "tin", "deposit": 700, "since": "2024-06-01"},
        {},
    ]
    path.write_text(FILE.replace("2,Bea,tin,7,", "2,Bea,,8,"), "utf-8")
    report = await import_customers(path)
    assert (report.created, report.updated, report.unchanged) == (0, 1, 2)
    async with reads() as session:
        bea = await session.get_one(Customer, 2)
        assert bea.custom == {"level": "tin", "deposit": 800, "since": "2024-06-01"}, "an empty cell takes nothing away"
