"""Account information: turnover, the last payment, what is unpaid, and how long the money lasts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.db import unit, utcnow
from app.domain import billing
from app.domain.ledger.standing import standing
from app.models.billing import InvoiceStatus
from app.models.catalog import Period, ServiceStatus
from tests.factories import book, create_account, create_customer, create_invoice, create_service


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
