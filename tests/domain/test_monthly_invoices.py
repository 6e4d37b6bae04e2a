"""The invoice of a month for accounts that pay afterwards."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from app.db import reads, unit
from app.domain import billing, charging
from app.domain.billing import monthly
from app.domain.ledger import invariants
from app.models.billing import Expense, Invoice, InvoiceLine, InvoiceStatus, LineKind
from app.models.catalog import Service, ServiceStatus
from app.models.ledger import Account
from tests.domain.test_invoices import balance, world
from tests.factories import create_discount, create_payer, create_product, create_service

pytestmark = pytest.mark.usefixtures("database")
NEXT = date(2026, 11, 1)


async def furnish(session: Any, **kw: Any) -> Account:
    """Two services since the 10th of September, one of them with a discount; charged up to the end of October."""
    account = await world(session, post_paid=True, **kw)
    product = await create_product(session, name="Hosting")
    for price in (1190, 595, 0):
        await create_service(
            session, customer_id=account.customer_id, product=product, price=price, currency="EUR",
            status=ServiceStatus.ACTIVE, next_charge_on=date(2026, 9, 10), name=f"host{price}.example",
        )  # fmt: skip
    await create_discount(session, percent=1000)
    return account


async def test_what_was_charged_in_a_month_stands_on_one_invoice_once() -> None:
    async with unit() as session:
        account = await furnish(session)
    for day in (date(2026, 9, 10), date(2026, 10, 10)):
        async with unit() as session:
            await charging.charge_account(session, account_id=account.id, day=day)
    async with unit() as session:
        account = await session.get_one(Account, account.id)
        assert await monthly.accounts(session) == [account.id]
        await billing.charge(session, account_id=account.id, key="n", description="Today", net=100, on_day=NEXT)
        back = await billing.charge(
            session, account_id=account.id, key="b", description="Mistake", net=70, on_day=date(2026, 10, 2)
        )
        await billing.take_back(session, expense=back, reason="Mistake")
        invoice = await monthly.invoice_month(session, account_id=account.id, today=NEXT)
        assert invoice is not None
        lines = (await session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id))).all()
        assert [(x.kind, x.unit_price, x.discount, x.total) for x in lines] == [
            (LineKind.EXPENSE, 1190, 119, 1071), (LineKind.EXPENSE, 595, 60, 535),
        ]  # fmt: skip
        assert "Hosting, host1190.example, Oct 10, 2026 –" in lines[0].description and lines[0].explained is not None
        assert (invoice.total, invoice.tax, invoice.status, invoice.issued_on) == (
            1606,
            256,
            InvoiceStatus.ISSUED,
            NEXT,
        )
        owed = await balance(session, account)
        for today in (NEXT, date(2026, 11, 29)):
            assert await monthly.invoice_month(session, account_id=account.id, today=today) is None
        assert await balance(session, account) == owed  # nothing is charged by an invoice
        # charged late, for a month that has its invoice: one more
        await billing.charge(
            session, account_id=account.id, key="l", description="Late", net=50, on_day=date(2026, 10, 31)
        )
        more = await monthly.invoice_month(session, account_id=account.id, today=date(2026, 11, 3))
        assert more is not None and more.total == 50 and more.number != invoice.number
        # November, asked for only in January, is not forgotten
        later = await monthly.invoice_month(session, account_id=account.id, today=date(2027, 1, 5))
        assert later is not None and later.total == 100
    async with reads() as session:
        september = select(Expense.id).where(Expense.on_day < date(2026, 10, 1), Expense.amount > 0)
        invoiced = select(InvoiceLine.id).where(InvoiceLine.expense_id.in_(september))
        assert (await session.scalars(invoiced)).all() == []  # from before the first invoice: paid in some other way
        assert await invariants.check(session) == []


async def test_an_account_that_owes_nothing_has_paid_it_and_others_get_none() -> None:
    async with unit() as session:
        account = await furnish(session, balance=10_000)
        await charging.charge_account(session, account_id=account.id, day=date(2026, 9, 10))
    async with unit() as session:
        account = await session.get_one(Account, account.id)
        invoice = await monthly.invoice_month(session, account_id=account.id, today=date(2026, 10, 1))
        assert invoice is not None and invoice.status is InvoiceStatus.PAID and invoice.left == 0
        await billing.charge(
            session, account_id=account.id, key="n", description="x", net=100, on_day=date(2026, 10, 2)
        )
        account.post_paid = False
        await session.flush()
        assert await monthly.accounts(session) == []
        assert await monthly.invoice_month(session, account_id=account.id, today=NEXT) is None
    async with reads() as session:
        assert len((await session.scalars(select(Invoice))).all()) == 1
        assert await invariants.check(session) == []


async def test_services_with_a_payer_of_their_own_come_on_invoices_of_theirs() -> None:
    async with unit() as session:
        account = await furnish(session)
        await create_payer(session, customer_id=account.customer_id, country="DE")  # one of two is not the usual one
        payer = await create_payer(session, customer_id=account.customer_id, name="Other Payer", country="DE")
        own = (await session.scalars(select(Service).where(Service.price == 595))).one()
        own.payer_id = payer.id
    async with unit() as session:
        await charging.charge_account(session, account_id=account.id, day=date(2026, 10, 10))
    async with unit() as session:
        assert await monthly.invoice_month(session, account_id=account.id, today=NEXT) is not None
        assert await monthly.invoice_month(session, account_id=account.id, today=NEXT) is None
        made = (await session.scalars(select(Invoice).order_by(Invoice.id))).all()
        assert [i.payer_id == payer.id for i in made] == [False, True] and len({i.number for i in made}) == 2
        lines = (await session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == made[1].id))).all()
        assert {line.service_id for line in lines} == {own.id}
