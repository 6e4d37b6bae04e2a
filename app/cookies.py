"""Our cookies: names, attributes and the header values. Works on plain ASGI scopes, so every framework can use it.

On https the names carry the prefixes ``__Host-`` or ``__Secure-`` (RFC 6265bis, 4.1.3): another host of the same
domain cannot plant them. Browsers refuse the prefixes on plain http, so there the bare names are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STAFF = "bursar_staff"
CLIENT = "bursar_client"
VISIT = "bursar_visit"
FLASH = "bursar_flash"
LANGUAGE = "bursar_language"
STEP = "bursar_step"
"""Between the two steps of signing in; opens nothing but the second."""
PREVIEW = "bursar_preview"
"""The role as which a staff member sees the panel just now."""

PATHS: dict[str, str] = {VISIT: "/client"}
"""Cookies that are sent below one path only; all others are sent everywhere."""
ALL = (STAFF, CLIENT, VISIT, FLASH, LANGUAGE, STEP, PREVIEW)
SIGNS_IN = (STAFF, CLIENT, VISIT)

DAY = 24 * 3600


def is_https(scope: Mapping[str, Any]) -> bool:
    """Whether the browser talks https with us, as the guard has found out; else what the server says."""
    state: dict[str, Any] = scope.get("state") or {}
    return bool(state.get("https", scope.get("scheme") == "https"))


def origin(scope: Mapping[str, Any]) -> str:
    """`https://host:port` as the browser knows it; the guard has checked the host."""
    host = next((value.decode("latin-1") for key, value in scope.get("headers", ()) if key == b"host"), "")
    return f"{'https' if is_https(scope) else 'http'}://{host.lower()}"


def named(name: str, *, https: bool) -> str:
    """The name as the browser knows it."""
    if not https:
        return name
    return f"__Secure-{name}" if name in PATHS else f"__Host-{name}"


def header(name: str, value: str, *, https: bool, max_age: int | None = None) -> str:
    """The value of a ``Set-Cookie`` header. max_age in seconds; None: until the browser closes; 0: remove it."""
    parts = [f"{named(name, https=https)}={value}", f"Path={PATHS.get(name, '/')}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    parts += ["HttpOnly", "SameSite=Lax"]
    if https:
        parts.append("Secure")
    return "; ".join(parts)


def visit_cookie(token: str, *, https: bool) -> str:
    """The ``Set-Cookie`` value that carries a visit into the client area; an empty token removes it."""
    return header(VISIT, token, https=https, max_age=None if token else 0)


def read(scope: Mapping[str, Any]) -> dict[str, str]:
    """The cookies of a request by the browser's names; of two with one name the first counts (RFC 6265, 5.4)."""
    found: dict[str, str] = {}
    for key, raw in scope.get("headers", ()):
        if key == b"cookie":
            for part in raw.decode("latin-1").split(";"):
                name, sep, value = part.strip().partition("=")
                if sep:
                    found.setdefault(name, value.strip('"'))
    return found


def get(scope: Mapping[str, Any], name: str) -> str:
    """The value of one of our cookies, or an empty text."""
    return read(scope).get(named(name, https=is_https(scope)), "")


def put(scope: Mapping[str, Any], name: str, value: str, *, max_age: int | None = None) -> None:
    """Send the cookie with the response to this request, whoever makes it; the guard adds the header."""
    line = header(name, value, https=is_https(scope), max_age=max_age)
    scope["state"].setdefault("set_cookies", {})[name] = line


def drop(scope: Mapping[str, Any], name: str) -> None:
    """Remove the cookie from the browser with the response to this request."""
    put(scope, name, "", max_age=0)
