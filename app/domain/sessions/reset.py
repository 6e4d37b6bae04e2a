"""A forgotten password: asking for a link, and choosing a new one with it; also the first one, of who has none yet.

Asking never tells whether there is such a person: the same answer, the same work, the same rows.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain.sessions import links, throttle
from app.domain.sessions.links import Gone, Link
from app.domain.sessions.passwords import STAFF_PASSWORD, USER_PASSWORD, check_new_password, hash_password, store
from app.domain.sessions.person import Person
from app.domain.sessions.rows import note
from app.domain.sessions.signing import staff_named, users_named
from app.models.customers import Customer, CustomerStatus
from app.models.sessions import OneUseKind
from app.models.staff import Staff
from app.models.users import User, UserCustomer
from app.queue import enqueue


async def ask(*, login: str, ip: str | None, staff: bool, project_id: int | None = None) -> None:
    """Mail a link to whoever has this user name or e-mail, and say nothing when nobody does. Raises TooMany."""
    login = login.strip()[:254]
    address = f"reset-{throttle.key_of_address(ip)}" if ip else None
    await throttle.admit(throttle.key_of("reset staff" if staff else "reset user", login), address)
    async with db.unit() as session:
        found: list[Staff] | list[User]
        if staff:
            found = await staff_named(session, login)
        else:
            found = [user for user in await users_named(session, login, project_id) if await _serves(session, user)]
        people = [Person.of(who) for who in found]
        asked = [p for p in people if not await links.too_many(session, kind=OneUseKind.RESET, **p.columns)]
        # one job whatever was found, so that the time tells nothing
        await enqueue(session, "sessions.reset", people=[p.columns for p in asked])
        await note(session, "reset_asked", "staff" if staff else "user", people[0].id if people else None, {})


async def _serves(session: AsyncSession, user: User) -> bool:
    """Whether the user has an account that is open."""
    query = (
        select(UserCustomer.customer_id)
        .join(Customer, Customer.id == UserCustomer.customer_id)
        .where(UserCustomer.user_id == user.id, Customer.status != CustomerStatus.CLOSED)
    )
    return await session.scalar(query.limit(1).execution_options(unscoped=True)) is not None


async def choose(*, token: str, password: str) -> Staff | User:
    """Take the new password of a link: all sessions of the person end, and all such links. The second factor stays.
    Raises Gone, Invalid (`password`)."""
    async with db.reads() as session:
        link = await links.look(session, token, OneUseKind.RESET)
    who = _who(link)
    check_new_password(password, least=STAFF_PASSWORD if who.staff_id is not None else USER_PASSWORD)
    hashed = await hash_password(password)
    async with db.unit() as session:
        await links.take(session, token, OneUseKind.RESET)
        row = await who.row(session)
        if row is None:
            raise Gone
        await store(session, row, hashed)
        await note(session, "password_chosen", who.noun, who.id, {})
    return row


def _who(link: Link) -> Person:
    if link.user_id is None and link.staff_id is None:
        raise Gone
    return Person(link.user_id, link.staff_id)
