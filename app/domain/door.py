"""The code by which a customer lets staff in, where the project asks for one: short-lived, of one use, one of them."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.errors import Invalid
from app.i18n import gettext
from app.links import Signer
from app.models import audit
from app.models.sessions import DoorCode

MINUTES = 15
DIGITS = 8
MOST_TRIES = 5

_signer = Signer("door")


def _hash(customer_id: int, code: str) -> str:
    return _signer.mac(f"{customer_id}:{''.join(c for c in code if c in '0123456789')}")


def _usable(customer_id: int, now: datetime) -> tuple[object, ...]:
    return DoorCode.customer_id == customer_id, DoorCode.expires_at > now


async def make(session: AsyncSession, *, customer_id: int) -> str:
    """A new code, "1234 5678"; the one before it opens nothing any more. It is shown now and kept nowhere."""
    code = "".join(secrets.choice("0123456789") for _digit in range(DIGITS))
    present = await session.scalar(select(DoorCode).where(DoorCode.customer_id == customer_id).with_for_update())
    row = present or DoorCode(customer_id=customer_id)
    row.code_hash, row.tries = _hash(customer_id, code), 0
    row.expires_at = utcnow() + timedelta(minutes=MINUTES)
    session.add(row)
    await session.flush()
    return f"{code[:4]} {code[4:]}"


async def open_until(session: AsyncSession, *, customer_id: int) -> datetime | None:
    """Until when a code opens the account; None: there is none."""
    found: datetime | None = await session.scalar(
        select(DoorCode.expires_at).where(*_usable(customer_id, utcnow()), DoorCode.tries < MOST_TRIES)  # type: ignore[arg-type]
    )
    return found


async def close(session: AsyncSession, *, customer_id: int) -> None:
    """Withdraw the code."""
    row = await session.scalar(select(DoorCode).where(DoorCode.customer_id == customer_id))
    if row is not None:
        await session.delete(row)
        await session.flush()


async def count_try(*, customer_id: int) -> None:
    """Count a code that was typed, in a unit of its own: what fails afterwards does not give the try back."""
    async with db.unit() as session:
        await session.execute(
            update(DoorCode)
            .where(DoorCode.customer_id == customer_id)
            .values(tries=DoorCode.tries + 1)
            .execution_options(audited=True, synchronize_session=False)
        )


async def use(session: AsyncSession, *, customer_id: int, code: str) -> None:
    """Spend the code. The caller has counted the try. Raises Invalid (code)."""
    spent = await session.execute(
        delete(DoorCode)
        .where(
            *_usable(customer_id, utcnow()), DoorCode.tries <= MOST_TRIES,  # type: ignore[arg-type]
            DoorCode.code_hash == _hash(customer_id, code),
        )
        .returning(DoorCode.customer_id)
        .execution_options(audited=True, synchronize_session=False)
    )  # fmt: skip
    if spent.first() is None:
        raise Invalid(code=gettext("This code does not open the account. Ask the customer for a new one."))
    await session.run_sync(
        lambda s: audit.write(s, "door_opened", "customer", customer_id, {}, customer_id=customer_id)
    )
