"""Codes of an authenticator app, and the recovery codes for who has lost it.

The verbs that change something are called after `proving.prove`: whoever sits at an open screen is not yet its owner.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.sessions.person import Person
from app.domain.sessions.rows import note
from app.errors import Conflict, Invalid
from app.i18n import _, gettext
from app.links import seal, unseal
from app.models.factors import RecoveryCode, TwoFactor
from app.queue import enqueue

STEP = 30
DRIFT = 1
"""Half minutes that a clock may be off."""
CODES = 10
LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""What nobody confuses; 16 of them hold 79 bits."""
PENDING = timedelta(minutes=30)
"""How long an app that was begun may be confirmed."""
PURPOSE = "authenticator"
QUIET = {"audited": True, "synchronize_session": False}


@dataclass(frozen=True)
class State:
    since: datetime | None
    codes_left: int

    @property
    def on(self) -> bool:
        return self.since is not None


async def _row(session: AsyncSession, person: Person) -> TwoFactor | None:
    found: TwoFactor | None = await session.scalar(select(TwoFactor).where(person.owns(TwoFactor)))
    return found


async def is_on(session: AsyncSession, person: Person) -> bool:
    """Whether a second step is asked of this person."""
    query = select(TwoFactor.id).where(person.owns(TwoFactor), TwoFactor.confirmed_at.is_not(None))
    return await session.scalar(query) is not None


async def state(session: AsyncSession, person: Person) -> State:
    row = await _row(session, person)
    if row is None or row.confirmed_at is None:
        return State(None, 0)
    left = select(func.count()).where(RecoveryCode.two_factor_id == row.id, RecoveryCode.used_at.is_(None))
    return State(row.confirmed_at, await session.scalar(left) or 0)


# ---- switching on and off -------------------------------------------------------------------------------------------


async def begin(session: AsyncSession, *, person: Person) -> None:
    """Make a secret for a new app; it counts after `confirm`. Raises Conflict when one is in use."""
    row = await _row(session, person)
    if row is not None and row.confirmed_at is not None:
        raise Conflict(_("Two-factor sign-in is on already."))
    if row is not None:
        await session.delete(row)
        await session.flush()
    try:
        async with session.begin_nested():
            session.add(TwoFactor(**person.columns, secret=seal(pyotp.random_base32(), PURPOSE)))
    except IntegrityError:
        raise Conflict(_("Two-factor sign-in is being set up already. Open the page again.")) from None


async def pending(session: AsyncSession, *, person: Person) -> str | None:
    """The secret that waits to be confirmed."""
    row = await _row(session, person)
    if row is None or row.confirmed_at is not None or row.created_at < utcnow() - PENDING:
        return None
    return unseal(row.secret, PURPOSE)


def address(secret: str, *, name: str, issuer: str) -> str:
    """What the QR code says (otpauth://)."""
    return pyotp.TOTP(secret).provisioning_uri(name=name.replace(":", " "), issuer_name=issuer.replace(":", " "))


async def confirm(session: AsyncSession, *, person: Person, code: str) -> list[str]:
    """Switch it on with the first code of the app. Returns the recovery codes, which are told this once. Raises
    Invalid (`code`), Conflict when there is nothing to confirm."""
    secret = await pending(session, person=person)
    row = await _row(session, person)
    if secret is None or row is None:
        raise Conflict(_("Begin anew: there is nothing to confirm, or it took too long."))
    if (step := _step_of(secret, code)) is None:
        raise Invalid(code=gettext("This code does not fit. Look whether the clock of the device is right."))
    won = await session.execute(
        update(TwoFactor)
        .where(TwoFactor.id == row.id, TwoFactor.confirmed_at.is_(None))
        .values(confirmed_at=utcnow(), last_step=step)
        .returning(TwoFactor.id)
        .execution_options(**QUIET)
    )
    if won.first() is None:
        raise Conflict(_("Two-factor sign-in is on already."))
    codes = await _fresh_codes(session, row.id)
    await tell(session, person, "two_factor_on")
    return codes


async def new_codes(session: AsyncSession, *, person: Person) -> list[str]:
    """Ten new recovery codes; the old ones end. Raises Conflict while it is off."""
    row = await _row(session, person)
    if row is None or row.confirmed_at is None:
        raise Conflict(_("Two-factor sign-in is off."))
    codes = await _fresh_codes(session, row.id)
    await tell(session, person, "codes")
    return codes


async def switch_off(session: AsyncSession, *, person: Person) -> None:
    """From now on the password is enough."""
    row = await _row(session, person)
    if row is None:
        return
    was_on = row.confirmed_at is not None
    await session.delete(row)
    await session.flush()
    if was_on:
        await tell(session, person, "two_factor_off")


async def tell(session: AsyncSession, person: Person, what: str) -> None:
    """Write what has changed to the audit, and to the person by mail."""
    await note(session, what, person.noun, person.id, {})
    await enqueue(session, "sessions.notice", total=1, what=what, **person.columns)


async def _fresh_codes(session: AsyncSession, row_id: int) -> list[str]:
    await session.execute(
        delete(RecoveryCode).where(RecoveryCode.two_factor_id == row_id).execution_options(synchronize_session=False)
    )
    codes = ["".join(secrets.choice(LETTERS) for _n in range(16)) for _code in range(CODES)]
    session.add_all(RecoveryCode(two_factor_id=row_id, code_hash=_hash(row_id, code)) for code in codes)
    await session.flush()
    return ["-".join(code[n : n + 4] for n in range(0, 16, 4)) for code in codes]


# ---- checking a code ------------------------------------------------------------------------------------------------


async def use(session: AsyncSession, *, person: Person, code: str) -> bool:
    """Whether this is a living code of the app, or a recovery code; either counts once, also for two at once."""
    row = await _row(session, person)
    if row is None or row.confirmed_at is None:
        return False
    plain = "".join(c for c in code.upper() if c.isalnum())
    if len(plain) == 6 and plain.isascii() and plain.isdigit():
        return await _use_app(session, row, plain)
    if len(plain) != 16:
        return False
    won = await session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.two_factor_id == row.id, RecoveryCode.code_hash == _hash(row.id, plain),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=utcnow())
        .returning(RecoveryCode.id)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    if won.first() is None:
        return False
    await tell(session, person, "recovery_code")
    return True


async def _use_app(session: AsyncSession, row: TwoFactor, code: str) -> bool:
    secret = unseal(row.secret, PURPOSE)
    step = None if secret is None else _step_of(secret, code)
    if step is None:
        return False
    won = await session.execute(
        update(TwoFactor)
        .where(TwoFactor.id == row.id, TwoFactor.last_step < step)
        .values(last_step=step)
        .returning(TwoFactor.id)
        .execution_options(**QUIET)
    )
    return won.first() is not None


def _step_of(secret: str, code: str) -> int | None:
    """The half minute that this code belongs to."""
    code = "".join(code.split())
    now, totp = int(utcnow().timestamp()) // STEP, pyotp.TOTP(secret)
    fits = [
        step for step in range(now - DRIFT, now + DRIFT + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode("utf-8", "replace"))
    ]  # fmt: skip
    return max(fits, default=None)


def _hash(row_id: int, code: str) -> str:
    return hashlib.sha256(f"{row_id}:{code}".encode()).hexdigest()
