"""Pages from templates: one Jinja environment, for the panel and for the client area."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from app import i18n

TEMPLATES = Path(__file__).parent.parent / "templates"
STATIC = TEMPLATES / "static"


@lru_cache
def static_version() -> str:
    """A digest of all static files: part of their address, so that they may be cached for a year."""
    digest = hashlib.sha256()
    for path in sorted(p for p in STATIC.rglob("*") if p.is_file()):
        digest.update(path.relative_to(STATIC).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache
def static_url() -> str:
    """The address of ``templates/static``."""
    return f"/static/{static_version()}"


@lru_cache(maxsize=512)
def icon(name: str, css: str = "") -> Markup:
    """A picture of the sprite."""
    return Markup('<svg class="{}" aria-hidden="true"><use href="{}/sprite.svg#{}"/></svg>').format(
        f"icon {css}" if css else "icon", static_url(), name
    )


@lru_cache
def environment() -> jinja2.Environment:
    """The environment: synchronous (an order of magnitude faster than async), strict, everything escaped."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.install_gettext_callables(i18n.gettext, i18n.ngettext, newstyle=True)  # type: ignore[attr-defined]
    env.globals.update(static=static_url(), svg_icon=icon, words=words)
    env.filters.update(
        ago=i18n.show_ago, moment=i18n.show_moment, day=i18n.show_date, number=i18n.show_number,
        language_name=i18n.language_name, money=i18n.show_money,
    )  # fmt: skip
    return env


def page(template: str, **context: Any) -> str:
    """The HTML of a template under ``templates/``."""
    return environment().get_template(template).render(context)


def words() -> Markup:
    """What the scripts say, at the end of every page; rendered once per language."""
    return _words(i18n.language())


@lru_cache
def _words(_language: str) -> Markup:
    return Markup(page("words.html"))  # noqa: S704


def initials(name: str) -> str:
    """Two letters for an avatar."""
    words = [w for w in name.replace("@", " ").split() if w[:1].isalnum()]
    letters = [w[0] for w in words[:2]] or [name[:1] or "?"]
    return "".join(c.title() for c in letters)  # not upper: hardly a font has the capitals of Georgian
