"""Invoices for machines: Factur-X / ZUGFeRD at the level EN 16931, by the library factur-x, alone or inside the PDF."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.domain.billing.lines import ONE, of_rates
from app.domain.billing.taxes import is_eu_number
from app.errors import Conflict
from app.i18n import exponent, gettext
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus

LEVEL = "en16931"
_PIECE = "C62"
"""One of something (UN/ECE recommendation 20)."""


def e_invoice(invoice: Invoice, *, credits: str = "") -> bytes:
    """The XML of an issued invoice with its lines, checked against the schema of the standard.

    credits: the number of the invoice that a credit note takes back. Raises Conflict for a draft, and where the seller
    or the payer has no country: the standard asks for both.
    """
    if invoice.status is InvoiceStatus.DRAFT:
        raise Conflict(gettext("Issue the invoice first."))
    seller, payer = invoice.sides["seller"], invoice.sides["payer"]
    if not seller.get("country"):
        raise Conflict(gettext("An e-invoice needs the country of the project: enter it there, for later invoices."))
    if not payer.get("country"):
        raise Conflict(gettext("An e-invoice needs the country of the payer."))
    from facturx import generate_xml  # this library and those it needs are for e-invoices alone

    made: bytes = generate_xml(
        _data(invoice, seller, payer, credits), flavor="factur-x", level=LEVEL, check_xsd=True, check_schematron=False
    )
    return made


def with_e_invoice(pdf: bytes, xml: bytes, *, title: str, author: str, language: str) -> bytes:
    """The PDF with the XML inside: one file for people and machines."""
    from facturx import generate_from_binary

    about = {"author": author, "title": title, "subject": title, "keywords": "Factur-X"}
    made: bytes = generate_from_binary(
        pdf, xml, flavor="factur-x", level=LEVEL, check_xsd=False, check_schematron=False, pdf_metadata=about,
        lang=language, afrelationship="alternative",
    )  # fmt: skip
    return made


def _data(invoice: Invoice, seller: dict[str, Any], payer: dict[str, Any], credits: str) -> dict[str, Any]:
    digits = exponent(invoice.currency)

    def amount(minor: int) -> str:
        return str(Decimal(minor).scaleb(-digits))

    def category(rate: int) -> str:
        """VAT that is charged, that the payer owes, or none (UNTDID 5305)."""
        return "S" if rate else "AE" if invoice.reverse_charge else "Z"

    lines = []
    for line in invoice.lines:
        price = Decimal(line.net).scaleb(-digits) * ONE / line.quantity
        lines.append({
            "BT-126": str(line.position), "BT-153": line.description, "BT-129": _plain(Decimal(line.quantity) / ONE),
            "BT-130": _PIECE, "BT-131": amount(line.net), "BT-146": _plain(price.quantize(Decimal("0.000001"))),
            "BT-151": category(line.tax_rate), "BT-152": _percent(line.tax_rate),
        })  # fmt: skip
    rates: dict[int, list[int]] = {}
    for part in of_rates(invoice.lines):
        found = rates.setdefault(part.rate, [0, 0])
        found[0] += part.net
        found[1] += part.tax
    breakdown = []
    for rate, (net, tax) in rates.items():
        row = {"BT-116": amount(net), "BT-117": amount(tax), "BT-118": category(rate), "BT-119": _percent(rate)}
        if category(rate) == "AE":
            row |= {"BT-120": "Reverse charge", "BT-121": "VATEX-EU-AE"}
        breakdown.append(row)
    note = invoice.kind is InvoiceKind.CREDIT_NOTE
    paid = 0 if note else invoice.paid
    data: dict[str, Any] = {
        "BT-1": invoice.number, "BT-2": invoice.issued_on, "BT-3": "381" if note else "380",
        "BT-5": invoice.currency, "BG-4": _party(seller), "BG-7": _party(payer), "BG-23": breakdown, "BG-25": lines,
        "BT-106": amount(invoice.net), "BT-109": amount(invoice.net), "BT-110": amount(invoice.tax),
        "BT-112": amount(invoice.total), "BT-113": amount(paid), "BT-115": amount(invoice.total - paid),
        "BT-10": str(invoice.customer_id), "BT-72": invoice.issued_on,
    }  # fmt: skip
    if not note:
        data["BT-9"] = invoice.due_on
    if invoice.note:
        data["BG-1"] = [{"BT-22": invoice.note}]
    if credits:
        data["BG-3"] = [{"BT-25": credits}]
    return data


def _party(side: dict[str, Any]) -> dict[str, Any]:
    party: dict[str, Any] = {"name": side["name"], "country_code": side["country"]}
    address = [line.strip() for line in side.get("address", "").splitlines() if line.strip()]
    if address:
        party |= {f"addr_l{n}": text for n, text in enumerate([*address[:2], ", ".join(address[2:])], 1) if text}
    number = side.get("vat_number", "").replace(" ", "")
    if number:
        party["vat_identifier" if is_eu_number(number, number[:2].replace("EL", "GR")) else "tax_identifier"] = number
    if side.get("email"):
        party |= {"einvoicing_addr": side["email"], "einvoicing_addr_schemeid": "EM"}
    return party


def _plain(number: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _percent(rate: int) -> str:
    return f"{Decimal(rate) / 100:.2f}"
