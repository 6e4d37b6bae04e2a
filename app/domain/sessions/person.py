"""Who signs in: a user of a customer or a member of staff. What both have hangs on one of two columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.factors import Passkey, TwoFactor
from app.models.sessions import LoginSession, OneUse
from app.models.staff import Staff
from app.models.users import User

Table = TypeVar("Table", bound=TwoFactor | Passkey | LoginSession | OneUse)


@dataclass(frozen=True)
class Person:
    """One of the two is set."""

    user_id: int | None = None
    staff_id: int | None = None

    def __post_init__(self) -> None:
        if (self.user_id is None) == (self.staff_id is None):
            raise ValueError("name either a user or a member of staff")

    @classmethod
    def of(cls, row: Staff | User) -> Person:
        return cls(staff_id=row.id) if isinstance(row, Staff) else cls(user_id=row.id)

    @property
    def noun(self) -> str:
        return "staff" if self.staff_id is not None else "user"

    @property
    def id(self) -> int:
        found = self.staff_id if self.staff_id is not None else self.user_id
        assert found is not None
        return found

    @property
    def key(self) -> str:
        return f"{self.noun}:{self.id}"

    @property
    def columns(self) -> dict[str, Any]:
        return {"staff_id": self.staff_id, "user_id": self.user_id}

    def owns(self, table: type[Table]) -> ColumnElement[bool]:
        """The rows of this table that are theirs."""
        return table.staff_id == self.staff_id if self.staff_id is not None else table.user_id == self.user_id

    async def row(self, session: AsyncSession) -> Staff | User | None:
        """Their row while they may sign in."""
        found: Staff | User | None
        if self.staff_id is not None:
            found = await session.scalar(
                select(Staff).where(Staff.id == self.staff_id, Staff.enabled), execution_options={"unscoped": True}
            )
        else:
            found = await session.scalar(
                select(User).where(User.id == self.user_id, User.enabled), execution_options={"unscoped": True}
            )
        return found


def print_of(row: Staff | User) -> str:
    """Changes with the password."""
    return hashlib.sha256((row.password_hash or "").encode()).hexdigest()[:32]
