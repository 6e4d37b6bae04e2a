"""Who gets what at every route: the answers are compared with matrix.txt, which people read and write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import httpx
import pytest

from tests.generated.conftest import House
from tests.generated.routes import NONE, REST, Fields, Way, form_on
from tests.generated.world import CLIENTS, STAFF, World

MATRIX = Path(__file__).with_name("matrix.txt")
TABLES = {"panel": (*STAFF, "nobody"), "client": (*CLIENTS, "nobody")}

AS_LIST = ("columns", "view", "views")
"""Whoever sees a list chooses its columns and keeps views of it: the line of the list holds for these."""


@dataclass
class Line:
    number: int
    methods: list[str]
    routes: list[str]
    cells: dict[str, str]
    used: bool = False

    def holds_for(self, way: Way) -> bool:
        method, label = way.method, way.label
        screen, _slash, route = label.partition("/")
        if route in AS_LIST:
            method, label = "GET", f"{screen}/list"
        return method in self.methods and any(fnmatchcase(label, r) for r in self.routes)


CELLS = {
    "ok": ("ok", "ok", "404"),
    "mine": ("ok", "404", "404"),
    "404": ("404",) * 3,
    "403": ("403",) * 3,
    "theirs": ("404", "ok", "404"),
    "form": ("form", "form", "404"),
    "form-mine": ("form", "404", "404"),
    "form-theirs": ("404", "form", "404"),
    "sign-in": ("sign-in",) * 3,
    "410": ("410",) * 3,
}
"""Word of the matrix -> what comes for an own row (or a route without one), a foreign one, a missing one."""
SPARED = {
    "nobody": ("foreign", "missing"),
    **dict.fromkeys(("support", "marketing", "read-only"), ("foreign", "missing")),
}
"""Who -> rows that are not asked for: without a session no row is looked at, and to staff without limits, of whom the
owner is asked for everything, project B is as their own and what is missing is missing."""
TARGETS = {NONE: 0, "own": 0, "foreign": 1, "missing": 2}


@dataclass
class Matrix:
    screens: set[str] = field(default_factory=set)
    lines: dict[str, list[Line]] = field(default_factory=dict)

    def line_for(self, way: Way) -> Line | None:
        """The last line that fits."""
        table = "client" if way.client else "panel"
        return next((line for line in reversed(self.lines[table]) if line.holds_for(way)), None)


def _routes(text: str) -> list[str]:
    """`a,b/list` is `a/list` and `b/list`; `a/action/x,y` is `a/action/x` and `a/action/y`."""
    made = [""]
    for i, part in enumerate(text.split("/")):
        made = [m + ("/" if i else "") + p for m in made for p in part.split(",")]
    return made


def load() -> Matrix:
    matrix, table = Matrix(), ""
    for number, raw in enumerate(MATRIX.read_text("utf-8").splitlines(), 1):
        words = raw.partition("#")[0].split()
        if not words:
            continue
        if words[0] == "screens:":
            matrix.screens |= set(words[1:])
        elif words[0] in TABLES:
            table = words[0]
            assert tuple(words[2:]) == TABLES[table], f"{MATRIX}:{number}: the columns are {TABLES[table]}"
            matrix.lines[table] = []
        else:
            people = TABLES[table]
            assert len(words) == 2 + len(people), f"{MATRIX}:{number}: {len(people)} words are needed"
            unknown = set(words[2:]) - set(CELLS)
            assert not unknown, f"{MATRIX}:{number}: {unknown} is none of {list(CELLS)}"
            cells = dict(zip(people, words[2:], strict=True))
            matrix.lines[table].append(Line(number, words[0].split("|"), _routes(words[1]), cells))
    return matrix


def seen(answer: httpx.Response) -> str:
    """The answer as one of the words of the matrix."""
    to = answer.headers.get("location", "")
    if answer.status_code == 401 or (answer.status_code == 303 and re.match(r"/(client/)?login\?", to)):
        return "sign-in"
    if answer.status_code in (200, 303):
        return "ok"
    return "form" if answer.status_code in (409, 422) else str(answer.status_code)


def filled_in(form: Fields, way: Way, world: World) -> Fields:
    """The form as a person sends it: what stands there, and something in every empty field."""
    ids = world.own
    more = {
        **REST, "reason": "They asked for it", "note": "By phone", "groups": str(ids["customer_group"]),
        "to": str(ids["staff"]), "what": "sent", "kind": "csv", "category": str(ids["message_category"]),
        "subject_en": "News", "body_en": "Hello", "_confirmed": "1", "password": "", "username": "",
    }  # fmt: skip
    if "/create" in way.label:
        more = {}
    filled = {k: v if any(v) else [more[k]] if k in more else v for k, v in form.items()}
    if "/action/" in way.label:
        filled |= {"_confirmed": ["1"], "groups": [more["groups"]]}  # a look-up for several has no input while empty
    return {**filled, **{k: [v] for k, v in way.body.items()}}


async def answers(house: House, who: str, ways: list[Way]) -> dict[Way, str]:
    """What this person gets. Each way starts from the same rows. A button or page that is refused for the own row is
    not asked again for others: without the grant no row is looked at."""
    found: dict[Way, str] = {}
    closed: set[tuple[str, str]] = set()
    pages: dict[tuple[str, str], str] = {}
    for way in ways:
        if way.target in SPARED.get(who, ()):
            continue
        if (way.method, way.label) in closed:
            found[way] = "403"
            continue
        if way.safe:
            answer = await house.ask(way.method, way.url, who)
            if answer.status_code == 200 and "</form>" in answer.text:
                pages[way.label, way.target] = answer.text
        else:
            page = pages.get((way.label, way.target), "")
            form = form_on(page, way.url) if page else {}
            body = filled_in(form, way, house.world)
            answer = await house.ask(way.method, way.url, who, data=body)
            if house.settings.sqlite_path is not None:
                house.put_back()
        found[way] = seen(answer)
        if found[way] == "403" and way.target == "own":
            closed.add((way.method, way.label))
    return found


def line_of(method: str, label: str, words: list[str]) -> str:
    return f"{method:<5}{label:<40}" + "".join(f"{w:<11}" for w in words).rstrip()


def words_for(table: str, results: dict[str, dict[str, str]]) -> list[str]:
    """The cells that say what came. results: person -> target -> answer."""
    words = []
    for person in TABLES[table]:
        got = {TARGETS[t]: r for t, r in results.get(person, {}).items()}
        fits = [word for word, means in CELLS.items() if all(means[i] == r for i, r in got.items())]
        words.append(fits[0] if fits else "/".join(got.values()))
    return words


def compare(matrix: Matrix, table: str, got: dict[Way, dict[str, str]]) -> list[str]:
    """What differs from the matrix, as lines that could stand there."""
    routes: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    wrong: dict[tuple[str, str], str] = {}
    for way, results in got.items():
        key = (way.method, way.label)
        for person, result in results.items():
            routes.setdefault(key, {}).setdefault(person, {})[way.target] = result
        line = matrix.line_for(way)
        first = way.label.partition("/")[0]
        if first and "/" in way.label and first not in matrix.screens:
            wrong[key] = f"a new screen: add {first} to 'screens:' (the lines with * then hold for it), or"
        elif line is None:
            wrong[key] = "no line, add"
        else:
            line.used = True
            if any(CELLS[line.cells[p]][TARGETS[way.target]] != r for p, r in results.items()):
                wrong[key] = f"line {line.number} says otherwise than"
    return [f"{why}: {line_of(*key, words_for(table, routes[key]))}" for key, why in sorted(wrong.items())]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", [pytest.param("panel", marks=pytest.mark.again), "client"])
async def test_everybody_gets_what_the_matrix_says(house: House, table: str) -> None:
    matrix = load()
    ways = [w for w in house.ways if w.client is (table == "client")]
    ways.sort(key=lambda w: not w.safe)  # the forms first, so that they can be sent
    got: dict[Way, dict[str, str]] = {w: {} for w in ways}
    for who in TABLES[table]:
        for way, result in (await answers(house, who, ways)).items():
            got[way][who] = result
    wrong = compare(matrix, table, got)
    assert not wrong, f"{len(wrong)} routes differ from {MATRIX.name}:\n" + "\n".join(wrong)
    idle = [line.number for line in matrix.lines[table] if not line.used]
    assert not idle, f"lines of {MATRIX.name} that decide nothing: {idle}"


@pytest.mark.parametrize("engine_name", ["postgres"], indirect=True)
async def test_on_postgres_too_nobody_gets_what_is_not_theirs(house: House) -> None:
    """The part that a database could answer differently: what is foreign or missing, at GET and POST."""
    matrix = load()
    got: dict[Way, dict[str, str]] = {}
    for who in ("limited", "user", "acting"):
        ways = [w for w in house.ways if w.target in ("foreign", "missing") and w.client is (who != "limited")]
        for way, result in (await answers(house, who, ways)).items():
            got.setdefault(way, {})[who] = result
    wrong = []
    for table in TABLES:
        wrong += compare(matrix, table, {w: r for w, r in got.items() if w.client is (table == "client")})
    assert not wrong, "\n".join(wrong)
