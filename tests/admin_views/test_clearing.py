"""Clearing personal data in the panel: offered where deleting is refused, explained before, reported afterwards."""

from __future__ import annotations

import httpx

from app import db
from app.domain import privacy
from app.models.billing import InvoiceStatus
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff


async def test_from_the_request_to_the_report(desk: httpx.AsyncClient, sign_in: SignIn) -> None:
    async with db.unit() as session:
        customer = await factories.create_customer(session, name="Ada Byron", phone="+441234567")
        account = await factories.create_account(session, customer=customer, balance=100)
        payer = await factories.create_payer(session, customer=customer, name="Byron Ltd")
        await factories.create_invoice(
            session, account=account, payer_id=payer.id, status=InvoiceStatus.PAID, number="R-1", total=0
        )
        service = await factories.create_service(session, customer=customer)
        asked = await privacy.ask_deletion(session, customer_id=customer.id, user_id=None)
    url = f"/admin/customer/action/clear?pks={customer.id}"
    assert url in (await desk.get(f"/admin/ticket/details/{asked.ticket_id}")).text
    assert url in (await desk.get(f"/admin/customer/action/delete?pks={customer.id}")).text
    page = await desk.get(url)
    assert page.status_code == 200 and "1 service is not closed" in page.text and "What is kept" not in page.text
    refused = await desk.post("/admin/customer/action/clear", data={"pks": str(customer.id)})
    assert refused.status_code == 422 and "1 service is not closed" in refused.text
    async with db.unit() as session:
        closed = await session.get(type(service), service.id)
        assert closed is not None
        closed.status = type(closed.status).CLOSED
    page = await desk.get(url)
    for word in ("Issued invoices", "Payers on invoices", "Entries of the ledger", "never changes", "What is cleared"):
        assert word in page.text, word
    done = await desk.post("/admin/customer/action/clear", data={"pks": str(customer.id)})
    assert done.status_code == 303
    card = (await desk.get(f"/admin/customer/details/{customer.id}")).text
    assert "Personal data cleared" in card and "Issued invoices" in card and "Cleared on" in card
    assert "Byron" not in card and "+441234567" not in card and "/action/clear" not in card
    assert f"/admin/customer/edit/{customer.id}" not in card
    assert url not in (await desk.get(f"/admin/ticket/details/{asked.ticket_id}")).text
    browser = await sign_in(await create_staff([("customer", "list"), ("customer", "details"), ("customer", "delete")]))
    assert (await browser.get(url)).status_code == 403
    assert "/action/clear" not in (await browser.get(f"/admin/customer/action/delete?pks={customer.id}")).text
