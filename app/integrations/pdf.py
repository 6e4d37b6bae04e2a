"""Documents as PDF, by fpdf2: headings, paragraphs, pairs, tables, totals, a logo and page numbers.

The fonts lie beside this module; what a document uses of them is embedded. The same calls with the same `created` give
the same bytes. A document has the form of PDF/A-3, so that an e-invoice can be attached to it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

_MOMENT = re.compile(rb'(xmp:(?:Modify|Metadata)Date=")[^"]{25}')
_LEADING, _SIZE, _SMALL = 4.8, 9.5, 8.0
_LOGO = (60.0, 20.0)
"""Millimetres, at most."""
LOGO_PIXELS = 4000
LOGO_KINDS = {"PNG": "image/png", "JPEG": "image/jpeg"}

Align = Literal["L", "C", "R"]


class NotAPicture(ValueError):
    """This is no PNG or JPEG, or one that is too large to be drawn."""


class Column(NamedTuple):
    """A column of a table. width: its share, compared with those of the others."""

    label: str
    width: float = 1
    align: Align = "L"


def picture_kind(data: bytes) -> str:
    """The type of a picture by its content: image/png or image/jpeg. Raises NotAPicture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=list(LOGO_KINDS)) as image:
            if max(image.size) > LOGO_PIXELS:
                raise NotAPicture
            image.load()
            return LOGO_KINDS[str(image.format)]
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise NotAPicture from None


class Pdf:
    """One document, written from the top down. numbering has %(page)s and %(pages)s; language is a BCP 47 tag."""

    def __init__(
        self,
        *,
        title: str,
        author: str,
        created: datetime,
        language: str = "en",
        subject: str = "",
        foot: str = "",
        numbering: str = "%(page)s / %(pages)s",
    ) -> None:
        from app.integrations.paper import Pages

        pages = self._pages = Pages()
        pages.foot, pages.numbering = foot, numbering
        pages.set_title(title)
        pages.set_author(author)
        pages.set_subject(subject)
        pages.set_lang(language)
        pages.set_creator("Bursar")
        pages.set_producer("fpdf2")
        created = created.astimezone(UTC).replace(microsecond=0)
        pages.set_creation_date(created)
        self._created = created.isoformat().encode()
        pages.name = f"{author}\n{title}\n{created}".encode()
        pages.add_page()
        self._plain()

    def _plain(self, size: float = _SIZE, *, bold: bool = False, soft: bool = False) -> None:
        self._pages.write_as(size, bold=bold, soft=soft)

    def _lines(self, text: str, width: float = 0, *, align: Align = "L", leading: float = _LEADING) -> None:
        self._pages.multi_cell(width, leading, text, align=align, new_x="LMARGIN", new_y="NEXT")

    def logo(self, data: bytes) -> None:
        """A PNG or JPEG at the top on the left. Raises NotAPicture."""
        picture_kind(data)
        self._pages.picture(data, _LOGO)
        self.space(6)

    def heading(self, text: str, level: int = 1) -> None:
        self.space(2 if level == 1 else 4)
        self._plain(18 if level == 1 else 11.5, bold=True)
        self._lines(text, leading=8 if level == 1 else 6)
        self.space(2 if level == 1 else 0.5)
        self._plain()

    def paragraph(
        self, text: str, *, bold: bool = False, soft: bool = False, small: bool = False, align: Align = "L"
    ) -> None:
        """Text; its line breaks are kept."""
        if text:
            self._plain(_SMALL if small else _SIZE, bold=bold, soft=soft)
            self._lines(text, align=align, leading=4.1 if small else _LEADING)
            self.space(1.6)
            self._plain()

    def space(self, millimetres: float = 4) -> None:
        self._pages.ln(millimetres)

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels with their values; those without a value are left out."""
        for label, value in rows:
            if value:
                if self._pages.will_page_break(_LEADING):
                    self._pages.add_page()
                self._plain(soft=True)
                self._pages.cell(48, _LEADING, self._pages.fitting(label, 48))
                self._plain()
                self._lines(value)
        self.space(1.6)

    def sides(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Two blocks beside each other, such as the seller and the payer: (label, text)."""
        pages = self._pages
        width, top, bottom = pages.epw / 2 - 4, pages.get_y(), pages.get_y()
        for place, (label, text) in ((pages.l_margin, left), (pages.l_margin + pages.epw / 2 + 4, right)):
            pages.set_xy(place, top)
            self._plain(_SMALL, soft=True)
            pages.multi_cell(width, 4.4, label, align="L", new_x="LEFT", new_y="NEXT")
            first, _break, rest = text.partition("\n")
            self._plain(bold=True)
            pages.multi_cell(width, _LEADING, first, align="L", new_x="LEFT", new_y="NEXT")
            self._plain()
            if rest:
                pages.multi_cell(width, _LEADING, rest, align="L", new_x="LEFT", new_y="NEXT")
            bottom = max(bottom, pages.get_y())
        pages.set_y(bottom + 4)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """A table; its head is repeated on each page, and a row is not torn apart."""
        self._plain(_SMALL + 0.5)
        self._pages.grid(columns, rows, head_size=_SMALL)
        self._plain()
        self.space(3)

    def totals(self, rows: Sequence[tuple[str, str]]) -> None:
        """Sums at the right-hand edge; the last one is what counts."""
        pages = self._pages
        if pages.will_page_break((_LEADING + 1) * len(rows) + 2):
            pages.add_page()
        for at, (label, value) in enumerate(rows, 1):
            last = at == len(rows)
            if last and len(rows) > 1:
                pages.rule(pages.l_margin + pages.epw * 0.45)
                pages.ln(1.4)
            pages.set_x(pages.l_margin + pages.epw * 0.45)
            self._plain(11 if last else _SIZE, bold=last, soft=not last)
            pages.cell(pages.epw * 0.3, _LEADING + 1, pages.fitting(label, pages.epw * 0.3))
            self._plain(11 if last else _SIZE, bold=last)
            pages.cell(0, _LEADING + 1, value, align="R", new_x="LMARGIN", new_y="NEXT")
        self._plain()
        self.space(4)

    def bytes(self) -> bytes:
        """The file. What fpdf2 takes from the clock is `created` instead: the same document has the same bytes."""
        return _MOMENT.sub(rb"\g<1>" + self._created, bytes(self._pages.output()))
