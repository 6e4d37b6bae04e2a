"""Passwords: argon2id, computed in threads, two at a time."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.sessions import links
from app.domain.sessions.person import Person
from app.domain.sessions.rows import end_sessions_of
from app.errors import Invalid
from app.i18n import gettext
from app.models.sessions import OneUseKind
from app.models.staff import Staff
from app.models.users import User
from app.queue import enqueue

STAFF_PASSWORD = 10
USER_PASSWORD = 8
LONGEST_PASSWORD = 1000
ENDS_WITH_PASSWORD = (OneUseKind.RESET, OneUseKind.STEP)

hasher = PasswordHasher()
_two_at_a_time = ThreadPoolExecutor(2, thread_name_prefix="argon2")
"""One hash takes 64 MiB and every core it gets; more than two at once would only starve the rest."""


@lru_cache(maxsize=1)
def _dummy(_of: PasswordHasher) -> str:
    return _of.hash(secrets.token_urlsafe(16))


def _verify(hashed: str | None, password: str) -> bool:
    dummy = _dummy(hasher)  # made at the first call, whoever it is for, so that it never adds to an unknown user's time
    known = bool(hashed) and len(password) <= LONGEST_PASSWORD
    try:
        hasher.verify(hashed if known and hashed else dummy, password[:LONGEST_PASSWORD])
    except (Argon2Error, InvalidHashError):
        return False
    return known


async def hash_password(password: str) -> str:
    """The argon2id hash to store, computed in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_two_at_a_time, hasher.hash, password)


async def verify_password(hashed: str | None, password: str) -> bool:
    """Whether the password fits. Takes as long without a hash: then a dummy is computed and the answer is no."""
    return await asyncio.get_running_loop().run_in_executor(_two_at_a_time, _verify, hashed, password)


def check_new_password(password: str, *, least: int, field: str = "password") -> None:
    """Raises Invalid for a password that is too short or too long. least: STAFF_PASSWORD or USER_PASSWORD."""
    if len(password) < least:
        raise Invalid(**{field: gettext("Take at least %(least)s characters.") % {"least": least}})
    if len(password) > LONGEST_PASSWORD:
        raise Invalid(**{field: gettext("This password is too long.")})


async def set_password(
    session: AsyncSession,
    *,
    staff: Staff | None = None,
    user: User | None = None,
    password: str,
    keep_session: int | None = None,
    field: str = "password",
) -> None:
    """Give a new password and end the other sessions of this person. keep_session: the id of the one that stays.

    Raises Invalid when it is too short (staff 10, users 8 characters)."""  # fmt: skip
    check_new_password(password, least=STAFF_PASSWORD if staff else USER_PASSWORD, field=field)
    hashed = await hash_password(password)
    for row in (staff, user):
        if row is not None:
            await store(session, row, hashed, keep_session=keep_session)


async def store(session: AsyncSession, row: Staff | User, hashed: str, *, keep_session: int | None = None) -> None:
    """Keep the hash of a new password. Sessions and links that hang on the old one end; who had one is told by mail."""
    told, person = row.password_hash is not None, Person.of(row)
    row.password_hash = hashed
    await end_sessions_of(session, **person.columns, keep=keep_session)
    await links.revoke(session, kinds=ENDS_WITH_PASSWORD, **person.columns)
    await session.flush()
    if told:
        await enqueue(session, "sessions.notice", total=1, what="password", **person.columns)
