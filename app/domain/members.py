"""What a customer decides about the users of the own account: inviting, roles, taking away.

Nobody gives or takes rights that they do not hold themselves, and nobody changes their own role.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.db import violated
from app.domain import checks, users
from app.domain.confirmations import GONE, begin, end, open_ones
from app.domain.sessions import links
from app.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from app.i18n import _, gettext
from app.models.confirmations import Confirmation, ConfirmationKind
from app.models.customers import Customer
from app.models.sessions import OneUseKind
from app.models.users import RIGHTS, CustomerRole, Right, User, UserCustomer, UserRole

BEYOND = _("This would concern rights that you do not have yourself.")
SELF = _("You cannot change your own role. Ask another user who may.")
ELSEWHERE = _("This user serves other accounts too. You can take them out of yours, and change nothing else.")
MOST_ROLES = 20


@dataclass(frozen=True)
class By:
    """Who decides. user_id: None for staff."""

    rights: frozenset[Right]
    user_id: int | None = None


STAFF = By(frozenset(Right))


# ---- looking -------------------------------------------------------------------------------------------------------


async def team(session: AsyncSession, customer_id: int) -> Sequence[UserCustomer]:
    """The users of a customer with their roles, by name."""
    rows = await session.scalars(
        select(UserCustomer)
        .join(User, User.id == UserCustomer.user_id)
        .where(UserCustomer.customer_id == customer_id)
        .options(joinedload(UserCustomer.user), joinedload(UserCustomer.own_role))
        .order_by(User.full_name_folded, User.id)
        .limit(200)
    )
    return rows.all()


async def member(session: AsyncSession, customer_id: int, user_id: int) -> UserCustomer:
    """Raises NotFound for a user who does not serve this customer."""
    found = await session.scalar(
        select(UserCustomer)
        .where(UserCustomer.customer_id == customer_id, UserCustomer.user_id == user_id)
        .options(
            joinedload(UserCustomer.user), joinedload(UserCustomer.own_role), joinedload(UserCustomer.customer)
        )
    )  # fmt: skip
    if found is None:
        raise NotFound
    return found


async def serves_others(session: AsyncSession, link: UserCustomer) -> bool:
    query = select(UserCustomer.customer_id).where(
        UserCustomer.user_id == link.user_id, UserCustomer.customer_id != link.customer_id
    )
    return await session.scalar(query.limit(1).execution_options(unscoped=True)) is not None


async def own_roles(session: AsyncSession, customer_id: int) -> Sequence[CustomerRole]:
    """The roles that the customer has made, by name."""
    query = select(CustomerRole).where(CustomerRole.customer_id == customer_id)
    return (await session.scalars(query.order_by(CustomerRole.name, CustomerRole.id))).all()


async def own_role(session: AsyncSession, customer_id: int, role_id: int) -> CustomerRole:
    """Raises NotFound for another customer's."""
    query = select(CustomerRole).where(CustomerRole.id == role_id, CustomerRole.customer_id == customer_id)
    if (found := await session.scalar(query)) is None:
        raise NotFound
    return found


async def holders(session: AsyncSession, role: CustomerRole) -> int:
    """How many users have this role."""
    query = select(func.count()).select_from(UserCustomer).where(UserCustomer.own_role_id == role.id)
    return await session.scalar(query) or 0


def rights_in(role: CustomerRole) -> frozenset[Right]:
    return frozenset(right for right in Right if right.value in role.rights)


@dataclass(frozen=True)
class Offer:
    """A role that can be given; `word` stands for it in forms."""

    word: str
    label: str
    rights: frozenset[Right]
    role: UserRole
    own: CustomerRole | None = None


def offer_of(link: UserCustomer) -> Offer:
    """What somebody has now."""
    if link.own_role is not None:
        return _own(link.own_role)
    return Offer(link.role.value, str(link.role.label), RIGHTS[link.role], link.role)


def _own(role: CustomerRole) -> Offer:
    return Offer(f"own-{role.id}", role.name, rights_in(role), UserRole.READ_ONLY, role)


async def offers(session: AsyncSession, customer_id: int, by: By) -> list[Offer]:
    """The roles that this person may give: those whose rights they hold."""
    found = [Offer(role.value, str(role.label), RIGHTS[role], role) for role in UserRole]
    found += [_own(role) for role in await own_roles(session, customer_id)]
    return [offer for offer in found if offer.rights <= by.rights]


async def _offered(session: AsyncSession, customer_id: int, word: str, by: By) -> Offer:
    for offer in await offers(session, customer_id, by):
        if offer.word == word:
            return offer
    raise Invalid(role=gettext("Please choose one of the offered values."))


def why_not(link: UserCustomer, by: By) -> str | None:
    """Why this person may not change that user's role or take them out."""
    if by.user_id is not None and link.user_id == by.user_id:
        return str(SELF)
    return None if link.rights <= by.rights else str(BEYOND)


def _reach(link: UserCustomer, by: By) -> None:
    if reason := why_not(link, by):
        raise Forbidden(reason)


# ---- users ---------------------------------------------------------------------------------------------------------


async def change_member(
    session: AsyncSession, *, link: UserCustomer, by: By, role: str | None = None, receives: bool | None = None,
    seen: str | None = None,
) -> None:  # fmt: skip
    """Give another role (the word of an Offer), or say whether they receive messages. seen: the role that the person
    who decides saw. Raises Invalid (`role`), Forbidden, Conflict (the last owner; somebody else was faster)."""
    now = offer_of(link)
    if role is not None and role != now.word:
        _reach(link, by)
        if seen is not None and seen != now.word:
            raise Conflict(gettext("Somebody has changed this role meanwhile. It is now: %(name)s.") % {
                "name": now.label
            })  # fmt: skip
        new = await _offered(session, link.customer_id, role, by)
    else:
        new = now
    await users.attach_user(
        session, user=link.user, customer=link.customer, role=new.role, own_role=new.own,
        receives=link.receives if receives is None else receives,
    )  # fmt: skip


async def set_enabled(session: AsyncSession, *, link: UserCustomer, by: By, enabled: bool) -> None:
    """Let a user sign in, or not. Raises Conflict for one who serves other customers too, and for the last owner."""
    _reach(link, by)
    if await serves_others(session, link):
        raise Conflict(str(ELSEWHERE))
    if enabled and link.user.disabled_by_staff and by.user_id is not None:
        raise Conflict(gettext("Our support has switched this user off. Please write to us."))
    if not enabled:
        await users.keep_an_owner(session, link)
    await users.change_user(session, user=link.user, values={"enabled": enabled})


async def remove_member(session: AsyncSession, *, link: UserCustomer, by: By) -> None:
    """Take a user out of the account; the login goes when it serves nobody else. Raises Conflict for the last owner."""
    _reach(link, by)
    if await serves_others(session, link):
        await users.detach_user(session, user=link.user, customer=link.customer)
    else:
        await users.delete_user(session, user=link.user)


async def send_link(session: AsyncSession, *, link: UserCustomer, by: By) -> None:
    """Mail a link to choose a password to a user who has none yet, such as staff register. Raises Conflict, TooMany."""
    _reach(link, by)
    if link.user.password_hash is not None or not link.user.enabled:
        raise Conflict(gettext("This user has a password already, or may not sign in."))
    if await links.too_many(session, kind=OneUseKind.RESET, user_id=link.user_id):
        raise TooMany(gettext("Too many were sent within the last hour. Please try again later."), seconds=3600)
    await links.mail(session, kind=OneUseKind.RESET, user_id=link.user_id)


# ---- invitations ---------------------------------------------------------------------------------------------------


async def invite(
    session: AsyncSession, *, customer: Customer, email: str, role: str, by: By, receives: bool = False
) -> Confirmation:
    """Ask somebody by mail to serve this customer: a user of the project who has this address, or who will be made when
    they accept. The answer is the same for both. Raises Invalid (`email`, `role`), TooMany."""
    wanted = checks.at("email", checks.required_email, checks.at("email", checks.required_email, email).lower())
    offer = await _offered(session, customer.id, role, by)
    user = await users.known(session, customer.project_id, wanted)
    if user is not None and await session.get(UserCustomer, (user.id, customer.id)) is not None:
        raise Invalid(email=gettext("This is a user of your account already."))
    args = {
        "role": offer.role.value, "own_role_id": offer.own.id if offer.own else None, "receives": receives,
        "by": by.user_id, "word": offer.word,
    }  # fmt: skip
    return await begin(
        session, kind=ConfirmationKind.JOIN, customer_id=customer.id, value=wanted,
        user_id=user.id if user else None, args=args,
    )  # fmt: skip


async def invitations(session: AsyncSession, customer_id: int) -> Sequence[Confirmation]:
    """Those that nobody has answered yet."""
    return await open_ones(session, customer_id=customer_id, kind=ConfirmationKind.JOIN)


async def invitation(session: AsyncSession, customer_id: int, key: int) -> Confirmation:
    """Raises NotFound."""
    mine = (Confirmation.id == key,)
    found = await open_ones(session, customer_id=customer_id, kind=ConfirmationKind.JOIN, more=mine)
    if not found:
        raise NotFound
    return found[0]


async def resend(session: AsyncSession, *, row: Confirmation, customer: Customer, by: By) -> Confirmation:
    """The same invitation with a new link; the old one does not work any more. Raises Invalid, TooMany."""
    return await invite(
        session, customer=customer, email=row.value, role=row.args["word"], by=by, receives=row.args["receives"]
    )


async def withdraw(session: AsyncSession, *, row: Confirmation) -> None:
    await end(session, row)


async def asked(session: AsyncSession, row: Confirmation) -> User | None:
    """Who would serve: the user that has the address by now; None: a new one."""
    return row.user or await users.known(session, row.customer.project_id, row.value)


async def accept(
    session: AsyncSession, *, row: Confirmation, full_name: str = "", password: str | None = None, language: str = ""
) -> User:
    """Serve the customer from now on. A user without a password, or a new one, brings it. Raises Invalid (`full_name`,
    `password`), NotFound when the role is gone."""
    customer, own = row.customer, None
    if (own_id := row.args.get("own_role_id")) is not None:
        query = select(CustomerRole).where(CustomerRole.id == own_id, CustomerRole.customer_id == customer.id)
        if (own := await session.scalar(query)) is None:
            raise NotFound(GONE)
    user = await asked(session, row)
    if user is None:
        if not password:
            raise Invalid(password=gettext("Please fill this in."))
        user = await users.create_user(
            session, project_id=customer.project_id, email=row.value, full_name=full_name, password=password,
            language=language,
        )  # fmt: skip
    elif user.password_hash is None and password:
        await users.change_user(session, user=user, values={}, password=password)
    if await session.get(UserCustomer, (user.id, customer.id)) is None:  # else what they have stays
        await users.attach_user(
            session, user=user, customer=customer, role=row.args["role"], own_role=own,
            receives=bool(row.args.get("receives")),
        )  # fmt: skip
    await end(session, row, done=True)
    return user


# ---- roles of the customer's own -----------------------------------------------------------------------------------


async def save_role(
    session: AsyncSession, *, customer_id: int, name: str, rights: Iterable[str], by: By,
    role: CustomerRole | None = None,
) -> CustomerRole:  # fmt: skip
    """Make a role, or change one for everybody who has it. Raises Invalid (`name`, `rights`), Forbidden, Conflict."""
    wanted = checks.at("name", checks.line(CustomerRole.__table__.c.name, required=True), name)
    if wanted.casefold() in {str(r.label).casefold() for r in UserRole}:
        raise Invalid(name=gettext("There is a role of this name already."))
    known = {right.value: right for right in Right}
    given = sorted(set(rights))
    if not set(given) <= known.keys():
        raise Invalid(rights=gettext("Please choose one of the offered values."))
    if not {known[r] for r in given} <= by.rights:
        raise Invalid(rights=str(BEYOND))
    if role is None:
        if len(await own_roles(session, customer_id)) >= MOST_ROLES:
            raise Conflict(gettext("There are %(n)d roles already. That is the most.") % {"n": MOST_ROLES})
    else:
        await _may_touch(session, role, by)
    try:
        async with session.begin_nested():
            if role is None:
                role = CustomerRole(customer_id=customer_id, name=wanted, rights=given)
                session.add(role)
            else:
                checks.change(role, {"name": wanted, "rights": given})
            await session.flush()
    except IntegrityError as error:
        if "name" in violated(error):
            raise Invalid(name=gettext("There is a role of this name already.")) from None
        raise
    return role


async def _may_touch(session: AsyncSession, role: CustomerRole, by: By) -> None:
    if not rights_in(role) <= by.rights:
        raise Forbidden(str(BEYOND))
    if by.user_id is not None:
        mine = select(UserCustomer.user_id).where(
            UserCustomer.own_role_id == role.id, UserCustomer.user_id == by.user_id
        )
        if await session.scalar(mine) is not None:
            raise Forbidden(str(SELF))


async def delete_role(session: AsyncSession, *, role: CustomerRole, by: By) -> None:
    """Raises Forbidden, Conflict while somebody has it, or is invited to it."""
    await _may_touch(session, role, by)
    pending = [row for row in await invitations(session, role.customer_id) if row.args.get("own_role_id") == role.id]
    if n := await holders(session, role) + len(pending):
        raise Conflict(gettext("Users have this role, or are invited to it: %(n)d. Give them another one first.") % {
            "n": n
        })  # fmt: skip
    await session.delete(role)
    await session.flush()
