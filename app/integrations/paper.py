"""The paper that `pdf` writes on. fpdf2 comes with it, thirty megabytes that only who makes a document needs."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, TableHeadingsDisplay
from fpdf.fonts import FontFace, TTFFont
from fpdf.line_break import TextLine
from PIL import Image

if TYPE_CHECKING:
    from app.integrations.pdf import Column

INK, SOFT, LINE = (24, 28, 40), (92, 99, 115), (205, 209, 218)
MARGIN = 18.0
_FONTS = Path(__file__).parent / "fonts"
_JOINED = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
"""Hebrew and Arabic."""


class Pages(FPDF):
    """A4 in the form of PDF/A-3, with our fonts and a footer on each page."""

    foot = ""
    numbering = ""
    name = b""

    def __init__(self) -> None:
        super().__init__(format="A4", enforce_compliance="PDF/A-3B")
        self.add_font("text", "", _FONTS / "DejaVuSansCondensed.ttf")
        self.add_font("text", "B", _FONTS / "DejaVuSansCondensed-Bold.ttf")
        self.add_font("east", "", _FONTS / "DroidSansFallback.ttf")
        self.set_fallback_fonts(["east"], exact_match=False)
        self._letters = {code for font in self.fonts.values() if isinstance(font, TTFFont) for code in font.cmap}
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, MARGIN + 4)

    def cell(self, w: Any = None, h: Any = None, text: str = "", *args: Any, **kwargs: Any) -> bool:
        text = self._written(text)
        return super().cell(w, h, text, *args, **kwargs)

    def multi_cell(self, w: float, h: Any = None, text: str = "", *args: Any, **kwargs: Any) -> Any:
        text = self._written(text)
        return super().multi_cell(w, h, text, *args, **kwargs)

    def _render_styled_text_line(self, text_line: TextLine, *args: Any, **kwargs: Any) -> bool:
        """The library forgets that a line was begun or ended in the other font: what came next had wrong letters."""
        before = self.current_font, self.font_style, self.font_size_pt
        new_page = super()._render_styled_text_line(text_line, *args, **kwargs)
        if any(part.font is not before[0] for part in text_line.fragments):
            self.current_font, self.font_style, self.font_size_pt = before
            self.current_font_is_set_on_page = False
        return new_page

    def _written(self, text: str) -> str:
        """The text as it can be written: "?" for what is in no font, where else an empty box would stand.

        Letters that join and text from right to left are shaped; the others need no such care, and its time.
        """
        wanted = _JOINED.search(text) is not None
        if wanted != (self.text_shaping is not None):
            self.set_text_shaping(wanted)
        unknown = {c for c in set(text) if c > "~" and ord(c) not in self._letters}
        return text.translate(dict.fromkeys(map(ord, unknown), "?")) if unknown else text

    def file_id(self) -> str:
        """Of what it is and when it was made; the library would take the second in which it is written."""
        name = hashlib.sha256(self.name).hexdigest()[:32].upper()
        return f"<{name}><{name}>"

    def footer(self) -> None:
        self.set_y(-MARGIN + 4)
        self.set_font("text", size=7.5)
        self.set_text_color(*SOFT)
        width = self.epw * 0.75
        self.cell(width, 4, self.fitting(self.foot, width))
        self.cell(0, 4, self.numbering % {"page": self.page_no(), "pages": "{nb}"}, align="R")

    def write_as(self, size: float, *, bold: bool = False, soft: bool = False) -> None:
        self.set_font("text", "B" if bold else "", size)
        self.set_text_color(*(SOFT if soft else INK))

    def fitting(self, text: str, width: float) -> str:
        """The text, cut to the width."""
        while text and self.get_string_width(text) > width - 2:
            text = text[:-2].rstrip() + "…"
        return text

    def picture(self, data: bytes, largest: tuple[float, float]) -> None:
        """A picture at the left edge, and the place to go on below it."""
        with Image.open(io.BytesIO(data)) as image:
            flat = Image.new("RGB", image.size, "white")  # PDF/A is particular about transparency
            clear = image.convert("RGBA")
            flat.paste(clear, mask=clear.getchannel("A"))
        width, height = flat.size
        scale = min(largest[0] / width, largest[1] / height)
        top = self.get_y()
        self.image(flat, x=MARGIN, y=top, w=width * scale, h=height * scale, alt_text="")
        self.set_y(top + height * scale)

    def rule(self, left: float) -> None:
        """A line from there to the right edge."""
        self.set_draw_color(*LINE)
        height = self.get_y() + 0.6
        self.line(left, height, self.w - MARGIN, height)

    def grid(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, head_size: float) -> None:
        """A table in the present font; its head is repeated on each page, and a row is not torn apart."""
        self.set_draw_color(*LINE)
        self.set_line_width(0.2)
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            headings_style=FontFace(emphasis="BOLD", color=SOFT, size_pt=head_size),
            repeat_headings=TableHeadingsDisplay.ON_TOP_OF_EVERY_PAGE,
            col_widths=tuple(c.width for c in columns),
            text_align=tuple(c.align for c in columns),
            line_height=4.6,
            padding=(1.1, 1.2, 1.1, 1.2),
            v_align="TOP",
            width=self.epw,
        ) as table:
            table.row([c.label for c in columns])
            for row in rows:
                table.row(list(row))
