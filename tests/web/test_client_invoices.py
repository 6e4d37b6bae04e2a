"""The customer's own invoices in the client area."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from pypdf import PdfReader
from sqlalchemy import select

from app import db
from app.domain import billing
from app.domain.billing import LineIn
from app.i18n import LANGUAGES
from app.models.billing import Invoice, InvoiceStatus
from app.models.projects import Project
from tests import factories
from tests.web.helpers import People


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


async def invoice_of(customer: Any, *, balance: int = 0, issue: bool = True) -> int:
    async with db.unit() as session:
        account = await factories.create_account(session, customer=customer, balance=balance)
        made = await billing.draft_invoice(session, customer_id=account.customer_id, lines=[LineIn("Hosting", 11900)])
        if issue:
            await billing.issue_invoice(session, invoice=made)
        return made.id


async def status_of(number: int) -> InvoiceStatus:
    async with db.reads() as session:
        return (await session.scalars(select(Invoice.status).where(Invoice.id == number))).one()


async def test_own_invoices_are_listed_shown_and_downloaded(ada: httpx.AsyncClient, people: People) -> None:
    number = await invoice_of(people.customer)
    listed = (await ada.get("/client/invoices")).text
    assert f"/client/invoices/{number}" in listed and "119.00" in listed
    assert f"/client/invoices/{number}" in (await ada.get("/client")).text
    page = (await ada.get(f"/client/invoices/{number}")).text
    assert "Hosting" in page and f"/client/invoices/{number}/pdf" in page and "/pay" in page
    pdf = await ada.get(f"/client/invoices/{number}/pdf")
    assert "119.00 EUR" in PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()


async def test_drafts_and_those_of_others_do_not_exist(ada: httpx.AsyncClient, people: People) -> None:
    draft = await invoice_of(people.customer, issue=False)
    async with db.unit() as session:
        other = await factories.create_customer(session, project_id=people.customer.project_id)
    theirs = await invoice_of(other, balance=20000)
    for number in (draft, theirs):
        assert (await ada.get(f"/client/invoices/{number}")).status_code == 404
        assert (await ada.get(f"/client/invoices/{number}/pdf")).status_code == 404
        assert (await ada.post(f"/client/invoices/{number}/pay")).status_code == 404
    assert await status_of(theirs) is InvoiceStatus.ISSUED
    listed = (await ada.get("/client/invoices")).text
    assert f"/client/invoices/{draft}" not in listed and f"/client/invoices/{theirs}" not in listed


@pytest.mark.parametrize(("balance", "status"), [(20000, InvoiceStatus.PAID), (100, InvoiceStatus.ISSUED)])
async def test_paying_from_the_balance(
    ada: httpx.AsyncClient, people: People, balance: int, status: InvoiceStatus
) -> None:
    number = await invoice_of(people.customer, balance=balance)
    answer = await ada.post(f"/client/invoices/{number}/pay")
    assert await status_of(number) is status
    if status is InvoiceStatus.PAID:
        assert answer.status_code == 303
        assert f"/client/invoices/{number}/pay" not in (await ada.get(f"/client/invoices/{number}")).text
    else:
        assert answer.status_code == 409 and "The balance is not enough." in answer.text


@pytest.mark.parametrize("code", LANGUAGES)
async def test_pages_speak_the_readers_language(ada: httpx.AsyncClient, people: People, code: str) -> None:
    await invoice_of(people.customer)
    async with db.unit() as session:
        project = (await session.scalars(select(Project).where(Project.id == people.project.id))).one()
        project.languages = list(LANGUAGES)
    await ada.post("/client/language", data={"language": code, "next": "/client/"})
    words = {"en": "Invoices", "de": "Rechnungen", "ru": "Счета", "es": "Facturas"}
    assert f'<h1 class="grow">{words[code]}</h1>' in (await ada.get("/client/invoices")).text
