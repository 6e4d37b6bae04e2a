"""The catalogue shows every part there is, in the reader's words, with ids that are its own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import httpx
import jinja2
import pytest
from babel.messages.pofile import read_po
from jinja2 import nodes

from admin_views.design import EXAMPLES, catalogue
from app.i18n import LANGUAGES, SOURCE, speaking
from app.render import environment


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


ROOT = Path(__file__).parents[2]

CALLS = " ".join(call for calls in EXAMPLES.values() for call in calls)


def parts() -> dict[str, set[str]]:
    """Macro of ui.j2 -> the macros that it calls."""
    env = environment()
    assert isinstance(env.loader, jinja2.FileSystemLoader)
    source, _path, _fresh = env.loader.get_source(env, "ui.j2")
    macros = {m.name: m for m in env.parse(source).find_all(nodes.Macro)}
    named = {
        name: {c.node.name for c in m.find_all(nodes.Call) if isinstance(c.node, nodes.Name)}
        for name, m in macros.items()
    }
    return {name: calls & set(macros) for name, calls in named.items()}


def test_every_part_has_an_example() -> None:
    known = parts()
    shown = {name for name in known if f"ui.{name}(" in CALLS}
    while more := {inner for name in shown for inner in known[name]} - shown:
        shown |= more
    assert len(shown) > 40
    assert not set(known) - shown, "add a call to EXAMPLES in admin_views/design.py"


@pytest.mark.parametrize("code", [c for c in LANGUAGES if c != SOURCE])
def test_words_of_the_examples_are_translated(code: str) -> None:
    words = set(re.findall(r"_\('([^']+)'\)", CALLS))
    assert len(words) > 30
    with (ROOT / "app" / "locale" / f"{code}.po").open("rb") as file:
        known = read_po(file, locale=code)
    assert not {w for w in words if w not in known}


async def test_ids_are_unique_and_nothing_is_inline(desk: httpx.AsyncClient) -> None:
    page = (await desk.get("/admin/design")).text
    ids = Counter(re.findall(r'\sid="([^"]+)"', page))
    assert [i for i, n in ids.items() if n > 1] == [] and len(ids) > 100
    assert "style=" not in page and "ui.button(" in page
    targets = set(re.findall(r'<label for="([^"]+)"', page))
    assert targets and targets <= set(ids)


def test_each_language_has_its_own() -> None:
    with speaking("de"):
        german = catalogue("de")
    with speaking("ru"):
        russian = catalogue("ru")
    assert "Speichern" in german[0]["parts"][0].light and "Speichern" not in russian[0]["parts"][0].light


PHYSICAL = re.compile(
    r"(?<![\w.-])(?:(?:margin|padding|border|scroll-margin|scroll-padding)-(?:left|right)[\w-]*|left|right)\s*:"
    r"|(?:float|text-align)\s*:\s*(?:left|right)|border-(?:top|bottom)-(?:left|right)-radius"
)


def test_styles_name_sides_by_the_direction_of_reading() -> None:
    assert (
        PHYSICAL.search("a { margin-left: 1px }") and PHYSICAL.search("a{left:0}") and PHYSICAL.search("p{float: left}")
    )
    assert not PHYSICAL.search("a { margin-inline-start: 0; inset-inline-start: 0; text-align: start }")
    found = {
        file.name: wrong
        for file in (ROOT / "templates" / "static").glob("*.css")
        if (wrong := PHYSICAL.findall(file.read_text("utf-8")))
    }
    assert found == {}
