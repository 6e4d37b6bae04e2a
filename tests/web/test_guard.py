"""The guard: what may come in at all, how much, from where; and what every answer carries."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import db
from app.models.sessions import LoginSession
from app.observe import Kind
from app.web import guard
from tests.web.helpers import PASSWORD, People, Site, sign_in

ONE_DATABASE = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


async def _raw(
    site: Site,
    path: bytes,
    *,
    method: str = "GET",
    headers: list[tuple[bytes, bytes]] | None = None,
    query: bytes = b"",
) -> int:
    """The status of a request that no proper client would send."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    from urllib.parse import unquote_to_bytes

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"desk.test")] if headers is None else headers,
        "client": ("192.0.2.7", 5000),
        "server": ("desk.test", 80),
    }
    await site.app(scope, receive, send)
    return status


# ---- another site ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fetch_site", "origin", "allowed"),
    [
        ("same-origin", None, True),
        ("none", None, True),
        ("same-origin", "http://evil.test", True),  # browsers cannot be made to lie in Sec-Fetch-Site
        ("same-site", None, False),
        ("cross-site", None, False),
        ("cross-site", "http://desk.test", False),
        ("nonsense", None, False),
        (None, "http://desk.test", True),
        (None, "http://desk.test:80", True),
        (None, "HTTP://DESK.TEST", True),
        (None, "http://desk.test:8080", False),
        (None, "http://evil.test", False),
        (None, "http://desk.test.evil.test", False),
        (None, "null", False),
        (None, "ftp://desk.test", False),
        (None, "http://[broken", False),
        (None, None, False),
    ],
)
@ONE_DATABASE
async def test_a_post_with_our_cookie_must_come_from_us(
    site: Site, people: People, fetch_site: str | None, origin: str | None, allowed: bool
) -> None:
    async with site.browser() as client:
        await sign_in(client, "grace")
        del client.headers["sec-fetch-site"]
        headers = {k: v for k, v in (("sec-fetch-site", fetch_site), ("origin", origin)) if v is not None}
        answer = await client.post("/logout", headers=headers)
        assert answer.status_code == (303 if allowed else 403)
        async with db.reads() as session:
            ended = (await session.scalars(select(LoginSession.ended_at))).one()
        assert (ended is not None) is allowed


@ONE_DATABASE
async def test_a_program_without_cookies_needs_no_origin(site: Site, people: People) -> None:
    async with site.browser() as client:
        del client.headers["sec-fetch-site"]
        answer = await client.post("/login", data={"username": "grace", "password": PASSWORD})
        assert answer.status_code == 303


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://desk.test", True),
        ("https://desk.test:443", True),
        ("http://desk.test", False),
        ("https://x.desk.test", False),
    ],
)
@ONE_DATABASE
async def test_with_a_public_address_only_that_one_is_ours(
    site: Site, people: People, origin: str, allowed: bool
) -> None:
    async with site.again(public_url="https://desk.test").browser(base="https://desk.test") as client:
        del client.headers["sec-fetch-site"]
        answer = await client.post(
            "/login", data={"username": "grace", "password": PASSWORD}, headers={"origin": origin}
        )
        assert answer.status_code == (303 if allowed else 403)


@ONE_DATABASE
async def test_the_refusal_says_what_to_do_as_page_and_as_json(browser: httpx.AsyncClient) -> None:
    browser.headers["sec-fetch-site"] = "cross-site"
    page = await browser.post("/login")
    assert "another site" in page.text and page.headers["content-type"].startswith("text/html")
    told = await browser.post("/login", headers={"accept": "application/json"})
    assert told.status_code == 403
    assert "another site" in told.json()["error"]
    assert told.json()["request"] == told.headers["x-request-id"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "PURGE"])
@ONE_DATABASE
async def test_every_unsafe_method_is_checked(browser: httpx.AsyncClient, method: str) -> None:
    answer = await browser.request(method, "/admin/", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


# ---- the request itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        b"/client/%00",
        b"/%zz",
        b"/client/messages/1%",
        b"/%ff",
        b"/a%0d%0ab",
        b"//client",
        b"/client//messages",
        b"/static/../app/db.py",
        b"/static/%2e%2e/%2e%2e/app/settings.py",
        b"/client/../admin/",
    ],
)
@ONE_DATABASE
async def test_a_path_that_is_none_is_refused(site: Site, path: bytes) -> None:
    assert await _raw(site, path) == 400


@ONE_DATABASE
async def test_nul_in_the_query_is_refused_and_a_lone_percent_is_not(site: Site) -> None:
    assert await _raw(site, b"/login", query=b"next=%00") == 400
    assert await _raw(site, b"/login", query=b"next=100%") == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"")],
        [(b"host", b"a b")],
        [(b"host", b"desk.test/evil")],
        [(b"host", b"desk.test@evil.test")],
        [(b"host", b"desk.test"), (b"host", b"evil.test")],
        [(b"host", b"desk.test:port")],
    ],
)
@ONE_DATABASE
async def test_a_host_header_that_is_none_is_refused(site: Site, headers: list[tuple[bytes, bytes]]) -> None:
    assert await _raw(site, b"/login", headers=headers) == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [(b"desk.test", 200), (b"DESK.test", 200), (b"desk.test:443", 200), (b"evil.test", 421), (b"desk.test:8443", 421)],
)
@ONE_DATABASE
async def test_with_a_public_address_other_hosts_are_not_served(site: Site, host: bytes, status: int) -> None:
    assert await _raw(site.again(public_url="https://desk.test"), b"/login", headers=[(b"host", host)]) == status


@ONE_DATABASE
async def test_a_monitor_may_ask_health_by_number(site: Site, redis: str) -> None:
    app = site.again(public_url="https://desk.test")
    assert await _raw(app, b"/health", headers=[(b"host", b"10.0.0.1:8000")]) == 503  # no worker runs


@ONE_DATABASE
async def test_websockets_are_closed(site: Site) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await site.app({"type": "websocket", "path": "/", "headers": []}, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


# ---- size ------------------------------------------------------------------------------------------------------------


async def _pieces(count: int, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for _n in range(count):
        yield b"x" * size


@ONE_DATABASE
async def test_a_body_over_the_cap_is_refused_by_its_length(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/login", content=b"x" * (guard.BODY + 1))
    assert answer.status_code == 413


@ONE_DATABASE
async def test_a_body_without_length_is_counted_while_it_comes(grace: httpx.AsyncClient) -> None:
    answer = await grace.post("/admin/body", content=_pieces(16))
    assert (answer.status_code, answer.json()) == (200, 1024 * 1024)
    answer = await grace.post("/admin/body", content=_pieces(17))
    assert answer.status_code == 413
    assert "too large" in answer.text


@ONE_DATABASE
async def test_files_may_be_larger_when_somebody_is_signed_in(site: Site, grace: httpx.AsyncClient) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert (await grace.post("/admin/body", content=_pieces(100), headers=kind)).status_code == 200
    most = site.settings.max_upload_bytes + guard.AROUND_FILES
    assert most == 30 * 1024 * 1024
    answer = await grace.post("/admin/body", content=_pieces(most // (64 * 1024) + 1), headers=kind)
    assert answer.status_code == 413
    async with site.browser() as stranger:
        assert (await stranger.post("/login", content=_pieces(100), headers=kind)).status_code == 413


@pytest.mark.parametrize("length", ["-5", "abc", "9" * 30])
@ONE_DATABASE
async def test_a_length_that_is_none_is_refused(browser: httpx.AsyncClient, length: str) -> None:
    assert (await browser.post("/login", content=b"x", headers={"content-length": length})).status_code == 400


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nbroken"),
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"username=a"),
    ],
)
@ONE_DATABASE
async def test_a_body_that_is_no_form_is_never_an_error_of_ours(
    browser: httpx.AsyncClient, people: People, kind: str, content: bytes
) -> None:
    assert (await browser.post("/login", content=content, headers={"content-type": kind})).status_code in (400, 422)


# ---- every answer ----------------------------------------------------------------------------------------------------


@ONE_DATABASE
async def test_every_answer_carries_the_headers(site: Site, grace: httpx.AsyncClient) -> None:
    for path in ("/login", "/nothing", "/admin/", "/static/tokens.css", "/client"):
        answer = await grace.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert "unsafe" not in answer.headers["content-security-policy"], path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert len(answer.headers["x-request-id"]) == 16
        assert "strict-transport-security" not in answer.headers
        if not path.startswith("/static"):
            assert answer.headers["cache-control"] == "no-store"
    async with site.again(public_url="https://desk.test").browser(base="https://desk.test") as client:
        assert "max-age" in (await client.get("/login")).headers["strict-transport-security"]


@ONE_DATABASE
async def test_what_breaks_is_one_log_line_and_a_page_without_details(
    grace: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await grace.get("/admin/break")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.text
    assert "SELECT" not in answer.text and "Traceback" not in answer.text
    assert [r.levelname for r in caplog.records] == ["ERROR"]


@ONE_DATABASE
async def test_an_unknown_page_is_a_404_page(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/nothing/here")
    assert answer.status_code == 404
    assert "does not exist" in answer.text
    assert (await browser.get("/", headers={"accept": "text/html"})).headers["location"] == "/admin/"
    assert (await browser.get("/adminfoo")).status_code == 404
    assert (await browser.get("/nothing", headers={"accept": "application/json"})).json()["error"]


@ONE_DATABASE
async def test_without_a_database_there_is_a_page_that_says_so(site: Site, grace: httpx.AsyncClient) -> None:
    await db.dispose()
    db.configure("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    answer = await grace.get("/admin/")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert (await grace.get("/static/tokens.css")).status_code == 200


@ONE_DATABASE
async def test_the_actor_of_a_request_is_the_person_of_the_cookie(
    site: Site, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.observe import actor

    seen = []
    inner = site.app.app

    async def watch(scope: Any, receive: Any, send: Any) -> None:
        seen.append(actor.get())
        await inner(scope, receive, send)

    monkeypatch.setattr(site.app, "app", watch)
    async with site.browser(ip="2001:db8::1") as client:
        await client.get("/login")
        await sign_in(client, "grace")
        await client.get("/admin/")
        await sign_in(client, "ada", area="/client")
        await client.get("/client")
    assert (seen[0].kind, seen[0].ip) == (Kind.NOBODY, "2001:db8::1")
    assert (seen[2].kind, seen[2].staff_id, seen[2].projects) == (Kind.STAFF, people.staff.id, None)
    assert (seen[4].kind, seen[4].user_id, seen[4].customer_id) == (Kind.USER, people.user.id, people.customer.id)


@ONE_DATABASE
async def test_the_address_of_the_proxy_is_believed_only_when_told_to(site: Site, people: People) -> None:
    passed = {"x-forwarded-for": "203.0.113.9, 198.51.100.4", "x-forwarded-proto": "https"}
    async with site.browser() as client:
        await client.post("/login", data={"username": "grace", "password": PASSWORD}, headers=passed)
    async with site.again(trust_proxy=True).browser() as client:
        answer = await client.post("/login", data={"username": "grace", "password": PASSWORD}, headers=passed)
        assert answer.headers["set-cookie"].startswith("__Host-")
    async with db.reads() as session:
        ips = (await session.scalars(select(LoginSession.ip).order_by(LoginSession.id))).all()
    assert ips == ["192.0.2.7", "198.51.100.4"]


@ONE_DATABASE
async def test_the_last_of_several_forwarded_lines_is_the_proxys(site: Site, people: People) -> None:
    """Some proxies add a line of their own and leave what the visitor has sent (HAProxy's `option forwardfor`)."""
    lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.4")]
    async with site.again(trust_proxy=True).browser() as client:
        await client.post("/login", data={"username": "grace", "password": PASSWORD}, headers=lines)
    async with db.reads() as session:
        assert (await session.scalars(select(LoginSession.ip))).all() == ["198.51.100.4"]


# ---- flashes ---------------------------------------------------------------------------------------------------------


@ONE_DATABASE
async def test_a_flash_is_shown_once_on_the_next_page(grace: httpx.AsyncClient) -> None:
    answer = await grace.get("/admin/flash")
    assert "bursar_flash=" in answer.headers["set-cookie"]
    assert (await grace.get("/admin/")).status_code == 200  # a page that shows none leaves it
    assert (await grace.get("/admin/flashes")).json() == [{"kind": "ok", "text": "Saved."}]
    assert (await grace.get("/admin/flashes")).json() == []


@ONE_DATABASE
async def test_a_forged_flash_is_not_shown(grace: httpx.AsyncClient) -> None:
    grace.cookies.set("bursar_flash", "WyJvayIsICJQYXkgaGVyZSJd.forged.signature", domain="desk.test", path="/")
    assert (await grace.get("/admin/flashes")).json() == []


# ---- static files ----------------------------------------------------------------------------------------------------


@ONE_DATABASE
async def test_static_files_are_kept_for_a_year_under_their_hash(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/login")).text
    address = page.partition('href="')[2].partition('"')[0]
    assert address.startswith("/static/")
    found = await browser.get(address)
    assert found.status_code == 200
    assert "immutable" in found.headers["cache-control"]
    style = await browser.get("/static/tokens.css", headers={"accept-encoding": "gzip"})
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert style.headers["content-encoding"] == "gzip"
    assert style.headers["cache-control"] == "no-cache"
    assert (
        await browser.get("/static/tokens.css", headers={"if-none-match": style.headers["etag"]})
    ).status_code == 304
    assert (await browser.get("/static/fonts/inter-latin.woff2")).headers["content-type"] == "font/woff2"
    assert (await browser.get("/static/nothing.css")).status_code == 404
