"""Looking changes nothing: every link, form page, poll and look-up, and the database before and after."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import update

from app import db
from app.db import utcnow
from app.models.sessions import LoginSession
from tests.generated.conftest import House
from tests.generated.routes import addresses
from tests.generated.world import SEEN, differences, dump

MOST = 450
"""Pages of one person; the addresses of sorting and filtering are many and all alike."""


def _kind(url: str) -> str:
    """Two addresses of one kind differ in their parameters' values: one of them is enough."""
    parts = urlsplit(url)
    names = {p.partition("=")[0] for p in parts.query.split("&")} - {"pin", "size"}
    return f"{parts.path}?{'&'.join(sorted(names))}" if names - {"pks"} else url


async def crawl(house: House, who: str, start: list[str], inside: tuple[str, ...]) -> dict[str, int]:
    """Follow every address of ours from page to page. Gives kind of address -> status."""
    visited: dict[str, int] = {}
    waiting = list(dict.fromkeys(start))
    while waiting and len(visited) < MOST:
        url = waiting.pop(0)
        if _kind(url) in visited:
            continue
        answer = await house.ask("GET", url, who)
        visited[_kind(url)] = answer.status_code
        if "html" in answer.headers.get("content-type", ""):
            found = addresses(answer.text)
            waiting += sorted(u for u in found if u.startswith(inside) and _kind(u) not in visited)
    return visited


async def _asleep() -> None:
    """Nobody has been here for five minutes: then a request notes that they are."""
    async with db.unit() as session:
        long_ago = utcnow() - timedelta(minutes=5)
        await session.execute(update(LoginSession).values(last_seen_at=long_ago).execution_options(audited=True))


def _starts(house: House, *, client: bool) -> list[str]:
    return [w.url for w in house.ways if w.safe and w.client is client and w.target != "missing"]


async def test_no_get_of_the_panel_changes_a_row(house: House, engine_name: str) -> None:
    await _asleep()
    before = await dump()
    start = [url for i, url in enumerate(_starts(house, client=False)) if engine_name == "sqlite" or i % 2]
    visited = await crawl(house, "owner", ["/admin/", *start], ("/admin", "/files") if engine_name == "sqlite" else ())
    broken = {u: s for u, s in visited.items() if s not in (200, 303, 403, 404, 405, 409, 410)}
    # 405: where a form is sent to; 409: the e-invoice of a draft; 410: a link that was used
    assert broken == {} and sum(s == 200 for s in visited.values()) > (200 if engine_name == "sqlite" else 60)
    after = await dump()
    assert differences(before, after, ignore=SEEN) == []
    assert differences(before, after) != [], "the last use was noted, so a change would have been seen"


async def test_no_get_of_the_client_area_changes_a_row(house: House) -> None:
    await _asleep()
    before = await dump()
    for who in ("user", "reader", "visit", "acting"):
        visited = await crawl(house, who, ["/client/", *_starts(house, client=True)], ("/client",))
        assert sum(s == 200 for s in visited.values()) >= 8, (who, visited)
        assert set(visited.values()) <= {200, 303, 403, 404, 405, 410}, (who, visited)  # 405: where a form is sent to
    assert differences(before, await dump(), ignore=SEEN) == []
