"""The paper of an invoice: in its own language, with what it sums to; and the same for machines."""

from __future__ import annotations

import io
from typing import Any

import pytest
from facturx import get_facturx_xml_from_pdf, xml_check_xsd
from lxml import etree
from pypdf import PdfReader

from app.db import unit
from app.domain import billing
from app.domain.billing import LineIn
from app.domain.billing.einvoice import e_invoice, with_e_invoice
from app.domain.billing.papers import invoice_paper
from app.errors import Conflict
from app.models.billing import Invoice, PayerKind
from tests.factories import create_account, create_customer, create_payer, create_project, create_tax_rate

pytestmark = [pytest.mark.usefixtures("database"), pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)]


async def invoice_of(session: Any, *lines: LineIn, language: str = "de", country: str = "DE", **kw: Any) -> Invoice:
    kw = {"country": "DE", "legal_name": "Nordhost GmbH", "legal_address": "Hafen 1\n20457 Hamburg",
          "vat_number": "DE136695976", "bank_account": "IBAN DE89 3704 0044 0532 0130 00"} | kw  # fmt: skip
    project = await create_project(session, **kw)
    customer = await create_customer(session, project=project, country=country, language=language, name="Ромашка")
    await create_account(session, customer=customer)
    await create_tax_rate(session, name="USt.")
    number = "FR40303265045" if country == "FR" else ""
    payer = await create_payer(
        session, customer=customer, country=country, name="ООО «Ромашка»", kind=PayerKind.COMPANY, vat_number=number,
        legal_address="Hauptstr. 1\n10115 Berlin",
    )  # fmt: skip
    return await billing.draft_invoice(
        session, customer_id=customer.id, lines=lines or (LineIn("Хостинг «Базовый»", 128450),), payer_id=payer.id,
        note="Vielen Dank.",
    )  # fmt: skip


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


async def test_the_pdf_speaks_the_language_of_the_invoice_and_never_changes() -> None:
    async with unit() as session:
        invoice = await billing.issue_invoice(session, invoice=await invoice_of(session))
        pdf = (await invoice_paper(session, invoice)).pdf()
        text = text_of(pdf)
        for part in (f"Rechnung {invoice.number}", "Nordhost GmbH", "20457 Hamburg", "ООО «Ромашка»",
                     "1.284,50 EUR",
                     "USt. 19\N{NARROW NO-BREAK SPACE}%",
                     "Хостинг «Базовый»", "IBAN DE89", "Vielen Dank.",
                     "Seite 1 von 1"):  # fmt: skip
            assert part in text, part
        project_name = invoice.sides["seller"]["name"]
        await billing.credit_invoice(session, invoice=invoice, reason="Weg")
        assert project_name and (await invoice_paper(session, invoice)).pdf() == pdf


async def test_a_draft_says_so_and_a_discount_has_its_column() -> None:
    async with unit() as session:
        invoice = await invoice_of(session, LineIn("A", 1000, quantity=1500, discount=100), language="en")
        paper = await invoice_paper(session, invoice)
        assert paper.stamp == "(Draft)" and paper.rows[0][2:5] == ("1.5", "10.00", "−1.00")
        assert [c.label for c in paper.columns] == ["#", "Description", "Quantity", "Price", "Discount", "Tax", "Total"]


NS = {"ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
      "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"}  # fmt: skip


def value(xml: bytes, path: str) -> list[str]:
    return [str(e.text) for e in etree.fromstring(xml).iterfind(f".//ram:{path.replace('/', '/ram:')}", NS)]


async def test_the_e_invoice_is_valid_and_says_the_same() -> None:
    async with unit() as session:
        invoice = await invoice_of(session, LineIn("A", 11900, quantity=3000), LineIn("B", 333, discount=33))
        with pytest.raises(Conflict):
            e_invoice(invoice)
        await billing.issue_invoice(session, invoice=invoice)
        xml = e_invoice(invoice)
        assert xml_check_xsd(xml, flavor="factur-x", level="en16931")
        assert value(xml, "GrandTotalAmount") == ["360.00"] and value(xml, "DuePayableAmount") == ["360.00"]
        assert value(xml, "LineTotalAmount") == ["300.00", "2.52", "302.52"]
        assert value(xml, "BuyerTradeParty/Name") == ["ООО «Ромашка»"]
        assert value(xml, "NetPriceProductTradePrice/ChargeAmount") == ["100", "2.52"]
        paper = await invoice_paper(session, invoice)
        both = with_e_invoice(paper.pdf(), xml, title=paper.title, author=paper.author, language=paper.language)
        name, inside = get_facturx_xml_from_pdf(both)
        assert (name, inside) == ("factur-x.xml", xml)
        assert "360,00 EUR" in text_of(both)


async def test_reverse_charge_and_credit_notes_are_told_to_machines_too() -> None:
    async with unit() as session:
        invoice = await billing.issue_invoice(session, invoice=await invoice_of(session, country="FR"))
        assert value(e_invoice(invoice), "ApplicableTradeTax/CategoryCode") == ["AE", "AE"]
        assert any("Steuer" in note for note in (await invoice_paper(session, invoice)).notes)
        note = await billing.credit_invoice(session, invoice=invoice, reason="Falsch")
        xml = e_invoice(note, credits=str(invoice.number))
        assert value(xml, "InvoiceReferencedDocument/IssuerAssignedID") == [invoice.number]
        assert xml.count(b">381<") == 1


async def test_without_a_country_there_is_no_e_invoice_and_it_says_why() -> None:
    async with unit() as session:
        invoice = await billing.issue_invoice(session, invoice=await invoice_of(session, country="FR"))
        for side in ("seller", "payer"):
            invoice.sides = {**invoice.sides, side: {**invoice.sides[side], "country": ""}}
            with session.no_autoflush, pytest.raises(Conflict):
                e_invoice(invoice)
        await session.refresh(invoice)
