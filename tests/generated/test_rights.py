"""The table of the client area holds everywhere: matrix.txt agrees with it, and so do the answers that people get whom
matrix.txt has no column for. Generated from the routes: a new one is asked without a line of code."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.models.users import RIGHTS, UserRole
from app.web.client import HANDLERS
from app.web.client.access import TABLE, Visit
from tests.generated.conftest import House
from tests.generated.routes import NONE, Way
from tests.generated.test_matrix import answers, load
from tests.generated.world import CUSTOM_RIGHTS, FOREIGN, OUTSIDE

ROUTES = {
    (str(method), re.sub(r"{(\w+):\w+}", r"{\1}", path)): str(handler.name)
    for handler in HANDLERS for path in handler.paths for method in handler.http_methods
}  # fmt: skip
"""Method and path -> name of the route."""
ROLES = {"finance": UserRole.FINANCE, "technical": UserRole.TECHNICAL, "reader": UserRole.READ_ONLY}


def _refused(name: str, rights: Any) -> bool:
    return TABLE[name].right is not None and TABLE[name].right not in rights


def test_what_people_wrote_into_the_matrix_agrees_with_the_table() -> None:
    wrong = []
    for line in load().lines["client"]:
        for method in line.methods:
            for route in line.routes:
                name = ROUTES[method, route]
                refused = {who: _refused(name, RIGHTS[role]) for who, role in ROLES.items()}
                refused |= {"user": False, "other": False}
                refused["visit"] = TABLE[name].visit is not Visit.SEE
                refused["acting"] = TABLE[name].visit is Visit.NEVER
                for who, closed in refused.items():
                    if (line.cells[who] == "403") is not closed:
                        wrong.append(f"{name}, {who}: the table {'closes' if closed else 'opens'} it")
                if (line.cells["nobody"] == "sign-in") is TABLE[name].open:
                    wrong.append(f"{name}: nobody")
                if "{key}" in route and not {line.cells["user"], line.cells["other"]} <= {
                    "mine", "theirs", "form-mine", "form-theirs", "404",
                }:  # fmt: skip
                    wrong.append(f"{name}: an id that is not looked at")
    assert wrong == []


def _expected(who: str, name: str) -> set[str] | None:
    """What must come; None: whatever the row says."""
    if who == "off":
        return {"403"}
    if who in OUTSIDE:
        return None if TABLE[name].open else {"sign-in"}
    return {"403"} if _refused(name, CUSTOM_RIGHTS) else None


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("who", ["custom", *OUTSIDE])
async def test_nobody_gets_more_than_the_table_gives(house: House, who: str) -> None:
    ways = sorted((w for w in house.ways if w.client), key=lambda w: not w.safe)
    assert len({w.route for w in ways}) > 30
    wrong = []
    for way, got in (await answers(house, who, ways)).items():
        wanted = _expected(who, ROUTES[way.method, way.route])
        if wanted is not None:
            fits = got in wanted
        elif "{token}" in way.route:  # a link of a mail: who has it may use it, once
            fits = got in ("ok", "form", "404", "410")
        elif who in OUTSIDE:
            fits = got in ("ok", "form", "404")
        else:
            own = way.target in (NONE, "own")
            fits = got not in ("sign-in", "500", "403") if own else got == "404"
        if not fits:
            wrong.append(f"{way.method} {way.label} ({way.target}): {got}, not {wanted or 'that'}")
    assert wrong == []


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_no_customer_reads_a_word_of_another_project(house: House) -> None:
    """Each page with own, foreign and missing ids, also when it is refused. FOREIGN stands in every row of B."""
    seen = 0
    said = []
    for who in ("user", "finance", "custom", "acting"):
        for way in house.ways:
            if way.client and way.safe:
                answer = await house.ask(way.method, way.url, who)
                seen += 1
                if FOREIGN.lower() in answer.text.lower():
                    said.append(f"{who}: {way.url}")
    assert said == [] and seen > 150


def _named(ways: list[Way]) -> set[str]:
    return {ROUTES[w.method, w.route] for w in ways if w.client}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_every_route_of_the_table_is_asked(house: House) -> None:
    assert _named(house.ways) == TABLE.keys()
