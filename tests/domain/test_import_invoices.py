"""Importing paid invoices: the Chinook sample as it is, twice, and files with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db import reads, unit
from app.domain.imports import import_customers, import_invoices
from app.errors import Invalid
from app.models.billing import Expense, Invoice, InvoiceLine, InvoicePayment, InvoiceStatus, Payment
from app.models.customers import ExternalRef
from app.models.ledger import Account, Entry, Transaction
from tests.conftest import CHINOOK, needs_shared
from tests.factories import create_project

pytestmark = pytest.mark.usefixtures("database")
TABLES = (Invoice, InvoiceLine, InvoicePayment, Payment, Expense, Transaction, Entry, Account, ExternalRef)


async def counts() -> list[int]:
    async with reads() as session:
        return [await session.scalar(select(func.count()).select_from(t)) or 0 for t in TABLES]


@needs_shared
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_chinook_comes_in_whole_and_only_once() -> None:
    async with unit() as session:
        await create_project(session, currency="USD")
    await import_customers(CHINOOK / "customers.csv")
    report = await import_invoices(CHINOOK / "invoices.csv")
    assert (report.created, report.failed, report.lines_taken, report.errors) == (412, 0, 2240, [])
    assert report.sums == {"USD": 232860}
    before = await counts()
    async with reads() as session:
        total, paid = (await session.execute(select(func.sum(Invoice.total), func.sum(Invoice.paid)))).one()
        assert (total, paid) == (232860, 232860)
        assert set(await session.scalars(select(Invoice.status))) == {InvoiceStatus.PAID}
        assert await session.scalar(select(func.sum(Entry.amount))) == 0
        assert set(await session.scalars(select(Account.balance).where(Account.customer_id.is_not(None)))) == {0}
        first = (await session.scalars(select(Invoice).where(Invoice.number == "1"))).one()
        assert (first.total, str(first.issued_on), first.sides["payer"]["country"]) == (198, "2021-01-01", "DE")
        assert first.sides["payer"]["address"] == "Theodor-Heuss-Straße 34\n70174 Stuttgart"
        mine = select(ExternalRef.noun_id).where(ExternalRef.ref == "2", ExternalRef.noun == "customer")
        assert first.customer_id == await session.scalar(mine)
        covered = select(func.sum(InvoicePayment.amount)).where(InvoicePayment.invoice_id == first.id)
        assert await session.scalar(covered) == 198
    again = await import_invoices(CHINOOK / "invoices.csv")
    assert (again.created, again.unchanged, again.failed, again.sums) == (0, 412, 0, {"USD": 232860})
    assert await counts() == before


def written(folder: Path, invoices: str, lines: str) -> Path:
    (folder / "invoice_lines.csv").write_text(lines)
    path = folder / "invoices.csv"
    path.write_text(invoices)
    return path


async def prepared(folder: Path) -> None:
    async with unit() as session:
        await create_project(session)
    people = folder / "people.csv"
    people.write_text("CustomerId,Company,Email\n1,Acme,a@example.com\n")
    await import_customers(people)


HEAD, LINES = "InvoiceId,CustomerId,InvoiceDate,Total\n", "InvoiceLineId,InvoiceId,TrackId,UnitPrice,Quantity\n"


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_bad_rows_are_told_by_line_and_good_ones_taken(tmp_path: Path) -> None:
    await prepared(tmp_path)
    path = written(
        tmp_path,
        HEAD + "1,1,2021-01-01,1.98\n2,9,2021-01-01,1.00\n3,1,soon,1.00\n4,1,2021-01-01,2.00\n5,1,2021-01-01,nan\n"
        "1,1,2021-01-02,1.98\n6,1,2021-01-01,1.005\n7,1,2021-01-01,1.00\n",
        LINES + "1,1,7,0.99,2\n2,2,7,1.00,1\n3,3,7,1.00,1\n4,4,7,1.00,1\n5,5,7,1.00,1\n6,6,7,1.005,1\n"
        "7,7,7,-1.00,1\n8,99,7,1.00,1\n",
    )
    report = await import_invoices(path)
    assert (report.created, report.failed, report.sums) == (1, 7, {"EUR": 198})
    told = {(file, error.line) for file, error in report.errors}
    assert told == {("invoices.csv", n) for n in range(3, 10)} | {("invoice_lines.csv", 8), ("invoice_lines.csv", 9)}
    assert len(report.lines()) == 2 + len(report.errors)
    async with reads() as session:
        assert (await session.scalars(select(Invoice.number))).all() == ["1"]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_a_file_without_its_columns_or_its_lines_changes_nothing(tmp_path: Path) -> None:
    await prepared(tmp_path)
    for invoices, lines in (("Id,Total\n1,2\n", LINES), (HEAD, "a,b\n")):
        with pytest.raises(Invalid):
            await import_invoices(written(tmp_path, invoices, lines))
    (tmp_path / "invoice_lines.csv").unlink()
    with pytest.raises(Invalid):
        await import_invoices(tmp_path / "invoices.csv")
    assert (await counts())[0] == 0
