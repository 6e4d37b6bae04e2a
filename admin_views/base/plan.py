"""The plan: a screen as one person sees it. Everything that a request asks of a screen's shape stands here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from starlette.requests import Request

from admin_views.access import granted, grants_of, may_filter
from admin_views.base.buttons import Button
from admin_views.base.cells import Cell
from admin_views.base.reading import Reading
from admin_views.base.table import Rows
from app.db import Base
from app.domain.sessions import Grants
from app.domain.views import Columns
from app.models import scope

if TYPE_CHECKING:
    from admin_views.base.screen import AppView


@dataclass(frozen=True)
class Column:
    """A column of the list or a line of the card."""

    key: str
    label: str
    css: str
    sort: str | None
    cell: Cell
    searched: bool = False
    """The search of the list looks into it: what was found is marked."""
    stored: bool = True
    """False: no column of the table; its cell uses what the screen has `computed`."""


ROLES = frozenset({"lead", "amount", "meta", "state", "when", "full"})
"""Places in the two lines that a row is on a phone (components.css)."""
SHAPES = 200
"""Choices of columns that are kept for one plan."""


@dataclass(frozen=True)
class Plan:
    """What a screen shows and offers to whoever has these grants. `AppView.plan` makes it from the declaration, once
    per set of grants; what people configure will change it here and nowhere else."""

    view: AppView
    grants: Grants
    columns: tuple[Column, ...]
    sortable: Mapping[str, str]
    """Name in the address -> column that the database sorts by."""
    details: tuple[tuple[str, tuple[Column, ...]], ...]
    """Sections of the card: (label, columns)."""
    form: tuple[tuple[str, tuple[str, ...]], ...]
    """Sections of the form: (label, names of fields)."""
    buttons: Mapping[str, tuple[Button, ...]]
    """By place ("head", "row", "selection", "card"), those that the grants allow."""
    offered: tuple[Column, ...] = ()
    """All columns that the list can show, those of `columns` first (`AppView.all_columns`)."""

    def may(self, action: str) -> bool:
        """Whether the grants allow `action` (``list``, ``edit``, ``action:message`` ...) here."""
        return granted(self.grants, self.view.identity, action)

    def grants_list(self, screen: str) -> bool:
        """Whether the grants allow to look at the list of another screen."""
        return granted(self.grants, screen, "list")

    @cached_property
    def may_create(self) -> bool:
        return self.view.can_create and not self.view.readonly and self.may("create")

    @cached_property
    def may_edit(self) -> bool:
        return self.view.can_edit and not self.view.readonly and self.may("edit")

    @cached_property
    def linked(self) -> bool:
        """The rows lead to cards."""
        return self.view.has_card and self.may("details")

    @cached_property
    def reading(self) -> Reading:
        return Reading(self.view, [c.key for c in self.columns if c.stored])

    def without(self, key: str | None) -> Plan:
        """The same plan without a column of the list: on a card, the one that would say the card's own name."""
        if key is None or all(c.key != key for c in self.columns):
            return self
        if key not in self._narrower:
            narrower = replace(self, columns=tuple(c for c in self.columns if c.key != key))
            vars(narrower)["reading"] = self.reading  # read all the same: the names and cells of rows may use it
            self._narrower[key] = narrower
        return self._narrower[key]

    def shown(self, columns: Columns) -> Plan:
        """The same plan with these of the offered columns, in this order; none: as it is. Unknown ones are left out."""
        if not columns:
            return self
        made = self._shapes.get(columns)
        if made is None:
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            known, usual = {c.key: c for c in self.offered}, {c.key for c in self.columns}
            chosen = tuple(_fitted(known[k], width, k in usual) for k, width in columns if k in known)
            made = self._shapes[columns] = replace(self, columns=chosen or self.columns)
            # the usual ones are read all the same: names, cells and buttons of rows may use them
            keys = dict.fromkeys(c.key for c in (*self.columns, *chosen) if c.stored)
            few = len(keys) == len(self.reading.keys)
            vars(made)["reading"] = self.reading if few else Reading(self.view, list(keys))
        return made

    @cached_property
    def _shapes(self) -> dict[Columns, Plan]:
        return {}

    @cached_property
    def _narrower(self) -> dict[str, Plan]:
        return {}

    @cached_property
    def rows(self) -> Rows:
        return Rows(self)

    def may_filter(self, model: type[Base], name: str) -> bool:
        return may_filter(self.grants, model, name)


def _fitted(column: Column, width: str, usual: bool) -> Column:
    """The column as somebody has chosen it: with its width, and on a phone in a line of its own unless it has a place
    there."""
    words = column.css.split()
    if not usual:
        words = ["col-figures" if w in ("amount", "id") else w for w in words if w not in ROLES - {"amount"}]
    words = [w for w in words if w not in ("lesser", "least")]
    if not ROLES & set(words):
        words.append("col-more")
    return replace(column, css=" ".join([*words, *([f"w-{width}"] if width else [])]))


def plan_of(request: Request, view: AppView) -> Plan:
    """The plan of the person who asks. What all projects share can only be looked at by staff of some."""
    grants = grants_of(request)
    return view.plan(looking(grants) if for_others(view) else grants)


LOOKS = ("list", "details", "export", "action:preview")


def for_others(view: AppView) -> bool:
    """Whether all projects share the rows of the screen, and the acting person is limited to some."""
    return issubclass(view.model, scope.SHARED) and scope.is_limited()


@lru_cache(maxsize=64)
def looking(grants: Grants) -> Grants:
    """What of these grants only looks."""
    wide = {(screen, look) for screen, action in grants if action == "*" for look in LOOKS}
    return frozenset(wide | {(screen, action) for screen, action in grants if action in LOOKS})
