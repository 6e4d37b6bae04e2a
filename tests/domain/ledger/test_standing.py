"""Account information: turnover, the last payment, what is unpaid, and how long the money lasts."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db import unit, utcnow
from app.domain import billing
from app.domain.ledger.standing import AHEAD, runs_out, standing
from app.models.billing import InvoiceStatus
from app.models.catalog import Period, ServiceStatus
from tests.factories import book, create_account, create_customer, create_invoice, create_service

TODAY = date(2026, 1, 15)


@pytest.mark.parametrize(
    ("funds", "services", "day"),
    [(1000, [], None), (1000, [(date(2026, 1, 31), 31, 500, Period.MONTH)], date(2026, 3, 31)),
     (999, [(date(2026, 1, 31), 31, 500, Period.MONTH)], date(2026, 2, 28)),
     (0, [(date(2026, 2, 1), 1, 1, Period.YEAR)], date(2026, 2, 1)),
     (0, [(date(2025, 12, 1), 1, 1, Period.MONTH)], TODAY),
     (10, [(date(2026, 2, 1), 1, 10, Period.ONCE)], None),
     (1500, [(date(2026, 2, 1), 1, 500, Period.QUARTER), (date(2026, 3, 1), 1, 800, Period.HALF_YEAR)],
      date(2026, 5, 1)),
     (10**9, [(date(2026, 2, 1), 1, 1, Period.MONTH)], None)],
)  # fmt: skip
def test_the_day_of_the_first_charge_that_is_not_covered(
    funds: int, services: list[tuple[date, int, int, Period]], day: date | None
) -> None:
    assert runs_out(funds, services, TODAY) == day


@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.integers(-40, 400), st.integers(1, 900), st.sampled_from(list(Period))), max_size=6),
)
def test_more_money_never_lasts_shorter(funds: int, drawn: list[tuple[int, int, Period]]) -> None:
    services = [(d := TODAY + timedelta(days=n), d.day, price, period) for n, price, period in drawn]
    less, more = runs_out(funds, services, TODAY), runs_out(funds + 100, services, TODAY)
    assert more is None or (less is not None and less <= more)
    assert less is None or TODAY <= less <= TODAY + AHEAD


@pytest.mark.usefixtures("database")
async def test_an_account_tells_how_it_stands() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        account = await create_account(session, customer=customer, credit_limit=300)
        now = await standing(session, account)
        assert (now.available, now.last_payment, now.unpaid_invoices, now.charged) == (300, None, 0, False)
        await book(session, account, 5000, at=utcnow() - timedelta(days=400))
        await book(session, account, 2000)
        await billing.charge(session, account_id=account.id, key="c", description="x", net=1000)
        await create_invoice(
            session, account=account, total=700, paid=200, status=InvoiceStatus.OVERDUE, number="1",
            issued_on=utcnow().date(),
        )  # fmt: skip
        due = utcnow().date() + timedelta(days=10)
        await create_service(
            session, customer=customer, status=ServiceStatus.ACTIVE, price=6300, period=Period.MONTH, next_charge_on=due
        )
        await create_service(session, customer=customer, status=ServiceStatus.ORDERED, price=1, next_charge_on=due)
        now = await standing(session, account)
        assert (now.available, now.income, now.expenses) == (6300, 2000, 1000)
        assert (now.last_payment, now.unpaid, now.unpaid_invoices, now.charged) == (2000, 500, 1, True)
        assert now.runs_out is not None and now.days_left is not None and now.days_left > 20
        account.post_paid = True
        assert (await standing(session, account)).runs_out is None
