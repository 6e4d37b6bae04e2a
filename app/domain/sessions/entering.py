"""From "this is the person" to a session: at once, or after the second step where one is asked.

Between the steps the browser holds a token of `links` (kind STEP): it is no session and opens nothing but the second
step. It ends with the password that it followed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain import brands
from app.domain.sessions import links, passkeys, throttle, totp
from app.domain.sessions.passkeys import Place
from app.domain.sessions.person import Person, print_of
from app.domain.sessions.rows import end, note, open_session, token_hash
from app.errors import Forbidden, Invalid
from app.i18n import _, gettext
from app.models.customers import Customer, CustomerStatus
from app.models.projects import Project
from app.models.sessions import LoginSession, OneUseKind, SessionKind
from app.models.staff import Staff
from app.models.users import User, UserCustomer
from app.observe import NOBODY, Kind, acting, actor

STAFF_LIFE = timedelta(days=7)
CLIENT_LIFE = timedelta(days=30)
NOTHING: Mapping[str, Any] = {}


class SecondStep(Exception):
    """The password was right and a second factor is asked; `token` leads there and opens nothing else."""

    def __init__(self, token: str) -> None:
        super().__init__("a second step is needed")
        self.token = token


@dataclass(frozen=True)
class Came:
    """From where somebody signs in. old_token: of the session that this browser has, which ends."""

    ip: str | None = None
    agent: str = ""
    old_token: str = ""


async def refused(noun: str, noun_id: int | None, reason: str = "") -> None:
    """Write a refused sign-in to the audit."""
    async with db.unit() as session:
        await note(session, "sign_in_refused", noun, noun_id, {}, reason=reason)


async def customers_of(session: AsyncSession, *, user_id: int) -> list[Customer]:
    """The customers that a user serves and that are not closed, by name."""
    rows = await session.scalars(
        select(Customer)
        .join(UserCustomer, UserCustomer.customer_id == Customer.id)
        .where(UserCustomer.user_id == user_id, Customer.status != CustomerStatus.CLOSED)
        .join(Project, Project.id == Customer.project_id)
        .where(Project.enabled)
        .order_by(Customer.name_folded, Customer.id)
    )
    return list(rows.all())


async def after_password(
    who: Staff | User, came: Came, *, forgive: tuple[str, str | None] | None = None, moved: Mapping[str, Any] = NOTHING
) -> str:
    """The password was right: the token of a new session. Raises SecondStep when a second factor is asked. moved:
    columns of the person to change. forgive: the counters of guesses. Raises Forbidden when every account of a user is
    closed."""
    customer_id = await _customer_of(who)
    person = Person.of(who)
    with acting(_actor(person, customer_id)):
        async with db.unit() as session:
            if forgive:
                await throttle.forgive(session, *forgive)
            if not await totp.is_on(session, person):
                return await _open(session, person, customer_id, came, moved, "password")
            if moved:
                await _change(session, person, moved)
                who.password_hash = moved.get("password_hash", who.password_hash)
            token = await links.issue(session, kind=OneUseKind.STEP, data={"print": print_of(who)}, **person.columns)
    raise SecondStep(token)


async def _customer_of(who: Staff | User) -> int | None:
    """The customer whom a user begins with. Raises Forbidden when there is none."""
    if isinstance(who, Staff):
        return None
    async with db.reads() as session:
        customers = await customers_of(session, user_id=who.id)
    if not customers:
        await refused("user", who.id, "no open account")
        brand = await brands.brand(who.project_id)
        if brand is not None and not brand.enabled:
            raise Forbidden(brands.CLOSED % {"name": brand.name})
        raise Forbidden(_("This account is closed. Please write to us."))
    return customers[0].id


def _actor(person: Person, customer_id: int | None) -> Any:
    if person.staff_id is not None:
        return replace(actor.get(NOBODY), kind=Kind.STAFF, staff_id=person.staff_id)
    return replace(actor.get(NOBODY), kind=Kind.USER, user_id=person.user_id, customer_id=customer_id)


async def _change(session: AsyncSession, person: Person, values: Mapping[str, Any]) -> None:
    table = Staff if person.staff_id is not None else User
    await session.execute(
        update(table).where(table.id == person.id).values(**values)
        .execution_options(audited=True, synchronize_session=False)
    )  # fmt: skip


async def _open(
    session: AsyncSession, person: Person, customer_id: int | None, came: Came, moved: Mapping[str, Any], how: str
) -> str:
    if came.old_token:
        await end(session, LoginSession.token_hash == token_hash(came.old_token))
    kind, life = (SessionKind.STAFF, STAFF_LIFE) if person.staff_id is not None else (SessionKind.CLIENT, CLIENT_LIFE)
    session_id, token = await open_session(
        session, life=life, kind=kind, customer_id=customer_id, ip=came.ip or "", agent=came.agent[:200],
        **person.columns,
    )  # fmt: skip
    await _change(session, person, {"last_sign_in_at": utcnow(), **moved})
    await note(session, "sign_in", person.noun, person.id, {"session": [None, session_id]}, reason=how)
    return token


# ---- the second step ------------------------------------------------------------------------------------------------


async def step_of(token: str) -> Person:
    """Who is between the two steps. Raises Gone."""
    async with db.reads() as session:
        link = await links.look(session, token, OneUseKind.STEP)
        person = Person(link.user_id, link.staff_id)
        who = await person.row(session)
    if who is None or link.data.get("print") != print_of(who):
        raise links.Gone
    return person


def counter_of(person: Person) -> str:
    """The counter of guesses at the second factor of this person, wherever they are made."""
    return throttle.key_of("second step", person.key)


Check = Callable[[AsyncSession, Person], Awaitable[bool]]


async def second_step(token: str, code: str, came: Came) -> str:
    """Sign in with a code of the app, or a recovery code. Returns the token of a new session.

    Raises Gone (too late, used, or the password was changed meanwhile), Invalid (`code`), TooMany, Forbidden."""

    async def fits(session: AsyncSession, person: Person) -> bool:
        return await totp.use(session, person=person, code=code)

    return await _second(token, came, fits, Invalid(code=gettext("This code is wrong, or it was used already.")))


async def second_step_by_passkey(token: str, answer: str, place: Place, came: Came) -> str:
    """The same with a passkey of this person."""

    async def fits(session: AsyncSession, person: Person) -> bool:
        return await passkeys.use(session, answer=answer, place=place, person=person) == person

    return await _second(token, came, fits, passkeys.Refused())


async def _second(token: str, came: Came, fits: Check, wrong: Invalid) -> str:
    person = await step_of(token)
    address = throttle.key_of_address(came.ip) if came.ip else None
    account = counter_of(person)
    await throttle.admit(account, address)
    async with db.reads() as session:
        who = await person.row(session)
    if who is None:
        raise links.Gone
    customer_id = await _customer_of(who)
    with acting(_actor(person, customer_id)):
        try:
            async with db.unit() as session:
                if await fits(session, person):
                    await links.take(session, token, OneUseKind.STEP)
                    await throttle.forgive(session, account, address)
                    return await _open(session, person, customer_id, came, NOTHING, "second step")
        except Invalid as error:
            wrong = error
    await refused(person.noun, person.id, "second step")
    raise wrong


async def sign_in_by_passkey(
    *, answer: str, place: Place, staff: bool, came: Came, project_id: int | None = None
) -> str:
    """Sign in without a password: the passkey and the PIN or finger of its owner are two factors already. Returns the
    token of a new session. Raises Refused, TooMany, Forbidden."""
    address = throttle.key_of_address(came.ip) if came.ip else None
    account = throttle.key_of("passkey", passkeys.credential_of(answer))
    await throttle.admit(account, address)
    noun = "staff" if staff else "user"
    try:
        async with db.unit() as session:  # the answer is spent whatever follows
            person = await passkeys.use(session, answer=answer, place=place)
            who = await person.row(session)
    except Invalid:
        await refused(noun, None, "passkey")
        raise
    fits = isinstance(who, Staff) if staff else isinstance(who, User) and project_id in (None, who.project_id)
    if who is None or not fits:
        await refused(person.noun, person.id, "passkey")
        raise passkeys.Refused
    customer_id = await _customer_of(who)
    with acting(_actor(person, customer_id)):
        async with db.unit() as session:
            await throttle.forgive(session, account, address)
            return await _open(session, person, customer_id, came, NOTHING, "passkey")
