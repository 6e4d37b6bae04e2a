"""Payers: VAT numbers by their check digits, and fields that fit the type."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.db import unit
from app.domain import billing
from app.errors import Invalid
from app.models.billing import Payer, PayerKind
from tests.factories import create_customer, create_payer


@pytest.mark.parametrize(
    ("country", "typed", "kept"),
    [("DE", "DE 136 695 976", "DE136695976"), ("DE", "136695976", "DE136695976"), ("AT", "DE136695976", "DE136695976"),
     ("GR", "GR 094259216", "EL094259216"), ("GR", "094259216", "EL094259216"), ("FR", "40303265045", "FR40303265045"),
     ("ES", "b-58378431", "ESB58378431"), ("NL", "NL4495445B01", "NL004495445B01"),
     ("CH", "CHE-107.787.577 IVA", "CHE-107.787.577 IVA"),
     ("", "DE136695976", "DE136695976"), ("US", "12-3456789", "12-3456789")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["company", "sole_proprietor"])
def test_vat_numbers_are_checked_and_written_in_one_way(kind: str, country: str, typed: str, kept: str) -> None:
    assert billing.check_payer({"kind": kind, "country": country, "vat_number": typed})["vat_number"] == kept


@pytest.mark.parametrize(
    ("country", "typed"),
    [("DE", "DE136695975"), ("DE", "CHE107787577"), ("AT", "U1"), ("", "FR00000000000"), ("US", "DE1")],
)
def test_wrong_check_digits_are_refused(country: str, typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        billing.check_payer({"kind": "company", "country": country, "vat_number": typed})
    assert set(refused.value.fields) == {"vat_number"}


def test_an_individual_has_neither_a_checked_number_nor_a_director() -> None:
    values = {"kind": "individual", "country": "DE", "vat_number": "DE1", "director": "Ann", "position": "Boss"}
    found = billing.check_payer(values)
    assert (found["vat_number"], found["director"], found["position"]) == ("DE1", "", "")


@pytest.mark.parametrize(
    ("values", "field"),
    [({"name": ""}, "name"), ({"email": "x"}, "email"), ({"country": "XX"}, "country"), ({"name": "a\rb"}, "name"),
     ({"legal_address": "x" * 501}, "legal_address"), ({"kind": "robot"}, "kind"),
     ({"customer_id": None}, "customer_id")],
)  # fmt: skip
def test_bad_values_are_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        billing.check_payer(values)
    assert set(refused.value.fields) == {field}


@pytest.mark.usefixtures("database")
async def test_saving_checks_what_changes_and_keeps_the_customer() -> None:
    async with unit() as session:
        customer, other = await create_customer(session), await create_customer(session)
        given = {"customer_id": customer.id, "name": "Müller", "kind": "company", "country": "DE", "director": "Ann"}
        payer = await billing.save_payer(session, values=given)
        assert (payer.kind, payer.director) == (PayerKind.COMPANY, "Ann")
        await billing.save_payer(session, payer=payer, values={"kind": "individual"})
        assert payer.director == ""
        with pytest.raises(Invalid) as refused:
            await billing.save_payer(session, payer=payer, values={"customer_id": other.id})
        assert set(refused.value.fields) == {"customer_id"}
        for values, fields in (({}, {"name", "customer_id"}), ({"name": "X", "customer_id": 999}, {"customer_id"})):
            with pytest.raises(Invalid) as refused:
                await billing.save_payer(session, values=values)
            assert set(refused.value.fields) == fields
        await billing.delete_payer(session, payer=payer)
        assert (await session.scalars(select(Payer))).all() == []


@pytest.mark.usefixtures("database")
async def test_an_old_bad_number_does_not_block_a_new_phone() -> None:
    async with unit() as session:
        payer = await create_payer(
            session, customer=await create_customer(session), kind=PayerKind.COMPANY, country="DE", vat_number="DE1"
        )
        await billing.save_payer(session, payer=payer, values={"phone": "030 23125000", "vat_number": "DE1"})
        assert payer.phone == "+49 30 23125000"
