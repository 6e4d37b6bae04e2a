"""Saved views of lists, and how one person wants a list when no view is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import BigId
from app.domain import checks
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.i18n import _
from app.models.staff import Role, StaffRole
from app.models.views import SavedView, ViewKind
from app.observe import actor

Columns = tuple[tuple[str, str], ...]
"""Key and width of each column, in order; none at all: those of the screen."""
WIDTHS = ("narrow", "", "wide")
MOST_COLUMNS = 100
MOST = 50
"""Views of one person for one screen, and as many that are shared."""

_of = SavedView


@dataclass(frozen=True)
class Shape:
    """Columns, order and page size of a list. size 0: the usual."""

    columns: Columns = ()
    sort: str = ""
    descending: bool = True
    size: int = 0

    @property
    def order(self) -> str:
        """The order as an address says it."""
        return f"-{self.sort}" if self.sort and self.descending else self.sort


@dataclass(frozen=True, eq=False)
class View:
    """A view as the acting person may use it. default: it opens by itself for them."""

    id: int
    name: str
    kind: ViewKind
    mine: bool
    default: bool
    shape: Shape
    search: str
    condition: dict[str, Any]

    @property
    def listed(self) -> bool:
        """It has a tab; that of a role has one for its people only."""
        return self.kind is not ViewKind.ROLE or self.default


def shape_of(columns: Any, sort: str, size: int) -> Shape:
    """A shape from what is stored, whatever stands there."""
    pairs = [p for p in columns or () if isinstance(p, list | tuple) and len(p) == 2 and p[1] in WIDTHS]
    known = tuple((str(key), str(width)) for key, width in pairs[:MOST_COLUMNS])
    return Shape(known, sort.removeprefix("-"), sort.startswith("-") or not sort, size)


async def of(session: AsyncSession, screen: str) -> tuple[Shape, list[View]]:
    """How the acting person wants this list, and the views that they may use, in order."""
    me = db.given("me", BigId)

    async def make() -> Select[Any]:
        roles = select(StaffRole.role_id).where(StaffRole.staff_id == me)
        default: ColumnElement[bool] = func.coalesce(_of.role_id.in_(roles), False).label("default")
        named = [getattr(_of, n).label(n) for n in ("id", "name", "kind", "columns", "sort", "search", "size")]
        seen = or_(_of.staff_id == me, _of.staff_id.is_(None))
        found = select(*named, _of.condition.label("condition"), default).where(_of.screen == screen, seen)
        return found.order_by(_of.position, _of.id)

    rows: list[Any] = await db.ask(session, ("saved views", screen), make, me=actor.get().staff_id)
    look, views = Shape(), []
    for row in rows:
        if row.kind == ViewKind.LOOK:
            look = shape_of(row.columns, row.sort, row.size)
        else:
            views.append(as_view(row, default=bool(row.default)))
    views.sort(key=lambda v: v.mine)  # those of everybody come first
    return look, views


def as_view(row: Any, *, default: bool = False) -> View:
    shape, mine = shape_of(row.columns, row.sort, row.size), row.kind == ViewKind.PRIVATE
    return View(row.id, row.name, ViewKind(row.kind), mine, default, shape, row.search, row.condition or {})


def _stored(shape: Shape) -> dict[str, Any]:
    return {"columns": [list(pair) for pair in shape.columns], "sort": shape.order, "size": shape.size}


async def keep_look(session: AsyncSession, *, screen: str, shape: Shape) -> None:
    """How the acting person wants this list from now on. It is theirs alone and too small for the audit."""
    values, me = _stored(shape), actor.get().staff_id
    mine = update(_of).where(_of.screen == screen, _of.kind == ViewKind.LOOK, _of.staff_id == me)
    found = await session.execute(mine.values(**values).execution_options(audited=True, synchronize_session=False))
    if not found.rowcount:  # type: ignore[attr-defined]
        new = {"screen": screen, "kind": ViewKind.LOOK, "staff_id": me, "condition": {}, **values}
        await session.execute(insert(_of).values(**new).execution_options(audited=True))


def may_share() -> bool:
    """Whoever is limited to projects writes nothing that everybody sees."""
    return actor.get().projects is None


async def save_view(
    session: AsyncSession,
    *,
    screen: str,
    name: str,
    kind: ViewKind = ViewKind.PRIVATE,
    role_id: int | None = None,
    shape: Shape,
    search: str = "",
    condition: dict[str, Any] | None = None,
) -> SavedView:
    """Keep a list under a name, as the last of its kind. Raises Invalid at `name` and `role`, Conflict when there are
    too many, Forbidden."""
    view = SavedView(screen=screen, kind=kind)
    await _call(session, view, name, kind, role_id)
    siblings = _siblings(screen, view.staff_id)
    n, last = (await session.execute(select(func.count(), func.max(_of.position)).where(*siblings))).one()
    if n >= MOST:
        raise Conflict(_("There are too many views of this list. Delete one that nobody needs."))
    view.position = (last or 0) + 1
    _fill(view, shape, search, condition)
    session.add(view)
    await session.flush()
    return view


async def change_view(
    session: AsyncSession, *, view: SavedView, shape: Shape, search: str = "", condition: dict[str, Any] | None = None
) -> None:
    """The view shows this from now on."""
    _refuse(view.kind)
    _fill(view, shape, search, condition)
    await session.flush()


async def call_view(
    session: AsyncSession, *, view: SavedView, name: str, kind: ViewKind, role_id: int | None = None
) -> None:
    """Another name, or other people who see it. Raises Invalid, Forbidden."""
    _refuse(view.kind)
    await _call(session, view, name, kind, role_id)
    await session.flush()


async def move_view(session: AsyncSession, *, view: SavedView, later: bool) -> None:
    """Change places with the view before it, or behind it."""
    _refuse(view.kind)
    query = select(_of).where(*_siblings(view.screen, view.staff_id)).order_by(_of.position, _of.id)
    views = list(await session.scalars(query))
    at = views.index(view)
    to = min(max(at + (1 if later else -1), 0), len(views) - 1)
    views.insert(to, views.pop(at))
    for position, each in enumerate(views, 1):
        each.position = position
    await session.flush()


async def delete_view(session: AsyncSession, *, view: SavedView) -> None:
    _refuse(view.kind)
    await session.delete(view)
    await session.flush()


async def own_view(session: AsyncSession, *, screen: str, view_id: int) -> SavedView:
    """The view, if the acting person may use it. Raises NotFound."""
    seen = or_(_of.staff_id == actor.get().staff_id, _of.staff_id.is_(None))
    query = select(_of).where(_of.id == view_id, _of.screen == screen, _of.kind != ViewKind.LOOK, seen)
    view = await session.scalar(query)
    if view is None:
        raise NotFound(GONE)
    return view


GONE = _("This view does not exist any more, it is of another list, or somebody has it for themselves.")


def _siblings(screen: str, staff_id: int | None) -> Iterable[ColumnElement[bool]]:
    whose = _of.staff_id.is_(None) if staff_id is None else _of.staff_id == staff_id
    return _of.screen == screen, _of.kind != ViewKind.LOOK, whose


def _refuse(kind: ViewKind) -> None:
    if kind is not ViewKind.PRIVATE and not may_share():
        raise Forbidden(_("You are limited to projects: a view that everybody sees is not yours to change."))


async def _call(session: AsyncSession, view: SavedView, name: str, kind: ViewKind, role_id: int | None) -> None:
    _refuse(kind)
    view.name = checks.clean({"name": name}, {"name": checks.line(_of.__table__.c.name, required=True)})["name"]
    if kind is ViewKind.ROLE:
        if role_id is None:
            raise Invalid(role=_("Choose the role that it opens for."))
        await checks.known(session, "role", Role, role_id)
    view.kind, view.role_id = kind, role_id if kind is ViewKind.ROLE else None
    view.staff_id = actor.get().staff_id if kind is ViewKind.PRIVATE else None


def _fill(view: SavedView, shape: Shape, search: str, condition: dict[str, Any] | None) -> None:
    for name, value in _stored(shape).items():
        setattr(view, name, value)
    view.search, view.condition = search, condition or {}
