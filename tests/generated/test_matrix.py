"""Who gets what at every route: the answers are compared with matrix.txt, which people read and write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import httpx
import pytest

from tests.generated.conftest import House
from tests.generated.routes import NONE, REST, Way, form_on
from tests.generated.world import CLIENTS, STAFF, World

MATRIX = Path(__file__).with_name("matrix.txt")
TABLES = {"panel": (*STAFF, "nobody"), "client": (*CLIENTS, "nobody")}


@dataclass
class Line:
    number: int
    methods: list[str]
    routes: list[str]
    targets: list[str]
    expected: dict[str, str]
    used: bool = False

    def holds_for(self, way: Way) -> bool:
        return (
            way.method in self.methods
            and any(fnmatchcase(way.label, r) for r in self.routes)
            and (self.targets == ["any"] or way.target in self.targets)
        )


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
            assert tuple(words[3:]) == TABLES[table], f"{MATRIX}:{number}: the columns are {TABLES[table]}"
            matrix.lines[table] = []
        else:
            people = TABLES[table]
            assert len(words) == 3 + len(people), f"{MATRIX}:{number}: {len(people)} results are needed"
            expected = dict(zip(people, words[3:], strict=True))
            line = Line(number, words[0].split("|"), _routes(words[1]), words[2].split("|"), expected)
            matrix.lines[table].append(line)
    return matrix


def seen(answer: httpx.Response) -> str:
    """The answer as one of the words of the matrix."""
    to = answer.headers.get("location", "")
    if answer.status_code == 401 or (answer.status_code == 303 and re.match(r"/(client/)?login\?", to)):
        return "sign-in"
    if answer.status_code in (200, 303):
        return "ok"
    return "form" if answer.status_code in (409, 422) else str(answer.status_code)


def filled_in(form: dict[str, str], way: Way, world: World) -> dict[str, str]:
    """The form as a person sends it: what stands there, and something in every empty field that matters."""
    ids = world.own
    more = {
        **REST, "reason": "They asked for it", "groups": str(ids["customer_group"]), "to": str(ids["staff"]),
        "what": "sent", "kind": "csv", "category": str(ids["message_category"]), "subject_en": "News",
        "body_en": "Hello", "_confirmed": "1",
    }  # fmt: skip
    usual = "create" not in way.label
    filled = {k: v or (more.get(k, "") if usual else "") for k, v in form.items()}
    if "/action/" in way.label:
        filled |= {k: v for k, v in more.items() if k in ("what", "kind", "_confirmed") and not filled.get(k)}
    return {**filled, **way.body}


async def answers(house: House, who: str, ways: list[Way]) -> dict[Way, str]:
    """What this person gets. Each way starts from the same rows. A button or page that is refused for the own row is
    not asked again for others: without the grant no row is looked at."""
    found: dict[Way, str] = {}
    closed: set[tuple[str, str]] = set()
    pages: dict[tuple[str, str], str] = {}
    for way in ways:
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


def line_of(way: Way, got: dict[str, str]) -> str:
    people = TABLES["client" if way.client else "panel"]
    return f"{way.method:<5}{way.label:<36}{way.target:<9}" + "".join(f"{got.get(p, '?'):<11}" for p in people).rstrip()


def compare(matrix: Matrix, table: str, got: dict[Way, dict[str, str]]) -> list[str]:
    wrong = []
    for way, results in got.items():
        line = matrix.line_for(way)
        first = way.label.partition("/")[0]
        if not way.client and "/" in way.label and not way.label.startswith("/") and first not in matrix.screens:
            wrong.append(f"new screen: add {first} to 'screens:', and what differs from the lines with *")
        elif line is None:
            wrong.append(f"not in matrix.txt, add: {line_of(way, results)}")
        else:
            line.used = True
            different = {p: r for p, r in results.items() if r != line.expected[p]}
            if different:
                wrong.append(f"{line_of(way, results)}    # line {line.number} says otherwise for {', '.join(different)}")
    return wrong


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", TABLES)
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
    wrong = [line for table in TABLES for line in compare(matrix, table, {w: r for w, r in got.items() if w.client is (table == "client")})]
    assert not wrong, "\n".join(wrong)


def test_the_words_of_the_matrix() -> None:
    """Each line is one that a person can read: known words only."""
    for lines in load().lines.values():
        for line in lines:
            assert set(line.expected.values()) <= {"ok", "form", "403", "404", "sign-in"}, line.number
            assert set(line.targets) <= {"own", "foreign", "missing", "all", "any", NONE}, line.number
