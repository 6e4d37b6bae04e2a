"""Catalogues: every visible string is translated into every language of the panel, with its placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from app import i18n
from app.i18n import LANGUAGES, SOURCE, gettext, ngettext, speaking

ROOT = Path(__file__).parent.parent
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "gettext": None, "ngettext": (1, 2)}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|%%|\{\{.*?\}\}|\{%.*?%\}")
OTHERS = [code for code in LANGUAGES if code != SOURCE]


@lru_cache
def strings() -> frozenset[str | tuple[str, ...]]:
    """Every marked string of the source, as `babel.cfg` finds them."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    found = extract_from_dir(ROOT, methods, options, keywords=KEYWORDS)
    return frozenset(message for _file, _line, message, _comments, _context in found if message)


def catalogue(code: str) -> Catalog:
    with (ROOT / "app" / "locale" / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def forms(message: Message) -> Iterator[str]:
    yield from message.string if isinstance(message.string, tuple) else (message.string,)


@pytest.mark.parametrize("code", OTHERS)
def test_every_string_is_translated_and_none_is_fuzzy(code: str) -> None:
    known = catalogue(code)
    missing = [m for m in strings() if (found := known.get(m)) is None or not all(forms(found)) or found.fuzzy]
    assert not missing, f"`make messages`, then translate in app/locale/{code}.po: {missing[:10]}"


@pytest.mark.parametrize("code", OTHERS)
def test_placeholders_survive_the_translation(code: str) -> None:
    for message in catalogue(code):
        if not message.id:
            continue
        source = message.id[1] if isinstance(message.id, tuple) else message.id
        wanted = set(PLACEHOLDER.findall(source))
        for form in forms(message):
            found = set(PLACEHOLDER.findall(form))
            assert found <= wanted and (found == wanted or isinstance(message.id, tuple)), (message.id, form)


def test_no_string_is_marked_where_it_is_not_found() -> None:
    """Inside of an f-string babel finds nothing on Python 3.11."""
    inside = re.compile(r"""\{(?:_|n?gettext)\(['"]""")
    places = [
        f"{path.relative_to(ROOT)}:{n}"
        for folder in ("app", "admin_views", "tasks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for n, line in enumerate(path.read_text().splitlines(), 1)
        if inside.search(line) and re.search(r"""\bf['"]""", line)
    ]
    assert places == []


def test_words_dates_and_plurals_follow_the_reader() -> None:
    with speaking("de"):
        assert gettext("Customers") == "Kunden"
        assert i18n.show_amount(128450, "EUR") == "1.284,50"
    with speaking("ru"):
        said = {n: ngettext("%(n)s customer", "%(n)s customers", n) for n in (1, 2, 5)}
        assert i18n.country_name("DE") == "Германия" and len(said) == 3
    with speaking("en"):
        assert gettext("Customers") == "Customers"
