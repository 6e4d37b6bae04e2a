"""Invoices, tax rates, logos and finance documents in the panel: what is typed, pressed, downloaded."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import select, update

from app import db
from app.db import utcnow
from app.domain import billing
from app.domain.billing import LineIn, numbers
from app.models.billing import (
    Document,
    DocumentKind,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    LineKind,
    NumberSeries,
    TaxRate,
)
from app.models.jobs import Job
from app.models.projects import Project
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


async def account(balance: int = 0, **project: Any) -> Any:
    async with db.unit() as session:
        brand = await factories.create_project(session, country="DE", **project)
        customer = await factories.create_customer(session, project=brand, name="Ada", country="DE")
        currency = project.get("currency", "EUR")
        return await factories.create_account(session, customer=customer, balance=balance, currency=currency)


def filled(customer_id: int, *lines: dict[str, str], **fields: str) -> dict[str, str]:
    data = {"customer": str(customer_id), "project": "", "payer": "", "currency": "", "language": "", "due_on": "",
            "note": ""} | fields  # fmt: skip
    for at, line in enumerate(lines):
        line = {"description": "", "kind": "sale", "quantity": "", "price": "", "discount": "", "line": ""} | line
        data |= {f"lines-{at}-{name}": value for name, value in line.items()}
    return data


async def all_of(entity: Any) -> list[Any]:
    async with db.reads() as session:
        return list(await session.scalars(select(entity).order_by(entity.id)))


async def drafted(book: Any, *lines: LineIn, issue: bool = True) -> int:
    async with db.unit() as session:
        lines = lines or (LineIn("Hosting", 11900),)
        invoice = await billing.draft_invoice(session, customer_id=book.customer_id, lines=lines)
        if issue:
            await billing.issue_invoice(session, invoice=invoice)
        return invoice.id


async def test_a_draft_is_typed_line_by_line(desk: httpx.AsyncClient) -> None:
    book = await account()
    page = await desk.get(f"/admin/invoice/create?customer={book.customer_id}")
    assert page.status_code == 200 and page.text.count("-description") >= 5
    lines = ({"description": "Hosting", "price": "119.00"}, {}, {"description": "Work", "quantity": "2.5", "price": "10", "discount": "5"})  # noqa: E501  # fmt: skip
    answer = await desk.post("/admin/invoice/create", data=filled(book.customer_id, *lines, note="Thanks"))
    assert answer.status_code == 303, answer.text
    [invoice] = await all_of(Invoice)
    assert (invoice.total, invoice.status, invoice.account_id) == (13900, InvoiceStatus.DRAFT, book.id)
    assert [(x.description, x.quantity, x.total) for x in await all_of(InvoiceLine)] == [
        ("Hosting", 1000, 11900), ("Work", 2500, 2000),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [({"description": "A", "price": "1.005"}, "decimals"), ({"description": "A", "price": "NaN"}, "Not an amount"),
     ({"description": "A", "price": "-1"}, "zero or more"), ({"description": "A", "price": "9" * 30}, "too large"),
     ({"description": "", "price": "1"}, "fill this in"),
     ({"description": "A", "price": "1", "quantity": "x"}, "number"),
     ({"description": "A", "price": "1", "quantity": "0"}, "above zero"),
     ({"description": "A", "price": "1", "quantity": "1.0001"}, "three decimals"),
     ({"description": "A", "price": "1", "discount": "2"}, "at most the price"), ({}, "at least one line")],
)  # fmt: skip
async def test_a_bad_line_is_told_and_nothing_is_kept(desk: httpx.AsyncClient, line: dict[str, str], said: str) -> None:
    book = await account()
    answer = await desk.post("/admin/invoice/create", data=filled(book.customer_id, line))
    assert answer.status_code == 422 and said in answer.text
    assert await all_of(Invoice) == []


async def test_other_fields_are_checked_too(desk: httpx.AsyncClient) -> None:
    book = await account()
    async with db.unit() as session:
        other = await factories.create_payer(session, customer=await factories.create_customer(session))
    line = {"description": "A", "price": "1"}
    yesterday = str(utcnow().date() - timedelta(days=1))
    for fields, said in (({"payer": str(other.id)}, "another customer"), ({"due_on": yesterday}, "This day is over")):
        answer = await desk.post("/admin/invoice/create", data=filled(book.customer_id, line, **fields))
        assert answer.status_code == 422 and said in answer.text
    assert await all_of(Invoice) == []


async def test_amounts_have_the_decimals_of_their_currency(desk: httpx.AsyncClient) -> None:
    book = await account(currency="JPY")
    line = {"description": "A", "price": "1500"}
    refused = await desk.post("/admin/invoice/create", data=filled(book.customer_id, line))
    assert refused.status_code == 422 and "JPY" in refused.text
    answer = await desk.post("/admin/invoice/create", data=filled(book.customer_id, line, currency="JPY"))
    assert answer.status_code == 303
    assert [(i.total, i.currency) for i in await all_of(Invoice)] == [(1500, "JPY")]


async def test_more_lines_are_given_without_scripts_and_nothing_typed_is_lost(desk: httpx.AsyncClient) -> None:
    book = await account()
    lines = [{"description": f"Line {n}", "price": "1"} for n in range(5)]
    answer = await desk.post("/admin/invoice/create", data=filled(book.customer_id, *lines) | {"more_lines": "1"})
    assert answer.status_code == 422 and "Not saved" not in answer.text
    assert all(f'value="Line {n}"' in answer.text for n in range(5)) and "lines-7-description" in answer.text
    assert await all_of(Invoice) == []


async def test_a_draft_is_changed_and_an_issued_one_never(desk: httpx.AsyncClient) -> None:
    book = await account()
    async with db.unit() as session:
        explained = {"considered": [{"id": 1, "name": "Ten off", "off": 10, "why": ""}], "won": 1}
        line = LineIn("Hosting", 11900, explained=explained)
        draft = await billing.draft_invoice(session, customer_id=book.customer_id, lines=[line])
    [row] = await all_of(InvoiceLine)
    kept = {"description": "Hosting, changed", "price": "119", "line": str(row.id)}
    data = filled(0, kept, {"description": "More", "price": "1", "kind": "advance"})
    answer = await desk.post(f"/admin/invoice/edit/{draft.id}", data=data | {"version": str(draft.version)})
    assert answer.status_code == 303, answer.text
    rows = await all_of(InvoiceLine)
    assert [(x.description, x.kind, x.explained) for x in rows] == [
        ("Hosting, changed", LineKind.SALE, explained), ("More", LineKind.ADVANCE, None),
    ]  # fmt: skip
    card = (await desk.get(f"/admin/invoice/details/{draft.id}")).text
    assert "Ten off" in card and f"/admin/invoice/edit/{draft.id}" in card
    answer = await desk.post("/admin/invoice/action/issue", data={"pks": str(draft.id)})
    assert answer.status_code == 303
    card = (await desk.get(f"/admin/invoice/details/{draft.id}")).text
    assert f"/admin/invoice/edit/{draft.id}" not in card and "-00001" in card
    assert (await desk.get(f"/admin/invoice/edit/{draft.id}")).status_code == 409
    assert (await desk.post("/admin/invoice/action/delete", data={"pks": str(draft.id)})).status_code == 422


async def test_buttons_issue_pay_credit_and_send(desk: httpx.AsyncClient) -> None:
    book = await account(balance=20000)
    number = await drafted(book)
    assert (await desk.post("/admin/invoice/action/pay", data={"pks": str(number)})).status_code == 303
    again = await desk.post("/admin/invoice/action/pay", data={"pks": str(number)})
    assert again.status_code == 422 and "nothing to pay" in again.text
    assert (await desk.post("/admin/invoice/action/send", data={"pks": str(number)})).status_code == 303
    assert [j.args for j in await all_of(Job)] == [{"invoice_id": number, "kind": "invoice"}]
    form = (await desk.get(f"/admin/invoice/action/credit?pks={number}")).text
    assert 'value="119.00"' in form
    data = {"pks": str(number), "reason": "Wrong", "line_1": "200"}
    refused = await desk.post("/admin/invoice/action/credit", data=data)
    assert refused.status_code == 422 and "more than what is left" in refused.text
    answer = await desk.post("/admin/invoice/action/credit", data=data | {"line_1": "19"})
    assert answer.status_code == 303
    [_invoice, note] = await all_of(Invoice)
    assert (note.total, note.credits_id, answer.headers["location"]) == (
        1900, number, f"/admin/invoice/details/{note.id}",
    )  # fmt: skip
    card = (await desk.get(f"/admin/invoice/details/{number}")).text
    assert str(note.number) in card and "Credited" in card


async def test_each_button_needs_its_grant(sign_in: SignIn) -> None:
    book = await account(balance=20000)
    draft, issued = await drafted(book, issue=False), await drafted(book)
    browser = await sign_in(await create_staff([("invoice", "list"), ("invoice", "details")]))
    for slug, pk in (("issue", draft), ("pay", issued), ("credit", issued), ("send", issued)):
        assert f"action/{slug}" not in (await browser.get(f"/admin/invoice/details/{pk}")).text
        answer = await browser.post(f"/admin/invoice/action/{slug}", data={"pks": str(pk), "reason": "x"})
        assert answer.status_code == 403
    assert {i.status for i in await all_of(Invoice)} == {InvoiceStatus.DRAFT, InvoiceStatus.ISSUED}


async def test_files_of_an_invoice(desk: httpx.AsyncClient) -> None:
    book = await account()
    number = await drafted(book)
    pdf = await desk.get(f"/admin/invoice/file/{number}/pdf")
    assert pdf.headers["content-type"] == "application/pdf" and "invoice-" in pdf.headers["content-disposition"]
    assert "119.00 EUR" in PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
    both = await desk.get(f"/admin/invoice/file/{number}/facturx")
    assert "factur-x.xml" in PdfReader(io.BytesIO(both.content)).attachments
    xml = await desk.get(f"/admin/invoice/file/{number}/xml")
    assert xml.content.startswith(b"<?xml") and b"119.00" in xml.content
    page = await desk.get(f"/admin/invoice/file/{number}/print")
    assert "119.00 EUR" in page.text and "paper.css" in page.text and "/logo" not in page.text
    assert (await desk.get(f"/admin/invoice/file/{number}/nothing")).status_code == 404


async def test_a_logo_is_a_small_picture_and_stands_on_invoices(desk: httpx.AsyncClient) -> None:
    book = await account()
    number = await drafted(book)
    file = io.BytesIO()
    Image.new("RGB", (60, 20), "red").save(file, "PNG")
    url, data = "/admin/project/action/logo", {"pks": str(book.project_id)}
    for bad in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"x" * 600_000, b"%PDF-1.7"):
        answer = await desk.post(url, data=data, files={"files": ("logo.png", bad, "image/png")})
        assert answer.status_code == 422
    assert [p.logo for p in await all_of(Project)] == [""]
    answer = await desk.post(url, data=data, files={"files": ("logo.png", file.getvalue(), "image/png")})
    assert answer.status_code == 303
    assert "/logo" in (await desk.get(f"/admin/invoice/file/{number}/print")).text
    shown = await desk.get(f"/admin/invoice/file/{number}/logo")
    assert (shown.content, shown.headers["content-type"]) == (file.getvalue(), "image/png")
    pdf = await desk.get(f"/admin/invoice/file/{number}/pdf")
    assert len(PdfReader(io.BytesIO(pdf.content)).pages[0].images) == 1
    assert (await desk.post(url, data=data)).status_code == 303
    assert [p.logo for p in await all_of(Project)] == [""]


async def test_tax_rates_are_typed_in_per_cent_and_checked(desk: httpx.AsyncClient) -> None:
    data = {"name": "USt.", "project": "", "country": "DE", "payer_kind": "", "rate": "19", "valid_from": "2026-01-01"}
    assert (await desk.post("/admin/tax_rate/create", data=data)).status_code == 303
    [rate] = await all_of(TaxRate)
    assert (rate.rate, rate.country, rate.payer_kind) == (1900, "DE", None)
    bad = {"rate": ("101", "-1", "x", "1.001"), "country": ("XX",), "name": ("",)}
    for wrong in ({}, *({field: value} for field, values in bad.items() for value in values)):
        assert (await desk.post("/admin/tax_rate/create", data=data | wrong)).status_code == 422, wrong
    assert len(await all_of(TaxRate)) == 1
    changed = data | {"rate": "7.5", "version": "1"}
    assert (await desk.post(f"/admin/tax_rate/edit/{rate.id}", data=changed)).status_code == 303
    assert [r.rate for r in await all_of(TaxRate)] == [750]


async def test_documents_are_made_from_checked_templates_and_frozen(desk: httpx.AsyncClient) -> None:
    book = await account(balance=5000)
    data = {"kind": "act", "project": "", "language": "en", "title": "Act {{ document.number }}", "body": "x"}
    wrong = await desk.post("/admin/document_template/create", data=data | {"body": "{{ customer.password }}"})
    assert wrong.status_code == 422 and "customer.password" in wrong.text
    made = {"pks": str(book.customer_id), "kind": "act", "first": "", "until": ""}
    none_yet = await desk.post("/admin/customer/action/document", data=made)
    assert none_yet.status_code == 422 and "no template" in none_yet.text
    body = "For {{ payer.name }}, balance {{ account.balance }}.\n\n| What | How much |\n| Work | 7 |"
    assert (await desk.post("/admin/document_template/create", data=data | {"body": body})).status_code == 303
    answer = await desk.post("/admin/customer/action/document", data=made)
    assert answer.status_code == 303
    [document] = await all_of(Document)
    assert document.title == f"Act {document.number}" and document.body.startswith("For Ada, balance 50.00 EUR.")
    pdf = await desk.get(f"/admin/finance_document/file/{document.id}/pdf")
    text = PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
    assert "balance 50.00 EUR" in text and "How much" in text and "|" not in text
    card = (await desk.get(f"/admin/customer/details/{book.customer_id}?tab=finance_document")).text
    assert document.title in card


async def test_a_reconciliation_report_lists_what_was_booked(desk: httpx.AsyncClient) -> None:
    book = await account(balance=5000)
    async with db.unit() as session:
        await factories.create_document_template(
            session, kind=DocumentKind.RECONCILIATION, title="Reconciliation", body="Between us:"
        )
    made = {"pks": str(book.customer_id), "kind": "reconciliation", "first": "", "until": ""}
    assert (await desk.post("/admin/customer/action/document", data=made)).status_code == 303
    [document] = await all_of(Document)
    rows = [line for line in document.body.splitlines() if line.startswith("|")]
    assert len(rows) == 4 and re.search(r"\| 50\.00 \| 50\.00 \|$", rows[2]) and "50.00" in rows[3]


async def test_a_file_is_attached_as_a_document_and_comes_back_as_it_was(desk: httpx.AsyncClient) -> None:
    book = await account()
    data = {"pks": str(book.customer_id), "kind": "contract", "title": ""}
    file = {"files": ("contract.pdf", b"%PDF-1.7 signed", "application/pdf")}
    answer = await desk.post("/admin/customer/action/attach", data=data, files=file)
    assert answer.status_code == 303, answer.text
    [document] = await all_of(Document)
    assert document.title == "contract.pdf"
    back = await desk.get(f"/admin/finance_document/file/{document.id}/pdf")
    assert back.content == b"%PDF-1.7 signed" and "contract.pdf" in back.headers["content-disposition"]
    assert (await desk.post("/admin/customer/action/attach", data=data)).status_code == 422


async def test_the_card_of_a_customer_has_its_invoices(desk: httpx.AsyncClient) -> None:
    book = await account()
    number = await drafted(book)
    await drafted(book, issue=False)
    card = (await desk.get(f"/admin/customer/details/{book.customer_id}")).text
    assert f"/admin/invoice/create?customer={book.customer_id}" in card
    assert f'/admin/invoice/details/{number}"' in card and "119.00" in card  # the timeline
    tab = (await desk.get(f"/admin/customer/details/{book.customer_id}?tab=invoice")).text
    assert tab.count("/admin/invoice/details/") == 2
    listed = (await desk.get("/admin/invoice/list")).text
    assert "238.00" in listed  # the total of both


async def test_the_patterns_of_numbers_are_changed_and_say_what_comes_next(desk: httpx.AsyncClient) -> None:
    book = await account()
    for _n in range(2):
        await drafted(book)
    url = f"/admin/project/action/numbers?pks={book.project_id}"
    page, year = (await desk.get(url)).text, utcnow().year
    assert f"{year}-00003" in page and f"C{year}-00001" in page
    rest = dict.fromkeys(("act", "contract", "reconciliation", "other"), "{year}-{number:05}")
    values = {"pks": str(book.project_id), "invoice": "R{number:04}/{year}", "credit_note": "G{number}", **rest}
    look = await desk.post(url, data={**values, "_look": "1"})
    assert f"R0003/{year}" in look.text and "G1<" in look.text
    for bad in (
        "R",
        "{number}{number}",
        "{year}",
        "{number:x}",
        "{number.real}",
        "{0}",
        "{",
        "{number!r}",
        "{number:099}",
    ):
        refused = await desk.post(url, data={**values, "invoice": bad})
        assert refused.status_code == 422, bad
    async with db.reads() as session:
        now = await numbers.patterns_of(session, book.project_id)
    assert now == {**rest, "invoice": "{year}-{number:05}", "credit_note": "C{year}-{number:05}"}
    assert (await desk.post(url, data=values)).status_code == 303
    invoice_id = await drafted(book)
    async with db.unit() as session:
        invoice = (await session.scalars(select(Invoice).where(Invoice.id == invoice_id))).one()
        note = await billing.credit_invoice(session, invoice=invoice, reason="Wrong")
        assert (invoice.number, note.number) == (f"R0003/{year}", "G1")
    # back to a pattern whose numbers are there: they are passed over, none comes twice
    assert (await desk.post(url, data={**values, "invoice": "{year}-0000{number}"})).status_code == 303
    async with db.unit() as session:
        await session.execute(update(NumberSeries).values(next_number=1), execution_options={"audited": True})
    assert f"{year}-00003" in (await desk.get(url)).text
    await drafted(book)
    assert [i.number for i in await all_of(Invoice) if i.kind == "invoice"][-1] == f"{year}-00003"
