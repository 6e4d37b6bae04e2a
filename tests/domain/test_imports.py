"""Importing customers from CSV: the Chinook sample, and files as people send them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db import reads, unit
from app.domain.imports import ImportReport, import_customers
from app.domain.imports.places import country_code, language_of
from app.errors import Invalid
from app.models.audit import Audit, AuditDetail
from app.models.customers import Customer, CustomerKind, ExternalRef
from app.models.users import User, UserCustomer, UserRole
from tests.conftest import CHINOOK, needs_shared
from tests.factories import create_project

on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
FILE = CHINOOK / "customers.csv"
HEADER = "id,name,email,country\n"


@pytest.fixture
async def project(database: str) -> int:
    async with unit() as session:
        return (await create_project(session, name="Nordhost")).id


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


async def load(path: Path, text: str, **kw: object) -> ImportReport:
    return await import_customers(write(path, text), **kw)  # type: ignore[arg-type]


async def everybody() -> list[Customer]:
    async with reads() as session:
        return list(await session.scalars(select(Customer).order_by(Customer.id)))


async def audit_rows() -> int:
    async with reads() as session:
        return await session.scalar(select(func.count()).select_from(Audit)) or 0


def chinook() -> list[dict[str, str]]:
    with FILE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- the sample ---------------------------------------------------------------------------------------------------


@needs_shared
async def test_chinook_comes_in_whole(project: int) -> None:
    report = await import_customers(FILE)
    assert (report.created, report.updated, report.unchanged, report.errors) == (59, 0, 0, [])
    assert report.mapping["CustomerId"] == "ref" and "Fax" in report.unused
    people = await everybody()
    assert len({c.country for c in people}) == 24
    companies = {c.email for c in people if c.kind is CustomerKind.COMPANY}
    assert companies == {row["Email"] for row in chinook() if row["Company"]} and len(companies) == 10
    assert {c.email for c in people if c.language == "de"} == {
        row["Email"] for row in chinook() if row["Country"] in ("Germany", "Austria")
    }
    assert len([c for c in people if c.language == "de"]) == 5
    assert {c.name: c.language for c in people}["Daan Peeters"] == "nl"  # Belgium; nobody in the file is Swiss
    first = people[0]
    assert (first.name, first.contact_person, first.country, first.language) == (
        "Embraer - Empresa Brasileira de Aeronáutica S.A.", "Luís Gonçalves", "BR", "pt",
    )  # fmt: skip
    assert first.address == "Av. Brigadeiro Faria Lima, 2170\n12227-000 São José dos Campos, SP"
    assert first.phone == "+55 12 3923-5555"


@needs_shared
async def test_chinook_users_cannot_sign_in_yet(project: int) -> None:
    await import_customers(FILE)
    async with reads() as session:
        users = list(await session.scalars(select(User)))
        links = list(await session.scalars(select(UserCustomer)))
    assert {u.username for u in users} == {row["Email"].lower() for row in chinook()}
    assert {u.password_hash for u in users} == {None}
    assert len(links) == 59 and {link.role for link in links} == {UserRole.OWNER}


@needs_shared
async def test_a_second_run_changes_nothing(project: int) -> None:
    await import_customers(FILE)
    before = await audit_rows()
    report = await import_customers(FILE)
    assert (report.created, report.updated, report.unchanged, report.failed) == (0, 0, 59, 0)
    assert await audit_rows() == before and len(await everybody()) == 59


@needs_shared
async def test_a_changed_phone_changes_exactly_that(project: int, tmp_path: Path) -> None:
    await import_customers(FILE)
    before = await audit_rows()
    text = FILE.read_text("utf-8").replace("+49 0711 2842222", "+49 0711 2842223")
    report = await load(tmp_path / "changed.csv", text)
    assert (report.created, report.updated, report.unchanged) == (0, 1, 58)
    assert await audit_rows() == before + 1
    async with reads() as session:
        row = await session.scalar(select(Audit).order_by(Audit.id.desc()))
        assert row is not None and (row.action, row.noun) == ("update", "customer")
        payload = await session.scalar(select(AuditDetail.payload).where(AuditDetail.audit_id == row.id))
    assert payload == '{"phone":["+49 711 2842222","+49 711 2842223"]}'


@needs_shared
async def test_a_dry_run_says_the_same_and_keeps_nothing(project: int) -> None:
    before = await audit_rows()
    report = await import_customers(FILE, dry_run=True)
    assert report.created == 59 and await everybody() == [] and await audit_rows() == before
    assert report.lines()[-1] == "This was a dry run: nothing was changed."


# ---- what staff did meanwhile -------------------------------------------------------------------------------------


async def test_what_was_derived_is_not_derived_again(project: int, tmp_path: Path) -> None:
    text = "id,company,email,country\n1,Alpha,a@x.example,CH\n"
    await load(tmp_path / "a.csv", text)
    async with unit() as session:
        customer = (await session.scalars(select(Customer))).one()
        assert (customer.kind, customer.language) == (CustomerKind.COMPANY, "de")
        customer.language, customer.kind = "fr", CustomerKind.SOLE_PROPRIETOR
    report = await load(tmp_path / "a.csv", text)
    assert report.unchanged == 1 and (await everybody())[0].language == "fr"


async def test_an_empty_cell_erases_nothing(project: int, tmp_path: Path) -> None:
    await load(tmp_path / "a.csv", "id,name,phone\n1,Ann,+49 30 23125 000\n")
    report = await load(tmp_path / "a.csv", "id,name,phone\n1,Ann,\n")
    assert report.unchanged == 1 and (await everybody())[0].phone == "+49 30 23125000"


async def test_a_taken_user_name_gets_the_id_and_a_note(project: int, tmp_path: Path) -> None:
    report = await load(tmp_path / "a.csv", HEADER + "7,Ann,SAME@x.example,DE\n8,Ben,same@x.example,DE\n")
    assert (report.created, report.failed) == (2, 0)
    async with reads() as session:
        assert set(await session.scalars(select(User.username))) == {"same@x.example", "same@x.example-8"}
    assert [(n.line, "same@x.example-8" in n.text) for n in report.notes] == [(3, True)]


async def test_the_same_id_of_another_source_is_somebody_else(project: int, tmp_path: Path) -> None:
    text = HEADER + "1,Ann,ann@x.example,DE\n"
    await load(tmp_path / "a.csv", text, source="old-crm")
    report = await load(tmp_path / "a.csv", text, source="shop")
    assert report.created == 1 and len(await everybody()) == 2


async def test_without_ids_the_email_tells_who_it_is(project: int, tmp_path: Path) -> None:
    text = "Name,Mail\nAnn,Ann@x.example\n"
    await load(tmp_path / "a.csv", text)
    report = await load(tmp_path / "a.csv", text.replace("Ann,Ann@", "Anne,ann@"))
    assert (report.created, report.updated) == (0, 1)
    async with reads() as session:
        assert (await session.scalars(select(ExternalRef.ref))).all() == ["email:ann@x.example"]


# ---- bad rows -----------------------------------------------------------------------------------------------------


async def test_bad_rows_are_named_and_good_ones_taken(project: int, tmp_path: Path) -> None:
    rows = [
        "1,Ann,ann@x.example,DE",
        "2,Ben,not an address,DE",
        "3,Cem,cem@x.example,Atlantis",
        "4,,,",
        "5,Eve\0,eve@x.example,DE",
        f"6,{'x' * 201},f@x.example,DE",
        "7,Gus,gus@x.example",
        '8,"Hal,hal@x.example,DE',
        ",Ida,ida@x.example,DE",
        "1,Jan,jan@x.example,DE",
        "9,Zoë,zoë@x.example,Österreich",
    ]
    report = await load(tmp_path / "a.csv", HEADER + "\n".join(rows) + "\n")
    assert report.created == 2 and [c.name for c in await everybody()] == ["Ann", "Zoë"]
    assert [(e.line, e.column) for e in report.errors] == [
        (3, "email"), (4, "country"), (5, ""), (6, "name"), (7, "name"), (8, ""), (9, ""), (10, "id"), (11, "id"),
    ]  # fmt: skip
    reasons = {e.line: e.reason for e in report.errors}
    assert "Atlantis" in reasons[4] and "200" in reasons[7] and "quote" in reasons[9] and "row: 3," in reasons[8]
    assert report.failed == 9 and any(line.startswith("Line 4: country: ") for line in report.lines())


async def test_a_bad_row_of_a_batch_leaves_no_half_customer(project: int, tmp_path: Path) -> None:
    text = "id,company,email,country,vat\n1,Alpha,a@x.example,DE,DE136695975\n2,Beta,b@x.example,DE,DE136695976\n"
    report = await load(tmp_path / "a.csv", text)
    assert [(e.line, e.column) for e in report.errors] == [(2, "vat")] and report.created == 1
    async with reads() as session:
        assert set(await session.scalars(select(User.username))) == {"b@x.example"}


@on_sqlite
async def test_more_than_a_batch_tells_how_far_it_is(project: int, tmp_path: Path) -> None:
    text = HEADER + "".join(f"{n},P{n},p{n}@x.example,DE\n" for n in range(1005))
    told: list[int] = []
    report = await load(tmp_path / "a.csv", text, progress=told.append)
    assert report.created == 1005 and told == [500, 1000, 1005]


@on_sqlite
@pytest.mark.parametrize(
    ("name", "project", "wanted"),
    [("missing.csv", None, "cannot be read"), ("empty.csv", None, "empty"), ("wide.csv", None, "500"),
     ("numbers.csv", None, "No column"), ("good.csv", "Elsewhere", "Elsewhere")],
)  # fmt: skip
async def test_files_that_cannot_be_used_at_all(
    project_id: int, tmp_path: Path, name: str, project: str | None, wanted: str
) -> None:
    write(tmp_path / "empty.csv", "\n\n")
    write(tmp_path / "wide.csv", ",".join(f"c{n}" for n in range(501)) + "\n")
    write(tmp_path / "numbers.csv", "a,b\n1,2\n")
    write(tmp_path / "good.csv", HEADER)
    with pytest.raises(Invalid, match=wanted):
        await import_customers(tmp_path / name, project=project)


@pytest.fixture
async def project_id(database: str) -> int:
    async with unit() as session:
        return (await create_project(session)).id


@on_sqlite
async def test_several_projects_need_a_name(project: int, tmp_path: Path) -> None:
    async with unit() as session:
        await create_project(session, name="Kupol")
    with pytest.raises(Invalid, match="Kupol, Nordhost"):
        await load(tmp_path / "a.csv", HEADER)
    assert (await load(tmp_path / "a.csv", HEADER + "1,Ann,,\n", project="nordhost")).created == 1


# ---- as people send them ------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_encodings_and_delimiters(project: int, tmp_path: Path, encoding: str, delimiter: str) -> None:
    row = '1,"Bäcker, Müller; Söhne|Co",info@baecker.example,Österreich,Weg 1'
    text = f"Kundennummer,Firma,E-Mail,Land,Straße\r\n{row}"
    if delimiter != ",":
        outer, inner = text.split('"')[::2], text.split('"')[1]
        text = outer[0].replace(",", delimiter) + f'"{inner}"' + outer[1].replace(",", delimiter)
    report = await import_customers(write(tmp_path / "a.csv", text, encoding))
    assert report.errors == [] and report.created == 1
    only = (await everybody())[0]
    assert (only.name, only.country, only.kind) == ("Bäcker, Müller; Söhne|Co", "AT", CustomerKind.COMPANY)


@on_sqlite
async def test_a_quote_that_is_never_closed_costs_its_own_line(project: int, tmp_path: Path) -> None:
    rows = "".join(f"{n},P{n},p{n}@x.example,DE\n" for n in range(2, 300))
    report = await load(tmp_path / "a.csv", HEADER + '1,"Ann,ann@x.example,DE\n' + rows)
    assert report.created == 298 and [(e.line, e.reason) for e in report.errors] == [(2, "A quote is never closed.")]


@on_sqlite
async def test_a_cell_may_span_lines_and_numbers_stay_those_of_the_file(project: int, tmp_path: Path) -> None:
    text = 'id,name,address\n1,Ann,"Weg 1\nHinterhof"\n2,Ben\n'
    report = await load(tmp_path / "a.csv", text)
    assert [e.line for e in report.errors] == [4] and (await everybody())[0].address == "Weg 1\nHinterhof"


@on_sqlite
async def test_a_doubled_column_is_noted_and_a_column_of_addresses_is_the_email(project: int, tmp_path: Path) -> None:
    report = await load(tmp_path / "a.csv", "id,name,name,where\n1,Ann,x,ann@x.example\n")
    assert report.mapping == {"id": "ref", "name": "contact_person", "where": "email"}
    assert report.unused == ["name (2)"] and "twice" in report.notes[0].text


@on_sqlite
async def test_a_given_mapping_goes_before_the_guess(project: int, tmp_path: Path) -> None:
    text = "id,a,name\n1,Acme,Ann\n"
    report = await load(tmp_path / "a.csv", text, mapping={"a": "company", "name": "-"})
    assert report.mapping == {"id": "ref", "a": "company"} and (await everybody())[0].name == "Acme"
    for wrong in ({"b": "company"}, {"a": "nonsense"}):
        with pytest.raises(Invalid, match=r"column b\.|nonsense"):
            await load(tmp_path / "a.csv", text, mapping=wrong)


def test_countries_by_many_names() -> None:
    names = {
        "USA": "US", "United Kingdom": "GB", "Czech Republic": "CZ", "Deutschland": "DE", "Испания": "ES",
        "Alemania": "DE", "the Netherlands": "NL", "Polska": "PL", "日本": "JP", "de": "DE", "Nowhere": None,
    }  # fmt: skip
    assert {name: country_code(name) for name in names} == names


def test_the_first_official_language_stands_for_a_country() -> None:
    spoken = {"DE": "de", "AT": "de", "CH": "de", "BE": "nl", "CA": "en", "BR": "pt", "AQ": ""}
    assert {country: language_of(country) for country in spoken} == spoken
