"""How a value looks in a list and on a card: chosen by the column's type and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from markupsafe import Markup, escape
from sqlalchemy import Boolean, ColumnElement, Date, Enum
from sqlalchemy.orm import ColumnProperty, Mapper

from app.db import Choice, UtcDateTime
from app.i18n import country_name, gettext, language_name, show_ago, show_date, show_moment, show_money, show_number

Cell = Callable[[Any], Markup | str]

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
    "failed": "bad",
    "cancelled": "",
    "running": "live",
    "starting": "live",
    "due": "open",
    "leased": "live",
    "skipped": "",
    "ordered": "info",
    "in_progress": "info",
    "high": "warn",
}
"""The tone of a state: the usual is quiet (ok, open, live), the unusual has a ground (warn, bad, info)."""


def badge(value: Choice) -> Markup:
    """A state as a badge; a state without a tone is plain words."""
    tone = TONES.get(value.value)
    if tone is None:
        return escape(str(value.label))
    if tone in ("ok", "open", "live"):
        dot = {"live": "info live"}.get(tone, tone)
        return Markup('<span class="badge quiet"><span class="dot {}"></span>{}</span>').format(dot, str(value.label))
    return Markup('<span class="badge {}">{}</span>').format(tone, str(value.label))


def swatch(hue: int, text: str, *, round: bool = False) -> Markup:
    return Markup('<span class="badge quiet hue-{}"><span class="dot{}"></span><bdi>{}</bdi></span>').format(
        hue, "" if round else " box", text
    )


def moment(value: datetime | None) -> Markup | str:
    if value is None:
        return ""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(), show_moment(value), show_ago(value)
    )


def size(n: int) -> str:
    """Bytes for people: 184 kB."""
    amount = float(n)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _text(value: Any) -> Markup | str:
    text = str(value) if value not in (None, "") else ""
    return Markup("<bdi>{}</bdi>").format(text[:117] + "…" if len(text) > 120 else text) if text else ""


def _yes_no(value: Any) -> str:
    return gettext("Yes") if value else gettext("No")


def _relation(key: str, target: str) -> Cell:
    def cell(obj: Any) -> Markup | str:
        other = getattr(obj, key)
        if other is None:
            return ""
        if hasattr(other, "hue"):
            return swatch(other.hue, str(other), round=target == "attitude")
        if target in ("customer", "campaign", "user"):
            return Markup('<a class="soft" href="/admin/{}/details/{}"><bdi>{}</bdi></a>').format(
                target, other.id, str(other)
            )
        return _text(other)

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
    if column.foreign_keys and (relation := relation_of(mapper, column)) is not None:
        return _relation(relation.key, relation.mapper.class_.__tablename__)
    widget = info.get("widget", "")
    if widget == "money":
        currency = info["currency"]
        return lambda obj: show_money(getattr(obj, key), getattr(obj, currency))
    shown: Callable[[Any], Markup | str]
    if isinstance(kind, Enum):
        shown = lambda value: badge(value) if value is not None else ""  # noqa: E731
    elif isinstance(kind, UtcDateTime):
        shown = moment
    elif isinstance(kind, Date):
        shown = lambda value: show_date(value) if isinstance(value, date) else ""  # noqa: E731
    elif isinstance(kind, Boolean):
        shown = _yes_no
    elif widget == "hue":
        shown = lambda value: swatch(value, "")  # noqa: E731
    elif widget == "country":
        shown = lambda value: country_name(value) if value else ""  # noqa: E731
    elif widget in ("language", "language_or_none", "panel_language"):
        shown = lambda value: language_name(value) if value else ""  # noqa: E731
    elif widget == "languages":
        shown = lambda value: ", ".join(language_name(code) for code in value or [])  # noqa: E731
    elif widget == "bytes":
        shown = lambda value: size(value or 0)  # noqa: E731
    elif widget in ("staff", "user", "customer"):
        shown = lambda value: _numbered(widget, value)  # noqa: E731
    elif isinstance(kind.python_type, type) and issubclass(kind.python_type, int) and info.get("css") != "id":
        shown = lambda value: show_number(value) if value is not None else ""  # noqa: E731
    else:
        shown = _text
    return lambda obj: shown(getattr(obj, key))


def _numbered(screen: str, value: int | None) -> Markup | str:
    if not value:
        return ""
    return Markup('<a class="soft" href="/admin/{}/details/{}">#{}</a>').format(screen, value, value)
