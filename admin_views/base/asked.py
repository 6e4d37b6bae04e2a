"""What the address of a list asks for, as a value: search, filter, order, page, columns, the saved view it is in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from app import filters
from app.domain.views import Columns, Shape, View
from app.errors import AppError

SIZES = (25, 50, 100)
ALL = "all"
"""``view=all``: no saved view, not even the one that would open by itself."""
PLAIN = Shape()
NOBODY = filters.Any(())
"""In place of a filter that cannot be used."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A saved view as the reader may use it. params: its filter as an address says it. problem: as of `Asked`. gone:
    how many of its columns are left out. mine: the reader may change it."""

    id: int
    name: str
    shape: Shape
    search: str = ""
    params: tuple[tuple[str, str], ...] = ()
    condition: filters.Condition | None = None
    problem: str = ""
    gone: int = 0
    mine: bool = True


@dataclass(frozen=True, eq=False)
class Saved:
    """What the reader has saved for a list. look: how they want it when no view is open. named: an address that says
    nothing else must say ``view=all`` for that. tabs: the views there are."""

    look: Shape = PLAIN
    view: Opened | None = None
    named: bool = False
    tabs: tuple[View, ...] = ()


NOTHING = Saved()
_ANOTHER = filters.Not(filters.All())
"""Stands for a condition that was not read: no view has it."""


@dataclass(frozen=True)
class Asked:
    """What the address of a list asks for. In a saved view the address names it, and when something is different from
    it says ``changed=1`` and then everything."""

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
    problem: str = ""
    """Why the filter cannot be used: `condition` is then one that nobody meets, whatever else is asked."""
    unsorted: bool = False
    """More rows match than can be sorted by this field: they stand in the usual order."""
    pin: tuple[int, ...] = ()
    columns: Columns = ()
    saved: Saved = NOTHING

    def query(self, **changes: Any) -> str:
        """The query string of the same list, with `changes`; paging starts anew unless it is among them."""
        if "filter_params" in changes:
            changes.setdefault("condition", _ANOTHER)
        asked = replace(self, after=None, before=None, last=False, start=1, **changes)
        return asked.sorted_by(asked.sort, asked.descending)

    def sorted_by(self, sort: str, descending: bool) -> str:
        """The query string of the same list in another order, from its beginning."""
        before, behind = self._around
        same = (self.usual.sort, self.usual.descending) == (sort, descending)
        order = f"sort={'-' if descending else ''}{sort}" if sort and not same else ""
        if (view := self.saved.view) is not None:
            stays = (view.shape.sort, view.shape.descending) == (sort, descending) and not self._differs
            pin = urlencode([("pin", ",".join(map(str, self.pin)))] if self.pin else [])
            parts = (f"view={view.id}", *((pin,) if stays else ("changed=1", before, order, behind)))
        else:
            parts = (before, order, behind)
        query = "&".join(part for part in parts if part)
        return query or (f"view={ALL}" if self.saved.named else "")

    def complete(self) -> str:
        """The query string that means these rows whatever becomes of the saved views."""
        query = replace(self, saved=NOTHING).query()
        return f"view={ALL}&{query}".rstrip("&") if self.saved.named or self.saved.view else query

    @property
    def at_fault(self) -> bool:
        """The address itself has a filter that cannot be used, not only the view that it names."""
        return bool(self.problem) and (self.saved.view is None or self.problem != self.saved.view.problem)

    def sound(self) -> Asked:
        """The same, for whoever does something with all that match. Raises AppError where the filter cannot be used."""
        if self.problem:
            raise AppError(self.problem)
        return self

    @property
    def usual(self) -> Shape:
        """What need not be said: how the reader wants the list; beside a view that was changed everything is said."""
        return self.saved.look if self.saved.view is None else PLAIN

    @property
    def shape(self) -> Shape:
        return Shape(self.columns, self.sort, self.descending, self.size)

    @cached_property
    def _around(self) -> tuple[str, str]:
        """What stands before and behind the order."""
        before = [("search", self.search)] if self.search else []
        behind = [urlencode({"size": self.size})] if self.size != (self.usual.size or SIZES[0]) else []
        if self.columns != self.usual.columns:
            behind.append(f"columns={column_text(self.columns)}")
        if self.pin:
            behind.append(urlencode({"pin": ",".join(map(str, self.pin))}))
        return urlencode([*before, *self.filter_params]), "&".join(behind)

    @cached_property
    def _differs(self) -> bool:
        """Something but the order is not as in the view."""
        return any(part != "sort" for part in self.differences)

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """What is not as in the view: any of columns, sort, size, search, filter."""
        view = self.saved.view
        if view is None:
            return ()
        same = {
            "search": self.search == view.search,
            "filter": _alike(self.condition, view.condition),
            "sort": (self.sort, self.descending) == (view.shape.sort, view.shape.descending),
            "columns": self.columns == view.shape.columns,
            "size": self.size == (view.shape.size or SIZES[0]),
        }
        return tuple(name for name, holds in same.items() if not holds)


def _alike(one: filters.Condition | None, other: filters.Condition | None) -> bool:
    """The same conditions, in whatever order."""
    if isinstance(one, filters.All) and isinstance(other, filters.All):
        return Counter(one.of) == Counter(other.of)
    return one == other


def column_text(columns: Columns) -> str:
    """Columns as an address says them."""
    return ",".join(f"{key}:{width}" if width else key for key, width in columns) or ALL
