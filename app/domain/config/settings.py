"""Settings by name: small JSON values that people change in the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.config import live
from app.models.config import Setting

_known: dict[str, Any] = {}
DECLARED: dict[str, Callable[[Any], Any]] = {}
"""Settings that belong into a configuration file -> the check of their value; others stay with their database."""


def declare(name: str, check: Callable[[Any], Any]) -> None:
    """Have a setting in configuration files. check: gives its value clean, or raises `checks.Bad`."""
    DECLARED[name] = check


@live.loader
async def _load(session: AsyncSession) -> None:
    found = {row.name: row.value for row in await session.scalars(select(Setting))}
    _known.clear()
    _known.update(found)


def setting(name: str, default: Any = None) -> Any:
    """The value as this process has read it last (`live.keep_up`)."""
    return _known.get(name, default)


async def put(session: AsyncSession, *, name: str, value: Any) -> None:
    """Set it, for every process."""
    row = await session.get(Setting, name)
    if row is None:
        session.add(Setting(name=name, value=value))
    else:
        row.value = value
    await session.flush()
