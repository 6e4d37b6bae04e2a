"""Flash: one line to be shown on the next page, in a short signed cookie, so that nothing is stored for it.

`flash(request.scope, "ok", _("Saved."))` before a redirect, `take_flashes(request.scope)` where a page is rendered.
The guard sends what `outgoing` says. Litestar's and Starlette's requests both have such a scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from app import cookies

SECONDS = 300
MOST = 5
LONGEST = 300
KINDS = ("ok", "warn", "bad")

_signer: URLSafeTimedSerializer | None = None


def configure(secret_key: str) -> None:
    """The key of this installation; every web process has the same."""
    global _signer
    _signer = URLSafeTimedSerializer(secret_key, salt="bursar.flash")


def signer() -> URLSafeTimedSerializer:
    if _signer is None:
        raise RuntimeError("app.flash.configure() was not called")
    return _signer


def _state(scope: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = scope["state"]
    return state


def flash(scope: Mapping[str, Any], kind: str, text: str) -> None:
    """Show `text` on the next page. kind: ok, warn or bad."""
    if kind not in KINDS:
        raise ValueError(kind)
    _state(scope).setdefault("flashes", []).append((kind, str(text)[:LONGEST]))


def _from_cookie(scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    raw = cookies.get(scope, cookies.FLASH)
    if not raw:
        return []
    try:
        return [(str(kind), str(text)) for kind, text in signer().loads(raw, max_age=SECONDS) if kind in KINDS]
    except (BadData, TypeError, ValueError):
        return []


def take_flashes(scope: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is to be shown on this page, [{kind, text}]; it will not be shown again."""
    state = _state(scope)
    lines = [] if state.get("flashes_taken") else _from_cookie(scope)
    lines += state.pop("flashes", [])
    state["flashes_taken"] = True
    return [{"kind": kind, "text": text} for kind, text in lines]


def outgoing(scope: Mapping[str, Any]) -> None:
    """Called by the guard when a response starts: keeps what is still to be shown, forgets what was."""
    state = _state(scope)
    waiting: list[tuple[str, str]] = state.get("flashes", [])
    if waiting:
        if not state.get("flashes_taken"):
            waiting = _from_cookie(scope) + waiting
        cookies.put(scope, cookies.FLASH, str(signer().dumps(waiting[-MOST:])), max_age=SECONDS)
    elif state.get("flashes_taken") and cookies.get(scope, cookies.FLASH):
        cookies.drop(scope, cookies.FLASH)
