"""Amounts in filters are typed as decimals and mean the same in every currency."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app import filters
from app.db import unit
from app.filters import FilterProblem
from app.i18n import speaking
from app.models.billing import TaxRate
from app.models.ledger import Account
from tests.factories import create_account, create_customer


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("op", "value", "found"),
    [("at_least", "12.50", ["EUR", "JPY"]), ("at_most", "12.49", ["KWD"]), ("is", "12.50", ["EUR"]),
     ("is", "13", ["JPY"]), ("at_least", "13", ["JPY"]), ("at_most", "12.99", ["EUR", "KWD"]),
     ("between", "12,12.5", ["EUR", "KWD"])],
)  # fmt: skip
async def test_an_amount_means_whole_units_of_each_currency(op: str, value: str, found: list[str]) -> None:
    async with unit() as session:
        customer = await create_customer(session)
        for currency, balance in (("EUR", 1250), ("JPY", 13), ("KWD", 12010)):
            await create_account(session, customer=customer, currency=currency, balance=balance)
        condition = filters.from_query([(f"balance.{op}", value)], Account)
        assert condition is not None
        where = filters.compile(condition, Account)
        rows = await session.scalars(
            select(Account.currency).where(where, Account.customer_id.is_not(None)).order_by(Account.currency)
        )
        assert rows.all() == found


def test_amounts_are_read_in_the_language_and_refused_by_name() -> None:
    with speaking("de"):
        condition = filters.from_query([("balance.at_least", "1.284,50"), ("credit_limit.at_most", "5")], Account)
        assert condition is not None
        assert [leaf.value for _path, leaf in filters.walk(condition)] == [128450, 500]
    for typed in ("1.005", "x", "1e3", "9" * 30):
        with pytest.raises(FilterProblem):
            filters.from_query([("balance.at_least", typed)], Account)
    rate = filters.from_query([("rate.at_least", "7.5")], TaxRate)
    assert rate is not None and filters.say(rate, TaxRate).endswith("7.5")
