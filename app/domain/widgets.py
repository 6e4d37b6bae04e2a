"""What the acting staff member has on their first page: add, arrange, take away, back to the usual arrangement; and
what the people of a role start with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.errors import Invalid, NotFound
from app.i18n import gettext
from app.models import audit
from app.models.staff import Role, StaffRole
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


async def of_roles(session: AsyncSession) -> list[Widget]:
    """What the acting person starts with: the arrangement of the first of their roles that has one."""
    held = select(StaffRole.role_id).where(StaffRole.staff_id == actor.get().staff_id)
    rows = select(Widget).where(Widget.role_id.in_(held)).order_by(Widget.role_id, Widget.position, Widget.id)
    found = list(await session.scalars(rows))
    return [row for row in found if row.role_id == found[0].role_id]


async def of_role(session: AsyncSession, role_id: int) -> list[Widget]:
    rows = select(Widget).where(Widget.role_id == role_id)
    return list(await session.scalars(rows.order_by(Widget.position, Widget.id)))


async def one(session: AsyncSession, widget_id: int, *, to_see: bool = False) -> Widget:
    """A widget of the acting person; to_see: or of a role of theirs. Raises NotFound, also for somebody else's."""
    who = actor.get().staff_id
    whose = Widget.staff_id == who
    if to_see:
        held = select(StaffRole.role_id).where(StaffRole.staff_id == who)
        whose = or_(whose, Widget.role_id.in_(held))
    widget: Widget | None = await session.scalar(select(Widget).where(Widget.id == widget_id, whose))
    if widget is None:
        raise NotFound
    return widget


async def begin(session: AsyncSession) -> list[Widget]:
    """What the person starts with as rows of their own, which can be arranged; whoever has begun keeps theirs."""
    found = await mine(session)
    if not found:
        who = actor.get().staff_id
        found = [_copy(row, staff_id=who) for row in await of_roles(session)] or [
            Widget(staff_id=who, kind=WidgetKind.BLOCK, screen=name, position=n, wide=wide)
            for n, (name, wide) in enumerate(USUAL)
        ]
        session.add_all(found)
        await session.flush()
    return found


COPIED = ("kind", "screen", "query", "column", "pace", "title", "position", "wide")


def _copy(row: Widget, **whose: Any) -> Widget:
    return Widget(**{name: getattr(row, name) for name in COPIED}, **whose)


async def give(session: AsyncSession, *, role: Role) -> int:
    """The people of this role start with what the acting person has now; without own widgets, with the usual page.
    Whoever has arranged their page keeps it. Gives how many widgets it is."""
    rows = await mine(session)
    gone = delete(Widget).where(Widget.role_id == role.id)
    await session.execute(gone.execution_options(audited=True, synchronize_session=False))
    session.add_all(_copy(row, role_id=role.id) for row in rows)
    titles = [row.title or row.screen for row in rows]
    await session.run_sync(lambda s: audit.write(s, "dashboard", "role", role.id, {"widgets": [None, titles]}))
    return len(rows)


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
