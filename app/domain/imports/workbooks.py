"""XLSX files: looked over before anything is unpacked into memory, then written as plain text, a row at a time."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from app.errors import AppError, Invalid, TooLarge
from app.i18n import _, gettext

COLUMNS = 500
ROWS = 1_048_576
"""As many as Excel has."""
CELLS, BREAK = "\x1f", "\x1d"
"""What parts the cells of a row in the text, and what stands for a line break inside of one: a row is a line."""
ENTRIES = 5_000
SMALL, STRINGS, SHEET = 8 << 20, 64 << 20, 600 << 20
"""Bytes that a part may have unpacked: styles and the like, the texts of all cells, a sheet."""
MANY_STRINGS = 1_500_000
ROW = 4 << 20
"""Bytes that one row of a sheet may have: openpyxl holds it whole."""
_BLOCK, _TAIL = 1 << 20, 4096
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_STRING = re.compile(rb"<(?:\w+:)?si[\s/>]")
_BARE_FORMULA = re.compile(rb"(?:</f>|<f\b[^>]*/>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_OTHERS = {b"%PDF": "PDF", b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"\x1f\x8b": "GZIP", b"7z\xbc\xaf": "7z"}
AGAIN = _("open it in a spreadsheet program, save it there, and upload it again.")
DAMAGED = _("The XLSX file is damaged: open it in a spreadsheet program, save it there, and upload it again.")


@dataclass
class Written:
    """A sheet as text: how many rows it has, and what to know about it."""

    rows: int = 0
    warnings: list[str] = field(default_factory=list)


def is_workbook(path: Path) -> bool:
    """Whether it is an XLSX file rather than text. Raises Invalid for what is neither."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise Invalid(gettext("This is an old spreadsheet (XLS), or one with a password. Save it as XLSX without one."))
    if found := next((name for magic, name in _OTHERS.items() if start.startswith(magic)), ""):
        raise Invalid(gettext("This is a %(kind)s file. CSV and XLSX can be imported.") % {"kind": found})
    return start.startswith(b"PK\x03\x04")


def sheet_names(path: Path) -> list[str]:
    """The sheets of the file, those that are hidden at the end. Raises Invalid, also for what is too large to read."""
    _look_over(path)
    with _opened(path) as book:
        return [sheet.title for sheet in _sheets(book)]


def write(path: Path, target: Path, *, sheet: int = 0) -> Written:
    """Write a sheet as text that `reading` reads, a row in a line. Raises Invalid."""
    written = Written()
    with _opened(path) as book:
        sheets = _sheets(book)
        if not 0 <= sheet < len(sheets):
            raise Invalid(gettext("The file has no such sheet."))
        chosen = sheets[sheet]
        _look_at_sheet(path, chosen, written)
        first = islice(chosen.iter_rows(max_row=20, max_col=COLUMNS + 1), 20)
        width = max((n for row in first for n, cell in enumerate(row, 1) if cell.value is not None), default=0)
        if width > COLUMNS:
            raise Invalid(gettext("The file has more than %(n)d columns.") % {"n": COLUMNS})
        text = _Text()
        with target.open("w", encoding="utf-8", newline="") as file:
            for row in chosen.iter_rows(max_row=ROWS, max_col=width + 1) if width else ():
                file.write(CELLS.join([text.of(cell) for cell in row]) + "\n")
                written.rows += 1
    if text.errors:
        written.warnings.append(gettext("Cells that show an error, such as #N/A, are read as empty."))
    return written


@contextmanager
def as_text(path: Path) -> Iterator[Path]:
    """The file itself, or for a workbook its first sheet as text, for as long as it is needed."""
    if not path.is_file() or not is_workbook(path):
        yield path
        return
    sheet_names(path)
    with tempfile.TemporaryDirectory(prefix="bursar-sheet-") as folder:
        write(path, target := Path(folder) / "sheet.txt")
        yield target


# ---- before anything is unpacked ------------------------------------------------------------------------------------


def _look_over(path: Path) -> None:
    """Raises Invalid unless the archive is a workbook, and every part that will be read is of a bearable size."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if len(parts) > ENTRIES:
                raise _too_large()
            if not any(part.filename == "xl/workbook.xml" for part in parts):
                raise Invalid(gettext("This ZIP file is no XLSX file."))
            for part in parts:
                name = part.filename
                if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                    _scan(archive, name, _ROW, SHEET, ROW)
                elif name == "xl/sharedStrings.xml":
                    if _scan(archive, name, _STRING, STRINGS, ROW) > MANY_STRINGS:
                        raise _too_large()
                elif part.file_size > SMALL and not name.startswith(("xl/media/", "xl/drawings/", "xl/comments")):
                    raise _too_large()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, KeyError):
        raise Invalid(DAMAGED) from None


def _too_large() -> AppError:
    return Invalid(str(TooLarge(gettext("The XLSX file is too large when it is unpacked. Save it as CSV."))))


def _scan(archive: zipfile.ZipFile, name: str, mark: re.Pattern[bytes], most: int, gap: int) -> int:
    """Count a mark, which must come again within `gap` bytes, in a part that is not larger than `most`."""
    if archive.getinfo(name).file_size > most:
        raise _too_large()
    count, since = 0, 0
    for text, fresh in _blocks(archive, name):
        if b"<!" in text:  # a document type, of which no spreadsheet has need
            raise Invalid(DAMAGED)
        last = -1
        for found in mark.finditer(text, max(0, len(text) - fresh - 64)):
            count, last = count + 1, found.start()
        since = since + fresh if last < 0 else len(text) - last
        if since > gap:
            raise _too_large()
    return count


def _blocks(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[bytes, int]]:
    """The content in blocks, each with the end of the one before it; and how much of it is new."""
    tail = b""
    with archive.open(name) as part:
        while block := part.read(_BLOCK):
            yield tail + block, len(block)
            tail = block[-_TAIL:]


def _look_at_sheet(path: Path, sheet: Any, written: Written) -> None:
    """Raises Invalid for formulas that were never calculated: they would be read as empty cells."""
    merged = False
    with zipfile.ZipFile(path) as archive:
        for text, _fresh in _blocks(archive, sheet._worksheet_path):
            if _BARE_FORMULA.search(text):
                said = gettext("The sheet has formulas without results: %(advice)s")
                raise Invalid(said % {"advice": AGAIN})
            merged = merged or _MERGED.search(text) is not None
    if merged:
        said = gettext("The sheet has merged cells: only the first of them holds the value, the others are empty.")
        written.warnings.append(said)


# ---- reading --------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import openpyxl  # it is large, and most imports are CSV

    with path.open("rb") as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except Exception:  # whatever a library says of a broken file
            raise Invalid(DAMAGED) from None
        try:
            yield book
        except (AppError, OSError):
            raise
        except Exception:
            raise Invalid(DAMAGED) from None
        finally:
            book.close()


def _sheets(book: Any) -> list[Any]:
    found = sorted(book.worksheets, key=lambda sheet: sheet.sheet_state != "visible")
    if not found:
        raise Invalid(gettext("The file has no sheet with cells."))
    return found


class _Text:
    """Cells as people see them, as far as an import cares."""

    def __init__(self) -> None:
        self.errors = False

    def of(self, cell: Any) -> str:
        value = cell.value
        if value is None:
            return ""
        if isinstance(value, str):
            if cell.data_type == "e":
                self.errors = True
                return ""
            return value if value.isprintable() else _line(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return _number(value, cell.number_format)
        if isinstance(value, datetime):
            return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
        if isinstance(value, date | time):
            return value.isoformat()
        return str(value) if isinstance(value, timedelta) else ""


def _line(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text).replace("\n", BREAK)


def _number(value: float, form: str) -> str:
    """A number without an exponent; a format such as 00000 keeps its zeros, as for postal codes."""
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    digits = str(int(value))
    return digits.zfill(len(form)) if form and not form.strip("0") else digits
