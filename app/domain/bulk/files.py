"""Files of rows, piece by piece: CSV, XLSX and JSON. What is begun and not ended is no file.

A text is never a formula: in CSV it is `neutral`, in a workbook it is a string, whatever it begins with.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol
from xml.sax.saxutils import escape, quoteattr

from app.domain.bulk.values import Values
from app.domain.sheets import FORMULA, neutral

MOST_ROWS = 1_048_576
"""Rows of a sheet, with its heading; what is more stands on the next one."""
MOST_TEXT = 32_767
"""Characters of a cell."""
_BEGINNING = datetime(1899, 12, 30, tzinfo=UTC)
_FIGURE = re.compile(r"(?=.{1,16}$)-?[0-9]+(\.[0-9]+)?")
"""What a workbook keeps as a number: a longer one would lose its last digits."""
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML cannot hold."""


class File(Protocol):
    """A file that grows. Each step gives the bytes that are ready."""

    def begin(self) -> bytes: ...

    def add(self, columns: list[list[Any]]) -> bytes:
        """columns: one list of values for each column, all of one length."""
        ...

    def end(self) -> bytes: ...


def neutralised(values: list[Any]) -> list[Any]:
    """The texts of a column, each `neutral`; most columns hold nothing that needs it, and are only looked through."""
    texts = ["" if v is None else str(v) for v in values]
    joined = "\0".join(texts)
    if any(t[:1] in FORMULA for t in texts if t) or any(mark in joined for mark in ";\t\r\n"):
        return [neutral(t) if isinstance(v, str) else t for v, t in zip(values, texts, strict=True)]
    return texts


class Csv:
    """UTF-8 with a byte order mark, which spreadsheets need; RFC 4180."""

    plain = True

    def __init__(self, values: Values, labels: Sequence[str], name: str = "") -> None:
        self.values, self.labels = values, labels
        self.out = io.StringIO()
        self.writer = csv.writer(self.out)

    def _given(self) -> bytes:
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return text.encode()

    def begin(self) -> bytes:
        self.out.write("\ufeff")
        self.writer.writerow([neutral(label) for label in self.labels])
        return self._given()

    def add(self, columns: list[list[Any]]) -> bytes:
        columns = list(columns)
        for i in self.values.typed:
            columns[i] = neutralised(columns[i])
        self.writer.writerows(zip(*columns, strict=True))
        return self._given()

    def end(self) -> bytes:
        return b""


class Json:
    """One array of objects, by column name."""

    plain = True

    def __init__(self, values: Values, labels: Sequence[str], name: str = "") -> None:
        self.values, self.between = values, "["

    def begin(self) -> bytes:
        return b""

    def add(self, columns: list[list[Any]]) -> bytes:
        keys = self.values.keys
        lines = (
            json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) for row in zip(*columns, strict=True)
        )
        text, self.between = self.between + ",\n".join(lines), ",\n"
        return text.encode("utf-8", "replace")

    def end(self) -> bytes:
        return b"[]" if self.between == "[" else b"]"


class _Sink:
    """What a ZIP writes, until it is taken. It cannot be sought in, so that nothing has to be kept."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def taken(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        return data


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCS = "http://schemas.openxmlformats.org/officeDocument/2006"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_BOLD, _DAY, _MOMENT = 1, 2, 3
_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="4">'
    '<xf xfId="0"/><xf xfId="0" fontId="1" applyFont="1"/>'
    '<xf xfId="0" numFmtId="164" applyNumberFormat="1"/><xf xfId="0" numFmtId="165" applyNumberFormat="1"/>'
    '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
_SHEET = (
    f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)


class Xlsx:
    """A workbook, written as it goes: a library would hold it, or take ten times as long. Moments are in UTC."""

    plain = False

    def __init__(self, values: Values, labels: Sequence[str], name: str = "") -> None:
        self.values, self.labels = values, labels
        self.name = re.sub(r"[\\/*?:\[\]']", " ", name).strip()[:25] or "1"
        self.sink, self.sheets, self.rows = _Sink(), 0, 0
        sink: Any = self.sink
        self.zip = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        self.sheet: Any = None
        self.figures = [key in values.figures for key in values.keys]

    def _open(self) -> None:
        self.sheets += 1
        self.sheet = self.zip.open(f"xl/worksheets/sheet{self.sheets}.xml", "w", force_zip64=True)
        head = "".join(_text(label, f' s="{_BOLD}"') for label in self.labels)
        self.sheet.write(f"{_SHEET}<row>{head}</row>".encode())
        self.rows = 1

    def _close(self) -> None:
        self.sheet.write(b"</sheetData></worksheet>")
        self.sheet.close()

    def begin(self) -> bytes:
        self._open()
        return self.sink.taken()

    def add(self, columns: list[list[Any]]) -> bytes:
        cells = [
            [_cell(value, figure) for value in column] for column, figure in zip(columns, self.figures, strict=True)
        ]
        rows = ["<row>" + "".join(row) + "</row>" for row in zip(*cells, strict=True)]
        while rows:
            if self.rows >= MOST_ROWS:
                self._close()
                self._open()
            part, rows = rows[: MOST_ROWS - self.rows], rows[MOST_ROWS - self.rows :]
            self.sheet.write("".join(part).encode())
            self.rows += len(part)
        return self.sink.taken()

    def end(self) -> bytes:
        self._close()
        numbers = range(1, self.sheets + 1)
        names = [self.name if self.sheets == 1 else f"{self.name} {n}" for n in numbers]
        sheets = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="s{n}"/>' for n, name in zip(numbers, names, strict=True)
        )
        kinds = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_KIND}.worksheet+xml"/>' for n in numbers
        )
        ways = "".join(
            f'<Relationship Id="s{n}" Type="{_DOCS}/relationships/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in numbers
        )
        for path, text in (
            ("xl/workbook.xml",
             f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCS}/relationships"><sheets>{sheets}</sheets></workbook>'),
            ("xl/_rels/workbook.xml.rels",
             f'<Relationships xmlns="{_RELS}">{ways}<Relationship Id="styles" Type="{_DOCS}/relationships/styles" '
             'Target="styles.xml"/></Relationships>'),
            ("xl/styles.xml", _STYLES.removeprefix(_XML)),
            ("_rels/.rels",
             f'<Relationships xmlns="{_RELS}"><Relationship Id="book" Type="{_DOCS}/relationships/officeDocument" '
             'Target="xl/workbook.xml"/></Relationships>'),
            ("[Content_Types].xml",
             '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
             '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
             f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
             f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/>{kinds}</Types>'),
        ):  # fmt: skip
            self.zip.writestr(path, _XML + text)
        self.zip.close()
        return self.sink.taken()


def _text(text: str, style: str = "") -> str:
    if len(text) > MOST_TEXT:
        text = text[:MOST_TEXT]
    text = escape(_UNWRITABLE.sub("", text))
    return f'<c t="inlineStr"{style}><is><t xml:space="preserve">{text}</t></is></c>'


def _cell(value: Any, figure: bool) -> str:
    if value is None or value == "":
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime):
        days = (value.astimezone(UTC) - _BEGINNING).total_seconds() / 86_400
        return f'<c s="{_MOMENT}"><v>{days:.8f}</v></c>' if days > 0 else _text(value.isoformat())
    if isinstance(value, date):
        days = (value - _BEGINNING.date()).days
        return f'<c s="{_DAY}"><v>{days}</v></c>' if days > 0 else _text(value.isoformat())
    if figure and _FIGURE.fullmatch(str(value)):
        return f"<c><v>{value}</v></c>"
    return _text(str(value))


FILES: dict[str, tuple[str, type[Csv] | type[Json] | type[Xlsx]]] = {
    "csv": ("text/csv; charset=utf-8", Csv),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Xlsx),
    "json": ("application/json", Json),
}
"""Ending -> what browsers call it, and how it is written."""
