"""Taxes: the narrowest rate, reverse charge, and amounts parted without losing a unit."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db import unit
from app.domain.billing.taxes import Tax, split, tax_for
from app.models.billing import PayerKind
from tests.factories import create_customer, create_payer, create_project, create_tax_rate

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("amount", "rate", "with_tax", "parts"),
    [(11900, 1900, True, (10000, 1900)), (10000, 1900, False, (10000, 1900)), (1, 1900, True, (1, 0)),
     (999, 1900, True, (839, 160)), (150, 1000, False, (150, 15)), (5, 1000, False, (5, 1)),
     (-5, 1000, False, (-5, -1)), (100, 0, True, (100, 0)), (-11900, 1900, True, (-10000, -1900))],
)  # fmt: skip
def test_amounts_are_parted_half_up(amount: int, rate: int, with_tax: bool, parts: tuple[int, int]) -> None:
    assert split(amount, rate, with_tax) == parts


@given(st.integers(-(10**15), 10**15), st.integers(0, 10_000))
def test_nothing_is_lost_and_the_tax_is_right_to_half_a_unit(amount: int, rate: int) -> None:
    net, tax = split(amount, rate, True)
    assert net + tax == amount
    assert abs(net * (10_000 + rate) - amount * 10_000) * 2 <= 10_000 + rate
    net, tax = split(amount, rate, False)
    assert net == amount and abs(tax * 10_000 - amount * rate) * 2 <= 10_000


@pytest.mark.usefixtures("database")
async def test_the_narrowest_rate_that_is_valid_counts() -> None:
    async with unit() as session:
        project, other = await create_project(session, country="DE"), await create_project(session)
        customer = await create_customer(session, project=project, country="DE")

        async def now(payer: object = None) -> Tax:
            return await tax_for(session, project=project, customer=customer, payer=payer, day=TODAY)  # type: ignore[arg-type]

        assert await now() == Tax(0, "")
        await create_tax_rate(session, name="all", rate=100)
        assert await now() == Tax(100, "all")
        await create_tax_rate(session, name="individuals", rate=200, payer_kind=PayerKind.INDIVIDUAL)
        await create_tax_rate(session, name="companies", rate=1, payer_kind=PayerKind.COMPANY)
        assert await now() == Tax(200, "individuals")
        await create_tax_rate(session, name="Germany", rate=300, country="DE", valid_from=date(2020, 1, 1))
        await create_tax_rate(session, name="France", rate=1, country="FR")
        assert await now() == Tax(300, "Germany")
        await create_tax_rate(session, name="later", rate=400, country="DE", valid_from=TODAY)
        await create_tax_rate(session, name="tomorrow", rate=1, country="DE", valid_from=date(2026, 11, 23))
        assert await now() == Tax(400, "later")
        await create_tax_rate(session, name="project", rate=500, project_id=project.id)
        await create_tax_rate(session, name="other project", rate=1, project_id=other.id, country="DE")
        assert await now() == Tax(500, "project")
        french = await create_payer(session, customer=customer, country="FR", kind=PayerKind.INDIVIDUAL)
        assert await now(french) == Tax(500, "project")


@pytest.mark.parametrize(
    ("seller", "country", "kind", "number", "reverse"),
    [("DE", "FR", "company", "FR40303265045", True), ("DE", "FR", "sole_proprietor", "FR40303265045", True),
     ("DE", "GR", "company", "EL094259216", True), ("DE", "DE", "company", "DE136695976", False),
     ("DE", "FR", "individual", "FR40303265045", False), ("DE", "FR", "company", "", False),
     ("DE", "FR", "company", "FR00000000000", False), ("DE", "FR", "company", "DE136695976", False),
     ("US", "FR", "company", "FR40303265045", False), ("DE", "CH", "company", "CHE-107.787.577 IVA", False),
     ("", "FR", "company", "FR40303265045", False)],
)  # fmt: skip
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("database")
async def test_a_business_elsewhere_in_the_union_owes_the_tax_itself(
    seller: str, country: str, kind: str, number: str, reverse: bool
) -> None:
    async with unit() as session:
        project = await create_project(session, country=seller)
        customer = await create_customer(session, project=project)
        await create_tax_rate(session)
        payer = await create_payer(session, customer=customer, country=country, kind=PayerKind(kind), vat_number=number)
        found = await tax_for(session, project=project, customer=customer, payer=payer, day=TODAY)
        assert found == (Tax(0, "VAT", True) if reverse else Tax(1900, "VAT"))
