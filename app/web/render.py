"""Pages of the client area and of signing in: what every one of them needs, added to `app.render`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import i18n, render

SITE = "Bursar"


def show_bytes(size: int) -> str:
    """A size for people: 812 B, 4.2 MB, in steps of 1000 (SI)."""
    figure, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if figure < 1000:
            break
        figure, unit = figure / 1000, larger
    return f"{figure:.0f} {unit}" if unit == "B" or figure >= 10 else f"{figure:.1f} {unit}"


def languages() -> list[dict[str, Any]]:
    """The menu of languages: [{code, name, current}]."""
    return [{"code": code, "name": name, "current": code == i18n.language()} for code, name in i18n.LANGUAGES.items()]


def page(template: str, context: Mapping[str, Any] | None = None, /, **more: Any) -> str:
    """The finished page in the reader's language."""
    return render.page(template, **{"site": SITE, "locale": i18n.language(), **(context or {}), **more})
