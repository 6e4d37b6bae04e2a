"""The pages of a list: where one begins, as an address says it."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import date, datetime
from typing import Any

from app.db.keyset import Key
from app.errors import AppError
from app.i18n import _


def bad(what: str) -> AppError:
    return AppError(_("The address of this list is not valid: %(what)s.") % {"what": what}, 400)


def cursor(text: str | None) -> list[Any] | None:
    if not text:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise bad(_("the page marker is damaged")) from None
    simple = isinstance(values, list) and 1 <= len(values) <= 6
    if not simple or any(not isinstance(v, str | int) or (isinstance(v, int) and abs(v) >= 2**63) for v in values):
        raise bad(_("the page marker is damaged"))
    return list(values)


def encode(values: list[Any]) -> str:
    plain = [v.isoformat() if isinstance(v, datetime | date) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(plain, default=str).encode()).decode().rstrip("=")


def _parsed(key: Key, value: Any) -> Any:
    wanted = type(key.empty)
    try:
        if wanted is datetime:
            return datetime.fromisoformat(value)
        if wanted is date:
            return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise bad(_("the page marker is damaged")) from None
    if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
        raise bad(_("the page marker is damaged"))
    return value


def marker(keys: list[Key], values: list[Any]) -> dict[str, Any]:
    """The parameters of `keyset.beyond` for the row that had these values. Raises AppError 400."""
    if len(values) != len(keys):
        raise bad(_("the page marker is damaged"))
    return {f"key_{i}": _parsed(k, v) for i, (k, v) in enumerate(zip(keys, values, strict=True))}
