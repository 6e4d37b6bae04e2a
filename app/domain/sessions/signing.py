"""Signing in and choosing an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import fold
from app.domain import brands
from app.domain.sessions import passwords, throttle
from app.domain.sessions.entering import Came, after_password, customers_of, refused
from app.domain.sessions.passwords import hash_password, set_password, verify_password
from app.domain.sessions.person import Person
from app.domain.sessions.proving import prove_password
from app.domain.sessions.rows import SessionView, note
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _
from app.models.projects import Project
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Staff
from app.models.users import User

MOST_ACCOUNTS = 5
"""How many accounts with one login (in several projects) are tried with the password."""

Who = TypeVar("Who", Staff, User)

WRONG = _("User name or password is wrong.")


async def sign_in_staff(*, username: str, password: str, ip: str | None, agent: str = "", old_token: str = "") -> str:
    """Sign a staff member in by user name or e-mail. Returns the new token; ends the old session of this browser.

    Raises Invalid (unknown, disabled or wrong password: one message for all) and TooMany; SecondStep, with the token
    that leads to it, when the person has a second factor.
    """
    login = username.strip()
    account, address = throttle.key_of("staff", login), throttle.key_of_address(ip) if ip else None
    await throttle.admit(account, address)
    async with db.reads() as session:
        found = await staff_named(session, login)
    staff = await _fitting(found, password)
    if staff is None:
        await refused("staff", found[0].id if found else None)
        raise Invalid(WRONG)
    moved = await _rehash(staff, password)
    return await after_password(staff, Came(ip, agent, old_token), forgive=(account, address), moved=moved)


async def staff_named(session: AsyncSession, login: str) -> list[Staff]:
    """Enabled staff with this user name or e-mail."""
    rows = await session.scalars(
        select(Staff)
        .where(or_(Staff.username == login, func.lower(Staff.username) == login.lower(),
                   func.lower(Staff.email) == login.lower()), Staff.enabled)
        .order_by(Staff.username != login, func.lower(Staff.username) != login.lower(), Staff.id)
        .limit(MOST_ACCOUNTS)
        .execution_options(unscoped=True)
    )  # fmt: skip
    return list(rows.all()) if login else []


async def sign_in_user(
    *, login: str, password: str, ip: str | None, agent: str = "", old_token: str = "", project_id: int | None = None
) -> str:
    """Sign a user of a customer in by user name or e-mail, as `sign_in_staff` does.

    One login may exist in several projects: the password decides which is meant (five are tried at most).
    A user who serves several customers starts with the first; see `pick_customer`. Raises also Forbidden when every
    account of the user is closed.
    """
    login = login.strip()
    account, address = throttle.key_of("user", login), throttle.key_of_address(ip) if ip else None
    await throttle.admit(account, address)
    async with db.reads() as session:
        found = await users_named(session, login, project_id, off=True)
    user = await _fitting(found, password)
    if user is None:
        await refused("user", found[0].id if found else None)
        raise Invalid(WRONG)
    moved = await _rehash(user, password)
    return await after_password(user, Came(ip, agent, old_token), forgive=(account, address), moved=moved)


async def users_named(session: AsyncSession, login: str, project_id: int | None, *, off: bool = False) -> list[User]:
    """Enabled users with this user name, then with this e-mail, of projects in use. off: those of projects that are
    switched off come last."""
    if not login or len(login) > 254:
        return []
    known = (await brands.brands()).by_id
    used = {brand.id for brand in known.values() if brand.enabled}
    projects = select(Project.id)  # named, so that the index (project, user name) serves
    if not off:
        projects = projects.where(Project.enabled)
    if project_id is not None:
        projects = projects.where(Project.id == project_id)
    found: dict[int, User] = {}
    by_name, by_email = User.username == login.lower(), User.email_folded == fold(login)
    for condition in (by_name, by_email) if "@" in login else (by_name,):
        rows = await session.scalars(
            select(User).where(User.project_id.in_(projects), condition, User.enabled).order_by(User.id)
            .limit(MOST_ACCOUNTS).execution_options(unscoped=True)
        )  # fmt: skip
        for user in rows:
            # the folded e-mail drops accents; the account must not be found by another's address
            if condition is by_name or user.email.casefold() == login.casefold():
                found.setdefault(user.id, user)
    return sorted(found.values(), key=lambda user: user.project_id not in used)[:MOST_ACCOUNTS]


async def _fitting(found: Sequence[Who], password: str) -> Who | None:
    """The first whose password this is. Without any account a dummy is computed: the time must not tell."""
    fits: Who | None = None
    for who in found:
        if await verify_password(who.password_hash, password) and fits is None:
            fits = who  # the others are computed too: the time must not tell which one it was
    if not found:
        await verify_password(None, password)
    return fits


async def _rehash(who: Staff | User, password: str) -> dict[str, str]:
    """The column to change when argon2's parameters have moved since the password was set."""
    if who.password_hash and passwords.hasher.check_needs_rehash(who.password_hash):
        return {"password_hash": await hash_password(password)}
    return {}


async def pick_customer(session: AsyncSession, *, view: SessionView, customer_id: int) -> None:
    """Go on with another customer that the signed-in user serves. Raises NotFound for any other."""
    if view.kind is not SessionKind.CLIENT or view.user_id is None:
        raise Conflict(_("Only a signed-in user can choose an account."))
    if customer_id not in {c.id for c in await customers_of(session, user_id=view.user_id)}:
        raise NotFound()
    await session.execute(
        update(LoginSession)
        .where(LoginSession.id == view.id)
        .values(customer_id=customer_id)
        .execution_options(audited=True, synchronize_session=False)
    )
    await note(
        session, "pick_customer", "user", view.user_id, {"customer_id": [view.customer_id, customer_id]},
        customer_id=customer_id,
    )  # fmt: skip


async def change_own_password(*, staff_id: int, session_id: int, old: str, new: str) -> None:
    """A staff member takes a new password and names the present one; their sessions end but `session_id`.

    Guessing the present one is slowed down like signing in. Raises Invalid (`old`: wrong; `password`: too short),
    TooMany, SignInNeeded.
    """
    await prove_password(Person(staff_id=staff_id), old, field="old")
    async with db.unit() as session:
        changing = await session.get_one(Staff, staff_id)
        await set_password(session, staff=changing, password=new, keep_session=session_id)
