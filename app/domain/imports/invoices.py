"""Importing invoices that were paid elsewhere: each keeps its number and its day, and its money is booked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import unit
from app.domain.billing.expenses import charge
from app.domain.billing.invoices import ISSUED, PAID, move, sides_of
from app.domain.billing.lines import LineIn, make_lines
from app.domain.billing.taxes import NONE
from app.domain.imports.places import country_code
from app.domain.imports.reading import Record, look_at, rows
from app.domain.imports.report import KEPT, RowError
from app.domain.ledger import Move, account_of, own_account, post
from app.errors import AppError, Invalid
from app.i18n import LANGUAGES, SOURCE, best, exponent, gettext, show_amount
from app.models.billing import Gateway, Invoice, InvoiceKind, InvoicePayment, Payment, PaymentMethod, PaymentStatus
from app.models.customers import Customer, ExternalRef
from app.models.ledger import AccountKind, TransactionKind
from app.models.projects import Project

BATCH = 50
METHOD = "Import"
"""The payment method of what was paid elsewhere; made when it is not there."""
LINES = "invoice_lines.csv"
_NAMES = {
    "ref": ("invoiceid", "invoice", "number", "id"), "customer": ("customerid", "customer"),
    "day": ("invoicedate", "date", "issued", "day"), "total": ("total", "amount"),
    "address": ("billingaddress", "address"), "city": ("billingcity", "city"), "state": ("billingstate", "state"),
    "country": ("billingcountry", "country"), "postal_code": ("billingpostalcode", "postalcode", "zip"),
    "price": ("unitprice", "price"), "quantity": ("quantity",), "description": ("description", "text", "name"),
    "item": ("trackid", "productid", "itemid", "sku"),
}  # fmt: skip
"""Our word -> how columns are called, without case, blanks and underscores."""
_NEEDED = {"invoices": ("ref", "customer", "day", "total"), "lines": ("ref", "price", "quantity")}


@dataclass
class InvoiceReport:
    """What an import did. sums: currency -> what the invoices of the file that are here now sum to."""

    created: int = 0
    unchanged: int = 0
    failed: int = 0
    lines_taken: int = 0
    errors: list[tuple[str, RowError]] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=dict)

    def leave_out(self, file: str, line: int, reason: str, *, counts: bool = True) -> None:
        self.failed += counts
        if len(self.errors) < KEPT:
            self.errors.append((file, RowError(line, "", reason)))

    def lines(self) -> list[str]:
        """The report for a terminal."""
        counts = {"created": self.created, "unchanged": self.unchanged, "failed": self.failed, "n": self.lines_taken}
        said = gettext("%(created)d invoices created with %(n)d lines, %(unchanged)d unchanged, %(failed)d left out")
        shown = [said % counts]
        for currency, total in sorted(self.sums.items()):
            sum_of = {"sum": show_amount(total, currency), "currency": currency}
            shown.append(gettext("Together %(sum)s %(currency)s") % sum_of)
        for file, error in self.errors:
            where = {"file": file, "line": error.line, "text": error.reason}
            shown.append(gettext("%(file)s, line %(line)d: %(text)s") % where)
        return shown


@dataclass
class _Line:
    line: int
    price: Decimal
    quantity: int
    description: str


async def import_invoices(path: Path, *, lines: Path | None = None, source: str = "csv") -> InvoiceReport:
    """Import invoices and their lines from two CSV files: `lines`, else invoice_lines.csv beside the first.

    They belong to customers that were imported from the same source. Each is issued on its own day under its own
    number, and paid in full: the payment and the charge are booked on that day. What is here already stays as it is.
    Good rows are taken, bad ones reported by line. Raises Invalid when a file cannot be used at all.
    """
    beside = lines or path.with_name(LINES)
    report = InvoiceReport()
    of_invoice = _read_lines(beside, report)
    records = _rows(path, "invoices")
    seen: dict[str, int] = {}
    while batch := list(islice(records, BATCH)):
        async with unit() as session:
            await _Batch(session, source, path.name, of_invoice, seen, report).take(batch)
    for ref, found in of_invoice.items():
        if ref not in seen:
            said = gettext("There is no invoice %(ref)s.") % {"ref": ref}
            report.leave_out(beside.name, found[0].line, said, counts=False)
    return report


def _rows(path: Path, kind: str) -> Iterator[tuple[Record, Mapping[str, str]]]:
    """The records of a file with their cells by our words. Raises Invalid when a column is missing."""
    sheet = look_at(path)
    plain = {"".join(c for c in name.casefold() if c.isalnum()): at for at, name in enumerate(sheet.columns)}
    places = {word: plain[name] for word, names in _NAMES.items() for name in reversed(names) if name in plain}
    if missing := [word for word in _NEEDED[kind] if word not in places]:
        said = gettext("%(file)s has no column for %(list)s.")
        raise Invalid(said % {"file": path.name, "list": ", ".join(missing)})
    for record in rows(sheet):
        yield record, {} if record.problem else {word: record.cells[at].strip() for word, at in places.items()}


def _read_lines(path: Path, report: InvoiceReport) -> dict[str, list[_Line]]:
    """Invoice -> its lines. What cannot be read is told once, and leaves the invoice out: its sum is not right."""
    found: dict[str, list[_Line]] = {}
    for record, cells in _rows(path, "lines"):
        if record.problem:
            report.leave_out(path.name, record.line, record.problem, counts=False)
            continue
        try:
            price, quantity = _number(cells["price"]), _number(cells["quantity"]) * 1000
            if price < 0 or quantity <= 0 or quantity != quantity.to_integral_value():
                raise Invalid(gettext("A price of zero or more and a quantity above zero, please."))
        except Invalid as problem:
            report.leave_out(path.name, record.line, str(problem), counts=False)
            continue
        what = cells.get("description") or gettext("Item %(id)s") % {"id": cells.get("item") or len(found)}
        found.setdefault(cells["ref"], []).append(_Line(record.line, price, int(quantity), what))
    return found


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Invalid(gettext("Not a number: %(text)s") % {"text": text[:40]}) from None
    if not number.is_finite() or abs(number) > 10**13:
        raise Invalid(gettext("Not a number: %(text)s") % {"text": text[:40]})
    return number


def _minor(amount: Decimal, currency: str) -> int:
    minor = amount.scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        said = gettext("%(currency)s has %(n)s decimals.")
        raise Invalid(said % {"currency": currency, "n": exponent(currency)})
    return int(minor)


def _day(text: str) -> date:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise Invalid(gettext("A date such as 2026-01-31, please.")) from None


class _Batch:
    """Some invoices, in one unit; each in a SAVEPOINT of its own."""

    def __init__(
        self, session: AsyncSession, source: str, file: str, lines: Mapping[str, Sequence[_Line]],
        seen: dict[str, int], report: InvoiceReport,
    ) -> None:  # fmt: skip
        self.session, self.source, self.file = session, source, file
        self.lines, self.seen, self.report = lines, seen, report

    async def _known(self, noun: str, refs: set[str]) -> dict[str, int]:
        mine = ExternalRef.source == self.source, ExternalRef.noun == noun, ExternalRef.ref.in_(refs)
        return {r.ref: r.noun_id for r in await self.session.scalars(select(ExternalRef).where(*mine))}

    async def take(self, batch: Sequence[tuple[Record, Mapping[str, str]]]) -> None:
        there = await self._known("invoice", {cells["ref"] for _record, cells in batch if cells})
        owners = await self._known("customer", {cells["customer"] for _record, cells in batch if cells})
        for record, cells in batch:
            if record.problem:
                self.report.leave_out(self.file, record.line, record.problem)
                continue
            try:
                if (ref := cells["ref"]) in self.seen:
                    said = gettext("Line %(line)d is the same invoice.")
                    raise Invalid(said % {"line": self.seen[ref]})
                if not ref or len(ref) > 60 or not ref.isprintable():
                    raise Invalid(gettext("The number is missing, too long, or holds what cannot be shown."))
                self.seen[ref] = record.line
                if (known := there.get(ref)) is not None:
                    await self._count(known)
                    self.report.unchanged += 1
                    continue
                async with self.session.begin_nested():
                    made = await self._make(cells, owners)
                self.report.created += 1
                self.report.lines_taken += len(self.lines[ref])
                self.report.sums[made.currency] = self.report.sums.get(made.currency, 0) + made.total
            except AppError as problem:
                self.report.leave_out(self.file, record.line, str(problem))

    async def _count(self, invoice_id: int) -> None:
        query = select(Invoice.currency, Invoice.total).where(Invoice.id == invoice_id)
        if (row := (await self.session.execute(query)).one_or_none()) is not None:
            self.report.sums[row.currency] = self.report.sums.get(row.currency, 0) + row.total

    async def _make(self, cells: Mapping[str, str], owners: Mapping[str, int]) -> Invoice:
        session, ref, day = self.session, cells["ref"], _day(cells["day"])
        customer = await session.get(Customer, owners.get(cells["customer"], 0))
        if customer is None:
            said = gettext("Customer %(ref)s was not imported from this source.")
            raise Invalid(said % {"ref": cells["customer"][:40]})
        project = await session.get_one(Project, customer.project_id)
        taken = Invoice.project_id == project.id, Invoice.kind == InvoiceKind.INVOICE, Invoice.number == ref
        if await session.scalar(select(Invoice.id).where(*taken)) is not None:
            raise Invalid(gettext("There is another invoice with the number %(ref)s.") % {"ref": ref})
        account = await account_of(session, customer=customer)
        currency = account.currency
        lines = make_lines(
            [LineIn(x.description, _minor(x.price, currency), x.quantity) for x in self.lines.get(ref, ())],
            tax=NONE, with_tax=True,
        )  # fmt: skip
        total = sum(line.total for line in lines)
        if total != _minor(_number(cells["total"]), currency) or not lines:
            said = gettext("The lines sum to %(sum)s, the invoice says %(total)s.")
            raise Invalid(said % {"sum": show_amount(total, currency), "total": cells["total"][:40]})
        invoice = Invoice(
            customer_id=customer.id, account_id=account.id, project_id=project.id, currency=currency, lines=lines,
            language=best(customer.language or project.default_language, tuple(LANGUAGES)) or SOURCE, net=total,
            tax=0, total=total, paid=0,
        )  # fmt: skip
        session.add(invoice)
        await session.flush()
        invoice.number, invoice.issued_on, invoice.due_on = ref, day, day
        invoice.sides = _sides(cells, customer, project)
        move(invoice, ISSUED)
        session.add(ExternalRef(source=self.source, ref=ref, noun="invoice", noun_id=invoice.id))
        await session.flush()
        if total:
            await self._pay(invoice, day)
        return invoice

    async def _pay(self, invoice: Invoice, day: date) -> None:
        session, moment = self.session, datetime.combine(day, time(12), UTC)
        payment = Payment(
            number=invoice.number, customer_id=invoice.customer_id, account_id=invoice.account_id,
            project_id=invoice.project_id, method_id=await self._method(), invoice_id=invoice.id,
            amount=invoice.total, currency=invoice.currency, account_amount=invoice.total,
            account_currency=invoice.currency, status=PaymentStatus.PAID, paid_at=moment,
        )  # fmt: skip
        session.add(payment)
        await session.flush()
        cash = await own_account(
            session, project_id=invoice.project_id, kind=AccountKind.CASH, currency=invoice.currency
        )
        payment.transaction_id, _new = await post(
            session, key=f"payment:{payment.id}", kind=TransactionKind.PAYMENT, at=moment,
            moves=[Move(invoice.account_id, invoice.total), Move(cash, -invoice.total)],
            description=gettext("Payment of invoice %(number)s") % {"number": invoice.number},
        )  # fmt: skip
        expense = await charge(
            session, account_id=invoice.account_id, key=f"invoice:{invoice.id}", on_day=day, net=invoice.net,
            tax=invoice.tax, force=True, invoice_id=invoice.id,
            description=gettext("Invoice %(number)s") % {"number": invoice.number},
        )  # fmt: skip
        session.add(
            InvoicePayment(
                invoice_id=invoice.id, amount=invoice.total, payment_id=payment.id, at=moment,
                transaction_id=expense.transaction_id,
            )
        )  # fmt: skip
        invoice.paid = invoice.total
        move(invoice, PAID)
        await session.flush()

    async def _method(self) -> int:
        found = await self.session.scalar(select(PaymentMethod).where(PaymentMethod.name == METHOD))
        if found is None:
            found = PaymentMethod(name=METHOD, gateway=Gateway.BY_HAND, enabled=False)
            self.session.add(found)
            await self.session.flush()
        return found.id


def _sides(cells: Mapping[str, str], customer: Customer, project: Project) -> dict[str, Any]:
    """Payer and seller; the address is that of the file where it has one."""
    sides = sides_of(customer, project, None)
    if cells.get("address"):
        town = " ".join(part for part in (cells.get("postal_code"), cells.get("city")) if part)
        place = ", ".join(part for part in (town, cells.get("state")) if part)
        sides["payer"] |= {
            "address": "\n".join(part for part in (cells["address"], place) if part),
            "country": country_code(cells.get("country", "")[:200]) or customer.country,
        }
    return sides
