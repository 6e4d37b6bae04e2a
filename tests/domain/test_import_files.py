"""Files as other programs write them, and files that are wrong: a clear error, and nothing half done."""

from __future__ import annotations

import io
import time
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import func, select

from app import db
from app.db import reads, unit
from app.domain.imports import import_customers, runs, workbooks
from app.domain.imports.mapping import guess
from app.domain.imports.reading import look_at, rows
from app.errors import Invalid
from app.models.customers import Customer, CustomerKind
from app.models.imports import ImportState
from app.models.projects import Project
from tasks import base
from tests.domain.test_import_runs import check, project, resources, row, run_jobs

__all__ = ["project", "resources"]  # fixtures
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
HEAD = ["Kundennummer", "Firma", "E-Mail", "PLZ", "Kunde seit"]


def workbook(path: Path, *sheets: list[list[Any]], merge: str = "") -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for n, sheet in enumerate(sheets):
        page = book.create_sheet(f"Sheet {n + 1}")
        for line in sheet:
            page.append(line)
        if merge:
            page.merge_cells(merge)
    book.save(path)
    return path


def changed(path: Path, part: str, old: bytes, new: bytes) -> Path:
    """The same archive with another text in one of its parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            text = before.read(name)
            assert name != part or old in text
            after.writestr(name, text.replace(old, new) if name == part else text)
    path.write_bytes(out.getvalue())
    return path


# ---- workbooks ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("redis")
async def test_a_workbook_is_read_by_the_sheet_that_is_chosen(
    resources: base.Resources, project: Project, tmp_path: Path
) -> None:
    path = workbook(
        tmp_path / "a.xlsx", [], [HEAD, [7, "Müller\nSöhne", "m@x.example", 1067, datetime(2020, 5, 1)]],
        [["name"], ["Ann"]], merge="F1:G1",
    )  # fmt: skip
    book = openpyxl.load_workbook(path)
    book["Sheet 2"]["D2"].number_format = "00000"
    book.save(path)
    stored = await runs.store(resources.storage, name="a.xlsx", chunks=path.read_bytes(), max_bytes=10**6)
    async with db.unit() as session:
        run = await runs.add_import(session, stored=stored, name="a.xlsx", project_id=project.id, source="x")
    await run_jobs(resources)
    read = await row(run.id)
    assert read.state is ImportState.READ, read.error
    assert (read.looked["sheets"], read.looked["sheet"]) == (["Sheet 1", "Sheet 2", "Sheet 3"], 1)
    assert [c["samples"] for c in read.looked["columns"]] == [
        ["7"],
        ["Müller\nSöhne"],
        ["m@x.example"],
        ["01067"],
        ["2020-05-01"],
    ]
    assert "merged" in read.looked["warnings"][0]
    async with db.unit() as session:
        await runs.read_again(session, import_id=run.id, sheet=2)
    await run_jobs(resources)
    assert (await row(run.id)).plan["columns"] == {"name": "contact_person"}
    async with db.unit() as session:
        await runs.read_again(session, import_id=run.id, sheet=1)
    await check(resources, run.id)
    async with db.unit() as session:
        await runs.start_import(session, import_id=run.id)
    await run_jobs(resources)
    async with reads() as session:
        only = (await session.scalars(select(Customer))).one()
    assert (only.name, only.address) == ("Müller Söhne", "01067")
    assert only.registered_at == datetime(2020, 5, 1, tzinfo=UTC)
    assert not [p for p in (tmp_path / "attachments").rglob("*") if p.is_file()]


def test_cells_are_read_as_people_see_them(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    page.append(["title only"])
    page.append(["id", "name", "email", "x", "y"])
    page.append([491711234567890.0, True, 0.5, date(2024, 2, 29), "#N/A"])
    page["E3"].data_type = "e"
    page.append(["ab", None, "line\r\nbreak", 1e3, ""])
    book.save(tmp_path / "a.xlsx")
    with workbooks.as_text(tmp_path / "a.xlsx") as path:
        sheet = look_at(path)
        found = [(r.line, r.cells) for r in rows(sheet)]
    assert (sheet.columns, sheet.header_line) == (["id", "name", "email", "x", "y"], 2)
    assert found[0] == (3, ["491711234567890", "true", "0.5", "2024-02-29", ""])
    assert found[1] == (4, ["ab", "", "line\nbreak", "1000", ""])


async def bomb(path: Path) -> None:
    with zipfile.ZipFile(workbook(path, [HEAD, [1, "A", "a@x.example", 1, ""]])) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            if name == "xl/worksheets/sheet1.xml":
                with archive.open(name, "w") as part:
                    part.write(text.partition(b"</sheetData>")[0] + b'<row r="3"><c r="A3" t="inlineStr"><is><t>')
                    for _n in range(64):
                        part.write(b" " * (1 << 20))
            else:
                archive.writestr(name, text)


SHEET, ROW = "xl/worksheets/sheet1.xml", [HEAD, [1, "A", "a@x.example", 1, ""]]
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><worksheet'


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("bomb", "too large"), ("columns", "more than 500"), ("far", "A"), ("entities", "damaged"), ("cut", "damaged"),
     ("formula", "formulas without results"), ("header", "no rows"), ("nothing", "empty"), ("zip", "no XLSX"),
     ("old", "XLS"), ("pdf", "PDF")],
)  # fmt: skip
async def test_workbooks_that_cannot_be_used(tmp_path: Path, wrong: str, said: str) -> None:
    from app.domain.imports.looking import _look

    path = tmp_path / "file"
    match wrong:
        case "bomb":
            await bomb(path)
        case "columns":
            workbook(path, [[f"c{n}" for n in range(600)], ["x"] * 600])
        case "far":  # a cell in a column that no spreadsheet has, in a row that nobody reaches
            changed(workbook(path, ROW), SHEET, b'<c r="B2"', b'<c r="ZZZ2"')
        case "entities":
            changed(workbook(path, ROW), SHEET, b"<worksheet", ENTITIES)
        case "cut":
            path.write_bytes(workbook(path, ROW).read_bytes()[:-200])
        case "formula":
            workbook(path, [HEAD, [1, "=A2&B2", "a@x.example", 1, ""]])
        case "header":
            workbook(path, [HEAD], [HEAD])
        case "nothing":
            workbook(path, [], [])
        case "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("word/document.xml", "<x/>")
        case "old":
            path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
        case "pdf":
            path.write_bytes(b"%PDF-1.7\n")
    if wrong == "far":
        assert _look(path, None).rows == 1  # what lies beyond is not read, and costs nothing
        return
    with pytest.raises(Invalid, match=said):
        _look(path, None)


@on_sqlite
def test_quotes_that_open_again_and_again_cost_their_lines_and_not_their_squares(database: str, tmp_path: Path) -> None:
    """Each line leaves a quote open, whether it is read by itself or inside of the quote before it."""
    path = tmp_path / "open.csv"
    path.write_text("Name,Email\n" + 'a","b\n' * 2000 + "Last,last@x.example\n")
    begin = time.process_time()
    found = list(rows(look_at(path)))
    assert time.process_time() - begin < 0.5, "a hundred times each line, not a hundred times a hundred"
    assert {r.problem for r in found[:1900]} == {"A quote is never closed."} and found[-1].cells[0] == "Last"


# ---- text -----------------------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a," * 400_000 + b"\n1\n", "more than 500"), (b"a," * 600_000 + b"\n1\n", "too long"),
     (b"id,name\n\n", "no rows"), (b"", "empty")],
)  # fmt: skip
async def test_text_that_cannot_be_used(resources: base.Resources, project: Project, content: bytes, said: str) -> None:
    if not content:
        with pytest.raises(Invalid, match=said):
            await runs.store(resources.storage, name="a.csv", chunks=content, max_bytes=10**7)
        return
    stored = await runs.store(resources.storage, name="a.csv", chunks=content, max_bytes=10**7)
    async with db.unit() as session:
        run = await runs.add_import(session, stored=stored, name="a.csv", project_id=project.id, source="x")
    await run_jobs(resources)
    failed = await row(run.id)
    assert failed.state is ImportState.FAILED and said in failed.error
    async with reads() as session:
        assert await session.scalar(select(func.count()).select_from(Customer)) == 0


def test_lines_in_another_encoding_do_not_spoil_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,name\n1,Müller\n2,Jörg\n".encode() + "3,Weiß\n".encode("cp1252"))
    sheet = look_at(path)
    assert [r.cells[1] for r in rows(sheet)] == ["Müller", "Jörg", "Weiß"] and "Windows-1252" in sheet.warnings[0]


@on_sqlite
async def test_without_addresses_with_one_name_and_with_codes(database: str, tmp_path: Path) -> None:
    from tests.factories import create_project

    async with unit() as session:
        await create_project(session, name="Only")
    path = tmp_path / "a.csv"
    path.write_text(
        "Liste der Kunden\n\nKdNr;Ansprechpartner;Land\nK-001;Ann Lee;Deutschland\nK-002;Ben;'+x\n", "utf-8"
    )
    report = await import_customers(path)
    assert (report.created, report.failed, report.errors[0].column) == (1, 1, "Land")
    async with reads() as session:
        ann = (await session.scalars(select(Customer))).one()
    assert (ann.name, ann.country, ann.kind) == ("Ann Lee", "DE", CustomerKind.INDIVIDUAL)


# ---- names of columns -----------------------------------------------------------------------------------------------

EXPORTS = {
    "WHMCS": ("ID,First Name,Last Name,Company Name,Email,Address 1,Address 2,City,State,Postcode,Country,Phone Number,"
              "Currency,Client Group,Credit,Creation Date,Notes,Status",
              "ref first_name last_name company email street street city state postal_code country phone - group - "
              "registered_at note -"),
    "HostBill": ("Client ID,First Name,Last Name,Company,Email,Address 1,City,State,Post code,Country,Phone,"
                 "Date Created,Status,Group,Language",
                 "ref first_name last_name company email street city state postal_code country phone registered_at - "
                 "group language"),
    "Stripe": ("id,Description,Email,Name,Created (UTC),Delinquent,Card ID,Card Name,Card Address Line1,"
               "Card Address City,Card Address Country,Card Address Zip,Business Vat ID",
               "ref - email contact_person registered_at - - - street city country postal_code vat_number"),
    "WooCommerce": ("ID,user_login,user_email,first_name,last_name,user_registered,billing_first_name,billing_company,"
                    "billing_email,billing_phone,billing_address_1,billing_address_2,billing_postcode,billing_city,"
                    "billing_country,shipping_first_name,shipping_city",
                    "ref username email first_name last_name registered_at - company - phone street street "
                    "postal_code city country - -"),
    "Shopify": ("Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,"
                "Default Address Address1,Default Address Address2,Default Address City,"
                "Default Address Province Code,Default Address Country Code,Default Address Zip,Phone,Total Spent,Note",
                "ref first_name last_name email - company street street city state country postal_code phone - note"),
    "Lexware": ("Kundennummer,Firmenname,Steuernummer,USt-IdNr.,Anrede,Vorname,Nachname,E-Mail 1,Telefon 1,Straße 1,"
                "PLZ 1,Ort 1,Land 1,Notiz",
                "ref company - vat_number - first_name last_name email phone street postal_code city country note"),
    "DATEV": ("Konto,Name (Adressattyp Unternehmen),Unternehmensgegenstand,Name (Adressattyp natürl. Person),"
              "Vorname (Adressattyp natürl. Person),EU-Land,EU-UStID,Straße,Postfach,Postleitzahl,Ort,Land,Telefon,"
              "E-Mail,IBAN-Nr. 1",
              "ref company - last_name first_name - vat_number street - postal_code city country phone email -"),
    "QuickBooks": ("Customer full name,Company name,First name,Last name,Email,Phone,Billing Address Line 1,"
                   "Billing Address City,Billing Address State,Billing Address Postal Code,Billing Address Country,"
                   "Shipping Address City,Open balance",
                   "name company first_name last_name email phone street city state postal_code country - -"),
    "Xero": ("*ContactName,AccountNumber,EmailAddress,FirstName,LastName,POAttentionTo,POAddressLine1,POCity,PORegion,"
             "POPostalCode,POCountry,SAAddressLine1,SACity,PhoneNumber,FaxNumber,TaxNumber",
             "name ref email first_name last_name - street city state postal_code country - - phone - vat_number"),
}  # fmt: skip


@pytest.mark.parametrize("program", EXPORTS)
def test_columns_of_other_programs(program: str) -> None:
    columns, fields = (text.split(sep) for text, sep in zip(EXPORTS[program], (",", " "), strict=True))
    found = guess(columns, [])
    assert [found.get(column, "-") for column in columns] == fields


def test_values_tell_what_names_do_not() -> None:
    sample = [["A-1", "Deutschland", "a@x.example"], ["A-2", "Austria", "b@x.example"], ["A-3", "Испания", ""]]
    assert guess(["Sigle", "Wo", "Wie"], sample) == {"Sigle": "ref", "Wo": "country", "Wie": "email"}


@on_sqlite
@pytest.mark.usefixtures("redis")
async def test_what_is_no_table_is_refused_and_a_missing_head_is_told(
    resources: base.Resources, project: Project
) -> None:
    async def read(content: bytes) -> Any:
        stored = await runs.store(resources.storage, name="a.csv", chunks=content, max_bytes=10**6)
        async with db.unit() as session:
            run = await runs.add_import(session, stored=stored, name="a.csv", project_id=project.id, source="x")
        await run_jobs(resources)
        return await row(run.id)

    binary = await read(bytes(range(256)) * 40)
    assert (binary.state, binary.error) == (ImportState.FAILED, "This is neither a CSV file nor an XLSX workbook.")
    bare = await read(b"Hans,hans@x.example,D\nGreta,greta@x.example,A\n")
    assert "The first row looks like data" in bare.looked["warnings"][0]
    assert not (await read(b"name,e-mail\nHans,hans@x.example\n")).looked["warnings"]
