"""Every request that the application can be sent, read from the route tables, the screens and their buttons."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.routing import Mount, Route

from admin_views.base import AppView
from app.domain.messaging import headers, tracking
from tests.generated.world import FOREIGN, MESSAGES, World

TEMPLATES = Path(__file__).parents[2] / "templates" / "sqladmin"
SAFE = ("GET", "HEAD", "OPTIONS")
NONE = "-"
"""The target of a route that is not about one row."""


@dataclass(frozen=True)
class Way:
    """One request. `label` names the route as the matrix does; `target`: own, foreign, missing, or NONE."""

    method: str
    label: str
    target: str
    url: str
    body: dict[str, str] = field(default_factory=dict, hash=False)
    route: str = ""
    """The path as the route table has it."""

    @property
    def client(self) -> bool:
        return self.label.startswith("/client")

    @property
    def safe(self) -> bool:
        return self.method in SAFE


# ---- the panel ------------------------------------------------------------------------------------------------------


def panel_of(host: Any) -> Any:
    """The Panel behind the application that `admin_views.mount.panel` makes."""
    index: Any = next(r for r in panel_routes(host) if r.name == "index").endpoint
    return index.__self__


def panel_routes(host: Any) -> list[Route]:
    mount = next(r for r in host.router.routes if isinstance(r, Mount))
    return list(mount.app.router.routes)  # type: ignore[attr-defined]


def _parts(view: AppView) -> list[str]:
    """The fragments of a card: what `card_context` gives and has a template."""
    names = re.findall(r'"(\w+)": ', inspect.getsource(type(view).card_context))
    return [name for name in dict.fromkeys(names) if (TEMPLATES / f"{name}.html").exists()]


def panel_ways(host: Any, world: World) -> Iterator[Way]:
    screens: list[AppView] = panel_of(host).screens
    for route in panel_routes(host):
        names = set(re.findall(r"{(\w+)}", route.path))
        unknown = names - {"identity", "pk", "part", "slug", "name"}
        assert not unknown, f"{route.path}: tests/generated/routes.py does not know how to fill {unknown}"
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if "identity" not in names:
                label = str(route.name)
                query = "?term=a" if label == "find" else ""
                yield Way(method, label, NONE, f"/admin{route.path}{query}", {"next": "/admin/"}, route.path)
                continue
            for view in screens:
                yield from _of_screen(route, method, view, names, world)


def _of_screen(route: Route, method: str, view: AppView, names: set[str], world: World) -> Iterator[Way]:
    me = view.identity
    base = f"/admin{route.path}".replace("{identity}", me)
    if "slug" in names:
        for button in view.all_buttons():
            url = base.replace("{slug}", button.slug)
            for target in world.targets(me):
                pk = str(world.id_of(me, target))
                if method == "GET":
                    yield Way(method, f"{me}/action/{button.slug}", target, f"{url}?pks={pk}", {}, route.path)
                else:
                    yield Way(method, f"{me}/action/{button.slug}", target, url, {"pks": pk}, route.path)
            if "head" in button.on:
                query, body = ("?all=1", {}) if method == "GET" else ("", {"all": "1", "query": ""})
                yield Way(method, f"{me}/action/{button.slug}?all", NONE, url + query, body, route.path)
        return
    if {"name", "pk"} <= names:
        for name in (n.removeprefix("file_") for n in dir(view) if n.startswith("file_")):
            for target in world.targets(me):
                url = base.replace("{name}", name).replace("{pk}", str(world.id_of(me, target)))
                yield Way(method, f"{me}/file/{name}", target, url, {}, route.path)
        return
    if "name" in names:
        for name in (n.removeprefix("data_") for n in dir(view) if n.startswith("data_")):
            for target in world.targets(me):
                url = f"{base.replace('{name}', name)}?id={world.id_of(me, target)}"
                yield Way(method, f"{me}/data/{name}", target, url, {}, route.path)
        return
    parts = _parts(view) if "part" in names else [""]
    for part in parts:
        label = f"{me}/part/{part}" if part else f"{me}/{route.path.split('/')[2]}"
        url = base.replace("{part}", part)
        if "pk" not in names:
            yield Way(method, label, NONE, url, {}, route.path)
            continue
        for target in world.targets(me):
            yield Way(method, label, target, url.replace("{pk}", str(world.id_of(me, target))), {}, route.path)


# ---- what Litestar serves -------------------------------------------------------------------------------------------

KEYS = {
    "/files/{key}": "attachment", "/client/messages/{key}": "campaign", "/client/tickets/{key}": "ticket",
    "/client/payments/{key}": "payment", "/client/services/{key}": "service",
    "/client/invoices/{key}": "issued invoice", "/client/users/{key}": "user",
    "/client/users/roles/{key}": "customer_role", "/client/users/invitations/{key}": "confirmation",
    "/client/payers/{key}": "payer", "/client/data/exports/{key}": "data_request",
}  # fmt: skip
"""Beginning of a path -> the table whose ids stand for {key}."""
FILES = {"/client/messages/": "attachment", "/client/tickets/": "ticket file"}
PATHS = {"own": "tokens.css", "missing": "../alembic.ini"}
REST = {
    "what": "all", "text": "Hello there", "subject": "A question", "language": "en", "name": "Mine Customer",
    "username": "nobody", "password": "not this one", "old": "not this one", "new": "another one 12",
    "again": "another one 12",
}  # fmt: skip


def litestar_ways(app: Any, world: World) -> Iterator[Way]:
    """app: the Litestar application behind the guard."""
    for route in app.routes:
        handlers = getattr(route, "route_handlers", None)
        if handlers is None:  # the mount of the panel
            assert route.path == "/admin", f"a new mount: {route.path}"
            continue
        path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
        methods = {m for h in handlers for m in h.http_methods} - {"OPTIONS", "HEAD"}
        for method in sorted(methods):
            for target, url in _filled(path, world):
                body = {} if method in SAFE else {**REST, "customer": str(world.own["customer"])}
                yield Way(method, path, target, url, body, path)


def _filled(path: str, world: World) -> Iterator[tuple[str, str]]:
    names = set(re.findall(r"{(\w+)}", path))
    if not names:
        yield NONE, path
    elif names == {"path"}:
        for target, name in PATHS.items():
            yield target, path.replace("{path}", name)
    elif names == {"token"}:
        for target, message in (("own", MESSAGES["Mine"]), ("foreign", MESSAGES[FOREIGN]), ("missing", "")):
            yield target, _mailed(path, message)
    else:
        start = next((p for p in KEYS if path.startswith(p)), None)
        assert start and names <= {"key", "file"}, f"{path}: say in tests/generated/routes.py what its keys are"
        for target in ("own", "foreign", "missing"):
            url = path.replace("{key}", str(world.id_of(KEYS[start], target)))
            if "file" in names:
                table = next(t for p, t in FILES.items() if path.startswith(p))
                url = url.replace("{file}", str(world.id_of(table, target)))
            yield target, url


def _mailed(path: str, message_id: str) -> str:
    """A link as it stands in this mail; in none: one that we have not signed."""
    if path.startswith("/t/c/"):
        url = urlsplit(tracking.click_url(message_id or "test.other", "https://example.org/offer"))
        return f"{url.path}?{url.query}" + ("" if message_id else "s")
    if path.startswith("/t/o/"):
        token = tracking._opens.sign(message_id)
    else:
        token = headers.token_of(message_id)
    return path.replace("{token}", token if message_id else "test.other." + "x" * 22)


def ways(host: Any, app: Any, world: World) -> list[Way]:
    return [*panel_ways(host, world), *litestar_ways(app, world)]


# ---- reading pages --------------------------------------------------------------------------------------------------

_ADDRESS = re.compile(r'(?:href|src|action|data-poll|data-lookup|data-template-source|data-drawer)="(/[^"]*)"')


def addresses(html: str) -> set[str]:
    """Every address of ours on a page: links, forms, polls, look-ups, fragments."""
    return {unescape(a).partition("#")[0] for a in _ADDRESS.findall(html)}


Fields = dict[str, list[str]]


class _Fields(HTMLParser):
    """What a form would send as it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: Fields = {}
        self._area = self._select = ""
        self._text: list[str] = []
        self._options: list[tuple[str, bool]] = []
        self._inert = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inert += tag == "template"
        if self._inert:
            return
        a = {k: v or "" for k, v in attrs}
        name, kind = a.get("name", ""), a.get("type", "")
        if tag == "input" and name and kind not in ("file", "submit", "button"):
            sent = self.fields.setdefault(name, [])
            if kind not in ("checkbox", "radio"):
                sent.append(a.get("value", ""))
            elif "checked" in a:
                sent.append(a.get("value", "on"))
        elif tag == "textarea" and name:
            self._area, self._text = name, []
        elif tag == "select" and name:
            self._select, self._options = name, []
        elif tag == "option" and self._select:
            self._options.append((a.get("value", ""), "selected" in a))

    def handle_data(self, data: str) -> None:
        if self._area:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inert -= tag == "template"
        if tag == "textarea" and self._area:
            self.fields[self._area] = ["".join(self._text).strip("\r\n")]
            self._area = ""
        elif tag == "select" and self._select:
            chosen = [value for value, selected in self._options if selected]
            self.fields[self._select] = chosen or [v for v, _s in self._options[:1]]
            self._select = ""


def form_on(html: str, path: str) -> Fields:
    """What the form of the page at `path` would send; empty when there is none."""
    for part in html.split("<form")[1:]:
        tag, _mark, inside = part.partition(">")
        action = re.search(r'action="([^"]*)"', tag)
        if 'method="post"' in tag and urlsplit(unescape(action[1]) if action else "").path in ("", path):
            parser = _Fields()
            parser.feed(inside.partition("</form>")[0])
            return parser.fields
    return {}
