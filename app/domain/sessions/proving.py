"""Somebody who is signed in proves once more that it is they: by the password, or by a code of the second factor."""

from __future__ import annotations

from app import db
from app.domain.sessions import throttle, totp
from app.domain.sessions.entering import refused
from app.domain.sessions.passwords import verify_password
from app.domain.sessions.person import Person
from app.errors import Invalid, SignInNeeded
from app.i18n import gettext


async def prove(person: Person, proof: str, *, field: str = "proof") -> None:
    """Raises Invalid (at `field`), TooMany, SignInNeeded. Guessing is slowed down like signing in."""
    account, password_hash = await _asked(person)
    fits = await verify_password(password_hash, proof)
    async with db.unit() as session:
        if fits or await totp.use(session, person=person, code=proof):
            await throttle.forgive(session, account, None)
            return
    await refused(person.noun, person.id, "proof")
    raise Invalid(**{field: gettext("This is neither your password nor a code that counts.")})


async def prove_password(person: Person, password: str, *, field: str = "password") -> None:
    """By the password alone, where it is to be changed or an address is; wrong tries count together with those of
    `prove`. Raises the same."""
    account, password_hash = await _asked(person)
    if not await verify_password(password_hash, password):
        await refused(person.noun, person.id, "proof")
        raise Invalid(**{field: gettext("This is not your password.")})
    async with db.unit() as session:
        await throttle.forgive(session, account, None)


async def _asked(person: Person) -> tuple[str, str | None]:
    """Count this try: the name of its counter, and the hash of the person's password."""
    account = throttle.key_of("prove", person.key)
    await throttle.admit(account, None)
    async with db.reads() as session:
        who = await person.row(session)
    if who is None:
        raise SignInNeeded
    return account, who.password_hash
