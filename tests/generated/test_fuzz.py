"""Requests that nobody sends on purpose, over all routes: never a 5xx, never slow, never a foreign row.

`make fuzz` sends 100,000. The seed is printed: BURSAR_FUZZ_SEED=<seed> repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
from sqlalchemy import update

from admin_views.screens import SCREENS
from app import db, filters
from app.db import utcnow
from app.models.sessions import LoginSession
from tests.generated.conftest import House
from tests.generated.routes import NONE, Way, form_on
from tests.generated.world import FOREIGN

REQUESTS = int(os.environ.get("BURSAR_FUZZ", "1500"))
SHARE = {"sqlite": 0.85, "postgres": 0.15}
SLOW = 2.0
"""Seconds. Asked once more before it counts: this machine does other things too."""
LONGEST = 60_000
"""Characters of an address: servers and browsers end at 64 kB."""
PEOPLE = ("limited",) * 5 + ("owner", "owner", "support", "read-only", "nobody")
CLIENTS = ("user", "user", "reader", "visit", "acting", "nobody")

TEXTS: list[str] = [
    "", " ", "0", "-1", "1", "2", "999999", "9" * 19, "9" * 40, "1e309", "NaN", "Infinity", "1.5", "0x10", "1_000",
    "１２", "١٢", "²", "½", "true", "null", "[]", "{}", "'", '"', "' OR 1=1 --", "%", "_", "\\", "%s", "{{ 7*7 }}",
    "{{ customer.name }}", "{% for %}", "<script>alert(1)</script>", "../../etc/passwd", "/etc/passwd", "a\x00b",
    "\x00", "\x1b[31m", "\ud800", "\udfff\ud800", "\ufeff", "\u202eabc", "\u0000", "é" * 300, "😀" * 100, "x" * 5000,
    "1,2", "1,,2", ",", "1;2", "2024-02-30", "0000-00-00", "9999-12-31", "10000-01-01", "2024-01-01T00:00",
    "2024-01-01T00:00:00+99:99", "never", "+1 weeks", "today", "EUR", "zz", "en", "Europe/Berlin", "a@b", "a@b.example",
    "@", "=1+1", "\r\nSet-Cookie: a=b", "on", "y", "id", "search_text", "password_hash", "own", "__class__", "*", "#",
    FOREIGN, FOREIGN[:3], "Mine", "Mine Customer",
]  # fmt: skip


class Maker:
    """Makes requests from a seed."""

    def __init__(self, seed: int, ways: list[Way], forms: dict[str, dict[str, list[str]]]) -> None:
        self.r = random.Random(seed)
        self.ways, self.forms = ways, forms
        self.fields = {v.identity: list(filters.fields(v.model).values()) for v in SCREENS}

    # ---- pieces ----------------------------------------------------------------------------------------------------

    def text(self) -> str:
        r = self.r
        if r.random() < 0.8:
            return r.choice(TEXTS)
        if r.random() < 0.1:
            return r.choice(TEXTS) * 400
        return "".join(chr(r.choice((r.randrange(128), r.randrange(0x3000), r.randrange(0x11000)))) for _ in range(9))

    def value(self, depth: int = 0) -> Any:
        r = self.r
        kind = r.randrange(8 if depth < 4 else 6)
        if kind < 3:
            return self.text()
        if kind == 6:
            return [self.value(depth + 1) for _ in range(r.randrange(4))]
        if kind == 7:
            return {self.text(): self.value(depth + 1) for _ in range(r.randrange(3))}
        return r.choice([None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**30, 1.5, -0.0, 1e308])

    def condition(self, screen: str, depth: int = 0) -> Any:
        """A filter as JSON: now and then a good one."""
        r = self.r
        if depth < 4 and r.random() < 0.4:
            return {r.choice(["all", "any"]): [self.condition(screen, depth + 1) for _ in range(r.randrange(4))]}
        if r.random() < 0.15:
            return {"not": self.condition(screen, depth + 1)}
        if r.random() < 0.15:
            return self.value()
        field = r.choice(self.fields.get(screen) or self.fields["customer"])
        op = r.choice(sorted(field.allows)) if r.random() < 0.8 else self.text()
        leaf: dict[str, Any] = {"field": field.name if r.random() < 0.9 else self.text(), "op": op}
        if r.random() < 0.9:
            leaf["value"] = self.value()
        if r.random() < 0.05:
            leaf[self.text()] = self.value()
        return leaf

    def filter_text(self, screen: str) -> str:
        r = self.r
        dice = r.random()
        if dice < 0.03:
            return '{"not":' * 3000 + "{}" + "}" * 3000
        if dice < 0.06:
            many = range(r.choice([1000, 10_000]))
            return json.dumps({"all": [{"field": "id", "op": "is", "value": i} for i in many]})
        if dice < 0.12:
            return self.text()
        text = json.dumps(self.condition(screen))
        return text[: r.randrange(len(text))] if r.random() < 0.1 else text

    def pair(self, screen: str) -> tuple[str, str]:
        r = self.r
        own = ["search", "sort", "size", "after", "before", "last", "from", "pin", "pks", "all", "tab", "term", "id",
               "next", "page", "language", "kind", "customer", "query"]  # fmt: skip
        dice = r.random()
        if dice < 0.15:
            return "filter", self.filter_text(screen)
        if dice < 0.5:
            field = r.choice(self.fields.get(screen) or self.fields["customer"])
            op = r.choice(sorted(field.allows)) if r.random() < 0.85 else self.text()
            return f"{field.name}.{op}", self.text()
        if dice < 0.6:
            return self.text(), self.text()
        name = r.choice(own)
        if name == "sort" and r.random() < 0.5:
            return name, r.choice(["", "-"]) + r.choice(["id", "name", "status", "created_at", "price"])
        return name, self.text()

    def query(self, screen: str) -> str:
        return _encoded([self.pair(screen) for _ in range(self.r.randrange(4))])

    def path(self, way: Way) -> str:
        r = self.r
        path = way.url.partition("?")[0]
        if r.random() < 0.6:
            return path
        parts = path.split("/")
        i = r.randrange(1, len(parts))
        dice = r.random()
        if dice < 0.6:
            parts[i] = quote(self.text()[:300].encode("utf-8", "surrogatepass"), safe="")
        elif dice < 0.7:
            parts.insert(i, r.choice(["..", ".", "", "%2e%2e", "%2F", "%00", "%", "%zz", "%ff", "%C0%AF", "a" * 3000]))
        elif dice < 0.8:
            del parts[i]
        else:
            parts[i] = parts[i].swapcase()
        return "/".join(parts) or "/"

    # ---- bodies ----------------------------------------------------------------------------------------------------

    def body(self, way: Way) -> tuple[dict[str, str], bytes]:
        """(headers, content)"""
        r = self.r
        screen = way.label.partition("/")[0]
        base: dict[str, list[str]] = {**self.forms.get(way.label, {}), **{k: [v] for k, v in way.body.items()}}
        fields = {n: v for n, v in base.items() if r.random() < 0.95}
        for name in list(fields):
            if r.random() < 0.25:
                fields[name] = [self.text() for _ in range(r.choice([1, 1, 1, 2, 5]))]
        if r.random() < 0.3:
            name, value = self.pair(screen)
            fields[name] = [value]
        if r.random() < 0.2:
            fields |= {"all": ["1"], "query": [self.query(screen)]}
        if r.random() < 0.3:
            fields["_confirmed"] = ["1"]
        pairs = [(n, v) for n, values in fields.items() for v in values]
        dice = r.random()
        if dice < 0.55:
            encoded = _encoded(pairs).encode()
            if r.random() < 0.05:
                encoded = encoded[: r.randrange(len(encoded) + 1)] + bytes(r.randrange(256) for _ in range(20))
            return {"content-type": "application/x-www-form-urlencoded"}, encoded
        if dice < 0.85:
            return self.multipart(pairs)
        kind = r.choice([
            "application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=", "x/y", "",
            "\xff", "application/x-www-form-urlencoded; charset=utf-16", "multipart/form-data; boundary=" + "b" * 300,
        ])  # fmt: skip
        content = r.choice([b"", b"\x00" * 100, b"[" * 5000, json.dumps(self.value()).encode(), b"a=1"])
        return {"content-type": kind}, content

    def multipart(self, pairs: list[tuple[str, str]]) -> tuple[dict[str, str], bytes]:
        r = self.r
        lines = b""
        for name, value in pairs:
            lines += b'--XX\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (_raw(name), _raw(value))
        for _ in range(r.choice([0, 0, 1, 1, 2, 30])):
            names = ["pks", "all", "query", "next", "version", "password", "username", *(n for n, _v in pairs)]
            field = r.choice(["files", "files", r.choice(names), self.text()])
            name = r.choice(["a.txt", "../../etc/passwd", "a\\b", "CON", ".", "..", "a" * 400, "\x00", self.text(), ""])
            kind = r.choice([b"text/html", b"", b"\xff", b"image/svg+xml"])
            lines += b'--XX\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n' % (_raw(field), _raw(name))
            lines += b"Content-Type: %s\r\n\r\n%s\r\n" % (kind, b"x" * r.choice([0, 9]))
        end = r.choice([b"--XX--\r\n", b"--XX--\r\n", b"--XX--\r\n", b"", b"--XY--"])
        return {"content-type": "multipart/form-data; boundary=XX"}, lines + end

    def request(self) -> tuple[str, str, str, dict[str, Any]]:
        """(method, path and query, person, more)"""
        r = self.r
        way = r.choice(self.ways)
        screen = way.label.partition("/")[0]
        who = r.choice(CLIENTS if way.client else PEOPLE)
        given = way.url.partition("?")[2]
        made = [q for q in (given, self.query(screen)) if q and r.random() < 0.7]
        query = "&".join(made)
        target = self.path(way) + (f"?{query}" if query else "")
        method = way.method if r.random() < 0.97 else r.choice(["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
        headers: dict[str, str] = {}
        if r.random() < 0.1:
            name = r.choice(["accept", "accept-language", "x-forwarded-for", "referer", "if-none-match", "cookie"])
            headers[name] = "".join(c for c in self.text()[:500] if 32 <= ord(c) < 127)
        more: dict[str, Any] = {"headers": headers}
        if method not in ("GET", "HEAD", "OPTIONS"):
            kind, content = self.body(way)
            more["content"] = content.replace(FOREIGN.encode(), b"Zander")  # nobody writes the mark into other rows
            headers |= kind
        return method, target, who, more


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote_plus(_raw(n))}={quote_plus(_raw(v))}" for n, v in pairs)


def _sent(method: str, target: str, who: str, more: dict[str, Any]) -> str:
    """A request as a line that a person can send again."""
    body = more.get("content", b"")
    return f"{who}: {method} {target[:600]} {more['headers']} {body[:600]!r}"


async def forms_of(house: House) -> dict[str, dict[str, list[str]]]:
    """Label of a route -> what its form would send."""
    found = {}
    for way in house.ways:
        has_form = "/action/" in way.label or way.label.endswith(("create", "edit"))
        if way.safe and has_form and way.target in ("own", NONE):
            answer = await house.ask("GET", way.url, "owner")
            if answer.status_code == 200:
                found[way.label] = form_on(answer.text, way.url.partition("?")[0])
    return found


async def _once(house: House, made: tuple[str, str, str, dict[str, Any]]) -> tuple[httpx.Response, float]:
    method, target, who, more = made
    began = time.monotonic()
    url = httpx.URL(scheme="http", host="desk.test", raw_path=target[:LONGEST].encode())
    try:
        answer = await house.ask(method, url, who, **more)  # type: ignore[arg-type]
    except AssertionError:  # httpx: the application has begun an answer and not ended it
        answer = httpx.Response(599)
    return answer, time.monotonic() - began


async def test_nothing_that_is_sent_breaks_anything(house: House, engine_name: str, capsys: Any) -> None:
    seed = int(os.environ.get("BURSAR_FUZZ_SEED", "0")) or (random.randrange(10**9) if REQUESTS > 5000 else 20_240_607)
    count = int(REQUESTS * SHARE[engine_name])
    maker = Maker(seed, house.ways, await forms_of(house))
    with capsys.disabled():
        if REQUESTS > 5000:
            print(f"\n{engine_name}: {count} requests, BURSAR_FUZZ_SEED={seed}")
    wrong: list[str] = []
    statuses: Counter[int] = Counter()
    for n in range(count):
        made = maker.request()
        answer, seconds = await _once(house, made)
        if seconds > SLOW:
            answer, seconds = await _once(house, made)
        statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            wrong.append(f"{answer.status_code} seed {seed} #{n} {_sent(*made)}")
        if seconds > SLOW:
            wrong.append(f"{seconds:.1f} s seed {seed} #{n} {_sent(*made)}")
        if made[2] in ("limited", "user", "reader", "visit", "acting") and _leaks(answer, made):
            wrong.append(f"a foreign row, seed {seed} #{n} {_sent(*made)}")
        if n % 25 == 24:  # sign-outs, closed accounts and deleted rows would leave little to ask for
            if engine_name == "sqlite":
                house.put_back()
            else:
                await _sign_in_again()
        if len(wrong) >= 20:
            break
    assert not wrong, "\n".join(wrong)
    assert statuses[200] > count * 0.1 and statuses[404] and statuses[400], statuses


async def _sign_in_again() -> None:
    async with db.unit() as session:
        values = {"ended_at": None, "last_seen_at": utcnow()}
        await session.execute(update(LoginSession).values(values).execution_options(audited=True))


SIGNED = ("/unsubscribe/", "/t/")


def _leaks(answer: httpx.Response, made: tuple[str, str, str, dict[str, Any]]) -> bool:
    """Whether the mark of the foreign project stands in the answer without having been sent."""
    _method, target, _who, more = made
    if target.startswith(SIGNED):
        return False  # whoever holds such a link may read what it leads to
    mark = FOREIGN.lower()
    sent = (target + str(more)).lower()
    if mark[:3] in sent:
        return False  # what was typed may be shown again
    if target.startswith("/unsubscribe/"):
        return False  # whoever has the link from a mail is the one who got the mail
    return mark in answer.text.lower()
