"""The client area of a customer into whom another one was merged."""

from __future__ import annotations

import httpx
import pytest

from app import db
from app.db import utcnow
from app.domain import billing
from app.domain.billing import LineIn
from app.domain.billing.payments import set_paid
from app.domain.customers.merging import merge
from tests import factories
from tests.web.helpers import People, Site, sign_in


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_was_booked_before_is_shown_to_who_stayed(
    ada: httpx.AsyncClient, people: People, site: Site
) -> None:
    async with db.unit() as session:
        gone = people.other
        account = await factories.create_account(session, customer=gone)
        payment = await factories.create_payment(session, account=account, amount=4321)
        await set_paid(session, payment_id=payment.id)
        await factories.create_expense(session, account=account, amount=321, description="Colocation of old")
        invoice = await billing.draft_invoice(
            session, customer_id=gone.id, lines=[LineIn("Hosting of old", 4000)], currency="EUR"
        )
        await billing.issue_invoice(session, invoice=invoice)
        await billing.settle_invoice(session, invoice_id=invoice.id)
        assert invoice.number is not None
        year = utcnow().year
    pages = (f"/client/invoices/{invoice.id}", f"/client/payments/{payment.id}", f"/client/expenses?year={year}")
    assert [(await ada.get(url)).status_code for url in pages[:2]] == [404, 404]
    async with db.unit() as session:
        await merge(session, kept_id=people.customer.id, gone_id=gone.id)
    for url, word in zip(pages, (invoice.number, "43.21", "Colocation of old"), strict=True):
        page = await ada.get(url)
        assert page.status_code == 200 and word in page.text, url
    assert invoice.number in (await ada.get("/client/invoices")).text
    async with site.browser() as charles:  # whose account it was serves the one who stayed now
        assert (await sign_in(charles, "charles", area="/client")).status_code == 303
        assert invoice.number in (await charles.get("/client/invoices")).text
