"""Rows of any table without rules of its own, out of a file: a column of the file is a field by its label in any
language, or by its name.

A row with the ID or with the unique name of one that is there changes it, where it says something else; an empty cell
erases nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Enum, Integer, String, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ColumnProperty, Mapper

from app.db import Base, Choice, UtcDateTime, fold, model_of
from app.domain import checks
from app.domain.checks import Bad
from app.domain.imports.batches import Keep, in_batch
from app.domain.imports.places import country_code, language_code
from app.domain.imports.reading import Record, look_at, rows
from app.domain.imports.report import ImportReport
from app.errors import AppError, Forbidden, Invalid
from app.i18n import LANGUAGES, exponent, gettext, speaking

AT_ONCE = 200
_YES = frozenset(["yes", "y", "true", "1", "on", "x", "ja", "да", "sí", "si"])
_NO = frozenset(["no", "n", "false", "0", "off", "nein", "нет"])
_DIGITS = {"percent": 2, "rate": 9}


async def import_records(
    path: Path, *, table: str, fields: Sequence[str], change: bool = True, dry_run: bool = False, start: int = 0,
    keep: Keep | None = None,
) -> ImportReport:  # fmt: skip
    """Take the rows of a file, some at a time. Raises Invalid for a file that cannot be read or names no field.

    fields: the columns of the table that may be written. change: rows that are there may be changed. start: go on after
    so many rows; the report is about the rest."""
    sheet = look_at(path)
    model = model_of(table)
    if model is None:
        raise Invalid(gettext("Rows like these are not kept here any more."))
    report = ImportReport(dry_run=dry_run, done=start)
    taking = _Taking(model, fields, sheet.columns, change, report)
    records = islice(rows(sheet), start, None)
    while batch := list(islice(records, AT_ONCE)):
        report.done += len(batch)
        if not await in_batch(partial(taking.take_all, records=batch), report, keep):
            return report
    report.ended = True
    return report


class _Taking:
    def __init__(
        self, model: type[Base], fields: Sequence[str], columns: Sequence[str], change: bool, report: ImportReport
    ) -> None:
        self.model: Any = model
        self.change = change
        mapper: Mapper[Any] = inspect(model)
        self.key = mapper.primary_key[0]
        self.change, self.report = change, report
        self.props = {name: mapper.column_attrs[name] for name in fields}
        self.unique = [name for name, prop in self.props.items() if _unique(prop)]
        named = _names(mapper, [*fields, mapper.get_property_by_column(self.key).key])
        self.places = {named[fold(column)]: n for n, column in enumerate(columns) if fold(column) in named}
        if not self.places.keys() & self.props.keys():
            known = ", ".join(str(prop.columns[0].info["label"]) for prop in self.props.values())
            raise Invalid(gettext("No column of the file is known here. These are: %(list)s.") % {"list": known})
        report.mapping = {columns[n]: name for name, n in self.places.items()}
        report.unused = [column for column in columns if column not in report.mapping]

    async def take_all(self, session: AsyncSession, records: Sequence[Record]) -> None:
        for record in records:
            if reasons := await self._refusals(session, record):
                self.report.leave_out(record.line, reasons, record.cells)

    async def _refusals(self, session: AsyncSession, record: Record) -> Mapping[str, str]:
        """Write one row, or say why not, by column."""
        if record.problem:
            return {"": record.problem}
        texts = {name: record.cells[n].strip() for name, n in self.places.items()}
        given = {name: text for name, text in texts.items() if text}
        try:
            async with session.begin_nested():
                counted = await self._write(session, given)
        except Invalid as error:
            return {self._label(name) if name else "": why for name, why in error.fields.items()}
        except AppError as error:
            return {"": str(error)}
        except IntegrityError:
            return {"": gettext("Another row has the same, or something that it needs is gone.")}
        setattr(self.report, counted, getattr(self.report, counted) + 1)
        return {}

    async def _write(self, session: AsyncSession, given: Mapping[str, str]) -> str:
        row = await self._present(session, given)
        values, wrong = {}, {}
        for name, text in sorted(given.items(), key=lambda pair: "currency" in self._info(pair[0]).get("widget", "")):
            if name in self.props:
                try:
                    values[name] = await self._read(session, name, text, given, row)
                except Bad as bad:
                    wrong[name] = str(bad)
        if row is None:
            needed = [name for name, prop in self.props.items() if _needed(prop) and name not in given]
            wrong |= dict.fromkeys(needed, gettext("Please fill this in."))
        if wrong:
            raise Invalid(**wrong)
        if row is None:
            session.add(self.model(**values))
            await session.flush()
            return "created"
        if not checks.differs(values, row, *values):
            return "unchanged"
        if not self.change:
            raise Forbidden(gettext("You may add rows here, and change none that are there."))
        checks.change(row, values)
        await session.flush()
        return "updated"

    async def _present(self, session: AsyncSession, given: Mapping[str, str]) -> Any:
        """The row that this one is about."""
        key = str(self.key.key)
        if text := given.get(key):
            found = await session.get(self.model, int(text)) if text.isdecimal() and len(text) < 19 else None
            if found is None:
                raise Invalid(**{key: gettext("There is no such row.")})
            return found
        for name in self.unique:
            if text := given.get(name):
                found = await session.scalar(select(self.model).where(getattr(self.model, name) == text))
                if found is not None:
                    return found
        return None

    async def _read(self, session: AsyncSession, name: str, text: str, given: Mapping[str, str], row: Any) -> Any:
        column = self.props[name].columns[0]
        if column.foreign_keys:
            return await _named(session, next(iter(column.foreign_keys)).column.table.name, text)
        if column.info.get("widget") == "money":
            currency = given.get(column.info["currency"]) or getattr(row, column.info["currency"], None) or "EUR"
            return _scaled(text, exponent(currency.upper()))
        return reader(column)(text)

    def _info(self, name: str) -> Mapping[str, Any]:
        return self.props[name].columns[0].info if name in self.props else {}

    def _label(self, name: str) -> str:
        return str(self._info(name).get("label", name))


def importable(prop: ColumnProperty[Any]) -> bool:
    """Whether a column can be written out of a cell of a file."""
    column = prop.columns[0]
    plain = isinstance(column.type, String | Integer | BigInteger | Boolean | Date | UtcDateTime | Enum)
    return plain or bool(column.foreign_keys) or column.info.get("widget") == "languages"


def reader(column: Any) -> Callable[[str], Any]:
    """What makes a value of a text; it raises Bad."""
    widget = column.info.get("widget", "")
    own: dict[str, Callable[[str], Any]] = {
        "email": checks.email, "country": _country, "language": _language, "timezone": checks.timezone,
        "currency": checks.currency, "languages": lambda text: [_language(part) for part in text.split(",")],
    }  # fmt: skip
    if widget in own:
        return own[widget]
    if isinstance(column.type, Enum):
        return lambda text: _chosen(column.type.enum_class, text)
    if isinstance(column.type, Boolean):
        return _yes_no
    if isinstance(column.type, UtcDateTime):
        return checks.moment
    if isinstance(column.type, Date):
        return _day
    if isinstance(column.type, Integer | BigInteger):
        return lambda text: _scaled(text, _DIGITS.get(widget, 0))
    return checks.area(column) if widget == "area" else checks.line(column)


def _scaled(text: str, digits: int) -> int:
    """A decimal number as the whole number in which it is kept."""
    try:
        number = Decimal(text.replace(" ", "").replace("\u00a0", "")).scaleb(digits)
    except InvalidOperation:
        raise Bad(gettext("This is not a number, such as 1234.50.")) from None
    if not number.is_finite() or number != number.to_integral_value() or abs(number) >= 2**53:
        raise Bad(gettext("This is not a number, such as 1234.50."))
    return int(number)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Bad(gettext("A date such as 2026-01-31, please.")) from None


def _yes_no(text: str) -> bool:
    if (word := fold(text)) not in {*map(fold, _YES | _NO)}:
        raise Bad(gettext("Yes or no, please."))
    return word in {*map(fold, _YES)}


def _chosen(kind: type[Choice], text: str) -> Choice:
    for member in kind:
        labels = []
        for code in LANGUAGES:
            with speaking(code):
                labels.append(fold(str(member.label)))
        if fold(text) in (fold(member.value), *labels):
            return member
    raise Bad(gettext("Please choose one of the offered values."))


def _country(text: str) -> str:
    if (code := country_code(text)) is None:
        raise Bad(gettext("There is no country %(name)s.") % {"name": text[:60]})
    return code


def _language(text: str) -> str:
    if (code := language_code(text.strip())) is None:
        raise Bad(gettext("There is no language %(name)s.") % {"name": text[:60]})
    return code


async def _named(session: AsyncSession, table: str, text: str) -> int:
    """The id of a row of another table, by its id or its name, as far as the acting person may see it."""
    target: Any = model_of(table)
    number = int(text) if text.isdecimal() and len(text) < 19 else None
    found: list[int] = []
    if number is not None:
        found = list(await session.scalars(select(target.id).where(target.id == number)))
    elif "name" in inspect(target).column_attrs:
        found = list(await session.scalars(select(target.id).where(target.name == text).limit(2)))
    if len(found) != 1:
        said = gettext("There are several of this name: give the ID.") if found else gettext("There is no such row.")
        raise Bad(said)
    return found[0]


def _names(mapper: Mapper[Any], fields: Sequence[str]) -> dict[str, str]:
    """Folded name of a column of a file -> field."""
    found: dict[str, str] = {}
    for name in fields:
        label = mapper.column_attrs[name].columns[0].info.get("label", name)
        for code in LANGUAGES:
            with speaking(code):
                found.setdefault(fold(str(label)), name)
    return {**found, **{fold(name): name for name in fields}}


def _unique(prop: ColumnProperty[Any]) -> bool:
    column: Any = prop.columns[0]
    return bool(column.unique)


def _needed(prop: ColumnProperty[Any]) -> bool:
    column: Any = prop.columns[0]
    return not column.nullable and column.default is None and column.server_default is None
