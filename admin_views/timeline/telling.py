"""What a source of the timeline declares, and the words that it finds for its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape
from sqlalchemy import BigInteger, ColumnElement, Integer, Select, String, Text, tuple_
from sqlalchemy.types import TypeEngine
from starlette.requests import Request

from admin_views.access import may
from admin_views.base.cells import esc, ready
from app import db
from app.db import BigId, UtcDateTime

SHAPE: dict[str, TypeEngine[Any]] = {
    "at": UtcDateTime(), "id": BigInteger(), "ref": BigInteger(), "staff": String(), "person": String(),
    "name": String(), "text": Text(), "state": String(), "mark": Integer(), "until": UtcDateTime(),
}  # fmt: skip
"""What every source gives of a row; a source leaves out what it does not need. `at` and `id` order the rows."""


@dataclass(frozen=True)
class Span:
    """Which rows are wanted: of one customer, at most `limit`, before a place in the timeline.

    place: None for the newest; else how the source lies to the one of the last row shown: before it (-1: only earlier
    moments), the same (0: the rest of the moment), behind it (1: the whole moment). The whole order is thereby the
    moment, then the source, then the id; no row is shown twice or left out, even where a thousand share a moment.
    """

    limit: int
    place: int | None

    @property
    def customer(self) -> ColumnElement[int]:
        return db.given("customer", BigId)

    def newest(self, statement: Any, at: Any, key: Any) -> Select[Any]:
        """The statement, narrowed to the newest rows by these two columns."""
        if self.place is not None:
            moment = db.given("before_at", UtcDateTime())
            if self.place == 0:
                statement = statement.where(tuple_(at, key) < tuple_(moment, db.given("before_id", BigId)))
            else:
                statement = statement.where(at < moment if self.place < 0 else at <= moment)
        newest: Select[Any] = statement.order_by(at.desc(), key.desc()).limit(self.limit)
        return newest


@dataclass(frozen=True)
class Reader:
    """Who reads, whose timeline, and what the rows refer to."""

    request: Request
    customer: Any
    names: Mapping[tuple[Any, int], str] = field(default_factory=dict)

    def link(self, screen: str, pk: int, text: str) -> Markup:
        """The name of a row of a screen; a link for those who may see its card."""
        if not may(self.request, screen, "details"):
            return strong(text)
        return ready(f'<a href="/admin/{screen}/details/{int(pk)}"><bdi>{esc(text)}</bdi></a>')


@dataclass(frozen=True)
class Told:
    """One row in words. quote: what somebody wrote. more: further lines. tone: colour of the icon, where unusual."""

    words: Markup
    quote: str = ""
    more: tuple[Markup | str, ...] = ()
    tone: str = ""
    icon: str = ""


@dataclass(frozen=True)
class Source:
    """What one noun adds. `rows` gives the columns of SHAPE, `tell` the words; `grants`: any of them is enough."""

    key: str
    kind: str
    """The chip that it belongs to, see `sources.KINDS`."""
    icon: str
    grants: tuple[tuple[str, str], ...]
    rows: Callable[[Span], Select[Any]]
    tell: Callable[[Any, Reader], Told]

    def seen_by(self, request: Request) -> bool:
        return any(may(request, screen, action) for screen, action in self.grants)


def strong(text: str) -> Markup:
    return ready(f"<b><bdi>{esc(text)}</bdi></b>")


def say(sentence: str, **values: Any) -> Markup:
    """A translated sentence with its ``%(name)s`` filled in; what is not Markup is escaped."""
    return escape(sentence) % values
