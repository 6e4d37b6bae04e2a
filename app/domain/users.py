"""Users, the logins of customers: making, changing, and whom they serve in which role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import fold, violated
from app.domain import checks
from app.domain import custom as fields
from app.domain.messaging.system import tell_old_address
from app.domain.sessions import USER_PASSWORD, check_new_password, end_sessions_of, hash_password, set_password
from app.errors import AppError, Conflict, Invalid, only
from app.i18n import gettext
from app.models.customers import Customer, ExternalRef
from app.models.projects import Project
from app.models.sessions import LoginSession
from app.models.users import CustomerRole, User, UserCustomer, UserRole
from app.observe import Kind, actor

_of = User.__table__.c
FIELDS: dict[str, checks.Check] = {
    "username": checks.username,
    "full_name": checks.line(_of.full_name),
    "email": checks.email,
    "language": checks.language,
    "enabled": checks.yes_no,
    "custom": checks.mapping,
}
"""What may be entered for a user, and its shape."""


async def create_user(
    session: AsyncSession,
    *,
    project_id: int,
    email: str,
    username: str = "",
    full_name: str = "",
    language: str = "",
    password: str | None = None,
    enabled: bool = True,
    custom: Mapping[str, Any] | None = None,
    custom_of: fields.Asked = fields.STAFF,
) -> User:
    """A new login of a project. It serves nobody yet: `attach_user`.

    username: empty takes the e-mail; kept in lower case. password: None makes a login that must be invited first.
    Raises Invalid with the bad fields, `username` when the project has one of this name (also in a race).
    """  # fmt: skip
    values = checks.clean(
        {"username": username, "full_name": full_name, "email": email, "language": language, "enabled": enabled}, FIELDS
    )
    values["custom"] = fields.clean(User, custom or {}, asked=custom_of)
    values["username"] = values["username"] or values["email"].lower()
    if not values["username"]:
        raise Invalid(username=gettext("Please give a user name or an e-mail address."))
    if password is not None:
        check_new_password(password, least=USER_PASSWORD)
    await checks.known(session, "project_id", Project, project_id)
    await _refuse_taken(session, project_id, values["username"])
    user = User(project_id=project_id, password_hash=password and await hash_password(password), **values)
    try:
        async with session.begin_nested():
            session.add(user)
            await session.flush()
    except IntegrityError as error:
        if "username" in violated(error):
            raise _taken(values["username"]) from None
        raise
    return user


async def change_user(
    session: AsyncSession,
    *,
    user: User,
    values: Mapping[str, Any],
    password: str | None = None,
    custom_of: fields.Asked = fields.STAFF,
) -> list[str]:
    """Change some of FIELDS, and the password when one is given. Gives the names of the changed columns. Another e-mail
    address is told to the old one, in the name of the first customer whom the user serves.

    A new password and `enabled` turned off end the sessions of this user. Raises Invalid with the bad fields.
    """
    changed = only(await change_users(session, [(user, values)], custom_of=custom_of))
    if password is not None:
        check_new_password(password, least=USER_PASSWORD)
        await set_password(session, user=user, password=password)
        changed.append("password_hash")
    return changed


async def change_users(
    session: AsyncSession, changes: Sequence[tuple[User, Mapping[str, Any]]], *, custom_of: fields.Asked = fields.STAFF
) -> list[list[str] | AppError]:
    """`change_user` for many, each one time: for each the names of the changed columns, or why the user stays as they
    are. Raises Invalid when a name is taken in a race."""
    found: list[list[str] | AppError] = []
    wanted: list[dict[str, Any]] = []
    for user, values in changes:
        try:
            wanted.append(await _cleaned(session, user, values, custom_of))
            found.append([])
        except AppError as refusal:
            wanted.append({})
            found.append(refusal)
    addresses = []
    try:
        async with session.begin_nested():
            for n, (user, _values) in enumerate(changes):
                if isinstance(found[n], AppError):
                    continue
                address = user.email
                found[n] = changed = checks.change(user, wanted[n])
                if "enabled" in changed:
                    user.disabled_by_staff = not user.enabled and actor.get().kind is Kind.STAFF
                if "email" in changed:
                    addresses.append((user, address))
            await session.flush()
    except IntegrityError as error:
        if "username" in violated(error):
            raise _taken(", ".join(w["username"] for w in wanted if "username" in w)) from None
        raise
    for user, address in addresses:
        await _tell(session, user, address)
    for (user, _values), outcome in zip(changes, found, strict=True):
        if not isinstance(outcome, AppError) and "enabled" in outcome and not user.enabled:
            await end_sessions_of(session, user_id=user.id)
    return found


async def _cleaned(
    session: AsyncSession, user: User, values: Mapping[str, Any], custom_of: fields.Asked
) -> dict[str, Any]:
    cleaned = checks.clean(values, FIELDS)
    if "custom" in cleaned:
        cleaned["custom"] = fields.clean(User, cleaned["custom"], before=user.custom, asked=custom_of)
    if "username" in cleaned:
        cleaned["username"] = cleaned["username"] or cleaned.get("email", user.email).lower()
        if not cleaned["username"]:
            raise Invalid(username=gettext("Please give a user name or an e-mail address."))
        if cleaned["username"] != user.username:
            await _refuse_taken(session, user.project_id, cleaned["username"])
    return cleaned


async def _tell(session: AsyncSession, user: User, address: str) -> None:
    first = select(UserCustomer.customer_id).where(UserCustomer.user_id == user.id)
    if (customer_id := await session.scalar(first.order_by(UserCustomer.customer_id).limit(1))) is not None:
        await tell_old_address(
            session, customer_id=customer_id, old=address, new=user.email, name=str(user), language=user.language
        )


async def delete_user(session: AsyncSession, *, user: User) -> None:
    """Delete a login. Raises Conflict while it is the last owner of a customer."""
    query = select(UserCustomer).where(UserCustomer.user_id == user.id).execution_options(unscoped=True)
    for link in (await session.scalars(query)).all():
        await keep_an_owner(session, link)
    await remove(session, user)
    await session.flush()


async def remove(session: AsyncSession, user: User) -> None:
    """Take out a login and what hangs on it, by the ORM so that the audit sees it. The caller has checked."""
    for row in await session.scalars(select(LoginSession).where(LoginSession.user_id == user.id)):
        await session.delete(row)
    references = select(ExternalRef).where(ExternalRef.noun == "user", ExternalRef.noun_id == user.id)
    for reference in await session.scalars(references):
        await session.delete(reference)
    await session.delete(user)


# ---- whom they serve ------------------------------------------------------------------------------------------------


async def attach_user(
    session: AsyncSession,
    *,
    user: User,
    customer: Customer,
    role: UserRole | str = UserRole.OWNER,
    own_role: CustomerRole | None = None,
    receives: bool = False,
) -> UserCustomer:
    """Let a user serve a customer in this role; one who does already gets the new role.

    own_role: a role of this customer's own, in the place of `role`. receives: mail goes to the user's address too.
    Raises Invalid for another project's customer, Conflict when the customer would be left without an owner.
    """  # fmt: skip
    wanted = checks.at("role", checks.one_of(UserRole), role)
    checks.at("receives", checks.yes_no, receives)
    if own_role is not None:
        if own_role.customer_id != customer.id:
            raise Invalid(role=gettext("This choice does not exist, or not any more."))
        wanted = UserRole.READ_ONLY  # what holds again without it
    if user.project_id != customer.project_id:
        raise Invalid(customer_id=gettext("A user can serve customers of their own project only."))
    link = await session.get(UserCustomer, (user.id, customer.id))
    values = {"role": wanted, "own_role_id": own_role.id if own_role else None, "receives": receives}
    if link is None:
        link = UserCustomer(user_id=user.id, customer_id=customer.id, **values)
        session.add(link)
    else:
        if wanted is not UserRole.OWNER:
            await keep_an_owner(session, link)
        checks.change(link, values)
    await session.flush()
    return link


async def detach_user(session: AsyncSession, *, user: User, customer: Customer) -> None:
    """End the service of a user for a customer. The login stays. Raises Conflict for the last owner."""
    link = await session.get(UserCustomer, (user.id, customer.id))
    if link is None:
        return
    await keep_an_owner(session, link)
    await end_sessions_of(session, user_id=user.id)  # a running session may be working for this customer
    await session.delete(link)
    await session.flush()


async def keep_an_owner(session: AsyncSession, link: UserCustomer) -> None:
    """Raise Conflict when this link is the customer's last owner who may sign in."""
    if link.role is not UserRole.OWNER:
        return
    # two owners who leave at the same moment wait for each other here (PostgreSQL; SQLite has one writer anyway)
    await session.execute(select(Customer.id).where(Customer.id == link.customer_id).with_for_update())
    others = await session.scalar(
        select(func.count()).select_from(UserCustomer).join(User, User.id == UserCustomer.user_id).where(
            UserCustomer.customer_id == link.customer_id, UserCustomer.user_id != link.user_id,
            UserCustomer.role == UserRole.OWNER, User.enabled,
        )
    )  # fmt: skip
    if not others:
        raise Conflict(gettext("This is the last owner of the customer. Make somebody else an owner first."))


async def taken(session: AsyncSession, *, project_id: int, username: str) -> bool:
    """Whether the project has a user of this name (in lower case)."""
    query = select(User.id).where(User.project_id == project_id, User.username == username)
    return await session.scalar(query.execution_options(unscoped=True)) is not None


async def known(session: AsyncSession, project_id: int, email: str) -> User | None:
    """The user of the project who has this address, else this name."""
    found = await session.scalars(
        select(User)
        .where(User.project_id == project_id, or_(User.email_folded == fold(email), User.username == email.lower()))
        .order_by(User.id)
        .limit(20)
        .execution_options(unscoped=True)
    )
    rows = list(found)
    same = [u for u in rows if u.email.casefold() == email.casefold()]  # the folded address drops accents
    return next(iter([*same, *(u for u in rows if u.username == email.lower())]), None)


async def those_taken(session: AsyncSession, *, project_id: int, usernames: Iterable[str]) -> set[str]:
    """Which of these names (in lower case) users of the project have."""
    query = select(User.username).where(User.project_id == project_id, User.username.in_(set(usernames)))
    return set(await session.scalars(query.execution_options(unscoped=True)))


async def _refuse_taken(session: AsyncSession, project_id: int, username: str) -> None:
    if await taken(session, project_id=project_id, username=username):
        raise _taken(username)


def _taken(username: str) -> Invalid:
    return Invalid(username=gettext("The user name %(name)s is taken in this project.") % {"name": username})
