"""What stands on an invoice, in words: the same for its PDF and for the page that is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.billing.invoices import sides_now
from app.domain.billing.lines import ONE, of_rates
from app.i18n import country_name, gettext, show_amount, show_date, show_number, show_percent, speaking
from app.integrations.pdf import Column, NotAPicture, Pdf
from app.models.billing import Invoice, InvoiceKind, InvoiceStatus

Pair = tuple[str, str]


@dataclass
class Paper:
    """A document ready to be drawn. columns: (label, share of the width, side); blocks: two, beside each other."""

    title: str
    author: str
    language: str
    day: datetime
    blocks: tuple[Pair, Pair]
    pairs: list[Pair]
    columns: list[Column]
    rows: list[tuple[str, ...]]
    totals: list[Pair]
    notes: list[str]
    foot: str
    numbering: str
    stamp: str = ""
    """A word that says that it does not count: of a draft."""
    logo: bytes | None = field(default=None, repr=False)

    def pdf(self) -> bytes:
        """As a file; takes a while, so ask for it in a thread."""
        made = Pdf(
            title=self.title, author=self.author, created=self.day, language=self.language, foot=self.foot,
            numbering=self.numbering,
        )  # fmt: skip
        if self.logo is not None:
            try:
                made.logo(self.logo)
            except NotAPicture:
                pass  # the document counts, not its ornament
        made.heading(f"{self.title} {self.stamp}".rstrip())
        made.sides(*self.blocks)
        made.pairs(self.pairs)
        made.table(self.columns, self.rows)
        made.totals(self.totals)
        for note in self.notes:
            made.paragraph(note)
        return made.bytes()


def show_quantity(quantity: int) -> str:
    return show_number(Decimal(quantity) / ONE)


def title_of(invoice: Invoice) -> str:
    """ "Invoice 2026-00017", in the reader's language."""
    kind = gettext("Credit note") if invoice.kind is InvoiceKind.CREDIT_NOTE else gettext("Invoice")
    return f"{kind} {invoice.number or ''}".rstrip()


def _address(side: dict[str, Any]) -> str:
    lines = [side["name"], side.get("contact", ""), side.get("address", "")]
    if side.get("country"):
        lines.append(country_name(side["country"]))
    if side.get("vat_number"):
        lines.append(gettext("VAT number: %(number)s") % {"number": side["vat_number"]})
    return "\n".join(line for line in lines if line)


async def invoice_paper(
    session: AsyncSession, invoice: Invoice, *, logo: bytes | None = None, credits: str = ""
) -> Paper:
    """The paper of an invoice with its lines, in the language of the invoice. credits: the number that a credit note
    takes back."""
    sides = await sides_now(session, invoice)
    with speaking(invoice.language, "UTC"):
        return _paper(invoice, sides, logo, credits)


def _paper(invoice: Invoice, sides: dict[str, Any], logo: bytes | None, credits: str) -> Paper:
    seller, currency = sides["seller"], invoice.currency

    def sum_of(amount: int) -> str:
        return f"{show_amount(amount, currency)} {currency}"

    def day(value: Any) -> str:
        return show_date(value) if value else ""

    discounted = any(line.discount for line in invoice.lines)
    taxed = any(line.tax_rate for line in invoice.lines)
    columns = [Column("#", 0.5), Column(gettext("Description"), 5), Column(gettext("Quantity"), 1.2, "R"),
               Column(gettext("Price"), 1.6, "R")]  # fmt: skip
    columns += [Column(gettext("Discount"), 1.5, "R")] if discounted else []
    columns += [Column(gettext("Tax"), 1, "R")] if taxed else []
    columns.append(Column(gettext("Total"), 1.8, "R"))
    rows = []
    for line in invoice.lines:
        row = [str(line.position), line.description, show_quantity(line.quantity),
               show_amount(line.unit_price, currency)]  # fmt: skip
        row += [show_amount(-line.discount, currency) if line.discount else ""] if discounted else []
        row += [show_percent(line.tax_rate)] if taxed else []
        shown = line.total if seller.get("with_tax", True) else line.net
        rows.append((*row, show_amount(shown, currency)))
    totals = [(gettext("Net"), sum_of(invoice.net))] if invoice.tax else []
    for part in of_rates(invoice.lines):
        if part.rate:
            totals.append((f"{part.name or gettext('Tax')} {show_percent(part.rate)}", sum_of(part.tax)))
    totals.append((gettext("Total"), sum_of(invoice.total)))
    pairs = [
        (gettext("Issued"), day(invoice.issued_on)),
        (gettext("Due"), day(invoice.due_on) if invoice.kind is InvoiceKind.INVOICE else ""),
        (gettext("Customer number"), str(invoice.customer_id)),
        (gettext("Credits the invoice"), credits),
    ]
    notes = [invoice.note]
    if taxed:
        with_tax = seller.get("with_tax", True)
        notes.append(gettext("The prices include tax.") if with_tax else gettext("The prices are without tax."))
    if invoice.reverse_charge:
        notes.append(gettext("Reverse charge: the recipient of the service owes the tax."))
    if invoice.kind is InvoiceKind.INVOICE and seller.get("bank_account"):
        notes.append(gettext("Please pay to:") + f"\n{seller['bank_account']}")
    moment = datetime.combine(invoice.issued_on, time(12), UTC) if invoice.issued_on else invoice.created_at
    return Paper(
        title=title_of(invoice), author=seller["name"], language=invoice.language, day=moment,
        blocks=((gettext("From"), _address(seller)), (gettext("To"), _address(sides["payer"]))),
        pairs=[pair for pair in pairs if pair[1]], columns=columns, rows=rows, totals=totals,
        notes=[note for note in notes if note],
        foot=" · ".join(part for part in (seller["name"], seller.get("site", ""), seller.get("email", "")) if part),
        numbering=gettext("Page %(page)s of %(pages)s"), logo=logo,
        stamp="(" + gettext("Draft") + ")" if invoice.status is InvoiceStatus.DRAFT else "",
    )  # fmt: skip
