"""What the acting staff member has on their first page: add, arrange, take away, back to the usual arrangement."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.errors import Invalid, NotFound
from app.i18n import gettext
from app.models.widgets import Pace, Widget, WidgetKind
from app.observe import actor

MOST = 30
LONGEST_QUERY = 4000
USUAL = (("figures", True), ("customers", False), ("money", False), ("tickets", False), ("running", False),
         ("campaigns", False))  # fmt: skip
"""The usual arrangement: names of blocks, and which of them are as wide as the page."""
_title = checks.line(Widget.__table__.c.title, required=True)


async def mine(session: AsyncSession) -> list[Widget]:
    """The widgets of the acting person in their order; none: they have the usual arrangement."""
    rows = select(Widget).where(Widget.staff_id == actor.get().staff_id)
    return list(await session.scalars(rows.order_by(Widget.position, Widget.id)))


async def one(session: AsyncSession, widget_id: int) -> Widget:
    """A widget of the acting person. Raises NotFound, also for somebody else's."""
    row = select(Widget).where(Widget.id == widget_id, Widget.staff_id == actor.get().staff_id)
    widget: Widget | None = await session.scalar(row)
    if widget is None:
        raise NotFound
    return widget


async def begin(session: AsyncSession) -> list[Widget]:
    """The usual arrangement as rows that can be arranged; whoever has begun keeps theirs."""
    found = await mine(session)
    if not found:
        who = actor.get().staff_id
        found = [
            Widget(staff_id=who, kind=WidgetKind.BLOCK, screen=name, position=n, wide=wide)
            for n, (name, wide) in enumerate(USUAL)
        ]
        session.add_all(found)
        await session.flush()
    return found


async def add(
    session: AsyncSession, *, kind: WidgetKind, screen: str, query: str, title: str, column: str = "",
    pace: Pace = Pace.DAY, wide: bool = False,
) -> Widget:  # fmt: skip
    """A widget before all others. Raises Invalid for a title that is no line, and when there are too many."""
    name = checks.clean({"title": title}, {"title": _title})["title"]
    if len(query) > LONGEST_QUERY:
        raise Invalid(gettext("This filter is too long to be kept."))
    who = actor.get().staff_id
    n, first = (
        await session.execute(select(func.count(), func.min(Widget.position)).where(Widget.staff_id == who))
    ).one()
    if n >= MOST:
        raise Invalid(gettext("There are %(n)s widgets already. Take one away first.") % {"n": n})
    widget = Widget(
        staff_id=who, kind=kind, screen=screen, query=query, title=name, column=column, pace=pace, wide=wide,
        position=(first or 0) - 1,
    )  # fmt: skip
    session.add(widget)
    await session.flush()
    return widget


async def put_back(session: AsyncSession, *, name: str) -> None:
    """A block of the usual page that was taken away, at the end; nothing when it is there."""
    rows = await mine(session)
    if name not in dict(USUAL) or any(r.kind is WidgetKind.BLOCK and r.screen == name for r in rows):
        return
    last = rows[-1].position if rows else 0
    session.add(
        Widget(
            staff_id=actor.get().staff_id, kind=WidgetKind.BLOCK, screen=name, position=last + 1,
            wide=dict(USUAL)[name],
        )
    )  # fmt: skip
    await session.flush()


async def rename(session: AsyncSession, *, widget: Widget, title: str) -> None:
    """Raises Invalid for a title that is no line."""
    widget.title = checks.clean({"title": title}, {"title": _title})["title"]
    await session.flush()


async def resize(session: AsyncSession, *, widget: Widget, wide: bool) -> None:
    widget.wide = wide
    await session.flush()


async def remove(session: AsyncSession, *, widget: Widget) -> None:
    await session.delete(widget)
    await session.flush()


async def move(session: AsyncSession, *, widget: Widget, step: int) -> None:
    """One place earlier (-1) or later (1); at the end nothing happens."""
    ids = [w.id for w in await mine(session)]
    at = ids.index(widget.id)
    to = min(max(at + step, 0), len(ids) - 1)
    ids.insert(to, ids.pop(at))
    await order(session, ids=ids)


async def order(session: AsyncSession, *, ids: Sequence[int]) -> None:
    """The widgets in this order; those that are not named come behind, others' are passed over."""
    present = {w.id: w for w in await mine(session)}
    named = [i for i in dict.fromkeys(ids) if i in present]
    for position, i in enumerate([*named, *(i for i in present if i not in set(named))]):
        present[i].position = position
    await session.flush()


async def reset(session: AsyncSession) -> None:
    """Back to the usual arrangement."""
    mine_only = delete(Widget).where(Widget.staff_id == actor.get().staff_id)
    await session.execute(mine_only.execution_options(audited=True, synchronize_session=False))
