"""One guard before everything: who asks, may this reach us at all, and the headers of every answer.

Plain ASGI, because what Litestar and SQLAdmin offer does not hold around a mount. In order:
path, host, cross-site check, session, size of the body; then the application; then headers and cookies.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from app import cookies, flash
from app.domain import sessions
from app.domain.config import live
from app.domain.sessions import SessionView
from app.errors import AppError, Forbidden, TooLarge
from app.i18n import _, best, from_header, speaking
from app.models.sessions import SessionKind
from app.observe import Actor, Kind, acting, log, request_id
from app.settings import Settings
from app.web import branding, errors, preview

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
EXEMPT: tuple[str, ...] = ("/unsubscribe/", "/inbound/", "/webhooks/")
"""Path prefixes that other machines post to (webhooks, one-click unsubscribe): no cross-site check there. They must
not act for the person of a cookie."""
OPEN = branding.OPEN
"""Paths that concern nobody: no session is looked up."""

BODY = 1024 * 1024
AROUND_FILES = 5 * 1024 * 1024
"""What a multipart body may hold besides the largest upload."""
POSTED = {"/inbound/": 50 * 1024 * 1024}
"""Beginning of a path -> what another machine may post there; it is read only after the secret was checked."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src 'self'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Set on every answer that does not bring its own."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})(:\d{1,5})?")
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def visitor(scope: Any) -> SessionView | None:
    """The signed-in person of a request: in the client area a user or a visit by staff, elsewhere staff."""
    found: SessionView | None = scope["state"].get("visitor")
    return found


class Guard:
    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self.trust_proxy = settings.trust_proxy
        self.uploads = settings.max_upload_bytes + AROUND_FILES
        self.public = urlsplit(settings.public_url) if settings.public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            scope = {**scope, "state": dict(scope.get("state") or {}), "session": {}}
            token = request_id.set(secrets.token_hex(8))
            try:
                with acting(Actor(Kind.NOBODY, ip=self._ip(scope))):
                    await self._request(scope, receive, send)
            finally:
                request_id.reset(token)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        scope["scheme"] = self._scheme(scope)
        state.update(path=scope["path"], https=scope["scheme"] == "https", visitor=None)
        answer = _Answer(scope, send)
        with speaking(self._language(scope, None), "UTC"):
            try:
                self._check_path(scope)
                await self._check_host(scope)
                await branding.by_path(scope)
                self._check_site(scope)
                view = await self._visitor(scope)
                await branding.choose(scope, view)
            except AppError as error:
                return await answer.refuse(error.status, str(error))
            except (SQLAlchemyError, OSError) as error:
                log("web").error("the database does not answer: %s", type(error).__name__)
                return await answer.refuse(503, str(errors.SENTENCES[503]))
        state["visitor"] = view
        zone = _zone(view.timezone if view else "")
        with speaking(self._language(scope, view), zone), acting(self._actor(scope, view)):
            if (why := preview.refusal(scope, SAFE)) is not None:
                return await answer.refuse(403, why)
            await self._run(scope, receive, answer, self._most(scope, view))
            if view is not None:
                try:
                    await sessions.touch(view)  # after the answer: nobody waits for it
                except Exception as error:
                    log("web").warning("last use of a session not noted: %s", type(error).__name__)
        return None

    async def _run(self, scope: Scope, receive: Receive, answer: _Answer, most: int) -> None:
        given = _header(scope, b"content-length")
        if given and (not given.isdecimal() or len(given) > 18):
            return await answer.refuse(400, str(errors.SENTENCES[400]))
        if given and int(given) > most:
            return await answer.refuse(413, errors.too_large(most))
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            if message["type"] == "http.request":
                came += len(message.get("body", b""))
                if came > most:
                    answer.too_large = True
                    raise TooLarge(errors.too_large(most))
            return message

        try:
            await self.app(scope, counted, answer)
        except Exception as error:
            if answer.too_large:
                pass
            else:
                log("web").error("failed: %s %s", scope["method"], errors.path_of(scope), exc_info=error)
                if not answer.started:
                    return await answer.refuse(500, errors.broken())
        if answer.too_large and not answer.started:
            await answer.refuse(413, errors.too_large(most))
        return None

    # ---- may it come in ---------------------------------------------------------------------------------------

    def _check_path(self, scope: Scope) -> None:
        raw: bytes = scope.get("raw_path") or str(scope["path"]).encode()
        raw = raw.partition(b"?")[0]
        query: bytes = scope.get("query_string", b"")
        plain = unquote_to_bytes(raw)
        try:
            text = plain.decode()
        except UnicodeDecodeError:
            text = "\0"
        odd = "//" in text or not {".", ".."}.isdisjoint(text.split("/"))  # two readings of one path: refused
        if (
            odd
            or _BROKEN.search(raw)
            or any(ord(c) < 32 or ord(c) == 127 for c in text)
            or b"%00" in query
            or b"\0" in query
        ):
            raise AppError(str(errors.SENTENCES[400]), 400)

    async def _check_host(self, scope: Scope) -> None:
        hosts = [value for key, value in scope["headers"] if key == b"host"]
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if not _HOST.fullmatch(host):
            raise AppError(str(errors.SENTENCES[400]), 400)
        if scope["path"] == "/health":
            return
        place = _place(self.public.scheme if self.public else scope["scheme"], host)
        scope["state"]["place"] = place
        if place == self._public_place() or (not self.public and _starts(scope["path"], ("/static/",))):
            return
        if not await branding.by_host(scope, place, self._public_place()) and self.public:
            raise AppError(str(errors.SENTENCES[421]), 421)

    def _check_site(self, scope: Scope) -> None:
        """Refuse what another site makes a browser send. Sec-Fetch-Site is absent on plain http, Origin hardly ever."""
        if scope["method"] in SAFE or (EXEMPT and _starts(scope["path"], EXEMPT)):
            return
        site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
        if site:
            passes = site in ("same-origin", "none")
        elif origin:
            passes = self._ours(scope, origin)
        else:
            sent = cookies.read(scope)
            passes = not any(cookies.named(name, https=s) in sent for name in cookies.ALL for s in (True, False))
        if not passes:
            raise Forbidden(_("This came from another site and was refused. Open the page again and repeat it here."))

    def _ours(self, scope: Scope, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
            place = _place(parts.scheme, parts.netloc)
        except ValueError:
            return False
        if self.public:
            return parts.scheme == self.public.scheme and place == scope["state"].get("place")
        return parts.scheme in ("http", "https") and place == _place(parts.scheme, _header(scope, b"host"))

    def _public_place(self) -> str:
        return _place(self.public.scheme, self.public.netloc) if self.public else ""

    # ---- who is it --------------------------------------------------------------------------------------------

    async def _visitor(self, scope: Scope) -> SessionView | None:
        if _starts(scope["path"], OPEN):
            return None
        view = await self._find(scope)
        await live.keep_up(view.config if view else None)
        return view

    async def _find(self, scope: Scope) -> SessionView | None:
        """The session of the cookie that counts here. A token that is not (any more) ours is removed, never adopted."""
        if not errors.in_client_area(scope["path"]):
            view = await self._session(scope, cookies.STAFF, SessionKind.STAFF)
            if view is not None:
                view = await preview.look(scope, view)
                scope["session"] = {
                    "staff_id": view.staff_id, "grants": view.grants, "name": view.staff_name,
                    "session_id": view.id, "seen_at": view.seen_at,
                    "look": (view.theme, view.density, view.shortcuts),
                }  # fmt: skip
            return view
        if cookies.get(scope, cookies.VISIT):
            view = await self._session(scope, cookies.VISIT, SessionKind.VISIT)
            # not the customer that this browser may be signed in as besides: a click must not land in another account
            scope["state"]["visit_ended"] = view is None
        else:
            view = await self._session(scope, cookies.CLIENT, SessionKind.CLIENT)
            if view is None and (token := cookies.get(scope, cookies.CLIENT)):
                scope["state"]["shut"] = await sessions.shut_project(token)
        return view if branding.serves(scope, view) else None

    async def _session(self, scope: Scope, name: str, kind: SessionKind) -> SessionView | None:
        token = cookies.get(scope, name)
        if not token:
            return None
        view = await sessions.session_of(token)
        if view is None or view.kind is not kind:
            cookies.drop(scope, name)
            return None
        return view

    def _actor(self, scope: Scope, view: SessionView | None) -> Actor:
        ip = self._ip(scope)
        if view is None:
            return Actor(Kind.NOBODY, ip=ip)
        if view.user_id is not None:
            return Actor(Kind.USER, user_id=view.user_id, customer_id=view.customer_id, session_id=view.id, ip=ip)
        # In a visit every query starts from the customer, whose project was compared with the limits of the person;
        # with those limits on top, staff would not see the same messages as the customer.
        limits = None if view.is_visit else view.projects
        return Actor(Kind.STAFF, view.staff_id, None, view.customer_id, limits, view.id, ip)

    def _ip(self, scope: Scope) -> str | None:
        told = (scope.get("client") or ("",))[0]
        passed = [value for key, value in scope["headers"] if key == b"x-forwarded-for"] if self.trust_proxy else []
        if passed:  # the last of the last line is what our proxy saw; the others anybody can write
            told = passed[-1].decode("latin-1").rpartition(",")[2].strip()
        try:
            return str(ipaddress.ip_address(told))
        except ValueError:
            return None

    def _scheme(self, scope: Scope) -> str:
        if self.public:
            return self.public.scheme
        if self.trust_proxy and (passed := _header(scope, b"x-forwarded-proto")) in ("http", "https"):
            return passed
        return str(scope.get("scheme", "http"))

    def _language(self, scope: Scope, view: SessionView | None) -> str:
        offered, usual = branding.languages(scope, view)
        if view is not None and view.language:
            return best(view.language, offered) or usual
        chosen = cookies.get(scope, cookies.LANGUAGE)
        if chosen in offered:
            return chosen
        return from_header(_header(scope, b"accept-language"), offered) or usual

    def _most(self, scope: Scope, view: SessionView | None) -> int:
        for place, most in POSTED.items():
            if _starts(scope["path"], (place,)):
                return most
        files = _header(scope, b"content-type").lower().startswith("multipart/form-data")
        return self.uploads if files and view is not None else BODY


class _Answer:
    """What goes out: our headers and cookies on every answer, and our own page instead of a failed one."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self.send = scope, send
        self.started = self.too_large = False

    async def __call__(self, message: Message) -> None:
        if self.too_large and not self.started:
            return  # what the application says of the cut body does not matter
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": self._headers(list(message.get("headers", ())))}
        await self.send(message)

    async def refuse(self, status: int, text: str) -> None:
        content, kind = errors.body(self.scope, status, text)
        self.too_large = False
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
        await self({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if self.scope["method"] == "HEAD" else content
        await self({"type": "http.response.body", "body": body})

    def _headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        present = {key.lower() for key, _value in headers}
        wanted = {**HEADERS, "x-request-id": request_id.get()}
        if not errors.path_of(self.scope).startswith("/static/"):
            wanted["cache-control"] = "no-store"
        if self.scope["state"]["https"]:
            wanted["strict-transport-security"] = "max-age=31536000"
        headers += [(k.encode(), v.encode()) for k, v in wanted.items() if k.encode() not in present]
        flash.outgoing(self.scope)
        for line in self.scope["state"].get("set_cookies", {}).values():
            headers.append((b"set-cookie", line.encode("latin-1")))
        return headers


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1").strip() for key, value in scope["headers"] if key == name), "")


def _starts(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == p.rstrip("/") or path.startswith(p) for p in prefixes)


def _place(scheme: str, netloc: str) -> str:
    """host:port in lower case, the port always written."""
    netloc = netloc.lower()
    with_port = re.search(r":\d+$", netloc) is not None
    return netloc if with_port else f"{netloc}:{443 if scheme == 'https' else 80}"


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key if name else "UTC"
    except (ValueError, OSError, KeyError):
        return "UTC"
