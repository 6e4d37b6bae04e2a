"""What another site could make a browser send is refused at every route, before anything happens."""

from __future__ import annotations

import pytest

from app.web.guard import EXEMPT
from tests.generated.conftest import HOST, House
from tests.generated.routes import NONE
from tests.generated.world import SEEN, differences, dump

FOREIGN_REQUESTS = {
    "no header": {"sec-fetch-site": ""},
    "cross-site": {"sec-fetch-site": "cross-site", "origin": HOST},
    "same-site": {"sec-fetch-site": "same-site"},
    "foreign origin": {"sec-fetch-site": "", "origin": "https://evil.example"},
    "another port": {"sec-fetch-site": "", "origin": f"{HOST}:8080"},
    "null origin": {"sec-fetch-site": "", "origin": "null"},
}


async def test_what_comes_from_another_site_is_refused_before_anything_happens(house: House) -> None:
    before = await dump()
    unsafe = [w for w in house.ways if not w.safe and w.target != "missing" and not w.url.startswith(EXEMPT)]
    assert {w.method for w in unsafe} >= {"POST"} and len({w.route for w in unsafe}) > 15
    passed = []
    for way in unsafe:
        who = "user" if way.client else "owner"
        for name, headers in FOREIGN_REQUESTS.items():
            if way.target == "foreign" and name != "foreign origin":
                continue
            answer = await house.ask(way.method, way.url, who, data=way.body, headers=headers)
            if answer.status_code != 403 or "set-cookie" in answer.headers:
                passed.append(f"{name}: {way.method} {way.url} -> {answer.status_code}")
    assert passed == []
    assert differences(before, await dump(), ignore=SEEN) == []


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_no_route_takes_another_method(house: House) -> None:
    """Beside the methods of the route table nothing is done, even when it comes from our own page; whose row it is does
    not matter."""
    before = await dump()
    known: dict[str, set[str]] = {}
    for way in house.ways:
        if way.target in ("own", NONE):
            known.setdefault(way.url.partition("?")[0], set()).add(way.method)
    taken = []
    for url, methods in known.items():
        for method in {"POST", "PUT", "PATCH", "DELETE"} - methods:
            who = "user" if url.startswith("/client") else "owner"
            answer = await house.ask(method, url, who)
            if answer.status_code not in (404, 405):
                taken.append(f"{method} {url} -> {answer.status_code}")
    assert taken == []
    assert differences(before, await dump(), ignore=SEEN) == []
