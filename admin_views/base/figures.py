"""Figures that cost something to find: kept a while, in the scope of the acting person, longer when they cost more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from app import db
from app.i18n import zone
from app.models import scope

T = TypeVar("T")
LEAST = 1.0
"""Seconds that every figure is kept."""
SHARE = 100
"""A figure is kept this many times as long as it took to find: one per cent of a processor, however large the table."""


async def figure(name: str, make: Callable[[], Awaitable[T]]) -> T:
    """What `make` gives, now or a little while ago. It may not give None."""
    return await db.kept().of(("figure", name, scope.whose(), str(zone())), make, LEAST, SHARE)
