"""Tabs of a card: the rows of other screens that belong to the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement


@dataclass(frozen=True)
class Related:
    """A tab of the card: the rows of screen `identity` that belong to the record."""

    identity: str
    label: str = ""
    of: Callable[[Any], ColumnElement[bool]] | None = None
    """The condition for one record; None: by the only foreign key, or the path to the customer."""
    counts: bool = False
    """The tab says how many there are: only where an index finds them."""
