"""Links in mails, and whatever else counts once and for a while.

A link opens a page with a button; only the button uses it up, so programs that follow every link do no harm. The
token is signed, so that a made-up one costs no query; the database keeps its SHA-256.

    path = await links.make(session, kind=OneUseKind.RESET, user_id=user.id)       # "/client/link/..."
    await links.mail(session, kind=OneUseKind.RESET, user_id=user.id)               # the same, sent by a worker

`mail` is the better one: the link is made when the mail is sent and lies in no job. RESET (of a `user_id` or a
`staff_id`) leads to a new password, also for who has none yet. CONFIRM (of nobody) makes a registration an account.
What customers confirm about themselves is in `app.domain.confirmations`.

`look` is for the page, `take` for the button: it raises Gone for everybody but the first. Taking a RESET ends the
others of the same person; `revoke` ends those that are not to be used any more (a new password does so).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.errors import AppError
from app.i18n import _
from app.links import Signer
from app.models.jobs import Job
from app.models.sessions import OneUse, OneUseKind
from app.queue import enqueue

LIFE: dict[OneUseKind, timedelta] = {
    OneUseKind.CONFIRM: timedelta(days=2),
    OneUseKind.RESET: timedelta(hours=1),
    OneUseKind.STEP: timedelta(minutes=10),
}
MOST_AN_HOUR = 5
"""Mails of one kind to one person: nobody's mailbox is filled by somebody else's curiosity."""
_signer = Signer("one use")


class Gone(AppError):
    """A link that does not work any more."""

    status = 410

    def __init__(self) -> None:
        super().__init__(_("This link does not work any more. It was used already, or its time is over."))


@dataclass(frozen=True)
class Link:
    """What a token stands for."""

    id: int
    kind: OneUseKind
    user_id: int | None
    staff_id: int | None
    data: Mapping[str, Any]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


async def issue(
    session: AsyncSession, *, kind: OneUseKind, user_id: int | None = None, staff_id: int | None = None,
    data: Mapping[str, Any] | None = None, life: timedelta | None = None,
) -> str:  # fmt: skip
    """A new token. It is kept nowhere else."""
    token = _signer.sign(secrets.token_urlsafe(24))
    session.add(
        OneUse(
            kind=kind, token_hash=_hash(token), user_id=user_id, staff_id=staff_id, data=dict(data or {}),
            expires_at=utcnow() + (life or LIFE[kind]),
        )
    )  # fmt: skip
    await session.flush()
    return token


async def make(
    session: AsyncSession, *, kind: OneUseKind, user_id: int | None = None, staff_id: int | None = None,
    data: Mapping[str, Any] | None = None, life: timedelta | None = None,
) -> str:  # fmt: skip
    """A new link. Returns its path; `app.links.url` makes the whole address."""
    token = await issue(session, kind=kind, user_id=user_id, staff_id=staff_id, data=data, life=life)
    if kind is OneUseKind.CONFIRM:
        return f"/client/register/confirm/{token}"
    return f"{'/link/' if staff_id is not None else '/client/link/'}{token}"


async def look(session: AsyncSession, token: str, *kinds: OneUseKind) -> Link:
    """What a living token stands for; it stays. Raises Gone, also for another kind."""
    if _signer.read(token) is None:
        raise Gone
    row = await session.scalar(
        select(OneUse).where(
            OneUse.token_hash == _hash(token), OneUse.kind.in_(kinds), OneUse.used_at.is_(None),
            OneUse.expires_at > utcnow(),
        )
    )  # fmt: skip
    if row is None:
        raise Gone
    return Link(row.id, row.kind, row.user_id, row.staff_id, row.data)


async def take(session: AsyncSession, token: str, *kinds: OneUseKind) -> Link:
    """Use a token up; of two at once one gets it. Raises Gone."""
    link = await look(session, token, *kinds)
    won = await session.execute(
        update(OneUse)
        .where(OneUse.id == link.id, OneUse.used_at.is_(None), OneUse.expires_at > utcnow())
        .values(used_at=utcnow())
        .returning(OneUse.id)
        .execution_options(synchronize_session=False)
    )
    if won.first() is None:
        raise Gone
    if link.kind is OneUseKind.RESET:
        await revoke(session, kinds=(link.kind,), user_id=link.user_id, staff_id=link.staff_id)
    return link


async def revoke(
    session: AsyncSession, *, kinds: Collection[OneUseKind], user_id: int | None = None, staff_id: int | None = None
) -> None:
    """End the living ones of these kinds of one person."""
    whose = OneUse.staff_id == staff_id if staff_id is not None else OneUse.user_id == user_id
    await session.execute(
        update(OneUse)
        .where(whose, OneUse.kind.in_(kinds), OneUse.used_at.is_(None))
        .values(used_at=utcnow())
        .execution_options(synchronize_session=False)
    )


async def mail(
    session: AsyncSession, *, kind: OneUseKind, user_id: int | None = None, staff_id: int | None = None,
    key: str | None = None,
) -> Job:  # fmt: skip
    """Have a worker make a link and mail it, once this transaction is committed."""
    return await enqueue(
        session, "sessions.link", key=key, total=1, kind=kind.value, user_id=user_id, staff_id=staff_id
    )


async def too_many(
    session: AsyncSession, *, kind: OneUseKind, user_id: int | None = None, staff_id: int | None = None
) -> bool:
    """Whether this person has got enough links of this kind within an hour."""
    whose = OneUse.staff_id == staff_id if staff_id is not None else OneUse.user_id == user_id
    sent = select(func.count()).where(whose, OneUse.kind == kind, OneUse.created_at > utcnow() - timedelta(hours=1))
    return (await session.scalar(sent) or 0) >= MOST_AN_HOUR
