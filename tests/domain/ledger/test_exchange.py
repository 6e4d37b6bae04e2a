"""Exchange rates: the latest that holds on the day, either way round or by way of a third currency."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db import unit
from app.domain.ledger import LARGEST, convert, rate_on
from app.errors import Conflict, Invalid
from app.models.billing.rates import RATE_UNIT
from tests.factories import create_exchange_rate

DAY = date(2026, 3, 10)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.mark.usefixtures("database")
async def test_the_latest_rate_of_the_day_counts() -> None:
    async with unit() as session:
        with pytest.raises(Conflict, match="USD"):
            await rate_on(session, "EUR", "USD", DAY)
        await create_exchange_rate(session, on_day=DAY - timedelta(9), rate=2_000_000_000)
        await create_exchange_rate(session, on_day=DAY, rate=1_250_000_000)
        await create_exchange_rate(session, on_day=DAY + timedelta(1), rate=4_000_000_000)
        await create_exchange_rate(session, base="USD", quote="EUR", on_day=DAY - timedelta(2), rate=700_000_000)
        assert await rate_on(session, "EUR", "USD", DAY) == 1_250_000_000
        assert await rate_on(session, "USD", "EUR", DAY) == 800_000_000, "that of the day, turned round"
        assert await rate_on(session, "USD", "EUR", DAY - timedelta(1)) == 700_000_000
        assert await rate_on(session, "EUR", "USD", DAY - timedelta(9)) == 2_000_000_000
        assert await rate_on(session, "EUR", "EUR", DAY) == RATE_UNIT
        with pytest.raises(Conflict):
            await rate_on(session, "EUR", "USD", DAY - timedelta(10))


@on_sqlite
@pytest.mark.usefixtures("database")
async def test_two_currencies_are_tied_by_a_third() -> None:
    async with unit() as session:
        await create_exchange_rate(session, quote="USD", on_day=DAY, rate=1_250_000_000)
        await create_exchange_rate(session, quote="GBP", on_day=DAY, rate=800_000_000)
        assert await rate_on(session, "USD", "GBP", DAY) == 640_000_000
        with pytest.raises(Conflict):
            await rate_on(session, "USD", "JPY", DAY)


@pytest.mark.parametrize(
    ("amount", "rate", "base", "quote", "found"),
    [(1000, RATE_UNIT, "EUR", "USD", 1000), (1001, RATE_UNIT // 2, "EUR", "USD", 501),
     (-1001, RATE_UNIT // 2, "EUR", "USD", -501), (1000, 160 * RATE_UNIT, "EUR", "JPY", 1600),
     (1600, RATE_UNIT // 160, "JPY", "EUR", 1000), (1000, RATE_UNIT // 3, "EUR", "KWD", 3333)],
)  # fmt: skip
def test_an_amount_is_converted_by_the_digits_of_both(
    amount: int, rate: int, base: str, quote: str, found: int
) -> None:
    assert convert(amount, rate, base, quote) == found


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(Invalid):
        convert(LARGEST, 2 * RATE_UNIT, "EUR", "USD")


@given(st.integers(-(10**9), 10**9), st.integers(RATE_UNIT // 100, RATE_UNIT * 100))
def test_there_and_back_loses_less_than_a_minor_unit_of_the_coarser(amount: int, rate: int) -> None:
    there = convert(amount, rate, "EUR", "USD")
    assert abs(there * RATE_UNIT - amount * rate) * 2 <= RATE_UNIT
