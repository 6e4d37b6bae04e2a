"""The rows of a file in our words, checked: pure work, done in a thread ahead of what is written."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.domain import custom, customers
from app.domain.checks import Bad
from app.domain.customers import Newcomer
from app.domain.imports.choices import Choices
from app.domain.imports.places import language_of
from app.domain.imports.reading import Record, Sheet
from app.errors import AppError, Invalid
from app.i18n import gettext
from app.models.customers import Customer, CustomerKind
from app.models.projects import Project

_GERMAN = re.compile(r"^(\d\d)\.(\d\d)\.(\d{4})")


@dataclass
class Row:
    """A row in our words: `values` as far as the file says them, `derived` what follows from them. `newcomer`: whom it
    makes when nobody is known by its reference, or why it cannot."""

    line: int
    ref: str
    values: dict[str, Any]
    derived: dict[str, Any]
    username: str
    groups: tuple[int, ...] = ()
    newcomer: Newcomer | AppError | None = None


@dataclass
class Batch:
    """Rows of the file that are taken together."""

    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[int, AppError]] = field(default_factory=list)
    """By line, why the row is left out."""
    cells: dict[int, list[str]] = field(default_factory=dict)
    """Of every row, by line."""


class _Seen:
    """Which line named whom first. Of a million rows that is more than a process should hold: it lies in a file of
    SQLite's own that nobody else sees, and goes with it."""

    def __init__(self) -> None:
        self.file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.file.executescript(
            "PRAGMA journal_mode = off; PRAGMA synchronous = off; BEGIN;"
            "CREATE TABLE seen (ref TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID"
        )

    def first(self, ref: str, line: int) -> int:
        """The line that named `ref` first: `line`, unless an earlier one did."""
        if self.file.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (ref, line)).rowcount:
            return line
        return int(self.file.execute("SELECT line FROM seen WHERE ref = ?", (ref,)).fetchone()[0])


class Understanding:
    """Makes rows of records. mapping: column -> field."""

    def __init__(
        self, sheet: Sheet, project: Project, source: str, mapping: Mapping[str, str], choices: Choices
    ) -> None:
        self.project, self.source, self.choices = project, source, choices
        self.places: dict[str, list[int]] = {}
        for place, column in enumerate(sheet.columns):
            if column in mapping:
                self.places.setdefault(mapping[column], []).append(place)
        self.order = [(name, place) for name, places in self.places.items() for place in places]
        self.custom = [spec for spec in custom.fields(Customer) if spec.name in self.places]
        self.seen = _Seen()

    def pass_over(self, records: Iterable[Record]) -> None:
        """Rows that were taken before: only who they are is remembered, for a later row that is the same."""
        for record in records:
            self._understood(record, Batch())

    def understood(self, records: Iterable[Record]) -> Batch:
        """The records in our words, checked. Nothing is counted yet."""
        batch = Batch()
        for record in records:
            batch.cells[record.line] = record.cells
            if (row := self._understood(record, batch)) is not None:
                row.newcomer = self._newcomer(row)
                batch.rows.append(row)
        return batch

    def _understood(self, record: Record, batch: Batch) -> Row | None:
        try:
            if record.problem:
                raise Invalid(record.problem)
            return self._read(record)
        except Invalid as error:
            batch.refused.append((record.line, error))
            return None

    def _newcomer(self, row: Row) -> Newcomer | AppError:
        values = {**row.derived, **row.values, "project_id": self.project.id}
        try:
            return customers.newcomer(
                values, username=self.wanted(row), source=self.source, ref=row.ref, groups=row.groups
            )
        except AppError as error:
            return error

    def _read(self, record: Record) -> Row:
        found: dict[str, list[str]] = {}
        for name, place in self.order:
            if text := _bare(record.cells[place]):
                if "\n" in text and name not in ("street", "note"):
                    text = text.replace("\n", " ")
                found.setdefault(name, []).append(text)

        def all_of(name: str) -> list[str]:
            return found.get(name, [])

        def one(name: str) -> str:
            return found[name][0] if name in found else ""

        def choice(name: str) -> str:
            return self.choices.meant(name, one(name))

        company = one("company")
        person = one("contact_person") or " ".join(all_of("first_name") + all_of("last_name"))
        street = "\n".join(all_of("street"))
        town = " ".join(all_of("postal_code") + all_of("city"))
        town = ", ".join(part for part in (town, one("state")) if part)
        read: dict[str, Any] = {
            "name": one("name") or company or person or one("email"), "contact_person": person, "email": one("email"),
            "phone": one("phone"), "address": "\n".join(part for part in (street, town) if part),
            "country": choice("country"), "language": choice("language"), "timezone": one("timezone"),
            "legal_name": one("legal_name"), "vat_number": one("vat_number"), "director": one("director"),
            "registration_number": one("registration_number"), "note": "\n".join(all_of("note")),
            "kind": choice("kind"), "registered_at": _moment(one("registered_at")),
        }  # fmt: skip
        if self.custom:
            read["custom"] = self._custom(found)
        values = {name: value for name, value in read.items() if value}
        if "name" not in values:
            raise Invalid(gettext("This row names nobody: no company, no person, no e-mail."))
        ref = self._ref(record, one("ref"), values.get("email", ""))
        defaults = self.choices.plan.defaults
        country = values.get("country") or defaults.get("country", "")
        derived: dict[str, Any] = {
            "kind": CustomerKind.COMPANY if company else CustomerKind.INDIVIDUAL, "country": country,
            "language": defaults.get("language") or (language_of(country) if country else ""),
        }  # fmt: skip
        derived = {name: value for name, value in derived.items() if value and name not in values}
        group = choice("group") or defaults.get("group", "")
        return Row(record.line, ref, values, derived, one("username"), (int(group),) if group else ())

    def _custom(self, found: Mapping[str, list[str]]) -> dict[str, Any]:
        """The values of custom fields, by key, of the cells that are filled in."""
        values, wrong = {}, {}
        for spec in self.custom:
            if spec.name in found:
                try:
                    values[spec.key] = custom.read(spec, found[spec.name][0])
                except Bad as bad:
                    wrong[spec.name] = str(bad)
        if wrong:
            raise Invalid(**wrong)
        return values

    def _ref(self, record: Record, given: str, email: str) -> str:
        """What the row is known by: its id, else its e-mail, else a hash of all cells."""
        if given:
            if len(given) > 120 or not given.isprintable():
                raise Invalid(ref=gettext("This id is too long, or holds characters that cannot be shown."))
            ref = given
        elif self.places.get("ref"):
            raise Invalid(ref=gettext("The id is missing."))
        elif email and len(email) <= 110:
            ref = f"email:{email.casefold()}"[:120]
        else:
            ref = "row:" + hashlib.sha256("\x1f".join(record.cells).encode("utf-8", "replace")).hexdigest()
        first = self.seen.first(ref, record.line)
        if first != record.line:
            same = gettext("Line %(line)d is the same customer.") % {"line": first}
            raise Invalid(**{"ref" if given else "email": same})
        return ref

    def wanted(self, row: Row) -> str:
        """The user name of the file, or the e-mail, or where the row came from."""
        wanted = row.username or row.values.get("email", "") or f"{self.source}-{row.ref}"
        return "".join(wanted.lower().split())[:254]


def _bare(cell: str) -> str:
    """A cell without the mark with which exports keep spreadsheets from taking it for a formula."""
    text = cell.strip()
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def _moment(text: str) -> datetime | None:
    if not text or text.startswith("0000-00-00"):
        return None
    try:
        found = datetime.fromisoformat(_GERMAN.sub(r"\3-\2-\1", text))
    except ValueError:
        raise Invalid(registered_at=gettext("A date such as 2026-01-31, please.")) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
