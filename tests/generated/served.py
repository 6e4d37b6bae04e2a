"""The pages of the world, served by the real processes for a browser, and whether one keeps the policy."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page

from app import db
from app.settings import Settings
from tests.application import application, panel_of
from tests.browser.house import Watch, open_house
from tests.generated.routes import Way, addresses, ways
from tests.generated.world import World, store_files

FRAGMENTS = ("find", "filter", "lookup", "part", "data", "running", "progress")
"""Answers that scripts fetch; their pages do so here."""


@dataclass
class Served:
    url: str
    world: World
    ways: list[Way]
    pages: dict[str, list[str]] = field(default_factory=dict)
    """Whose addresses are known already."""


@pytest.fixture(scope="module")
def served(
    sqlite_world: tuple[Path, World], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    template, world = sqlite_world
    data = tmp_path_factory.mktemp("csp")
    shutil.copy(template, data / "bursar.db")
    database = f"sqlite+aiosqlite:///{data / 'bursar.db'}"
    db.configure(database)  # only to read the route tables
    settings = Settings(database_url=database, secret_key="k" * 40, data_dir=data, redis_url=redis_url)
    known = ways(panel_of(settings), application(settings).app, world)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, store_files(data)).result()
    with open_house(database, redis_url, data) as opened:
        yield Served(opened.url, world, known)


def pages_of(served: Served, who: str) -> list[str]:
    """The addresses at which this person gets a page, with the tabs of the cards."""
    if who not in served.pages:
        served.pages[who] = _find_pages(served, who)
    return served.pages[who]


def _find_pages(served: Served, who: str) -> list[str]:
    client = who in ("user", "reader", "visit")
    wanted = [
        w.url for w in served.ways
        if w.method == "GET" and w.client is client and w.target in ("own", "-")
        and not {"files", "static", "body", "health", *FRAGMENTS} & set(w.route.split("/") + w.label.split("/"))
    ]  # fmt: skip
    if who == "nobody":  # whatever is open: signing in, signing up, what links in mails lead to
        wanted = [
            w.url for w in served.ways
            if w.method == "GET" and w.target in ("own", "-") and w.route.startswith("/") and w.url.startswith("/")
            and not w.url.startswith(("/admin", "/static", "/health", "/files", "/t/"))
        ]  # fmt: skip
    found, headers = [], {"cookie": served.world.cookies[who]}
    with httpx.Client(base_url=served.url, headers=headers, timeout=60) as browser:
        for url in wanted:
            answer = browser.get(url)
            if answer.status_code != 200 or not answer.headers["content-type"].startswith("text/html"):
                continue  # no page: refused, or a file
            found.append(url)
            found += sorted(a for a in addresses(answer.text) if ("?tab=" in a or "?show=" in a) and "&" not in a)
    return list(dict.fromkeys(found))


def policy_kept(page: Page, watch: Watch, url: str) -> list[str]:
    """What the browser refused or complained of while this page was opened; with its filter, where it has one."""
    answer = page.goto(url, wait_until="load")
    assert answer is not None
    wrong = [] if "content-security-policy" in answer.headers else ["no policy"]
    if (drawer := page.locator("[popovertarget=builder]")).count():
        drawer.first.click()
        page.locator("#builder .field >> visible=true").first.wait_for()
        page.keyboard.press("Escape")
    left_behind = "favicon.svg net::ERR_ABORTED"  # by the next page
    wrong += [problem for problem in watch.problems if not problem.endswith(left_behind)]
    watch.problems.clear()
    return wrong
