"""Making a confirmation, what its code and link are, finding it again, ending it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app import links
from app.db import utcnow
from app.errors import NotFound, TooMany
from app.i18n import _, gettext
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.customers import Customer, CustomerStatus
from app.queue import enqueue

DIGITS = 6
MOST_TRIES = 5
LIFE = {
    ConfirmationKind.PHONE: timedelta(minutes=10),
    ConfirmationKind.ACCOUNT_EMAIL: timedelta(days=1),
    ConfirmationKind.LOGIN_EMAIL: timedelta(days=1),
    ConfirmationKind.JOIN: timedelta(days=7),
}
MOST_AN_HOUR = {
    ConfirmationKind.PHONE: 5, ConfirmationKind.ACCOUNT_EMAIL: 5, ConfirmationKind.LOGIN_EMAIL: 5,
    ConfirmationKind.JOIN: 30,
}  # fmt: skip
"""For one customer. One address gets `MOST_TO_ONE`, whoever asks for it: nobody is to be pestered."""
MOST_TO_ONE = 5
PATHS = {ConfirmationKind.JOIN: "/client/join/"}
GONE = _("This link does not work any more: it was used, withdrawn, or is too old.")

_links = links.Signer("confirmation")
_codes = links.Signer("code")


def code_of(row: Confirmation) -> str:
    """The digits that were sent."""
    drawn = hashlib.sha256(_codes.mac(f"{row.id}.{row.salt}").encode()).digest()
    return str(int.from_bytes(drawn) % 10**DIGITS).zfill(DIGITS)


def code_fits(row: Confirmation, code: str) -> bool:
    return hmac.compare_digest(code_of(row).encode(), code.encode("utf-8", "replace"))


def link_of(row: Confirmation) -> str:
    """The path that was sent."""
    return PATHS.get(row.kind, "/client/confirm/") + _links.sign(f"{row.id}-{row.salt}")


async def begin(
    session: AsyncSession, *, kind: ConfirmationKind, customer_id: int, value: str, user_id: int | None = None,
    args: Mapping[str, Any] | None = None,
) -> Confirmation:  # fmt: skip
    """Have a code or link sent once this transaction is committed. What was sent for the same before ends. Raises
    TooMany."""
    # two at once: one after the other
    await session.execute(select(Customer.id).where(Customer.id == customer_id).with_for_update())
    await _not_too_many(session, kind, customer_id, value)
    same = Confirmation.value == value if kind is ConfirmationKind.JOIN else Confirmation.user_id.is_not_distinct_from(
        user_id
    )  # fmt: skip
    for old in await open_ones(session, customer_id=customer_id, kind=kind, more=(same,)):
        await end(session, old)
    row = Confirmation(
        kind=kind, customer_id=customer_id, user_id=user_id, value=value, args=dict(args or {}),
        salt=secrets.token_hex(12), expires_at=utcnow() + LIFE[kind],
    )  # fmt: skip
    session.add(row)
    await session.flush()
    await enqueue(session, "confirmations.send", key=f"confirmation:{row.id}", confirmation_id=row.id)
    return row


async def _not_too_many(session: AsyncSession, kind: ConfirmationKind, customer_id: int, value: str) -> None:
    recent = select(func.count()).select_from(Confirmation).where(
        Confirmation.kind == kind, Confirmation.created_at > utcnow() - timedelta(hours=1)
    )  # fmt: skip
    for query, most in (
        (recent.where(Confirmation.customer_id == customer_id), MOST_AN_HOUR[kind]),
        (recent.where(Confirmation.value == value), MOST_TO_ONE),
    ):
        if (await session.scalar(query.execution_options(unscoped=True)) or 0) >= most:
            raise TooMany(gettext("Too many were sent within the last hour. Please try again later."), seconds=3600)


async def open_ones(
    session: AsyncSession, *, customer_id: int, kind: ConfirmationKind, more: tuple[Any, ...] = ()
) -> Sequence[Confirmation]:
    """Those that can still be confirmed, the newest first."""
    rows = await session.scalars(
        select(Confirmation)
        .where(
            Confirmation.customer_id == customer_id, Confirmation.kind == kind, Confirmation.ended_at.is_(None),
            Confirmation.expires_at > utcnow(), *more,
        )
        .order_by(Confirmation.id.desc())
        .limit(100)
    )  # fmt: skip
    return rows.all()


async def by_token(session: AsyncSession, token: str, *, hold: bool = False) -> Confirmation:
    """The confirmation that a link was made for, with customer, project and user. Raises NotFound with the reason.

    hold: it is about to be used; of two at once the second finds it used."""
    number, _dash, salt = (_links.read(token) or "").partition("-")
    if not number.isdecimal():
        raise NotFound(GONE)
    query = select(Confirmation).with_for_update(of=Confirmation) if hold else select(Confirmation)
    row = await session.scalar(
        query.where(Confirmation.id == int(number), Confirmation.ended_at.is_(None), Confirmation.expires_at > utcnow())
        .options(joinedload(Confirmation.customer).joinedload(Customer.project), joinedload(Confirmation.user))
        .execution_options(unscoped=True)
    )
    if row is None or row.salt != salt:
        raise NotFound(GONE)
    if row.customer.status is CustomerStatus.CLOSED or not row.customer.project.enabled:
        raise NotFound(GONE)
    return row


async def end(session: AsyncSession, row: Confirmation, *, done: bool = False) -> None:
    """It cannot be confirmed any more. done: because it was."""
    row.ended_at, row.done = utcnow(), done
    await session.flush()
