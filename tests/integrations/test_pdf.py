"""Documents as PDF: the text is there in every script, heads are repeated, and the same calls give the same bytes."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader

from app.integrations.pdf import Column, NotAPicture, Pdf, picture_kind


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 90), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 200 if mode == "L" else (30, 80, 200, 90)[: len(mode)]).save(file, kind)
    return file.getvalue()


def document(**kw: Any) -> Pdf:
    kw = {"title": "Счёт 7", "author": "Müller & Söhne", "created": datetime(2026, 11, 22, 9, tzinfo=UTC)} | kw
    return Pdf(**kw)


def test_text_of_every_script_can_be_read_again_and_the_document_says_what_it_is() -> None:
    pdf = document(language="ru", foot="IBAN DE89 3704 0044", numbering="Страница %(page)s из %(pages)s")
    pdf.logo(picture(mode="RGBA"))
    pdf.heading("Счёт 7")
    pdf.sides(("Продавец", "Müller & Söhne\nStraße 1"), ("Покупатель", "ООО «Ромашка»\nŁódź"))
    pdf.pairs([("Выставлен", "22 ноября"), ("Leer", "")])
    pdf.paragraph("Erste Zeile\n1 284,50 € − ₽ ₴", soft=True, small=True)
    pdf.totals([("Нетто", "10,00"), ("Итого", "11,90 EUR")])
    reader = PdfReader(io.BytesIO(pdf.bytes()))
    text = reader.pages[0].extract_text()
    for part in ("Счёт 7", "Müller & Söhne", "ООО «Ромашка»", "Łódź", "22 ноября", "1 284,50 € − ₽ ₴", "11,90 EUR",
                 "IBAN DE89 3704 0044", "Страница 1 из 1"):  # fmt: skip
        assert part in text, part
    assert "Leer" not in text
    about = reader.xmp_metadata
    assert about is not None
    assert (about.dc_title, about.dc_creator) == ({"x-default": "Счёт 7"}, ["Müller & Söhne"])
    assert reader.trailer["/Root"]["/Lang"] == "ru" and len(reader.pages[0].images) == 1


def test_a_long_table_repeats_its_head_and_numbers_its_pages() -> None:
    pdf = document()
    pdf.table([Column("What", 4), Column("Amount", 1, "R")], [(f"Row {n:03}", f"{n}.00") for n in range(120)])
    pages = PdfReader(io.BytesIO(pdf.bytes())).pages
    texts = [page.extract_text() for page in pages]
    assert len(pages) > 2 and all(text.lstrip().startswith("What") for text in texts)
    assert [f"{n} / {len(pages)}" in text for n, text in enumerate(texts, 1)] == [True] * len(pages)
    assert all("".join(texts).count(f"Row {n:03}") == 1 for n in range(120))


def test_the_same_document_has_the_same_bytes_whenever_it_is_made() -> None:
    def make() -> bytes:
        pdf = document()
        pdf.paragraph("Same")
        return pdf.bytes()

    first = make()
    time.sleep(1.05)  # the library notes the second
    assert make() == first


def test_a_document_is_small_and_embeds_only_the_letters_that_it_uses() -> None:
    pdf = document()
    pdf.paragraph("Few letters")
    assert len(pdf.bytes()) < 40_000


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_are_known_by_their_content(kind: str, mode: str) -> None:
    assert picture_kind(picture(kind, mode=mode)) == f"image/{kind.lower()}"


@pytest.mark.parametrize(
    "data", [b"", b"<svg/>", b"%PDF-1.4", picture("GIF"), picture()[:60], picture(size=(5000, 1))],
    ids=["empty", "svg", "pdf", "gif", "torn", "huge"],
)  # fmt: skip
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        picture_kind(data)
    with pytest.raises(NotAPicture):
        document().logo(data)


def embedded(page: Any) -> set[str]:
    return {str(font.get_object()["/BaseFont"]).rpartition("+")[2] for font in page["/Resources"]["/Font"].values()}


def test_arabic_is_joined_from_right_to_left_and_the_far_east_has_its_signs() -> None:
    pdf = document()
    pdf.heading("مؤسسة النور")
    pdf.sides(("販売者", "株式会社サクラ\n東京都千代田区1-1"), ("付款人", "北京科技有限公司 Ltd"))
    rows = [("استضافة", "1.00"), ("繁體中文 Hosting", "2.00"), ("한국어", "3.00"), ("x 漢字" * 40, "4.00")]
    pdf.table([Column("何", 4), Column("金額", 1, "R")], rows)
    pdf.paragraph("漢")
    pdf.paragraph("Plain again")
    pdf.pairs([("番号", "123"), ("日付", "4567")])
    pdf.totals([("Net", "10.00"), ("合計", "23.45 EUR")])
    page = PdfReader(io.BytesIO(pdf.bytes())).pages[0]
    text = page.extract_text()
    for part in ("株式会社サクラ", "東京都千代田区1-1", "北京科技有限公司 Ltd", "繁體中文 Hosting", "한국어"):
        assert part in text, part
    for part in ("1.00", "3.00", "4.00", "Plain again", "123", "4567", "10.00", "23.45 EUR", "استضافة", "مؤسسة"):
        assert part in text, part
    assert text.count("x 漢字".replace(" ", "")) + text.count("x 漢字") >= 30
    assert any("Droid" in name for name in embedded(page))
    # letters that join are other glyphs than those that stand alone
    alone, joined = document(), document()
    alone.paragraph(" ".join("مؤسسة"))
    joined.paragraph("مؤسسة")
    widths = [PdfReader(io.BytesIO(one.bytes())).pages[0].get_contents().get_data() for one in (alone, joined)]
    assert len(widths[0]) != len(widths[1])


def test_what_is_in_no_font_is_a_question_mark_and_other_documents_stay_small() -> None:
    pdf = document()
    pdf.paragraph("Thanks 😀 ไทย")
    pdf.totals([("Total", "9.00")])
    page = PdfReader(io.BytesIO(pdf.bytes())).pages[0]
    assert "Thanks ? ???" in page.extract_text() and "9.00" in page.extract_text()
    assert not any("Droid" in name for name in embedded(page)) and len(pdf.bytes()) < 40_000
