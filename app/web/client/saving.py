"""Saving a form of the client area: what was wrong with it stands on its page, with what was typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AppError, Conflict, Forbidden, Invalid
from app.web.forms import STALE, AppForm, VersionedForm


@dataclass(frozen=True)
class Refused:
    """How the page with the form comes back."""

    status: int = 422
    said: str = ""


async def saved(
    session: AsyncSession,
    form: AppForm,
    what: Callable[[], Awaitable[Any]],
    *,
    at: str,
    row: Any = None,
    refusals: tuple[type[AppError], ...] = (Conflict, Forbidden),
) -> Refused | None:
    """Check the form and do `what` in a savepoint; None when it is done. at: the field for what belongs to none.
    row: what the form is about, which somebody else may have changed. refusals: what is said above the form."""
    if not form.validate():
        return Refused()
    if row is not None and isinstance(form, VersionedForm) and form.stale(row):
        return Refused(409, str(STALE))
    try:
        async with session.begin_nested():
            await what()
    except Invalid as problem:
        form.place(problem, at)
        return Refused()
    except refusals as problem:
        return Refused(problem.status, str(problem))
    return None
