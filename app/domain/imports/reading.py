"""Reading a CSV file as people send it: any of the usual encodings and delimiters, one record at a time.

Or the text that `workbooks` makes of a sheet.

A row that cannot be read is reported and the next one is read: a quote that nobody closed costs its own line, not the
rest of the file.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

from app.domain.imports.mapping import known
from app.domain.imports.workbooks import BREAK, CELLS, COLUMNS
from app.errors import Invalid
from app.i18n import gettext

DELIMITERS = ",;\t|"
CELL = 20_000
LINE = 1_000_000
"""Characters; what is longer is skipped, so that a file without line breaks cannot fill the memory."""
RECORD_LINES = 100
"""Lines that one quoted cell may span before the quote counts as never closed."""
HEADERS = 10
"""Rows among which the names of the columns are looked for: some files have a title above them."""
_SAMPLE = 64 * 1024
_STRAY = re.compile("[\udc80-\udcff]+")
_BEYOND = re.compile("[^\x00-\x7f\udc80-\udcff]+")
MIXED = "cp1252-where-it-is-not-utf-8"


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    return "".join(_byte(b) for b in wrong), error.end


def _byte(value: int) -> str:
    try:
        return bytes([value]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(value)


codecs.register_error(MIXED, _as_cp1252)


@dataclass(frozen=True)
class Record:
    """One row: `line` (from 1) where it begins, and its cells, or the reason why it has none."""

    line: int
    cells: list[str]
    problem: str = ""


@dataclass(frozen=True)
class Sheet:
    """How a file is to be read: encoding, delimiter, the names of its columns, each once."""

    path: Path
    encoding: str
    delimiter: str
    columns: list[str]
    header_line: int
    doubled: list[str]
    """Names that stood twice in the header; the later one has a number behind it in `columns`."""
    errors: str = "strict"
    warnings: list[str] = field(default_factory=list)


def look_at(path: Path) -> Sheet:
    """Find out how to read a file. Raises Invalid when it cannot be opened, is empty or has too many columns."""
    try:
        encoding, errors = _encoding(path)
        with path.open(encoding=encoding, errors=errors, newline="") as file:
            sample = file.read(_SAMPLE)
            if _is_binary(sample):
                raise Invalid(gettext("This is neither a CSV file nor an XLSX workbook."))
            delimiter = CELLS if CELLS in sample.partition("\n")[0] else _delimiter(sample)
            file.seek(0)
            found = (r for r in _records(file, delimiter, None) if r.problem or any(c.strip() for c in r.cells))
            header = _header(list(islice(found, HEADERS)))
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise Invalid(gettext("The file cannot be read: %(reason)s.") % {"reason": reason}) from None
    if header is None:
        raise Invalid(gettext("The file is empty."))
    if header.problem:
        raise Invalid(gettext("The names of the columns cannot be read: %(reason)s") % {"reason": header.problem})
    names = [cell.strip() for cell in header.cells]
    while names and not names[-1]:
        names.pop()
    if len(names) > COLUMNS:
        raise Invalid(gettext("The file has more than %(n)d columns.") % {"n": COLUMNS})
    columns, doubled, seen = [], [], Counter[str]()
    for place, name in enumerate(names, 1):
        name = name[:200] or f"#{place}"
        seen[name] += 1
        if seen[name] > 1:
            doubled.append(name)
            name = f"{name} ({seen[name]})"
        columns.append(name)
    warnings = [gettext("Some lines are in another encoding (Windows-1252). Look at their letters.")]
    return Sheet(path, encoding, delimiter, columns, header.line, doubled, errors, warnings if errors == MIXED else [])


def _is_binary(sample: str) -> bool:
    """Text has no control characters, but for those that `workbooks` puts in."""
    odd = sum(c < " " and c not in "\t\n\r\v\f" for c in sample)
    return odd > len(sample) // 50 and CELLS not in sample.partition("\n")[0]


def rows(sheet: Sheet) -> Iterator[Record]:
    """The rows under the header, in order; empty ones are left out. Every good one has a cell per column."""
    with sheet.path.open(encoding=sheet.encoding, errors=sheet.errors, newline="") as file:
        for record in _records(file, sheet.delimiter, len(sheet.columns), after=sheet.header_line):
            if record.problem or any(cell.strip() for cell in record.cells):
                yield record


def _header(first: Sequence[Record]) -> Record | None:
    """The row that names the columns: the first one, unless that is a title and a later one names what we know."""
    if not first or first[0].problem:
        return first[0] if first else None
    good = [record for record in first if not record.problem]
    best = max(good, key=_known)  # of equal ones the first
    if _known(best) >= 2 > _known(good[0]):
        return best
    filled = sum(bool(cell.strip()) for cell in good[0].cells)
    wider = next((r for r in good if sum(bool(cell.strip()) for cell in r.cells) >= 3), good[0])
    return wider if filled == 1 else good[0]


def _known(record: Record) -> int:
    return known(record.cells[:COLUMNS])


# ---- how it is written ----------------------------------------------------------------------------------------------


def _encoding(path: Path) -> tuple[str, str]:
    """How it is encoded, and what to do where it is not."""
    with path.open("rb") as file:
        start = file.read(_SAMPLE)
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig", MIXED if _counts(path)[1] else "strict"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "replace"
    half = len(start) // 2
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if half and zeros.count(0) > 0.4 * half:
            return name, "replace"
    for name in ("utf-8", "cp1252"):
        decoder = codecs.getincrementaldecoder(name)()
        try:
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            if name == "utf-8":
                good, stray = _counts(path)
                if good > stray:
                    return name, MIXED
            continue
        return name, "strict"
    return "latin-1", "strict"  # takes every byte


def _counts(path: Path) -> tuple[int, int]:
    """How many places are UTF-8 beyond ASCII, and how many are not UTF-8."""
    decoder, good, stray = codecs.getincrementaldecoder("utf-8")("surrogateescape"), 0, 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            text = decoder.decode(chunk)
            good, stray = good + len(_BEYOND.findall(text)), stray + len(_STRAY.findall(text))
    return good, stray


def _delimiter(sample: str) -> str:
    """The one that cuts the first lines into the most columns, equally many in each."""
    lines = sample.splitlines()[:30]
    if len(sample) == _SAMPLE and len(lines) > 1:
        lines.pop()  # may be cut
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        try:
            widths = Counter(len(cells) for cells in csv.reader(lines, delimiter=delimiter) if any(cells))
        except csv.Error:
            continue
        if not widths:
            continue
        width, times = widths.most_common(1)[0]
        score = (width - 1) * times / widths.total()
        if score > best_score:
            best, best_score = delimiter, score
    return best


# ---- records --------------------------------------------------------------------------------------------------------


def _lines(file: TextIO) -> Iterator[tuple[int, str | None]]:
    """(number, line); None for a line that is too long."""
    number = 0
    while line := file.readline(LINE):
        number += 1
        if len(line) == LINE and line[-1] not in "\r\n":
            while (more := file.readline(LINE)) and more[-1] not in "\r\n":
                pass
            yield number, None
        else:
            yield number, line


def _records(file: TextIO, delimiter: str, width: int | None, after: int = 0) -> Iterator[Record]:
    source = _lines(file)
    waiting: deque[tuple[int, str | None]] = deque()

    def pull() -> tuple[int, str | None] | None:
        return waiting.popleft() if waiting else next(source, None)

    while (first := pull()) is not None:
        number, line = first
        if line is None:
            yield Record(number, [], gettext("The line is too long."))
            continue
        if not line.strip():
            continue
        taken: list[tuple[int, str]] = [(number, line)]

        def following(taken: list[tuple[int, str]] = taken) -> Iterator[str]:
            """The line, and those after it as long as a quoted cell goes on: each is read once."""
            yield taken[0][1]
            while len(taken) < RECORD_LINES and (more := pull()) is not None:
                if more[1] is None:
                    waiting.appendleft(more)
                    return
                taken.append((more[0], more[1]))
                yield more[1]

        record = _parse(number, following(), delimiter)
        if width is not None and not record.problem and number > after:
            record = _fit(record, width)
        if record.problem and len(taken) > 1:
            waiting.extendleft(reversed(taken[1:]))  # the lines behind the broken quote are rows of their own
        if number > after:
            yield record


def _parse(number: int, lines: Iterator[str], delimiter: str) -> Record:
    """The record that begins with the first of these lines; of the others only those are taken that belong to it."""
    if delimiter == CELLS:
        line = next(lines).rstrip("\r\n")
        return Record(number, (line.replace(BREAK, "\n") if BREAK in line else line).split(CELLS))
    try:
        return Record(number, next(csv.reader(lines, delimiter=delimiter, strict=True), []))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return Record(number, [], gettext("A quote is never closed."))
        if "field larger" in str(error):
            return Record(number, [], gettext("A cell is longer than %(n)d characters.") % {"n": CELL})
        return Record(number, [], gettext("The quotes in this row do not match."))


def _fit(record: Record, width: int) -> Record:
    cells = record.cells
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    if len(cells) != width and any(cells):
        reason = gettext("Cells in this row: %(cells)d, in the header: %(columns)d.")
        return Record(record.line, [], reason % {"cells": len(cells), "columns": width})
    if any(len(cell) > CELL for cell in cells):
        return Record(record.line, [], gettext("A cell is longer than %(n)d characters.") % {"n": CELL})
    return record
