"""Pages of the client area and of signing in: what every one of them needs, added to `app.render`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from app import i18n, render

SITE = "Bursar"


def languages(offered: Collection[str] = tuple(i18n.LANGUAGES)) -> list[dict[str, Any]]:
    """The menu of languages: [{code, name, current}]."""
    here = i18n.language()
    return [{"code": c, "name": name, "current": c == here} for c, name in i18n.LANGUAGES.items() if c in offered]


def page(template: str, context: Mapping[str, Any] | None = None, /, **more: Any) -> str:
    """The finished page in the reader's language."""
    return render.page(template, **{"site": SITE, "locale": i18n.language(), **(context or {}), **more})
