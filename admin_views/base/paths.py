"""Look-ups among the rows of one customer, so that every screen obeys a pinned customer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select


def of_asked(
    rows: Select[Any], of: Callable[[tuple[int, ...]], ColumnElement[bool] | None], asked: Mapping[str, str]
) -> Select[Any]:
    """Only the rows of the customer whom the address names with ``customer=7``. of: the condition for their ids."""
    who = asked.get("customer", "")
    mine = of((int(who),)) if who.isascii() and who.isdecimal() and len(who) < 19 else None
    return rows if mine is None else rows.where(mine)
