"""The list of a screen: what the address asks for, the rows by keyset, and how many match."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters
from app.db import UtcDateTime, estimated_rows, weigh
from app.errors import AppError
from app.i18n import _, show_number
from app.observe import Kind, actor

if TYPE_CHECKING:
    from admin_views.base.screen import AppView

SIZES = (25, 50, 100)
COUNTED = 10_000
"""Above so many matches the list says "10,000+" instead of counting on."""

OWN = {"search", "sort", "size", "after", "before", "last", "from", "pin", "pks", "all"}
"""Parameters of the list itself; whatever else is in the address belongs to the filter."""


@dataclass(frozen=True)
class Asked:
    """What the address of a list asks for."""

    search: str = ""
    sort: str = ""
    descending: bool = True
    size: int = SIZES[0]
    after: list[Any] | None = None
    before: list[Any] | None = None
    last: bool = False
    start: int = 1
    filter_params: tuple[tuple[str, str], ...] = ()
    condition: filters.Condition | None = None
    pin: tuple[int, ...] = ()

    def query(self, **changes: Any) -> str:
        """The query string of the same list, with `changes`; paging starts anew unless it is among them."""
        asked = replace(self, after=None, before=None, last=False, start=1, **changes)
        pairs: list[tuple[str, str]] = [("search", asked.search)] if asked.search else []
        pairs += asked.filter_params
        if asked.sort:
            pairs.append(("sort", ("-" if asked.descending else "") + asked.sort))
        if asked.size != SIZES[0]:
            pairs.append(("size", str(asked.size)))
        if asked.pin:
            pairs.append(("pin", ",".join(map(str, asked.pin))))
        return urlencode(pairs)


@dataclass
class Page:
    rows: list[Any]
    asked: Asked
    total: int
    capped: bool
    has_previous: bool = False
    has_next: bool = False
    first_key: str = ""
    last_key: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def total_text(self) -> str:
        return show_number(COUNTED) + "+" if self.capped else show_number(self.total)


def _bad(what: str) -> AppError:
    return AppError(_("The address of this list is not valid: %(what)s.") % {"what": what}, 400)


def parse_ids(text: str) -> tuple[int, ...]:
    """Ids from "1,2,3"; raises AppError 400 for anything else."""
    ids = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        if not (part.isascii() and part.isdecimal() and len(part) < 19):
            raise _bad(_("an ID is not a number"))
        ids.append(int(part))
    if len(ids) > 1000:
        raise _bad(_("more than 1,000 IDs"))
    return tuple(dict.fromkeys(ids))


def read(
    view: AppView, params: Sequence[tuple[str, str]], pin: tuple[int, ...] = (), *, allowed: filters.Allowed
) -> Asked:
    """Read the query parameters of a list. allowed: see `may_filter`. Raises AppError 400 with a sentence."""
    own = {name: value for name, value in params if name in OWN}
    if any("\0" in name or "\0" in value for name, value in params):
        raise _bad(_("a NUL character"))
    search = own.get("search", "").strip()
    if len(search) > 1000:
        raise _bad(_("the search is longer than 1,000 characters"))
    sort = own.get("sort", "")
    name = sort.removeprefix("-")
    if name and name not in view.plan.sortable:
        raise _bad(_("unknown sort column"))
    size = own.get("size", str(SIZES[0]))
    if size not in map(str, SIZES):
        raise _bad(_("unknown page size"))
    start = own.get("from", "1")
    rest = tuple((n, v) for n, v in params if n not in OWN and v.strip())
    return Asked(
        search=search,
        sort=name,
        descending=sort.startswith("-") if name else True,
        size=int(size),
        after=_cursor(own.get("after")),
        before=_cursor(own.get("before")),
        last=own.get("last") == "1",
        start=int(start) if start.isascii() and start.isdecimal() and len(start) < 10 else 1,
        filter_params=rest,
        condition=filters.from_query(rest, view.model, allowed),
        pin=pin,
    )


def _cursor(text: str | None) -> list[Any] | None:
    if not text:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise _bad(_("the page marker is damaged")) from None
    simple = isinstance(values, list) and 1 <= len(values) <= 6
    if not simple or any(not isinstance(v, str | int) or (isinstance(v, int) and abs(v) >= 2**63) for v in values):
        raise _bad(_("the page marker is damaged"))
    return list(values)


def _encode(values: list[Any]) -> str:
    plain = [v.isoformat() if isinstance(v, datetime | date) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(plain, default=str).encode()).decode().rstrip("=")


@dataclass(frozen=True)
class _Key:
    """One expression of the sort order; `attr` reads the same value from a row."""

    expression: ColumnElement[Any]
    attr: str
    empty: Any
    descending: bool

    def of(self, row: Any) -> Any:
        value = getattr(row, self.attr)
        return self.empty if value is None else value

    def parse(self, value: Any) -> Any:
        wanted = type(self.empty)
        try:
            if wanted is datetime:
                return datetime.fromisoformat(value)
            if wanted is date:
                return date.fromisoformat(value)
        except (TypeError, ValueError):
            raise _bad(_("the page marker is damaged")) from None
        if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
            raise _bad(_("the page marker is damaged"))
        return value


def _empty(kind: Any) -> Any:
    if isinstance(kind, UtcDateTime):
        return datetime(1, 1, 2, tzinfo=UTC)
    python = kind.python_type
    return date(1, 1, 2) if python is date else (False if python is bool else (0 if python is int else ""))


def keys_of(view: AppView, asked: Asked) -> list[_Key]:
    """The sort order: the asked column, then the primary key as a tie-breaker, all in one direction."""
    names = [p.key for p in view.pk_props]
    if asked.sort and asked.sort not in names:
        names.insert(0, view.plan.sortable[asked.sort])
    elif asked.sort:
        names = [asked.sort, *(n for n in names if n != asked.sort)]
    keys = []
    for name in names:
        column = view.mapper.column_attrs[name].columns[0]
        expression: ColumnElement[Any] = getattr(view.model, name)
        empty = _empty(column.type)
        if column.nullable:
            expression = func.coalesce(expression, literal(empty, column.type))
        keys.append(_Key(expression, name, empty, asked.descending))
    return keys


def order_by(keys: list[_Key], descending: bool) -> list[ColumnElement[Any]]:
    return [k.expression.desc() if descending else k.expression.asc() for k in keys]


def _parse(keys: list[_Key], values: list[Any]) -> list[Any]:
    """The values of a page marker. Raises AppError 400."""
    if len(values) != len(keys):
        raise _bad(_("the page marker is damaged"))
    return [k.parse(v) for k, v in zip(keys, values, strict=True)]


def beyond(keys: list[_Key], values: list[Any], *, backwards: bool = False) -> ColumnElement[bool]:
    """Rows behind (or before) the row that had these values."""
    # compared as a whole it is one range of an index; taken apart into ANDs and ORs both databases read the index
    # from its beginning. Keys are never NULL.
    here = tuple_(*(k.expression for k in keys))
    there = tuple_(*(literal(v, k.expression.type) for k, v in zip(keys, values, strict=True)))
    return here < there if keys[0].descending is not backwards else here > there


def narrowed(view: AppView, asked: Asked) -> Select[Any]:
    """All rows that match search, filter and the pinned customers; the session adds the scope."""
    statement: Select[Any] = select(view.model)
    if asked.search and (found := view.search(asked.search)) is not None:
        statement = statement.where(found)
    if asked.condition is not None:
        statement = statement.where(filters.compile(asked.condition, view.model))
    if asked.pin and (mine := view.of_customers(asked.pin)) is not None:
        statement = statement.where(mine)
    for condition in view.always():
        statement = statement.where(condition)
    return statement


async def count(session: AsyncSession, statement: Select[Any], most: int = COUNTED) -> tuple[int, bool]:
    """How many rows match, and whether it stopped counting at `most`. Of all rows of a large table: nearly."""
    who = actor.get()
    if statement.whereclause is None and (who.kind is not Kind.STAFF or who.projects is None):
        return await estimated_rows(session, statement.column_descriptions[0]["entity"].__table__), False
    await weigh(session, statement)
    inner = statement.with_only_columns(literal(1), maintain_column_froms=True).order_by(None).limit(most + 1)
    n = await session.scalar(select(func.count()).select_from(inner.subquery())) or 0
    return (most, True) if n > most else (n, False)


async def totals(session: AsyncSession, view: AppView, asked: Asked) -> list[tuple[str, str, int]]:
    """The sums of money columns over all rows that match: (label, currency, minor units), per currency."""
    found: list[tuple[str, str, int]] = []
    for column in view.plan.columns:
        info = view.mapper.column_attrs[column.key].columns[0].info
        if info.get("widget") != "money":
            continue
        currency, amount = getattr(view.model, info["currency"]), getattr(view.model, column.key)
        statement = narrowed(view, asked).with_only_columns(currency, func.sum(amount), maintain_column_froms=True)
        rows = await session.execute(statement.group_by(currency).order_by(currency))
        found += [(column.label, code, int(total)) for code, total in rows if total is not None]
    return found


async def fetch(session: AsyncSession, view: AppView, asked: Asked, *, only: ColumnElement[bool] | None = None) -> Page:
    """One page of rows. `only`: a further condition (the record on whose card the list stands)."""
    statement = narrowed(view, asked)
    if only is not None:
        statement = statement.where(only)
    total, capped = await count(session, statement)
    keys = keys_of(view, asked)
    backwards = asked.before is not None or asked.last
    if (marker := asked.before or asked.after) is not None:
        statement = statement.where(beyond(keys, _parse(keys, marker), backwards=asked.before is not None))
    flip = asked.descending is not backwards
    statement = statement.order_by(*order_by(keys, flip))
    statement = statement.options(*view.list_options([k.attr for k in keys])).limit(asked.size + 1)
    rows = list((await session.scalars(statement)).unique())
    more = len(rows) > asked.size
    rows = rows[: asked.size]
    if backwards:
        rows.reverse()
    page = Page(rows, asked, total, capped)
    page.has_previous = more if backwards else asked.after is not None
    page.has_next = more if not backwards else not asked.last
    if rows:
        page.first_key = _encode([k.of(rows[0]) for k in keys])
        page.last_key = _encode([k.of(rows[-1]) for k in keys])
    return page
