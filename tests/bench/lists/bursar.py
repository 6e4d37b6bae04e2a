"""Bursar as it is: `bursar web`, signed in as staff limited to projects (all of them, so that every row is seen)."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from dataclasses import replace
from html import unescape
from urllib.parse import parse_qsl, urlencode

import httpx

from tests.bench.lists.data import PASSWORD, Database
from tests.bench.lists.places import FOLDER
from tests.bench.lists.subjects import ABSENT, COMMON, LANGUAGE, PROJECT, RARE, Skip, Subject, Visit

LIST = "/admin/customer/list"


class Bursar(Subject):
    name = "bursar"
    notes = (
        "session, grants, scope (limited to all projects), audit and the full page frame are on",
        "filter form loads when it is opened; the list shows the login of each customer besides",
    )

    def __init__(self, database: Database, redis_url: str, profile: str | None = None) -> None:
        super().__init__(database)
        self.redis_url, self.profile = redis_url, profile

    def command(self, port: int) -> tuple[list[str], dict[str, str]]:
        module = ["tests.bench.lists.profiling"] if self.profile else ["app", "web"]
        env = {
            "BURSAR_DATABASE_URL": self.database.url,
            "BURSAR_REDIS_URL": self.redis_url,
            "BURSAR_DATA_DIR": str(FOLDER / "data"),
            "BURSAR_PORT": str(port),
            "BURSAR_HOST": "127.0.0.1",
            "BURSAR_ENV": "production",
            "BURSAR_SECRET_KEY": base64.b64encode(os.urandom(36)).decode(),
            "BURSAR_BENCH_PROFILE_TO": self.profile or "",
        }
        return [sys.executable, "-m", *module], env

    def sign_in(self, base_url: str) -> None:
        self.headers = self._session_of(base_url, "limited")

    @staticmethod
    def _session_of(base_url: str, username: str) -> dict[str, str]:
        with httpx.Client(base_url=base_url, headers={"sec-fetch-site": "same-origin"}) as browser:
            answer = browser.post("/login", data={"username": username, "password": PASSWORD})
            assert answer.status_code == 303, answer.text[:500]
            return {"cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}

    def visits(self, base_url: str) -> dict[str, Visit | Skip]:
        facts = self.facts
        with httpx.Client(base_url=base_url, headers=self.headers) as browser:
            first = browser.get(LIST).text
            last = _link(first, "last=1")
            export = _export(browser, first)
            deep = self._deep(_link(first, "after="), facts.page(facts.deep_page)[0] + 1)
        filtered = urlencode({"project.in": PROJECT, "language.in": LANGUAGE})
        visits: dict[str, Visit | Skip] = {
            "page 1": self._list("", facts.page(1)),
            "deep page": self._list(deep, facts.page(facts.deep_page)),
            "last page": self._list(last, facts.page(facts.last_page)),
            "search rare": self._list(f"search={RARE}", facts.top["rare"]),
            "search common": self._list(f"search={COMMON}", facts.top["common"]),
            "search absent": self._list(f"search={ABSENT}", []),
            "filter": self._list(filtered, facts.top["filter"]),
            "card": Visit(f"/admin/customer/details/{facts.rows // 2}", (f"kunde{facts.rows // 2}@",), ("<select",)),
            "edit form": Visit("/admin/service/edit/7", ("host7.example.net",)),
            "look-up": Visit(f"/admin/customer/lookup?term={COMMON}", (f'"{facts.top["common"][0]}"',)),
            "export": export,
        }
        visits = {n: self._signed(v, self.headers) for n, v in visits.items()}
        for who in ("owner", "half"):
            rows = facts.page(1) if who == "owner" else facts.top["half"]
            visits[f"page 1, as {who}"] = self._signed(self._list("", rows), self._session_of(base_url, who))
        return visits

    @staticmethod
    def _signed(visit: Visit | Skip, headers: dict[str, str]) -> Visit | Skip:
        if isinstance(visit, Skip):
            return visit
        return replace(visit, headers=headers)

    @staticmethod
    def _list(query: str, ids: list[int]) -> Visit:
        ordered = tuple(f'"/admin/customer/details/{i}"' for i in ids)
        nobody = () if ids else ('"/admin/customer/details/',)
        return Visit(f"{LIST}?{query}".rstrip("?"), ("<nav", *ordered, "</main>"), nobody)

    def _deep(self, after: str, above: int) -> str:
        """The query of the page behind row `above`: the marker of page 2, with another id in it."""
        pairs = dict(parse_qsl(after))
        text = pairs["after"]
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        assert values[-1] == self.facts.page(1)[-1], f"the page marker has another shape now: {values}"
        values[-1] = above
        marker = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
        start = str(self.facts.rows - above + 2)
        return urlencode(pairs | {"after": marker} | ({"from": start} if "from" in pairs else {}))


def _link(html: str, holds: str) -> str:
    """The query of the first link of the list that holds this."""
    for href in re.findall(r'href="([^"]+)"', html):
        if href.startswith(LIST) and holds in href:
            return unescape(href).partition("?")[2]
    raise AssertionError(f"no link with {holds} on page 1")


def _export(browser: httpx.Client, html: str) -> Visit | Skip:
    """What the form of the export button sends, for the whole list as CSV."""
    for href in re.findall(r'href="(/admin/customer/action/export[^"]*)"', html):
        form = browser.get(unescape(href)).text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.partition("<main")[2])
        sent = {name: unescape(value) for name, value in hidden} | {"kind": "csv", "at_once": "y"}
        return Visit(unescape(href).partition("?")[0], method="POST", body=urlencode(sent))
    return Skip("there is no export button on the list")
