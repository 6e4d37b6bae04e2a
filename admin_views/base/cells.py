"""How a value looks in a list and on a card: chosen by the column's type and what it says of itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from html import escape as escape_all
from html import unescape
from typing import Any

from markupsafe import Markup
from sqlalchemy import Boolean, ColumnElement, Date, Enum
from sqlalchemy.orm import ColumnProperty, Mapper

from app.db import Choice, UtcDateTime, fold
from app.i18n import (
    country_name,
    gettext,
    language,
    language_name,
    show_ago,
    show_bytes,
    show_date,
    show_decimal,
    show_money,
    show_number,
    show_percent,
    zone,
)
from app.render import icon

Cell = Callable[[Any], str]
"""Gives HTML: everything that comes from a row is escaped here."""

TONES = {
    "active": "ok",
    "done": "ok",
    "sent": "ok",
    "answered": "ok",
    "answering": "ok",
    "closed": "",
    "new": "open",
    "suspended": "warn",
    "open": "warn",
    "review": "warn",
    "aside": "warn",
    "taken": "ok",
    "failed": "bad",
    "cancelled": "",
    "approval": "warn",
    "missed": "warn",
    "paused": "warn",
    "scheduled": "open",
    "running": "live",
    "starting": "live",
    "checking": "live",
    "choosing": "live",
    "reading": "live",
    "read": "open",
    "undoing": "live",
    "undone": "",
    "checked": "open",
    "due": "open",
    "leased": "live",
    "skipped": "",
    "stopped": "warn",
    "broken": "bad",
    "ordered": "info",
    "in_progress": "info",
    "high": "warn",
    "paid": "ok",
    "pending": "open",
    "refunded": "",
    "fraud": "bad",
    "draft": "open",
    "issued": "info",
    "overdue": "bad",
}
"""The tone of a state: the usual is quiet (ok, open, live), the unusual has a ground (warn, bad, info)."""


_special = re.compile(r"""[&<>"']""").search


def escape(text: str) -> str:
    """HTML of plain text. A page escapes some 300 short texts, and hardly any has something to escape."""
    return escape_all(text) if _special(text) else text


def esc(value: Any) -> str:
    return escape(str(value))


def ready(html: str) -> Markup:
    """HTML that a cell has made, for a template: everything in it is escaped already."""
    return Markup(html)  # noqa: S704


def badge(value: Choice) -> str:
    """A state as a badge; a state without a tone is plain words."""
    return _badge(value, language())


@lru_cache(maxsize=1024, typed=True)  # a Choice equals its value, and so the one of another kind
def _badge(value: Choice, _language: str) -> str:
    tone, label = TONES.get(value.value), esc(value.label)
    if tone is None:
        return label
    if tone in ("ok", "open", "live"):
        dot = "info live" if tone == "live" else tone
        return f'<span class="badge quiet"><span class="dot {dot}"></span>{label}</span>'
    return f'<span class="badge {tone}">{label}</span>'


def swatch(hue: int, text: str, *, round: bool = False) -> str:
    box = "" if round else " box"
    return f'<span class="badge quiet hue-{int(hue)}"><span class="dot{box}"></span><bdi>{esc(text)}</bdi></span>'


def moment(value: datetime | None) -> str:
    """Relative to now; the exact moment in the reader's zone on hover, in a row that has the keyboard, and read out."""
    if value is None:
        return ""
    exact = value.astimezone(zone()).isoformat(" ", "minutes")[:16]  # a third of what strftime takes
    return (
        f'<time datetime="{value.isoformat()}" title="{exact}">{escape(show_ago(value))}'
        f'<span class="sr">, {exact}</span></time>'
    )


def copyable(text: Any, html: str = "") -> str:
    """A value with a button that copies it; `html` where it is shown in another way."""
    before, behind = _copy(language())
    plain = escape(str(text))
    return f'<span class="copies">{html or plain}{before}{plain}" data-copy-text="{plain}{behind}'


def copied(key: str, shown: Cell) -> Cell:
    """The cell with a button that copies its plain value: for what people paste elsewhere, IDs and addresses."""

    def cell(obj: Any) -> str:
        value = getattr(obj, key)
        return shown(obj) if value in (None, "") else copyable(value, shown(obj))

    return cell


@lru_cache
def _copy(_language: str) -> tuple[str, str]:
    """What stands before and behind the value in the button, in the reader's language."""
    label = escape(gettext("Copy"))
    opening = f'<button class="copy" type="button" title="{label}" aria-label="{label}: '
    return opening, f'">{icon("copy", "tiny")}</button></span>'


def link(screen: str, pk: int, text: str) -> str:
    return f'<a class="soft" href="/admin/{screen}/details/{int(pk)}"><bdi>{esc(text)}</bdi></a>'


def short(code: str, name: Callable[[str], str]) -> str:
    """A code with its name on hover."""
    return f'<span title="{esc(name(code))}">{esc(code)}</span>'


def mail(address: str) -> str:
    """An e-mail address on a card: to write to, and to copy."""
    if not address:
        return ""
    return copyable(address, f'<a href="mailto:{esc(address)}"><bdi>{esc(address)}</bdi></a>')


def money(minor: int, currency: str) -> str:
    return str(show_money(minor, currency))


def figure(text: str) -> str:
    """A figure with its unit: it reads from left to right everywhere."""
    return f'<bdi dir="ltr" class="num">{esc(text)}</bdi>'


def words(value: Any) -> str:
    """Plain text, cut where it is long."""
    text = str(value) if value not in (None, "") else ""
    return f"<bdi>{escape(text[:117] + '…' if len(text) > 120 else text)}</bdi>" if text else ""


def _yes_no(value: Any) -> str:
    return esc(gettext("Yes")) if value else f'<span class="faint">{esc(gettext("No"))}</span>'


def _relation(key: str, target: str) -> Cell:
    def cell(obj: Any) -> str:
        other = getattr(obj, key)
        if other is None:
            return ""
        if hasattr(other, "hue"):
            return swatch(other.hue, str(other), round=target == "attitude")
        return (
            link(target, other.id, str(other)) if target in ("customer", "campaign", "user", "staff") else words(other)
        )

    return cell


def relation_of(mapper: Mapper[Any], column: ColumnElement[Any]) -> Any | None:
    """The many-to-one relationship that a foreign key column carries, or None."""
    for relation in mapper.relationships:
        if relation.direction.name == "MANYTOONE" and column in relation.local_columns:
            return relation
    return None


def cell_of(mapper: Mapper[Any], prop: ColumnProperty[Any]) -> Cell:
    """The function that shows this column of a row."""
    column, key = prop.columns[0], prop.key
    info, kind = column.info, column.type
    if (relation := relation_of(mapper, column)) is not None:
        return _relation(relation.key, relation.mapper.class_.__tablename__)
    widget = info.get("widget", "")
    if widget == "money":
        currency = info["currency"]
        return lambda obj: money(getattr(obj, key), getattr(obj, currency))
    shown: Cell
    if widget == "percent":
        shown = lambda value: "" if value is None else figure(show_percent(value))  # noqa: E731
    elif widget == "rate":
        shown = lambda value: "" if value is None else figure(show_decimal(value, 9))  # noqa: E731
    elif isinstance(kind, Enum):
        shown = lambda value: badge(value) if value is not None else ""  # noqa: E731
    elif isinstance(kind, UtcDateTime):
        shown = moment
    elif isinstance(kind, Date):
        shown = lambda value: esc(show_date(value)) if isinstance(value, date) else ""  # noqa: E731
    elif isinstance(kind, Boolean):
        shown = _yes_no
    elif widget == "hue":
        shown = lambda value: swatch(value, "")  # noqa: E731
    elif widget == "country":
        shown = lambda value: esc(country_name(value)) if value else ""  # noqa: E731
    elif widget in ("language", "language_or_none", "panel_language"):
        shown = lambda value: esc(language_name(value)) if value else ""  # noqa: E731
    elif widget == "languages":
        shown = lambda value: esc(", ".join(language_name(code) for code in value or []))  # noqa: E731
    elif widget == "per_language":
        shown = lambda value: esc(", ".join(f"{language_name(c)}: {text}" for c, text in (value or {}).items() if text))  # noqa: E731
    elif widget == "icon":
        shown = lambda value: str(icon(value)) if value else ""  # noqa: E731
    elif widget == "bytes":
        shown = lambda value: esc(show_bytes(value or 0))  # noqa: E731
    elif isinstance(kind.python_type, type) and issubclass(kind.python_type, int) and info.get("css") != "id":
        shown = lambda value: esc(show_number(value)) if value is not None else ""  # noqa: E731
    else:
        shown = words
    return lambda obj: shown(getattr(obj, key))


# ---- what was searched for ------------------------------------------------------------------------------------------

_TAG, _ENTITY = re.compile(r"(<[^>]*>)"), re.compile(r"&[^;]*;|.", re.DOTALL)


@lru_cache(maxsize=4096)
def _plain(sign: str) -> str:
    """One character of HTML as `fold` makes it; several or none where it falls apart."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", unescape(sign)).casefold())
    return "".join(c for c in text if not unicodedata.combining(c))


class Marker:
    """Marks the words of a search in HTML that cells have made, where the search itself finds them: case and accents
    do not count, and a word of one or two characters begins a word. Tags stay as they are."""

    def __init__(self, search: str) -> None:
        words = sorted(dict.fromkeys(fold(search).split()), key=len, reverse=True)[:8]
        begins = [rf"(?<!\S){re.escape(w)}" if len(w) < 3 else re.escape(w) for w in words]
        self.words = re.compile("|".join(begins)) if begins else None

    def __call__(self, html: str) -> str:
        if self.words is None:
            return html
        return "".join(part if part.startswith("<") else self._text(part) for part in _TAG.split(html))

    def _text(self, html: str) -> str:
        assert self.words is not None
        if html.isascii() and "&" not in html and self.words.search(html.lower()) is None:
            return html  # most of them
        signs = _ENTITY.findall(html)
        folded = [_plain(s) for s in signs]
        at = [i for i, text in enumerate(folded) for _c in text]
        made, done = [], 0
        for found in self.words.finditer("".join(folded)):
            first, last = at[found.start()], at[found.end() - 1] + 1
            if first >= done:
                made += [*signs[done:first], "<mark>", *signs[first:last], "</mark>"]
                done = last
        return "".join([*made, *signs[done:]]) if made else html
