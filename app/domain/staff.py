"""Staff, their roles and projects. Nobody hands out more than they hold, and the last owner stays."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.db import Base, violated
from app.domain import checks, sessions
from app.domain.sessions import STAFF_PASSWORD, Grants, check_new_password, end_sessions_of, granted, hash_password
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.i18n import LANGUAGES, gettext
from app.models.projects import Project
from app.models.sessions import LoginSession
from app.models.staff import Density, Grant, Role, Staff, StaffProject, StaffRole, Theme
from app.observe import SYSTEM, Kind, acting, actor

OWNER = "Owner"
EVERYTHING = ("*", "*")
ACTIONS = ("list", "details", "create", "edit", "delete", "export")
CUSTOMER_ACTIONS = ("action:message", "action:message_all", "action:segment", "action:enter", "action:act",
                    "action:note", "action:payment")  # fmt: skip
"""Message one, message many, keep a segment, enter the customer's panel, act there instead of only looking, write a
note, take a payment."""
CAMPAIGN_ACTIONS = ("action:stop", "action:pause", "action:resume", "action:plan", "action:send_now", "action:resend",
                    "action:decide", "action:unreached")  # fmt: skip
"""What somebody does who sends campaigns; approving those of others is a grant of its own."""

PAYMENT_ACTIONS = ("action:set_paid", "action:refund", "action:cancel", "action:fraud")
RULE_ACTIONS = ("action:try", "action:switch", "action:secret")
"""Try a rule, put it into use or out of it, sign its calls anew. `action:again` of the log repeats what failed."""
SERVICE_ACTIONS = ("action:progress", "action:activate", "action:suspend", "action:resume", "action:close")
"""The moves of a service from one state to the next."""

_of = Staff.__table__.c


def _panel_language(value: Any) -> str:
    if value not in LANGUAGES:
        raise checks.Bad(gettext("Please choose one of the offered values."))
    return str(value)


def _staff_name(value: Any) -> str:
    name: str = checks.line(_of.username, required=True)(checks.username(value))
    return name


FIELDS: dict[str, checks.Check] = {
    "username": _staff_name,
    "full_name": checks.line(_of.full_name, required=True),
    "email": checks.required_email,
    "language": _panel_language,
    "timezone": lambda value: checks.timezone(value) or "UTC",
    "enabled": checks.yes_no,
}
"""What may be entered for a staff member, and its shape."""
OWN: dict[str, checks.Check] = {
    **{name: FIELDS[name] for name in ("full_name", "email", "language", "timezone")},
    "theme": checks.one_of(Theme),
    "density": checks.one_of(Density),
    "shortcuts": checks.yes_no,
}
"""What they may change of themselves."""


async def add_staff(
    session: AsyncSession,
    *,
    username: str,
    full_name: str,
    email: str,
    password: str | None = None,
    role: str = OWNER,
    language: str = "en",
    timezone: str = "UTC",
) -> Staff:
    """A new staff member with one role, by its name; the role Owner is made when it is missing.

    password: None makes somebody who cannot sign in yet. Raises Invalid with the bad fields (`username`: taken;
    `role`: unknown), Forbidden when the role holds more than the acting person.
    """  # fmt: skip
    given = {"username": username, "full_name": full_name, "email": email, "language": language, "timezone": timezone}
    values = checks.clean(given, FIELDS)
    if password is not None:
        check_new_password(password, least=STAFF_PASSWORD)
    found = await owner_role(session) if role == OWNER else await session.scalar(select(Role).where(Role.name == role))
    if found is None:
        raise Invalid(role=gettext("There is no role %(name)s.") % {"name": role})
    await _refuse_more_than_own(session, await _granted(session, [found.id]))
    await _refuse_taken(session, values["username"])
    staff = Staff(password_hash=password and await hash_password(password), **values)
    await _save(session, staff, values["username"])
    session.add(StaffRole(staff_id=staff.id, role_id=found.id))
    # people who are limited to projects add colleagues with the same limits
    session.add_all(StaffProject(staff_id=staff.id, project_id=p) for p in sorted(actor.get().projects or ()))
    await session.flush()
    return staff


async def change_staff(
    session: AsyncSession, *, staff: Staff, values: Mapping[str, Any], password: str | None = None
) -> list[str]:
    """Change some of FIELDS, and the password when one is given. Gives the names of the changed columns.

    A new password and `enabled` turned off end this person's sessions. Raises Invalid with the bad fields, Conflict
    when the last enabled owner would be disabled, Forbidden for somebody who may more than the acting person.
    """
    await _refuse_to_touch(session, staff)
    cleaned = checks.clean(values, FIELDS)
    if password is not None:
        check_new_password(password, least=STAFF_PASSWORD)
    if cleaned.get("enabled") is False and staff.enabled:
        await _keep_an_owner(session, staff)
    name = cleaned.get("username", staff.username)
    if name != staff.username:
        await _refuse_taken(session, name)
    changed = checks.change(staff, cleaned)
    await _save(session, staff, name)
    if "enabled" in changed and not staff.enabled:
        await end_sessions_of(session, staff_id=staff.id)
    if password is not None:
        await sessions.set_password(session, staff=staff, password=password)
        changed.append("password_hash")
    return changed


async def change_self(session: AsyncSession, *, values: Mapping[str, Any]) -> Staff:
    """The acting staff member changes some of OWN. Raises Invalid with the bad fields."""
    staff = await session.scalar(select(Staff).where(Staff.id == actor.get().staff_id))
    if staff is None:
        raise NotFound
    checks.change(staff, checks.clean(values, OWN))
    await session.flush()
    return staff


async def see_news(session: AsyncSession, *, until: datetime) -> None:
    """The acting staff member has seen what the bell tells up to this moment; too small for the audit."""
    await session.execute(
        update(Staff)
        .where(Staff.id == actor.get().staff_id, or_(Staff.seen_at.is_(None), Staff.seen_at < until))
        .values(seen_at=until)
        .execution_options(audited=True, synchronize_session=False)
    )


async def set_password(session: AsyncSession, *, username: str, password: str) -> Staff:
    """Give the staff member of this name a new password; their sessions end. Raises NotFound, and as change_staff."""
    staff = await session.scalar(select(Staff).where(Staff.username == username.strip().lower()))
    if staff is None:
        raise NotFound(gettext("There is no staff member %(name)s.") % {"name": username})
    await change_staff(session, staff=staff, values={}, password=password)
    return staff


async def set_roles(session: AsyncSession, *, staff: Staff, roles: Iterable[int]) -> None:
    """Give a staff member exactly these roles (ids). Raises Invalid for an unknown one, Forbidden for roles that hold
    more than the acting person, Conflict when the last enabled owner would lose that."""
    await _refuse_to_touch(session, staff)
    wanted = await checks.all_known(session, "roles", Role, roles)
    given = await _granted(session, wanted)
    await _refuse_more_than_own(session, given)
    if EVERYTHING not in given:
        await _keep_an_owner(session, staff)
    query = select(StaffRole).where(StaffRole.staff_id == staff.id)
    rows = {row.role_id: row for row in await session.scalars(query)}
    for role_id, row in rows.items():
        if role_id not in wanted:
            await session.delete(row)
    session.add_all(StaffRole(staff_id=staff.id, role_id=r) for r in wanted if r not in rows)
    await session.flush()


async def set_projects(session: AsyncSession, *, staff: Staff, projects: Iterable[int]) -> None:
    """Limit a staff member to these projects (ids); none: all projects. Raises Invalid for an unknown one, Forbidden
    when somebody who is limited would give more than they see, Conflict when nobody would be left who sees all."""
    await _refuse_to_touch(session, staff)
    wanted = await checks.all_known(session, "projects", Project, projects)
    if actor.get().projects is not None and not wanted:
        raise Forbidden(gettext("You cannot give more than you have yourself."))
    query = select(StaffProject).where(StaffProject.staff_id == staff.id)
    rows = {row.project_id: row for row in await session.scalars(query)}
    if wanted and not rows:
        await _keep_an_owner(session, staff)
    for project_id, row in rows.items():
        if project_id not in wanted:
            await session.delete(row)
    session.add_all(StaffProject(staff_id=staff.id, project_id=p) for p in wanted if p not in rows)
    await session.flush()


async def delete_staff(session: AsyncSession, *, staff: Staff) -> None:
    """Delete a staff member; what they wrote stays without a name, the audit keeps the id. Raises Conflict for the
    last enabled owner, Forbidden for somebody who may more than the acting person, or oneself."""
    await _refuse_to_touch(session, staff)
    if actor.get().kind is Kind.STAFF and actor.get().staff_id == staff.id:
        raise Conflict(gettext("You cannot delete yourself. Ask a colleague."))
    await _keep_an_owner(session, staff)
    for row in (await session.scalars(select(LoginSession).where(LoginSession.staff_id == staff.id))).all():
        await session.delete(row)
    await session.delete(staff)  # with roles and projects, by cascade through the ORM
    await session.flush()


# ---- roles and grants ---------------------------------------------------------------------------------------------


async def owner_role(session: AsyncSession) -> Role:
    """The built-in role that may do everything; made when it is missing."""
    role = await session.scalar(select(Role).where(Role.name == OWNER))
    if role is None:
        role = Role(name=OWNER, description="May do everything.", grants=[Grant(screen="*", action="*")])
        with acting(SYSTEM):  # whoever may need it: it is nobody's doing
            session.add(role)
            await session.flush()
    return role


async def save_role(
    session: AsyncSession,
    *,
    role: Role | None = None,
    name: str,
    description: str = "",
    grants: Iterable[tuple[str, str]] | None = None,
) -> Role:
    """Make a role, or change one. grants: (screen, action) pairs, ``*`` for every one; None leaves them.

    Raises Invalid for a name that is taken or a grant that is not well-formed, Forbidden for more than the acting
    person holds, Conflict when nobody would be left who may do everything.
    """  # fmt: skip
    of = Role.__table__.c
    shape = {"name": checks.line(of.name, required=True), "description": checks.area(of.description)}
    values = checks.clean({"name": name, "description": description}, shape)
    same = select(Role.id).where(Role.name == values["name"])
    if (other := await session.scalar(same)) is not None and (role is None or other != role.id):
        raise Invalid(name=gettext("This name is taken."))
    before = await _granted(session, [role.id]) if role is not None else set()
    wanted = before if grants is None else set(grants)
    for screen, action in wanted:
        known = screen == "*" or screen in Base.metadata.tables  # a screen is called as its table
        if not known or not (action in (*ACTIONS, "*") or action.startswith("action:")):
            raise Invalid(grants=gettext("There is nothing to grant called %(name)s.") % {"name": f"{screen} {action}"})
    await _refuse_more_than_own(session, before | wanted)
    if role is None:
        role = Role(**values)
        session.add(role)
    else:
        if EVERYTHING in before and EVERYTHING not in wanted:
            await _keep_an_owner(session, without=role.id)
        checks.change(role, values)
    await session.flush()
    rows = {(g.screen, g.action): g for g in await session.scalars(select(Grant).where(Grant.role_id == role.id))}
    for pair, row in rows.items():
        if pair not in wanted:
            await session.delete(row)
    session.add_all(Grant(role_id=role.id, screen=s, action=a) for s, a in sorted(wanted - rows.keys()))
    await session.flush()
    return role


async def delete_role(session: AsyncSession, *, role: Role) -> None:
    """Delete a role that nobody has any more; else Conflict."""
    await _refuse_more_than_own(session, await _granted(session, [role.id]))
    having = await session.scalar(select(func.count()).select_from(StaffRole).where(StaffRole.role_id == role.id))
    if having:
        raise Conflict(gettext("%(n)d staff members have this role. Give them another one first.") % {"n": having})
    await session.delete(role)
    await session.flush()


async def grants_of(session: AsyncSession, staff_id: int) -> set[tuple[str, str]]:
    """(screen, action) pairs that the roles of a staff member give; nothing for one who is not enabled."""
    query = (
        select(Grant.screen, Grant.action)
        .join(StaffRole, StaffRole.role_id == Grant.role_id)
        .join(Staff, Staff.id == StaffRole.staff_id)
        .where(Staff.id == staff_id, Staff.enabled)
    )
    return {(screen, action) for screen, action in await session.execute(query)}


async def own_grants(session: AsyncSession) -> Grants:
    """What the acting person may hand on: their own grants, everything for the program itself."""
    who = actor.get()
    if who.kind is Kind.SYSTEM:
        return frozenset({EVERYTHING})
    return frozenset(await grants_of(session, who.staff_id) if who.kind is Kind.STAFF and who.staff_id else ())


async def _granted(session: AsyncSession, roles: list[int]) -> set[tuple[str, str]]:
    query = select(Grant.screen, Grant.action).where(Grant.role_id.in_(roles))
    return {(screen, action) for screen, action in await session.execute(query)}


async def _refuse_more_than_own(session: AsyncSession, wanted: set[tuple[str, str]]) -> None:
    """Raise Forbidden when the acting staff member does not hold all of `wanted`: else any editor of staff could
    make themselves an owner."""
    own = await own_grants(session)
    if not all(granted(own, screen, action) for screen, action in wanted):
        raise Forbidden(gettext("You cannot give more than you have yourself."))


async def _refuse_to_touch(session: AsyncSession, staff: Staff) -> None:
    """Raise Forbidden for a colleague who may more, or sees more projects, than the acting person."""
    who = actor.get()
    if who.staff_id == staff.id and who.kind is Kind.STAFF:
        return
    query = select(Grant.screen, Grant.action).join(StaffRole, StaffRole.role_id == Grant.role_id)
    theirs = await session.execute(query.where(StaffRole.staff_id == staff.id))  # also while they are disabled
    await _refuse_more_than_own(session, {(screen, action) for screen, action in theirs})
    if who.projects is not None:
        seen = set(await session.scalars(select(StaffProject.project_id).where(StaffProject.staff_id == staff.id)))
        if not seen or seen - who.projects:
            raise Forbidden(gettext("This person works for projects that you do not see."))


async def _keep_an_owner(session: AsyncSession, staff: Staff | None = None, *, without: int | None = None) -> None:
    """Raise Conflict when nobody who may do everything everywhere and can sign in would be left without `staff`, or
    without the role `without`. It is no question for somebody who is no owner."""
    limited = select(StaffProject.project_id).where(StaffProject.staff_id == Staff.id).correlate(Staff)
    query = (
        select(Staff.id, Staff.password_hash, StaffRole.role_id)
        .join(StaffRole, StaffRole.staff_id == Staff.id)
        .join(Grant, Grant.role_id == StaffRole.role_id)
        .where(Staff.enabled, Grant.screen == "*", Grant.action == "*", ~limited.exists())
        .with_for_update(of=Staff)  # two owners who disable each other wait here (SQLite has one writer anyway)
    )
    owners = (await session.execute(query)).all()
    if staff is not None and staff.id not in {o.id for o in owners}:
        return
    left = [o for o in owners if o.password_hash and (staff is None or o.id != staff.id) and o.role_id != without]
    if owners and not left:
        raise Conflict(gettext("Nobody would be left who may do everything. Make somebody else an owner first."))


async def _refuse_taken(session: AsyncSession, username: str) -> None:
    if await session.scalar(select(Staff.id).where(Staff.username == username)) is not None:
        raise Invalid(username=gettext("The user name %(name)s is taken.") % {"name": username})


async def _save(session: AsyncSession, staff: Staff, username: str) -> None:
    try:
        async with session.begin_nested():
            session.add(staff)
            await session.flush()
    except IntegrityError as error:
        if "username" in violated(error):
            raise Invalid(username=gettext("The user name %(name)s is taken.") % {"name": username}) from None
        raise


# ---- the first one ------------------------------------------------------------------------------------------------


def new_password() -> str:
    """Four groups of five letters and digits that nobody confuses: 98 bits."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _n in range(5)) for _group in range(4))


async def ensure_first_staff(session: AsyncSession) -> tuple[Staff, str] | None:
    """While nobody can sign in: the owner `admin` with a new password, which is shown this once. Else None."""
    able = select(Staff.id).where(Staff.password_hash.is_not(None), Staff.enabled).limit(1)
    if await session.scalar(able) is not None:
        return None
    taken = set(await session.scalars(select(Staff.username).where(Staff.username.startswith("admin"))))
    name = next(n for i in range(len(taken) + 1) if (n := f"admin{i + 1}" if i else "admin") not in taken)
    password = new_password()
    staff = await add_staff(
        session, username=name, full_name="Administrator", email="admin@example.com", password=password
    )
    return staff, password


async def roles_of(session: AsyncSession, staff_id: int) -> list[Role]:
    """The roles of a staff member with their grants, by name."""
    query = select(Role).join(StaffRole, StaffRole.role_id == Role.id).where(StaffRole.staff_id == staff_id)
    return list(await session.scalars(query.options(selectinload(Role.grants)).order_by(Role.name)))
