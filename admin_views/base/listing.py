"""The list of a screen: what the address asks for, the rows by keyset, and how many match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_views.base.asked import ALL, NOBODY, NOTHING, PLAIN, SIZES, Asked, Saved
from admin_views.base.keyset import bad, cursor, encode, marker
from app import db, filters
from app.db.keyset import Key, beyond, order_by
from app.domain import custom
from app.domain.lists import Meant
from app.domain.views import MOST_COLUMNS, WIDTHS, Columns
from app.i18n import _, gettext, show_number
from app.models import scope
from app.observe import actor

if TYPE_CHECKING:
    from admin_views.base.plan import Plan
    from admin_views.base.screen import AppView

COUNTED = 10_000
"""Above so many matches the list says "10,000+" instead of counting on."""
STILL_LONG = 10.0
"""Seconds for which a list that was too long to count is taken to be so still; what is exact is always counted."""

OWN = {
    "search", "sort", "size", "after", "before", "last", "from", "pin", "pks", "all", "columns", "view", "changed",
    "query",
}  # fmt: skip
"""Parameters of the list itself; whatever else is in the address belongs to the filter."""


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
        return total_text(self.total, self.capped)


def total_text(total: int, capped: bool) -> str:
    return show_number(COUNTED) + "+" if capped else show_number(total)


def parse_ids(text: str) -> tuple[int, ...]:
    """Ids from "1,2,3"; raises AppError 400 for anything else."""
    ids = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        if not (part.isascii() and part.isdecimal() and len(part) < 19):
            raise bad(_("an ID is not a number"))
        ids.append(int(part))
    if len(ids) > 1000:
        raise bad(_("more than 1,000 IDs"))
    return tuple(dict.fromkeys(ids))


def parse_columns(plan: Plan, text: str) -> Columns:
    """Columns from ``name,email:wide``; none for "all", the usual ones. Raises AppError 400."""
    if text in ("", ALL):
        return ()
    if text.count(",") >= MOST_COLUMNS:
        raise bad(_("more than %(n)s columns") % {"n": MOST_COLUMNS})
    known, found = {c.key for c in plan.offered}, {}
    for part in text.split(","):
        key, _colon, width = part.partition(":")
        if key not in known:
            raise bad(_("unknown column"))
        if width not in WIDTHS:
            raise bad(_("unknown width of a column"))
        found[key] = width
    return tuple(found.items())


def read(plan: Plan, params: Sequence[tuple[str, str]], pin: tuple[int, ...] = (), saved: Saved = NOTHING) -> Asked:
    """Read the query parameters of a list. Raises AppError 400 with a sentence; what is wrong with the filter is told
    by `Asked.problem`."""
    own = {name: value for name, value in params if name in OWN}
    if any("\0" in name or "\0" in value for name, value in params):
        raise bad(_("a NUL character"))
    search = own.get("search", "").strip()
    if len(search) > 1000:
        raise bad(_("the search is longer than 1,000 characters"))
    view = saved.view
    if view is None and own.get("view", ALL) != ALL:
        raise bad(_("saved views are not known here"))
    said = own.get("changed") == "1"  # then the address says everything, and the view nothing
    shape = saved.look if view is None else PLAIN if said else view.shape
    sort = own.get("sort", shape.order)
    name = sort.removeprefix("-")
    if name and name not in plan.sortable:
        raise bad(_("unknown sort column"))
    size = own.get("size", str(shape.size or SIZES[0]))
    if size not in map(str, SIZES):
        raise bad(_("unknown page size"))
    start = own.get("from", "1")
    rest = tuple((n, v) for n, v in params if n not in OWN and v.strip())
    condition, problem = _filter(plan, rest)
    if view is not None and not said:
        search = search or view.search
        if condition is None:
            rest, condition = view.params, view.condition
    if view is not None and condition == view.condition:
        problem = problem or view.problem
    return Asked(
        search=search,
        sort=name,
        descending=sort.startswith("-") if name else True,
        size=int(size),
        after=cursor(own.get("after")),
        before=cursor(own.get("before")),
        last=own.get("last") == "1",
        start=int(start) if start.isascii() and start.isdecimal() and len(start) < 10 else 1,
        filter_params=rest,
        condition=condition,
        problem=problem,
        pin=pin,
        columns=parse_columns(plan, own["columns"]) if "columns" in own else shape.columns,
        saved=saved,
    )


def _filter(plan: Plan, params: tuple[tuple[str, str], ...]) -> tuple[filters.Condition | None, str]:
    """The filter of an address, and why it cannot be used: then it means nobody."""
    try:
        return filters.from_query(params, plan.view.model, plan.may_filter), ""
    except filters.FilterProblem as found:
        return NOBODY, gettext("The filter of this address cannot be used, so it finds nothing. %(why)s") % {
            "why": found
        }


def meant(plan: Plan, asked: Asked) -> Meant:
    """The rows of a list as work in the background takes them; those of an `own` screen stay here."""
    model, sort = plan.view.model, "" if asked.unsorted else asked.sort
    if sort and custom.named(model, sort) is None:
        sort = plan.sortable[sort]
    return Meant(model, asked.condition, asked.search, asked.pin, sort, asked.descending or asked.unsorted)


def conditions(view: AppView, asked: Asked) -> list[ColumnElement[bool]]:
    """What search, filter and the pinned customers ask of a row; the session adds the scope."""
    return [*view.mine(), *Meant(view.model, asked.condition, asked.search, asked.pin).where()]


def narrowed(view: AppView, asked: Asked) -> Select[Any]:
    """All rows that match, as objects."""
    return select(view.model).where(*conditions(view, asked))


class _Query:
    """The statements of one list. They are kept, so that the next page of the same list is only run; not so where
    the time of day or the record of a card is part of the question."""

    def __init__(self, session: AsyncSession, plan: Plan, asked: Asked, only: ColumnElement[bool] | None) -> None:
        self.session, self.plan, self.asked, self.only = session, plan, asked, only
        self.conditions: list[ColumnElement[bool]] | None = None
        steady = only is None and not filters.moves(asked.condition, plan.view.model)
        # who may not filter by a field means nobody with the same parameters
        narrow = (asked.search, asked.filter_params, bool(asked.problem), asked.pin)
        me = actor.get().staff_id if plan.view.own else None
        self.key = (plan.view.identity, *narrow, scope.whose(), me) if steady else None

    async def where(self) -> list[ColumnElement[bool]]:
        if self.conditions is None:
            self.conditions = conditions(self.plan.view, self.asked)
            if self.only is not None:
                self.conditions.append(self.only)
            await db.weigh(self.session, self.conditions)
        return self.conditions

    async def rows(self, what: tuple[Any, ...], make: Any, **values: Any) -> Sequence[Any]:
        if self.key is None:
            return (await self.session.execute(await make(), values)).all()
        return await db.ask(self.session, (*self.key, *what), lambda: _limited(make), **values)

    async def count(self) -> tuple[int, bool]:
        """How many rows match, and whether it stopped counting. Of all rows of a large table: nearly."""
        kept: tuple[int, bool] | None = db.kept().get((self.key, "count")) if self.key else None
        if kept is not None:
            return kept
        if not await self.where() and scope.whose() is None:
            n, capped = await db.estimated_rows(self.session, self.plan.view.mapper.persist_selectable), False
        else:
            n = (await self.rows(("count",), self._counting))[0][0]
            capped = n > COUNTED
        found = (COUNTED, True) if capped else (n, False)
        if self.key and n > COUNTED:
            db.kept().put((self.key, "count"), found, STILL_LONG)
        return found

    async def _counting(self) -> Select[Any]:
        inner = select(literal(1).label("one")).select_from(self.plan.view.model).where(*await self.where())
        return select(func.count().label("n")).select_from(inner.limit(COUNTED + 1).subquery())

    async def page(self, keys: list[Key], flip: bool) -> Sequence[Any]:
        asked = self.asked
        at = asked.before or asked.after
        values = marker(keys, at) if at is not None else {}

        async def make() -> Select[Any]:
            where = list(await self.where())
            if at is not None:
                where.append(beyond(keys, backwards=asked.before is not None))
            statement = self.plan.reading.select(*where, besides=keys)
            return statement.order_by(*order_by(keys, descending=flip)).limit(asked.size + 1)

        place = (at is not None, asked.before is not None, flip)
        return await self.rows(
            (self.plan.reading, asked.sort, asked.descending, asked.unsorted, asked.size, *place), make, **values
        )


async def _limited(make: Any) -> Select[Any]:
    return scope.limited(await make())


async def totals(session: AsyncSession, plan: Plan, asked: Asked) -> list[tuple[str, str, int]]:
    """The sums of money columns over all rows that match: (label, currency, minor units), per currency."""
    found: list[tuple[str, str, int]] = []
    view = plan.view
    for column in (c for c in plan.columns if c.stored and view.summed):
        info = view.mapper.column_attrs[column.key].columns[0].info
        if info.get("widget") != "money":
            continue
        currency, amount = getattr(view.model, info["currency"]), getattr(view.model, column.key)
        statement = narrowed(view, asked).with_only_columns(currency, func.sum(amount), maintain_column_froms=True)
        rows = await session.execute(statement.group_by(currency).order_by(currency))
        found += [(column.label, code, int(total)) for code, total in rows if total is not None]
    return found


async def fetch(session: AsyncSession, plan: Plan, asked: Asked, *, only: ColumnElement[bool] | None = None) -> Page:
    """One page of records. `only`: a further condition (the record on whose card the list stands)."""
    query = _Query(session, plan, asked, only)
    total, capped = await query.count()
    asked = query.asked = orderly(plan, asked, total, capped)
    keys = meant(plan, asked).keys()
    backwards = asked.before is not None or asked.last
    rows = list(await query.page(keys, keys[0].descending is not backwards))
    more = len(rows) > asked.size
    rows = rows[: asked.size]
    if backwards:
        rows.reverse()
    page = Page(plan.reading.records(rows), asked, total, capped)
    page.has_previous = more if backwards else asked.after is not None
    page.has_next = more if not backwards else not asked.last
    if rows:
        page.first_key = encode([k.of(rows[0]) for k in keys])
        page.last_key = encode([k.of(rows[-1]) for k in keys])
    return page


def orderly(plan: Plan, asked: Asked, total: int, capped: bool) -> Asked:
    """The same in an order in which so many rows can be read: a custom field without an index sorts only few."""
    spec = custom.named(plan.view.model, asked.sort)
    if spec is None or spec.indexed or not (capped or total > COUNTED):
        return asked
    elsewhere = {asked.after and len(asked.after), asked.before and len(asked.before)} - {None, len(plan.view.pk_props)}
    if elsewhere:  # a place in the other order
        return replace(asked, unsorted=True, after=None, before=None, start=1)
    return replace(asked, unsorted=True)


async def count(session: AsyncSession, plan: Plan, asked: Asked) -> tuple[int, bool]:
    """How many rows match, and whether it stopped counting at `COUNTED`."""
    return await _Query(session, plan, asked, None).count()
